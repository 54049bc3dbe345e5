//! What frequency the clock had over long times, for when there are no sources (`fallbackdrift`).

/// `fallbackdrift`: log2 of the seconds over which frequencies are averaged, and after which without an
/// update the average is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackDrift {
    /// The shortest time.
    pub interval_min_log2: u8,
    /// The longest.
    pub interval_max_log2: u8,
}

/// One average for each power of two.
#[derive(Clone, Debug)]
pub(super) struct Averages {
    all: Vec<Average>,
    /// How many of them have been used since the last update.
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Average {
    interval_s: f64,
    frequency: f64,
    /// What the average holds so far, at most its interval.
    held_s: f64,
}

impl Averages {
    pub(super) fn new(option: Option<FallbackDrift>) -> Self {
        let intervals = option.map(|o| o.interval_min_log2..=o.interval_max_log2.min(LOG2_MAX));
        let all = intervals.into_iter().flatten().map(|log2| Average {
            interval_s: f64::from(log2).exp2(),
            frequency: 0.0,
            held_s: 0.0,
        });
        Self {
            all: all.collect(),
            used: 0,
        }
    }

    /// The clock had this frequency for `seconds`. Until an average holds its whole interval it is a plain
    /// mean; then the past fades.
    pub(super) fn accumulate(&mut self, frequency: f64, seconds: f64) {
        self.used = 0;
        for average in &mut self.all {
            let held_s = (average.held_s + seconds).min(average.interval_s);
            let share = if held_s < average.interval_s {
                seconds / held_s
            } else {
                1.0 - (-seconds / average.interval_s).exp()
            };
            average.held_s = held_s;
            if share.is_finite() {
                average.frequency = share.mul_add(frequency - average.frequency, average.frequency);
            }
        }
    }

    /// The average whose time has come after as many seconds without an update, once.
    pub(super) fn due(&mut self, seconds: f64) -> Option<f64> {
        let mut found = None;
        while let Some(average) = self.all.get(self.used) {
            if seconds < average.interval_s {
                break;
            }
            self.used += 1;
            if average.held_s >= average.interval_s {
                found = Some(average.frequency);
            }
        }
        found
    }

    /// Seconds without an update until the next average is looked at.
    pub(super) fn next_s(&self) -> Option<f64> {
        self.all.get(self.used).map(|average| average.interval_s)
    }
}

/// 68 years: what a duration holds.
const LOG2_MAX: u8 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn averages() -> Averages {
        Averages::new(Some(FallbackDrift {
            interval_min_log2: 10,
            interval_max_log2: 12,
        }))
    }

    #[test]
    fn a_mean_first_and_fading_then() {
        let mut averages = averages();
        for frequency in [1e-6, 3e-6] {
            averages.accumulate(frequency, 500.0);
        }
        assert!((averages.all[0].frequency - 2e-6).abs() < 1e-12);
        assert_eq!(averages.due(1024.0), None, "it does not hold 1024 s yet");
        for _ in 0..200 {
            averages.accumulate(5e-6, 64.0);
        }
        assert!((averages.all[0].frequency - 5e-6).abs() < 1e-10);
        assert!((averages.all[2].frequency - 5e-6).abs() < 1e-6);
    }

    #[test]
    fn longer_silence_takes_the_longer_average_once() {
        let mut averages = averages();
        averages.accumulate(1e-6, 5000.0);
        averages.accumulate(9e-6, 700.0);
        let (short, long) = (averages.all[0].frequency, averages.all[2].frequency);
        assert!(short > long);
        assert_eq!(
            (averages.due(1000.0), averages.next_s()),
            (None, Some(1024.0))
        );
        assert_eq!(
            (averages.due(1024.0), averages.due(1100.0)),
            (Some(short), None)
        );
        assert_eq!(
            (averages.due(9000.0), averages.next_s()),
            (Some(long), None)
        );
        averages.accumulate(9e-6, 64.0);
        assert_eq!(averages.next_s(), Some(1024.0));
    }

    #[test]
    fn none_without_the_directive() {
        let mut averages = Averages::new(None);
        averages.accumulate(1e-6, 1e9);
        assert_eq!((averages.due(1e9), averages.next_s()), (None, None));
    }
}
