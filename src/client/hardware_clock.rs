//! A network card's clock against the local one: a card stamps by a clock of its own, which nobody sets.

use super::{ClockChange, ClockRegister};
use crate::wire::{CookedTime, NtpDuration};

/// What is known of a card's clock. Its moments are nanoseconds since whenever it began.
#[derive(Clone, Debug)]
pub struct HardwareClock {
    register: ClockRegister,
    precision_s: f64,
    /// A moment on both clocks: what the register holds is counted from there, so that no bit is lost to an offset of
    /// decades.
    origin: Option<(i64, CookedTime)>,
}

/// The card's clock between two readings of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardSample {
    /// Ours, before.
    pub before: CookedTime,
    /// The card's, in nanoseconds.
    pub card_ns: i64,
    /// Ours, after.
    pub after: CookedTime,
}

impl HardwareClock {
    /// `samples_min` and `samples_max` readings are kept; the clock can be read as exactly as `precision_s`.
    pub fn new(samples_min: usize, samples_max: usize, precision_s: f64) -> Self {
        Self {
            register: ClockRegister::new(samples_min, samples_max),
            precision_s,
            origin: None,
        }
    }

    /// Takes readings in that were made in a row: of those that took next to the shortest time, the mean.
    pub fn accumulate(&mut self, readings: &[CardSample]) {
        let taken_s = |reading: &CardSample| (reading.after.0 - reading.before.0).to_seconds();
        let possible = readings.iter().filter(|reading| taken_s(reading) >= 0.0);
        let shortest = possible
            .clone()
            .min_by(|a, b| taken_s(a).total_cmp(&taken_s(b)));
        let Some(shortest) = shortest.copied() else {
            return;
        };
        let limit_s = taken_s(&shortest) + self.precision_s;
        let (card, at) = *self
            .origin
            .get_or_insert((shortest.card_ns, middle(&shortest)));
        let ahead_s = |reading: &CardSample| {
            let card = NtpDuration::from_nanos(reading.card_ns.wrapping_sub(card));
            (card - (middle(reading).0 - at.0)).to_seconds()
        };
        let (mut sum_s, mut count) = (0.0, 0.0);
        for reading in possible.filter(|reading| taken_s(reading) <= limit_s) {
            sum_s += ahead_s(reading);
            count += 1.0;
        }
        let found_s: f64 = sum_s / count;
        let now = middle(&shortest);
        // Somebody has set the card's clock: nothing from before is of it.
        let foretold_s = self.register.line().map(|line| line.ahead_at_s(now));
        if foretold_s.is_some_and(|foretold_s| (foretold_s - found_s).abs() > JUMP_S) {
            self.clear();
            self.accumulate(readings);
            return;
        }
        self.register.accumulate(now, found_s);
    }

    /// Our clock was changed.
    pub fn shift(&mut self, change: &ClockChange) {
        self.register.shift(change);
    }

    /// One of the clocks was set by an amount that is not known.
    pub fn clear(&mut self) {
        self.register.clear();
        self.origin = None;
    }

    /// A moment of the card's clock by ours; `None` before there is a line, and for moments that are far from the newest
    /// reading.
    pub fn cook(&self, card_ns: i64) -> Option<CookedTime> {
        let (line, (card, origin)) = (self.register.line()?, self.origin?);
        let unchanged = origin.0 + NtpDuration::from_nanos(card_ns.wrapping_sub(card));
        let since_s = (unchanged - line.at.0).to_seconds() - line.ahead_s;
        let elapsed_s = since_s / (1.0 + line.frequency);
        (elapsed_s.abs() <= REACH_S)
            .then(|| CookedTime(line.at.0 + NtpDuration::from_seconds(elapsed_s)))
    }

    /// How wrong a moment may be that [`cook`](Self::cook) gives, in seconds.
    pub fn error_s(&self) -> f64 {
        let sd_s = self.register.line().map_or(0.0, |line| line.ahead_sd_s);
        sd_s.max(self.precision_s)
    }

    /// By how much the card's clock runs faster than ours, as a fraction; `None` before there is a line.
    pub fn frequency(&self) -> Option<f64> {
        Some(self.register.line()?.frequency)
    }
}

fn middle(reading: &CardSample) -> CookedTime {
    let half = NtpDuration::from_bits((reading.after.0 - reading.before.0).to_bits() / 2);
    CookedTime(reading.before.0 + half)
}

/// No clock gains as much from one reading to the next.
const JUMP_S: f64 = 1e-3;
/// Stamps are of packets that were just sent or received; the largest poll interval of a card's clock is far less.
const REACH_S: f64 = 1e7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;

    fn at(seconds: f64) -> CookedTime {
        let start = NtpTimestamp::from_unix(1_900_000_000, 0);
        CookedTime(start + NtpDuration::from_seconds(seconds))
    }

    /// The clock began at 0 when ours was at 100, 60 years after 1970, and gains 20 ppm.
    fn card_ns(true_s: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
        let nanos = ((true_s - 100.0) * (1.0 + 20e-6) * 1e9).round() as i64;
        nanos
    }

    /// 25 readings in a row, each of which takes 2 µs, some longer, by an interruption on one side.
    fn readings(true_s: f64) -> Vec<CardSample> {
        (0..25u8)
            .map(|turn| {
                let before_s = 4e-6_f64.mul_add(f64::from(turn), true_s);
                let late_s = if turn % 5 == 0 { 1.5e-6 } else { 0.0 };
                CardSample {
                    before: at(before_s),
                    card_ns: card_ns(before_s + 1e-6),
                    after: at(before_s + 2e-6 + late_s),
                }
            })
            .collect()
    }

    #[track_caller]
    fn assert_right(clock: &HardwareClock, true_s: f64, expected_s: f64) {
        let found = clock.cook(card_ns(true_s)).expect("there is a line");
        let error_s = (found.0 - at(expected_s).0).to_seconds();
        assert!(error_s.abs() < 5e-9, "{error_s}");
    }

    #[test]
    fn a_cards_moments_are_ours() {
        let mut clock = HardwareClock::new(2, 16, 1e-7);
        clock.accumulate(&readings(1000.0));
        assert_eq!(clock.cook(card_ns(1000.0)), None, "one reading is no line");
        for second in 1..40u8 {
            clock.accumulate(&readings(1000.0 + f64::from(second)));
        }
        assert_right(&clock, 1039.5, 1039.5);
        assert_right(&clock, 1035.0, 1035.0);
        let gain = clock.frequency().unwrap();
        assert!((gain - 20e-6).abs() < 1e-8, "{gain}");
        assert!((1e-7..2e-7).contains(&clock.error_s()));
    }

    #[test]
    fn changes_of_our_clock_go_along() {
        let mut clock = HardwareClock::new(2, 16, 1e-7);
        for second in 0..20u8 {
            clock.accumulate(&readings(1000.0 + f64::from(second)));
        }
        clock.shift(&ClockChange {
            at: at(1020.0),
            frequency: 0.0,
            offset_s: 0.25,
        });
        assert_right(&clock, 1021.0, 1021.25);
        clock.shift(&ClockChange {
            at: at(1021.25),
            frequency: 1e-5,
            offset_s: 0.0,
        });
        assert_right(&clock, 1023.0, 1023.25 + 2e-5);
    }

    #[test]
    fn a_card_whose_clock_is_set_begins_anew() {
        let mut clock = HardwareClock::new(2, 16, 1e-7);
        for second in 0..5u8 {
            clock.accumulate(&readings(1000.0 + f64::from(second)));
        }
        let mut jumped = readings(1006.0);
        jumped.iter_mut().for_each(|r| r.card_ns += 1_000_000_000);
        clock.accumulate(&jumped);
        assert_eq!(clock.cook(card_ns(1006.0)), None);
        clock.accumulate(&[]);
        assert_eq!(clock.register.len(), 1);
        clock.clear();
        assert!(clock.register.is_empty());
    }
}
