//! Reference clocks among the sources.

use super::System;
use super::action::{Action, Moment, Record, RefclockReading, RefclockRecord, SourceId};
use super::source::RegisterOptions;
use crate::client::{
    Candidate, ClockChange, Completion, Dump, Reading, Refclock, RefclockOptions, Sample, Samples,
    SamplesOptions, Shows, SourceName, Standing,
};
use crate::discipline::KernelClock;
use crate::wire::{CookedTime, LeapIndicator, NtpDuration, RawTime};

/// What the driver of a reference clock has read, by the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawReading {
    /// When.
    pub at: RawTime,
    /// What the clock showed then.
    pub shows: Shows,
    /// What the clock says of the leap second.
    pub leap: LeapIndicator,
    /// How wrong the reading may be, in seconds.
    pub dispersion_s: f64,
}

/// A reference clock, and what its samples have shown.
#[derive(Debug)]
pub(super) struct RefclockSource {
    pub(super) clock: Refclock,
    pub(super) samples: Samples,
    pub(super) standing: Standing,
}

impl RefclockSource {
    fn new(options: RefclockOptions, register: &RegisterOptions, now_ns: u64) -> Self {
        Self {
            clock: Refclock::new(options, register.precision_s, now_ns),
            samples: Samples::new(SamplesOptions {
                samples_min: options.samples_min.unwrap_or(register.samples_min),
                samples_max: options.samples_max.unwrap_or(register.samples_max),
                delay_min_s: None,
                // A reference clock's delay has no jitter.
                asymmetry: Some(0.0),
                precision_s: options.precision_s.unwrap_or(register.precision_s),
            }),
            standing: Standing::default(),
        }
    }

    pub(super) const fn name(&self) -> SourceName {
        SourceName::Refclock(self.clock.options().reference_id)
    }

    pub(super) fn clock_changed(&mut self, change: &ClockChange) {
        self.clock.shift(change);
        self.samples.shift(change);
    }

    pub(super) fn leaped(&mut self, change: &ClockChange) {
        self.clock.leap(change.offset_s);
        self.samples.leap(change.offset_s);
    }

    pub(super) fn clock_jumped(&mut self) {
        self.clock.forget();
        self.samples.clear();
        self.standing = Standing::default();
    }

    /// As selection sees it; the one that only steadies the frequency is never seen.
    pub(super) fn candidate(&self, now: CookedTime) -> Candidate {
        let (options, reach) = (self.clock.options(), self.clock.reach());
        let is_lost = reach.unreachable_polls() > options.unreach_max;
        let leap = self.clock.last().map(|last| last.leap);
        Candidate {
            role: options.select,
            reference_id: u32::from_be_bytes(options.reference_id.to_bytes()),
            stratum: options.stratum,
            leap: leap.unwrap_or(LeapIndicator::NoWarning),
            reach: reach.register(),
            reach_polls: reach.polls(),
            selectable: self.samples.selectable(now).filter(|_| !is_lost),
            estimate: self.samples.estimate(),
            standing: self.standing,
        }
    }

    /// What a later run may take in.
    pub(super) fn dump(&self) -> Dump {
        let reach = self.clock.reach();
        Dump {
            name: None,
            is_authenticated: false,
            reach: reach.register(),
            reach_polls: reach.polls(),
            stratum: self.clock.options().stratum,
            leap: LeapIndicator::NoWarning,
            asymmetry_run: 0,
            samples: self.samples.register().to_vec(),
        }
    }

    fn accumulate(&mut self, sample: Sample) {
        self.samples.accumulate(sample);
        self.standing.updates = self.standing.updates.saturating_add(1);
    }
}

impl<K: KernelClock> System<K> {
    /// Adds a reference clock, whose driver is the caller's: it is to tell by
    /// [`refclock_read`](Self::refclock_read) of all that it reads.
    pub fn add_refclock(&mut self, options: RefclockOptions, now: Moment) -> SourceId {
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let source = RefclockSource::new(options, &self.register, now.monotonic_ns);
        self.refclocks.insert(id, source);
        id
    }

    /// Takes samples of an earlier run in.
    pub fn restore_refclock(&mut self, id: SourceId, dump: &Dump) {
        if let Some(source) = self.refclocks.get_mut(&id) {
            source.samples.restore(&dump.samples, 0);
            let count = u32::try_from(source.samples.len()).unwrap_or(u32::MAX);
            source.standing.updates = count;
        }
    }

    /// A reference clock was read.
    pub fn refclock_read(&mut self, id: SourceId, raw: &RawReading, now: Moment) {
        if self.leap.is_close(self.unix_s(now.raw)) {
            return;
        }
        let at = self.clock.cook(raw.at);
        // A clock is ahead of the corrected time by less if the kernel's is behind that.
        let correction_s = (at.0 - raw.at.0).to_seconds();
        let (shows, offset_s) = match raw.shows {
            Shows::Time(offset_s) => (Shows::Time(offset_s - correction_s), offset_s),
            Shows::Pulse(behind_s) => (Shows::Pulse(behind_s + correction_s), -behind_s),
        };
        let reading = Reading {
            at,
            shows,
            leap: raw.leap,
            dispersion_s: raw.dispersion_s,
        };
        let completion = self.completion(id, now);
        // By the clock's own time: ours may be decades off at the start.
        let shown = match raw.shows {
            Shows::Time(offset_s) => raw.at.0 + NtpDuration::from_seconds(offset_s),
            Shows::Pulse(_) => raw.at.0,
        };
        let tai_offset_s = self.leap.tai_offset_at(self.unix_s(RawTime(shown)));
        let Some(source) = self.refclocks.get_mut(&id) else {
            return;
        };
        let poll = source.clock.readings();
        let is_pulse = matches!(raw.shows, Shows::Pulse(_)) || source.clock.options().pps;
        let Ok(sample) = source.clock.take(&reading, completion, tai_offset_s) else {
            return;
        };
        let record = RefclockRecord {
            at,
            reference_id: source.clock.options().reference_id,
            leap: sample.leap,
            raw: Some(RefclockReading {
                poll,
                is_pulse,
                offset_s,
            }),
            offset_s: sample.offset_s,
            dispersion_s: sample.peer_dispersion_s,
        };
        self.actions
            .push_back(Action::Record(Record::Refclock(record)));
    }

    /// What tells the second of a pulse.
    fn completion(&self, id: SourceId, now: Moment) -> Completion {
        let source = self.refclocks.get(&id);
        let lock = source.and_then(|source| source.clock.options().lock);
        if let Some(lock) = lock {
            let mut others = self.refclocks.values();
            let other = others.find(|other| other.clock.options().reference_id == lock);
            return Completion::Locked(other.and_then(|other| other.clock.last()).copied());
        }
        let variables = self.variables();
        let distance_s = variables.root_delay.to_seconds() / 2.0
            + variables.root_dispersion_at(now.raw).to_seconds();
        Completion::Own(variables.is_synchronised().then_some(distance_s))
    }

    /// Makes samples of what was read, where a poll's time has come.
    pub(super) fn poll_refclocks(&mut self, now: Moment) -> Result<(), K::Error> {
        let due = self.refclocks.iter();
        let due = due.filter(|(_, source)| source.clock.next_poll_ns() <= now.monotonic_ns);
        let due: Vec<SourceId> = due.map(|(id, _)| *id).collect();
        for id in due {
            let Some(source) = self.refclocks.get_mut(&id) else {
                continue;
            };
            let is_local = source.clock.options().local;
            let Some(sample) = source.clock.poll(now.monotonic_ns) else {
                self.select(None, now)?;
                continue;
            };
            source.accumulate(sample);
            let reference_id = source.clock.options().reference_id;
            self.note_statistics(id);
            self.actions
                .push_back(Action::Record(Record::Refclock(RefclockRecord {
                    at: sample.at,
                    reference_id,
                    leap: sample.leap,
                    raw: None,
                    offset_s: sample.offset_s,
                    dispersion_s: sample.peer_dispersion_s,
                })));
            if is_local {
                self.steady(id, now)?;
            } else {
                self.select(Some(id), now)?;
            }
        }
        Ok(())
    }

    /// The clock's frequency follows that of a stable clock which is not synchronised.
    fn steady(&mut self, id: SourceId, now: Moment) -> Result<(), K::Error> {
        let Some(source) = self.refclocks.get_mut(&id) else {
            return Ok(());
        };
        let Some(estimate) = source.samples.estimate() else {
            return Ok(());
        };
        let base = self.clock.frequency();
        let frequency = (1.0 + base).mul_add(1.0 + estimate.frequency, -1.0);
        let change = self.clock.set_frequency(frequency, now.raw)?;
        self.slew_began_ns = now.monotonic_ns;
        self.clock_changed(&change, false);
        Ok(())
    }

    /// The next poll of a reference clock, by the clock that never steps.
    pub(super) fn next_refclock_poll(&self) -> Option<u64> {
        let polls = self.refclocks.values().map(|s| s.clock.next_poll_ns());
        polls.min()
    }
}
