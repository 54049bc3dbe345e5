//! Drivers of reference clocks: who reads them, and when.

mod phc;
mod pps;
mod rtc;
mod shm;
mod sock;

use std::io;
use std::os::fd::RawFd;

use crate::client::{RefclockOptions, SourceName, interval_ns};
use crate::config::{RefclockDriver, RefclockSpec};
use crate::discipline::{RawReading, SourceId};
use crate::sys::Timespec;
use crate::wire::{NtpTimestamp, RawTime};

/// Reads one clock.
trait Driver {
    /// Adds what there is to read now; waits for nothing.
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()>;

    /// What becomes readable when there is something; the others are asked each `dpoll`.
    fn descriptor(&self) -> Option<RawFd> {
        None
    }
}

/// A clock whose driver is open.
pub(super) struct OpenRefclock {
    pub(super) options: RefclockOptions,
    driver: Box<dyn Driver>,
    interval_ns: u64,
    next_ns: u64,
    /// It was told that it cannot be read.
    has_failed: bool,
}

impl OpenRefclock {
    /// Opens the clock of a line; it is read from `now_ns` on.
    ///
    /// # Errors
    /// As the kernel gives them, with the name of the line's driver and parameter.
    pub(super) fn open(spec: &RefclockSpec, now_ns: u64) -> io::Result<Self> {
        let driver: Box<dyn Driver> = match &spec.driver {
            RefclockDriver::Shm { unit, mode } => Box::new(shm::Shm::attach(*unit, *mode)?),
            RefclockDriver::Sock(path) => Box::new(sock::Sock::bind(path)?),
            RefclockDriver::Pps { path, clear } => Box::new(pps::open(path, *clear)?),
            RefclockDriver::Phc {
                clock,
                crosses,
                pulses,
            } => phc::open(clock, *crosses, pulses.as_ref())?,
            RefclockDriver::Rtc { path, utc } => Box::new(rtc::Rtc::open(path, *utc)?),
        };
        Ok(Self {
            options: spec.options,
            driver,
            interval_ns: interval_ns(spec.options.driver_poll),
            next_ns: now_ns,
            has_failed: false,
        })
    }

    /// What becomes readable when there is something.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.driver.descriptor()
    }

    /// When it is to be asked, by the clock that never steps.
    fn deadline(&self) -> Option<u64> {
        self.driver.descriptor().is_none().then_some(self.next_ns)
    }

    /// What there is to read. A failure is told once, until it can be read again.
    fn read(&mut self, found: &mut Vec<RawReading>) {
        let outcome = self.driver.read(found);
        let had_failed = std::mem::replace(&mut self.has_failed, outcome.is_err());
        if let Err(error) = outcome
            && !had_failed
        {
            let name = SourceName::Refclock(self.options.reference_id);
            log::warn!("refclock {name}: {error}");
        }
    }
}

/// All that are open, each with its place among the sources.
#[derive(Default)]
pub(super) struct Refclocks {
    all: Vec<(SourceId, OpenRefclock)>,
}

impl Refclocks {
    /// Adds one.
    pub(super) fn add(&mut self, id: SourceId, refclock: OpenRefclock) {
        self.all.push((id, refclock));
    }

    /// When [`due`](Self::due) is to be called.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.all
            .iter()
            .filter_map(|(_, clock)| clock.deadline())
            .min()
    }

    /// What those showed whose time has come.
    pub(super) fn due(&mut self, now_ns: u64) -> Vec<(SourceId, RawReading)> {
        let mut all = Vec::new();
        for (id, clock) in &mut self.all {
            if clock.deadline().is_some_and(|at_ns| at_ns <= now_ns) {
                // Whole intervals from the first reading on; those that were missed are not made up for.
                let late_ns = (now_ns - clock.next_ns) % clock.interval_ns;
                clock.next_ns = now_ns - late_ns + clock.interval_ns;
                let mut found = Vec::new();
                clock.read(&mut found);
                all.extend(found.into_iter().map(|reading| (*id, reading)));
            }
        }
        all
    }

    /// What one has to say whose descriptor is readable.
    pub(super) fn ready(&mut self, id: SourceId) -> Vec<RawReading> {
        let mut found = Vec::new();
        if let Some((_, clock)) = self.all.iter_mut().find(|(other, _)| *other == id) {
            clock.read(&mut found);
        }
        found
    }
}

fn raw_time(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}

/// A span in seconds.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of an offset")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 * 1e-9
}
