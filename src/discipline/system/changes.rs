//! What is told of sources and clock when their state changes: a line each, with the figure that caused it.

use super::System;
use super::action::{Severity, SourceId};
use crate::client::{Candidate, Reference, SourceName, State, interval_ns};
use crate::discipline::KernelClock;
use crate::wire::KissCode;

impl<K: KernelClock> System<K> {
    /// Another source is followed.
    pub(super) fn tell_of_selection(&mut self, name: SourceName, reference: &Reference) {
        let found = reference.estimate.map(|estimate| {
            let (offset_s, deviation_s) = (estimate.offset_s, estimate.offset_sd_s);
            format!(", {offset_s:+.9} s from our clock, +/- {deviation_s:.9} s")
        });
        let found = found.unwrap_or_default();
        let text = format!(
            "Selected source {name}: stratum {}{found}",
            reference.stratum
        );
        self.tell(Severity::Information, text);
    }

    /// Sources that agree no longer with the others.
    pub(super) fn tell_of_falsetickers(
        &mut self,
        before: &[(SourceId, SourceName, Candidate)],
        after: &[Candidate],
    ) {
        let is_false = |candidate: &Candidate| candidate.standing.state == State::Falseticker;
        for ((_, name, before), after) in before.iter().zip(after) {
            if is_false(before) || !is_false(after) {
                continue;
            }
            let Some(seen) = after.selectable else {
                continue;
            };
            let text = format!(
                "{name} does not agree with the other sources: {:+.6} s from our clock, +/- {:.6} s",
                seen.offset_s, seen.root_distance_s
            );
            self.tell(Severity::Warning, text);
        }
    }

    /// No source can be followed. What was found before holds on, and its dispersion grows.
    pub(super) fn lose(&mut self, why: &str, candidates: &[Candidate]) {
        if self.selected.take().is_none() {
            return;
        }
        let counted: Vec<String> = REASONS
            .iter()
            .filter_map(|(state, words)| {
                let count = candidates
                    .iter()
                    .filter(|one| one.standing.state == *state)
                    .count();
                (count > 0).then(|| format!("{count} {words}"))
            })
            .collect();
        let silent = candidates.iter().filter(|one| one.reach == 0).count();
        let of = format!("of {} sources, {silent} silent", candidates.len());
        let text = [
            &[format!("Can't synchronise: {why}: {of}")],
            counted.as_slice(),
        ]
        .concat();
        self.tell(Severity::Warning, text.join(", "));
    }

    /// A source wants to be asked less often, or not at all; that has been obeyed.
    pub(super) fn tell_of_kiss(&mut self, id: SourceId, kiss: KissCode) {
        let Some(source) = self.sources.get(&id) else {
            return;
        };
        let interval_s = interval_ns(source.association.poll().log2()) / 1_000_000_000;
        let text = format!(
            "{}: {kiss:?}: the source asks for less; its interval is {interval_s} s",
            source.address.ip()
        );
        self.tell(Severity::Warning, text);
    }

    /// The clock is worse than `maxdrift` has it, or what it follows is.
    pub(super) fn tell_of_drift(&mut self) {
        let is_at_max = self.clock.is_at_frequency_max();
        if is_at_max && !self.is_at_drift_max {
            let ppm = self.clock.frequency() * 1e6;
            self.tell(
                Severity::Warning,
                format!(
                    "The frequency is held at {ppm:+.3} ppm, the most that maxdrift allows: the clock is worse, or the sources are wrong"
                ),
            );
        }
        self.is_at_drift_max = is_at_max;
    }
}

/// States that keep a source from being followed, in words.
const REASONS: [(State, &str); 10] = [
    (State::Noselect, "noselect"),
    (State::MissingSamples, "without samples"),
    (State::NotSynchronised, "not synchronised"),
    (State::BadStratum, "of a stratum that is not wanted"),
    (State::TooDistant, "beyond maxdistance"),
    (State::Jittery, "beyond maxjitter"),
    (State::NotTrusted, "against the trusted ones"),
    (State::Falseticker, "that do not agree"),
    (State::Orphan, "orphans"),
    (State::WaitsForSources, "that agree but are not enough"),
];
