//! A straight line through weighted points, and how much of the past still lies on it.

/// Points of a plane, the oldest first; all three slices are of one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<'a> {
    /// Abscissae, not falling.
    pub x: &'a [f64],
    /// Ordinates.
    pub y: &'a [f64],
    /// By how much larger the variance of each point is than that of the best: at least 1.
    pub variance: &'a [f64],
}

/// A fitted line and the doubt about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// The ordinate at x = 0.
    pub intercept: f64,
    /// Standard deviation of the intercept.
    pub intercept_sd: f64,
    /// Ordinate per abscissa.
    pub slope: f64,
    /// Standard deviation of the slope.
    pub slope_sd: f64,
    /// Variance of the points around the line: the mean of theirs, by weight.
    pub variance: f64,
    /// The first point that was used; all after it were.
    pub start: usize,
    /// Runs of residuals of one sign, in the points that were used.
    pub runs: usize,
}

impl Line {
    /// A line through as many of the last points as lie on one.
    ///
    /// Points before `first` are no part of the line; they only lengthen the test for runs. While the
    /// residuals keep one sign for longer than chance lets them (5 %), the oldest point is dropped, but
    /// never so that fewer than `at_least` or [`POINTS_MIN`] remain. `None` with fewer points than that
    /// minimum or where no line is defined.
    pub(super) fn fit(points: &Points, first: usize, at_least: usize) -> Option<Self> {
        let mut line = Self::through(points, first)?;
        let count = points.x.len();
        loop {
            let used = count - line.start;
            let window = count.saturating_sub(used * RUNS_WINDOW);
            let is_straight = line.runs_from(points, window) > critical_runs(count - window);
            if is_straight || used <= at_least.max(POINTS_MIN) {
                break;
            }
            match Self::through(points, line.start + 1) {
                Some(shorter) => line = shorter,
                None => break,
            }
        }
        line.runs = line.runs_from(points, line.start);
        Some(line)
    }

    /// The ordinate at `x`.
    fn at(&self, x: f64) -> f64 {
        self.slope.mul_add(x, self.intercept)
    }

    /// Least squares over the points from `start`.
    fn through(points: &Points, start: usize) -> Option<Self> {
        let used = points.x.len().saturating_sub(start);
        if used < POINTS_MIN {
            return None;
        }
        let all = || {
            let xy = points.x[start..].iter().zip(&points.y[start..]);
            xy.zip(&points.variance[start..])
                .map(|((x, y), variance)| (*x, *y, variance.recip()))
        };
        let weight: f64 = all().map(|(_, _, w)| w).sum();
        let mean_x = all().map(|(x, _, w)| x * w).sum::<f64>() / weight;
        let mean_y = all().map(|(_, y, w)| y * w).sum::<f64>() / weight;
        let spread: f64 = all().map(|(x, _, w)| (x - mean_x).powi(2) * w).sum();
        let product: f64 = all().map(|(x, y, w)| (x - mean_x) * (y - mean_y) * w).sum();
        let slope = product / spread;
        let mut line = Self {
            intercept: slope.mul_add(-mean_x, mean_y),
            intercept_sd: 0.0,
            slope,
            slope_sd: 0.0,
            variance: 0.0,
            start,
            runs: 0,
        };
        let squares: f64 = all().map(|(x, y, w)| (y - line.at(x)).powi(2) * w).sum();
        let unit = squares / as_float(used - 2);
        line.intercept_sd = (unit / weight + mean_x.powi(2) * unit / spread).sqrt();
        line.slope_sd = (unit / spread).sqrt();
        line.variance = unit * as_float(used) / weight;
        let is_defined = line.intercept_sd.is_finite() && line.slope_sd.is_finite();
        is_defined.then_some(line)
    }

    fn runs_from(&self, points: &Points, start: usize) -> usize {
        let xy = points.x[start..].iter().zip(&points.y[start..]);
        let mut signs = xy.map(|(x, y)| *y > self.at(*x));
        let Some(mut sign) = signs.next() else {
            return 0;
        };
        let changes = signs.filter(|next| std::mem::replace(&mut sign, *next) != *next);
        changes.count() + 1
    }
}

/// By how much `y` rises with `z` where it also depends on `x`, and the standard deviation of that: from the
/// differences of neighbouring points, all of one weight, so that a bend of `y` over `x` does not show as a
/// slope. `None` where nothing is defined.
pub(super) fn partial_slope(x: &[f64], z: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let count = y.len();
    if count <= POINTS_MIN {
        return None;
    }
    let (mut xx, mut xz, mut zz, mut xy, mut zy, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for at in 1..count {
        let (x, z, y) = (x[at] - x[at - 1], z[at] - z[at - 1], y[at] - y[at - 1]);
        xx += x * x;
        xz += x * z;
        zz += z * z;
        xy += x * y;
        zy += z * y;
        yy += y * y;
    }
    let determinant = xz.mul_add(-xz, xx * zz);
    // Below this the two axes are one within the precision of the sums.
    let is_plane = determinant > 1e-9 * xx * zz;
    let slope = xz.mul_add(-xy, xx * zy) / determinant;
    let along_x = xz.mul_add(-zy, zz * xy) / determinant;
    let squares = slope.mul_add(-zy, along_x.mul_add(-xy, yy)).max(0.0);
    let variance = squares / as_float(count - POINTS_MIN) * xx / determinant;
    (is_plane && slope.is_finite()).then_some((slope, variance.sqrt()))
}

/// By how many standard deviations a slope may be wrong, with 99.9 % of certainty (two-sided), when it
/// comes from as many points more than two: the quantile of Student's distribution.
pub(super) fn student(degrees_of_freedom: usize) -> f64 {
    const FIRST: [f64; 12] = [
        636.62, 31.599, 12.924, 8.610, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318,
    ];
    let degrees = degrees_of_freedom.max(1);
    FIRST.get(degrees - 1).copied().unwrap_or_else(|| {
        // The expansion around the normal distribution, in powers of 1 / degrees (z = 3.2905).
        let inverse = as_float(degrees).recip();
        let third = inverse.mul_add(53.17, 26.14);
        inverse.mul_add(inverse.mul_add(third, 9.73), 3.2905)
    })
}

/// As many runs or fewer come by chance in at most 5 % of all sets of `points` points on a line.
fn critical_runs(points: usize) -> usize {
    let last = CRITICAL_RUNS.len() - 1;
    usize::from(CRITICAL_RUNS[points.min(last)])
}

/// Small counts only: what is counted are points of a register.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) const fn as_float(count: usize) -> f64 {
    count as f64
}

/// With fewer points the doubt about a line is not known.
pub(super) const POINTS_MIN: usize = 3;
/// The test for runs looks at this many times the points that the line is through.
pub(super) const RUNS_WINDOW: usize = 2;

/// By the number of points. From 100,000 sets of equidistant points with normal errors each; with three
/// points there are always three runs.
const CRITICAL_RUNS: [u8; 129] = [
    0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 10,
    11, 11, 12, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16, 16, 17, 17, 18, 18, 19, 19, 19, 20, 20, 21,
    21, 22, 22, 23, 23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 27, 28, 28, 29, 29, 30, 30, 31, 31, 31,
    32, 32, 33, 33, 34, 34, 35, 35, 36, 36, 36, 37, 37, 38, 38, 39, 39, 40, 40, 41, 41, 42, 42, 42,
    43, 43, 44, 44, 45, 45, 46, 46, 47, 47, 48, 48, 49, 49, 49, 50, 50, 51, 51, 52, 52, 53, 53, 54,
    54, 54, 55,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!(
            (found - expected).abs() <= tolerance,
            "{found} is not {expected} ± {tolerance}"
        );
    }

    #[test]
    fn a_known_line_with_known_doubt() {
        // Errors +1, -1, -1, +1: orthogonal to the line and to its slope.
        let (x, y) = ([0.0, 1.0, 2.0, 3.0], [6.0, 6.0, 8.0, 12.0]);
        let points = Points {
            x: &x,
            y: &y,
            variance: &[1.0; 4],
        };
        let line = Line::fit(&points, 0, 4).expect("four points");
        assert_near(line.intercept, 5.0, 1e-12);
        assert_near(line.slope, 2.0, 1e-12);
        assert_near(line.variance, 2.0, 1e-12);
        assert_near(line.slope_sd, (2.0_f64 / 5.0).sqrt(), 1e-12);
        let intercept_variance = 2.0 / 4.0 + 1.5 * 1.5 * 2.0 / 5.0;
        assert_near(line.intercept_sd, f64::sqrt(intercept_variance), 1e-12);
        assert_eq!((line.start, line.runs), (0, 3));
    }

    #[test]
    fn a_point_of_large_variance_hardly_counts() {
        let (x, y) = ([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 1000.0]);
        let points = Points {
            x: &x,
            y: &y,
            variance: &[1.0, 1.0, 1.0, 1.0, 1e9],
        };
        let line = Line::fit(&points, 0, 5).expect("five points");
        assert_near(line.slope, 1.0, 1e-5);
    }

    #[test]
    fn a_bend_drops_the_past() {
        // Flat until 20, then rising: what is used begins near the bend.
        let x: Vec<f64> = (0..40u8).map(f64::from).collect();
        let y: Vec<f64> = x
            .iter()
            .zip([0.3, -0.2, 0.1, -0.3].iter().cycle())
            .map(|(x, error)| (x - 20.0).max(0.0) + error)
            .collect();
        let points = Points {
            x: &x,
            y: &y,
            variance: &[1.0; 40],
        };
        let line = Line::fit(&points, 0, POINTS_MIN).expect("forty points");
        assert!((15..=24).contains(&line.start), "{line:?}");
        assert_near(line.slope, 1.0, 0.05);
        let kept = Line::fit(&points, 0, 40).expect("forty points");
        assert_eq!(kept.start, 0, "the minimum is kept");
    }

    #[test]
    fn no_line_through_too_few_or_one_moment() {
        let points = Points {
            x: &[1.0, 1.0, 1.0],
            y: &[1.0, 2.0, 3.0],
            variance: &[1.0; 3],
        };
        assert_eq!(Line::fit(&points, 0, 0), None);
        assert_eq!(Line::fit(&points, 2, 0), None);
        let broken = Points {
            y: &[f64::NAN, 1.0, f64::INFINITY],
            x: &[0.0, 1.0, 2.0],
            ..points
        };
        assert_eq!(Line::fit(&broken, 0, 0), None);
    }

    #[test]
    fn a_plane_gives_the_share_of_the_second_axis() {
        let x = [0.0, 1.0, 2.0, 3.0, 4.0];
        let z = [0.0, 5.0, 1.0, 7.0, 2.0];
        let y: Vec<f64> = x
            .iter()
            .zip(&z)
            .map(|(x, z)| 3.0 + 2.0 * x - 0.5 * z)
            .collect();
        let (slope, sd) = partial_slope(&x, &z, &y).expect("they span a plane");
        assert_near(slope, -0.5, 1e-12);
        assert_near(sd, 0.0, 1e-6);
        assert_eq!(partial_slope(&x, &x, &y), None);
        assert_eq!(partial_slope(&x[..3], &z[..3], &y[..3]), None);
    }

    #[test]
    fn students_quantiles() {
        // Tables of the distribution, two-sided 0.001.
        for (degrees, expected) in [
            (1, 636.62),
            (5, 6.869),
            (15, 4.073),
            (30, 3.646),
            (62, 3.454),
        ] {
            assert_near(student(degrees) / expected, 1.0, 0.003);
        }
        assert_near(student(0), student(1), 0.0);
    }
}
