//! Log lines: to stderr or a file, each with the time in UTC, as chronyd writes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::calendar::date_and_time;
use crate::sys::clock;

/// Where log lines go and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `-l`; `None` is stderr.
    pub file: Option<PathBuf>,
    /// `-L`: -1 debug, 0 informational, 1 warnings, 2 errors, 3 fatal errors only (which end the program
    /// and are told by the command).
    pub level: i8,
}

struct Sink {
    file: Option<Mutex<File>>,
}

/// Sets the program's log up. Lines of other crates are not wanted.
///
/// # Errors
/// The log file cannot be opened for appending.
pub(super) fn start(options: &LogOptions) -> io::Result<()> {
    let file = match &options.file {
        None => None,
        Some(path) => Some(Mutex::new(
            OpenOptions::new().create(true).append(true).open(path)?,
        )),
    };
    log::set_max_level(match options.level {
        ..=-1 => LevelFilter::Debug,
        0 => LevelFilter::Info,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Error,
        3.. => LevelFilter::Off,
    });
    // A second start in one process (tests) keeps the first sink.
    let _ = log::set_boxed_logger(Box::new(Sink { file }));
    Ok(())
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maser")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let kind = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        let line = format!("{} {kind}{}\n", utc(clock::realtime().secs), record.args());
        // A log that cannot be written has nobody to tell.
        let _ = match &self.file {
            None => io::stderr().write_all(line.as_bytes()),
            Some(file) => match file.lock() {
                Ok(mut file) => file.write_all(line.as_bytes()),
                Err(_) => Ok(()),
            },
        };
    }

    fn flush(&self) {}
}

/// `YYYY-MM-DDTHH:MM:SSZ` of Unix seconds.
fn utc(unix_s: i64) -> String {
    let (date, time) = date_and_time(unix_s);
    format!("{date}T{time}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_in_the_form_of_iso_8601() {
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
    }
}
