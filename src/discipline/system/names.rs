//! Names in the configuration and the sources behind them.

use std::net::{IpAddr, SocketAddr};

use super::action::{Action, End, Moment, NameId, Severity, SourceId};
use super::source::{Source, Trouble};
use super::{InitialStep, NANOS_PER_S, Purpose, Stage, System};
use crate::client::{
    Change, Dump, Pool, PoolSize, Reach, Role, SlotId, SourceName, SourceOptions, State,
};
use crate::discipline::KernelClock;

/// A `server`, `pool` or `peer` line.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// A name or an address.
    pub host: String,
    /// What we are to it.
    pub role: Role,
    /// How many sources it stands for.
    pub size: PoolSize,
    /// The rest of the line.
    pub options: SourceOptions,
}

/// A name, and what is known of it.
#[derive(Debug)]
pub(super) struct Name {
    spec: SourceSpec,
    pool: Pool,
    /// It is an address: there is nothing to look up.
    is_address: bool,
}

impl Name {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.pool.next_deadline().filter(|_| !self.is_address)
    }

    pub(super) const fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// Sources that it may have at once.
    pub(super) fn slots(&self) -> usize {
        self.pool.slots().count()
    }

    /// One of its sources is removed for good; whether others are left to be had.
    pub(super) fn remove(&mut self, slot: SlotId) -> bool {
        self.pool.remove(slot)
    }

    pub(super) fn refresh(&mut self, now_ns: u64) {
        if !self.is_address {
            self.pool.refresh(now_ns);
        }
    }
}

impl<K: KernelClock> System<K> {
    /// The first sources: those of `initstepslew`, if there are any.
    pub(super) fn begin(
        &mut self,
        sources: Vec<SourceSpec>,
        initial: Option<InitialStep>,
        purpose: Purpose,
        now: Moment,
    ) {
        match (purpose, initial) {
            (Purpose::Keep, Some(initial)) if !initial.hosts.is_empty() => {
                self.stage = Stage::Initial {
                    threshold_s: initial.threshold_s,
                    then: sources,
                };
                self.add_quick(initial.hosts, now);
            }
            (Purpose::Keep, _) => {
                for spec in sources {
                    self.add_name(spec, now);
                }
            }
            (Purpose::SetOnce | Purpose::MeasureOnce, _) => {
                self.stage = Stage::Once(purpose);
                self.add_quick(sources, now);
            }
        }
    }

    /// A name was looked up: these are its addresses, none if that failed.
    pub fn resolved(&mut self, name: NameId, addresses: &[IpAddr], now: Moment) {
        let taken: Vec<IpAddr> = self.sources.values().map(|s| s.address.ip()).collect();
        let random = (self.random)();
        let Some(known) = self.names.get_mut(&name) else {
            return;
        };
        let changes = known
            .pool
            .resolved(addresses, &taken, now.monotonic_ns, random);
        self.apply(name, changes, now);
    }

    /// Adds a source or several; what its name is, is looked up where it is not an address.
    pub fn add_name(&mut self, spec: SourceSpec, now: Moment) -> NameId {
        let address: Option<IpAddr> = spec.host.parse().ok();
        let refresh_ns = if address.is_some() {
            0
        } else {
            self.refresh_ns
        };
        let name = NameId(self.next_id);
        self.next_id += 1;
        let pool = Pool::new(spec.size, refresh_ns, now.monotonic_ns);
        let is_address = address.is_some();
        self.names.insert(
            name,
            Name {
                spec,
                pool,
                is_address,
            },
        );
        if let Some(address) = address {
            self.resolved(name, &[address], now);
        }
        name
    }

    /// Asks for the addresses of names whose time has come.
    pub(super) fn look_up_names(&mut self, now_ns: u64) {
        for (id, name) in self.names.iter_mut().filter(|(_, name)| !name.is_address) {
            if name.pool.timeout(now_ns) {
                self.actions.push_back(Action::Resolve {
                    name: *id,
                    host: name.spec.host.clone(),
                    family: name.spec.options.family,
                });
            }
        }
    }

    /// A source has given a good sample.
    pub(super) fn source_answered(&mut self, (name, slot): (NameId, SlotId), now: Moment) {
        if let Some(known) = self.names.get_mut(&name) {
            let changes = known.pool.answered(slot);
            self.apply(name, changes, now);
        }
    }

    /// What selection made of a source after a sample of it.
    pub(super) fn judge(&mut self, id: SourceId, now_ns: u64) {
        if let Some(source) = self.sources.get(&id)
            && let Some(name) = self.names.get_mut(&source.name_id)
        {
            let is_usable = !matches!(
                source.standing.state,
                State::NotSynchronised
                    | State::TooDistant
                    | State::Jittery
                    | State::NotTrusted
                    | State::Falseticker
            );
            name.pool.judged(source.slot, is_usable, now_ns);
        }
    }

    /// A source was polled, and may not have answered for long.
    pub(super) fn count_silence(&mut self, id: SourceId, now_ns: u64) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        let missed = source.association.reach().missed();
        let is_silent = source.association.unanswered() >= Reach::POLLS;
        let said = if is_silent && source.trouble.is_none() {
            source.troubled(Trouble::Silent)
        } else {
            None
        };
        if let Some(name) = self.names.get_mut(&source.name_id) {
            name.pool.unanswered(source.slot, missed, now_ns);
        }
        self.warn(said);
    }

    /// Where something is to be done once: nobody will answer any more.
    pub(super) fn notice_silence(&mut self, now: Moment) {
        let is_over = self.refclocks.is_empty()
            && self.sources.values().all(|source| {
                let is_asked = source.association.counts().sent > 0;
                let waits_until = source.association.next_deadline();
                let is_waiting =
                    waits_until.is_some_and(|at_ns| at_ns <= now.monotonic_ns + SOON_NS);
                is_asked && !source.association.is_bursting() && !is_waiting
            });
        let is_late = self.began_ns.saturating_add(PATIENCE_NS) <= now.monotonic_ns;
        if !(is_over && !self.sources.is_empty() || is_late) {
            return;
        }
        match &self.stage {
            Stage::Once(_) => {
                self.stage = Stage::Ended;
                self.actions.push_back(Action::End(End::NoSource));
            }
            Stage::Initial { .. } => {
                self.tell(
                    Severity::Warning,
                    "initstepslew: no host has answered well".to_owned(),
                );
                self.begin_keeping(now);
            }
            Stage::Keeping | Stage::Ended => {}
        }
    }

    /// After `initstepslew`: the sources of the configuration take the place of its hosts.
    pub(super) fn begin_keeping(&mut self, now: Moment) {
        let Stage::Initial { then, .. } = std::mem::replace(&mut self.stage, Stage::Keeping) else {
            return;
        };
        let sources: Vec<SourceId> = self.sources.keys().copied().collect();
        for id in sources {
            self.remove_source(id);
        }
        self.names.clear();
        for spec in then {
            self.add_name(spec, now);
        }
    }

    /// Sources that are asked in a burst, since there is no time to lose.
    fn add_quick(&mut self, sources: Vec<SourceSpec>, now: Moment) {
        for mut spec in sources {
            spec.options.iburst = true;
            self.add_name(spec, now);
        }
    }

    fn apply(&mut self, name: NameId, changes: Vec<Change>, now: Moment) {
        for change in changes {
            match change {
                Change::Add { slot, address } => self.add_source(name, slot, address, now),
                Change::Replace { slot, old, new } => self.move_source((name, slot), old, new, now),
                Change::Remove { slot, .. } => {
                    if let Some(id) = self.source_at(name, slot) {
                        self.remove_source(id);
                    }
                }
            }
        }
    }

    fn add_source(&mut self, name: NameId, slot: SlotId, address: IpAddr, now: Moment) {
        let Some(known) = self.names.get(&name) else {
            return;
        };
        let spec = &known.spec;
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let source = Source::new(
            (name, slot),
            SocketAddr::new(address, spec.options.port),
            (spec.role, &spec.options),
            &self.register,
            now.monotonic_ns,
        );
        self.sources.insert(id, source);
        self.actions.push_back(Action::Appeared {
            source: id,
            address,
            host: spec.host.clone(),
            is_authenticated: spec.options.key.is_some(),
        });
        self.keep_apart(id);
    }

    fn move_source(
        &mut self,
        (name, slot): (NameId, SlotId),
        old: IpAddr,
        new: IpAddr,
        now: Moment,
    ) {
        let Some(id) = self.source_at(name, slot) else {
            return;
        };
        if self.selected == Some(id) {
            self.selected = None;
        }
        if let Some(source) = self.sources.get_mut(&id) {
            let port = source.address.port();
            source.move_to(SocketAddr::new(new, port), now.monotonic_ns);
        }
        self.actions.push_back(Action::Close { source: id });
        self.keep_apart(id);
        self.tell(
            Severity::Information,
            format!("Source {old} replaced with {new}"),
        );
    }

    pub(super) fn remove_source(&mut self, id: SourceId) {
        if self.sources.remove(&id).is_some() {
            self.actions.push_back(Action::Close { source: id });
        }
        if self.selected == Some(id) {
            self.selected = None;
        }
    }

    /// What an earlier run has kept of a source is as good as if it had been measured now.
    pub fn restore(&mut self, source: SourceId, dump: &Dump) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.restore(dump);
        }
    }

    /// What is known of each source, to be kept for a later run.
    pub fn dumps(&self) -> Vec<(SourceName, Dump)> {
        let all = self.sources.values().map(|source| {
            let host = self
                .names
                .get(&source.name_id)
                .map(|name| name.spec.host.clone());
            (source.name(), source.dump(host))
        });
        let clocks = self.refclocks.values();
        all.chain(clocks.map(|clock| (clock.name(), clock.dump())))
            .collect()
    }

    /// As it is configured.
    pub(super) fn host_of(&self, name: NameId) -> Option<String> {
        self.names.get(&name).map(|name| name.spec.host.clone())
    }

    fn source_at(&self, name: NameId, slot: SlotId) -> Option<SourceId> {
        let mut all = self.sources.iter();
        let found = all.find(|(_, source)| (source.name_id, source.slot) == (name, slot));
        found.map(|(id, _)| *id)
    }
}

/// A reply may come within this of its request.
const SOON_NS: u64 = NANOS_PER_S;
/// Names that cannot be looked up, and sources that never answer, are not waited for any longer.
const PATIENCE_NS: u64 = 40 * NANOS_PER_S;
