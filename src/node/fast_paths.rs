//! The kernel as one more that answers: at each interface of a `fastpath` line our program, which is told what workers
//! are told, and whose counts are told with theirs.
//!
//! All of it is the timekeeper's. What it publishes is valid for [`VALID_NS`]; it publishes anew each second, so where it
//! falls silent, or is gone, the program passes everything up to the sockets soon.

use std::cell::{Cell, Ref, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use super::counters::{Event, WorkerCounters};
use super::tables::Rules;
use crate::auth::Key;
use crate::config::{Config, FastPathLine, Unsynchronised};
use crate::fastpath::{
    Attachment, FastPathError, PASSED_REASONS, Program, ProgramCounts, ProgramOptions, Terms,
};
use crate::server::{AccessTable, Client};
use crate::sys::{adjtimex, bpf::XdpMode, clock, random};
use crate::wire::{KeyId, NtpTimestamp, RawTime, SystemVariables};

/// One interface.
struct FastPath {
    program: Program,
    attachment: Attachment,
    counters: WorkerCounters,
    /// Read last.
    counts: Cell<ProgramCounts>,
    /// Why the program is not at its interface any more, as told last.
    trouble: Option<String>,
}

/// All interfaces at which the kernel answers for us.
#[derive(Default)]
pub(in crate::node) struct FastPaths {
    paths: Vec<FastPath>,
    terms: Option<Terms>,
    /// `requireauth`
    require_auth: Option<AccessTable>,
    /// `bindaddress`, or that of all families at which a port is open.
    bound: Vec<IpAddr>,
    /// What was published last.
    system: Option<SystemVariables>,
    next_ns: u64,
    /// Until when an earlier run's record may be valid: its program stays that long while we do not know the time.
    former_until_ns: u64,
    /// Since when other keys are in force than before.
    rekeyed_ns: Option<u64>,
    distance: Distance,
    /// Clients as they were listed last, and when.
    listing: RefCell<(u64, Vec<Client>)>,
}

impl FastPaths {
    /// Loads the program for each interface and puts it there: it passes everything up until something is published.
    /// `ports` are open: what comes to other addresses is not ours.
    ///
    /// # Errors
    /// An interface cannot have it.
    pub(in crate::node) fn open(
        config: &Config,
        keys: &[Key],
        ports: &[SocketAddr],
    ) -> Result<Self, FastPathError> {
        let Rules {
            access,
            require_auth,
        } = Rules::of(&config.server);
        let mut all = Self {
            require_auth: Some(require_auth),
            bound: ports.iter().map(SocketAddr::ip).collect(),
            former_until_ns: clock::monotonic_ns() + VALID_NS,
            ..Self::default()
        };
        if config.fast_path.lines.is_empty() {
            return Ok(all);
        }
        for line in &config.fast_path.lines {
            if let Some(device) = &config.server.bind_device
                && *device != line.interface
            {
                log::warn!(
                    "fastpath {}: no effect: binddevice {device} serves elsewhere",
                    line.interface
                );
                continue;
            }
            all.paths.push(FastPath::open(line, config, keys)?);
        }
        all.terms = Some(terms(config));
        all.rekey(keys)?;
        all.admit(&access)?;
        Ok(all)
    }

    /// When something is to be published though nothing changes.
    pub(in crate::node) const fn next_deadline(&self) -> Option<u64> {
        if self.paths.is_empty() {
            None
        } else {
            Some(self.next_ns)
        }
    }

    /// Publishes what we say of ourselves, where it has changed or is due.
    pub(in crate::node) fn renew(&mut self, system: &SystemVariables) {
        let now_ns = clock::monotonic_ns();
        if self.paths.is_empty() || self.system.as_ref() == Some(system) && now_ns < self.next_ns {
            return;
        }
        if now_ns >= self.next_ns {
            self.look_at_addresses();
            self.next_ns = now_ns + PERIOD_NS;
        }
        self.system = Some(*system);
        if let Err(error) = self.publish(system, now_ns) {
            log::error!("fastpath: {error}");
        }
    }

    /// Puts another table of `allow` and `deny` in force.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::node) fn admit(&mut self, access: &AccessTable) -> Result<(), FastPathError> {
        let Some(require_auth) = &self.require_auth else {
            return Ok(());
        };
        for path in &mut self.paths {
            path.program.admit(access, require_auth)?;
        }
        if let Some(system) = self.system {
            self.publish(&system, clock::monotonic_ns())?;
        }
        Ok(())
    }

    /// Puts other keys in force.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::node) fn rekey(&mut self, keys: &[Key]) -> Result<(), FastPathError> {
        let ciphers: Vec<_> = keys.iter().filter_map(Key::cipher).collect();
        for path in &mut self.paths {
            let left = path.program.rekey(&ciphers)?;
            if left > 0 && path.program.signs() {
                log::warn!(
                    "fastpath {}: no room for {left} of {} keys: the sockets answer those",
                    path.attachment.interface(),
                    ciphers.len()
                );
            }
        }
        self.rekeyed_ns = Some(clock::monotonic_ns());
        if let Some(system) = self.system {
            self.publish(&system, clock::monotonic_ns())?;
        }
        Ok(())
    }

    /// What each has counted, read from the kernel, by interface.
    pub(in crate::node) fn counters(&self) -> impl Iterator<Item = (&str, &WorkerCounters)> {
        self.paths.iter().map(|path| {
            path.read();
            (path.attachment.interface(), &path.counters)
        })
    }

    /// What each left to the sockets, by interface and by the reason; the last is what it did not, because of
    /// `fastpathlimit`. As read last.
    pub(in crate::node) fn passed(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.paths.iter().flat_map(|path| {
            let counts = path.counts.get();
            let passed = PASSED_REASONS.into_iter().zip(counts.passed);
            let all = passed.chain(std::iter::once(("shed", counts.shed)));
            all.map(|(reason, count)| (path.attachment.interface(), reason, count))
        })
    }

    /// How often each key was used.
    pub(in crate::node) fn key_uses(&self) -> BTreeMap<KeyId, u64> {
        let mut all = BTreeMap::new();
        for path in &self.paths {
            match path.program.key_uses() {
                Ok(uses) => {
                    for (id, count) in uses {
                        *all.entry(id).or_default() += count;
                    }
                }
                Err(error) => log::error!("fastpath: {error}"),
            }
        }
        all
    }

    /// All clients that any of them remembers, each once, by address. A listing is asked for page by page: it stays the
    /// same for some seconds unless it `begins` anew.
    pub(in crate::node) fn clients(&self, begins: bool) -> Ref<'_, [Client]> {
        let now_ns = clock::monotonic_ns();
        let mut listing = self.listing.borrow_mut();
        if begins || now_ns.saturating_sub(listing.0) > LISTING_NS {
            let read = |path: &FastPath| {
                let clients = path.program.clients();
                clients.inspect_err(|error| log::error!("fastpath: {error}"))
            };
            let mut all: Vec<Client> = self.paths.iter().flat_map(read).flatten().collect();
            all.sort_by_key(|client| (client.address(), Reverse(client.last_hit_ns)));
            all.dedup_by_key(|client| client.address());
            *listing = (now_ns, all);
        }
        drop(listing);
        Ref::map(self.listing.borrow(), |(_, clients)| &clients[..])
    }

    /// One client, of the first that remembers it; its counts begin anew if `resets`.
    pub(in crate::node) fn client(&self, address: IpAddr, resets: bool) -> Option<Client> {
        self.paths.iter().find_map(|path| {
            let client = path.program.client(address).ok().flatten()?;
            if resets && let Err(error) = path.program.reset_client(address) {
                log::error!("fastpath: {error}");
            }
            Some(client)
        })
    }

    /// Takes all of them away, or lets them stay for the next run.
    pub(in crate::node) fn finish(&mut self, stay: bool) {
        for path in &mut self.paths {
            let attachment = &mut path.attachment;
            if stay {
                attachment.stay();
                log::info!(
                    "fastpath {}: answers for ten seconds more, for the next run to take over",
                    attachment.interface()
                );
            } else {
                match attachment.detach() {
                    Ok(()) => log::info!("fastpath {}: taken away", attachment.interface()),
                    Err(error) => log::error!("fastpath: {error}"),
                }
            }
        }
    }

    fn publish(&mut self, system: &SystemVariables, now_ns: u64) -> Result<(), FastPathError> {
        let Some(terms) = &mut self.terms else {
            return Ok(());
        };
        // The former keys are nobody's a while after others came into force.
        let is_settled = self
            .rekeyed_ns
            .is_some_and(|at_ns| now_ns >= at_ns + PERIOD_NS);
        if is_settled {
            self.rekeyed_ns = None;
        }
        let (tai_ahead_ns, leaps_in_ns) = kernel_times();
        let utc_ahead_ns = self.distance.measure();
        terms.tai_ahead_ns = tai_ahead_ns + utc_ahead_ns;
        terms.now = (now_ns, raw_time(now_ns, utc_ahead_ns));
        terms.valid_until_ns = now_ns + leaps_in_ns.map_or(VALID_NS, |left| left.min(VALID_NS));
        for path in &mut self.paths {
            path.program.publish(system, terms)?;
            if is_settled {
                path.program.forget_former()?;
            }
            let may_take_over = system.is_synchronised() || now_ns >= self.former_until_ns;
            if path.attachment.is_former() && may_take_over {
                path.attachment
                    .take_over(path.program.descriptor()?.as_fd())?;
                log::info!(
                    "fastpath {}: taken over from an earlier run",
                    path.attachment.interface()
                );
            }
        }
        Ok(())
    }

    /// Addresses come and go while we serve; those that are bound one by one stay.
    fn look_at_addresses(&mut self) {
        let found = match local_addresses(&self.bound) {
            Ok(found) => found,
            Err(error) => {
                log::warn!("fastpath: this machine's addresses: {error}");
                return;
            }
        };
        for path in &mut self.paths {
            if let Err(error) = path.program.serve(&found) {
                log::error!("fastpath: {error}");
            }
            path.look_at_interface();
        }
    }
}

impl FastPath {
    fn open(line: &FastPathLine, config: &Config, keys: &[Key]) -> Result<Self, FastPathError> {
        let ciphers = keys.iter().filter(|key| key.cipher().is_some()).count();
        let program = Program::load(ProgramOptions {
            clients: clients_max(config),
            keys: u32::try_from(ciphers)
                .unwrap_or(u32::MAX)
                .saturating_mul(2)
                .clamp(KEYS_MIN, KEYS_MAX),
            signs: true,
            seed: random::array()
                .map(|bytes: [u8; 16]| u128::from_ne_bytes(bytes))
                .map_err(|error| FastPathError::io("randomness".into(), error))
                .map(halves)?,
        })?;
        if !program.signs() {
            log::warn!(
                "fastpath {}: this kernel has no ciphers for it (Linux 6.10 has): the sockets answer signed requests",
                line.interface
            );
        }
        let descriptor = program.descriptor()?;
        let attachment = Attachment::new(&line.interface, line.mode, descriptor.as_fd())?;
        let how = match attachment.mode() {
            Some(XdpMode::Native) => "run by the driver",
            Some(XdpMode::Generic) => "run by the kernel, not the driver",
            None => "in the place of an earlier run's, as soon as the time is known",
        };
        log::info!("fastpath {}: {how}", line.interface);
        Ok(Self {
            program,
            attachment,
            counters: WorkerCounters::default(),
            counts: Cell::default(),
            trouble: None,
        })
    }

    /// Interfaces go and come again: what is of the same name is ours again. Told once, however long it takes.
    fn look_at_interface(&mut self) {
        let name = self.attachment.interface();
        match self.attachment.is_gone() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                log::error!("fastpath {name}: {error}");
                return;
            }
        }
        let descriptor = self.program.descriptor();
        let again = descriptor.and_then(|program| self.attachment.come_again(program.as_fd()));
        let trouble = again.err().map(|error| error.to_string());
        let name = self.attachment.interface();
        match &trouble {
            None => {
                log::info!("fastpath {name}: the interface is there again, and has the program")
            }
            Some(trouble) if self.trouble.as_ref() != Some(trouble) => {
                log::warn!("fastpath: {trouble}")
            }
            Some(_) => {}
        }
        self.trouble = trouble;
    }

    fn read(&self) {
        match self.program.counts() {
            Ok(counts) => self.counts.set(counts),
            Err(error) => log::error!("fastpath {}: {error}", self.attachment.interface()),
        }
        let counts = self.counts.get();
        self.counters.copy_outcomes(&counts.outcomes, &counts.kinds);
        let residence = self.counters.residence();
        residence.copy_octaves(&counts.residence, counts.residence_sum_ns);
        let answered: u64 = counts.outcomes[..4].iter().sum();
        self.counters.set(Event::Sent, answered);
        // Arrivals are stamped as they are taken from the card.
        self.counters.set(Event::TimestampKernel, counts.decided());
    }
}

/// A large number as two.
#[expect(clippy::cast_possible_truncation, reason = "its halves")]
const fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

fn terms(config: &Config) -> Terms {
    let server = &config.server;
    Terms {
        now: (0, RawTime::default()),
        tai_ahead_ns: 0,
        valid_until_ns: 0,
        departure_ns: config.fast_path.departure_ns.into(),
        rate_limit: server.rate_limit,
        passed: config.fast_path.limit,
        silent_unsynchronised: server.unsynchronised == Unsynchronised::Silent,
        has_clients: server.client_log_bytes.is_some(),
        dscp: server.dscp,
        port: server.port,
    }
}

/// By `clientloglimit`: the program has a table of its own, as large as the workers' together.
fn clients_max(config: &Config) -> u32 {
    let bytes = config.server.client_log_bytes.unwrap_or(0);
    u32::try_from(bytes / CLIENT_BYTES)
        .unwrap_or(u32::MAX)
        .clamp(CLIENTS_MIN, CLIENTS_MAX)
}

/// By how much the kernel's TAI is ahead of its UTC, in nanoseconds; and how long it stays so, where it is going to insert
/// or leave out a second: the program cannot follow that, the sockets can.
fn kernel_times() -> (i64, Option<u64>) {
    let mut timex = adjtimex::Timex::default();
    if adjtimex::adjtimex(&mut timex).is_err() {
        return (0, None);
    }
    let leaps = timex.status & (adjtimex::STATUS_INSERT | adjtimex::STATUS_DELETE) != 0;
    let now = clock::realtime();
    let left_s = DAY_S - 1 - now.secs.rem_euclid(DAY_S);
    let left_ns = u64::try_from(left_s).unwrap_or(0) * NANOS_PER_S;
    let left_ns = left_ns.saturating_sub(u64::from(now.nanos));
    (
        i64::from(timex.tai_s) * NANOS_PER_S.cast_signed(),
        leaps.then_some(left_ns),
    )
}

/// The system clock's time at a moment of the clock that never steps.
fn raw_time(monotonic_ns: u64, utc_ahead_ns: i64) -> RawTime {
    let unix_ns = monotonic_ns.cast_signed() + utc_ahead_ns;
    let per_s = NANOS_PER_S.cast_signed();
    let nanos = u32::try_from(unix_ns.rem_euclid(per_s)).unwrap_or(0);
    RawTime(NtpTimestamp::from_unix(unix_ns.div_euclid(per_s), nanos))
}

/// By how much the system clock is ahead of the clock that never steps: the same until somebody sets the system clock, so
/// of all measurements that agree the one that took the shortest is the best.
#[derive(Default)]
struct Distance {
    ahead_ns: i64,
    /// How long it took to measure it; 0: it was not yet.
    taken_ns: u64,
}

impl Distance {
    fn measure(&mut self) -> i64 {
        for _ in 0..MEASUREMENTS {
            let before_ns = clock::monotonic_ns();
            let real = clock::realtime();
            let taken_ns = (clock::monotonic_ns() - before_ns).max(1);
            let real_ns = real.secs * NANOS_PER_S.cast_signed() + i64::from(real.nanos);
            let middle_ns = before_ns + taken_ns / 2;
            let ahead_ns = real_ns - middle_ns.cast_signed();
            let is_other = self.ahead_ns.abs_diff(ahead_ns) > self.taken_ns + taken_ns;
            if is_other || taken_ns <= self.taken_ns {
                *self = Self { ahead_ns, taken_ns };
            }
        }
        self.ahead_ns
    }
}

/// The bound addresses; in place of the unspecified one all that this machine has of its family.
fn local_addresses(bound: &[IpAddr]) -> io::Result<Vec<IpAddr>> {
    if !bound.iter().any(IpAddr::is_unspecified) {
        return Ok(bound.to_vec());
    }
    let mut found: Vec<IpAddr> = if_addrs::get_if_addrs()?
        .iter()
        .map(if_addrs::Interface::ip)
        .collect();
    found.retain(|address| {
        let is_open = |any: &&IpAddr| any.is_unspecified() && any.is_ipv4() == address.is_ipv4();
        bound.iter().any(|one| is_open(&one)) || bound.contains(address)
    });
    Ok(found)
}

/// How often what is valid is said again.
const PERIOD_NS: u64 = NANOS_PER_S;
/// How long it is valid: the timekeeper is never busy for that long, and a restart rarely takes longer.
const VALID_NS: u64 = 10 * NANOS_PER_S;
/// How long a listing of clients is gone on with.
const LISTING_NS: u64 = 10 * NANOS_PER_S;
const NANOS_PER_S: u64 = 1_000_000_000;
const DAY_S: i64 = 86_400;
/// Readings of both clocks for one record.
const MEASUREMENTS: usize = 8;
/// Of one client in the program's table.
const CLIENT_BYTES: usize = 48;
const CLIENTS_MIN: u32 = 1 << 10;
const CLIENTS_MAX: u32 = 1 << 24;
/// Room for keys that a key file may get while we serve.
const KEYS_MIN: u32 = 1 << 10;
/// Each takes the kernel some microseconds to make, and a kilobyte.
const KEYS_MAX: u32 = 1 << 14;
