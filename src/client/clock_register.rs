//! A register of another clock of this machine (the real-time clock, a network card's), and the line through it.

use std::collections::VecDeque;

use super::ClockChange;
use super::regression::{Line, Points};
use crate::wire::CookedTime;

/// By how much another clock was ahead of ours, reading by reading.
#[derive(Clone, Debug)]
pub struct ClockRegister {
    samples_min: usize,
    samples_max: usize,
    samples: VecDeque<(CookedTime, f64)>,
    line: Option<ClockLine>,
}

/// What a register says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockLine {
    /// Of the newest reading.
    pub at: CookedTime,
    /// By how much the clock is ahead of ours then, in seconds.
    pub ahead_s: f64,
    /// Standard deviation of [`ahead_s`](Self::ahead_s).
    pub ahead_sd_s: f64,
    /// By how much it runs faster than ours, as a fraction.
    pub frequency: f64,
    /// Readings the line is through.
    pub samples: usize,
    /// Runs of residuals of one sign.
    pub runs: usize,
    /// Seconds from the oldest of these readings to the newest.
    pub span_s: f64,
}

impl ClockLine {
    /// By how much the clock is ahead of ours at a moment, in seconds.
    pub fn ahead_at_s(&self, at: CookedTime) -> f64 {
        let elapsed_s = (at.0 - self.at.0).to_seconds();
        elapsed_s.mul_add(self.frequency, self.ahead_s)
    }
}

impl ClockRegister {
    /// An empty one, of at most `samples_max` readings, of which the newest `samples_min` are kept though older ones
    /// no longer lie on a line. There is none through fewer than two.
    pub fn new(samples_min: usize, samples_max: usize) -> Self {
        let samples_max = samples_max.max(2);
        Self {
            samples_min: samples_min.clamp(2, samples_max),
            samples_max,
            samples: VecDeque::with_capacity(samples_max),
            line: None,
        }
    }

    /// Takes a reading in. One that is not newer than the newest empties the register first.
    pub fn accumulate(&mut self, at: CookedTime, ahead_s: f64) {
        let newest = self.samples.back();
        if newest.is_some_and(|newest| !newest.0.0.is_before(at.0)) {
            self.clear();
        }
        if self.samples.len() == self.samples_max {
            self.samples.pop_front();
        }
        self.samples.push_back((at, ahead_s));
        self.renew();
    }

    /// Our clock was changed: everything is restated by it as it is now.
    pub fn shift(&mut self, change: &ClockChange) {
        for (at, ahead_s) in &mut self.samples {
            *ahead_s -= change.shift_s(*at);
            *at = change.restate(*at);
        }
        if let Some(line) = &mut self.line {
            line.ahead_s -= change.shift_s(line.at);
            line.at = change.restate(line.at);
            line.frequency = change.restate_frequency(line.frequency);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.line = None;
    }

    /// The line; `None` through fewer than the least number of readings.
    pub const fn line(&self) -> Option<&ClockLine> {
        self.line.as_ref()
    }

    /// The newest reading: when, and by how much the clock was ahead.
    pub fn newest(&self) -> Option<(CookedTime, f64)> {
        self.samples.back().copied()
    }

    /// Readings in the register.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Draws the line anew and lets go what no longer lies on it.
    fn renew(&mut self) {
        self.line = None;
        let (Some(newest), Some(oldest)) = (self.newest(), self.samples.front()) else {
            return;
        };
        if self.samples.len() < self.samples_min {
            return;
        }
        let since_s = |at: CookedTime| (at.0 - newest.0.0).to_seconds();
        if self.samples.len() == 2 {
            let (before_s, rise_s) = (since_s(oldest.0), newest.1 - oldest.1);
            self.line = Some(ClockLine {
                at: newest.0,
                ahead_s: newest.1,
                ahead_sd_s: 0.0,
                frequency: rise_s / -before_s,
                samples: 2,
                runs: 2,
                span_s: -before_s,
            });
            return;
        }
        let x: Vec<f64> = self.samples.iter().map(|(at, _)| since_s(*at)).collect();
        let y: Vec<f64> = self.samples.iter().map(|(_, ahead_s)| *ahead_s).collect();
        let points = Points {
            x: &x,
            y: &y,
            variance: &vec![1.0; x.len()],
        };
        let Some(line) = Line::fit(&points, 0, self.samples_min) else {
            return;
        };
        self.samples.drain(..line.start);
        self.line = Some(ClockLine {
            at: newest.0,
            ahead_s: line.intercept,
            ahead_sd_s: line.intercept_sd,
            frequency: line.slope,
            samples: self.samples.len(),
            runs: line.runs,
            span_s: -x[line.start],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NtpDuration, NtpTimestamp};

    fn at(seconds: f64) -> CookedTime {
        let start = NtpTimestamp::from_unix(1_700_000_000, 0);
        CookedTime(start + NtpDuration::from_seconds(seconds))
    }

    /// Readings each 15 s of a clock that is ahead by 2 s and gains 40 ppm, with errors of 1 µs.
    fn register(readings: u8) -> ClockRegister {
        let mut register = ClockRegister::new(3, 64);
        for reading in 0..readings {
            let second = 15.0 * f64::from(reading);
            let error_s = [1e-6, -1e-6, -1e-6, 1e-6][usize::from(reading % 4)];
            register.accumulate(at(second), 40e-6_f64.mul_add(second, 2.0) + error_s);
        }
        register
    }

    #[test]
    fn a_line_is_found_and_foretells() {
        assert_eq!(register(2).line(), None);
        let register = register(32);
        let line = register.line().unwrap();
        assert!((line.frequency - 40e-6).abs() < 1e-8, "{line:?}");
        assert!((line.ahead_at_s(at(1000.0)) - 2.04).abs() < 3e-6);
        assert!(line.ahead_sd_s < 1e-6);
        assert_eq!((line.samples, register.len()), (32, 32));
        assert!((line.span_s - 465.0).abs() < 1e-6);
    }

    #[test]
    fn through_two_readings_there_is_a_line_where_that_is_enough() {
        let mut register = ClockRegister::new(2, 4);
        register.accumulate(at(0.0), 1.0);
        assert_eq!(register.line(), None);
        register.accumulate(at(10.0), 1.0 + 1e-4);
        let line = register.line().unwrap();
        assert!((line.frequency - 1e-5).abs() < 1e-12);
        assert!((line.ahead_at_s(at(20.0)) - (1.0 + 2e-4)).abs() < 1e-9);
        for reading in 2..10u8 {
            let second = 10.0 * f64::from(reading);
            register.accumulate(at(second), 1e-5_f64.mul_add(second, 1.0));
        }
        assert!(register.len() <= 4);
    }

    #[test]
    fn our_clocks_changes_are_not_the_others() {
        let mut register = register(16);
        let before = *register.line().unwrap();
        let change = ClockChange {
            at: at(300.0),
            frequency: 40e-6,
            offset_s: 0.5,
        };
        register.shift(&change);
        let after = *register.line().unwrap();
        assert!((after.frequency).abs() < 1e-8, "{after:?}");
        // At the moment of the change ours went ahead by half a second.
        let moved_s = before.ahead_at_s(at(300.0)) - after.ahead_at_s(at(300.5));
        assert!((moved_s - 0.5).abs() < 1e-7, "{moved_s}");
        register.accumulate(at(315.5), after.ahead_at_s(at(315.5)));
        let again = register.line().unwrap();
        assert!((again.frequency - after.frequency).abs() < 1e-8);
    }

    #[test]
    fn a_reading_of_the_past_begins_anew() {
        let mut register = register(8);
        register.accumulate(at(10.0), 0.0);
        assert_eq!(register.len(), 1);
        assert_eq!(register.newest(), Some((at(10.0), 0.0)));
        register.clear();
        assert!(register.is_empty() && register.line().is_none());
    }
}
