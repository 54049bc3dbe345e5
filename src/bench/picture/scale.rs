//! Axes: where a value lies, and which values are named.

/// From values to places along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// Values at both ends; as logarithms on a logarithmic axis.
    from: f64,
    to: f64,
    /// From one named value to the next; `None`: a logarithmic axis.
    step: Option<f64>,
    /// Places of both ends, in the picture's units.
    start: f64,
    end: f64,
}

impl Scale {
    /// From at most `least` to at least `most`, both finite, not negative and not the same.
    pub(super) fn linear(least: f64, most: f64, (start, end): (f64, f64)) -> Self {
        let step = nice_step((most - least) / 5.0);
        let from = (least / step).floor() * step;
        Self {
            from,
            to: ((most / step).ceil() * step).max(from + step),
            step: Some(step),
            start,
            end,
        }
    }

    /// From at most `least` to at least `most`, both finite and positive, with a little room at the ends.
    pub(super) fn logarithmic(least: f64, most: f64, (start, end): (f64, f64)) -> Self {
        let (from, to) = (least.log10(), most.log10());
        // A single value has the middle of the axis.
        let room = (0.04 * (to - from)).max(if to - from < 0.1 { 0.2 } else { 0.02 });
        Self {
            from: from - room,
            to: to + room,
            step: None,
            start,
            end,
        }
    }

    /// Where a value lies; outside the axis at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = match self.step {
            Some(_) => value,
            None => value.log10(),
        };
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// The values at both ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.value(self.from), self.value(self.to))
    }

    /// Values from the start of the axis to `most` or its end, evenly apart on it.
    pub(super) fn values_to(&self, most: f64) -> impl Iterator<Item = f64> {
        const STEPS: u8 = 60;
        let share = (self.place(most) - self.start) / (self.end - self.start);
        let length = share * (self.to - self.from);
        (0..=STEPS)
            .map(move |step| self.value(self.from + length * f64::from(step) / f64::from(STEPS)))
    }

    fn value(&self, at: f64) -> f64 {
        match self.step {
            Some(_) => at,
            None => 10f64.powf(at),
        }
    }

    /// Values to be named, no closer to one another than `apart`; a linear axis has a handful anyway.
    pub(super) fn ticks(&self, apart: f64) -> Vec<f64> {
        let (least, most) = self.ends();
        if let Some(step) = self.step {
            return (0..=64u8)
                .map(|number| least + f64::from(number) * step)
                .take_while(|value| *value <= most + 0.001 * step)
                .collect();
        }
        for steps in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
            let ticks = decades(least, most, steps);
            let is_wide = |pair: &[f64]| (self.place(pair[1]) - self.place(pair[0])).abs() >= apart;
            if ticks.windows(2).all(is_wide) {
                return ticks;
            }
        }
        // Many decades: the first, and each that is far enough from the one before.
        let mut ticks: Vec<f64> = Vec::new();
        for value in decades(least, most, &[1.0]) {
            let is_far = |last: &f64| (self.place(value) - self.place(*last)).abs() >= apart;
            if ticks.last().is_none_or(is_far) {
                ticks.push(value);
            }
        }
        ticks
    }
}

fn decades(least: f64, most: f64, steps: &[f64]) -> Vec<f64> {
    let mut values = Vec::new();
    for decade in -12..=18 {
        let values_here = steps.iter().map(|step| step * 10f64.powi(decade));
        values.extend(values_here.filter(|value| (least..=most).contains(value)));
    }
    values
}

/// The number 1, 2 or 5 times a power of ten that is not below `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    nice.into_iter()
        .find(|nice| *nice >= step * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// A rate for people: 500, 10 k, 1.5 M.
pub(super) fn rate(value: f64) -> String {
    if value >= 1e9 {
        format!("{} G", short(value / 1e9))
    } else if value >= 1e6 {
        format!("{} M", short(value / 1e6))
    } else if value >= 1e3 {
        format!("{} k", short(value / 1e3))
    } else {
        short(value)
    }
}

/// A time for people, from nanoseconds: 500 ns, 20 µs, 1 ms, 2 s.
pub(super) fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        nanos if nanos >= 1e9 => (nanos / 1e9, "s"),
        nanos if nanos >= 1e6 => (nanos / 1e6, "ms"),
        nanos if nanos >= 1e3 => (nanos / 1e3, "µs"),
        nanos => (nanos, "ns"),
    };
    format!("{} {unit}", short(value))
}

/// Three digits, without zeros that say nothing.
fn short(value: f64) -> String {
    let text = match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let scale = Scale::linear(0.0, 95_000.0, (0.0, 300.0));
        assert_eq!(scale.ticks(30.0).last(), Some(&100_000.0));
        assert_eq!(scale.ticks(30.0).len(), 6);
        let scale = Scale::linear(10_000.0, 33_750.0, (0.0, 500.0));
        let named: Vec<_> = scale.ticks(40.0).into_iter().map(rate).collect();
        assert_eq!(named, ["10 k", "15 k", "20 k", "25 k", "30 k", "35 k"]);
        let scale = Scale::logarithmic(10_000.0, 500_000.0, (0.0, 500.0));
        let named: Vec<_> = scale.ticks(40.0).into_iter().map(rate).collect();
        assert_eq!(named, ["10 k", "20 k", "50 k", "100 k", "200 k", "500 k"]);
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(
            [999.0, 1_000.0, 1_250_000.0].map(rate),
            ["999", "1 k", "1.25 M"]
        );
        assert_eq!(
            [5e2, 2.5e4, 1e6, 2e9].map(time),
            ["500 ns", "25 µs", "1 ms", "2 s"]
        );
    }

    proptest! {
        #[test]
        fn all_places_lie_on_the_axis(
            least in 1e-3..1e9f64, factor in 1.0..1e6f64, value in 1e-6..1e12f64, apart in 10.0..100.0f64,
        ) {
            for scale in [
                Scale::logarithmic(least, least * factor, (40.0, 600.0)),
                Scale::linear(0.0, least * factor, (300.0, 10.0)),
                Scale::linear(least, least * factor + 1e-3, (40.0, 600.0)),
            ] {
                let place = scale.place(value);
                prop_assert!((10.0..=600.0).contains(&place), "{place}");
                let ticks = scale.ticks(apart);
                prop_assert!(ticks.len() <= 64);
                let (least, most) = scale.ends();
                prop_assert!(ticks.iter().all(|tick| (least * 0.999..=most * 1.001).contains(tick)));
                let values: Vec<_> = scale.values_to(value).collect();
                prop_assert!(values.iter().all(|value| (least * 0.999..=most * 1.001).contains(value)));
                let last = values.last().map(|last| scale.place(*last));
                prop_assert!(last.is_some_and(|last| (last - place).abs() < 1e-6), "{last:?} is not {place}");
            }
        }
    }
}
