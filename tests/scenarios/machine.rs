//! A machine: a clock, a server, and (unless its clock is what others are measured by) the system process.

use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use maser::auth::{Key, KeyStore, KeyType};
use maser::client::{Port, RefclockOptions, RequestId, Shows, StampSource};
use maser::discipline::{
    Action, End, KernelClock, KernelStatus, Moment, NameId, NoClock, RawReading, RawStamp, Record,
    RefclockRecord, SimulatedClock, SourceId, SourceReport, System, SystemOptions, TrackingRecord,
};
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, InterleavedTable, Outcome, RateLimiter,
    Responder, ResponderParts, Subnet,
};
use maser::wire::{
    HeaderView, KeyId, LeapIndicator, Mode, NtpDuration, NtpTimestamp, RawTime, ReferenceId,
    SystemVariables,
};

/// True time begins here if nothing else is said: 2016-12-31T00:00:00Z, a day with a leap second at its end.
pub(crate) const START_UNIX_S: i64 = 1_483_142_400;

thread_local! {
    static START_S: Cell<i64> = const { Cell::new(START_UNIX_S) };
}

/// True time begins elsewhere in this test.
pub(crate) fn begin_at(unix_s: i64) {
    START_S.set(unix_s);
}

/// A kernel that lets its clock be set, or does not (`-x`).
pub(crate) struct Kernel {
    pub(crate) clock: SimulatedClock,
    is_controlled: bool,
}

impl KernelClock for Kernel {
    type Error = Infallible;

    fn frequency(&mut self) -> Result<f64, Infallible> {
        self.clock.frequency()
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, Infallible> {
        if self.is_controlled {
            self.clock.set_frequency(frequency)
        } else {
            NoClock.set_frequency(frequency)
        }
    }

    fn step(&mut self, offset: NtpDuration) -> Result<NtpDuration, Infallible> {
        if self.is_controlled {
            self.clock.step(offset)
        } else {
            NoClock.step(offset)
        }
    }

    fn set_status(&mut self, status: &KernelStatus) -> Result<(), Infallible> {
        self.clock.set_status(status)
    }

    fn makes_leap_seconds(&self) -> bool {
        self.is_controlled
    }
}
/// From the arrival of a request to the departure of its reply.
const HOLD_S: f64 = 20e-6;
const NTP_PORT: u16 = 123;

#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: IpAddr,
    pub(crate) from_port: u16,
    pub(crate) to: IpAddr,
    pub(crate) to_port: u16,
    pub(crate) bytes: Vec<u8>,
    /// Seconds from now to its departure.
    pub(crate) after_s: f64,
}

/// What keeps a machine's clock.
pub(crate) enum Keeper {
    /// Nobody: it is ahead of the truth by so many seconds, and says this of itself.
    Fixed {
        error_s: f64,
        frequency: f64,
        system: SystemVariables,
    },
    /// The system process.
    System(Box<Kept>),
}

/// A clock that the system process keeps, and what was seen of it.
pub(crate) struct Kept {
    options: Option<SystemOptions>,
    start: (f64, f64),
    system: Option<System<Kernel>>,
    /// Whether the clock lets itself be set.
    pub(crate) is_controlled: bool,
    /// Who notes when packets leave and arrive, and how late the program is where it is the program.
    pub(crate) stamps: (StampSource, f64),
    keys: Arc<KeyStore>,
    seed: u64,
    /// Seconds by the clock that never steps.
    monotonic_s: f64,
    ports: HashMap<u16, SourceId>,
    peers: HashMap<IpAddr, SourceId>,
    names: HashMap<u64, NameId>,
    next_port: u16,
    /// Deviation of the walk of the oscillator's frequency, by the root of a second.
    pub(crate) wander: f64,
    pub(crate) seen: Seen,
}

/// What a test looks at.
#[derive(Default)]
pub(crate) struct Seen {
    /// By how much the kernel's clock was ahead of UTC at each full second.
    pub(crate) errors_s: Vec<f64>,
    /// The same of served time, and what it claimed to be wrong by at most; none where it was not synchronised.
    pub(crate) served: Vec<(f64, Option<f64>)>,
    pub(crate) notices: Vec<(f64, String)>,
    pub(crate) tracking: Vec<TrackingRecord>,
    /// Requests: when, and whom.
    pub(crate) requests: Vec<(f64, IpAddr)>,
    pub(crate) good: usize,
    pub(crate) interleaved: usize,
    pub(crate) invalid: usize,
    pub(crate) ends: Vec<End>,
    pub(crate) readings: Vec<RefclockRecord>,
}

pub(crate) struct Machine {
    pub(crate) address: IpAddr,
    pub(crate) keeper: Keeper,
    pub(crate) responder: Responder,
    /// Neither sends nor receives.
    pub(crate) is_silent: bool,
    pub(crate) outbox: Vec<Datagram>,
    pub(crate) lookups: Vec<(u64, String)>,
    pub(crate) generation: u64,
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    now_s: f64,
    utc_s: f64,
}

/// Keys 1 (AES-128) and 2 (another AES-128).
pub(crate) fn keys(secret: u8) -> Arc<KeyStore> {
    let keys = [
        Key::new(KeyId(1), KeyType::Aes128, &[secret; 16]).expect("a key"),
        Key::new(KeyId(2), KeyType::Sha1, &[secret; 20]).expect("a key"),
    ];
    Arc::new(KeyStore::new(&keys).0)
}

fn rule(allow: bool) -> AccessTable {
    AccessTable::new(&[AccessRule {
        subnet: Subnet::Any,
        allow,
        all: false,
    }])
}

fn responder(keys: Arc<KeyStore>, allow: bool, limiter: Option<RateLimiter>) -> Responder {
    Responder::new(ResponderParts {
        access: rule(allow),
        require_auth: rule(false),
        clients: Some(ClientTable::new(1 << 12, [3; 16])),
        interleaved: Some(InterleavedTable::new(1 << 12)),
        limiter,
        poll_min: None,
        keys,
        silent_unsynchronised: false,
        chance: Chance::new(77),
    })
}

/// A primary server's word.
pub(crate) fn primary(stratum: u8) -> SystemVariables {
    SystemVariables {
        leap: LeapIndicator::NoWarning,
        stratum,
        reference_id: ReferenceId::from_bytes(*b"GPS\0"),
        reference_timestamp: moment(0.0),
        root_delay: NtpDuration::ZERO,
        root_dispersion: NtpDuration::from_nanos(1_000),
        ..SystemVariables::not_synchronised(-23)
    }
}

impl Machine {
    fn new(keeper: Keeper, responder: Responder) -> Self {
        Self {
            address: IpAddr::from([0, 0, 0, 0]),
            keeper,
            responder,
            is_silent: false,
            outbox: Vec::new(),
            lookups: Vec::new(),
            generation: 0,
            answered: 0,
            refused: 0,
            now_s: 0.0,
            utc_s: 0.0,
        }
    }

    /// A server whose clock is ahead by `error_s` and gains `frequency`.
    pub(crate) fn server(error_s: f64, frequency: f64, system: SystemVariables) -> Self {
        let keeper = Keeper::Fixed {
            error_s,
            frequency,
            system,
        };
        Self::new(keeper, responder(keys(7), true, None))
    }

    /// A machine that keeps its own clock, which begins ahead by `error_s` and whose oscillator is fast by `frequency`.
    pub(crate) fn kept(options: SystemOptions, error_s: f64, frequency: f64, seed: u64) -> Self {
        Self::kept_with(options, error_s, frequency, seed, keys(7))
    }

    pub(crate) fn kept_with(
        options: SystemOptions,
        error_s: f64,
        frequency: f64,
        seed: u64,
        keys: Arc<KeyStore>,
    ) -> Self {
        let kept = Kept {
            options: Some(options),
            start: (error_s, frequency),
            system: None,
            is_controlled: true,
            stamps: (StampSource::Kernel, 0.0),
            keys: Arc::clone(&keys),
            seed,
            monotonic_s: 1000.0,
            ports: HashMap::new(),
            peers: HashMap::new(),
            names: HashMap::new(),
            next_port: 40_000,
            wander: 1e-9,
            seen: Seen::default(),
        };
        Self::new(Keeper::System(Box::new(kept)), responder(keys, true, None))
    }

    pub(crate) fn deny_all(&mut self) {
        self.responder = responder(keys(7), false, None);
    }

    pub(crate) fn limit(&mut self, limiter: RateLimiter) {
        self.responder = responder(keys(7), true, Some(limiter));
    }

    /// What a fixed clock says of itself.
    pub(crate) fn say(&mut self, change: impl FnOnce(&mut SystemVariables)) {
        if let Keeper::Fixed { system, .. } = &mut self.keeper {
            change(system);
        }
    }

    /// A fixed clock is ahead by this from now on.
    pub(crate) fn set_error(&mut self, error: f64) {
        if let Keeper::Fixed {
            error_s, frequency, ..
        } = &mut self.keeper
        {
            *error_s = error - *frequency * self.now_s;
        }
    }

    pub(crate) fn kept_clock(&mut self) -> &mut Kept {
        match &mut self.keeper {
            Keeper::System(kept) => kept,
            Keeper::Fixed { .. } => panic!("nobody keeps this clock"),
        }
    }

    pub(crate) fn system(&mut self) -> &mut System<Kernel> {
        self.kept_clock().system.as_mut().expect("it has begun")
    }

    /// What its reports say of its sources.
    pub(crate) fn sources(&mut self) -> Vec<SourceReport> {
        let now = self.moment();
        self.system().sources(now)
    }

    pub(crate) fn seen(&mut self) -> &mut Seen {
        &mut self.kept_clock().seen
    }

    pub(crate) fn begin(&mut self, now_s: f64) {
        self.now_s = now_s;
        self.utc_s = now_s;
        let Keeper::System(kept) = &mut self.keeper else {
            return;
        };
        let mut options = kept.options.take().expect("a machine begins once");
        let (error_s, frequency) = kept.start;
        options.start_unix_s = START_S.get();
        let kernel = Kernel {
            clock: SimulatedClock::new(error_s, frequency),
            is_controlled: kept.is_controlled,
        };
        let now = Moment {
            monotonic_ns: nanos(kept.monotonic_s),
            raw: RawTime(moment(now_s + error_s)),
        };
        let mut bits = kept.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let random = Box::new(move || {
            // xorshift64*: chance for requests in a test.
            bits ^= bits >> 12;
            bits ^= bits << 25;
            bits ^= bits >> 27;
            bits.wrapping_mul(0x2545_f491_4f6c_dd1d)
        });
        let keys = Arc::clone(&kept.keys);
        let Ok(system) = System::new(options, kernel, keys, random, now);
        kept.system = Some(system);
    }

    /// True time goes on; UTC may have made a leap second, which the kernel was told of or not.
    pub(crate) fn advance(&mut self, now_s: f64, utc_s: f64) {
        let passed_s = (now_s - self.now_s).max(0.0);
        let leap_s = (utc_s - self.utc_s) - (now_s - self.now_s);
        (self.now_s, self.utc_s) = (now_s, utc_s);
        let leaps = leap_s.abs() > 0.5;
        let Keeper::System(kept) = &mut self.keeper else {
            return;
        };
        let Some(system) = &mut kept.system else {
            return;
        };
        let Kernel {
            clock: kernel,
            is_controlled,
        } = system.clock().kernel();
        kept.monotonic_s += passed_s * (1.0 + kernel.rate_error());
        kernel.advance(passed_s);
        if leaps {
            // The clock is ahead of UTC by the leap second, unless the kernel makes it too.
            kernel.jump(-leap_s);
            let told = kernel.status().map(|status| status.leap);
            if *is_controlled
                && matches!(
                    told,
                    Some(LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond)
                )
            {
                kernel.jump(leap_s);
            }
        }
    }

    /// Adds a reference clock.
    pub(crate) fn add_refclock(&mut self, options: RefclockOptions) -> SourceId {
        let now = self.moment();
        self.system().add_refclock(options, now)
    }

    /// A reference clock is read, which is wrong by `error_s`.
    pub(crate) fn read_time(&mut self, id: SourceId, error_s: f64) {
        let raw = self.moment().raw;
        let utc = moment(self.utc_s);
        let offset_s = (utc - raw.0).to_seconds() + error_s;
        self.read(id, raw, Shows::Time(offset_s));
    }

    /// A pulse comes, `late_s` after the beginning of a second.
    pub(crate) fn read_pulse(&mut self, id: SourceId, late_s: f64) {
        let raw = RawTime(self.moment().raw.0 + NtpDuration::from_seconds(late_s));
        let fraction = raw.0 - NtpTimestamp::from_bits(raw.0.to_bits() & !0xffff_ffff);
        self.read(id, raw, Shows::Pulse(fraction.to_seconds()));
    }

    fn read(&mut self, id: SourceId, at: RawTime, shows: Shows) {
        let now = self.moment();
        let reading = RawReading {
            at,
            shows,
            leap: LeapIndicator::NoWarning,
            dispersion_s: 1e-7,
        };
        self.system().refclock_read(id, &reading, now);
    }

    /// Somebody else steps the clock.
    pub(crate) fn step_outside(&mut self, by_s: f64) {
        self.system().clock().kernel().clock.jump(by_s);
        let now = self.moment();
        let Ok(()) = self.system().clock_jumped(now);
    }

    pub(crate) fn wake(&mut self) {
        let now = self.moment();
        if let Keeper::System(kept) = &mut self.keeper
            && let Some(system) = &mut kept.system
        {
            let Ok(()) = system.timeout(now);
        }
    }

    pub(crate) fn resolved(&mut self, serial: u64, addresses: &[IpAddr]) {
        let now = self.moment();
        let name = self.kept_clock().names.remove(&serial);
        if let Some(name) = name {
            self.system().resolved(name, addresses, now);
        }
    }

    /// A datagram arrives: a reply to a request of ours, or a request.
    pub(crate) fn receive(&mut self, datagram: Datagram) {
        let now = self.moment();
        if let Keeper::System(kept) = &mut self.keeper {
            let (noted_by, late_s) = kept.stamps;
            let stamp = RawStamp {
                at: RawTime(now.raw.0 + NtpDuration::from_seconds(late_s)),
                error_s: 0.0,
                source: noted_by,
            };
            let mode = HeaderView::at_front(&datagram.bytes).map(HeaderView::mode);
            let is_peers = matches!(mode, Some(Mode::SymmetricActive | Mode::SymmetricPassive));
            let source = if datagram.to_port == NTP_PORT && is_peers {
                kept.peers.get(&datagram.from)
            } else {
                kept.ports.get(&datagram.to_port)
            };
            if let Some(source) = source.copied()
                && let Some(system) = &mut kept.system
            {
                let Ok(()) = system.received(source, &datagram.bytes, stamp, now);
                return;
            }
        }
        if datagram.to_port == NTP_PORT {
            self.serve(datagram, now);
        }
    }

    /// Does what the system process asks for.
    pub(crate) fn act(&mut self) {
        let now = self.moment();
        let (now_s, address) = (self.now_s, self.address);
        let Keeper::System(kept) = &mut self.keeper else {
            return;
        };
        let Some(system) = &mut kept.system else {
            return;
        };
        let mut departures: Vec<(SourceId, RequestId)> = Vec::new();
        while let Some(action) = system.next_action() {
            match action {
                Action::Send {
                    source,
                    to,
                    request,
                } => {
                    let from_port = match request.from {
                        Port::Serving => NTP_PORT,
                        Port::New => {
                            kept.next_port = kept.next_port.checked_add(1).unwrap_or(40_000);
                            kept.ports.retain(|_, other| *other != source);
                            kept.ports.insert(kept.next_port, source);
                            kept.next_port
                        }
                    };
                    if request.from == Port::Serving {
                        kept.peers.insert(to.ip(), source);
                    }
                    kept.seen.requests.push((now_s, to.ip()));
                    self.outbox.push(Datagram {
                        from: address,
                        from_port,
                        to: to.ip(),
                        to_port: to.port(),
                        bytes: request.bytes().to_vec(),
                        after_s: 0.0,
                    });
                    departures.push((source, request.id));
                }
                Action::Close { source } => kept.ports.retain(|_, other| *other != source),
                Action::Resolve { name, host, .. } => {
                    let serial = u64::try_from(self.lookups.len()).expect("few")
                        + kept.seed.wrapping_add(nanos(now_s));
                    kept.names.insert(serial, name);
                    self.lookups.push((serial, host));
                }
                Action::Notice(notice) => kept.seen.notices.push((now_s, notice.text)),
                Action::Appeared { .. } => {}
                Action::Record(record) => kept.seen.record(record),
                Action::End(end) => kept.seen.ends.push(end),
            }
        }
        for (source, request) in departures {
            let (noted_by, late_s) = kept.stamps;
            let stamp = RawStamp {
                at: RawTime(now.raw.0 - NtpDuration::from_seconds(late_s)),
                error_s: 0.0,
                source: noted_by,
            };
            system.departed(source, request, stamp, Some(address));
        }
    }

    /// True seconds until the machine is to be woken.
    pub(crate) fn wait_s(&mut self) -> Option<f64> {
        let Keeper::System(kept) = &mut self.keeper else {
            return None;
        };
        let system = kept.system.as_mut()?;
        let deadline_s = system.next_deadline() as f64 / 1e9;
        let rate = 1.0 + system.clock().kernel().clock.rate_error();
        // As late as any program.
        Some(((deadline_s - kept.monotonic_s) / rate).max(0.0) + 20e-6)
    }

    /// Notes the errors of this second, and lets the oscillator wander.
    pub(crate) fn note_second(&mut self, walk: f64) {
        let raw = self.moment().raw;
        let utc = moment(self.utc_s);
        let Keeper::System(kept) = &mut self.keeper else {
            return;
        };
        let Some(system) = &mut kept.system else {
            return;
        };
        let variables = *system.variables();
        let served_s = (variables.correction.cook(raw).0 - utc).to_seconds();
        let claimed_s = variables.root_delay.to_seconds() / 2.0
            + variables.root_dispersion_at(raw).to_seconds();
        let claimed_s = variables.is_synchronised().then_some(claimed_s);
        kept.seen.served.push((served_s, claimed_s));
        kept.seen.errors_s.push((raw.0 - utc).to_seconds());
        system.clock().kernel().clock.wander(kept.wander * walk);
    }

    pub(crate) fn variables(&mut self) -> SystemVariables {
        match &mut self.keeper {
            Keeper::Fixed { system, .. } => *system,
            Keeper::System(kept) => *kept.system.as_mut().expect("it has begun").variables(),
        }
    }

    /// Now, by this machine's clocks.
    pub(crate) fn moment(&mut self) -> Moment {
        match &mut self.keeper {
            Keeper::Fixed {
                error_s, frequency, ..
            } => Moment {
                monotonic_ns: nanos(self.now_s + 1000.0),
                raw: RawTime(moment(self.utc_s + *error_s + *frequency * self.now_s)),
            },
            Keeper::System(kept) => {
                let error_s = match &mut kept.system {
                    Some(system) => system.clock().kernel().clock.error_s(),
                    None => kept.start.0,
                };
                Moment {
                    monotonic_ns: nanos(kept.monotonic_s),
                    raw: RawTime(moment(self.utc_s + error_s)),
                }
            }
        }
    }

    fn serve(&mut self, mut datagram: Datagram, now: Moment) {
        let mut system = self.variables();
        if let Keeper::Fixed { .. } = self.keeper {
            system.reference_timestamp = now.raw.0;
        }
        self.responder.renew(&system, now.raw);
        let arrival = Arrival {
            peer: datagram.from,
            port: datagram.from_port,
            received: now.raw,
            waited_ns: 0,
            monotonic_ns: now.monotonic_ns,
        };
        let bytes = &mut datagram.bytes;
        let Outcome::Answer(plan) = self.responder.prepare(&arrival, bytes) else {
            self.refused += 1;
            return;
        };
        bytes.truncate(plan.len);
        let departure = RawTime(now.raw.0 + NtpDuration::from_seconds(HOLD_S));
        self.responder.seal(&plan, departure, bytes);
        let told = HeaderView::at_front(bytes).expect("a header");
        self.responder.left(told.receive_timestamp(), departure);
        self.answered += 1;
        self.outbox.push(Datagram {
            from: self.address,
            from_port: datagram.to_port,
            to: datagram.from,
            to_port: datagram.from_port,
            bytes: datagram.bytes,
            after_s: HOLD_S,
        });
    }
}

impl Seen {
    fn record(&mut self, record: Record) {
        match record {
            Record::Measurement { measurement, .. } => {
                self.good += usize::from(measurement.tests.is_good());
                self.interleaved += usize::from(measurement.is_interleaved);
                self.invalid += usize::from(!measurement.tests.is_valid());
            }
            Record::Tracking(tracking) => self.tracking.push(tracking),
            Record::Refclock(record) => self.readings.push(record),
            Record::Statistics { .. }
            | Record::Selection(_)
            | Record::Rtc(_)
            | Record::Temperature(_) => {}
        }
    }

    /// Whether a notice with these words was given.
    pub(crate) fn was_told(&self, words: &str) -> bool {
        self.notices.iter().any(|(_, text)| text.contains(words))
    }
}

/// UTC as a timestamp, in seconds from the start.
pub(crate) fn moment(utc_s: f64) -> NtpTimestamp {
    NtpTimestamp::from_unix(START_S.get(), 0) + NtpDuration::from_seconds(utc_s)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a simulation: small and positive"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
