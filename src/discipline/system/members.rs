//! Sources that come and go while it runs.

use std::net::IpAddr;

use super::action::{Moment, NameId};
use super::names::SourceSpec;
use super::{Stage, System};
use crate::discipline::KernelClock;

/// Why a source cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotAdd {
    /// There is one with this name or address.
    Known,
    /// There are as many as there may be.
    TooMany,
}

impl<K: KernelClock> System<K> {
    /// Adds the source of a line.
    ///
    /// # Errors
    /// It is there, or there are too many.
    pub fn add(&mut self, spec: SourceSpec, now: Moment) -> Result<(), CannotAdd> {
        let address: Option<IpAddr> = spec.host.parse().ok();
        let mut sources = self.sources.values();
        let has_address = sources.any(|source| Some(source.address.ip()) == address);
        let mut names = self.names.values();
        if has_address || names.any(|name| name.spec().host == spec.host) {
            return Err(CannotAdd::Known);
        }
        if self.sources.len() >= SOURCES_MAX || self.names.len() >= SOURCES_MAX {
            return Err(CannotAdd::TooMany);
        }
        self.add_name(spec, now);
        Ok(())
    }

    /// Removes the source with an address; whether there is one. A name goes with its last source.
    pub fn remove(&mut self, address: IpAddr) -> bool {
        let mut all = self.sources.iter();
        let found = all.find(|(_, source)| source.address.ip() == address);
        let Some((id, name, slot)) = found.map(|(id, s)| (*id, s.name_id, s.slot)) else {
            return false;
        };
        self.remove_source(id);
        if let Some(known) = self.names.get_mut(&name)
            && !known.remove(slot)
        {
            self.names.remove(&name);
        }
        true
    }

    /// Lines of configuration have changed: those that are new are added, those that are gone are removed.
    pub fn reload(&mut self, before: &[SourceSpec], after: &[SourceSpec], now: Moment) {
        if let Stage::Initial { then, .. } = &mut self.stage {
            then.retain(|spec| !before.contains(spec) || after.contains(spec));
            let new = after.iter().filter(|spec| !before.contains(spec));
            then.extend(new.cloned());
            return;
        }
        for gone in before.iter().filter(|spec| !after.contains(spec)) {
            self.remove_line(gone);
        }
        for new in after.iter().filter(|spec| !before.contains(spec)) {
            // Where another line has it already, it goes on as that line says.
            let _ = self.add(new.clone(), now);
        }
    }

    /// `refresh`: all names are looked up, and addresses that they have no more are replaced.
    pub fn refresh(&mut self, now: Moment) {
        for name in self.names.values_mut() {
            name.refresh(now.monotonic_ns);
        }
    }

    fn remove_line(&mut self, spec: &SourceSpec) {
        let mut names = self.names.iter();
        let found: Option<NameId> = names
            .find(|(_, name)| name.spec() == spec)
            .map(|(id, _)| *id);
        let Some(name) = found else { return };
        let sources = self.sources.iter().filter(|(_, s)| s.name_id == name);
        let sources: Vec<_> = sources.map(|(id, _)| *id).collect();
        for id in sources {
            self.remove_source(id);
        }
        self.names.remove(&name);
    }
}

/// Far more than anybody has use for, and few enough for a list.
const SOURCES_MAX: usize = 1_000;
