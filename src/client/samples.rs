//! The register of a source's samples, and what a line through them says of its clock and ours.
//!
//! How much of the past lies on a line is tested by runs; how much of that counts, since a clock's frequency
//! walks, by [`Walk`]. Both shorten the register.
//!
//! Whoever sets the local clock tells every register ([`Samples::shift`]), so that all samples in it are
//! always as though the clock had never been touched.

use super::regression::{Line, POINTS_MIN, Points, RUNS_WINDOW, as_float, partial_slope, student};
use super::walk::Walk;
use super::{ClockChange, Estimate, Sample};
use crate::wire::{CookedTime, NtpDuration};

/// What may be said of one source's register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplesOptions {
    /// `minsamples`: as many are kept though an older part no longer lies on the line.
    pub samples_min: usize,
    /// `maxsamples`, 1 to [`SAMPLES_MAX`]; 0 is the largest.
    pub samples_max: usize,
    /// `mindelay` in seconds: known in advance; `None`: the least in the register.
    pub delay_min_s: Option<f64>,
    /// `asymmetry`, -0.5 to 0.5: how much of an excess delay shows as offset; `None`: estimated.
    pub asymmetry: Option<f64>,
    /// The precision of the local clock, in seconds.
    pub precision_s: f64,
}

impl Default for SamplesOptions {
    fn default() -> Self {
        Self {
            samples_min: 6,
            samples_max: 0,
            delay_min_s: None,
            asymmetry: None,
            precision_s: 1e-7,
        }
    }
}

/// Up to 64 samples of a source, the line through them, and as many older ones that test it.
#[derive(Clone, Debug)]
pub struct Samples {
    options: SamplesOptions,
    samples_max: usize,
    /// The oldest first. Those before `first` left the register and are looked at for runs only.
    samples: Vec<Sample>,
    first: usize,
    statistics: Statistics,
    asymmetry: Asymmetry,
    /// Index into the register of the sample with the least root distance.
    best: usize,
    /// By how much the clock was made to run faster since the register was empty, as a fraction.
    quickened: f64,
}

/// What the register shows: `chronyc sourcestats` and statistics.log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Samples in the register.
    pub samples: usize,
    /// Runs of residuals of one sign.
    pub runs: usize,
    /// Seconds from the oldest sample to the newest.
    pub span_s: f64,
    /// By how much the source's clock is ahead of ours at the newest sample.
    pub offset_s: f64,
    /// Standard deviation of [`offset_s`](Self::offset_s).
    pub offset_sd_s: f64,
    /// By how much the source's clock runs faster than ours, as a fraction.
    pub frequency: f64,
    /// Standard deviation of [`frequency`](Self::frequency).
    pub frequency_sd: f64,
    /// Bound of the error of [`frequency`](Self::frequency).
    pub skew: f64,
    /// Standard deviation of the samples around the line, in seconds.
    pub standard_deviation_s: f64,
    /// How far the last sample moved the frequency, in units of the skew before it.
    pub stress: f64,
    /// The oldest sample that the last line used, counted before the older ones were dropped.
    pub first_used: usize,
    /// The asymmetry of the delay's jitter that is corrected for; 0: none.
    pub asymmetry: f64,
    /// Whether there are samples enough for a line; without, frequency and its doubt are assumed.
    pub has_line: bool,
}

/// What selection wants to know of a source at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selectable {
    /// By how much the source is ahead of us.
    pub offset_s: f64,
    /// How far that may be wrong.
    pub root_distance_s: f64,
    /// Standard deviation of the samples around their line.
    pub standard_deviation_s: f64,
    /// Age of the oldest sample.
    pub oldest_age_s: f64,
    /// Age of the newest sample.
    pub newest_age_s: f64,
}

impl Samples {
    /// An empty register; memory for all it can hold is taken here.
    pub fn new(options: SamplesOptions) -> Self {
        let samples_max = match options.samples_max {
            0 => SAMPLES_MAX,
            given => given.min(SAMPLES_MAX),
        };
        Self {
            options,
            samples_max,
            samples: Vec::with_capacity(KEPT_MAX),
            first: 0,
            statistics: Statistics::default(),
            asymmetry: Asymmetry::default(),
            best: 0,
            quickened: 0.0,
        }
    }

    /// Takes a sample in and renews the line. One that is not newer than the newest empties the register
    /// first: the clock was set without our knowledge.
    pub fn accumulate(&mut self, sample: Sample) {
        let newest = self.samples.last();
        if newest.is_some_and(|newest| !newest.at.0.is_before(sample.at.0)) {
            self.clear();
        }
        if self.samples.len() - self.first == self.samples_max {
            self.first += 1;
        }
        if self.samples.len() == KEPT_MAX {
            self.samples.remove(0);
            self.first -= 1;
        }
        self.samples.push(sample);
        self.renew();
    }

    /// Takes the samples of an earlier run in, in the place of what there is, the oldest first; and in how many of them
    /// in a row the delay's jitter was of one side, as [`asymmetry_run`](Self::asymmetry_run) said it.
    pub fn restore(&mut self, samples: &[Sample], asymmetry_run: i32) {
        self.clear();
        let Some((newest, older)) = samples.split_last() else {
            return;
        };
        let from = older.len().saturating_sub(self.samples_max - 1);
        self.samples.extend_from_slice(&older[from..]);
        self.asymmetry = Asymmetry {
            run: asymmetry_run.unsigned_abs().min(ASYMMETRY_RUN),
            is_negative: asymmetry_run < 0,
        };
        self.accumulate(*newest);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.first = 0;
        self.best = 0;
        self.quickened = 0.0;
        self.statistics = Statistics::default();
        self.asymmetry = Asymmetry::default();
    }

    /// The local clock was changed: everything is restated by it as it is now.
    pub fn shift(&mut self, change: &ClockChange) {
        self.quickened += change.frequency;
        if let Some(newest) = self.samples.last() {
            self.statistics.offset_s -= change.shift_s(newest.at);
        }
        if self.statistics.has_line {
            self.statistics.frequency = change.restate_frequency(self.statistics.frequency);
        }
        for sample in &mut self.samples {
            sample.offset_s -= change.shift_s(sample.at);
            sample.at = change.restate(sample.at);
        }
    }

    /// All clocks, ours and the source's, had a leap second of `offset_s`: moments move, offsets stay.
    pub fn leap(&mut self, offset_s: f64) {
        let offset = NtpDuration::from_seconds(offset_s);
        for sample in &mut self.samples {
            sample.at = CookedTime(sample.at.0 + offset);
        }
    }

    /// The local clock was stepped forward by `offset_s`.
    pub fn step(&mut self, offset_s: f64) {
        let at = self
            .samples
            .last()
            .map_or_else(CookedTime::default, |s| s.at);
        self.shift(&ClockChange {
            at,
            frequency: 0.0,
            offset_s,
        });
    }

    /// Samples in the register.
    pub fn len(&self) -> usize {
        self.samples.len() - self.first
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest sample, as the clock was changed since.
    pub fn newest(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// The samples in the register, the oldest first.
    pub fn register(&self) -> &[Sample] {
        &self.samples[self.first..]
    }

    /// In how many samples in a row the delay's jitter was of one side; negative where it made offsets fall.
    pub const fn asymmetry_run(&self) -> i32 {
        let run = self.asymmetry.run.cast_signed();
        if self.asymmetry.is_negative {
            -run
        } else {
            run
        }
    }

    /// What the register shows.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// By how much the source will be ahead of us at a moment; `None` without samples.
    pub fn predict_s(&self, at: CookedTime) -> Option<f64> {
        let elapsed_s = (at.0 - self.newest()?.at.0).to_seconds();
        Some(elapsed_s.mul_add(self.statistics.frequency, self.statistics.offset_s))
    }

    /// The least delay, in seconds: the one given, or the least in the register.
    pub fn delay_min_s(&self) -> Option<f64> {
        let least = self.register().iter().map(|s| s.peer_delay_s);
        self.options
            .delay_min_s
            .or_else(|| least.min_by(f64::total_cmp))
    }

    /// What selection wants to know at `now`; `None` until there is a line.
    pub fn selectable(&self, now: CookedTime) -> Option<Selectable> {
        if !self.statistics.has_line {
            return None;
        }
        let age_s = |sample: &Sample| (now.0 - sample.at.0).to_seconds();
        let (oldest, newest) = (self.register().first()?, self.register().last()?);
        let best = self.register().get(self.best)?;
        let elapsed_s = age_s(best);
        let growth_s = elapsed_s.abs() * self.statistics.skew;
        Some(Selectable {
            offset_s: elapsed_s.mul_add(self.statistics.frequency, best.offset_s),
            root_distance_s: best.root_distance_s() + growth_s,
            standard_deviation_s: self.statistics.standard_deviation_s,
            oldest_age_s: age_s(oldest),
            newest_age_s: age_s(newest),
        })
    }

    /// What the register says of our clock, as of the newest sample; `None` until there is a line.
    pub fn estimate(&self) -> Option<Estimate> {
        let (best, newest) = (self.register().get(self.best)?, self.newest()?);
        let statistics = &self.statistics;
        let elapsed_s = (newest.at.0 - best.at.0).to_seconds();
        let root_dispersion_s = best.root_dispersion_s + statistics.offset_sd_s;
        statistics.has_line.then_some(Estimate {
            at: newest.at,
            offset_s: statistics.offset_s,
            offset_sd_s: statistics.offset_sd_s,
            frequency: statistics.frequency,
            frequency_sd: statistics.frequency_sd,
            skew: statistics.skew,
            root_delay_s: best.root_delay_s,
            root_dispersion_s: elapsed_s.mul_add(statistics.skew, root_dispersion_s),
            newest_distance_s: newest.root_distance_s(),
        })
    }

    /// Draws the line anew and lets go what no longer lies on it.
    fn renew(&mut self) {
        let Some(newest) = self.samples.last().copied() else {
            return;
        };
        let count = self.samples.len();
        let (mut x, mut y, mut variance) = ([0.0; KEPT_MAX], [0.0; KEPT_MAX], [1.0; KEPT_MAX]);
        for (at, sample) in self.samples.iter().enumerate() {
            x[at] = (sample.at.0 - newest.at.0).to_seconds();
            y[at] = sample.offset_s;
        }
        self.weigh(&mut variance[self.first..count]);
        self.correct_asymmetry(&x[..count], &mut y[..count]);
        let points = Points {
            x: &x[..count],
            y: &y[..count],
            variance: &variance[..count],
        };
        let mut line = Line::fit(&points, self.first, self.options.samples_min);
        if let Some(line) = &mut line {
            self.follow_walk(line, &points);
        }
        self.take(line.as_ref(), y[count - 1]);
        if let Some(line) = line {
            self.first = line.start;
        }
        let oldest = self.register()[0];
        self.statistics.samples = self.len();
        self.statistics.span_s = (newest.at.0 - oldest.at.0).to_seconds();
        self.best = self.nearest(newest.at);
    }

    /// Puts in place of the line's end where the clock has walked to, and drops what no longer counts.
    fn follow_walk(&self, line: &mut Line, points: &Points) {
        let Some(mut walk) = Walk::fit(points, line.start, -self.quickened) else {
            return;
        };
        // Half of a delay is the most that it can have made an offset wrong by (RFC 5905 §11.2.1). What all
        // samples leave possible is often little.
        walk.narrow(|slope| {
            let used = self.samples[line.start..].iter();
            let bounds = used.zip(&points.x[line.start..]).map(|(sample, x)| {
                let distance_s = x.abs().mul_add(CLOCK_ERROR, peer_distance_s(sample));
                let offset_s = slope.mul_add(-x, sample.offset_s);
                (offset_s - distance_s, offset_s + distance_s)
            });
            bounds.fold((f64::NEG_INFINITY, f64::INFINITY), |all, one| {
                (all.0.max(one.0), all.1.min(one.1))
            })
        });
        line.intercept = walk.intercept;
        line.intercept_sd = walk.intercept_sd;
        line.slope = walk.slope;
        line.slope_sd = walk.slope_sd;
        let count = points.x.len();
        let least = self.options.samples_min.max(POINTS_MIN);
        let counting = (least..count - line.start).find(|kept| as_float(*kept) >= walk.points);
        if let Some(kept) = counting {
            line.start = count - kept;
        }
    }

    /// The variance of each sample against the best: by its distance beyond the least, in units of how far the
    /// best may be wrong itself, which is half of the distances' deviation, but no more than half of the least.
    fn weigh(&self, variance: &mut [f64]) {
        let mut sorted = [0.0; SAMPLES_MAX];
        let sorted = &mut sorted[..variance.len()];
        for (distance, sample) in sorted.iter_mut().zip(self.register()) {
            *distance = peer_distance_s(sample);
        }
        sorted.sort_by(f64::total_cmp);
        let (least, median) = (sorted[0], sorted[sorted.len() / 2]);
        let precision_s = self.options.precision_s.max(PRECISION_MIN_S);
        // Not `clamp`: with a distance of zero the bounds would cross.
        let deviation = (median - least) / SPREAD_PER_SD;
        let best = (0.5 * deviation.min(least)).max(precision_s);
        for (variance, sample) in variance.iter_mut().zip(self.register()) {
            let excess = (peer_distance_s(sample) - least - precision_s).max(0.0);
            *variance = (1.0 + excess / best).powi(2);
        }
    }

    /// Takes what an excess of delay adds to the offsets out of them, where delay and offset rise together.
    fn correct_asymmetry(&mut self, x: &[f64], y: &mut [f64]) {
        // Of all that are kept: the longer one looks, the nearer one comes to a delay without jitter.
        let least = self.samples.iter().map(|s| s.peer_delay_s);
        let least = self
            .options
            .delay_min_s
            .unwrap_or_else(|| least.fold(f64::INFINITY, f64::min));
        let mut excess = [0.0; KEPT_MAX];
        for (excess, sample) in excess.iter_mut().zip(&self.samples) {
            *excess = sample.peer_delay_s - least;
        }
        let excess = &excess[..self.samples.len()];
        let first = excess.len().saturating_sub(SAMPLES_MAX);
        let slope = match self.options.asymmetry {
            Some(given) => given,
            None => {
                let found = partial_slope(&x[first..], &excess[first..], &y[first..]);
                self.asymmetry.follow(found)
            }
        };
        self.statistics.asymmetry = slope;
        for (y, excess) in y.iter_mut().zip(excess) {
            *y = slope.mul_add(-excess, *y);
        }
    }

    fn take(&mut self, line: Option<&Line>, newest_offset_s: f64) {
        let statistics = &mut self.statistics;
        let Some(line) = line else {
            *statistics = Statistics {
                offset_s: newest_offset_s,
                asymmetry: statistics.asymmetry,
                ..Statistics::default()
            };
            return;
        };
        let used = self.samples.len() - line.start;
        let moved = (line.slope - statistics.frequency).abs();
        statistics.stress = moved / statistics.skew;
        statistics.runs = line.runs;
        statistics.first_used = line.start - self.first;
        statistics.offset_s = line.intercept;
        statistics.offset_sd_s = line.intercept_sd.max(OFFSET_SD_MIN_S);
        statistics.frequency = line.slope;
        statistics.frequency_sd = line.slope_sd.max(SKEW_MIN);
        let skew = line.slope_sd * student(used - 2);
        statistics.skew = skew.clamp(SKEW_MIN, SKEW_MAX);
        statistics.standard_deviation_s = line.variance.sqrt().max(OFFSET_SD_MIN_S);
        statistics.has_line = true;
    }

    /// The sample in the register that is worth most at `now`.
    fn nearest(&self, now: CookedTime) -> usize {
        let distance = |sample: &Sample| {
            let age_s = (now.0 - sample.at.0).to_seconds();
            age_s.mul_add(self.statistics.skew, sample.root_distance_s())
        };
        let all = self.register().iter().map(distance).enumerate();
        all.min_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |(index, _)| index)
    }
}

impl Default for Statistics {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            samples: 0,
            runs: 0,
            span_s: 0.0,
            offset_s: 0.0,
            offset_sd_s: STANDARD_DEVIATION_UNKNOWN_S,
            frequency: 0.0,
            frequency_sd: SKEW_UNKNOWN,
            skew: SKEW_UNKNOWN,
            standard_deviation_s: STANDARD_DEVIATION_UNKNOWN_S,
            stress: 0.0,
            first_used: 0,
            asymmetry: 0.0,
            has_line: false,
        }
    }
}

/// Whether the delay's jitter lies in one direction for sure, and has for long enough to be believed.
///
/// Jitter of one direction alone makes the offset rise, or fall, by half of the excess delay.
#[derive(Clone, Copy, Debug, Default)]
struct Asymmetry {
    /// Samples in a row that showed it, at most [`ASYMMETRY_RUN`]; 0 where it may be none.
    run: u32,
    is_negative: bool,
}

impl Asymmetry {
    /// Takes a new slope of offset over delay, with its standard deviation, and returns the one to correct by.
    fn follow(&mut self, slope: Option<(f64, f64)>) -> f64 {
        let slope =
            slope.filter(|(slope, sd)| slope.abs() >= ASYMMETRY_MIN && *sd <= ASYMMETRY_SD_MAX);
        let Some((slope, _)) = slope else {
            *self = Self::default();
            return 0.0;
        };
        let is_negative = slope < 0.0;
        if is_negative != self.is_negative {
            self.run = 0;
        }
        self.is_negative = is_negative;
        self.run = (self.run + 1).min(ASYMMETRY_RUN);
        if self.run < ASYMMETRY_RUN {
            return 0.0;
        }
        slope.clamp(-ASYMMETRY_MAX, ASYMMETRY_MAX)
    }
}

/// How far one measurement may be wrong by itself: what the source's own distance is, is common to all.
fn peer_distance_s(sample: &Sample) -> f64 {
    0.5_f64.mul_add(sample.peer_delay_s, sample.peer_dispersion_s)
}

/// The longest register.
pub const SAMPLES_MAX: usize = 64;
const KEPT_MAX: usize = SAMPLES_MAX * RUNS_WINDOW;

/// (median - least) / standard deviation of a distance.
const SPREAD_PER_SD: f64 = 0.7;
const PRECISION_MIN_S: f64 = 1e-9;
/// What a clock's frequency may change by meanwhile: 1 ppm, as chrony's `maxclockerror`.
const CLOCK_ERROR: f64 = 1e-6;
const ASYMMETRY_MIN: f64 = 0.45;
const ASYMMETRY_MAX: f64 = 0.5;
const ASYMMETRY_SD_MAX: f64 = 0.05;
const ASYMMETRY_RUN: u32 = 10;
const SKEW_MIN: f64 = 1e-12;
const SKEW_MAX: f64 = 1.0;
/// Assumed without a line: 2000 ppm.
const SKEW_UNKNOWN: f64 = 2e-3;
const STANDARD_DEVIATION_UNKNOWN_S: f64 = 4.0;
const OFFSET_SD_MIN_S: f64 = 1e-9;

const _: () = assert!(POINTS_MIN <= SAMPLES_MAX);

#[cfg(test)]
mod tests;
