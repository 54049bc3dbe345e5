//! tempcomp.log: temperatures, and what was made of them.

use super::{Entry, Log, seconds};
use crate::client::Exponent;
use crate::wire::CookedTime;

/// A reading of the temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempcompEntry {
    /// When.
    pub at: CookedTime,
    /// In the sensor's own unit.
    pub temperature: f64,
    /// By how much the clock is made to run faster for it, in parts per million.
    pub compensation_ppm: f64,
}

impl Entry for TempcompEntry {
    const LOG: Log = Log {
        at: 6,
        name: "tempcomp",
        banner: "   Date (UTC) Time        Temp.       Comp.",
    };

    fn line(&self, now_unix_s: i64) -> String {
        format!(
            "{} {:11.4} {:11.4}",
            seconds(self.at, now_unix_s),
            Exponent(self.temperature),
            Exponent(self.compensation_ppm),
        )
    }
}
