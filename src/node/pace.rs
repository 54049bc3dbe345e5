//! How a worker waits: spin while packets come, park when they have not for a while.

use crate::config;

/// How long an adaptive worker looks again after the last packet. A park and a wake-up cost the next
/// packet some 5 to 50 µs of latency; a spin costs the core.
const SPIN_NS: u64 = 50_000;

/// What to do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again at once.
    Spin,
    /// Sleep until a packet or a call comes. Only ever after a turn that found every port empty, since
    /// mio tells of a port only when it turns from empty to not empty.
    Park,
}

/// Decides after each turn.
#[derive(Clone, Debug)]
pub struct Pace {
    spin_ns: u64,
    /// When the last packet came.
    active_ns: u64,
}

impl Pace {
    /// For a configured pace.
    pub const fn new(pace: config::Pace) -> Self {
        let spin_ns = match pace {
            config::Pace::Adaptive => SPIN_NS,
            config::Pace::Spin => u64::MAX,
            config::Pace::Park => 0,
        };
        Self {
            spin_ns,
            active_ns: 0,
        }
    }

    /// After a turn that received `received` datagrams and ended at `now_ns`.
    #[inline]
    pub const fn after_turn(&mut self, received: usize, now_ns: u64) -> Next {
        if received > 0 {
            self.active_ns = now_ns;
            return Next::Spin;
        }
        if now_ns.saturating_sub(self.active_ns) < self.spin_ns {
            Next::Spin
        } else {
            Next::Park
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptive_spins_a_bounded_time_then_parks() {
        let mut pace = Pace::new(config::Pace::Adaptive);
        assert_eq!(pace.after_turn(1, 1_000_000), Next::Spin);
        assert_eq!(pace.after_turn(0, 1_000_000 + SPIN_NS - 1), Next::Spin);
        assert_eq!(pace.after_turn(0, 1_000_000 + SPIN_NS), Next::Park);
    }

    #[test]
    fn park_parks_only_when_empty_and_spin_never() {
        let mut park = Pace::new(config::Pace::Park);
        assert_eq!(park.after_turn(1, 5), Next::Spin);
        assert_eq!(park.after_turn(0, 5), Next::Park);
        let mut spin = Pace::new(config::Pace::Spin);
        assert_eq!(spin.after_turn(0, u64::MAX - 1), Next::Spin);
    }
}
