//! The text of the drift file: the frequency to start with, the way chrony keeps it.

/// What the drift file holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Parts per million by which the clock gains when nobody corrects it.
    pub frequency_ppm: f64,
    /// Parts per million by which that may be wrong.
    pub skew_ppm: f64,
}

impl Drift {
    /// Of a clock that was made to run faster by `frequency` to be right, with `skew` of doubt, both as
    /// fractions.
    pub fn of_clock(frequency: f64, skew: f64) -> Self {
        Self {
            frequency_ppm: (1.0 / (1.0 + frequency) - 1.0) * 1e6,
            skew_ppm: skew * 1e6,
        }
    }

    /// By how much the clock is to be made to run faster, as a fraction.
    pub fn correction(&self) -> f64 {
        1.0 / self.frequency_ppm.mul_add(1e-6, 1.0) - 1.0
    }

    /// The doubt about the frequency, as a fraction.
    pub fn skew(&self) -> f64 {
        self.skew_ppm * 1e-6
    }

    /// Reads the first two numbers. `None` where there are none, or they are no frequency: not finite, of
    /// 100 % or more, or with a skew that is not positive.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text
            .split_ascii_whitespace()
            .map(|word| word.parse().ok().filter(|number: &f64| number.is_finite()));
        let drift = Self {
            frequency_ppm: numbers.next()??,
            skew_ppm: numbers.next()??,
        };
        let is_frequency = drift.frequency_ppm.abs() < 1e6 && drift.skew_ppm > 0.0;
        is_frequency.then_some(drift)
    }

    /// One line, two columns of 20 characters with six decimals.
    pub fn format(&self) -> String {
        format!("{:20.6} {:20.6}\n", self.frequency_ppm, self.skew_ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chronys_form_there_and_back() {
        let drift = Drift {
            frequency_ppm: -12.345_678,
            skew_ppm: 0.025,
        };
        let text = drift.format();
        assert_eq!(text, "          -12.345678             0.025000\n");
        assert_eq!(Drift::parse(&text), Some(drift));
    }

    #[test]
    fn a_clock_that_gains_is_made_to_run_slower() {
        let drift = Drift::of_clock(-50e-6, 1e-7);
        assert!((drift.frequency_ppm - 50.0025).abs() < 1e-6);
        assert!((drift.correction() + 50e-6).abs() < 1e-15);
        assert!((drift.skew() - 1e-7).abs() < 1e-20);
    }

    #[test]
    fn what_is_no_frequency_is_not_taken() {
        for text in [
            "",
            "1.0",
            "x 1.0",
            "1.0 x",
            "inf 1",
            "nan 1",
            "1 0",
            "1 -3",
            "-1000000 1",
        ] {
            assert_eq!(Drift::parse(text), None, "{text:?}");
        }
        assert!(Drift::parse("3 1 and what is behind it").is_some());
    }
}
