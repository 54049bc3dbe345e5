//! What people order while it runs (chronyc(1)).

use std::net::IpAddr;
use std::sync::Arc;

use super::System;
use super::action::{Moment, SourceId};
use crate::auth::KeyStore;
use crate::client::{Orphan, SelectOptions, SourceName, SourceOptions};
use crate::discipline::{Adjustment, KernelClock, Local, LocalReference, MakeStep};

impl<K: KernelClock> System<K> {
    /// Asks the sources that match no more; how many there are.
    pub fn offline(&mut self, matches: impl Fn(IpAddr) -> bool) -> usize {
        let mut count = 0;
        for source in self.sources.values_mut() {
            if matches(source.address.ip()) {
                source.association.offline();
                count += 1;
            }
        }
        count
    }

    /// Asks the sources that match again; how many there are.
    pub fn online(&mut self, matches: impl Fn(IpAddr) -> bool, now: Moment) -> usize {
        let ids = self.matching(matches);
        for id in &ids {
            if let Some(source) = self.sources.get_mut(id) {
                source.association.online(now.monotonic_ns);
            }
            self.keep_apart(*id);
        }
        ids.len()
    }

    /// Sends the sources that match up to `requests` requests until `good` replies are good; how many there are.
    pub fn burst(
        &mut self,
        matches: impl Fn(IpAddr) -> bool,
        (good, requests): (u32, u32),
        now: Moment,
    ) -> usize {
        let ids = self.matching(matches);
        for id in &ids {
            if let Some(source) = self.sources.get_mut(id) {
                source.association.burst(good, requests, now.monotonic_ns);
            }
            self.keep_apart(*id);
        }
        ids.len()
    }

    /// Changes the options of a source; whether there is one with this address.
    pub fn change_options(
        &mut self,
        address: IpAddr,
        change: impl FnOnce(&mut SourceOptions),
    ) -> bool {
        let mut sources = self.sources.values_mut();
        let Some(source) = sources.find(|source| source.address.ip() == address) else {
            return false;
        };
        let mut options = source.association.options().clone();
        change(&mut options);
        source.association.set_options(options);
        true
    }

    /// Steps the clock by all that is still being slewed in.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn make_step(&mut self, now: Moment) -> Result<(), K::Error> {
        let adjustment = Adjustment {
            is_step: true,
            ..Adjustment::default()
        };
        let remaining_s = self.clock.remaining_s(now.raw);
        self.announce(&adjustment, remaining_s);
        self.adjust(&adjustment, now)?;
        self.renew(now);
        Ok(())
    }

    /// `makestep THRESHOLD LIMIT`, from now on.
    pub fn set_make_step(&mut self, rule: Option<MakeStep>) {
        self.servo.set_make_step(rule);
    }

    /// `maxupdateskew` as a fraction, from now on.
    pub fn set_skew_max(&mut self, skew: f64) {
        self.servo.set_skew_max(skew);
    }

    /// Chooses anew, as if none had been selected.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn reselect(&mut self, now: Moment) -> Result<(), K::Error> {
        for source in self.sources.values_mut() {
            source.standing.is_selected = false;
        }
        for source in self.refclocks.values_mut() {
            source.standing.is_selected = false;
        }
        self.select(None, now)
    }

    /// `reselectdist` in seconds, from now on.
    pub fn set_reselect_distance(&mut self, seconds: f64) {
        self.selection.reselect_distance_s = seconds;
    }

    /// Makes the clock run faster by a fraction, and sets it forward by some seconds, from now on.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn change_clock(
        &mut self,
        frequency: f64,
        offset_s: f64,
        now: Moment,
    ) -> Result<(), K::Error> {
        let adjustment = Adjustment {
            frequency,
            offset_s,
            ..Adjustment::default()
        };
        self.adjust(&adjustment, now)?;
        self.renew(now);
        Ok(())
    }

    /// `selectopts`: changes how a source is selected; whether there is one with this name.
    pub fn change_selection(
        &mut self,
        name: SourceName,
        change: impl FnOnce(&mut SelectOptions),
    ) -> bool {
        let mut clocks = self.refclocks.values_mut();
        if let Some(source) = clocks.find(|source| source.name() == name) {
            let mut options = source.clock.options().select;
            change(&mut options);
            source.clock.set_select(options);
            return true;
        }
        let SourceName::Address(address) = name else {
            return false;
        };
        self.change_options(address, |options| {
            let mut select = SelectOptions {
                noselect: options.noselect,
                prefer: options.prefer,
                trust: options.trust,
                require: options.require,
            };
            change(&mut select);
            options.noselect = select.noselect;
            options.prefer = select.prefer;
            options.trust = select.trust;
            options.require = select.require;
        })
    }

    /// `smoothtime`: served time is the clock's from now on, and smoothed where it was; whether it is configured.
    pub fn reset_smoothing(&mut self, now: Moment) -> bool {
        let cooked = self.clock.cook(now.raw);
        let Some(smoothing) = &mut self.smoothing else {
            return false;
        };
        if smoothing.is_active() {
            smoothing.reset(cooked);
        }
        self.renew(now);
        true
    }

    /// `smoothtime activate`: served time is smoothed from now on; whether it is configured.
    pub fn activate_smoothing(&mut self, now: Moment) -> bool {
        let cooked = self.clock.cook(now.raw);
        let Some(smoothing) = &mut self.smoothing else {
            return false;
        };
        if !smoothing.is_active() {
            smoothing.reset(cooked);
        }
        true
    }

    /// Forgets what was measured of all sources.
    pub fn reset_sources(&mut self) {
        for source in self.sources.values_mut() {
            source.forget();
        }
        for source in self.refclocks.values_mut() {
            source.clock_jumped();
        }
    }

    /// Other keys, from now on.
    pub fn set_keys(&mut self, keys: Arc<KeyStore>) {
        self.keys = keys;
        for source in self.sources.values_mut() {
            // What was wrong may be right now, and is said again if not.
            source.trouble = None;
        }
    }

    /// `local`, from now on.
    pub fn set_local(&mut self, local: Option<Local>, now: Moment) {
        let known = self.selection.orphan.map(|orphan| orphan.reference_id);
        self.selection.orphan = local.filter(|local| local.orphan).map(|local| Orphan {
            stratum: local.stratum,
            // Until our address is known, every other orphan leads.
            reference_id: known.unwrap_or(u32::MAX),
        });
        self.local = local.map(LocalReference::new);
        self.renew(now);
    }

    /// The source of a name, if there is one.
    pub fn source_named(&self, name: SourceName) -> Option<SourceId> {
        let mut servers = self.sources.iter();
        let server = servers.find(|(_, source)| source.name() == name);
        let mut clocks = self.refclocks.iter();
        let clock = clocks.find(|(_, source)| source.name() == name);
        server.map(|(id, _)| *id).or(clock.map(|(id, _)| *id))
    }

    fn matching(&self, matches: impl Fn(IpAddr) -> bool) -> Vec<SourceId> {
        let all = self.sources.iter();
        let all = all.filter(|(_, source)| matches(source.address.ip()));
        all.map(|(id, _)| *id).collect()
    }
}
