//! What the system process asks of whoever owns sockets, files and names.

use core::net::{IpAddr, SocketAddr};
use core::panic::Location;

use crate::client::{Candidate, Family, Measurement, Request, SourceName, Statistics};
use crate::discipline::{RtcReport, Tracking};
use crate::wire::{CookedTime, LeapIndicator, NtpDuration, RawTime, ReferenceId};

/// One moment on the two clocks that a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of a clock that never steps: for timers.
    pub monotonic_ns: u64,
    /// The kernel's clock.
    pub raw: RawTime,
}

impl Moment {
    /// The moment `nanos` later, if nobody steps the clock.
    #[must_use]
    pub fn later(self, nanos: u64) -> Self {
        let raw = NtpDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        Self {
            monotonic_ns: self.monotonic_ns.saturating_add(nanos),
            raw: RawTime(self.raw.0 + raw),
        }
    }
}

/// A source: a server, whatever its address is. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(super) u64);

/// A name behind which sources are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NameId(pub(super) u64);

/// What is to be done next, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A request is to be sent. [`departed`](super::System::departed) is to be told when it left, as soon as that is
    /// known, [`send_failed`](super::System::send_failed) if it cannot be sent.
    Send {
        /// Whose.
        source: SourceId,
        /// Where to.
        to: SocketAddr,
        /// What.
        request: Request,
    },
    /// No more is expected on the port of the source's last request.
    Close {
        /// Whose.
        source: SourceId,
    },
    /// A name is to be looked up; the answer goes to [`resolved`](super::System::resolved).
    Resolve {
        /// Whose addresses.
        name: NameId,
        /// The name.
        host: String,
        /// Addresses of this family only.
        family: Option<Family>,
    },
    /// A source has an address: what was kept of one there before may be handed to
    /// [`restore`](super::System::restore).
    Appeared {
        /// Which.
        source: SourceId,
        /// Its address.
        address: IpAddr,
        /// Its name in the configuration.
        host: String,
        /// Whether its replies must be authenticated.
        is_authenticated: bool,
    },
    /// A line for a log of measurements, statistics and the like.
    Record(Record),
    /// A line for people.
    Notice(Notice),
    /// What the program was started for is done, or it cannot go on.
    End(End),
}

/// Why the program is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The clock was set once, by so many seconds (`-q`).
    Set(f64),
    /// It was measured once: it is to be set forward by so many seconds (`-Q`).
    Measured(f64),
    /// No source has answered well.
    NoSource,
    /// `maxchange` was exceeded too often.
    ExceededMaxChange,
}

/// A change of state, or something to be told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How grave.
    pub severity: Severity,
    /// One line.
    pub text: String,
    /// Where in the program it is told: notices of one place are of one kind.
    pub place: &'static Location<'static>,
}

/// How grave a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Information,
    /// Worth a look.
    Warning,
    /// The program cannot do what it is for.
    Error,
}

/// A line of a log file.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A packet from a source (measurements.log).
    Measurement {
        /// The source's.
        address: IpAddr,
        /// What it said.
        measurement: Measurement,
    },
    /// A source's register has a new sample (statistics.log).
    Statistics {
        /// Which.
        source: SourceName,
        /// The sample's time.
        at: CookedTime,
        /// The line through the register.
        statistics: Statistics,
    },
    /// What became of a source in a selection (selection.log).
    Selection(SelectionRecord),
    /// The clock was updated (tracking.log).
    Tracking(TrackingRecord),
    /// A reference clock was read, or its readings became a sample (refclocks.log).
    Refclock(RefclockRecord),
    /// The real-time clock was measured (rtc.log).
    Rtc(RtcRecord),
    /// A temperature was compensated (tempcomp.log).
    Temperature(TemperatureRecord),
}

/// What a reference clock said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefclockRecord {
    /// Of the reading, or of the sample.
    pub at: CookedTime,
    /// The clock's letters.
    pub reference_id: ReferenceId,
    /// What the clock says of the leap second.
    pub leap: LeapIndicator,
    /// What its driver read; `None`: this is the filter's result.
    pub raw: Option<RefclockReading>,
    /// By how much the clock is ahead of us, with all corrections, in seconds.
    pub offset_s: f64,
    /// How wrong that may be, in seconds.
    pub dispersion_s: f64,
}

/// What a driver read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefclockReading {
    /// Readings in this poll before it.
    pub poll: u32,
    /// A pulse, which says nothing of the second.
    pub is_pulse: bool,
    /// By how much the clock was ahead of the kernel's, in seconds.
    pub offset_s: f64,
}

/// A measurement of the real-time clock, and what was found so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcRecord {
    /// What was found.
    pub report: RtcReport,
    /// Seconds since the measurement before.
    pub since_s: f64,
}

/// A temperature, and what was made of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureRecord {
    /// When.
    pub at: CookedTime,
    /// In the sensor's own unit.
    pub temperature: f64,
    /// By how much the clock is made to run faster for it, in parts per million.
    pub compensation_ppm: f64,
}

/// A source in a selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionRecord {
    /// The time of the selection.
    pub at: CookedTime,
    /// Which.
    pub source: SourceName,
    /// How it stood, and what it came to.
    pub candidate: Candidate,
}

/// An update of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackingRecord {
    /// When.
    pub at: CookedTime,
    /// The address of the selected source; `None` of a reference clock or with no source.
    pub address: Option<IpAddr>,
    /// Its reference id.
    pub reference_id: ReferenceId,
    /// Ours from now on.
    pub stratum: u8,
    /// Announced.
    pub leap: LeapIndicator,
    /// Sources that were combined.
    pub combined: usize,
    /// By how much the clock is made to run faster, as a fraction.
    pub frequency: f64,
    /// What had been found before and was not slewed in yet: positive where the clock was slow.
    pub remaining_s: f64,
    /// How far the clock may have been wrong at most since the update before.
    pub error_max_s: f64,
    /// What the update found.
    pub tracking: Tracking,
}
