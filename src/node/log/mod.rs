//! Log lines: each with the time in UTC, as chronyd writes them, and none too often.

mod limit;
mod output;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub use output::LogTarget;

use self::limit::Limit;
use self::output::Output;
use super::calendar::date_and_time;
use crate::sys::clock;

/// Where log lines go and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Where.
    pub target: LogTarget,
    /// `-L`: -1 debug, 0 informational, 1 warnings, 2 errors, 3 fatal errors only (which end the program
    /// and are told by the command).
    pub level: i8,
}

struct Sink(Mutex<State>);

struct State {
    output: Output,
    limit: Limit,
}

/// Sets the program's log up. Lines of other crates are not wanted.
///
/// # Errors
/// The log file cannot be opened for appending, or nobody takes messages for syslog.
pub(super) fn start(options: &LogOptions) -> io::Result<()> {
    let output = Output::open(&options.target)?;
    log::set_max_level(match options.level {
        ..=-1 => LevelFilter::Debug,
        0 => LevelFilter::Info,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Error,
        3.. => LevelFilter::Off,
    });
    let state = State {
        output,
        limit: Limit::default(),
    };
    // A second start in one process (tests) keeps the first sink.
    let _ = log::set_boxed_logger(Box::new(Sink(Mutex::new(state))));
    Ok(())
}

/// From now on no place in the program writes many lines. At the start each is about another line of configuration.
pub(super) fn begin_to_limit() {
    IS_LIMITED.store(true, Ordering::Relaxed);
}

/// `cyclelogs`: the log file may have been renamed.
pub(super) fn cycle() {
    IS_CYCLED.store(true, Ordering::Relaxed);
}

static IS_LIMITED: AtomicBool = AtomicBool::new(false);
static IS_CYCLED: AtomicBool = AtomicBool::new(false);

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maser")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Ok(mut state) = self.0.lock() else { return };
        let text = record.args().to_string();
        // Who wants debug messages wants all of them.
        let is_limited = IS_LIMITED.load(Ordering::Relaxed) && record.level() < Level::Debug;
        if is_limited {
            let site = (
                record.file_static().unwrap_or(""),
                record.line().unwrap_or(0),
            );
            if !state.limit.admits(site, &text, clock::monotonic_ns()) {
                return;
            }
        }
        if IS_CYCLED.swap(false, Ordering::Relaxed) {
            state.output.reopen();
        }
        let time = utc(clock::realtime().secs);
        state.output.write(record.level(), &time, &text);
    }

    /// Tells what was left out. To be called now and then.
    fn flush(&self) {
        let Ok(mut state) = self.0.lock() else { return };
        for left_out in state.limit.over(clock::monotonic_ns()) {
            let (count, last) = (left_out.count, left_out.last);
            let text = format!("{count} lines like this one were left out: {last}");
            let time = utc(clock::realtime().secs);
            state.output.write(Level::Warn, &time, &text);
        }
    }
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
