//! Steps of the system clock: seen by reading it together with one that never steps.

use crate::sys::{Timespec, clock};

/// Both clocks are slewed alike, so between two readings they differ only by a step; less than this may be
/// the time between the two reads.
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
    /// Reads both within a moment: a thread that is held up between the two reads them again, or a stall
    /// would pass for a step.
    #[inline]
    pub(super) fn read() -> Self {
        const ATTEMPTS: u32 = 4;
        let mut before_ns = clock::monotonic_ns();
        let mut attempt = 1;
        loop {
            let real = clock::realtime();
            let after_ns = clock::monotonic_ns();
            if after_ns - before_ns <= MOMENT_NS || attempt == ATTEMPTS {
                return Self {
                    real,
                    monotonic_ns: before_ns,
                };
            }
            before_ns = after_ns;
            attempt += 1;
        }
    }
}

impl ClockPair {
    /// A reading shortly after this one, in which nothing but the system clock is looked at, unless that shows that
    /// it was not shortly after, or that the clock was stepped.
    #[inline]
    pub(super) fn read_soon_after(self) -> Self {
        let real = clock::realtime();
        match u64::try_from(real.nanos_since(self.real)) {
            Ok(elapsed_ns) if elapsed_ns < STEP_NS_MIN => Self {
                real,
                monotonic_ns: self.monotonic_ns + elapsed_ns,
            },
            _ => Self::read(),
        }
    }
}

/// Reading a clock takes some 30 ns; this is a thread that was not held up.
const MOMENT_NS: u64 = 100_000;

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
    fn clocks_that_nobody_steps_show_no_step() {
        let mut steps = Steps::default();
        assert!((0..100_000).all(|_| steps.seen(ClockPair::read()).is_none()));
    }

    #[test]
    fn a_reading_soon_after_shows_a_step_too() {
        let mut steps = Steps::default();
        let now = ClockPair::read();
        assert_eq!(steps.seen(now), None);
        assert_eq!(steps.seen(now.read_soon_after()), None);
        // As if the clock had been stepped by an hour since.
        let before = ClockPair {
            real: Timespec {
                secs: now.real.secs - 3600,
                ..now.real
            },
            ..now
        };
        let mut steps = Steps::default();
        steps.seen(before);
        assert!(steps.seen(before.read_soon_after()).is_some());
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
