//! Served time that never jumps nor turns sharply (`smoothtime`).
//!
//! Where clients poll a server that corrects its own clock, they are better served by one that moves slowly.
//! What the clock is corrected by is taken off the served time at once and given back over a while: its
//! frequency rises by at most `wander` each second, up to at most `frequency`, and comes back to zero just
//! when nothing is left. That is a line of parabolas, the fastest there is within both limits.

use crate::client::ClockChange;
use crate::wire::{CookedTime, NtpDuration};

/// `smoothtime`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothingOptions {
    /// Most that served time may run faster or slower than the clock, as a fraction.
    pub frequency_max: f64,
    /// Most that this may change in a second, as a fraction per second.
    pub wander_max: f64,
    /// `leaponly`: leap seconds alone are smoothed.
    pub leap_only: bool,
}

/// Served time as it differs from the clock.
#[derive(Clone, Copy, Debug)]
pub struct Smoothing {
    options: SmoothingOptions,
    /// Where the stages begin; `None`: not active, served time is the clock's.
    since: Option<CookedTime>,
    /// What served time is ahead by at `since`, and how fast that grows.
    offset_s: f64,
    frequency: f64,
    stages: [Stage; 3],
}

/// A time in which the frequency changes evenly.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct Stage {
    seconds: f64,
    /// Fraction per second.
    wander: f64,
}

impl Smoothing {
    /// Not active until [`reset`](Self::reset).
    pub const fn new(options: SmoothingOptions) -> Self {
        Self {
            options,
            since: None,
            offset_s: 0.0,
            frequency: 0.0,
            stages: [Stage {
                seconds: 0.0,
                wander: 0.0,
            }; 3],
        }
    }

    /// Served time is the clock's, and smoothed from now on.
    pub fn reset(&mut self, now: CookedTime) {
        *self = Self {
            since: Some(now),
            ..Self::new(self.options)
        };
    }

    /// Whether served time is smoothed.
    pub const fn is_active(&self) -> bool {
        self.since.is_some()
    }

    /// What is to be added to the clock to get served time, in seconds, and by how much faster than the
    /// clock it runs, as a fraction.
    pub fn at(&self, moment: CookedTime) -> (f64, f64) {
        let Some(since) = self.since else {
            return (0.0, 0.0);
        };
        let mut left_s = (moment.0 - since.0).to_seconds().max(0.0);
        let (mut offset_s, mut frequency) = (self.offset_s, self.frequency);
        for stage in self.stages {
            let seconds = left_s.min(stage.seconds);
            let mean = (0.5 * stage.wander).mul_add(seconds, frequency);
            offset_s = seconds.mul_add(mean, offset_s);
            frequency = seconds.mul_add(stage.wander, frequency);
            left_s -= seconds;
        }
        if left_s > 0.0 {
            // The end: rounding of the stages must not stay in served time for ever.
            return (0.0, 0.0);
        }
        (offset_s, frequency)
    }

    /// `smoothtime`
    pub const fn options(&self) -> &SmoothingOptions {
        &self.options
    }

    /// How fast the frequency changes, as a fraction per second.
    pub fn wander_at(&self, moment: CookedTime) -> f64 {
        let mut left_s = self.age_s(moment);
        for stage in self.stages {
            if left_s < stage.seconds {
                return stage.wander;
            }
            left_s -= stage.seconds;
        }
        0.0
    }

    /// Seconds since something was added to what is smoothed.
    pub fn age_s(&self, now: CookedTime) -> f64 {
        self.since
            .map_or(0.0, |since| (now.0 - since.0).to_seconds().max(0.0))
    }

    /// Seconds from `now` until nothing is left to be smoothed.
    pub fn remaining_s(&self, now: CookedTime) -> f64 {
        let total_s: f64 = self.stages.iter().map(|stage| stage.seconds).sum();
        self.since.map_or(0.0, |since| {
            (total_s - (now.0 - since.0).to_seconds()).max(0.0)
        })
    }

    /// The clock was changed: served time goes on as it was, and the difference is given back by and by.
    ///
    /// `is_leap`: the change makes a leap second. Others are served as they are with `leaponly`.
    pub fn shift(&mut self, change: &ClockChange, is_leap: bool) {
        if self.since.is_none() {
            return;
        }
        let (mut offset_s, mut frequency) = self.at(change.at);
        if is_leap || !self.options.leap_only {
            offset_s -= change.offset_s;
            frequency = (frequency - change.frequency) / (1.0 + change.frequency);
        }
        let now = NtpDuration::from_seconds(change.offset_s);
        self.since = Some(CookedTime(change.at.0 + now));
        self.offset_s = offset_s;
        self.frequency = frequency;
        self.plan();
    }

    /// The fastest way from an offset and a frequency to none: full wander one way, a while at the largest
    /// frequency if that is reached, full wander back.
    fn plan(&mut self) {
        let (offset_s, frequency) = (self.offset_s, self.frequency);
        let wander = self.options.wander_max;
        // Where the clock would come to rest if the frequency went straight to zero.
        let rest_s = (0.5 * frequency * frequency.abs() / wander) + offset_s;
        let sign = if rest_s > 0.0 { -1.0 } else { 1.0 };
        // Mirrored so that the peak is upwards: rising stage first.
        let (from, to_go_s) = (frequency * sign, -offset_s * sign);
        let peak_squared = to_go_s.mul_add(wander, 0.5 * from * from).max(0.0);
        let peak = peak_squared.sqrt().max(from);
        let limit = self.options.frequency_max;
        let (top, level_s) = if peak > limit {
            // Beyond the limit from the start on: down to it first.
            let rise = (0.5 * (limit + from) * (limit - from).abs()) / wander;
            let fall = 0.5 * limit * limit / wander;
            (limit, ((to_go_s - rise - fall) / limit).max(0.0))
        } else {
            (peak, 0.0)
        };
        let stage = |from: f64, to: f64| Stage {
            seconds: (to - from).abs() / wander,
            wander: sign * wander.copysign(to - from),
        };
        let level = Stage {
            seconds: level_s,
            wander: 0.0,
        };
        self.stages = [stage(from, top), level, stage(top, 0.0)];
        let is_defined = self.stages.iter().all(|stage| stage.seconds.is_finite());
        if !is_defined {
            self.stages = [Stage::default(); 3];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;
    use proptest::prelude::*;

    const OPTIONS: SmoothingOptions = SmoothingOptions {
        frequency_max: 1e-3,
        wander_max: 1e-6,
        leap_only: false,
    };

    fn at(second: f64) -> CookedTime {
        let start = NtpTimestamp::from_unix(1_700_000_000, 0);
        CookedTime(start + NtpDuration::from_seconds(second))
    }

    fn change(second: f64, offset_s: f64, frequency: f64) -> ClockChange {
        ClockChange {
            at: at(second),
            frequency,
            offset_s,
        }
    }

    #[test]
    fn not_active_is_the_clock() {
        let mut smoothing = Smoothing::new(OPTIONS);
        smoothing.shift(&change(0.0, 1.0, 1e-4), false);
        assert!(!smoothing.is_active());
        assert_eq!(smoothing.at(at(10.0)), (0.0, 0.0));
    }

    #[test]
    fn a_second_takes_as_long_as_the_limits_say() {
        let mut smoothing = Smoothing::new(OPTIONS);
        smoothing.reset(at(0.0));
        smoothing.shift(&change(100.0, 1.0, 0.0), false);
        // 1 s by a frequency that rises by 1 ppm each second for 1000 s: half of it each way, no level.
        let end = at(101.0);
        assert!((smoothing.remaining_s(end) - 2000.0).abs() < 1e-3);
        let (offset_s, frequency) = smoothing.at(at(1101.0));
        assert!((offset_s + 0.5).abs() < 1e-6 && (frequency - 1e-3).abs() < 1e-9);
        assert_eq!(smoothing.at(at(2200.0)), (0.0, 0.0));

        smoothing.reset(at(3000.0));
        smoothing.shift(&change(3000.0, -3.0, 0.0), false);
        assert!((smoothing.remaining_s(at(2997.0)) - 4000.0).abs() < 1e-3);
        let (_, frequency) = smoothing.at(at(5000.0));
        assert!((frequency + 1e-3).abs() < 1e-9, "at its limit for 2000 s");
    }

    #[test]
    fn leap_only_serves_other_changes_at_once() {
        let mut smoothing = Smoothing::new(SmoothingOptions {
            leap_only: true,
            ..OPTIONS
        });
        smoothing.reset(at(0.0));
        smoothing.shift(&change(10.0, 0.5, 1e-5), false);
        assert_eq!(smoothing.at(at(10.6)), (0.0, 0.0));
        smoothing.shift(&change(20.0, -1.0, 0.0), true);
        assert!((smoothing.at(at(19.0)).0 - 1.0).abs() < 1e-9);
    }

    proptest! {
        /// From any offset and frequency within the limits: served time goes on, stays within the limits,
        /// and meets the clock at the end.
        #[test]
        fn served_time_never_jumps(
            first in -2.0..2.0,
            second in -2.0..2.0,
            turn in 0.0..3000.0,
            frequency in -1e-5..1e-5,
        ) {
            let mut smoothing = Smoothing::new(OPTIONS);
            smoothing.reset(at(0.0));
            smoothing.shift(&change(0.0, first, 0.0), false);
            let before = smoothing.at(at(turn + 1e-6));
            smoothing.shift(&change(turn, second, frequency), false);
            let start = turn + second;
            let after = smoothing.at(at(start));
            prop_assert!((after.0 + second - before.0).abs() < 1e-6);
            prop_assert!((after.1 + frequency - before.1).abs() < 1e-7);
            let total_s = smoothing.remaining_s(at(start));
            let steps = 200;
            let (mut last, mut peak) = (after, 0.0_f64);
            for step in 1..=steps {
                let now = start + total_s * f64::from(step) / f64::from(steps);
                let here = smoothing.at(at(now - 1e-6));
                let width = total_s / f64::from(steps);
                prop_assert!((here.1 - last.1).abs() <= 1e-6 * width + 1e-9);
                peak = peak.max(here.1.abs());
                last = here;
            }
            prop_assert!(peak <= OPTIONS.frequency_max.max(after.1.abs()) + 1e-9);
            prop_assert!(last.0.abs() < 1e-6 && last.1.abs() < 1e-8, "{last:?}");
        }
    }
}
