//! The days that had a leap second: from a time zone's file (RFC 9636) or from `leap-seconds.list`.

use crate::wire::LeapIndicator;

/// Differences between atomic time and UTC, and since when they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeapTable {
    /// Midnights in Unix seconds, rising, and international atomic time less UTC from then on.
    entries: Vec<(i64, i32)>,
    /// Unix seconds after which the table knows nothing.
    expires_s: Option<i64>,
}

/// What a table says of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeapDay {
    /// The leap second at its end.
    pub leap: LeapIndicator,
    /// International atomic time less UTC on that day, in seconds.
    pub tai_offset_s: i32,
}

/// The bytes are no table of leap seconds, or hold none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no leap seconds found")]
pub struct BadLeapTable;

impl LeapTable {
    /// What is known of the day of a moment. `None`: before the first entry, or the table has expired.
    pub fn day(&self, unix_s: i64) -> Option<LeapDay> {
        if self.expires_s.is_some_and(|end_s| unix_s >= end_s) {
            return None;
        }
        let next = self.entries.partition_point(|(since, _)| *since <= unix_s);
        let (_, tai_offset_s) = self.entries[..next].last()?;
        let midnight_s = unix_s.div_euclid(DAY_S) * DAY_S;
        let coming = self.entries.get(next);
        let coming = coming.filter(|(since, _)| since - midnight_s == DAY_S);
        let leap = match coming.map(|(_, offset_s)| offset_s - tai_offset_s) {
            Some(1) => LeapIndicator::InsertSecond,
            Some(-1) => LeapIndicator::DeleteSecond,
            Some(_) | None => LeapIndicator::NoWarning,
        };
        Some(LeapDay {
            leap,
            tai_offset_s: *tai_offset_s,
        })
    }

    /// When the table ends to know anything, in Unix seconds, if it says so.
    pub const fn expires_s(&self) -> Option<i64> {
        self.expires_s
    }

    /// Reads a time zone's file: of the zones below `right/`, the one for UTC.
    ///
    /// # Errors
    /// [`BadLeapTable`] where it is no such file or has no leap seconds (those outside of `right/`).
    pub fn parse_tzif(bytes: &[u8]) -> Result<Self, BadLeapTable> {
        let first = Block::parse(bytes, 4)?;
        let (block, size) = if first.version == 0 {
            (first, 4)
        } else {
            (Block::parse(first.rest, 8)?, 8)
        };
        let mut table = Self {
            entries: vec![(FIRST_S, FIRST_TAI_OFFSET_S)],
            expires_s: None,
        };
        let mut before = 0;
        for record in block.leaps.chunks_exact(size + 4) {
            let (moment, correction) = record.split_at(size);
            let moment = signed(moment);
            let correction = i32::try_from(signed(correction)).map_err(|_| BadLeapTable)?;
            // Their count of seconds holds the leap seconds before; a deleted one is a second early.
            let moment_s = moment
                .checked_sub(i64::from(before))
                .and_then(|moment_s| moment_s.checked_add(DAY_S / 2))
                .ok_or(BadLeapTable)?;
            let midnight_s = moment_s.div_euclid(DAY_S).saturating_mul(DAY_S);
            if correction == before {
                table.expires_s = Some(moment_s - DAY_S / 2);
            } else {
                let tai_offset_s = correction.checked_add(FIRST_TAI_OFFSET_S);
                table.push(midnight_s, tai_offset_s.ok_or(BadLeapTable)?)?;
            }
            before = correction;
        }
        if table.entries.len() == 1 {
            return Err(BadLeapTable);
        }
        Ok(table)
    }

    /// Reads the text of `leap-seconds.list`, as IERS and the time zone database give it out.
    ///
    /// # Errors
    /// [`BadLeapTable`] where a line is neither a comment nor two numbers, or there is none.
    pub fn parse_list(text: &str) -> Result<Self, BadLeapTable> {
        let mut table = Self {
            entries: Vec::new(),
            expires_s: None,
        };
        for line in text.lines() {
            if let Some(expiry) = line.strip_prefix("#@") {
                let expiry: u32 = expiry.trim().parse().map_err(|_| BadLeapTable)?;
                table.expires_s = Some(i64::from(expiry) - NTP_EPOCH_S);
                continue;
            }
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let Some(since) = words.next() else {
                continue;
            };
            let since: u32 = since.parse().map_err(|_| BadLeapTable)?;
            let offset = words.next().and_then(|word| word.parse().ok());
            table.push(i64::from(since) - NTP_EPOCH_S, offset.ok_or(BadLeapTable)?)?;
        }
        if table.entries.is_empty() {
            return Err(BadLeapTable);
        }
        Ok(table)
    }

    /// Entries rise and lie at midnights.
    fn push(&mut self, since: i64, tai_offset_s: i32) -> Result<(), BadLeapTable> {
        let rises = self.entries.last().is_none_or(|last| last.0 < since);
        if !rises || since.rem_euclid(DAY_S) != 0 {
            return Err(BadLeapTable);
        }
        self.entries.push((since, tai_offset_s));
        Ok(())
    }
}

/// One of the one or two blocks of a time zone's file: header, transitions, leap seconds, indicators.
struct Block<'a> {
    version: u8,
    leaps: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Block<'a> {
    /// `size` is the width of a moment: 4 in the first block, 8 in the second.
    fn parse(bytes: &'a [u8], size: usize) -> Result<Self, BadLeapTable> {
        let (header, data) = bytes.split_first_chunk::<44>().ok_or(BadLeapTable)?;
        if !header.starts_with(b"TZif") {
            return Err(BadLeapTable);
        }
        let count = |index: usize| {
            let at = 20 + 4 * index;
            let value = header[at..at + 4]
                .iter()
                .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
            usize::try_from(value).map_err(|_| BadLeapTable)
        };
        let (utc_flags, standard_flags, leaps) = (count(0)?, count(1)?, count(2)?);
        let (moments, types, names) = (count(3)?, count(4)?, count(5)?);
        let skipped = [(moments, size + 1), (types, 6), (names, 1)];
        let skipped = sum_of(&skipped)?;
        let length = sum_of(&[(leaps, size + 4)])?;
        let end = sum_of(&[
            (skipped, 1),
            (length, 1),
            (utc_flags, 1),
            (standard_flags, 1),
        ])?;
        Ok(Self {
            version: header[4],
            leaps: data.get(skipped..skipped + length).ok_or(BadLeapTable)?,
            rest: data.get(end..).ok_or(BadLeapTable)?,
        })
    }
}

fn sum_of(parts: &[(usize, usize)]) -> Result<usize, BadLeapTable> {
    let products = parts.iter().map(|(count, size)| count.checked_mul(*size));
    products
        .reduce(|sum, part| sum?.checked_add(part?))
        .flatten()
        .ok_or(BadLeapTable)
}

/// A number of up to 8 bytes in network order.
fn signed(bytes: &[u8]) -> i64 {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start: u64 = if is_negative { u64::MAX } else { 0 };
    let bits = bytes
        .iter()
        .fold(start, |bits, byte| bits << 8 | u64::from(*byte));
    bits.cast_signed()
}

/// Whether a moment lies on the last day of June or of December, where leap seconds are made first of all.
pub(super) fn may_have_leap(unix_s: i64) -> bool {
    let days = unix_s.div_euclid(DAY_S).saturating_add(1);
    // Days from 0000-03-01 of the Gregorian calendar, split into cycles of 400 years.
    let day_of_cycle = days.saturating_add(719_468).rem_euclid(146_097);
    let year =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year + year / 4 - year / 100);
    // Years begin in March here: the first of July, and of January.
    day_of_year == 122 || day_of_year == 306
}

pub(super) const DAY_S: i64 = 86_400;
/// 1970-01-01 in seconds of the NTP era 0.
const NTP_EPOCH_S: i64 = 2_208_988_800;
/// 1972-01-01: UTC as it is now begins, 10 s behind atomic time.
const FIRST_S: i64 = 63_072_000;
const FIRST_TAI_OFFSET_S: i32 = 10;

#[cfg(test)]
mod tests;
