//! What is told of sources, for reports and for those who steer them.

use std::net::{IpAddr, SocketAddr};

use super::System;
use super::action::{Moment, SourceId};
use crate::client::{
    Activity, Candidate, Counts, Measurement, Role, Sample, SelectOptions, Selectable, SourceName,
    State, Statistics,
};
use crate::discipline::{KernelClock, Smoothing};
use crate::wire::KeyId;

/// A source as chronyc's `sources`, `sourcestats`, `selectdata` and `ntpdata` show it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Which.
    pub id: SourceId,
    /// What it is called.
    pub name: SourceName,
    /// Its name in the configuration.
    pub host: Option<String>,
    /// What it is to us; `None`: a reference clock.
    pub server: Option<ServerReport>,
    /// What the last selection made of it.
    pub state: State,
    /// As selection sees it now.
    pub candidate: Candidate,
    /// How it is selected: as configured, or as `authselectmode` has it.
    pub effective: SelectOptions,
    /// Whether it is asked.
    pub activity: Activity,
    /// The poll interval, log2 of seconds.
    pub poll: i8,
    /// The reach register.
    pub reach: u8,
    /// What its samples say at the moment of the report; `None`: too few.
    pub selectable: Option<Selectable>,
    /// What its register shows.
    pub statistics: Statistics,
    /// The newest sample of its register, as the clock is corrected now.
    pub newest: Option<Sample>,
    /// Seconds since then.
    pub age_s: Option<f64>,
}

/// A source that has no address yet.
#[derive(Clone, Debug, PartialEq)]
pub struct UnresolvedReport {
    /// By which it is known until it has one.
    pub number: u32,
    /// Its name in the configuration.
    pub host: String,
    /// Whether it is to be a peer.
    pub role: Role,
    /// The shortest poll interval, log2 of seconds.
    pub poll: i8,
    /// `key`
    pub key: Option<KeyId>,
    /// How it is to be selected.
    pub select: SelectOptions,
}

/// What there is of a source that packets go to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerReport {
    /// Whether it is a peer.
    pub role: Role,
    /// Where requests go.
    pub address: SocketAddr,
    /// Our address on the way to it, as far as a request has shown it.
    pub own_address: Option<IpAddr>,
    /// `key`
    pub key: Option<KeyId>,
    /// Packets.
    pub counts: Counts,
    /// Its last valid reply.
    pub last: Option<Measurement>,
}

impl<K: KernelClock> System<K> {
    /// All sources in the order in which they began, servers before reference clocks.
    pub fn sources(&self, now: Moment) -> Vec<SourceReport> {
        let cooked = self.clock.cook(now.raw);
        let age_s = |sample: &Sample| (cooked.0 - sample.at.0).to_seconds();
        let servers = self.sources.iter().map(|(id, source)| {
            let association = &source.association;
            let newest = source.samples.newest().copied();
            SourceReport {
                id: *id,
                name: source.name(),
                host: self.host_of(source.name_id),
                server: Some(ServerReport {
                    role: association.role(),
                    address: source.address,
                    own_address: source.own_address,
                    key: association.options().key,
                    counts: *association.counts(),
                    last: association.last().copied(),
                }),
                state: source.standing.state,
                candidate: source.candidate(cooked),
                effective: SelectOptions::default(),
                activity: association.activity(),
                poll: association.poll().log2(),
                reach: association.reach().register(),
                selectable: source.samples.selectable(cooked),
                statistics: *source.samples.statistics(),
                newest,
                age_s: newest.as_ref().map(age_s),
            }
        });
        let clocks = self.refclocks.iter().map(|(id, source)| {
            let newest = source.samples.newest().copied();
            SourceReport {
                id: *id,
                name: source.name(),
                host: None,
                server: None,
                state: source.standing.state,
                candidate: source.candidate(cooked),
                effective: SelectOptions::default(),
                activity: Activity::Online,
                poll: source.clock.options().poll,
                reach: source.clock.reach().register(),
                selectable: source.samples.selectable(cooked),
                statistics: *source.samples.statistics(),
                newest,
                age_s: newest.as_ref().map(age_s),
            }
        });
        let mut all: Vec<SourceReport> = servers.chain(clocks).collect();
        let mut candidates: Vec<Candidate> = all.iter().map(|source| source.candidate).collect();
        self.weigh_authentication(&mut candidates);
        for (source, candidate) in all.iter_mut().zip(candidates) {
            source.effective = candidate.role;
        }
        all
    }

    /// Sources that no address was found for yet: of a pool as many as are to be asked at first.
    pub fn unresolved_sources(&self) -> Vec<UnresolvedReport> {
        let mut all = Vec::new();
        for (id, name) in &self.names {
            if self.sources.values().any(|source| source.name_id == *id) {
                continue;
            }
            let spec = name.spec();
            for slot in 0..name.slots() {
                let number = id.0.wrapping_mul(SLOTS).wrapping_add(slot as u64 + 1);
                all.push(UnresolvedReport {
                    number: u32::try_from(number).unwrap_or(u32::MAX),
                    host: spec.host.clone(),
                    role: spec.role,
                    poll: spec.options.poll_range().0,
                    key: spec.options.key,
                    select: SelectOptions {
                        noselect: spec.options.noselect,
                        prefer: spec.options.prefer,
                        trust: spec.options.trust,
                        require: spec.options.require,
                    },
                });
            }
        }
        all
    }

    /// Names that no address was found for yet.
    pub fn unresolved(&self) -> usize {
        let has_source = |id| self.sources.values().any(|source| source.name_id == id);
        self.names.keys().filter(|id| !has_source(**id)).count()
    }

    /// What the clock follows: its name, where anything is followed.
    pub fn followed(&self) -> Option<SourceName> {
        let followed = self.followed.as_ref()?;
        let by_letters = SourceName::Refclock(followed.reference_id);
        Some(followed.address.map_or(by_letters, SourceName::Address))
    }

    /// Served time as it differs from the clock, where `smoothtime` is configured.
    pub const fn smoothing(&self) -> Option<&Smoothing> {
        self.smoothing.as_ref()
    }
}

/// More than a pool has.
const SLOTS: u64 = 32;
