//! From a new sample to the clock: selection, the servo, and what follows from it.

use super::action::{
    Action, End, Moment, Record, SelectionRecord, Severity, SourceId, TrackingRecord,
};
use super::say::{Followed, states};
use super::source::Source;
use super::{AuthSelectMode, Purpose, Stage, System};
use crate::client::{Candidate, Choice, Estimate, Reference, SourceName, select};
use crate::discipline::{Adjustment, KernelClock, KernelStatus, LeapAction, Update, Verdict};
use crate::wire::LeapIndicator;

impl<K: KernelClock> System<K> {
    /// Chooses anew; `updated` has a new sample.
    pub(super) fn select(
        &mut self,
        updated: Option<SourceId>,
        now: Moment,
    ) -> Result<(), K::Error> {
        let cooked = self.clock.cook(now.raw);
        let servers = self.sources.iter();
        let servers = servers.map(|(id, source)| (*id, source.name(), source.candidate(cooked)));
        let clocks = self.refclocks.iter();
        let clocks = clocks.filter(|(_, source)| !source.clock.options().local);
        let clocks = clocks.map(|(id, source)| (*id, source.name(), source.candidate(cooked)));
        let all: Vec<(SourceId, SourceName, Candidate)> = servers.chain(clocks).collect();
        let mut candidates: Vec<Candidate> = all.iter().map(|(.., candidate)| *candidate).collect();
        self.weigh_authentication(&mut candidates);
        let at = updated.and_then(|updated| all.iter().position(|(id, ..)| *id == updated));
        let choice = select(&self.selection, &mut candidates, at);
        for ((id, ..), candidate) in all.iter().zip(&candidates) {
            if let Some(source) = self.sources.get_mut(id) {
                source.standing = candidate.standing;
            } else if let Some(source) = self.refclocks.get_mut(id) {
                source.standing = candidate.standing;
            }
        }
        self.tell_falsetickers(&all, &candidates);
        if updated.is_some() {
            let records = all.iter().zip(&candidates);
            self.actions
                .extend(records.map(|((_, source, _), candidate)| {
                    Action::Record(Record::Selection(SelectionRecord {
                        at: cooked,
                        source: *source,
                        candidate: *candidate,
                    }))
                }));
        }
        match choice {
            Choice::Selected(reference) => {
                if let Some((id, name, _)) = all.get(reference.index) {
                    self.follow(&reference, (*id, *name), now)?;
                }
            }
            Choice::NotYet => {}
            Choice::NoSelectable => self.lose("no selectable sources", &candidates),
            Choice::NoMajority => self.lose("no majority", &candidates),
            Choice::TooFew => {
                let why = "not enough sources agree, or none that is required";
                self.lose(why, &candidates);
            }
        }
        Ok(())
    }

    /// `authselectmode`. A reference clock is as good as an authenticated server. Where all servers are that, or none is,
    /// `mix` makes none better than others.
    pub(super) fn weigh_authentication(&self, candidates: &mut [Candidate]) {
        let is_authenticated = |source: &Source| source.association.options().key.is_some();
        let has_authenticated = self.sources.values().any(is_authenticated);
        let has_others = !self.sources.values().all(is_authenticated);
        let servers = self.sources.values().map(is_authenticated);
        let clocks = self.refclocks.values().map(|_| true);
        for (is_authenticated, candidate) in servers.chain(clocks).zip(candidates) {
            let role = &mut candidate.role;
            match (self.auth_select, is_authenticated) {
                (AuthSelectMode::Require, false) => role.noselect = true,
                (AuthSelectMode::Prefer, false) => role.noselect |= has_authenticated,
                (AuthSelectMode::Mix, true) if has_authenticated && has_others => {
                    role.trust = true;
                    role.require = true;
                }
                _ => {}
            }
        }
    }

    /// No source can be followed. What was found before holds on, and its dispersion grows.
    fn lose(&mut self, why: &str, candidates: &[Candidate]) {
        if self.selected.take().is_some() {
            let states = states(candidates);
            self.tell(
                Severity::Warning,
                format!("Can't synchronise: {why} ({states})"),
            );
        }
    }

    fn follow(
        &mut self,
        reference: &Reference,
        (id, name): (SourceId, SourceName),
        now: Moment,
    ) -> Result<(), K::Error> {
        let (address, (stratum, reference_id)) = match name {
            SourceName::Address(address) => {
                let Some(source) = self.sources.get(&id) else {
                    return Ok(());
                };
                (Some(address), source.reference())
            }
            SourceName::Refclock(letters) => (None, (reference.stratum.saturating_add(1), letters)),
        };
        if self.selected.replace(id) != Some(id) {
            let stratum = reference.stratum;
            let seen = reference.estimate.map_or_else(String::new, |estimate| {
                let offset_s = estimate.offset_s;
                format!(", {offset_s:+.9} s from our clock")
            });
            let text = format!(
                "Selected source {name}: stratum {stratum}{seen}, {} combined",
                reference.combined
            );
            self.tell(Severity::Information, text);
        }
        let Some(estimate) = reference.estimate else {
            return Ok(());
        };
        let followed = Followed {
            address,
            stratum,
            reference_id,
            combined: reference.combined,
        };
        match &self.stage {
            Stage::Keeping => self.update(&estimate, &followed, reference.leap, now),
            Stage::Initial { threshold_s, .. } => {
                let is_step = self.offset_s(&estimate, now).abs() > *threshold_s;
                self.set_once(&estimate, is_step, now)?;
                self.begin_keeping(now);
                Ok(())
            }
            Stage::Once(purpose) => {
                let (purpose, offset_s) = (*purpose, self.offset_s(&estimate, now));
                self.stage = Stage::Ended;
                let end = if purpose == Purpose::SetOnce {
                    self.set_once(&estimate, true, now)?;
                    End::Set(offset_s)
                } else {
                    End::Measured(offset_s)
                };
                self.actions.push_back(Action::End(end));
                Ok(())
            }
            Stage::Ended => Ok(()),
        }
    }

    /// The clock follows an estimate.
    fn update(
        &mut self,
        estimate: &Estimate,
        followed: &Followed,
        leap: LeapIndicator,
        now: Moment,
    ) -> Result<(), K::Error> {
        let cooked = self.clock.cook(now.raw);
        let remaining_s = self.clock.remaining_s(now.raw);
        let update = Update {
            estimate: *estimate,
            now: cooked,
            remaining_s,
        };
        let error_max_s = self.servo.root_distance_s(cooked) + remaining_s.abs();
        let adjustment = match self.servo.update(&update, self.clock.frequency()) {
            Verdict::Adjust(adjustment) => adjustment,
            Verdict::Ignored(offset_s) => {
                let text = format!("Adjustment of {offset_s:.3} s exceeds maxchange: ignored");
                self.tell(Severity::Warning, text);
                return Ok(());
            }
            Verdict::GiveUp(offset_s) => {
                let text = format!("Adjustment of {offset_s:.3} s exceeds maxchange: the end");
                self.tell(Severity::Error, text);
                self.actions.push_back(Action::End(End::ExceededMaxChange));
                return Ok(());
            }
        };
        self.announce(&adjustment, remaining_s);
        self.adjust(&adjustment, now)?;
        self.followed = Some(*followed);
        let unix_s = self.unix_s(now.raw);
        self.leap.update(leap, unix_s);
        self.start_smoothing(now);
        self.tell_kernel(now)?;
        let tracking = *self.servo.tracking();
        self.actions
            .push_back(Action::Record(Record::Tracking(TrackingRecord {
                at: tracking.updated.unwrap_or(cooked),
                address: followed.address,
                reference_id: followed.reference_id,
                stratum: followed.stratum,
                leap: self.leap.leap(),
                combined: followed.combined,
                frequency: self.clock.frequency(),
                remaining_s,
                error_max_s,
                tracking,
            })));
        Ok(())
    }

    pub(super) fn announce(&mut self, adjustment: &Adjustment, remaining_s: f64) {
        let offset_s = adjustment.offset_s;
        if offset_s.abs() > self.log_change_s {
            let text = format!("System clock wrong by {offset_s:.6} seconds");
            self.tell(Severity::Warning, text);
        }
        if adjustment.is_step {
            let stepped_s = offset_s + remaining_s;
            let text = format!("System clock was stepped by {stepped_s:.6} seconds");
            self.tell(Severity::Warning, text);
        }
    }

    /// How far the clock is to be set forward, by an estimate.
    fn offset_s(&self, estimate: &Estimate, now: Moment) -> f64 {
        estimate.offset_at_s(self.clock.cook(now.raw)) + self.clock.remaining_s(now.raw)
    }

    /// Sets the clock without the servo: what `initstepslew` and `-q` do.
    fn set_once(
        &mut self,
        estimate: &Estimate,
        is_step: bool,
        now: Moment,
    ) -> Result<(), K::Error> {
        let offset_s = estimate.offset_at_s(self.clock.cook(now.raw));
        let adjustment = Adjustment {
            offset_s,
            // As fast as `maxslewrate` has it.
            duration_offset_s2: 0.0,
            is_step,
            ..Adjustment::default()
        };
        self.announce(&adjustment, self.clock.remaining_s(now.raw));
        self.adjust(&adjustment, now)
    }

    /// The kernel is told what we think of its clock.
    pub(super) fn tell_kernel(&mut self, now: Moment) -> Result<(), K::Error> {
        let cooked = self.clock.cook(now.raw);
        let remaining_s = self.clock.remaining_s(now.raw).abs();
        let status = KernelStatus {
            is_synchronised: self.followed.is_some(),
            error_max_s: self.servo.root_distance_s(cooked) + remaining_s,
            error_estimated_s: self.servo.tracking().offset_sd_s + remaining_s,
            leap: self.leap.kernel_leap(),
            tai_offset_s: self.leap.tai_offset_s(),
        };
        self.clock.kernel().set_status(&status)
    }

    /// Whether a step of the kernel's clock, in nanoseconds, is the leap second that it was told to make.
    pub fn makes_leap_second(&mut self, step_ns: i64, now: Moment) -> bool {
        let is_second = step_ns.abs().abs_diff(LEAP_NS) < LEAP_TOLERANCE_NS;
        let unix_s = self.unix_s(now.raw);
        is_second && self.clock.kernel().makes_leap_seconds() && self.leap.is_close(unix_s)
    }

    /// The day may be over that has a leap second.
    pub(super) fn make_leap_second(&mut self, now: Moment) -> Result<(), K::Error> {
        let unix_s = self.unix_s(now.raw);
        let Some(action) = self.leap.act(unix_s) else {
            return Ok(());
        };
        let (offset_s, is_step, verb) = match action {
            LeapAction::Stepped(offset_s) if self.clock.kernel().makes_leap_seconds() => {
                let change = self.clock.kernel_stepped(offset_s, now.raw);
                self.clock_changed(&change, true);
                (offset_s, None, "made by the kernel")
            }
            LeapAction::Stepped(offset_s) | LeapAction::Step(offset_s) => {
                (offset_s, Some(true), "stepped")
            }
            LeapAction::Slew(offset_s) => (offset_s, Some(false), "slewed"),
        };
        if let Some(is_step) = is_step {
            let adjustment = Adjustment {
                offset_s,
                duration_offset_s2: 0.0,
                is_step,
                ..Adjustment::default()
            };
            let change = self.clock.adjust(&adjustment, now.raw)?;
            self.slew_began_ns = now.monotonic_ns;
            self.clock_changed(&change, true);
        }
        self.stepped_ns = now.monotonic_ns;
        self.servo.step(offset_s);
        self.tell(
            Severity::Information,
            format!("leap second: {verb}, {offset_s:+} s"),
        );
        self.tell_kernel(now)
    }
}

const LEAP_NS: i64 = 1_000_000_000;
const LEAP_TOLERANCE_NS: u64 = 10_000_000;
