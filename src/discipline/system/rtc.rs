//! The real-time clock beside the one that is kept.

use super::System;
use super::action::{Action, Moment, Record, RtcRecord};
use crate::discipline::{KernelClock, RtcCoefficients, RtcReport};
use crate::wire::{CookedTime, NtpTimestamp, RawTime};

impl<K: KernelClock> System<K> {
    /// The real-time clock began a second, `rtc_unix_s` since 1970, at this moment.
    pub fn rtc_measured(&mut self, rtc_unix_s: i64, at: RawTime) {
        let at = self.clock.cook(at);
        let before = self.rtc.report().map(|report| report.at);
        self.rtc.measured(rtc_unix_s, at);
        let since_s = before.map_or(0.0, |before| (at.0 - before.0).to_seconds());
        let report = self.rtc.report();
        self.actions.extend(report.map(|report| {
            Action::Record(Record::Rtc(RtcRecord {
                report,
                since_s: since_s.max(0.0),
            }))
        }));
    }

    /// The real-time clock was set: its difference from ours is to be measured anew.
    pub fn rtc_was_set(&mut self) {
        self.rtc.set();
    }

    /// By how much the real-time clock is ahead now, in seconds; `None` while that, or the time, is not known.
    pub fn rtc_ahead_s(&self, now: Moment) -> Option<f64> {
        self.followed?;
        self.rtc.ahead_s(self.clock.cook(now.raw))
    }

    /// What the measurements of the real-time clock have shown; `None` before the first.
    pub fn rtc(&self) -> Option<RtcReport> {
        self.rtc.report()
    }

    /// Seconds from one measurement of the real-time clock to the next.
    pub const fn rtc_interval_s(&self) -> u32 {
        self.rtc.interval_s()
    }

    /// What the `rtcfile` is to keep; `None` while the time is not known, or nothing was found out.
    pub fn rtc_coefficients(&self) -> Option<RtcCoefficients> {
        self.followed?;
        let start_s = self.start_unix_s;
        let start = NtpTimestamp::from_unix(start_s, 0);
        self.rtc.coefficients(|at: CookedTime| {
            // Within 68 years of the start, in whichever era that is.
            #[expect(clippy::cast_precision_loss, reason = "a time since 1970")]
            let start_s = start_s as f64;
            start_s + (at.0 - start).to_seconds()
        })
    }
}
