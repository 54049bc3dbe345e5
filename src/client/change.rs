//! What a change of the local clock does to moments and offsets that were measured before it.

use crate::wire::{CookedTime, NtpDuration};

/// A change of the local (cooked) clock: from `at` on it runs faster by `frequency`, and it is ahead by
/// `offset_s` of where it would have been.
///
/// What was measured before is restated as though the clock had always run as it does now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockChange {
    /// When, by the clock as it was.
    pub at: CookedTime,
    /// By how much it is faster, as a fraction: 1e-6 is 1 ppm.
    pub frequency: f64,
    /// By how much it is ahead, in seconds.
    pub offset_s: f64,
}

impl ClockChange {
    /// By how much a moment of the old clock is moved, in seconds. An offset measured then shrinks by that.
    pub fn shift_s(&self, moment: CookedTime) -> f64 {
        let elapsed_s = (self.at.0 - moment.0).to_seconds();
        elapsed_s.mul_add(-self.frequency, self.offset_s)
    }

    /// A moment of the old clock, by the new one.
    pub fn restate(&self, moment: CookedTime) -> CookedTime {
        CookedTime(moment.0 + NtpDuration::from_seconds(self.shift_s(moment)))
    }

    /// How much faster a source runs than the clock now, that ran faster by `frequency` than it before.
    pub fn restate_frequency(&self, frequency: f64) -> f64 {
        (frequency - self.frequency) / (1.0 + self.frequency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;

    fn at(seconds: i64) -> CookedTime {
        CookedTime(NtpTimestamp::from_unix(seconds, 0))
    }

    #[test]
    fn the_past_is_told_by_the_clock_as_it_is_now() {
        // The clock lost 10 ppm and is 1 ms slow: both are put right at 1000.
        let change = ClockChange {
            at: at(1000),
            frequency: 1e-5,
            offset_s: 1e-3,
        };
        assert!((change.shift_s(at(1000)) - 1e-3).abs() < 1e-12);
        assert!((change.shift_s(at(900)) - 0.0).abs() < 1e-12);
        assert!((change.shift_s(at(0)) - (1e-3 - 1e-2)).abs() < 1e-12);
        assert!(change.restate_frequency(1e-5).abs() < 1e-15);
        let moved = change.restate(at(1000)).0 - at(1000).0;
        assert_eq!(moved.to_nanos(), 1_000_000);
    }
}
