//! What we say of ourselves, the published record; and what is told of sources.

use std::net::IpAddr;

use super::System;
use super::action::{Moment, Severity, SourceId};
use crate::client::{Candidate, SourceName, State};
use crate::discipline::KernelClock;
use crate::wire::{
    CookedTime, Correction, LeapIndicator, NtpDuration, NtpTimestamp, RawTime, ReferenceId,
    SystemVariables,
};

/// What the clock follows, as of the last update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Followed {
    /// Of the selected source; `None` of a reference clock.
    pub(super) address: Option<IpAddr>,
    /// Ours.
    pub(super) stratum: u8,
    pub(super) reference_id: ReferenceId,
    pub(super) combined: usize,
}

impl<K: KernelClock> System<K> {
    /// Renews the published record.
    pub(super) fn renew(&mut self, now: Moment) {
        let raw = self.raw_after(now);
        let sources = self.of_sources(raw);
        let mut system = match &mut self.local {
            Some(local) => local.over(&sources, raw),
            None => sources,
        };
        self.smooth(&mut system, raw);
        if self.leap.is_hidden() && system.leap != LeapIndicator::NotSynchronised {
            system.leap = LeapIndicator::NoWarning;
        }
        self.variables = system;
    }

    /// The kernel's clock now, where it was stepped since `now` was read.
    fn raw_after(&self, now: Moment) -> RawTime {
        let epoch = self.clock.correction().epoch;
        if self.stepped_ns == now.monotonic_ns {
            epoch
        } else {
            now.raw
        }
    }

    fn of_sources(&self, raw: RawTime) -> SystemVariables {
        let correction = self.clock.correction();
        let nothing = SystemVariables {
            correction,
            ..SystemVariables::not_synchronised(self.precision)
        };
        let tracking = self.servo.tracking();
        let (Some(followed), Some(updated)) = (self.followed, tracking.updated) else {
            return nothing;
        };
        if !(1..=STRATUM_MAX).contains(&followed.stratum) {
            return nothing;
        }
        let cooked = correction.cook(raw);
        let root_dispersion_s = self.servo.root_dispersion_s(cooked);
        SystemVariables {
            leap: self.leap.leap(),
            stratum: followed.stratum,
            precision: self.precision,
            reference_id: followed.reference_id,
            reference_timestamp: updated.0,
            root_delay: NtpDuration::from_seconds(tracking.root_delay_s),
            root_dispersion: NtpDuration::from_seconds(root_dispersion_s),
            dispersion_rate: NtpDuration::from_seconds(self.servo.dispersion_rate()).to_bits(),
            updated: raw,
            correction,
        }
    }

    /// Served time differs from the clock while it is smoothed, and so does what we are said to follow.
    fn smooth(&self, system: &mut SystemVariables, raw: RawTime) {
        let Some(smoothing) = self.smoothing.filter(|smoothing| smoothing.is_active()) else {
            return;
        };
        let cooked = system.correction.cook(raw);
        let (offset_s, frequency) = smoothing.at(cooked);
        if offset_s == 0.0 && frequency == 0.0 {
            return;
        }
        let lacks = cooked.0 - raw.0 + NtpDuration::from_seconds(offset_s);
        let slope = NtpDuration::from_seconds(frequency).to_bits();
        system.correction = Correction {
            epoch: raw,
            offset: lacks,
            slope: system.correction.slope.saturating_add(slope),
        };
        system.reference_timestamp =
            system.reference_timestamp + NtpDuration::from_seconds(offset_s);
        if offset_s.abs() > f64::from(self.precision).exp2() {
            system.reference_id = ReferenceId::SMOOTHED;
            system.root_dispersion =
                system.root_dispersion + NtpDuration::from_seconds(offset_s.abs());
        }
    }

    /// Time is smoothed from the first update on that leaves nothing to be corrected in a hurry.
    pub(super) fn start_smoothing(&mut self, now: Moment) {
        let remaining_s = self.clock.remaining_s(self.raw_after(now)).abs();
        let cooked = self.clock.cook(self.raw_after(now));
        if let Some(smoothing) = &mut self.smoothing
            && !smoothing.is_active()
            && remaining_s < SMOOTHED_BELOW_S
        {
            smoothing.reset(cooked);
            self.tell(
                Severity::Information,
                "served time is smoothed from now on".to_owned(),
            );
        }
    }

    /// What was followed has not been heard of for so long that nobody could use our time.
    pub(super) fn give_up_distant(&mut self, now: CookedTime) {
        let distance_s = self.servo.root_distance_s(now);
        if distance_s > self.selection.distance_max_s && self.followed.take().is_some() {
            self.tell(
                Severity::Warning,
                format!("the root distance has grown to {distance_s:.3} s: not synchronised"),
            );
        }
    }

    /// Seconds of UTC since the Unix epoch.
    pub(super) fn unix_s(&self, raw: RawTime) -> i64 {
        let start = NtpTimestamp::from_unix(self.start_unix_s, 0);
        let since = (self.clock.cook(raw).0 - start).to_bits();
        self.start_unix_s.saturating_add(since >> 32)
    }
}

impl<K: KernelClock> System<K> {
    /// A source does not agree with most any more.
    pub(super) fn tell_falsetickers(
        &mut self,
        before: &[(SourceId, SourceName, Candidate)],
        after: &[Candidate],
    ) {
        let is_false = |candidate: &Candidate| candidate.standing.state == State::Falseticker;
        for ((_, name, old), new) in before.iter().zip(after) {
            if is_false(new)
                && !is_false(old)
                && let Some(seen) = new.selectable
            {
                let (offset_s, distance_s) = (seen.offset_s, seen.root_distance_s);
                self.tell(
                    Severity::Warning,
                    format!(
                        "Detected falseticker {name}: {offset_s:+.9} s from our clock, and claims to be wrong by \
                         {distance_s:.9} s at most"
                    ),
                );
            }
        }
    }
}

/// How many sources are in which state, the most numerous first.
pub(super) fn states(candidates: &[Candidate]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for candidate in candidates {
        let word = match candidate.standing.state {
            _ if candidate.reach == 0 => "unreachable",
            state => state.word(),
        };
        match counts.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
    let counts = counts.iter().map(|(word, count)| format!("{count} {word}"));
    let all: Vec<String> = counts.collect();
    if all.is_empty() {
        return "there is none".to_owned();
    }
    all.join(", ")
}

/// A server of a higher one is none (RFC 5905 §7.3).
const STRATUM_MAX: u8 = 15;
/// A larger correction is under way, and is not to be given back over hours.
const SMOOTHED_BELOW_S: f64 = 1e-3;
