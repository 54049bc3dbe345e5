//! What is told of sources, for reports and for those who steer them.

use std::net::IpAddr;

use super::System;
use super::action::{Moment, SourceId};
use crate::client::{Activity, Measurement, Selectable, SourceName, State, Statistics};
use crate::discipline::KernelClock;

/// A source as `chronyc sources` and `sourcestats` show it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Which.
    pub id: SourceId,
    /// What it is called.
    pub name: SourceName,
    /// What the last selection made of it.
    pub state: State,
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
    /// Its last valid reply.
    pub last: Option<Measurement>,
}

impl<K: KernelClock> System<K> {
    /// All sources in the order in which they began, servers before reference clocks.
    pub fn sources(&self, now: Moment) -> Vec<SourceReport> {
        let cooked = self.clock.cook(now.raw);
        let servers = self.sources.iter().map(|(id, source)| SourceReport {
            id: *id,
            name: source.name(),
            state: source.standing.state,
            activity: source.association.activity(),
            poll: source.association.poll().log2(),
            reach: source.association.reach().register(),
            selectable: source.samples.selectable(cooked),
            statistics: *source.samples.statistics(),
            last: source.association.last().copied(),
        });
        let clocks = self.refclocks.iter().map(|(id, source)| SourceReport {
            id: *id,
            name: source.name(),
            state: source.standing.state,
            activity: Activity::Online,
            poll: source.clock.options().poll,
            reach: source.clock.reach().register(),
            selectable: source.samples.selectable(cooked),
            statistics: *source.samples.statistics(),
            last: None,
        });
        servers.chain(clocks).collect()
    }

    /// Asks a source, or all of them, no more.
    pub fn offline(&mut self, which: Option<IpAddr>) {
        for source in self.sources.values_mut() {
            if which.is_none_or(|address| address == source.address.ip()) {
                source.association.offline();
            }
        }
    }

    /// Asks a source, or all of them, again.
    pub fn online(&mut self, which: Option<IpAddr>, now: Moment) {
        let matches = |address: IpAddr| which.is_none_or(|wanted| wanted == address);
        let ids = self.sources.iter().filter(|(_, s)| matches(s.address.ip()));
        let ids: Vec<SourceId> = ids.map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(source) = self.sources.get_mut(&id) {
                source.association.online(now.monotonic_ns);
            }
            self.keep_apart(id);
        }
    }
}
