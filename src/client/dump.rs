//! The text of a dump file (`dumpdir` in chrony.conf(5)): a source's samples, kept over a restart.
//!
//! ```text
//! SRC0
//! ntp.example.net                                the name in the configuration; "." of a reference clock
//! 0 377 8 2 0                                    authenticated, reach (octal), polls in it, stratum, leap
//! 2 0                                            samples, run of one-sided jitter
//! 1795416516.898079597 2.956972e-06 …            time, then seven columns in seconds:
//! 1795416517.151002018 2.901130e-06 …            offset now, offset as measured, peer delay, peer dispersion,
//!                                                root delay, root dispersion
//! ```
//!
//! The offsets' sign is the other one: positive where the local clock is fast. chrony reads what is written here,
//! and what chrony 4 has written is read.

use core::fmt::Write as _;

use super::{Exponent, SAMPLES_MAX, Sample};
use crate::wire::{CookedTime, Era, LeapIndicator, NtpTimestamp};

/// What is kept of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// The source's name in the configuration; `None`: a reference clock.
    pub name: Option<String>,
    /// Whether the samples are authenticated.
    pub is_authenticated: bool,
    /// The reach register.
    pub reach: u8,
    /// Polls that the register has seen, up to 8.
    pub reach_polls: u8,
    /// The source's.
    pub stratum: u8,
    /// What the source says of the leap second.
    pub leap: LeapIndicator,
    /// In how many samples in a row the delay's jitter was of one side; negative: of the other.
    pub asymmetry_run: i32,
    /// The oldest first, at least one and at most [`SAMPLES_MAX`].
    pub samples: Vec<Sample>,
}

/// The text is no dump, or its samples cannot be those of one source until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDump;

impl Dump {
    /// The file's text. The times are within 68 years of `now_unix_s`, the seconds since 1970.
    ///
    /// What a sample's offset was when it was measured, before the clock was corrected, is not known any more: the
    /// column has what the offset is now.
    pub fn format(&self, now_unix_s: i64) -> String {
        let name = self.name.as_deref().unwrap_or(NO_NAME);
        let mut text = format!(
            "{MARK}\n{name}\n{} {:o} {} {} {}\n{} {}\n",
            u8::from(self.is_authenticated),
            self.reach,
            self.reach_polls,
            self.stratum,
            self.leap as u8,
            self.samples.len(),
            self.asymmetry_run,
        );
        for sample in &self.samples {
            let (secs, nanos) = unix_near(sample.at.0, now_unix_s);
            let fast = Exponent(-sample.offset_s);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{secs}.{nanos:09} {fast} {fast} {} {} {} {}",
                Exponent(sample.peer_delay_s),
                Exponent(sample.peer_dispersion_s),
                Exponent(sample.root_delay_s),
                Exponent(sample.root_dispersion_s),
            );
        }
        text
    }

    /// Reads a file's text. What follows a line's last column, or the last sample, is not looked at.
    ///
    /// # Errors
    /// [`BadDump`] where a line or a column is missing, a number is none, there is no sample or there are too many,
    /// or they are not in order, or one is later than `now_unix_s`, in seconds since 1970.
    pub fn parse(text: &str, now_unix_s: i64) -> Result<Self, BadDump> {
        let mut lines = text.lines();
        let mut line = || lines.next().ok_or(BadDump);
        if line()? != MARK {
            return Err(BadDump);
        }
        let name = line()?;
        let mut words = line()?.split_ascii_whitespace();
        let is_authenticated = number::<u8>(words.next())? != 0;
        let reach = u8::from_str_radix(words.next().ok_or(BadDump)?, 8).map_err(|_| BadDump)?;
        let reach_polls = number::<u8>(words.next()).and_then(|polls| at_most(polls, 8))?;
        let stratum = number::<u8>(words.next()).and_then(|stratum| at_most(stratum, 15))?;
        let leap = number::<u8>(words.next()).and_then(|leap| at_most(leap, 2))?;
        let leap = LeapIndicator::from_bits(leap);
        let mut words = line()?.split_ascii_whitespace();
        let count = number::<usize>(words.next())?;
        let asymmetry_run = number(words.next())?;
        if !(1..=SAMPLES_MAX).contains(&count) {
            return Err(BadDump);
        }
        let mut samples: Vec<Sample> = Vec::with_capacity(count);
        for _ in 0..count {
            let sample = parse_sample(line()?, now_unix_s, (stratum, leap))?;
            let last = samples.last();
            if last.is_some_and(|last| !last.at.0.is_before(sample.at.0)) {
                return Err(BadDump);
            }
            samples.push(sample);
        }
        Ok(Self {
            name: (name != NO_NAME).then(|| name.to_owned()),
            is_authenticated,
            reach,
            reach_polls,
            stratum,
            leap,
            asymmetry_run,
            samples,
        })
    }
}

fn parse_sample(
    line: &str,
    now_unix_s: i64,
    (stratum, leap): (u8, LeapIndicator),
) -> Result<Sample, BadDump> {
    let mut words = line.split_ascii_whitespace();
    let (secs, nanos) = parse_time(words.next().ok_or(BadDump)?)?;
    // Beyond, the format of timestamps would take it for another time.
    if secs > now_unix_s || now_unix_s.saturating_sub(secs) > AGE_MAX_S {
        return Err(BadDump);
    }
    let mut seconds = || number::<f64>(words.next()).and_then(|s| sane(s, SECONDS_MAX));
    let (fast_s, _as_measured_s) = (seconds()?, seconds()?);
    let sample = Sample {
        at: CookedTime(NtpTimestamp::from_unix(secs, nanos)),
        offset_s: -fast_s,
        peer_delay_s: seconds()?,
        peer_dispersion_s: seconds()?,
        root_delay_s: seconds()?,
        root_dispersion_s: seconds()?,
        stratum,
        leap,
    };
    let is_error = sample.peer_dispersion_s >= 0.0 && sample.root_dispersion_s >= 0.0;
    is_error.then_some(sample).ok_or(BadDump)
}

/// `1795416516.898079597`, with any number of digits behind the point, or none.
fn parse_time(word: &str) -> Result<(i64, u32), BadDump> {
    let (secs, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(secs) || !is_digits(fraction) {
        return Err(BadDump);
    }
    let nanos = format!("{fraction:0<9.9}");
    Ok((number(Some(secs))?, number(Some(&nanos))?))
}

fn number<T: core::str::FromStr>(word: Option<&str>) -> Result<T, BadDump> {
    word.and_then(|word| word.parse().ok()).ok_or(BadDump)
}

fn at_most(number: u8, most: u8) -> Result<u8, BadDump> {
    (number <= most).then_some(number).ok_or(BadDump)
}

fn sane(seconds: f64, most: f64) -> Result<f64, BadDump> {
    // Of what is not a number no comparison holds.
    (seconds.abs() <= most).then_some(seconds).ok_or(BadDump)
}

/// A timestamp as seconds and nanoseconds since 1970, the reading nearest to a moment (within 68 years).
pub fn unix_near(at: NtpTimestamp, near_unix_s: i64) -> (i64, u32) {
    let near = NtpTimestamp::from_unix(near_unix_s, 0);
    let is_earlier = at.is_before(near);
    let era = Era::of_unix(near_unix_s);
    let (secs, nanos) = at.to_unix(era);
    let wrapped = match (is_earlier, secs < near_unix_s) {
        (true, false) => -ERA_S,
        (false, true) => ERA_S,
        _ => 0,
    };
    (secs + wrapped, nanos)
}

const MARK: &str = "SRC0";
const NO_NAME: &str = ".";
const ERA_S: i64 = 1 << 32;
/// Less than half an era: what is older could be taken for the future.
const AGE_MAX_S: i64 = 1 << 30;
/// No offset or delay in the timestamps' format is larger.
const SECONDS_MAX: f64 = 2_147_483_648.0;

#[cfg(test)]
mod tests;
