//! The offset and frequency of a clock whose frequency walks.
//!
//! A line is right for a clock of one frequency. That of an oscillator walks at random, so what an old point
//! says of the present wears off with its age, the faster the larger the walk is against the noise. How large
//! it is only the points can tell. So Kalman's filter goes over them once for each of many walks, each result
//! weighs by how likely its walk makes the points, and their mean is taken, with what they differ by in its
//! doubt.

use super::regression::{POINTS_MIN, Points, as_float};

/// Where the clock is at x = 0, the last point's abscissa, and how fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Walk {
    /// The ordinate.
    pub intercept: f64,
    /// Its standard deviation.
    pub intercept_sd: f64,
    /// Ordinate per abscissa.
    pub slope: f64,
    /// Its standard deviation.
    pub slope_sd: f64,
    /// Of both.
    pub covariance: f64,
    /// As many of the last points, were they on a line, would tell the intercept as well: at most all.
    pub points: f64,
}

impl Walk {
    /// From the points from `start` on, of which the last is at x = 0. The slope was known before to within
    /// [`SLOPE_SD`]. `None` where the points are too few or define nothing.
    pub(super) fn fit(points: &Points, start: usize, slope: f64) -> Option<Self> {
        let count = points.x.len().saturating_sub(start);
        if count < POINTS_MIN {
            return None;
        }
        let points = Points {
            x: &points.x[start..],
            y: &points.y[start..],
            variance: &points.variance[start..],
        };
        let span = points.x[count - 1] - points.x[0];
        let step = span / as_float(count - 1);
        let mut models = Vec::with_capacity(MODELS_MAX);
        let mut memory = MEMORY_MAX * span;
        while memory >= MEMORY_MIN * step && models.len() < MODELS_MAX {
            // The longest stands for all that are longer still.
            let walk = if models.is_empty() {
                0.0
            } else {
                step / memory.powi(4)
            };
            models.push(Model::fit(&points, walk, slope));
            memory /= std::f64::consts::SQRT_2;
        }
        Self::mean(&models, as_float(count))
    }

    /// Takes in between which two ordinates the clock must be, anywhere as likely, if its slope is the one given
    /// to `bounds`. Bounds that leave nothing possible say nothing.
    pub(super) fn narrow(&mut self, bounds: impl Fn(f64) -> (f64, f64)) {
        let steepness = self.covariance / self.slope_sd.powi(2);
        let own = steepness.mul_add(-self.covariance, self.intercept_sd.powi(2));
        let own = own.max(VARIANCE_MIN);
        let mut moments = Moments::default();
        for step in -SLOPES..=SLOPES {
            let deviations = SLOPE_SDS * f64::from(step) / f64::from(SLOPES);
            let from_mean = deviations * self.slope_sd;
            let expected = steepness.mul_add(from_mean, self.intercept);
            let (low, high) = bounds(self.slope + from_mean);
            let (width, middle) = (high - low, f64::midpoint(low, high));
            // Also where there is no number, or no bound.
            if !(width > 0.0 && width.is_finite()) {
                continue;
            }
            // What is as likely anywhere between two bounds is near enough to what has the same variance.
            let theirs = width.powi(2) / 12.0;
            let both = own + theirs;
            let apart = (middle - expected).powi(2) / both;
            let weight =
                (-0.5 * deviations.mul_add(deviations, apart)).exp() * (theirs / both).sqrt();
            let intercept = expected.mul_add(theirs, middle * own) / both;
            moments.add(
                weight,
                [intercept - self.intercept, from_mean],
                own * theirs / both,
            );
        }
        if moments.weight > WEIGHT_MIN {
            moments.apply(self);
        }
    }

    /// The mean of the models by likelihood. The first is that without a walk.
    fn mean(models: &[Model], count: f64) -> Option<Self> {
        let likely = |model: &&Model| model.log_likelihood.is_finite();
        let best = models.iter().filter(likely);
        let best = best
            .map(|model| model.log_likelihood)
            .reduce(f64::max)
            .unwrap_or(0.0);
        let weighed = || {
            let all = models.iter().filter(likely);
            all.map(|model| ((model.log_likelihood - best).exp(), model))
        };
        let total: f64 = weighed().map(|(weight, _)| weight).sum();
        let mean = |part: &dyn Fn(&Model) -> f64| {
            let sum: f64 = weighed().map(|(weight, model)| weight * part(model)).sum();
            sum / total
        };
        let line = models.first()?.intercept_variance_of_points;
        let intercept = mean(&|model| model.intercept);
        let slope = mean(&|model| model.slope);
        let intercept_variance =
            mean(&|model| model.intercept_variance + (model.intercept - intercept).powi(2));
        let slope_variance = mean(&|model| model.slope_variance + (model.slope - slope).powi(2));
        let covariance = mean(&|model| {
            (model.intercept - intercept).mul_add(model.slope - slope, model.covariance)
        });
        let walk = Self {
            intercept,
            intercept_sd: intercept_variance.sqrt(),
            slope,
            slope_sd: slope_variance.sqrt(),
            covariance,
            points: count * mean(&|model| line / model.intercept_variance_of_points),
        };
        let is_defined = walk.intercept_sd.is_finite() && walk.slope_sd.is_finite();
        (is_defined && walk.points.is_finite()).then_some(walk)
    }
}

/// What the points come to if the walk is known.
#[derive(Clone, Copy, Debug)]
struct Model {
    intercept: f64,
    intercept_variance: f64,
    slope: f64,
    slope_variance: f64,
    covariance: f64,
    log_likelihood: f64,
    /// By the points alone, in units of the variance of a point of variance 1.
    intercept_variance_of_points: f64,
}

impl Model {
    /// `walk` is what the variance of the slope grows by in one unit of x, in units of the variance of a point
    /// of variance 1.
    fn fit(points: &Points, walk: f64, slope: f64) -> Self {
        let mut state = State::between(points, walk);
        let (mut squares, mut logarithms) = (0.0, 0.0);
        for at in 2..points.x.len() {
            state.predict(points.x[at] - points.x[at - 1], walk);
            let error = points.y[at] - state.intercept;
            let variance = state.ii + points.variance[at];
            squares += error * error / variance;
            logarithms += variance.ln();
            state.correct(error, [state.ii, state.is], variance);
        }
        let degrees = as_float(points.x.len() - 2);
        let unit = (squares / degrees).max(VARIANCE_MIN);
        let rate = walk * unit / WALK_LARGE.powi(2);
        let log_likelihood = -rate.ln_1p() - 0.5 * degrees.mul_add(unit.ln(), logarithms);
        let intercept_variance_of_points = state.ii;
        let doubt = SLOPE_SD.powi(2) / unit;
        let error = slope - state.slope;
        state.correct(error, [state.is, state.ss], state.ss + doubt);
        Self {
            intercept: state.intercept,
            intercept_variance: unit * state.ii,
            slope: state.slope,
            slope_variance: unit * state.ss,
            covariance: unit * state.is,
            log_likelihood,
            intercept_variance_of_points,
        }
    }
}

/// Sums over the slopes that are possible: of how far intercept and slope are from what they were.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    weight: f64,
    intercept: f64,
    slope: f64,
    ii: f64,
    is: f64,
    ss: f64,
}

impl Moments {
    fn add(&mut self, weight: f64, [intercept, slope]: [f64; 2], intercept_variance: f64) {
        self.weight += weight;
        self.intercept += weight * intercept;
        self.slope += weight * slope;
        self.ii += weight * intercept.mul_add(intercept, intercept_variance);
        self.is += weight * intercept * slope;
        self.ss += weight * slope * slope;
    }

    fn apply(&self, walk: &mut Walk) {
        let (intercept, slope) = (self.intercept / self.weight, self.slope / self.weight);
        let ii = intercept.mul_add(-intercept, self.ii / self.weight);
        let ss = slope.mul_add(-slope, self.ss / self.weight);
        walk.intercept += intercept;
        walk.slope += slope;
        walk.intercept_sd = ii.max(VARIANCE_MIN).sqrt();
        // One slope alone may be possible of those tried: it is known to half of their distance.
        let nearest = 0.5 * SLOPE_SDS / f64::from(SLOPES) * walk.slope_sd;
        walk.slope_sd = ss.sqrt().max(nearest);
        walk.covariance = intercept.mul_add(-slope, self.is / self.weight);
    }
}

/// Intercept and slope, their variances and covariance.
#[derive(Clone, Copy, Debug)]
struct State {
    intercept: f64,
    slope: f64,
    ii: f64,
    is: f64,
    ss: f64,
}

impl State {
    /// At the second point, from the first two alone.
    fn between(points: &Points, walk: f64) -> Self {
        let (x, y, variance) = (points.x, points.y, points.variance);
        let step = x[1] - x[0];
        Self {
            intercept: y[1],
            slope: (y[1] - y[0]) / step,
            ii: variance[1],
            is: variance[1] / step,
            ss: (variance[0] + variance[1]) / step.powi(2) + walk * step / 3.0,
        }
    }

    fn predict(&mut self, step: f64, walk: f64) {
        self.intercept += self.slope * step;
        let grown = self.ss.mul_add(step, 2.0 * self.is) + walk * step.powi(2) / 3.0;
        self.ii += step * grown;
        self.is += step * (walk * step).mul_add(0.5, self.ss);
        self.ss += walk * step;
    }

    /// Takes in that something is larger by `error` than the state says. What covariance it has with
    /// intercept and slope is given, and the variance of `error`.
    fn correct(&mut self, error: f64, covariance: [f64; 2], variance: f64) {
        let [with_intercept, with_slope] = covariance;
        self.intercept += with_intercept / variance * error;
        self.slope += with_slope / variance * error;
        self.ii -= with_intercept / variance * with_intercept;
        self.is -= with_intercept / variance * with_slope;
        self.ss -= with_slope / variance * with_slope;
    }
}

/// In units of the points' span: after that long a walk moves the ordinate about as far as the noise does.
const MEMORY_MAX: f64 = 1.5;
/// In units of the points' mean distance.
const MEMORY_MIN: f64 = 0.5;
/// From the longest to the shortest memory with 128 points by steps of a root of two.
const MODELS_MAX: usize = 18;
/// The standard deviation of a computer clock's frequency: within 200 ppm.
const SLOPE_SD: f64 = 200e-6;
/// A walk, per root of a second, that is large for an oscillator: larger ones are less likely from the start.
const WALK_LARGE: f64 = 1e-7;
/// Slopes to either side of the mean that bounds are tried with.
const SLOPES: i32 = 12;
/// How far they reach, in standard deviations.
const SLOPE_SDS: f64 = 3.0;
/// Less than that is left of what was thought likely: the bounds or the points are wrong.
const WEIGHT_MIN: f64 = 1e-6;
/// So that a logarithm is defined where all points lie on one line.
const VARIANCE_MIN: f64 = 1e-24;

#[cfg(test)]
mod tests;
