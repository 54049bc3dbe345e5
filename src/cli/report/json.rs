//! Values that several reports have, as JSON.

use serde_json::{Value, json};

use super::figures::letters;
use crate::client::SelectOptions;
use crate::control::SourceAddress;
use crate::wire::{LeapIndicator, ReferenceId};

/// The names that chronyc gives to warnings of leap seconds.
pub(super) const fn leap(leap: LeapIndicator) -> &'static str {
    match leap {
        LeapIndicator::NoWarning => "Normal",
        LeapIndicator::InsertSecond => "Insert second",
        LeapIndicator::DeleteSecond => "Delete second",
        LeapIndicator::NotSynchronised => "Not synchronised",
    }
}

/// An address; `null` of what has none.
pub(super) fn address(source: SourceAddress) -> Value {
    source.ip().map_or(Value::Null, |ip| json!(ip.to_string()))
}

/// A moment: seconds since the Unix epoch, and nanoseconds, which one double could not hold.
pub(super) fn time((seconds, nanos): (i64, u32)) -> Value {
    json!({ "unix_s": seconds, "ns": nanos })
}

/// A reference id: eight hexadecimal digits, and the letters it may stand for.
pub(super) fn reference(id: ReferenceId) -> Value {
    json!({ "hex": id.to_string(), "text": letters(id) })
}

/// The words of a source's line that are set.
pub(super) fn options(options: SelectOptions) -> Value {
    let all = [
        (options.noselect, "noselect"),
        (options.prefer, "prefer"),
        (options.trust, "trust"),
        (options.require, "require"),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, word)| Value::from(word)).collect()
}
