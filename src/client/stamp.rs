//! When packets left and arrived by the local clock, and what becomes of it when that clock is changed.

use crate::wire::{CookedTime, NtpDuration, RawTime};

/// One moment on the three clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a clock that never steps: for timers.
    pub monotonic_ns: u64,
    /// The kernel's clock.
    pub raw: RawTime,
    /// The time we serve.
    pub cooked: CookedTime,
}

/// Who noted when a packet left or arrived, from the least exact to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StampSource {
    /// The program, before it sent or after it received.
    Daemon,
    /// The kernel.
    Kernel,
    /// The network card.
    Hardware,
}

impl StampSource {
    /// The letter in measurements.log and in chronyc's `ntpdata`.
    pub const fn letter(self) -> char {
        match self {
            Self::Daemon => 'D',
            Self::Kernel => 'K',
            Self::Hardware => 'H',
        }
    }
}

/// When a packet left or arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// By the time we serve.
    pub at: CookedTime,
    /// How wrong the reading may be, in seconds.
    pub error_s: f64,
    /// Who noted it.
    pub source: StampSource,
}

impl Stamp {
    /// The program's own.
    pub const fn by_daemon(at: CookedTime) -> Self {
        Self {
            at,
            error_s: 0.0,
            source: StampSource::Daemon,
        }
    }
}

/// A change of the time we serve: from a moment on it is another line over the old one.
///
/// What was noted before is moved by [`apply`](Self::apply), as though the new line had been in force then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockChange {
    /// The moment, by the old line.
    pub when: CookedTime,
    /// By what part the clock runs faster than before.
    pub frequency: f64,
    /// By how much it was set forward, in seconds.
    pub offset_s: f64,
}

impl ClockChange {
    /// A moment by the new line.
    #[must_use]
    pub fn apply(&self, at: CookedTime) -> CookedTime {
        let elapsed_s = (at.0 - self.when.0).to_seconds();
        let moved = NtpDuration::from_seconds(self.frequency.mul_add(elapsed_s, self.offset_s));
        CookedTime(at.0 + moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;

    #[test]
    fn a_change_moves_what_was_noted_before() {
        let at = |seconds| CookedTime(NtpTimestamp::from_unix(seconds, 0));
        let change = ClockChange {
            when: at(1_000),
            frequency: 1e-3,
            offset_s: 0.5,
        };
        let moved = (change.apply(at(900)).0 - at(900).0).to_seconds();
        assert!((moved - 0.4).abs() < 1e-9, "{moved}");
        let letters = [
            StampSource::Daemon,
            StampSource::Kernel,
            StampSource::Hardware,
        ];
        assert_eq!(letters.map(StampSource::letter), ['D', 'K', 'H']);
        assert!(StampSource::Hardware > StampSource::Kernel);
    }
}
