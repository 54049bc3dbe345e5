//! The real-time clock against the system's: what it gains, what the `rtcfile` keeps of that, and what time it is at a
//! start (`-s`).

use crate::client::{ClockChange, ClockLine, ClockRegister};
use crate::wire::{CookedTime, NtpTimestamp};

/// What is known of a real-time clock: the text of the `rtcfile`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcCoefficients {
    /// The moment of [`fast_s`](Self::fast_s), in seconds since 1970.
    pub reference_s: i64,
    /// By how much the real-time clock was ahead then, in seconds.
    pub fast_s: f64,
    /// What it gains, in parts per million.
    pub gain_ppm: f64,
}

impl RtcCoefficients {
    /// Reads a line of chrony's: a flag that is 1 where the rest holds, the moment, seconds, parts per million. `None`
    /// where it is none, or does not hold.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        if words.next()? != "1" {
            return None;
        }
        let mut number = || -> Option<f64> {
            let number: f64 = words.next()?.parse().ok()?;
            number.is_finite().then_some(number)
        };
        let (reference_s, fast_s, gain_ppm) = (number()?, number()?, number()?);
        let is_sane = (0.0..SECONDS_MAX).contains(&reference_s)
            && fast_s.abs() < SECONDS_MAX
            && gain_ppm.abs() < GAIN_MAX_PPM;
        #[expect(clippy::cast_possible_truncation, reason = "within the limits above")]
        is_sane.then_some(Self {
            reference_s: reference_s as i64,
            fast_s,
            gain_ppm,
        })
    }

    /// The line that [`parse`](Self::parse) reads.
    pub fn format(&self) -> String {
        let Self {
            reference_s,
            fast_s,
            gain_ppm,
        } = self;
        format!("1 {reference_s} {fast_s:.6} {gain_ppm:.3}\n")
    }

    /// The time, in seconds since 1970, when the real-time clock shows `rtc_s`.
    pub fn time_s(&self, rtc_s: f64) -> f64 {
        let elapsed_s = rtc_s - seconds(self.reference_s) - self.fast_s;
        rtc_s - (elapsed_s * self.gain_ppm).mul_add(1e-6, self.fast_s)
    }
}

/// Where the time at a start comes from (`-s`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartTime {
    /// The real-time clock, in seconds since 1970.
    Rtc(f64),
    /// When the drift file was written last: both clocks are behind it, so neither has run since.
    DriftFile(f64),
}

impl StartTime {
    /// The better of what there is: what the real-time clock shows, corrected, and when the drift file was written, all in
    /// seconds since 1970. `None`: the system's clock is the best there is.
    pub fn choose(rtc_s: Option<f64>, drift_file_s: Option<f64>, now_s: f64) -> Option<Self> {
        match (rtc_s, drift_file_s) {
            (Some(rtc_s), Some(written_s)) if rtc_s < written_s => {
                (now_s < written_s).then_some(Self::DriftFile(written_s))
            }
            (Some(rtc_s), _) => Some(Self::Rtc(rtc_s)),
            (None, Some(written_s)) if now_s < written_s => Some(Self::DriftFile(written_s)),
            (None, _) => None,
        }
    }

    /// Seconds since 1970.
    pub const fn seconds(self) -> f64 {
        match self {
            Self::Rtc(seconds) | Self::DriftFile(seconds) => seconds,
        }
    }
}

/// What the measurements of a real-time clock have shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcReport {
    /// Of the newest measurement.
    pub at: CookedTime,
    /// By how much the clock was ahead then, as measured, in seconds.
    pub measured_s: f64,
    /// The line through the measurements; `None`: too few.
    pub line: Option<ClockLine>,
    /// Measurements in the register.
    pub samples: usize,
    /// Seconds until the next measurement.
    pub interval_s: u32,
}

/// The register of a real-time clock, and how often it is measured.
#[derive(Clone, Debug)]
pub struct RtcTracking {
    register: ClockRegister,
    interval_s: u32,
    since_change: u32,
    /// The gain before the clock was set last, as a fraction.
    gain: Option<f64>,
}

impl Default for RtcTracking {
    fn default() -> Self {
        Self {
            register: ClockRegister::new(SAMPLES_MIN, SAMPLES_MAX),
            interval_s: INTERVAL_MIN_S,
            since_change: 0,
            gain: None,
        }
    }
}

impl RtcTracking {
    /// The clock began a second, `rtc_unix_s` since 1970, at this moment. By how much it was ahead, in seconds.
    pub fn measured(&mut self, rtc_unix_s: i64, at: CookedTime) -> f64 {
        let ahead_s = (NtpTimestamp::from_unix(rtc_unix_s, 0) - at.0).to_seconds();
        let before = self.register.len();
        self.register.accumulate(at, ahead_s);
        // An old measurement may go by chance; with a change of the clock most do.
        let has_lost = self.register.len() * 2 < before;
        if has_lost {
            self.interval_s = (self.interval_s / 2).max(INTERVAL_MIN_S);
            self.since_change = 0;
        } else {
            self.since_change += 1;
            if self.since_change >= SAMPLES_PER_INTERVAL {
                self.interval_s = (self.interval_s * 2).min(INTERVAL_MAX_S);
                self.since_change = 0;
            }
        }
        if let Some(line) = self.register.line() {
            self.gain = Some(line.frequency);
        }
        ahead_s
    }

    /// The system's clock was changed.
    pub fn shift(&mut self, change: &ClockChange) {
        self.register.shift(change);
        self.gain = self.gain.map(|gain| change.restate_frequency(gain));
    }

    /// One of the two clocks was set: what was measured of their difference no longer holds, what one gains does.
    pub fn set(&mut self) {
        self.register.clear();
        self.interval_s = INTERVAL_MIN_S;
        self.since_change = 0;
    }

    /// By how much the clock is ahead at a moment, in seconds; `None` before there is a line.
    pub fn ahead_s(&self, at: CookedTime) -> Option<f64> {
        Some(self.register.line()?.ahead_at_s(at))
    }

    /// What the `rtcfile` is to keep, given the newest measurement's moment in seconds since 1970; `None`: nothing was
    /// found out.
    pub fn coefficients(&self, unix_s: impl Fn(CookedTime) -> f64) -> Option<RtcCoefficients> {
        let (at, measured_s) = self.register.newest()?;
        let gain = self.gain?;
        let at_s = unix_s(at);
        let whole_s = at_s.floor();
        let fast_s = self.ahead_s(at).unwrap_or(measured_s);
        #[expect(clippy::cast_possible_truncation, reason = "a time since 1970")]
        Some(RtcCoefficients {
            reference_s: whole_s as i64,
            fast_s: (at_s - whole_s).mul_add(-gain, fast_s),
            gain_ppm: gain * 1e6,
        })
    }

    /// What has been found; `None` before the first measurement.
    pub fn report(&self) -> Option<RtcReport> {
        let (at, measured_s) = self.register.newest()?;
        Some(RtcReport {
            at,
            measured_s,
            line: self.register.line().copied(),
            samples: self.register.len(),
            interval_s: self.interval_s,
        })
    }

    /// Seconds from one measurement to the next: few at the beginning, more once the line holds.
    pub const fn interval_s(&self) -> u32 {
        self.interval_s
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time since 1970")]
const fn seconds(unix_s: i64) -> f64 {
    unix_s as f64
}

const SAMPLES_MIN: usize = 3;
const SAMPLES_MAX: usize = 64;
const INTERVAL_MIN_S: u32 = 15;
const INTERVAL_MAX_S: u32 = 480;
/// Measurements at one interval that lie on a line, before it is doubled.
const SAMPLES_PER_INTERVAL: u32 = 4;
/// No clock is as far off: some 30,000 years.
const SECONDS_MAX: f64 = 1e12;
const GAIN_MAX_PPM: f64 = 1e5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpDuration;

    const START_S: i64 = 1_700_000_000;

    fn at(seconds: f64) -> CookedTime {
        CookedTime(NtpTimestamp::from_unix(START_S, 0) + NtpDuration::from_seconds(seconds))
    }

    fn unix_s(at: CookedTime) -> f64 {
        1.7e9 + (at.0 - NtpTimestamp::from_unix(START_S, 0)).to_seconds()
    }

    /// Measures a clock that is ahead by 100.25 s and gains 40 ppm, `count` times; at each whole second of its own.
    fn tracking(count: u32) -> (RtcTracking, f64) {
        let (mut tracking, mut rtc_s) = (RtcTracking::default(), 200.0);
        let mut true_s = 0.0;
        for turn in 0..count {
            true_s = (rtc_s - 100.25) / (1.0 + 40e-6);
            // How late an interrupt is taken.
            let late_s = [30e-6, 0.0, 10e-6, 20e-6, 0.0][turn as usize % 5];
            #[expect(clippy::cast_possible_truncation, reason = "small")]
            let ahead_s = tracking.measured(START_S + rtc_s as i64, at(true_s + late_s));
            assert!((ahead_s - (rtc_s - true_s - late_s)).abs() < 1e-8);
            rtc_s += f64::from(tracking.interval_s());
        }
        (tracking, true_s)
    }

    #[test]
    fn what_a_clock_gains_is_found_and_kept() {
        let (tracking, true_s) = tracking(20);
        let report = tracking.report().unwrap();
        let line = report.line.unwrap();
        assert!((line.frequency - 40e-6).abs() < 2e-8, "{line:?}");
        assert_eq!(report.interval_s, 480);
        assert!((10..=20).contains(&report.samples));
        let ahead_s = tracking.ahead_s(at(true_s + 3600.0)).unwrap();
        assert!((ahead_s - (100.25 + 40e-6 * (true_s + 3600.0))).abs() < 2e-4);
        let kept = tracking.coefficients(unix_s).unwrap();
        assert!((kept.gain_ppm - 40.0).abs() < 0.02);
        // A day later the machine starts, and has only the clock and what was kept.
        let kept = RtcCoefficients::parse(&kept.format()).unwrap();
        let later_s = true_s + 86_400.0;
        let rtc_s = 1.7e9 + 100.25 + later_s * (1.0 + 40e-6);
        assert!((kept.time_s(rtc_s) - 1.7e9 - later_s).abs() < 2e-3);
    }

    #[test]
    fn a_change_of_our_clock_is_not_the_others() {
        let (mut tracking, true_s) = tracking(12);
        let before_s = tracking.ahead_s(at(true_s)).unwrap();
        tracking.shift(&ClockChange {
            at: at(true_s),
            frequency: 1e-5,
            offset_s: -0.5,
        });
        let after_s = tracking.ahead_s(at(true_s - 0.5)).unwrap();
        assert!((after_s - before_s - 0.5).abs() < 1e-6);
        let gain = tracking.report().unwrap().line.unwrap().frequency;
        assert!((gain - 30e-6).abs() < 2e-7, "{gain}");
    }

    #[test]
    fn after_it_was_set_the_gain_is_still_known() {
        let (mut tracking, true_s) = tracking(12);
        tracking.set();
        assert_eq!((tracking.report(), tracking.interval_s()), (None, 15));
        assert_eq!(tracking.coefficients(unix_s), None);
        let second = true_s.ceil();
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        tracking.measured(START_S + second as i64, at(second + 0.25));
        let kept = tracking.coefficients(unix_s).unwrap();
        assert!((kept.fast_s + 0.25).abs() < 1e-4, "{kept:?}");
        assert!((kept.gain_ppm - 40.0).abs() < 0.2);
    }

    #[test]
    fn a_clock_that_jumps_is_measured_more_often() {
        let (mut tracking, true_s) = tracking(20);
        for turn in 1..=8u8 {
            let second = true_s.ceil() + 480.0 * f64::from(turn);
            #[expect(clippy::cast_possible_truncation, reason = "small")]
            tracking.measured(START_S + second as i64 + 7, at(second));
        }
        assert!(tracking.interval_s() < 480, "{}", tracking.interval_s());
        let ahead_s = tracking.report().unwrap().line.unwrap().ahead_s;
        assert!((ahead_s - 7.0).abs() < 20.0, "{ahead_s}");
    }

    #[test]
    fn the_file_is_chronys() {
        let kept = RtcCoefficients {
            reference_s: 1_700_000_000,
            fast_s: -0.037_434,
            gain_ppm: -37.948,
        };
        assert_eq!(kept.format(), "1 1700000000 -0.037434 -37.948\n");
        assert_eq!(RtcCoefficients::parse(&kept.format()), Some(kept));
        assert_eq!(
            RtcCoefficients::parse("  1 1700000000.0 -0.037434 -37.948 "),
            Some(kept)
        );
        for text in [
            "",
            "0 1700000000 0.0 1.0",
            "1 1700000000 0.0",
            "1 x 0.0 1.0",
            "1 nan 0.0 1.0",
            "1 -5 0.0 1.0",
            "1 1e300 0.0 1.0",
            "1 1700000000 inf 1.0",
            "1 1700000000 0.0 1e7",
        ] {
            assert_eq!(RtcCoefficients::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_time_at_a_start() {
        let choose = |rtc, drift, now| StartTime::choose(rtc, drift, now);
        assert_eq!(choose(None, None, 5.0), None);
        assert_eq!(choose(Some(9.0), None, 5.0), Some(StartTime::Rtc(9.0)));
        assert_eq!(choose(Some(3.0), Some(2.0), 5.0), Some(StartTime::Rtc(3.0)));
        // A clock without a battery shows some year long ago.
        let written = Some(StartTime::DriftFile(7.0));
        assert_eq!(choose(Some(3.0), Some(7.0), 5.0), written);
        assert_eq!(choose(None, Some(7.0), 5.0), written);
        assert_eq!(choose(Some(3.0), Some(4.0), 5.0), None);
        assert_eq!(choose(None, Some(4.0), 5.0), None);
        assert_eq!(StartTime::Rtc(9.0).seconds().to_bits(), 9.0f64.to_bits());
    }
}
