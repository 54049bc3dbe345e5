//! One source: what is exchanged with it, and what its samples have shown.

use core::net::{IpAddr, SocketAddr};

use super::NameId;
use crate::client::{
    Association, Candidate, ClockChange, Dump, Expectation, Filter, Measurement, Role, Sample,
    Samples, SamplesOptions, SelectOptions, SlotId, SourceName, SourceOptions, Standing,
    reference_id,
};
use crate::wire::{CookedTime, LeapIndicator, ReferenceId};

/// What all registers have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RegisterOptions {
    /// `minsamples`
    pub(super) samples_min: usize,
    /// `maxsamples`; 0 is the largest.
    pub(super) samples_max: usize,
    /// The precision of the local clock.
    pub(super) precision_s: f64,
}

/// What keeps a source from being heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its key is not in the key file.
    NoKey,
    /// Replies come, and are not signed by the key.
    NotAuthentic,
    /// Nothing comes.
    Silent,
}

/// A source of the time.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) address: SocketAddr,
    pub(super) name_id: NameId,
    pub(super) slot: SlotId,
    pub(super) association: Association,
    pub(super) samples: Samples,
    pub(super) standing: Standing,
    /// What those that follow us by the address that this source sees would call us.
    pub(super) own_id: Option<ReferenceId>,
    /// Our address on the way to it, as far as a request has shown it.
    pub(super) own_address: Option<IpAddr>,
    /// What is wrong with it, as far as that was said.
    pub(super) trouble: Option<Trouble>,
    filter: Option<Filter>,
    said: Said,
}

/// What a source says of itself, as of its last valid reply.
#[derive(Clone, Copy, Debug)]
struct Said {
    stratum: u8,
    leap: LeapIndicator,
    reference_id: ReferenceId,
}

impl Source {
    pub(super) fn new(
        (name, slot): (NameId, SlotId),
        address: SocketAddr,
        (role, options): (Role, &SourceOptions),
        register: &RegisterOptions,
        now_ns: u64,
    ) -> Self {
        Self {
            address,
            name_id: name,
            slot,
            association: Association::new(role, options.clone(), now_ns),
            samples: Samples::new(SamplesOptions {
                samples_min: options.min_samples.unwrap_or(register.samples_min),
                samples_max: options.max_samples.unwrap_or(register.samples_max),
                delay_min_s: options.min_delay_s,
                asymmetry: options.asymmetry,
                precision_s: register.precision_s,
            }),
            standing: Standing::default(),
            own_id: None,
            own_address: None,
            trouble: None,
            filter: (options.filter > 1).then(|| Filter::new(options.filter, 0.0)),
            said: Said::NOTHING,
        }
    }

    pub(super) const fn name(&self) -> SourceName {
        SourceName::Address(self.address.ip())
    }

    /// It has another address now: nothing that was learnt holds.
    pub(super) fn move_to(&mut self, address: SocketAddr, now_ns: u64) {
        self.address = address;
        self.association.moved(now_ns);
        self.own_id = None;
        self.own_address = None;
        self.forget();
    }

    /// The local clock was set by an amount that is not known.
    pub(super) fn clock_jumped(&mut self) {
        self.association.clock_jumped();
        self.forget();
    }

    pub(super) fn clock_changed(&mut self, change: &ClockChange) {
        self.association.clock_changed(change);
        self.samples.shift(change);
        if let Some(filter) = &mut self.filter {
            filter.shift(change);
        }
    }

    /// All clocks had a leap second, ours by this change.
    pub(super) fn leaped(&mut self, change: &ClockChange) {
        self.association.clock_changed(change);
        self.samples.leap(change.offset_s);
        if let Some(filter) = &mut self.filter {
            filter.leap(change.offset_s);
        }
    }

    /// What the register foretells.
    pub(super) fn expectation(&self) -> Expectation {
        let Some(newest) = self.samples.newest() else {
            return Expectation::default();
        };
        let seen = self.samples.statistics();
        Expectation {
            samples: self.samples.len(),
            at: newest.at,
            offset_s: seen.offset_s,
            frequency: seen.frequency,
            skew: seen.skew,
            standard_deviation_s: seen.standard_deviation_s,
            min_delay_s: self.samples.delay_min_s().unwrap_or(0.0),
            asymmetry: seen.asymmetry,
        }
    }

    /// A valid reply came.
    pub(super) fn take_note(&mut self, measurement: &Measurement) {
        let least = self.association.options().min_stratum;
        self.said = Said {
            stratum: measurement.stratum.max(least),
            leap: measurement.leap,
            reference_id: measurement.reference_id,
        };
    }

    /// Takes a good sample in; whether the register has a new one.
    pub(super) fn accumulate(&mut self, mut sample: Sample) -> bool {
        sample.stratum = self.said.stratum;
        let sample = match &mut self.filter {
            Some(filter) => filter.accumulate(sample),
            None => Some(sample),
        };
        let Some(sample) = sample else {
            return false;
        };
        self.samples.accumulate(sample);
        self.association.accumulated(self.samples.len());
        self.standing.updates = self.standing.updates.saturating_add(1);
        true
    }

    /// Takes note of a trouble; what is to be said of it, if that is new.
    pub(super) fn troubled(&mut self, trouble: Trouble) -> Option<String> {
        if self.trouble.replace(trouble) == Some(trouble) {
            return None;
        }
        let address = self.address.ip();
        let key = self.association.options().key.map(|key| key.0);
        Some(match (trouble, key) {
            (Trouble::NoKey, Some(key)) => {
                format!("{address}: key {key} is not in the key file: nothing is sent")
            }
            (Trouble::NoKey, None) => format!("{address}: nothing can be sent"),
            (Trouble::NotAuthentic, Some(key)) => {
                format!("{address}: replies are not signed by key {key}: is it the same key there?")
            }
            (Trouble::NotAuthentic, None) => {
                format!("{address}: replies are signed, and no key was named for them")
            }
            (Trouble::Silent, Some(key)) => format!(
                "{address}: no reply to eight requests signed by key {key}: is it up, and is it the same key there?"
            ),
            (Trouble::Silent, None) => {
                format!("{address}: no reply to eight requests: is it up, and are we allowed?")
            }
        })
    }

    /// As selection sees it.
    pub(super) fn candidate(&self, now: CookedTime) -> Candidate {
        let reach = self.association.reach();
        let options = self.association.options();
        let is_lost = reach.unreachable_polls() > options.max_unreach;
        Candidate {
            role: self.select_options(),
            reference_id: u32::from_be_bytes(reference_id(self.address.ip()).to_bytes()),
            stratum: self.said.stratum,
            leap: self.said.leap,
            reach: reach.register(),
            reach_polls: reach.polls(),
            selectable: self.samples.selectable(now).filter(|_| !is_lost),
            estimate: self.samples.estimate(),
            standing: self.standing,
        }
    }

    /// What those that follow us through it are told: our stratum and our reference id.
    pub(super) fn reference(&self) -> (u8, ReferenceId) {
        if self.association.options().copy {
            (self.said.stratum, self.said.reference_id)
        } else {
            let id = reference_id(self.address.ip());
            (self.said.stratum.saturating_add(1), id)
        }
    }

    /// Takes an earlier run's samples in.
    pub(super) fn restore(&mut self, dump: &Dump) {
        self.samples.restore(&dump.samples, dump.asymmetry_run);
        self.said = Said {
            stratum: dump.stratum,
            leap: dump.leap,
            reference_id: ReferenceId::NONE,
        };
        self.standing.updates = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
    }

    /// What a later run may take in.
    pub(super) fn dump(&self, name: Option<String>) -> Dump {
        let reach = self.association.reach();
        Dump {
            name,
            is_authenticated: self.association.options().key.is_some(),
            reach: reach.register(),
            reach_polls: reach.polls(),
            stratum: self.said.stratum,
            leap: self.said.leap,
            asymmetry_run: self.samples.asymmetry_run(),
            samples: self.samples.register().to_vec(),
        }
    }

    fn select_options(&self) -> SelectOptions {
        let options = self.association.options();
        SelectOptions {
            noselect: options.noselect,
            prefer: options.prefer,
            trust: options.trust,
            require: options.require,
        }
    }

    pub(super) fn forget(&mut self) {
        self.samples.clear();
        self.standing = Standing::default();
        self.said = Said::NOTHING;
        if let Some(filter) = &mut self.filter {
            filter.clear();
        }
    }
}

impl Said {
    const NOTHING: Self = Self {
        stratum: 0,
        leap: LeapIndicator::NotSynchronised,
        reference_id: ReferenceId::NONE,
    };
}
