//! tracking.log: what was done with the clock, at each update.

use super::{Entry, Log, SourceName, leap_letter, seconds};
use crate::client::Exponent;
use crate::discipline::{Drift, Tracking};
use crate::wire::{CookedTime, LeapIndicator};

/// An update, or that there is nothing to follow any more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackingEntry {
    /// When.
    pub at: CookedTime,
    /// Who is followed.
    pub source: SourceName,
    /// Ours.
    pub stratum: u8,
    /// Ours.
    pub leap: LeapIndicator,
    /// Sources in the estimate.
    pub combined: usize,
    /// The frequency in use after the update, a fraction: positive where the clock is made to run faster.
    pub frequency: f64,
    /// What earlier updates had found and was not slewed in yet, in seconds: positive where the kernel's clock is slow.
    pub remaining_s: f64,
    /// How wrong the clock may have been since the update before, in seconds.
    pub error_max_s: f64,
    /// What the update found.
    pub tracking: Tracking,
}

impl TrackingEntry {
    /// Nothing is followed: as chrony writes it at the start and where it has lost its sources.
    pub const fn unsynchronised(
        at: CookedTime,
        frequency: f64,
        remaining_s: f64,
        skew: f64,
    ) -> Self {
        Self {
            at,
            source: SourceName::NONE,
            stratum: 0,
            leap: LeapIndicator::NotSynchronised,
            combined: 0,
            frequency,
            remaining_s,
            error_max_s: 1.5 * ROOT_UNKNOWN_S,
            tracking: Tracking {
                updated: None,
                last_offset_s: 0.0,
                offset_sd_s: 0.0,
                rms_offset_s: 0.0,
                residual_frequency: 0.0,
                skew,
                update_interval_s: 0.0,
                root_delay_s: ROOT_UNKNOWN_S,
                root_dispersion_s: ROOT_UNKNOWN_S,
            },
        }
    }
}

impl Entry for TrackingEntry {
    const LOG: Log = Log {
        at: 3,
        name: "tracking",
        banner: "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. \
                 Root delay Root disp. Max. error",
    };

    /// Frequency and offset are positive where the clock gains by itself and was fast, the other sign than ours; the
    /// remaining correction is positive where the clock is slow, as ours.
    fn line(&self, now_unix_s: i64) -> String {
        let found = &self.tracking;
        let drift = Drift::of_clock(self.frequency, found.skew);
        // Nothing found is not less than nothing.
        let fast_s = 0.0 - found.last_offset_s;
        format!(
            "{} {:<15} {:2} {:10.3} {:10.3} {:10.3} {} {:2} {:10.3} {:10.3} {:10.3} {:10.3} {:10.3}",
            seconds(self.at, now_unix_s),
            self.source,
            self.stratum,
            drift.frequency_ppm,
            drift.skew_ppm,
            Exponent(fast_s),
            leap_letter(self.leap),
            self.combined,
            Exponent(found.offset_sd_s),
            Exponent(self.remaining_s),
            Exponent(found.root_delay_s),
            Exponent(found.root_dispersion_s),
            Exponent(self.error_max_s),
        )
    }
}

/// What a server says that is not synchronised.
const ROOT_UNKNOWN_S: f64 = 1.0;
