//! Log lines: to stderr, a file or syslog; no more of a kind than somebody can read.
//!
//! On stderr and in a file each line begins with the time in UTC, as chronyd writes them; in the journal (stderr of a
//! unit of systemd) with the level instead, and of the time the journal takes note itself (sd-daemon(3)).
//!
//! The kind of a line is the place in the code that writes it. Once the program serves, a kind has [`limit`]ed room in
//! a minute; what is left out is counted, and the count is told when the minute is over.

mod limit;
mod outlet;

use std::io;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use self::limit::{Limiter, Verdict};
use self::outlet::Outlet;
use crate::sys::clock;

/// Where log lines go and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Where.
    pub place: LogPlace,
    /// `-L`: -1 debug, 0 informational, 1 warnings, 2 errors, 3 fatal errors only (which end the program
    /// and are told by the command).
    pub level: i8,
}

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogPlace {
    /// stderr, with levels where that is the journal.
    #[default]
    Stderr,
    /// `-l`: the end of this file.
    File(PathBuf),
    /// The socket of a system logger, `/dev/log` (RFC 3164, as syslog(3) writes it to there, facility daemon).
    Syslog(PathBuf),
}

struct Sink {
    /// Whether there is anything for [`tick`] to tell.
    has_left_out: AtomicBool,
    writing: Mutex<Writing>,
}

struct Writing {
    outlet: Outlet,
    /// `None` while the program starts: every mistake in its files is told then.
    limiter: Option<Limiter>,
}

/// Sets the program's log up. Lines of other crates are not wanted.
///
/// # Errors
/// The log file cannot be opened for appending, or there is no system logger.
pub(super) fn start(options: &LogOptions) -> io::Result<()> {
    let outlet = Outlet::open(&options.place)?;
    log::set_max_level(match options.level {
        ..=-1 => LevelFilter::Debug,
        0 => LevelFilter::Info,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Error,
        3.. => LevelFilter::Off,
    });
    let writing = Writing {
        outlet,
        limiter: None,
    };
    // A second start in one process (tests) keeps the first sink.
    let sink = SINK.get_or_init(|| Sink {
        has_left_out: AtomicBool::new(false),
        writing: Mutex::new(writing),
    });
    let _ = log::set_logger(sink);
    Ok(())
}

/// The program has started: from now on lines are limited.
pub(super) fn limit() {
    if let Some(sink) = SINK.get() {
        sink.writing().limiter = Some(Limiter::default());
    }
}

/// Tells what was left out where a minute is over. To be called often; mostly there is nothing to do.
pub(super) fn tick() {
    if let Some(sink) = SINK.get()
        && sink.has_left_out.load(Ordering::Relaxed)
    {
        sink.writing().tell_left_out(clock::monotonic_ns());
    }
}

/// `cyclelogs`: the log file may have been renamed; it is opened anew.
pub(super) fn cycle() {
    if let Some(sink) = SINK.get() {
        sink.writing().outlet.reopen();
    }
}

/// The program ends: tells what was left out.
pub(super) fn finish() {
    if let Some(sink) = SINK.get() {
        sink.writing().tell_left_out(u64::MAX);
    }
}

/// A line whose kind is another place than the one that calls: a notice from below is of the rule that it tells of.
pub(super) fn tell(level: Level, text: &str, place: &'static Location<'static>) {
    log::logger().log(
        &Record::builder()
            .level(level)
            .target("maser")
            .file_static(Some(place.file()))
            .line(Some(place.line()))
            .args(format_args!("{text}"))
            .build(),
    );
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maser") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now_ns = clock::monotonic_ns();
        let site = (
            record.file_static().unwrap_or(""),
            record.line().unwrap_or(0),
        );
        let mut writing = self.writing();
        let verdict = match &mut writing.limiter {
            Some(limiter) => limiter.admit(site, record.level(), now_ns),
            None => Verdict::Write,
        };
        if let Verdict::WriteAfter(left_out) = verdict {
            writing.outlet.write(record.level(), &told(left_out, None));
        }
        if verdict == Verdict::LeaveOut {
            self.has_left_out.store(true, Ordering::Relaxed);
        } else {
            writing
                .outlet
                .write(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {
        self.writing().tell_left_out(clock::monotonic_ns());
    }
}

impl Sink {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Whoever panicked while writing has left nothing half done that matters to a log.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    fn tell_left_out(&mut self, now_ns: u64) {
        let Some(limiter) = &mut self.limiter else {
            return;
        };
        for (site, level, left_out) in limiter.over(now_ns) {
            self.outlet.write(level, &told(left_out, Some(site)));
        }
    }
}

/// What was left out, of the kind of line that follows, or of the one written here.
fn told(left_out: u64, site: Option<(&str, u32)>) -> String {
    match site {
        None => format!("{left_out} more of the following kind were left out"),
        Some((file, line)) => {
            format!("{left_out} more lines of one kind were left out ({file}:{line})")
        }
    }
}

static SINK: OnceLock<Sink> = OnceLock::new();
