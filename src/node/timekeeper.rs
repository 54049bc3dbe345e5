//! The control plane's thread: signals, sources, and what we say of ourselves.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use super::command::{Around, Commands, Crew};
use super::counters::{Counting, Counts};
use super::drain::Drain;
use super::follow::{FollowChronyd, FollowKernel};
use super::log as log_sink;
use super::metrics::{Lent, Metrics};
use super::publish::Published;
use super::responders::Queues;
use super::steps::{ClockPair, Steps};
use super::system_process::{FIRST_PORT, SystemProcess, SystemStart};
use super::worker::Worker;
use crate::config::{Config, Follow, TimeConfig};
use crate::discipline::{End, LocalReference};
use crate::sys::{ClockWatch, clock, random};
use crate::wire::{NtpDuration, NtpTimestamp, RawTime, SystemVariables};

const SIGNALS: Token = Token(0);
const NAMES: Token = Token(1);
const CLOCK: Token = Token(2);
const RESPONDER: Token = Token(3);
/// The first of the ports at which commands are taken; there are at most three.
const COMMANDS: usize = 4;
/// Whoever asks over HTTP.
const HTTP: Token = Token(8);
/// Rounds that a responder without a thread of its own may take before sources have their turn.
const TURNS: usize = 64;
/// How often sources are looked at and the record is renewed.
const TICK: Duration = Duration::from_secs(1);
/// How long after asking a chronyd beside us its answer is looked for.
const ANSWER_WAIT: Duration = Duration::from_millis(10);

/// Keeps the published record true until a signal ends the program.
pub(super) struct Timekeeper {
    published: Arc<Published>,
    precision: i8,
    source: Source,
    local: Option<LocalReference>,
    system: SystemVariables,
    steps: Steps,
    next_ask_ns: u64,
    next_renew_ns: u64,
    watch: ClockWatch,
    poll: Poll,
    signals: Signals,
    commands: Commands,
    /// None where the program ends by itself.
    metrics: Option<Metrics>,
    drain: Drain,
    /// `drain`, in seconds.
    drain_s: u32,
}

enum Source {
    Nothing,
    Kernel(FollowKernel),
    Chronyd(FollowChronyd),
    System(Box<SystemProcess>),
}

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    /// A signal asks for it, or chronyc.
    Signal(&'static str),
    /// The system process has done what it was to do, or cannot go on.
    Done(End),
    /// `-t`: the time is over.
    TimeOver,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => f.write_str(name),
            Self::Done(_) => f.write_str("done"),
            Self::TimeOver => f.write_str("the time is over"),
        }
    }
}

impl Timekeeper {
    /// Looks at its sources for the first time, so that the record is good before a worker starts.
    ///
    /// # Errors
    /// Signals cannot be watched, the kernel has no randomness, or its clock cannot be had.
    pub(super) fn new(
        config: &Config,
        sources: Option<SystemStart>,
        commands: Commands,
        metrics: Option<Metrics>,
    ) -> io::Result<Self> {
        let drain_s = config.monitoring.drain_s;
        let config = &config.time;
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2])?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        let watch = ClockWatch::new()?;
        let fd = watch.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), CLOCK, Interest::READABLE)?;

        for (place, fd) in commands.descriptors().into_iter().enumerate() {
            let token = Token(COMMANDS + place);
            poll.registry()
                .register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        }

        if let Some(metrics) = &metrics {
            let fd = metrics.as_raw_fd();
            poll.registry()
                .register(&mut SourceFd(&fd), HTTP, Interest::READABLE)?;
        }

        let precision = config
            .clock_precision_s
            .map_or_else(measured_precision, precision_of);
        let source = match sources {
            Some(start) => Source::System(Box::new(start.begin(&poll, NAMES, precision)?)),
            None => followed(config)?,
        };
        let keeps_sources = matches!(source, Source::System(_));
        let system = SystemVariables::not_synchronised(precision);
        let mut timekeeper = Self {
            published: Published::new(&system),
            precision,
            source,
            // The system process has its own.
            local: config
                .local
                .filter(|_| !keeps_sources)
                .map(LocalReference::new),
            system,
            steps: Steps::default(),
            next_ask_ns: 0,
            next_renew_ns: 0,
            watch,
            poll,
            signals,
            commands,
            metrics,
            drain: Drain::default(),
            drain_s,
        };
        timekeeper.ask();
        if matches!(timekeeper.source, Source::Chronyd(_)) {
            std::thread::sleep(ANSWER_WAIT);
        }
        timekeeper.renew();
        if !timekeeper.system.is_synchronised() {
            log::warn!("not synchronised: clients are told so");
        }
        Ok(timekeeper)
    }

    /// Where workers subscribe.
    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Runs until something asks to end; answers what. A responder without a thread of its own has its turns here.
    /// `end_ns` is when the time is over, by the clock that never steps.
    ///
    /// # Errors
    /// The kernel no longer tells of events, or of its clock.
    pub(super) fn run(
        &mut self,
        mut responder: Option<&mut Worker>,
        end_ns: Option<u64>,
    ) -> io::Result<Ending> {
        if let Some(worker) = &responder {
            let fd = worker.as_raw_fd();
            self.poll
                .registry()
                .register(&mut SourceFd(&fd), RESPONDER, Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(64);
        let mut has_requests = responder.is_some();
        let mut is_asked = false;
        loop {
            let wait = if has_requests || self.commands.behind().is_some() {
                Duration::ZERO
            } else {
                self.wait(end_ns)
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    RESPONDER => has_requests = true,
                    CLOCK => _ = self.watch.was_set(),
                    HTTP => is_asked = true,
                    token if (COMMANDS..HTTP.0).contains(&token.0) => {
                        self.take_commands(token.0 - COMMANDS, responder.as_deref_mut());
                    }
                    token if token.0 >= FIRST_PORT => {
                        if let Source::System(process) = &mut self.source {
                            process.ready(token)?;
                        }
                    }
                    // Signals and names are asked for below.
                    _ => {}
                }
            }
            if let Some(place) = self.commands.behind() {
                self.take_commands(place, responder.as_deref_mut());
            }
            if let Some(worker) = &mut responder
                && has_requests
            {
                has_requests = worker.take_turns(TURNS);
            }
            self.turn()?;
            log_sink::tick();
            self.tell_by_http(std::mem::take(&mut is_asked));
            if let Some(ending) = self.ending(end_ns) {
                return Ok(ending);
            }
        }
    }

    /// Those who serve have begun, at these addresses: chronyc and others can ask about them.
    pub(super) fn watch(&mut self, crew: Crew, addresses: Vec<SocketAddr>, queues: Arc<Queues>) {
        self.commands.watch(crew);
        if let Some(metrics) = &mut self.metrics {
            metrics.watch(addresses, queues);
        }
    }

    /// Answers those who ask over HTTP, if anybody does or anything else is due there.
    fn tell_by_http(&mut self, is_asked: bool) {
        let Some(metrics) = &mut self.metrics else {
            return;
        };
        if !is_asked && clock::monotonic_ns() < metrics.next_deadline() {
            return;
        }
        let process = match &self.source {
            Source::System(process) => Some(&**process),
            _ => None,
        };
        metrics.turn(Lent {
            process,
            variables: &self.system,
            commands: &self.commands,
            drains: self.drain.is_on(),
        });
    }

    fn take_commands(&mut self, place: usize, inline: Option<&mut Worker>) {
        let process = match &mut self.source {
            Source::System(process) => Some(&mut **process),
            _ => None,
        };
        let around = Around {
            process,
            local: &mut self.local,
            inline,
            variables: self.system,
        };
        self.commands.ready(place, around);
        // `local` may have changed what we are.
        self.next_renew_ns = 0;
    }

    /// The program ends: what is to be kept is written, and the kernel answers no more for us, unless it `stays`. What it
    /// has counted, by interface.
    pub(super) fn finish(&mut self, stays: bool) -> Vec<(Counting, Counts)> {
        if let Source::System(process) = &mut self.source {
            process.finish();
        }
        let fast_paths = &mut self.commands.crew_mut().fast_paths;
        fast_paths.finish(stays);
        let counters = fast_paths.counters();
        counters
            .map(|(name, counters)| (Counting::Interface(name.to_owned()), counters.snapshot()))
            .collect()
    }

    fn ending(&mut self, end_ns: Option<u64>) -> Option<Ending> {
        let now_ns = clock::monotonic_ns();
        for signal in self.signals.pending() {
            let ends = match signal {
                SIGUSR1 | SIGUSR2 => {
                    let on = signal == SIGUSR1;
                    if self.drain.order(on) {
                        let done = if on {
                            "draining: others are to serve"
                        } else {
                            "serving again"
                        };
                        log::warn!("{done}");
                    }
                    None
                }
                SIGINT => Some("SIGINT"),
                SIGQUIT => Some("SIGQUIT"),
                SIGHUP => Some("SIGHUP"),
                _ => self.drain.end("SIGTERM", self.drain_s, now_ns),
            };
            if let Some(name) = ends {
                return Some(Ending::Signal(name));
            }
        }
        if let Some(name) = self.drain.ended(now_ns) {
            return Some(Ending::Signal(name));
        }
        if self.commands.ends() {
            return Some(Ending::Signal("shutdown"));
        }
        if let Source::System(process) = &self.source
            && let Some(end) = process.end()
        {
            return Some(Ending::Done(end));
        }
        end_ns
            .is_some_and(|end_ns| end_ns <= clock::monotonic_ns())
            .then_some(Ending::TimeOver)
    }

    /// How long there is nothing to do.
    fn wait(&self, end_ns: Option<u64>) -> Duration {
        let now_ns = clock::monotonic_ns();
        let until = |at_ns: u64| Duration::from_nanos(at_ns.saturating_sub(now_ns));
        let work = match &self.source {
            Source::System(process) => process.wait(),
            _ => until(self.next_ask_ns.min(self.next_renew_ns)),
        };
        let http_ns = self.metrics.as_ref().map(Metrics::next_deadline);
        let kernel_ns = self.commands.crew().fast_paths.next_deadline();
        let others = [end_ns, self.drain.end_ns(), http_ns, kernel_ns];
        others
            .into_iter()
            .flatten()
            .fold(work, |least, at_ns| least.min(until(at_ns)))
    }

    /// Does what is due.
    fn turn(&mut self) -> io::Result<()> {
        if let Source::System(process) = &mut self.source {
            process.turn()?;
            self.renew();
            return Ok(());
        }
        let now_ns = clock::monotonic_ns();
        let fast_paths = &mut self.commands.crew_mut().fast_paths;
        fast_paths.renew(&self.system);
        if self.next_ask_ns <= now_ns {
            self.ask();
            self.next_ask_ns = now_ns + nanos(TICK);
            self.next_renew_ns = now_ns + nanos(ANSWER_WAIT);
        }
        if self.next_renew_ns <= now_ns {
            self.renew();
            self.next_renew_ns = u64::MAX;
        }
        Ok(())
    }

    fn ask(&mut self) {
        if let Source::Chronyd(follow) = &mut self.source
            && let Err(error) = follow.ask(raw_now())
        {
            log::debug!("chronyd cannot be asked: {error}");
        }
    }

    /// Looks at the source, and publishes what that makes of us.
    fn renew(&mut self) {
        let now = raw_now();
        if !matches!(self.source, Source::System(_))
            && let Some(step_ns) = self.steps.seen(ClockPair::read())
        {
            let step_s = NtpDuration::from_nanos(step_ns).to_seconds();
            log::warn!("the system clock was stepped by {step_s:+.6} s");
        }
        let sources = match &mut self.source {
            Source::Nothing => SystemVariables::not_synchronised(self.precision),
            Source::Kernel(follow) => match clock::kernel_clock() {
                Ok(kernel) => follow.variables(kernel, now, self.precision),
                Err(_) => SystemVariables::not_synchronised(self.precision),
            },
            Source::Chronyd(follow) => {
                follow.receive();
                follow.variables(now, self.precision)
            }
            Source::System(process) => *process.variables(),
        };
        let system = match &mut self.local {
            Some(local) => local.over(&sources, now),
            None => sources,
        };
        if system != self.system {
            self.tell(&system);
            self.published.publish(&system);
            self.system = system;
        }
        self.commands.crew_mut().fast_paths.renew(&self.system);
    }

    /// One line where our state changes.
    fn tell(&self, system: &SystemVariables) {
        let before = &self.system;
        if (before.stratum, before.leap, before.reference_id)
            == (system.stratum, system.leap, system.reference_id)
        {
            return;
        }
        if system.is_synchronised() {
            let dispersion_s = system.root_dispersion.to_seconds();
            log::info!(
                "serving stratum {}, reference {}, leap {:?}, root dispersion {dispersion_s:.9} s",
                system.stratum,
                system.reference_id,
                system.leap,
            );
        } else {
            let dispersion_s = before.root_dispersion_at(raw_now()).to_seconds();
            log::warn!(
                "not synchronised any more: clients are told so; it was stratum {}, root dispersion {dispersion_s:.6} s",
                before.stratum
            );
        }
    }
}

/// What `follow` says.
fn followed(config: &TimeConfig) -> io::Result<Source> {
    let error_ppm = config.max_clock_error_ppm;
    Ok(match &config.follow {
        None => Source::Nothing,
        Some(Follow::Kernel {
            stratum,
            reference_id,
        }) => Source::Kernel(FollowKernel::new(*stratum, *reference_id, error_ppm)),
        Some(Follow::Chronyd(address)) => {
            let sequence = u32::from_ne_bytes(random::array()?);
            Source::Chronyd(FollowChronyd::new(address.clone(), sequence, error_ppm))
        }
    })
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn raw_now() -> RawTime {
    let now = clock::realtime();
    RawTime(NtpTimestamp::from_unix(now.secs, now.nanos))
}

/// log2 of seconds, as the packet wants it, rounded to the nearest; chrony's least is 2^-30.
#[expect(clippy::cast_possible_truncation, reason = "clamped before the cast")]
fn precision_of(seconds: f64) -> i8 {
    seconds.log2().round().clamp(-30.0, 0.0) as i8
}

/// The smallest step between two readings of the clock: what it takes to read it, or its resolution.
fn measured_precision() -> i8 {
    const READINGS: usize = 200;
    let mut smallest = i64::MAX;
    let mut last = clock::realtime();
    for _ in 0..READINGS {
        let now = clock::realtime();
        let step = now.nanos_since(last);
        if step > 0 {
            smallest = smallest.min(step);
        }
        last = now;
    }
    precision_of(NtpDuration::from_nanos(smallest).to_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_a_power_of_two() {
        assert_eq!(precision_of(1.0), 0);
        assert_eq!(precision_of(1e-6), -20);
        assert_eq!(precision_of(0.0), -30);
        let measured = measured_precision();
        assert!((-30..=-10).contains(&measured), "{measured}");
    }
}
