//! The files of `log` and `logdir`: one line an event, in chrony's columns.
//!
//! A line is made by its entry, one file of this folder for each log, purely: of numbers and a moment, without file
//! or clock. [`Logs`] writes lines, with a banner above each so many, and never fails: who keeps time goes on without
//! a log.
//!
//! Scripts take these lines apart by columns, so place, width, unit and sign are chrony's (chrony.conf(5), and what
//! chronyd 4.3 writes), also where the sign is not ours. `tests/logs.rs` has one such script read both.

mod file;
mod measurements;
mod refclocks;
mod rtc;
mod selection;
mod statistics;
mod tempcomp;
mod tracking;

pub use measurements::MeasurementEntry;
pub use refclocks::{RawReading, RefclockEntry};
pub use rtc::{RtcEntry, RtcLine};
pub use selection::SelectionEntry;
pub use statistics::StatisticsEntry;
pub use tempcomp::TempcompEntry;
pub use tracking::TrackingEntry;

use std::path::Path;

use super::calendar::date_and_time;
pub use crate::client::SourceName;
use crate::client::unix_near;
pub use crate::config::LogName;
use crate::sys::clock;
use crate::wire::{CookedTime, LeapIndicator};
use file::LogFile;

/// A line of a log.
pub trait Entry {
    /// Which.
    const LOG: Log;

    /// The line without its end. Its moment is the reading nearest to `now_unix_s`, in seconds since 1970.
    fn line(&self, now_unix_s: i64) -> String;

    /// Whether the line is one that was asked for, of the two kinds in measurements.log.
    fn is_wanted(&self, _is_raw: bool) -> bool {
        true
    }
}

/// A log's file: its name, and what its banner says between the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its place in [`Logs`].
    at: usize,
    /// Without folder and `.log`.
    pub name: &'static str,
    /// Names of the columns, as wide as the lines.
    pub banner: &'static str,
}

/// The log files that are written.
#[derive(Debug)]
pub struct Logs {
    files: [Option<LogFile>; FILES],
    is_raw: bool,
}

impl Logs {
    /// Writes `which` into `directory`, which is made where it is not there, with a banner above each
    /// `banner_lines` lines; 0: none. A file is opened with its first line.
    pub fn new(directory: &Path, which: &[LogName], banner_lines: u32) -> Self {
        let is_wanted = |log: Log| {
            let has = |name: &LogName| log == log_of(*name);
            which.iter().any(has)
        };
        if !which.is_empty() {
            file::make_directory(directory);
        }
        let mut files = [const { None }; FILES];
        for log in ALL.into_iter().filter(|log| is_wanted(*log)) {
            files[log.at] = Some(LogFile::new(directory, log, banner_lines));
        }
        Self {
            files,
            is_raw: which.contains(&LogName::Rawmeasurements),
        }
    }

    /// Whether lines of a log are written at all: who would have to gather them need not.
    pub const fn has<E: Entry>(&self) -> bool {
        self.files[E::LOG.at].is_some()
    }

    /// Writes a line, if its log is wanted. A file that cannot be written is told of in the program's log, once.
    pub fn write<E: Entry>(&mut self, entry: &E) {
        let is_raw = self.is_raw;
        if let Some(file) = &mut self.files[E::LOG.at]
            && entry.is_wanted(is_raw)
        {
            file.append(&entry.line(clock::realtime().secs));
        }
    }

    /// Closes all files, to open them by their names with the next line: `chronyc cyclelogs`, after whoever rotates
    /// logs has renamed them. What failed is tried again.
    pub fn cycle(&mut self) {
        self.files.iter_mut().flatten().for_each(LogFile::close);
    }
}

const fn log_of(name: LogName) -> Log {
    match name {
        LogName::Rawmeasurements | LogName::Measurements => MeasurementEntry::LOG,
        LogName::Statistics => StatisticsEntry::LOG,
        LogName::Selection => SelectionEntry::LOG,
        LogName::Tracking => TrackingEntry::LOG,
        LogName::Rtc => RtcEntry::LOG,
        LogName::Refclocks => RefclockEntry::LOG,
        LogName::Tempcomp => TempcompEntry::LOG,
    }
}

const FILES: usize = 7;
const ALL: [Log; FILES] = [
    MeasurementEntry::LOG,
    StatisticsEntry::LOG,
    SelectionEntry::LOG,
    TrackingEntry::LOG,
    RtcEntry::LOG,
    RefclockEntry::LOG,
    TempcompEntry::LOG,
];

/// `YYYY-MM-DD HH:MM:SS`, the first two columns of each line.
fn seconds(at: CookedTime, now_unix_s: i64) -> String {
    let (secs, _) = unix_near(at.0, now_unix_s);
    let (date, time) = date_and_time(secs);
    format!("{date} {time}")
}

/// The same with six digits of the second.
fn microseconds(at: CookedTime, now_unix_s: i64) -> String {
    let (secs, nanos) = unix_near(at.0, now_unix_s);
    let (date, time) = date_and_time(secs);
    format!("{date} {time}.{:06}", nanos / 1000)
}

/// The letter of a leap status.
const fn leap_letter(leap: LeapIndicator) -> char {
    match leap {
        LeapIndicator::NoWarning => 'N',
        LeapIndicator::InsertSecond => '+',
        LeapIndicator::DeleteSecond => '-',
        LeapIndicator::NotSynchronised => '?',
    }
}

#[cfg(test)]
mod tests;
