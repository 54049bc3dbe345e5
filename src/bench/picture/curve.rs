//! What is drawn: the steps of a run, by their rate.

/// One step, as a run's figures tell it. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// What the run is called.
    pub label: String,
    /// Requests offered, a second; `None` in a closed loop.
    pub offered: Option<f64>,
    /// Good replies, a second.
    pub replies: f64,
    /// Latency: 50 %, 99 %, 99.9 %; `None` where nothing was answered.
    pub latency: Option<[f64; 3]>,
    /// Share of the requests that did not leave in time.
    pub unsent: f64,
    /// Machine and load, in a few words.
    pub place: String,
}

/// A run: its steps by rate, repeated ones together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) rungs: Vec<Rung>,
    /// Replies a second in a closed loop.
    pub(super) ceiling: Option<Spread>,
}

/// All steps of a run at one rate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rung {
    pub(super) offered: f64,
    pub(super) replies: Spread,
    /// 50 %, 99 %, 99.9 %.
    pub(super) latency: Option<[Spread; 3]>,
    /// The harness could not drive the rate in half of them.
    pub(super) is_driven: bool,
}

/// Repeated figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

/// More than this share not sent: the harness was the limit.
const UNSENT_MAX: f64 = 0.01;
/// Neither a rate nor a time in nanoseconds is greater; what is, is no figure of the harness.
const MOST: f64 = 1e12;
/// Nor is a rate less that is offered.
const LEAST_OFFERED: f64 = 0.01;

impl Spread {
    /// Of figures that can be drawn; `None` of none.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures
            .filter(|figure| (0.0..=MOST).contains(figure))
            .collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            *figures.get(middle)?
        } else {
            f64::midpoint(*figures.get(middle.checked_sub(1)?)?, *figures.get(middle)?)
        };
        Some(Self {
            least: *figures.first()?,
            median,
            most: *figures.last()?,
        })
    }
}

/// Runs in the order in which they first appear.
pub(super) fn curves(dots: &[Dot]) -> Vec<Curve> {
    let mut labels: Vec<&str> = Vec::new();
    for dot in dots {
        if !labels.contains(&dot.label.as_str()) {
            labels.push(&dot.label);
        }
    }
    labels.into_iter().map(|label| curve(label, dots)).collect()
}

fn curve(label: &str, dots: &[Dot]) -> Curve {
    let own = || dots.iter().filter(|dot| dot.label == label);
    let mut rates: Vec<f64> = own()
        .filter_map(|dot| dot.offered)
        .filter(|rate| (LEAST_OFFERED..=MOST).contains(rate))
        .collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup_by(|one, other| is_same(*one, *other));
    let rungs = rates.into_iter().filter_map(|offered| {
        let at_rate = || own().filter(|dot| dot.offered.is_some_and(|rate| is_same(rate, offered)));
        let percentile =
            |which: usize| Spread::of(at_rate().filter_map(|dot| Some(dot.latency?[which])));
        let latency = (|| Some([percentile(0)?, percentile(1)?, percentile(2)?]))();
        Some(Rung {
            offered,
            replies: Spread::of(at_rate().map(|dot| dot.replies))?,
            latency,
            is_driven: Spread::of(at_rate().map(|dot| dot.unsent))?.median <= UNSENT_MAX,
        })
    });
    Curve {
        label: label.to_owned(),
        rungs: rungs.collect(),
        ceiling: Spread::of(
            own()
                .filter(|dot| dot.offered.is_none())
                .map(|dot| dot.replies),
        ),
    }
}

/// Rates of a ladder are computed, so equal ones may differ in the last digits.
fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * one.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(label: &str, offered: Option<f64>, replies: f64) -> Dot {
        Dot {
            label: label.into(),
            offered,
            replies,
            latency: Some([1e5, 2e5, 3e5]),
            unsent: 0.0,
            place: String::new(),
        }
    }

    #[test]
    fn repeated_steps_are_one_rung_with_a_spread() {
        let dots = [
            dot("b", Some(2e4), 20.0),
            dot("a", Some(1e4), 9.0),
            dot("b", Some(1e4), 10.0),
            dot("b", Some(2e4 * 1.000_000_01), 30.0),
            dot("b", None, 77.0),
            dot("b", Some(2e4), 40.0),
        ];
        let curves = curves(&dots);
        assert_eq!(
            curves
                .iter()
                .map(|curve| curve.label.as_str())
                .collect::<Vec<_>>(),
            ["b", "a"]
        );
        let rungs = &curves[0].rungs;
        assert_eq!(rungs.len(), 2);
        let spread = Spread {
            least: 20.0,
            median: 30.0,
            most: 40.0,
        };
        assert_eq!(rungs[1].replies, spread);
        assert_eq!(curves[0].ceiling.map(|ceiling| ceiling.median), Some(77.0));
        assert_eq!(curves[1].ceiling, None);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let dots = [
            dot("a", Some(f64::NAN), 1.0),
            dot("a", Some(1e3), f64::INFINITY),
            dot("a", Some(-5.0), 1.0),
            dot("a", Some(1e300), 1.0),
            dot("a", Some(1e3), 1.7e308),
        ];
        assert!(curves(&dots)[0].rungs.is_empty());
    }
}
