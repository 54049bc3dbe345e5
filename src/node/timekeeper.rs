//! The control plane's thread: signals, and once a second what we say of ourselves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::follow::{FollowChronyd, FollowKernel};
use super::publish::Published;
use super::steps::{ClockPair, Steps};
use crate::config::{Follow, TimeConfig};
use crate::discipline::LocalReference;
use crate::sys::{clock, random};
use crate::wire::{NtpDuration, NtpTimestamp, RawTime, SystemVariables};

const SIGNALS: Token = Token(0);
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
    poll: Poll,
    signals: Signals,
}

enum Source {
    Nothing,
    Kernel(FollowKernel),
    Chronyd(FollowChronyd),
}

impl Timekeeper {
    /// Looks at its sources for the first time, so that the record is good before a worker starts.
    ///
    /// # Errors
    /// Signals cannot be watched, or the kernel has no randomness.
    pub(super) fn new(config: &TimeConfig) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP])?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;

        let error_ppm = config.max_clock_error_ppm;
        let source = match &config.follow {
            None => Source::Nothing,
            Some(Follow::Kernel {
                stratum,
                reference_id,
            }) => Source::Kernel(FollowKernel::new(*stratum, *reference_id, error_ppm)),
            Some(Follow::Chronyd(address)) => {
                let sequence = u32::from_ne_bytes(random::array()?);
                Source::Chronyd(FollowChronyd::new(address.clone(), sequence, error_ppm))
            }
        };
        let precision = config
            .clock_precision_s
            .map_or_else(measured_precision, precision_of);
        let system = SystemVariables::not_synchronised(precision);
        let mut timekeeper = Self {
            published: Published::new(&system),
            precision,
            source,
            local: config.local.map(LocalReference::new),
            system,
            steps: Steps::default(),
            poll,
            signals,
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

    /// Runs until a signal asks to end; answers which.
    ///
    /// # Errors
    /// The kernel no longer tells of events.
    pub(super) fn run(&mut self) -> io::Result<&'static str> {
        let mut events = Events::with_capacity(8);
        loop {
            self.ask();
            if let Some(signal) = self.wait(&mut events, ANSWER_WAIT)? {
                return Ok(signal);
            }
            self.renew();
            if let Some(signal) = self.wait(&mut events, TICK - ANSWER_WAIT)? {
                return Ok(signal);
            }
        }
    }

    fn wait(&mut self, events: &mut Events, span: Duration) -> io::Result<Option<&'static str>> {
        match self.poll.poll(events, Some(span)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        Ok(self.signals.pending().next().map(|signal| match signal {
            SIGINT => "SIGINT",
            SIGQUIT => "SIGQUIT",
            SIGHUP => "SIGHUP",
            _ => "SIGTERM",
        }))
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
        if let Some(step_ns) = self.steps.seen(ClockPair::read()) {
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
        };
        let system = match &mut self.local {
            Some(local) => local.over(&sources, now),
            None => sources,
        };
        self.tell(&system);
        self.published.publish(&system);
        self.system = system;
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
            log::warn!("not synchronised any more: clients are told so");
        }
    }
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
