//! How many log lines of a kind are written: so many a minute, and a count of the rest.

use std::collections::BTreeMap;

use log::Level;

/// A place in the code that writes a kind of line: file and line.
pub(super) type Site = (&'static str, u32);

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written.
    Write,
    /// It is written, after the count of those that were left out before it.
    WriteAfter(u64),
    /// It is counted only.
    LeaveOut,
}

/// Counts each kind for itself, by minutes that begin with the first line of it. There are no more kinds than places
/// in the code, so it does not grow.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    kinds: BTreeMap<Site, Minute>,
}

/// One kind, since its minute began.
#[derive(Clone, Copy, Debug)]
struct Minute {
    began_ns: u64,
    written: u64,
    left_out: u64,
    /// Of the last that was left out.
    level: Level,
}

impl Limiter {
    /// A line of this kind is to be written at `now_ns`, by the clock that never steps.
    pub(super) fn admit(&mut self, site: Site, level: Level, now_ns: u64) -> Verdict {
        let fresh = Minute {
            began_ns: now_ns,
            written: 1,
            left_out: 0,
            level,
        };
        let Some(minute) = self.kinds.get_mut(&site) else {
            self.kinds.insert(site, fresh);
            return Verdict::Write;
        };
        if minute.is_over(now_ns) {
            let left_out = minute.left_out;
            *minute = fresh;
            return match left_out {
                0 => Verdict::Write,
                _ => Verdict::WriteAfter(left_out),
            };
        }
        if minute.written < LINES_A_MINUTE {
            minute.written += 1;
            return Verdict::Write;
        }
        minute.left_out += 1;
        minute.level = level;
        Verdict::LeaveOut
    }

    /// The kinds whose minute is over and of which lines were left out: how many, which is told once. At the end of
    /// time (`u64::MAX`) every minute is over.
    pub(super) fn over(&mut self, now_ns: u64) -> Vec<(Site, Level, u64)> {
        let mut told = Vec::new();
        self.kinds.retain(|site, minute| {
            let is_over = minute.is_over(now_ns);
            if is_over && minute.left_out > 0 {
                told.push((*site, minute.level, minute.left_out));
            }
            !is_over
        });
        told
    }
}

impl Minute {
    const fn is_over(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.began_ns) >= MINUTE_NS
    }
}

const LINES_A_MINUTE: u64 = 10;
const MINUTE_NS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const HERE: Site = ("a.rs", 1);
    const THERE: Site = ("a.rs", 2);

    #[test]
    fn ten_a_minute_of_each_kind() {
        let mut limiter = Limiter::default();
        let mut admit = |site, second: u64| limiter.admit(site, Level::Warn, second * SECOND_NS);
        for second in 0..10 {
            assert_eq!(admit(HERE, second), Verdict::Write);
        }
        for second in 10..60 {
            assert_eq!(admit(HERE, second), Verdict::LeaveOut);
        }
        assert_eq!(admit(THERE, 59), Verdict::Write);
        assert_eq!(admit(HERE, 60), Verdict::WriteAfter(50));
        assert_eq!(admit(HERE, 61), Verdict::Write);
        assert_eq!(admit(HERE, 500), Verdict::Write);
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let mut limiter = Limiter::default();
        for _ in 0..13 {
            limiter.admit(HERE, Level::Warn, 0);
        }
        limiter.admit(THERE, Level::Info, 0);
        assert!(limiter.over(59 * SECOND_NS).is_empty());
        assert_eq!(limiter.over(60 * SECOND_NS), [(HERE, Level::Warn, 3)]);
        assert!(limiter.over(61 * SECOND_NS).is_empty());
        assert_eq!(
            limiter.admit(HERE, Level::Warn, 62 * SECOND_NS),
            Verdict::Write
        );
        assert!(limiter.kinds.len() == 1, "who is silent is forgotten");
        for _ in 0..20 {
            limiter.admit(HERE, Level::Warn, 62 * SECOND_NS);
        }
        assert_eq!(limiter.over(u64::MAX), [(HERE, Level::Warn, 11)]);
    }

    proptest! {
        /// Every line is written or counted, and no minute has more than ten of a kind.
        #[test]
        fn nothing_is_lost(steps_ns in prop::collection::vec(0..20 * SECOND_NS, 1..300)) {
            let mut limiter = Limiter::default();
            let (mut now_ns, mut written, mut counted) = (0, Vec::new(), 0);
            for step_ns in &steps_ns {
                now_ns += step_ns;
                counted += limiter.over(now_ns).iter().map(|(.., left_out)| left_out).sum::<u64>();
                match limiter.admit(HERE, Level::Info, now_ns) {
                    Verdict::Write => written.push(now_ns),
                    Verdict::WriteAfter(left_out) => {
                        written.push(now_ns);
                        counted += left_out;
                    }
                    Verdict::LeaveOut => {}
                }
            }
            counted += limiter.over(u64::MAX).iter().map(|(.., left_out)| left_out).sum::<u64>();
            prop_assert_eq!(written.len() as u64 + counted, steps_ns.len() as u64);
            // Two minutes of the limiter may touch any other minute.
            for window in written.windows(21) {
                prop_assert!(window[20] - window[0] >= MINUTE_NS);
            }
        }
    }
}
