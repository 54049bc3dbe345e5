//! Steps of the system clock: seen by reading it together with one that never steps.

use crate::sys::{Timespec, clock};

/// Both clocks are slewed alike, so between two readings they differ only by a step; less than this is the
/// time between the two reads, or a stall in between.
const STEP_NS_MIN: u64 = 1_000_000;

/// The system clock and the monotonic clock, read one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockPair {
    /// The system clock.
    pub(super) real: Timespec,
    /// Nanoseconds of the clock that never steps.
    pub(super) monotonic_ns: u64,
}

impl ClockPair {
    /// Reads both.
    #[inline]
    pub(super) fn read() -> Self {
        Self {
            real: clock::realtime(),
            monotonic_ns: clock::monotonic_ns(),
        }
    }
}

/// Compares each pair with the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    last: Option<ClockPair>,
}

impl Steps {
    /// How far the clock was stepped since the last pair, in nanoseconds; `None` where it was not.
    #[inline]
    pub(super) fn seen(&mut self, pair: ClockPair) -> Option<i64> {
        let last = self.last.replace(pair)?;
        let elapsed_ns = pair
            .monotonic_ns
            .wrapping_sub(last.monotonic_ns)
            .cast_signed();
        let step_ns = pair.real.nanos_since(last.real).saturating_sub(elapsed_ns);
        (step_ns.unsigned_abs() >= STEP_NS_MIN).then_some(step_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pair(secs: i64, nanos: u32, monotonic_ns: u64) -> ClockPair {
        ClockPair {
            real: Timespec { secs, nanos },
            monotonic_ns,
        }
    }

    #[test]
    fn a_step_is_what_the_clocks_differ_by() {
        let mut steps = Steps::default();
        assert_eq!(steps.seen(pair(100, 0, 5_000_000_000)), None);
        assert_eq!(steps.seen(pair(101, 200, 6_000_000_000)), None);
        assert_eq!(
            steps.seen(pair(104, 200, 7_000_000_000)),
            Some(2_000_000_000)
        );
        assert_eq!(steps.seen(pair(105, 200, 8_000_000_000)), None);
        assert_eq!(
            steps.seen(pair(104, 200, 9_000_000_000)),
            Some(-2_000_000_000)
        );
    }
}
