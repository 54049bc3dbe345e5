//! selection.log: what each source came to, at each selection.

use super::{Entry, Log, SourceName, seconds};
use crate::client::{Candidate, Exponent, SelectOptions};
use crate::wire::CookedTime;

/// A source in a selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionEntry<'a> {
    /// When the selection was made.
    pub at: CookedTime,
    /// Which.
    pub source: SourceName,
    /// How it stood, and what it came to.
    pub candidate: &'a Candidate,
}

impl Entry for SelectionEntry<'_> {
    const LOG: Log = Log {
        at: 2,
        name: "selection",
        banner: "   Date (UTC) Time     IP Address   S EOpts Reach Score Last sample  Low end   High end",
    };

    /// The interval is that of our clock's error: its ends are positive where our clock is fast, the other sign than
    /// ours. Age and interval are zero for a source that has too few samples.
    fn line(&self, now_unix_s: i64) -> String {
        let candidate = self.candidate;
        let (age_s, low_s, high_s) = match candidate.selectable {
            Some(seen) => (
                seen.newest_age_s,
                -seen.offset_s - seen.root_distance_s,
                -seen.offset_s + seen.root_distance_s,
            ),
            None => (0.0, 0.0, 0.0),
        };
        format!(
            "{} {:<15} {} -{} {:4o} {:5.2} {:10.3} {:10.3} {:10.3}",
            seconds(self.at, now_unix_s),
            self.source,
            candidate.standing.state.letter(),
            options(candidate.role),
            candidate.reach,
            candidate.standing.score,
            Exponent(age_s),
            Exponent(low_s),
            Exponent(high_s),
        )
    }
}

/// A letter for each that is set.
fn options(role: SelectOptions) -> String {
    let letter = |is_set, letter| if is_set { letter } else { '-' };
    [
        letter(role.noselect, 'N'),
        letter(role.prefer, 'P'),
        letter(role.trust, 'T'),
        letter(role.require, 'R'),
    ]
    .into_iter()
    .collect()
}
