//! refclocks.log: what a reference clock said, raw and filtered.

use super::{Entry, Log, SourceName, leap_letter, microseconds};
use crate::client::Exponent;
use crate::wire::{CookedTime, LeapIndicator, ReferenceId};

/// A sample of a reference clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefclockEntry {
    /// Of the sample.
    pub at: CookedTime,
    /// The clock's letters.
    pub reference_id: ReferenceId,
    /// What the clock says of the leap second.
    pub leap: LeapIndicator,
    /// What its driver read; `None`: the result of the filter.
    pub raw: Option<RawReading>,
    /// By how much the clock is ahead of us, with all corrections, in seconds.
    pub offset_s: f64,
    /// Assumed of the sample, in seconds.
    pub dispersion_s: f64,
}

/// What a driver read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawReading {
    /// Which of the driver's polls in the polling interval.
    pub poll: u32,
    /// A pulse, which says nothing of the second.
    pub is_pulse: bool,
    /// By how much the clock was ahead of us, uncorrected, in seconds.
    pub offset_s: f64,
}

impl Entry for RefclockEntry {
    const LOG: Log = Log {
        at: 5,
        name: "refclocks",
        banner: "   Date (UTC) Time         Refid  DP L P  Raw offset   Cooked offset      Disp.",
    };

    /// Offsets are positive where our clock is slow, as ours are.
    fn line(&self, now_unix_s: i64) -> String {
        let (poll, pulse, raw) = match self.raw {
            Some(raw) => (
                raw.poll.to_string(),
                u8::from(raw.is_pulse).to_string(),
                format!("{:13.6}", Exponent(raw.offset_s)),
            ),
            None => ("-".to_owned(), "-".to_owned(), "      -      ".to_owned()),
        };
        format!(
            "{} {:<5} {poll:>3} {} {pulse} {raw} {:13.6} {:10.3}",
            microseconds(self.at, now_unix_s),
            SourceName::Refclock(self.reference_id),
            leap_letter(self.leap),
            Exponent(self.offset_s),
            Exponent(self.dispersion_s),
        )
    }
}
