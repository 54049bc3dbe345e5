//! statistics.log: what a source's register shows, after each sample.

use super::{Entry, Log, SourceName, seconds};
use crate::client::{Exponent, Statistics};
use crate::wire::CookedTime;

/// A source after a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticsEntry<'a> {
    /// The newest sample's.
    pub at: CookedTime,
    /// Whose.
    pub source: SourceName,
    /// Of its register.
    pub statistics: &'a Statistics,
}

impl Entry for StatisticsEntry<'_> {
    const LOG: Log = Log {
        at: 1,
        name: "statistics",
        banner: "   Date (UTC) Time     IP Address    Std dev'n Est offset  Offset sd  Diff freq   Est skew  Stress  \
                 Ns  Bs  Nr  Asym",
    };

    /// Offset and frequency are positive where our clock is fast and gains: the other sign than ours. Zero has none.
    fn line(&self, now_unix_s: i64) -> String {
        let shown = self.statistics;
        format!(
            "{} {:<15} {:10.3} {:10.3} {:10.3} {:10.3} {:10.3} {:7.1} {:3} {:3} {:3} {:5.2}",
            seconds(self.at, now_unix_s),
            self.source,
            Exponent(shown.standard_deviation_s),
            Exponent(0.0 - shown.offset_s),
            Exponent(shown.offset_sd_s),
            Exponent(0.0 - shown.frequency),
            Exponent(shown.skew),
            Exponent(shown.stress),
            shown.samples,
            shown.first_used,
            shown.runs,
            shown.asymmetry,
        )
    }
}
