//! `maser serve`: chronyd's options with chronyd's meaning (chronyd(8)), then the node.
//!
//! An option that would ask for what maser does not do is refused; none is taken and ignored. `-n`, `-d`
//! and `-U` ask for what maser does anyhow.

use std::path::{Path, PathBuf};

use clap::ArgAction;

use super::{Exit, complain, print, version};
use crate::config::{self, Config, Families, Loaded, Notice, Origin, Place};
use crate::discipline::Purpose;
use crate::node::{self, Files, LogOptions, LogTarget, Memory, Options};

/// Answer requests for the time, until told to end.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Serve IPv4 only.
    #[arg(short = '4', overrides_with = "v6")]
    v4: bool,
    /// Serve IPv6 only.
    #[arg(short = '6', overrides_with = "v4")]
    v6: bool,
    /// The configuration file [default: /etc/maser/maser.conf; where there is none, loopback is served].
    #[arg(short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Log to this file [default: stderr].
    #[arg(short = 'l', value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Log to syslog.
    #[arg(long, conflicts_with = "log_file")]
    syslog: bool,
    /// The least severe messages to log: -1 debug, 0 information, 1 warning, 2 error, 3 fatal.
    #[arg(short = 'L', value_name = "LEVEL", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-1..=3))]
    log_level: Option<i8>,
    /// Print the configuration as it is understood, and as comments what it takes of this machine; then end.
    #[arg(short = 'p')]
    print_configuration: bool,
    /// Real-time priority, 1 to 100 (`sched_priority`).
    #[arg(short = 'P', value_name = "PRIORITY", value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: Option<u8>,
    /// Keep all memory from being paged out (`lock_all`).
    #[arg(short = 'm')]
    lock_all: bool,
    /// Become this user once started (`user`).
    #[arg(short = 'u', value_name = "USER")]
    user: Option<String>,
    /// Print the version, and end.
    #[arg(short = 'v')]
    version: bool,
    /// Stay in the foreground: always so.
    #[arg(short = 'n')]
    foreground: bool,
    /// Stay in the foreground and log to stderr: always so, but for -l. Twice: log debug messages.
    #[arg(short = 'd', action = ArgAction::Count)]
    debug: u8,
    /// Do not ask to be root: always so.
    #[arg(short = 'U')]
    any_user: bool,
    /// Leave the system clock alone: what is wrong with it is corrected in the served time only.
    #[arg(short = 'x')]
    no_clock_control: bool,
    /// Set the clock once by the configured sources, and end.
    #[arg(short = 'q', conflicts_with = "measure_once")]
    set_once: bool,
    /// Measure once how wrong the clock is, print it, and end.
    #[arg(short = 'Q')]
    measure_once: bool,
    /// Take in what an earlier run has kept of the sources (`dumpdir`).
    #[arg(short = 'r')]
    read_dumps: bool,
    /// Behave as restarted: the clock is not stepped by `makestep` or `initstepslew`.
    #[arg(short = 'R')]
    restarted: bool,
    /// At the start, set the clock by the real-time clock or, where that is behind, by the drift file's last change.
    #[arg(short = 's')]
    from_rtc: bool,
    /// End after so many seconds.
    #[arg(short = 't', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    #[command(flatten)]
    refused: Refused,
    /// Lines of configuration, an argument each, in place of the file.
    #[arg(value_name = "DIRECTIVE")]
    directives: Vec<String>,
}

/// chronyd's options for what maser does not do.
#[derive(Debug, clap::Args)]
struct Refused {
    /// Refused but for 0: filter system calls.
    #[arg(short = 'F', value_name = "LEVEL", allow_negative_numbers = true)]
    filter: Option<String>,
}

impl Refused {
    /// The options that were given, each with the reason it is refused for.
    fn reasons(&self) -> Vec<String> {
        let filter = self.filter.as_ref().is_some_and(|level| level != "0");
        let given = [(
            filter,
            "-F",
            "maser does not filter its system calls yet; use -F 0",
        )];
        let given = given.iter().filter(|(given, ..)| *given);
        given
            .map(|(_, option, why)| format!("maser serve: {option}: refused: {why}"))
            .collect()
    }
}

impl Serve {
    pub(super) fn run(self) -> Exit {
        let refused = self.refused.reasons();
        if !refused.is_empty() {
            return complain(&refused.join("\n"), Exit::Usage);
        }
        if self.version {
            return print(&version::text());
        }
        let origin = self.origin();
        let mut loaded = match config::load(origin, &Files) {
            Ok(loaded) => loaded,
            Err(errors) => return complain(&errors.to_string(), Exit::Failure),
        };
        self.override_configuration(&mut loaded.config);
        if self.print_configuration {
            let memory = Memory::of(&loaded.config);
            return print(&format!("{}{memory}", config::print(&loaded)));
        }
        let options = Options {
            log: LogOptions {
                target: match &self.log_file {
                    _ if self.syslog => LogTarget::Syslog,
                    Some(file) => LogTarget::File(file.clone()),
                    None => LogTarget::Stderr,
                },
                level: self
                    .log_level
                    .unwrap_or(if self.debug > 1 { -1 } else { 0 }),
            },
            embedded_default: matches!(origin, Origin::EmbeddedDefault),
            controls_clock: !self.no_clock_control,
            purpose: match (self.set_once, self.measure_once) {
                (true, _) => Purpose::SetOnce,
                (_, true) => Purpose::MeasureOnce,
                (false, false) => Purpose::Keep,
            },
            reads_dumps: self.read_dumps,
            sets_from_rtc: self.from_rtc,
            seconds: self.seconds,
        };
        let Loaded {
            config,
            mut notices,
            ..
        } = loaded;
        notices.extend(self.unread_file());
        if options.purpose != Purpose::Keep {
            return match node::once(&config, &notices, &options) {
                Ok(offset_s) => {
                    let done = if self.set_once { "step" } else { "ignored" };
                    print(&format!(
                        "System clock wrong by {offset_s:.6} seconds ({done})\n"
                    ))
                }
                Err(fatal) => complain(&format!("maser serve: {fatal}"), Exit::Failure),
            };
        }
        match node::serve(&config, &notices, &options) {
            Ok(summary) => print(&summary.to_string()),
            Err(fatal) => complain(&format!("maser serve: {fatal}"), Exit::Failure),
        }
    }

    fn origin(&self) -> Origin<'_> {
        if !self.directives.is_empty() {
            return Origin::Arguments(&self.directives);
        }
        if let Some(file) = &self.file {
            return Origin::File(file);
        }
        let file = Path::new(DEFAULT_FILE);
        // A file that is there but out of reach is a mistake to report, not one to serve without.
        match file.try_exists() {
            Ok(false) => Origin::EmbeddedDefault,
            Ok(true) | Err(_) => Origin::File(file),
        }
    }

    /// Options win over directives, as with chronyd.
    fn override_configuration(&self, config: &mut Config) {
        let runtime = &mut config.runtime;
        runtime.lock_all |= self.lock_all;
        if let Some(priority) = self.priority {
            runtime.sched_priority = priority;
        }
        if let Some(user) = &self.user {
            runtime.user = Some(user.clone());
        }
        if self.restarted {
            config.clock.make_step = None;
            config.sources.initial = None;
        }
        config.server.families = match (self.v4, self.v6) {
            (true, _) => Families::V4,
            (_, true) => Families::V6,
            (false, false) => Families::Both,
        };
    }

    /// What to say where directives take the place of a file that was named, too.
    fn unread_file(&self) -> Option<Notice> {
        let file = self.file.as_ref().filter(|_| !self.directives.is_empty())?;
        Some(Notice {
            place: Place::File(file.as_path().into()),
            directive: String::new(),
            text: "not read: the directives on the command line take its place".to_owned(),
        })
    }
}

const DEFAULT_FILE: &str = "/etc/maser/maser.conf";
