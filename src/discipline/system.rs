//! The system process (RFC 5905 §11): all sources, which of them the clock follows, and what we say of ourselves.
//!
//! The caller owns sockets, clocks and files. It sleeps until [`System::next_deadline`], calls [`System::timeout`],
//! tells of packets by [`System::received`], and after each call does what [`System::next_action`] gives it until there
//! is nothing more, and publishes [`System::variables`].

mod action;
mod cards;
mod manual;
mod members;
mod names;
mod refclock;
mod report;
mod rtc;
mod say;
mod select;
mod source;
mod steer;
mod temperature;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::panic::Location;
use std::sync::Arc;

pub use action::{
    Action, End, Moment, NameId, Notice, Record, RefclockReading, RefclockRecord, RtcRecord,
    SelectionRecord, Severity, SourceId, TemperatureRecord, TrackingRecord,
};
pub use cards::RawCardSample;
pub use members::CannotAdd;
pub use names::SourceSpec;
pub use refclock::RawReading;
pub use report::{ServerReport, SourceReport, UnresolvedReport};

use self::names::Name;
use self::refclock::RefclockSource;
use self::say::Followed;
use self::source::{RegisterOptions, Source, Trouble};
use self::temperature::Compensation;
use super::{
    Adjustment, CookedClock, Drift, KernelClock, LeapMode, LeapState, LeapTable, Local,
    LocalReference, Manual, RtcTracking, Servo, ServoOptions, Smoothing, SmoothingOptions,
    Tempcomp,
};
use crate::auth::KeyStore;
use crate::client::{
    self, ClockChange, Due, HardwareClock, Now, Orphan, RequestId, SelectionOptions, Stamp,
    StampSource, Test, reference_id,
};
use crate::wire::{CookedTime, RawTime, SystemVariables};

/// All that the configuration says of sources and clock.
#[derive(Clone, Debug)]
pub struct SystemOptions {
    /// `server`, `pool`, `peer`, in their order.
    pub sources: Vec<SourceSpec>,
    /// What the program is started for.
    pub purpose: Purpose,
    /// `initstepslew`
    pub initial: Option<InitialStep>,
    /// Seconds of UTC since the Unix epoch at the start, by the kernel's clock.
    pub start_unix_s: i64,
    /// log2 of the clock's precision in seconds.
    pub precision: i8,
    /// The directives about selection.
    pub selection: SelectionOptions,
    /// `authselectmode`
    pub auth_select: AuthSelectMode,
    /// The directives about the discipline.
    pub servo: ServoOptions,
    /// `maxslewrate`, as a fraction.
    pub slew_rate_max: f64,
    /// `maxdrift`, as a fraction.
    pub frequency_max: f64,
    /// `minsamples`
    pub samples_min: usize,
    /// `maxsamples`; 0 is the largest.
    pub samples_max: usize,
    /// `refresh` in seconds; 0: names are not looked up again by themselves.
    pub refresh_s: u64,
    /// `local`
    pub local: Option<Local>,
    /// `leapsecmode`
    pub leap_mode: LeapMode,
    /// `leapsectz` or `leapseclist`
    pub leap_table: Option<LeapTable>,
    /// `manual`
    pub manual: bool,
    /// `smoothtime`
    pub smoothing: Option<SmoothingOptions>,
    /// `tempcomp`
    pub tempcomp: Option<Tempcomp>,
    /// `logchange` in seconds: larger offsets are told.
    pub log_change_s: f64,
    /// The drift file, as it was at the start.
    pub drift: Option<Drift>,
}

impl Default for SystemOptions {
    /// chrony's defaults, and no source.
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            purpose: Purpose::Keep,
            initial: None,
            start_unix_s: 0,
            precision: -23,
            selection: SelectionOptions::default(),
            auth_select: AuthSelectMode::Mix,
            servo: ServoOptions::default(),
            slew_rate_max: 1.0 / 12.0,
            frequency_max: 0.1,
            samples_min: 6,
            samples_max: 0,
            refresh_s: 1_209_600,
            local: None,
            leap_mode: LeapMode::System,
            leap_table: None,
            manual: false,
            smoothing: None,
            tempcomp: None,
            log_change_s: 1.0,
            drift: None,
        }
    }
}

/// `authselectmode`: what authenticated sources are worth beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthSelectMode {
    /// Others are never followed.
    Require,
    /// Others are not followed where there is an authenticated one.
    Prefer,
    /// Authenticated ones are trusted, and one of them has to agree.
    #[default]
    Mix,
    /// As much as others.
    Ignore,
}

/// What the program is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To keep the clock.
    #[default]
    Keep,
    /// To set the clock once (`-q`).
    SetOnce,
    /// To measure it once (`-Q`).
    MeasureOnce,
}

/// `initstepslew`: before anything else the clock is compared with these hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialStep {
    /// A larger offset, in seconds, is stepped, a smaller one slewed.
    pub threshold_s: f64,
    /// Whom to ask.
    pub hosts: Vec<SourceSpec>,
}

/// When a packet left or arrived, as it was noted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawStamp {
    /// By the kernel's clock.
    pub at: RawTime,
    /// How wrong the reading may be, in seconds.
    pub error_s: f64,
    /// Who noted it.
    pub source: StampSource,
}

/// What the program is at.
#[derive(Debug)]
enum Stage {
    /// `initstepslew`; then come these sources.
    Initial {
        threshold_s: f64,
        then: Vec<SourceSpec>,
    },
    /// `-q` or `-Q`.
    Once(Purpose),
    Keeping,
    Ended,
}

/// The state of the system process.
pub struct System<K> {
    clock: CookedClock<K>,
    servo: Servo,
    selection: SelectionOptions,
    auth_select: AuthSelectMode,
    register: RegisterOptions,
    leap: LeapState,
    smoothing: Option<Smoothing>,
    compensation: Option<Compensation>,
    manual: Manual,
    rtc: RtcTracking,
    /// Network cards' clocks.
    cards: BTreeMap<u32, HardwareClock>,
    local: Option<LocalReference>,
    keys: Arc<KeyStore>,
    /// 64 bits that nobody can guess.
    random: Box<dyn FnMut() -> u64 + Send>,
    stage: Stage,
    names: BTreeMap<NameId, Name>,
    sources: BTreeMap<SourceId, Source>,
    refclocks: BTreeMap<SourceId, RefclockSource>,
    next_id: u64,
    followed: Option<Followed>,
    /// The source that is selected now; what was followed last may outlive it.
    selected: Option<SourceId>,
    variables: SystemVariables,
    actions: VecDeque<Action>,
    refresh_ns: u64,
    log_change_s: f64,
    precision: i8,
    next_tick_ns: u64,
    began_ns: u64,
    /// As the options have it: by it the era of later moments is told.
    start_unix_s: i64,
    /// When the clock's line was begun last.
    slew_began_ns: u64,
    /// When the clock was stepped last: stamps from before are of another time.
    stepped_ns: u64,
}

impl<K: KernelClock> System<K> {
    /// Takes the clock over. `random` gives 64 bits that nobody can guess.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn new(
        options: SystemOptions,
        kernel: K,
        keys: Arc<KeyStore>,
        random: Box<dyn FnMut() -> u64 + Send>,
        now: Moment,
    ) -> Result<Self, K::Error> {
        let mut clock = CookedClock::new(
            kernel,
            now.raw,
            options.slew_rate_max,
            options.frequency_max,
        )?;
        if let Some(drift) = options.drift {
            clock.set_frequency(drift.correction(), now.raw)?;
        }
        let skew = options.drift.map(|drift| drift.skew());
        let mut system = Self {
            servo: Servo::new(options.servo, skew),
            clock,
            selection: SelectionOptions {
                // Until our address is known, every other orphan leads.
                orphan: options
                    .local
                    .filter(|local| local.orphan)
                    .map(|local| Orphan {
                        stratum: local.stratum,
                        reference_id: u32::MAX,
                    }),
                ..options.selection
            },
            auth_select: options.auth_select,
            register: RegisterOptions {
                samples_min: options.samples_min,
                samples_max: options.samples_max,
                precision_s: f64::from(options.precision).exp2(),
            },
            leap: LeapState::new(options.leap_mode, options.leap_table),
            smoothing: options.smoothing.map(Smoothing::new),
            compensation: options.tempcomp.map(Compensation::new),
            manual: Manual::new(options.manual),
            rtc: RtcTracking::default(),
            cards: BTreeMap::new(),
            local: options.local.map(LocalReference::new),
            keys,
            random,
            stage: Stage::Keeping,
            names: BTreeMap::new(),
            sources: BTreeMap::new(),
            refclocks: BTreeMap::new(),
            next_id: 0,
            followed: None,
            selected: None,
            variables: SystemVariables::not_synchronised(options.precision),
            actions: VecDeque::new(),
            refresh_ns: options.refresh_s.saturating_mul(NANOS_PER_S),
            log_change_s: options.log_change_s,
            precision: options.precision,
            next_tick_ns: now.monotonic_ns.saturating_add(NANOS_PER_S),
            began_ns: now.monotonic_ns,
            start_unix_s: options.start_unix_s,
            slew_began_ns: now.monotonic_ns,
            stepped_ns: now.monotonic_ns,
        };
        system.begin(options.sources, options.initial, options.purpose, now);
        system.renew(now);
        Ok(system)
    }

    /// When [`timeout`](Self::timeout) is to be called next, by the clock that never steps.
    pub fn next_deadline(&self) -> u64 {
        let sources = self.sources.values().map(|s| s.association.next_deadline());
        let names = self.names.values().map(Name::next_deadline);
        let slew = self.slew_deadline_ns();
        let all = sources
            .chain(names)
            .chain([slew, self.next_refclock_poll()]);
        let all = all.flatten();
        all.fold(self.next_tick_ns, u64::min)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn timeout(&mut self, now: Moment) -> Result<(), K::Error> {
        let epoch = self.clock.correction().epoch;
        self.clock.elapse(now.raw)?;
        if self.clock.correction().epoch != epoch {
            self.slew_began_ns = now.monotonic_ns;
        }
        self.look_up_names(now.monotonic_ns);
        let is_due = |at_ns: Option<u64>| at_ns.is_some_and(|at_ns| at_ns <= now.monotonic_ns);
        let due = self.sources.iter();
        let due = due.filter(|(_, source)| is_due(source.association.next_deadline()));
        let due: Vec<SourceId> = due.map(|(id, _)| *id).collect();
        let mut has_polled = false;
        for id in due {
            has_polled |= self.ask(id, now);
        }
        if has_polled {
            self.select(None, now)?;
        }
        self.poll_refclocks(now)?;
        if self.next_tick_ns <= now.monotonic_ns {
            self.tick(now)?;
        }
        self.renew(now);
        Ok(())
    }

    /// A request left, as the program, the kernel or the network card noted it; `from` is our address on the way.
    pub fn departed(
        &mut self,
        source: SourceId,
        request: RequestId,
        stamp: RawStamp,
        from: Option<IpAddr>,
    ) {
        let stamp = self.cook(stamp);
        if let Some(source) = self.sources.get_mut(&source) {
            source.association.departed(request, stamp);
            source.own_id = from.map(reference_id).or(source.own_id);
            source.own_address = from.or(source.own_address);
            if let Some(orphan) = &mut self.selection.orphan
                && let Some(id) = source.own_id
            {
                orphan.reference_id = u32::from_be_bytes(id.to_bytes());
            }
        }
    }

    /// A request could not be sent.
    pub fn send_failed(&mut self, source: SourceId, request: RequestId) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.association.send_failed(request);
        }
    }

    /// A packet came from a source's address to the port of its last request, or of a peer to the port we serve.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn received(
        &mut self,
        id: SourceId,
        packet: &[u8],
        stamp: RawStamp,
        now: Moment,
    ) -> Result<(), K::Error> {
        let stamp = if self.is_of_this_time(stamp.at, now) {
            self.cook(stamp)
        } else {
            Stamp::by_daemon(self.clock.cook(now.raw))
        };
        let (keys, variables) = (Arc::clone(&self.keys), self.variables);
        let Some(source) = self.sources.get_mut(&id) else {
            return Ok(());
        };
        let local = client::Local {
            keys: &keys,
            system: &variables,
            address: source.own_id,
            max_clock_error: self.selection.clock_error_max,
            is_selected: self.selected == Some(id),
        };
        let expected = source.expectation();
        let now_ns = now.monotonic_ns;
        let reply = source
            .association
            .reply(packet, stamp, now_ns, &local, &expected);
        let Some(reply) = reply else {
            return Ok(());
        };
        let (address, slot) = (source.address, (source.name_id, source.slot));
        let tests = reply.measurement.tests;
        let said = if tests.is_valid() {
            source.trouble = None;
            source.take_note(&reply.measurement);
            None
        } else if tests.passed(Test::Origin) && !tests.passed(Test::Authentic) {
            source.troubled(Trouble::NotAuthentic)
        } else {
            None
        };
        self.actions.push_back(Action::Record(Record::Measurement {
            address: address.ip(),
            measurement: reply.measurement,
        }));
        self.warn(said);
        if reply.answers {
            self.actions.push_back(Action::Close { source: id });
        }
        if let Some(kiss) = reply.kiss {
            self.tell(
                Severity::Warning,
                format!("{}: {kiss:?}: the source asks for less", address.ip()),
            );
        }
        let unix_s = self.unix_s(now.raw);
        let sample = reply.sample.filter(|_| !self.leap.is_close(unix_s));
        if let Some(sample) = sample {
            self.source_answered(slot, now);
            let source = self.sources.get_mut(&id);
            if source.is_some_and(|source| source.accumulate(sample)) {
                self.note_statistics(id);
                self.select(Some(id), now)?;
                self.judge(id, now.monotonic_ns);
            }
        }
        self.keep_apart(id);
        self.renew(now);
        Ok(())
    }

    /// Somebody else set the clock, or the machine slept: whatever was measured before is of another time.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn clock_jumped(&mut self, now: Moment) -> Result<(), K::Error> {
        self.clock.restart(now.raw);
        self.servo.forget_update();
        for source in self.sources.values_mut() {
            source.clock_jumped();
        }
        for source in self.refclocks.values_mut() {
            source.clock_jumped();
        }
        self.rtc.set();
        self.cards.values_mut().for_each(HardwareClock::clear);
        if self.followed.take().is_some() {
            self.tell(
                Severity::Warning,
                "the clock was set by somebody else: not synchronised until sources have answered"
                    .to_owned(),
            );
        }
        self.selected = None;
        self.stepped_ns = now.monotonic_ns;
        self.slew_began_ns = now.monotonic_ns;
        self.renew(now);
        self.tell_kernel(now)
    }

    /// Another table of leap seconds takes the place of the one there is.
    pub fn set_leap_table(&mut self, table: LeapTable) {
        self.leap.set_table(table);
    }

    /// What is to be done next, if anything.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What we say of ourselves.
    pub const fn variables(&self) -> &SystemVariables {
        &self.variables
    }

    /// The clock as it is kept.
    pub const fn clock(&mut self) -> &mut CookedClock<K> {
        &mut self.clock
    }

    /// By how much the clock is made to run faster, as a fraction.
    pub fn frequency(&self) -> f64 {
        self.clock.frequency()
    }

    /// The servo's figures.
    pub const fn servo(&self) -> &Servo {
        &self.servo
    }

    /// What the drift file is to hold; `None` before the first update.
    pub fn drift(&self) -> Option<Drift> {
        let tracking = self.servo.tracking();
        tracking.updated?;
        Some(Drift::of_clock(self.clock.frequency(), tracking.skew))
    }

    /// The program ends: the kernel's clock is left at the frequency found.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn end(&mut self, now: Moment) -> Result<(), K::Error> {
        self.clock.end(now.raw)
    }

    /// Does what is due with one source; whether it was polled.
    fn ask(&mut self, id: SourceId, now: Moment) -> bool {
        let mut has_polled = false;
        let cooked = self.clock.cook(now.raw);
        let (keys, variables) = (Arc::clone(&self.keys), self.variables);
        let max_clock_error = self.selection.clock_error_max;
        let now3 = Now {
            monotonic_ns: now.monotonic_ns,
            raw: now.raw,
            cooked,
        };
        while let Some(source) = self.sources.get_mut(&id) {
            let random = [(self.random)(), (self.random)(), (self.random)()];
            let local = client::Local {
                keys: &keys,
                system: &variables,
                address: source.own_id,
                max_clock_error,
                is_selected: self.selected == Some(id),
            };
            match source.association.timeout(now3, random, &local) {
                Due::Nothing => break,
                Due::Close => self.actions.push_back(Action::Close { source: id }),
                Due::Send(request) => {
                    has_polled = true;
                    self.actions.push_back(Action::Send {
                        source: id,
                        to: source.address,
                        request,
                    });
                }
                Due::NoKey => {
                    let said = source.troubled(Trouble::NoKey);
                    self.warn(said);
                }
            }
        }
        self.keep_apart(id);
        if has_polled {
            self.count_silence(id, now.monotonic_ns);
        }
        has_polled
    }

    /// Requests of different sources are not sent at the same moment.
    fn keep_apart(&mut self, id: SourceId) {
        let others = self.sources.iter().filter(|(other, _)| **other != id);
        let others = others.filter_map(|(_, source)| source.association.next_request());
        let others: Vec<u64> = others.collect();
        if let Some(source) = self.sources.get_mut(&id) {
            source.association.keep_apart(&others);
        }
    }

    /// Once a second: what no packet and no timer of a source brings about.
    fn tick(&mut self, now: Moment) -> Result<(), K::Error> {
        let late_ns = now.monotonic_ns - self.next_tick_ns;
        self.next_tick_ns = now.monotonic_ns + NANOS_PER_S - late_ns % NANOS_PER_S;
        self.make_leap_second(now)?;
        let cooked = self.clock.cook(now.raw);
        if let Some(frequency) = self.servo.fall_back(cooked) {
            let change = self.clock.set_frequency(frequency, now.raw)?;
            self.slew_began_ns = now.monotonic_ns;
            self.clock_changed(&change, false);
            self.tell(
                Severity::Information,
                format!(
                    "no update for long: the frequency of the past is used, {:.3} ppm",
                    frequency * 1e6
                ),
            );
        }
        let was_following = self.followed.is_some();
        self.give_up_distant(cooked);
        if was_following && self.followed.is_none() {
            self.tell_kernel(now)?;
        }
        self.notice_silence(now);
        Ok(())
    }

    /// Carries an adjustment out and restates all that was measured.
    fn adjust(&mut self, adjustment: &Adjustment, now: Moment) -> Result<(), K::Error> {
        let change = self.clock.adjust(adjustment, now.raw)?;
        if adjustment.is_step {
            self.stepped_ns = now.monotonic_ns;
        }
        self.slew_began_ns = now.monotonic_ns;
        self.clock_changed(&change, false);
        Ok(())
    }

    fn clock_changed(&mut self, change: &ClockChange, is_leap: bool) {
        for source in self.sources.values_mut() {
            if is_leap {
                source.leaped(change);
            } else {
                source.clock_changed(change);
            }
        }
        for source in self.refclocks.values_mut() {
            if is_leap {
                source.leaped(change);
            } else {
                source.clock_changed(change);
            }
        }
        self.rtc.shift(change);
        self.manual.shift(change);
        for clock in self.cards.values_mut() {
            clock.shift(change);
        }
        if let Some(smoothing) = &mut self.smoothing {
            smoothing.shift(change, is_leap);
        }
    }

    fn cook(&self, stamp: RawStamp) -> Stamp {
        Stamp {
            at: self.clock.cook(stamp.at),
            error_s: stamp.error_s,
            source: stamp.source,
        }
    }

    /// Whether a stamp was made since the clock was stepped. Its age by the stepped clock tells: an older one is out of
    /// range by the step.
    fn is_of_this_time(&self, stamp: RawTime, now: Moment) -> bool {
        let since_ns = now.monotonic_ns.saturating_sub(self.stepped_ns);
        let since_ns = i64::try_from(since_ns).unwrap_or(i64::MAX);
        let age_ns = (now.raw.0 - stamp.0).to_nanos();
        (0..=since_ns.saturating_add(READING_NS)).contains(&age_ns)
            || (-READING_NS..0).contains(&age_ns)
    }

    fn slew_deadline_ns(&self) -> Option<u64> {
        let end = self.clock.deadline()?;
        let epoch = self.clock.correction().epoch;
        let span_ns = u64::try_from((end.0 - epoch.0).to_nanos()).unwrap_or(0);
        Some(self.slew_began_ns.saturating_add(span_ns))
    }

    #[track_caller]
    fn tell(&mut self, severity: Severity, text: String) {
        self.actions.push_back(Action::Notice(Notice {
            severity,
            text,
            place: Location::caller(),
        }));
    }

    #[track_caller]
    fn warn(&mut self, said: Option<String>) {
        if let Some(text) = said {
            self.tell(Severity::Warning, text);
        }
    }

    fn note_statistics(&mut self, id: SourceId) {
        let server = self.sources.get(&id).map(|s| (s.name(), &s.samples));
        let clock = self.refclocks.get(&id).map(|s| (s.name(), &s.samples));
        let Some((source, samples)) = server.or(clock) else {
            return;
        };
        let at = samples
            .newest()
            .map_or_else(CookedTime::default, |newest| newest.at);
        self.actions.push_back(Action::Record(Record::Statistics {
            source,
            at,
            statistics: *samples.statistics(),
        }));
    }
}

const NANOS_PER_S: u64 = 1_000_000_000;
/// Two readings of clocks that belong together are at most so far apart.
const READING_NS: i64 = 1_000_000;
