//! The system process at work: its sockets, names, files, and the kernel's clock.

mod orders;
mod stamps;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token, Waker};

use self::stamps::{Departure, arrival};
use super::cards::{Cards, ThisMachine};
use super::drift_file::DriftFile;
use super::dump_files::DumpFiles;
use super::kernel_form::Kernel;
use super::leap_file::LeapFile;
use super::logs::{Logs, SourceName};
use super::readings::{Reading, Readings};
use super::real_time_clock::{self, RealTimeClock};
use super::records;
use super::refclock::{OpenRefclock, Refclocks};
use super::resolver::Resolver;
use super::source_port::{SourcePort, SourcePortOptions, source_burst};
use super::steps::{ClockPair, Steps};
use crate::auth::KeyStore;
use crate::client::{Port, Request, RequestId, StampSource, unix_near};
use crate::config::{HardwareConfig, RtcConfig, SourceDirectories};
use crate::discipline::{
    Action, End, LeapTable, Moment, Notice, RawStamp, Severity, SourceId, System, SystemOptions,
};
use crate::sys::rtc::RtcDevice;
use crate::sys::{Burst, Timespec, random};
use crate::wire::{NtpTimestamp, RawTime, SystemVariables};

/// The first token of a source's port; those below are the timekeeper's.
pub(super) const FIRST_PORT: usize = 16;

/// The real-time clock's; ports begin behind it.
const RTC: usize = FIRST_PORT;

/// All that the system process begins with.
pub(super) struct SystemStart {
    pub(super) options: SystemOptions,
    pub(super) kernel: Kernel,
    pub(super) keys: Arc<KeyStore>,
    /// Where requests are sent from.
    pub(super) ports: SourcePortOptions,
    /// The port at which we serve; 0: none.
    pub(super) serving_port: u16,
    /// The files of `log`.
    pub(super) logs: Logs,
    /// `driftfile`
    pub(super) drift_file: Option<DriftFile>,
    /// `dumpdir`
    pub(super) dumps: Option<DumpFiles>,
    /// `-r`
    pub(super) reads_dumps: bool,
    /// `leapseclist` or `leapsectz`
    pub(super) leap_file: Option<LeapFile>,
    /// `refclock`
    pub(super) refclocks: Vec<OpenRefclock>,
    /// The real-time clock.
    pub(super) rtc: RtcConfig,
    /// `sourcedir`
    pub(super) directories: Vec<SourceDirectories>,
    /// Cards that stamp.
    pub(super) hardware: HardwareConfig,
    /// The sensor of `tempcomp`, and how often it is read.
    pub(super) sensor: Option<(PathBuf, Duration)>,
}

impl SystemStart {
    /// Takes the clock over. Answers of the resolver, and what was read, come with the token `names`.
    ///
    /// # Errors
    /// The kernel's clock, randomness or a thread cannot be had.
    pub(super) fn begin(
        mut self,
        poll: &Poll,
        names: Token,
        precision: i8,
    ) -> io::Result<SystemProcess> {
        let waker = Arc::new(Waker::new(poll.registry(), names)?);
        let resolver = Resolver::start(Arc::clone(&waker))?;
        let readings = Readings::start(self.sensor, self.leap_file, now().monotonic_ns, waker)?;
        self.options.precision = precision;
        self.options.start_unix_s = ClockPair::read().real.secs;
        let leap_table = self.options.leap_table.clone();
        let mut pool = RandomBits::draw()?;
        let random = Box::new(move || pool.next());
        let keys = Arc::clone(&self.keys);
        let mut system = System::new(self.options, self.kernel, self.keys, random, now())?;
        let start_ns = now().monotonic_ns;
        let cards = Cards::start(&self.hardware, ThisMachine, start_ns, |number, clock| {
            system.add_card_clock(number, clock);
        });
        self.ports.by_card = !cards.is_empty();
        let mut process = SystemProcess {
            system,
            keys,
            registry: poll.registry().try_clone()?,
            resolver,
            readings,
            cards,
            scratch: source_burst(),
            rtc: real_time_clock::open(&self.rtc, now().monotonic_ns),
            leap_table,
            refclocks: Refclocks::default(),
            by_refclock: BTreeMap::new(),
            options: self.ports,
            serving_port: self.serving_port,
            ports: BTreeMap::new(),
            by_source: BTreeMap::new(),
            next_token: FIRST_PORT + 1,
            burst: source_burst(),
            steps: Steps::default(),
            logs: self.logs,
            drift_file: self.drift_file,
            dumps_to_read: self.dumps.clone().filter(|_| self.reads_dumps),
            dumps: self.dumps,
            directories: self.directories,
            end: None,
        };
        if let Some(rtc) = &process.rtc {
            let fd = rtc.as_raw_fd();
            let (source, token) = (&mut SourceFd(&fd), Token(RTC));
            process
                .registry
                .register(source, token, Interest::READABLE)?;
        }
        for refclock in self.refclocks {
            process.add_refclock(refclock)?;
        }
        process.steps.seen(ClockPair::read());
        process.act()?;
        if let Some(dumps) = &process.dumps {
            // What is not read now is too old for whoever comes later.
            dumps.remove_all();
        }
        Ok(process)
    }
}

/// The kernel's random bits, some at a time.
struct RandomBits {
    left: Vec<u64>,
}

impl RandomBits {
    fn draw() -> io::Result<Self> {
        let bytes: [u8; 256] = random::array()?;
        let words = bytes.as_chunks::<8>().0.iter();
        Ok(Self {
            left: words.map(|word| u64::from_ne_bytes(*word)).collect(),
        })
    }

    /// Nobody can guess it. The kernel gave bits at the start, so it does now.
    fn next(&mut self) -> u64 {
        loop {
            if let Some(word) = self.left.pop() {
                return word;
            }
            if let Ok(more) = Self::draw() {
                *self = more;
            }
        }
    }
}

/// [`System`] with all that it asks for.
pub(super) struct SystemProcess {
    system: System<Kernel>,
    keys: Arc<KeyStore>,
    registry: Registry,
    resolver: Resolver,
    readings: Readings,
    /// `rtcfile`
    rtc: Option<RealTimeClock<RtcDevice>>,
    /// `hwtimestamp`
    cards: Cards<ThisMachine>,
    /// For stamps that are waited for while a packet is in the other.
    scratch: Burst,
    /// In use.
    leap_table: Option<LeapTable>,
    refclocks: Refclocks,
    /// Those that say by a descriptor that there is something to read, by its token.
    by_refclock: BTreeMap<usize, SourceId>,
    options: SourcePortOptions,
    /// The port at which we serve.
    serving_port: u16,
    ports: BTreeMap<usize, OpenPort>,
    by_source: BTreeMap<SourceId, usize>,
    next_token: usize,
    burst: Burst,
    steps: Steps,
    logs: Logs,
    drift_file: Option<DriftFile>,
    /// `dumpdir`
    dumps: Option<DumpFiles>,
    /// `-r`, until all that is in the configuration has an address.
    dumps_to_read: Option<DumpFiles>,
    /// `sourcedir`, as the files were when they were read last.
    directories: Vec<SourceDirectories>,
    end: Option<End>,
}

struct OpenPort {
    source: SourceId,
    port: SourcePort,
    /// The last request that was sent there.
    request: RequestId,
    is_serving: bool,
}

impl SystemProcess {
    /// What we say of ourselves.
    pub(super) const fn variables(&self) -> &SystemVariables {
        self.system.variables()
    }

    /// Why the program is to end, if it is.
    pub(super) const fn end(&self) -> Option<End> {
        self.end
    }

    /// What it keeps.
    pub(super) const fn system(&self) -> &System<Kernel> {
        &self.system
    }

    /// `keyfile`
    pub(super) fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// How long nothing is to be done.
    pub(super) fn wait(&self) -> Duration {
        let now_ns = now().monotonic_ns;
        let rtc_ns = self.rtc.as_ref().map(RealTimeClock::next_deadline);
        let deadlines = [
            Some(self.system.next_deadline()),
            self.readings.next_deadline(),
            rtc_ns,
            self.refclocks.next_deadline(),
            self.cards.next_deadline(),
        ];
        let next_ns = deadlines.into_iter().flatten().fold(u64::MAX, u64::min);
        Duration::from_nanos(next_ns.saturating_sub(now_ns))
    }

    /// Does what is due. Somebody may have set the clock meanwhile.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        self.look_for_steps()?;
        self.system.timeout(now())?;
        while let Some((name, addresses)) = self.resolver.answer() {
            self.system.resolved(name, &addresses, now());
        }
        self.read_files()?;
        self.keep_rtc();
        for (id, reading) in self.refclocks.due(now().monotonic_ns) {
            self.system.refclock_read(id, &reading, now());
        }
        let (cards, system) = (&mut self.cards, &mut self.system);
        cards.read(now().monotonic_ns, |number, readings| {
            system.card_read(number, readings);
        });
        if let (Some(file), Some(drift)) = (&mut self.drift_file, self.system.drift()) {
            file.offer(&drift, now().monotonic_ns);
        }
        self.act()
    }

    /// A port has something.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub(super) fn ready(&mut self, token: Token) -> io::Result<()> {
        self.look_for_steps()?;
        if token.0 == RTC {
            self.rtc_ready();
            return self.act();
        }
        if let Some(id) = self.by_refclock.get(&token.0).copied() {
            for reading in self.refclocks.ready(id) {
                self.system.refclock_read(id, &reading, now());
            }
            return self.act();
        }
        self.exchange(token.0)?;
        self.act()
    }

    /// Takes what one port has: first when its request left, then what came.
    fn exchange(&mut self, token: usize) -> io::Result<()> {
        let Some(open) = self.ports.get(&token) else {
            return Ok(()); // It was closed since.
        };
        let (system, source, cards) = (&mut self.system, open.source, &self.cards);
        let mut request = Departure::of(open);
        request.take(&mut self.burst, system);
        let (burst, scratch) = (&mut self.burst, &mut self.scratch);
        let mut outcome = Ok(());
        open.port.receive(burst, |received| {
            if outcome.is_err() {
                return;
            }
            let now = now();
            if let Some(card) = cards.of(&received.stamp).filter(|card| card.transmits) {
                request.settle(card, cards.timeout_ns, scratch, system);
            }
            let stamp = arrival(&received.stamp, cards, system, now);
            outcome = system.received(source, received.packet, stamp, now);
        });
        outcome
    }

    fn add_refclock(&mut self, refclock: OpenRefclock) -> io::Result<()> {
        let name = SourceName::Refclock(refclock.options.reference_id);
        let id = self.system.add_refclock(refclock.options, now());
        let kept = self.dumps_to_read.as_ref();
        if let Some(dump) = kept.and_then(|files| files.load(name, None, false)) {
            self.system.restore_refclock(id, &dump);
        }
        if let Some(fd) = refclock.descriptor() {
            let token = Token(self.next_token);
            self.next_token += 1;
            self.registry
                .register(&mut SourceFd(&fd), token, Interest::READABLE)?;
            self.by_refclock.insert(token.0, id);
        }
        self.refclocks.add(id, refclock);
        Ok(())
    }

    /// The program ends: the clock is left as it is kept best.
    pub(super) fn finish(&mut self) {
        if let Err(error) = self.system.end(now()) {
            log::warn!("the clock's frequency cannot be set: {error}");
        }
        if let (Some(file), Some(drift)) = (&mut self.drift_file, self.system.drift()) {
            file.write(&drift);
        }
        if let (Some(rtc), Some(found)) = (&self.rtc, self.system.rtc_coefficients()) {
            rtc.write(&found);
        }
        if let Some(files) = &self.dumps {
            for (source, dump) in self.system.dumps() {
                files.save(source, &dump);
            }
        }
    }

    /// Files that are read while we run.
    fn read_files(&mut self) -> io::Result<()> {
        self.readings.turn(now().monotonic_ns);
        while let Some(reading) = self.readings.next() {
            match reading {
                Reading::Temperature(temperature) => self.system.temperature(temperature, now())?,
                Reading::LeapTable(table) => {
                    if self.leap_table.as_ref() != Some(&table) {
                        log::info!("the table of leap seconds has changed");
                        self.leap_table = Some(table.clone());
                        self.system.set_leap_table(table);
                    }
                }
            }
        }
        Ok(())
    }

    /// A second of the real-time clock may have begun.
    fn rtc_ready(&mut self) {
        let Some(rtc) = &mut self.rtc else { return };
        let now = now();
        let interval_s = self.system.rtc_interval_s();
        let Some(tick) = rtc.ready(now.raw, now.monotonic_ns, interval_s) else {
            return;
        };
        self.system.rtc_measured(tick.rtc_unix_s, tick.at);
        if let Some(ahead_s) = self.system.rtc_ahead_s(now) {
            let (_, nanos) = served_unix(&mut self.system, now.raw);
            rtc.offer(ahead_s, now.monotonic_ns, nanos);
        }
    }

    /// The real-time clock is measured, or set, when it is time for it.
    fn keep_rtc(&mut self) {
        let Some(rtc) = &mut self.rtc else { return };
        let now = now();
        let unix = served_unix(&mut self.system, now.raw);
        if rtc.turn(now.monotonic_ns, unix) {
            self.system.rtc_was_set();
        }
    }

    /// Somebody else's steps; our own are known.
    fn look_for_steps(&mut self) -> io::Result<()> {
        let own = self.system.clock().kernel().take_own_steps();
        let pair = ClockPair::read();
        let Some(step_ns) = self.steps.seen(pair) else {
            return Ok(());
        };
        let moment = now();
        if own || self.system.makes_leap_second(step_ns, moment) {
            return Ok(());
        }
        let step_s = NtpSeconds(step_ns);
        log::warn!("the system clock was stepped by {step_s} s");
        self.system.clock_jumped(moment)
    }

    /// Does what the system process asks for.
    fn act(&mut self) -> io::Result<()> {
        while let Some(action) = self.system.next_action() {
            match action {
                Action::Send {
                    source,
                    to,
                    request,
                } => self.send(source, to, &request)?,
                Action::Close { source } => self.close(source),
                Action::Resolve { name, host, family } => self.resolver.ask(name, host, family),
                Action::Appeared {
                    source,
                    address,
                    host,
                    is_authenticated,
                } => {
                    let kept = self.dumps_to_read.as_ref().and_then(|files| {
                        let address = SourceName::Address(address);
                        files.load(address, Some(&host), is_authenticated)
                    });
                    if let Some(dump) = kept {
                        self.system.restore(source, &dump);
                    }
                }
                Action::Record(record) => records::write(&mut self.logs, &record),
                Action::Notice(notice) => tell(&notice),
                Action::End(end) => self.end = Some(end),
            }
        }
        Ok(())
    }

    fn send(&mut self, source: SourceId, to: SocketAddr, request: &Request) -> io::Result<()> {
        let token = match self.port_for(source, to, request.from) {
            Ok(token) => token,
            Err(error) => {
                log::debug!("{to}: no port: {error}");
                self.system.send_failed(source, request.id);
                return Ok(());
            }
        };
        let Some(open) = self.ports.get_mut(&token) else {
            return Ok(());
        };
        open.request = request.id;
        let before = now().raw;
        if !open.port.send(request.bytes(), &mut self.burst) {
            log::debug!("{to}: the request could not be sent");
            self.system.send_failed(source, request.id);
            return Ok(());
        }
        let stamp = RawStamp {
            at: before,
            error_s: 0.0,
            source: StampSource::Daemon,
        };
        let own = open.port.own_address();
        self.system.departed(source, request.id, stamp, own);
        Ok(())
    }

    fn port_for(&mut self, source: SourceId, to: SocketAddr, from: Port) -> io::Result<usize> {
        if let Some(token) = self.by_source.get(&source)
            && from == Port::Serving
            && self.ports.get(token).is_some_and(|o| o.port.peer() == to)
        {
            return Ok(*token);
        }
        self.drop_port(source);
        let port = match from {
            Port::New => SourcePort::open(to, &self.options)?,
            Port::Serving => SourcePort::open_serving(to, self.serving_port, &self.options)?,
        };
        let token = self.next_token;
        self.next_token += 1;
        let fd = port.as_raw_fd();
        self.registry
            .register(&mut SourceFd(&fd), Token(token), Interest::READABLE)?;
        let open = OpenPort {
            source,
            port,
            request: RequestId::NONE,
            is_serving: from == Port::Serving,
        };
        self.ports.insert(token, open);
        self.by_source.insert(source, token);
        Ok(token)
    }

    /// No reply is expected; a peer may still have something to say.
    fn close(&mut self, source: SourceId) {
        let token = self.by_source.get(&source);
        let open = token.and_then(|token| self.ports.get(token));
        if open.is_some_and(|open| !open.is_serving) {
            self.drop_port(source);
        }
    }

    fn drop_port(&mut self, source: SourceId) {
        // Closing the descriptor takes it out of the epoll.
        if let Some(token) = self.by_source.remove(&source) {
            self.ports.remove(&token);
        }
    }
}

/// Nanoseconds, to be shown as seconds.
struct NtpSeconds(i64);

impl std::fmt::Display for NtpSeconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = crate::wire::NtpDuration::from_nanos(self.0).to_seconds();
        write!(f, "{seconds:+.6}")
    }
}

/// The time as served, in seconds and nanoseconds since 1970.
fn served_unix(system: &mut System<Kernel>, raw: RawTime) -> (i64, u32) {
    let served = system.clock().cook(raw).0;
    unix_near(served, ClockPair::read().real.secs)
}

fn tell(notice: &Notice) {
    let level = match notice.severity {
        Severity::Information => Level::Info,
        Severity::Warning => Level::Warn,
        Severity::Error => Level::Error,
    };
    if level > log::max_level() {
        return;
    }
    let mut record = log::Record::builder();
    record.level(level).target(module_path!());
    record.file_static(Some(notice.place.file()));
    record.line(Some(notice.place.line()));
    log::logger().log(&record.args(format_args!("{}", notice.text)).build());
}

/// Now, by both clocks.
pub(super) fn now() -> Moment {
    let pair = ClockPair::read();
    Moment {
        monotonic_ns: pair.monotonic_ns,
        raw: raw_time(pair.real),
    }
}

fn raw_time(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}
