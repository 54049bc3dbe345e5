//! Decides what an estimate does to the clock.
//!
//! Frequency: the estimate's and the one in use are weighed by how well each is known. Offset: corrected in
//! full, the faster the larger it is against its own deviation, so that noise makes little frequency and a
//! real offset does not last.

mod fallback;

pub use fallback::FallbackDrift;

use super::Adjustment;
use crate::client::Estimate;
use crate::wire::{CookedTime, NtpDuration};
use fallback::Averages;

/// The directives about the discipline of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServoOptions {
    /// `corrtimeratio`: an offset as large as its deviation is corrected in half as many update intervals.
    pub correction_time_ratio: f64,
    /// `maxupdateskew` as a fraction: with more, the estimate's frequency is not used.
    pub skew_max: f64,
    /// `maxclockerror` as a fraction.
    pub clock_error_max: f64,
    /// `makestep`
    pub make_step: Option<MakeStep>,
    /// `maxchange`
    pub max_change: Option<MaxChange>,
    /// `fallbackdrift`
    pub fallback_drift: Option<FallbackDrift>,
}

impl Default for ServoOptions {
    fn default() -> Self {
        Self {
            correction_time_ratio: 3.0,
            skew_max: 1e-3,
            clock_error_max: 1e-6,
            make_step: None,
            max_change: None,
            fallback_drift: None,
        }
    }
}

/// `makestep`: large offsets are stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakeStep {
    /// Beyond as many seconds.
    pub threshold_s: f64,
    /// In as many updates from the start; `None`: in all.
    pub updates: Option<u32>,
}

/// `maxchange`: large offsets are not believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxChange {
    /// Beyond as many seconds.
    pub offset_s: f64,
    /// After as many updates from the start.
    pub start: u32,
    /// As many are ignored before the program gives up; `None`: all.
    pub ignore: Option<u32>,
}

/// An estimate to act on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// What the sources say.
    pub estimate: Estimate,
    /// The moment of the update.
    pub now: CookedTime,
    /// What has been found before and is not slewed in yet, in seconds.
    pub remaining_s: f64,
}

/// What the servo decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The clock is to be changed.
    Adjust(Adjustment),
    /// The offset, in seconds, exceeds `maxchange`: nothing is done.
    Ignored(f64),
    /// It did so too often: the program is to end.
    GiveUp(f64),
}

/// The servo's state, and what it can report.
#[derive(Clone, Debug)]
pub struct Servo {
    options: ServoOptions,
    tracking: Tracking,
    updates: u32,
    ignored: u32,
    fallback: Averages,
    /// Bounds the error of the frequency in use.
    skew: f64,
}

/// What `chronyc tracking` and tracking.log say of the discipline, as of the last update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// When it was; `None`: there was none.
    pub updated: Option<CookedTime>,
    /// The offset found then, in seconds: positive where the clock was slow.
    pub last_offset_s: f64,
    /// Its standard deviation.
    pub offset_sd_s: f64,
    /// Long-term root mean square of the offsets found.
    pub rms_offset_s: f64,
    /// What the update's frequency was beyond what was made of it.
    pub residual_frequency: f64,
    /// Bounds the error of the frequency.
    pub skew: f64,
    /// Seconds between the last two updates.
    pub update_interval_s: f64,
    /// The way to the primary source and back.
    pub root_delay_s: f64,
    /// The dispersion of all on that way, at the update.
    pub root_dispersion_s: f64,
}

impl Servo {
    /// Before the first update. `skew` bounds the error of the frequency the clock has, as a drift file says
    /// it; `None`: nothing is known of it.
    pub fn new(options: ServoOptions, skew: Option<f64>) -> Self {
        let skew = skew.unwrap_or(SKEW_UNKNOWN).clamp(SKEW_MIN, SKEW_UNKNOWN);
        Self {
            options,
            tracking: Tracking {
                updated: None,
                last_offset_s: 0.0,
                offset_sd_s: 0.0,
                rms_offset_s: 0.0,
                residual_frequency: 0.0,
                skew,
                update_interval_s: 0.0,
                root_delay_s: 0.0,
                root_dispersion_s: 0.0,
            },
            updates: 0,
            ignored: 0,
            fallback: Averages::new(options.fallback_drift),
            skew,
        }
    }

    /// Decides on an estimate. `frequency` is the one in use ([`CookedClock::frequency`](super::CookedClock::frequency)).
    pub fn update(&mut self, update: &Update, frequency: f64) -> Verdict {
        let Update { estimate, now, .. } = *update;
        let offset_s = estimate.offset_at_s(now);
        if let Some(refused) = self.refuse(offset_s) {
            return refused;
        }
        let since = self.tracking.updated;
        let interval_s = since.map_or(0.0, |last| (now.0 - last.0).to_seconds());
        let correction = self.correct_frequency(&estimate);
        let is_step = self.makes_step(offset_s + update.remaining_s);
        self.updates = self.updates.saturating_add(1);
        self.note(update, offset_s, interval_s);
        self.tracking.residual_frequency = estimate.frequency - correction;
        self.fallback
            .accumulate(frequency + correction, interval_s.max(0.0));
        let lasting_s = 0.5 * self.options.correction_time_ratio * interval_s.max(0.0);
        Verdict::Adjust(Adjustment {
            frequency: correction,
            offset_s,
            duration_offset_s2: lasting_s * estimate.offset_sd_s,
            is_step,
        })
    }

    /// The frequency to fall back on when there was no update for long (`fallbackdrift`), if it is time for
    /// another one; as a fraction, as [`CookedClock::frequency`](super::CookedClock::frequency) gives it.
    pub fn fall_back(&mut self, now: CookedTime) -> Option<f64> {
        let since = self.tracking.updated?;
        self.fallback.due((now.0 - since.0).to_seconds())
    }

    /// The next moment at which [`fall_back`](Self::fall_back) may give one, if there is no update until then.
    pub fn fall_back_deadline(&self) -> Option<CookedTime> {
        let since = self.tracking.updated?;
        let wait = NtpDuration::from_seconds(self.fallback.next_s()?);
        Some(CookedTime(since.0 + wait))
    }

    /// The reports' figures.
    pub const fn tracking(&self) -> &Tracking {
        &self.tracking
    }

    /// What root dispersion grows by per second, as a fraction.
    pub fn dispersion_rate(&self) -> f64 {
        self.skew + self.tracking.residual_frequency.abs() + self.options.clock_error_max
    }

    /// Root dispersion as it has grown until `now`, in seconds.
    pub fn root_dispersion_s(&self, now: CookedTime) -> f64 {
        let since = self.tracking.updated;
        let elapsed_s = since.map_or(0.0, |last| (now.0 - last.0).to_seconds());
        let grown_s = elapsed_s.max(0.0) * self.dispersion_rate();
        self.tracking.root_dispersion_s + grown_s
    }

    /// How far the clock may be wrong at `now`, in seconds: half the root delay and the root dispersion.
    pub fn root_distance_s(&self, now: CookedTime) -> f64 {
        0.5_f64.mul_add(self.tracking.root_delay_s, self.root_dispersion_s(now))
    }

    /// The clock was set by an amount that is not known: no update counts any more.
    pub const fn forget_update(&mut self) {
        self.tracking.updated = None;
    }

    /// The clock was set by a step of `offset_s` outside of an update: moments move with it.
    pub fn step(&mut self, offset_s: f64) {
        if let Some(updated) = &mut self.tracking.updated {
            updated.0 = updated.0 + NtpDuration::from_seconds(offset_s);
        }
    }

    /// `makestep` from now on: chronyc's command replaces the directive.
    pub const fn set_make_step(&mut self, make_step: Option<MakeStep>) {
        self.options.make_step = make_step;
    }

    /// `maxupdateskew` from now on, as a fraction.
    pub const fn set_skew_max(&mut self, skew_max: f64) {
        self.options.skew_max = skew_max;
    }

    fn refuse(&mut self, offset_s: f64) -> Option<Verdict> {
        let limit = self.options.max_change?;
        if self.updates < limit.start || offset_s.abs() <= limit.offset_s {
            return None;
        }
        if limit.ignore.is_some_and(|most| self.ignored >= most) {
            return Some(Verdict::GiveUp(offset_s));
        }
        self.ignored = self.ignored.saturating_add(1);
        Some(Verdict::Ignored(offset_s))
    }

    fn makes_step(&self, offset_s: f64) -> bool {
        self.options.make_step.is_some_and(|rule| {
            let is_open = rule.updates.is_none_or(|updates| self.updates < updates);
            is_open && offset_s.abs() > rule.threshold_s
        })
    }

    /// By how much the frequency in use is changed: the estimate's share of the weighted mean.
    ///
    /// The doubt about the result is the mean of both doubts, and how far the two frequencies lie apart.
    fn correct_frequency(&mut self, estimate: &Estimate) -> f64 {
        let trust = GAIN_WEIGHT * self.skew.powi(2);
        let gain = if estimate.skew > self.options.skew_max {
            0.0
        } else {
            (trust / estimate.skew.mul_add(estimate.skew, trust)).min(1.0)
        };
        let correction = gain * estimate.frequency;
        let to_estimate = (estimate.frequency - correction).powi(2) * gain;
        let to_own = correction.powi(2) * (1.0 - gain);
        let skew = gain.mul_add(estimate.skew - self.skew, self.skew);
        self.skew = (skew + (to_estimate + to_own).sqrt()).clamp(SKEW_MIN, SKEW_UNKNOWN);
        correction
    }

    /// Keeps what reports say. `updated` is by the clock as it is after the change.
    fn note(&mut self, update: &Update, offset_s: f64, interval_s: f64) {
        let estimate = &update.estimate;
        let age_s = (update.now.0 - estimate.at.0).to_seconds().abs();
        // What was claimed before holds on until a sample of its own says better: the nearest sample of a line may be an
        // old one, and the clock may have gained since by what no line shows.
        let held_s = self
            .tracking
            .updated
            .map_or(0.0, |_| self.root_distance_s(update.now));
        let least_s = held_s.min(estimate.newest_distance_s) - 0.5 * estimate.root_delay_s;
        let tracking = &mut self.tracking;
        let mean_square = tracking.rms_offset_s.powi(2);
        let square = offset_s.powi(2);
        // The first offset is what the clock was set to wrongly, no figure of how well it is kept: the
        // mean begins anew with the second.
        tracking.rms_offset_s = match self.updates {
            0..=2 => square.sqrt(),
            3.. => RMS_SHARE.mul_add(square - mean_square, mean_square).sqrt(),
        };
        tracking.updated = Some(CookedTime(
            update.now.0 + NtpDuration::from_seconds(offset_s),
        ));
        tracking.last_offset_s = offset_s;
        tracking.offset_sd_s = estimate.offset_sd_s;
        tracking.skew = self.skew;
        tracking.update_interval_s = interval_s;
        tracking.root_delay_s = estimate.root_delay_s;
        let root_dispersion_s = estimate.root_dispersion_s.max(least_s);
        tracking.root_dispersion_s = age_s.mul_add(estimate.skew, root_dispersion_s);
    }
}

/// How much more the estimate's frequency weighs than the one in use where both are known as well.
const GAIN_WEIGHT: f64 = 3.0;
const SKEW_MIN: f64 = 1e-12;
const SKEW_UNKNOWN: f64 = 1.0;
const RMS_SHARE: f64 = 0.1;

#[cfg(test)]
mod tests;
