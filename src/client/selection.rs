//! Which sources tell the truth, and which of them the clock follows (RFC 5905 §11.2, as chrony does it).
//!
//! A source's interval is its offset and root distance to either side. What most intervals have in common
//! holds the true time; who does not overlap with it is a falseticker.

mod candidate;

pub use candidate::{Candidate, SelectOptions, Standing, State};

use super::combine::combine;
use super::{Estimate, Selectable};
use crate::wire::LeapIndicator;

/// The directives about selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionOptions {
    /// `maxdistance` in seconds.
    pub distance_max_s: f64,
    /// `maxjitter` in seconds.
    pub jitter_max_s: f64,
    /// `minstratum`
    pub stratum_min: u8,
    /// `maxstratum`
    pub stratum_max: u8,
    /// `stratumweight`: seconds of distance that one stratum is worth.
    pub stratum_weight_s: f64,
    /// `reselectdist` in seconds: what keeps the selected source.
    pub reselect_distance_s: f64,
    /// `combinelimit`; 0: the selected source alone is used.
    pub combine_limit: f64,
    /// `minsources`
    pub sources_min: usize,
    /// `maxclockerror` as a fraction.
    pub clock_error_max: f64,
    /// Our own `local … orphan`.
    pub orphan: Option<Orphan>,
}

impl Default for SelectionOptions {
    fn default() -> Self {
        Self {
            distance_max_s: 3.0,
            jitter_max_s: 1.0,
            stratum_min: 0,
            stratum_max: 15,
            stratum_weight_s: 1e-3,
            reselect_distance_s: 1e-4,
            combine_limit: 3.0,
            sources_min: 1,
            clock_error_max: 1e-6,
            orphan: None,
        }
    }
}

/// Among servers without a source, the one of the lowest reference id leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The stratum of `local`.
    pub stratum: u8,
    /// Our own reference id, as others see it.
    pub reference_id: u32,
}

/// What selection came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// No source can be used: not synchronised.
    NoSelectable,
    /// The sources do not agree: not synchronised.
    NoMajority,
    /// Fewer than `minsources`, or none that `require` asks for: not synchronised.
    TooFew,
    /// Whatever was said before holds, until more samples come.
    NotYet,
    /// The clock follows a source.
    Selected(Reference),
}

/// The source that the clock follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// Its place among the candidates.
    pub index: usize,
    /// Whether it was another one before.
    pub is_new: bool,
    /// Its stratum.
    pub stratum: u8,
    /// The leap second that most of the truechimers announce.
    pub leap: LeapIndicator,
    /// Sources in the estimate, this one included.
    pub combined: usize,
    /// What they say of the clock; `None` where the selected source says nothing new.
    pub estimate: Option<Estimate>,
}

/// Judges all sources and picks the one to follow. `updated` is the source that has a new sample, if one has.
///
/// Each candidate's [`Standing`] is carried from call to call; [`State`] in it is renewed.
pub fn select(
    options: &SelectionOptions,
    candidates: &mut [Candidate],
    updated: Option<usize>,
) -> Choice {
    let mut chosen = usable(options, candidates);
    if waits_for_samples(candidates, &chosen) {
        mark(candidates, &chosen, State::WaitsForSamples);
        return Choice::NotYet;
    }
    if chosen.is_empty() {
        unselect(candidates);
        return Choice::NoSelectable;
    }
    let ages_s = chosen.iter().filter(|i| candidates[**i].reach != 0);
    let newest_s = ages_s
        .filter_map(|i| candidates[*i].selectable)
        .map(|seen| seen.newest_age_s)
        .fold(0.0, f64::max);
    let intervals = chosen.iter().filter_map(|i| {
        let more_s = options.clock_error_max;
        Interval::of(*i, &candidates[*i], newest_s, more_s)
    });
    let intervals: Vec<Interval> = intervals.collect();
    let Some(region) = Region::find(&intervals) else {
        mark(candidates, &chosen, State::Falseticker);
        unselect(candidates);
        return Choice::NoMajority;
    };
    chosen.clear();
    for interval in &intervals {
        if region.agrees(interval) {
            chosen.push(interval.index);
        } else {
            candidates[interval.index].standing.state = region.verdict();
        }
    }
    if !is_enough(options, candidates, &chosen) {
        mark(candidates, &chosen, State::WaitsForSources);
        unselect(candidates);
        return Choice::TooFew;
    }
    let leap = leap_of_most(candidates, &chosen);
    narrow_to_preferred(candidates, &mut chosen);
    follow(options, candidates, &chosen, updated).map_or(Choice::NotYet, |(index, is_new)| {
        let (combined, estimate) = estimate(options, candidates, &chosen, (index, updated));
        Choice::Selected(Reference {
            index,
            is_new,
            stratum: candidates[index].stratum,
            leap,
            combined,
            estimate,
        })
    })
}

/// Those that nothing is known against; the others get their state.
fn usable(options: &SelectionOptions, candidates: &mut [Candidate]) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.iter_mut().enumerate() {
        match candidate.unusable(options) {
            Some(state) => candidate.standing.state = state,
            None => chosen.push(index),
        }
    }
    drop_stale(candidates, &mut chosen);
    if let Some(orphan) = options.orphan {
        drop_orphans(orphan, candidates, &mut chosen);
    }
    chosen
}

/// A source that no longer answers is used until its newest sample is older than all that one which
/// answers has.
fn drop_stale(candidates: &mut [Candidate], chosen: &mut Vec<usize>) {
    let seen = |i: &usize| candidates[*i].selectable;
    let reachable = chosen.iter().filter(|i| candidates[**i].reach != 0);
    let oldest_s = reachable
        .filter_map(seen)
        .map(|seen| seen.oldest_age_s)
        .reduce(f64::max);
    let Some(oldest_s) = oldest_s else {
        return;
    };
    chosen.retain(|i| {
        let candidate = &mut candidates[*i];
        let newest_s = candidate.selectable.map_or(0.0, |seen| seen.newest_age_s);
        let is_stale = candidate.reach == 0 && newest_s > oldest_s;
        if is_stale {
            candidate.standing.state = State::Stale;
        }
        !is_stale
    });
}

/// Orphans are followed only where nobody has a source, and then the lowest of them, ourselves included. What is of a
/// higher stratum follows an orphan, perhaps us.
fn drop_orphans(orphan: Orphan, candidates: &mut [Candidate], chosen: &mut Vec<usize>) {
    let stratum = |i: &usize| candidates[*i].stratum;
    let leader = if chosen.iter().any(|i| stratum(i) < orphan.stratum) {
        None
    } else {
        let orphans = chosen.iter().filter(|i| stratum(i) == orphan.stratum);
        let ids = orphans.map(|i| candidates[*i].reference_id);
        ids.min().filter(|lowest| *lowest < orphan.reference_id)
    };
    chosen.retain(|i| {
        let candidate = &mut candidates[*i];
        let leads = candidate.stratum == orphan.stratum && leader == Some(candidate.reference_id);
        let stays = candidate.stratum < orphan.stratum || leads;
        if !stays {
            candidate.standing.state = State::Orphan;
        }
        stays
    });
}

/// Before the first choice: another source answers as well as those that can be used and has not yet
/// given samples enough. It might show them to be false.
fn waits_for_samples(candidates: &[Candidate], chosen: &[usize]) -> bool {
    let is_first = !candidates.iter().any(|c| c.standing.is_selected);
    let polls = chosen.iter().map(|i| candidates[*i].reach_polls).max();
    let polls = polls.unwrap_or(u8::MAX);
    let mut open = candidates
        .iter()
        .filter(|c| c.standing.state == State::MissingSamples && c.reach != 0);
    is_first && u32::from(polls) < u8::BITS && open.any(|c| c.reach_polls >= polls)
}

fn is_enough(options: &SelectionOptions, candidates: &[Candidate], chosen: &[usize]) -> bool {
    let is_required = candidates.iter().any(|c| c.role.require);
    let has_required = chosen.iter().any(|i| candidates[*i].role.require);
    chosen.len() >= options.sources_min && (has_required || !is_required)
}

fn leap_of_most(candidates: &[Candidate], chosen: &[usize]) -> LeapIndicator {
    let votes = |leap| {
        let all = chosen.iter().filter(|i| candidates[**i].leap == leap);
        all.count()
    };
    [LeapIndicator::InsertSecond, LeapIndicator::DeleteSecond]
        .into_iter()
        .find(|leap| votes(*leap) * 2 > chosen.len())
        .unwrap_or(LeapIndicator::NoWarning)
}

fn narrow_to_preferred(candidates: &mut [Candidate], chosen: &mut Vec<usize>) {
    if !chosen.iter().any(|i| candidates[*i].role.prefer) {
        return;
    }
    chosen.retain(|i| {
        let candidate = &mut candidates[*i];
        if !candidate.role.prefer {
            candidate.standing.state = State::NotPreferred;
        }
        candidate.role.prefer
    });
}

/// The source to follow and whether it is a new one; `None` while the new one has no new sample.
///
/// Another source replaces the selected one when it has been nearer for so long that the product of the
/// distances' ratios, over the updates of either, exceeds [`SCORE_LIMIT`].
fn follow(
    options: &SelectionOptions,
    candidates: &mut [Candidate],
    chosen: &[usize],
    updated: Option<usize>,
) -> Option<(usize, bool)> {
    let strata = chosen.iter().map(|i| candidates[*i].stratum);
    let lowest = strata.min().unwrap_or(0);
    let current = chosen
        .iter()
        .copied()
        .find(|i| candidates[*i].standing.is_selected);
    let distance_s = |candidate: &Candidate| {
        let strata = f64::from(candidate.stratum - lowest);
        let distance_s = candidate.root_distance_s();
        strata.mul_add(options.stratum_weight_s, distance_s)
    };
    let current_s = current.map(|i| distance_s(&candidates[i]));
    for i in chosen.iter().copied().filter(|i| current != Some(*i)) {
        let candidate = &mut candidates[i];
        let own_s = distance_s(candidate) + options.reselect_distance_s;
        let score = &mut candidate.standing.score;
        match current_s {
            Some(current_s) if updated == Some(i) || updated == current => {
                *score = (*score * current_s / own_s).max(1.0);
            }
            Some(_) => {}
            None => *score = own_s.recip(),
        }
    }
    // Of equals the one that was configured first: `max_by` takes the last.
    let others = chosen.iter().rev().copied();
    let score = |i: &usize| candidates[*i].standing.score;
    let challenger = others
        .filter(|i| current != Some(*i))
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|i| current.is_none() || score(i) > SCORE_LIMIT);
    let Some(new) = challenger else {
        return current.map(|current| (current, false));
    };
    if candidates[new].standing.updates == 0 {
        mark(candidates, chosen, State::WaitsForUpdate);
        return None;
    }
    unselect(candidates);
    candidates[new].standing.is_selected = true;
    Some((new, true))
}

/// What the selected source, `index`, and those near it say; how many they are. States become final here.
fn estimate(
    options: &SelectionOptions,
    candidates: &mut [Candidate],
    chosen: &[usize],
    (index, updated): (usize, Option<usize>),
) -> (usize, Option<Estimate>) {
    candidates[index].standing.state = State::Selected;
    let selected = &candidates[index];
    let own_s = selected.root_distance_s();
    let limit_s = options.combine_limit * (own_s + options.reselect_distance_s);
    let Some(own) = selected.estimate else {
        return (1, None);
    };
    let has_news = selected.standing.updates > 0;
    let mut others = Vec::with_capacity(chosen.len());
    for i in chosen.iter().copied().filter(|i| *i != index) {
        let candidate = &mut candidates[i];
        let Some(theirs) = candidate.estimate else {
            continue;
        };
        let doubt = own.skew + theirs.skew + options.clock_error_max;
        let differs = (theirs.frequency - own.frequency).abs() > options.combine_limit * doubt;
        let is_far = candidate.root_distance_s() > limit_s;
        let standing = &mut candidate.standing;
        standing.penalise(is_far, differs, updated == Some(i));
        if standing.state == State::Combined {
            others.push(i);
        }
    }
    let combined = others.len() + 1;
    if !has_news {
        return (combined, None);
    }
    let weighed = others.iter().filter_map(|i| {
        let candidate = &candidates[*i];
        let estimate = candidate.estimate.as_ref()?;
        Some((estimate, candidate.root_distance_s()))
    });
    let result = combine((&own, own_s), &weighed.collect::<Vec<_>>());
    for candidate in candidates {
        candidate.standing.updates = 0;
    }
    (combined, Some(result))
}

fn mark(candidates: &mut [Candidate], chosen: &[usize], state: State) {
    for i in chosen {
        candidates[*i].standing.state = state;
    }
}

fn unselect(candidates: &mut [Candidate]) {
    for candidate in candidates {
        candidate.standing.is_selected = false;
        candidate.standing.score = 1.0;
        candidate.standing.distant_updates = 0;
        candidate.standing.outlying_updates = 0;
    }
}

/// Where a source says that the true time is, as seconds from ours.
#[derive(Clone, Copy, Debug)]
struct Interval {
    index: usize,
    low_s: f64,
    high_s: f64,
    is_trusted: bool,
}

impl Interval {
    /// Samples older than the newest of those that answer have had the local clock drift for longer.
    fn of(index: usize, candidate: &Candidate, newest_s: f64, drift: f64) -> Option<Self> {
        let Selectable {
            offset_s,
            root_distance_s,
            newest_age_s,
            ..
        } = candidate.selectable?;
        let older_s = (newest_age_s - newest_s).max(0.0);
        // A negative one would be an interval with its ends crossed.
        let distance_s = older_s.mul_add(drift, root_distance_s).max(0.0);
        Some(Self {
            index,
            low_s: offset_s - distance_s,
            high_s: offset_s + distance_s,
            is_trusted: candidate.role.trust,
        })
    }
}

/// What most intervals have in common.
struct Region {
    low_s: f64,
    high_s: f64,
    is_of_trusted: bool,
}

impl Region {
    /// Sweeps over all ends, low before high, for where most intervals overlap; trusted ones count first.
    /// `None` where that is not more than half of them.
    fn find(intervals: &[Interval]) -> Option<Self> {
        let lows = intervals.iter().map(|i| (i.low_s, true, i.is_trusted));
        let highs = intervals.iter().map(|i| (i.high_s, false, i.is_trusted));
        let mut ends: Vec<_> = lows.chain(highs).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let (mut depth, mut best) = ((0, 0), (0, 0));
        let (mut low_s, mut high_s) = (0.0, 0.0);
        for (end_s, is_low, is_trusted) in ends {
            let trusted = usize::from(is_trusted);
            if is_low {
                depth = (depth.0 + trusted, depth.1 + 1);
                if depth > best {
                    (best, low_s) = (depth, end_s);
                }
            } else {
                if depth == best {
                    high_s = end_s;
                }
                depth = (depth.0 - trusted, depth.1 - 1);
            }
        }
        let trusted = intervals.iter().filter(|i| i.is_trusted).count();
        let is_of_trusted = best.0 > 0;
        let is_majority = if is_of_trusted {
            best.0 * 2 > trusted
        } else {
            best.1 * 2 > intervals.len()
        };
        is_majority.then_some(Self {
            low_s,
            high_s,
            is_of_trusted,
        })
    }

    /// Whether a source's interval holds the region or lies in it.
    fn agrees(&self, interval: &Interval) -> bool {
        let holds = interval.low_s <= self.low_s && interval.high_s >= self.high_s;
        holds || interval.low_s >= self.low_s && interval.high_s <= self.high_s
    }

    /// What a source is that does not agree.
    const fn verdict(&self) -> State {
        if self.is_of_trusted {
            State::NotTrusted
        } else {
            State::Falseticker
        }
    }
}

const SCORE_LIMIT: f64 = 10.0;

#[cfg(test)]
mod tests;
