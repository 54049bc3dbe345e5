//! rtc.log: the real-time clock against the system's.

use super::{Entry, Log, seconds};
use crate::wire::CookedTime;

/// A measurement of the real-time clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcEntry {
    /// When.
    pub at: CookedTime,
    /// By how much the real-time clock was ahead of the system's, in seconds.
    pub fast_s: f64,
    /// The line through the measurements; `None`: too few.
    pub line: Option<RtcLine>,
    /// Measurements in the register.
    pub samples: u32,
    /// Runs of residuals of one sign.
    pub runs: u32,
    /// Seconds since the measurement before.
    pub interval_s: u32,
}

/// What the measurements so far say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcLine {
    /// By how much the real-time clock is ahead at this moment, in seconds.
    pub fast_s: f64,
    /// What it gains, in parts per million.
    pub gain_ppm: f64,
}

impl Entry for RtcEntry {
    const LOG: Log = Log {
        at: 4,
        name: "rtc",
        banner: "   Date (UTC) Time   RTC fast (s) Val   Est fast (s)   Slope (ppm)  Ns  Nr Meas",
    };

    /// Positive where the real-time clock is fast and gains.
    fn line(&self, now_unix_s: i64) -> String {
        let line = self.line.unwrap_or(RtcLine {
            fast_s: 0.0,
            gain_ppm: 0.0,
        });
        format!(
            "{} {:14.6} {}  {:14.6}  {:12.3}  {:2}  {:2} {:4}",
            seconds(self.at, now_unix_s),
            self.fast_s,
            u8::from(self.line.is_some()),
            line.fast_s,
            line.gain_ppm,
            self.samples,
            self.runs,
            self.interval_s,
        )
    }
}
