//! A source as selection sees it, and what selection remembers of it.

use super::SelectionOptions;
use crate::client::{Estimate, Selectable};
use crate::wire::LeapIndicator;

/// A source as selection sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// What its line in the configuration says of it.
    pub role: SelectOptions,
    /// Its reference id: what orders orphans.
    pub reference_id: u32,
    /// What it says of its stratum.
    pub stratum: u8,
    /// What it says of the leap second.
    pub leap: LeapIndicator,
    /// The reach register: one bit a poll, the last one lowest.
    pub reach: u8,
    /// Polls that the register has seen, up to 8.
    pub reach_polls: u8,
    /// What its samples say at this moment; `None`: too few.
    pub selectable: Option<Selectable>,
    /// The line through its samples; `None`: too few.
    pub estimate: Option<Estimate>,
    /// What selection remembers of it.
    pub standing: Standing,
}

/// `noselect`, `prefer`, `trust` and `require` of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SelectOptions {
    /// Never followed, only measured.
    pub noselect: bool,
    /// Followed before those that are not preferred.
    pub prefer: bool,
    /// Right where it does not agree with others.
    pub trust: bool,
    /// No source is followed unless one with this agrees.
    pub require: bool,
}

/// What selection remembers of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// What it came to the last time.
    pub state: State,
    /// Whether the clock follows it.
    pub is_selected: bool,
    /// How much nearer it has been than the selected source: 1 to 10.
    pub score: f64,
    /// Samples since the clock was last set.
    pub updates: u32,
    /// Updates for which it stays out after it was too far to be combined.
    pub distant_updates: u32,
    /// Updates for which it stays out after its frequency was another.
    pub outlying_updates: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            state: State::MissingSamples,
            is_selected: false,
            score: 1.0,
            updates: 0,
            distant_updates: 0,
            outlying_updates: 0,
        }
    }
}

impl Standing {
    /// Whether a truechimer that was not selected is combined: not if it is too far or its frequency differs,
    /// nor for a number of its updates after that.
    pub(super) fn penalise(&mut self, is_far: bool, differs: bool, is_updated: bool) {
        let renewed = |left: u32, is_guilty: bool| match is_guilty {
            true => PENALTY_UPDATES,
            false => left.saturating_sub(u32::from(is_updated)),
        };
        self.distant_updates = renewed(self.distant_updates, is_far);
        self.outlying_updates = renewed(self.outlying_updates, differs);
        self.state = if self.distant_updates > 0 {
            State::Distant
        } else if self.outlying_updates > 0 {
            State::Outlier
        } else {
            State::Combined
        };
    }
}

/// What a source came to: the states of `chronyc selectdata`, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// `noselect` is set.
    Noselect,
    /// Too few samples for a line.
    MissingSamples,
    /// It says that it is not synchronised.
    NotSynchronised,
    /// Its stratum is outside of `minstratum` and `maxstratum`.
    BadStratum,
    /// Its root distance exceeds `maxdistance`.
    TooDistant,
    /// Its jitter exceeds `maxjitter`.
    Jittery,
    /// Others have too few samples.
    WaitsForSamples,
    /// It does not answer, and its samples are older than those of others.
    Stale,
    /// Another orphan leads.
    Orphan,
    /// It does not agree with the trusted ones.
    NotTrusted,
    /// It does not agree with most.
    Falseticker,
    /// There are fewer than `minsources`, or none that is required.
    WaitsForSources,
    /// Others are preferred.
    NotPreferred,
    /// It would be selected once it has a new sample.
    WaitsForUpdate,
    /// Too far to be combined.
    Distant,
    /// Its frequency is too different to be combined.
    Outlier,
    /// Combined with the selected one.
    Combined,
    /// The clock follows it.
    Selected,
}

impl State {
    /// What is with it, in a word or some.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Noselect => "not to be selected",
            Self::MissingSamples => "with too few samples",
            Self::NotSynchronised => "not synchronised",
            Self::BadStratum => "of a stratum out of bounds",
            Self::TooDistant => "too distant",
            Self::Jittery => "too jittery",
            Self::WaitsForSamples => "waiting for samples of others",
            Self::Stale => "with stale samples",
            Self::Orphan => "orphan",
            Self::NotTrusted => "not agreeing with the trusted",
            Self::Falseticker => "falseticker",
            Self::WaitsForSources => "waiting for other sources",
            Self::NotPreferred => "not preferred",
            Self::WaitsForUpdate => "waiting for an update",
            Self::Distant => "too far to be combined",
            Self::Outlier => "of another frequency",
            Self::Combined => "combined",
            Self::Selected => "selected",
        }
    }

    /// The letter in `chronyc selectdata` and selection.log.
    pub const fn letter(self) -> char {
        match self {
            Self::Noselect => 'N',
            Self::MissingSamples => 'M',
            Self::NotSynchronised => 's',
            Self::BadStratum => 'r',
            Self::TooDistant => 'd',
            Self::Jittery => '~',
            Self::WaitsForSamples => 'w',
            Self::Stale => 'S',
            Self::Orphan => 'O',
            Self::NotTrusted => 'T',
            Self::Falseticker => 'x',
            Self::WaitsForSources => 'W',
            Self::NotPreferred => 'P',
            Self::WaitsForUpdate => 'U',
            Self::Distant => 'D',
            Self::Outlier => 'L',
            Self::Combined => '+',
            Self::Selected => '*',
        }
    }

    /// The sign in `chronyc sources`, which knows fewer states.
    pub const fn sign(self) -> char {
        match self {
            Self::Falseticker => 'x',
            Self::Jittery => '~',
            Self::WaitsForSources
            | Self::NotPreferred
            | Self::WaitsForUpdate
            | Self::Distant
            | Self::Outlier => '-',
            Self::Combined => '+',
            Self::Selected => '*',
            _ => '?',
        }
    }
}

impl Candidate {
    /// What by itself keeps the source from being used.
    pub(super) fn unusable(&self, options: &SelectionOptions) -> Option<State> {
        if self.role.noselect {
            return Some(State::Noselect);
        }
        if self.leap == LeapIndicator::NotSynchronised {
            return Some(State::NotSynchronised);
        }
        if !(options.stratum_min..=options.stratum_max).contains(&self.stratum) {
            return Some(State::BadStratum);
        }
        let Some(seen) = &self.selectable else {
            return Some(State::MissingSamples);
        };
        // Comparisons that fail where a number is not one.
        let is_near = seen.root_distance_s <= options.distance_max_s && seen.offset_s.is_finite();
        if !is_near {
            Some(State::TooDistant)
        } else if seen.standard_deviation_s <= options.jitter_max_s {
            None
        } else {
            Some(State::Jittery)
        }
    }

    /// How far off it may be, its jitter included (RFC 5905 §11.2.3): a line that was drawn through a step of the source
    /// passes near nothing, however near its best sample is. 0 without samples: asked of those only that have some.
    pub(super) fn root_distance_s(&self) -> f64 {
        let distance_s = self.selectable.map_or(0.0, |seen| seen.root_distance_s);
        let jitter_s = self.estimate.map_or(0.0, |line| line.offset_sd_s);
        distance_s + jitter_s
    }
}

const PENALTY_UPDATES: u32 = 32;
