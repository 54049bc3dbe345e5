//! The clock's frequency by temperature (`tempcomp`): from what a sensor shows to what the clock lacks for it.
//!
//! Temperatures are in the sensor's own unit, as in the directive: for a file of sysfs thousandths of a degree Celsius.

use std::fmt;

/// What the clock's frequency lacks at each temperature.
#[derive(Clone, Debug, PartialEq)]
pub enum Tempcomp {
    /// `k0 + (T - T0) k1 + (T - T0)^2 k2`, in parts per million.
    Coefficients {
        /// `T0`
        t0: f64,
        /// `k0`
        k0: f64,
        /// `k1`
        k1: f64,
        /// `k2`
        k2: f64,
    },
    /// Lines from point to point.
    Points(TempcompPoints),
}

impl Tempcomp {
    /// By how much the clock is to be made to run faster at a temperature, in parts per million. `None` beyond
    /// [`COMPENSATION_MAX_PPM`]: the sensor, or the line of the configuration, is wrong.
    pub fn compensation_ppm(&self, temperature: f64) -> Option<f64> {
        let found = match self {
            Self::Coefficients { t0, k0, k1, k2 } => {
                let warmer = temperature - t0;
                k2.mul_add(warmer, *k1).mul_add(warmer, *k0)
            }
            Self::Points(points) => points.at(temperature),
        };
        (found.abs() <= COMPENSATION_MAX_PPM).then_some(found)
    }
}

/// At least two points of temperature and compensation, by rising temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct TempcompPoints(Vec<(f64, f64)>);

impl TempcompPoints {
    /// Reads lines of two numbers, temperature and parts per million. Empty lines are passed over.
    ///
    /// # Errors
    /// The first line that is no point or does not rise, or that there are fewer than two.
    pub fn parse(text: &str) -> Result<Self, BadPoints> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next() else {
                continue;
            };
            let (second, surplus) = (words.next(), words.next());
            let number =
                |word: &str| -> Option<f64> { word.parse().ok().filter(|n: &f64| n.is_finite()) };
            let point = number(first).zip(second.and_then(number));
            let (Some(point), None) = (point, surplus) else {
                return Err(BadPoints::NoPoint { line: at + 1 });
            };
            if points.last().is_some_and(|before| before.0 >= point.0) {
                return Err(BadPoints::NotRising { line: at + 1 });
            }
            points.push(point);
        }
        if points.len() < 2 {
            return Err(BadPoints::TooFew);
        }
        Ok(Self(points))
    }

    /// On the line through the two points around a temperature; beyond the ends on that through the two outermost, as
    /// chrony does it.
    fn at(&self, temperature: f64) -> f64 {
        let Self(points) = self;
        let above = points.partition_point(|point| point.0 < temperature);
        let above = above.clamp(1, points.len() - 1);
        let ((t1, c1), (t2, c2)) = (points[above - 1], points[above]);
        ((temperature - t1) / (t2 - t1)).mul_add(c2 - c1, c1)
    }
}

/// What is wrong with a file of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPoints {
    /// Not two numbers.
    NoPoint {
        /// From 1.
        line: usize,
    },
    /// Not warmer than the line before.
    NotRising {
        /// From 1.
        line: usize,
    },
    /// Fewer than two points.
    TooFew,
}

impl fmt::Display for BadPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPoint { line } => {
                write!(
                    f,
                    "line {line}: a temperature and parts per million are expected"
                )
            }
            Self::NotRising { line } => {
                write!(
                    f,
                    "line {line}: a higher temperature than before is expected"
                )
            }
            Self::TooFew => f.write_str("at least two points are expected"),
        }
    }
}

impl std::error::Error for BadPoints {}

/// No larger compensation is believed, chrony's limit.
pub const COMPENSATION_MAX_PPM: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Tempcomp {
        Tempcomp::Points(TempcompPoints::parse(text).unwrap())
    }

    #[track_caller]
    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.expect("within the limit");
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    /// The example of chrony.conf(5).
    #[test]
    fn the_manuals_coefficients() {
        let curve = Tempcomp::Coefficients {
            t0: 26_000.0,
            k0: 0.0,
            k1: 0.000_183,
            k2: 0.0,
        };
        assert_near(curve.compensation_ppm(26_000.0), 0.0);
        assert_near(curve.compensation_ppm(27_000.0), 0.183);
        assert_near(curve.compensation_ppm(20_000.0), -1.098);
        // 10 ppm are reached 54,645 thousandths away.
        assert!(curve.compensation_ppm(26_000.0 + 54_600.0).is_some());
        assert_eq!(curve.compensation_ppm(26_000.0 + 54_700.0), None);
        assert_eq!(curve.compensation_ppm(26_000.0 - 54_700.0), None);
        let bent = Tempcomp::Coefficients {
            t0: 20.0,
            k0: 1.0,
            k1: -2.0,
            k2: 0.5,
        };
        assert_near(bent.compensation_ppm(24.0), 1.0);
        assert_near(bent.compensation_ppm(18.0), 7.0);
        assert_eq!(bent.compensation_ppm(f64::NAN), None);
    }

    /// The example of chrony.conf(5), in part.
    #[test]
    fn between_points_and_beyond_them() {
        let table = points("20000 1.0\n21000 0.64\n\n25000 0.0\n  30000\t1.0  \n");
        assert_near(table.compensation_ppm(20_000.0), 1.0);
        assert_near(table.compensation_ppm(20_500.0), 0.82);
        assert_near(table.compensation_ppm(21_000.0), 0.64);
        assert_near(table.compensation_ppm(23_000.0), 0.32);
        assert_near(table.compensation_ppm(25_000.0), 0.0);
        assert_near(table.compensation_ppm(26_000.0), 0.2);
        assert_near(table.compensation_ppm(30_000.0), 1.0);
        assert_near(table.compensation_ppm(19_000.0), 1.36);
        assert_near(table.compensation_ppm(35_000.0), 2.0);
        assert_eq!(table.compensation_ppm(-10_000.0), None);
        assert_eq!(table.compensation_ppm(80_000.0), None);
    }

    #[test]
    fn what_is_no_table() {
        for (text, fault) in [
            ("", BadPoints::TooFew),
            ("1 2\n", BadPoints::TooFew),
            ("1 2\nx 3\n", BadPoints::NoPoint { line: 2 }),
            ("1 2\n\n2\n", BadPoints::NoPoint { line: 3 }),
            ("1 2 3\n2 3\n", BadPoints::NoPoint { line: 1 }),
            ("1 inf\n2 3\n", BadPoints::NoPoint { line: 1 }),
            ("1 2\n1 3\n", BadPoints::NotRising { line: 2 }),
        ] {
            assert_eq!(TempcompPoints::parse(text), Err(fault), "{text:?}");
        }
    }
}
