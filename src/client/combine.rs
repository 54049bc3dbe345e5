//! What several sources together say of the local clock.

use crate::wire::CookedTime;

/// What a source, or several, say of the local clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The moment [`offset_s`](Self::offset_s) is for.
    pub at: CookedTime,
    /// By how much the source is ahead of us.
    pub offset_s: f64,
    /// Standard deviation of the offset.
    pub offset_sd_s: f64,
    /// By how much the source runs faster than us, as a fraction.
    pub frequency: f64,
    /// Standard deviation of the frequency.
    pub frequency_sd: f64,
    /// Bound of the frequency's error.
    pub skew: f64,
    /// The way to the primary source and back.
    pub root_delay_s: f64,
    /// The dispersion of all on that way, as of [`at`](Self::at).
    pub root_dispersion_s: f64,
    /// Root distance of the newest sample alone.
    pub newest_distance_s: f64,
}

impl Estimate {
    /// The offset carried along the frequency to another moment.
    pub fn offset_at_s(&self, at: CookedTime) -> f64 {
        let elapsed_s = (at.0 - self.at.0).to_seconds();
        elapsed_s.mul_add(self.frequency, self.offset_s)
    }
}

/// Combines estimates, each with its source's root distance in seconds, into one for the moment of `first`.
///
/// Offsets weigh by 1 / root distance, frequencies by 1 / variance. The deviation of the offset holds what
/// each source says of itself and how far they lie apart. Root delay and dispersion stay those of `first`,
/// the source that was selected.
pub fn combine(first: (&Estimate, f64), others: &[(&Estimate, f64)]) -> Estimate {
    let all = || std::iter::once(&first).chain(others);
    let at = first.0.at;
    let (mut weight, mut offset) = (0.0, 0.0);
    let (mut frequency_weight, mut frequency, mut skew) = (0.0, 0.0, 0.0);
    for (estimate, distance_s) in all() {
        let by_distance = distance_s.max(DISTANCE_MIN_S).recip();
        weight += by_distance;
        offset += by_distance * estimate.offset_at_s(at);
        let by_variance = estimate.frequency_sd.max(FREQUENCY_SD_MIN).powi(-2);
        frequency_weight += by_variance;
        frequency += by_variance * estimate.frequency;
        skew += by_variance * estimate.skew;
    }
    offset /= weight;
    let variance: f64 = all()
        .map(|(estimate, distance_s)| {
            let apart = estimate.offset_at_s(at) - offset;
            let own = estimate
                .offset_sd_s
                .mul_add(estimate.offset_sd_s, apart * apart);
            own / distance_s.max(DISTANCE_MIN_S) / weight
        })
        .sum();
    Estimate {
        offset_s: offset,
        offset_sd_s: variance.sqrt(),
        frequency: frequency / frequency_weight,
        frequency_sd: frequency_weight.sqrt().recip(),
        skew: skew / frequency_weight,
        ..*first.0
    }
}

// Smaller ones would be a claim that no clock can make, and could divide by zero.
const DISTANCE_MIN_S: f64 = 1e-9;
const FREQUENCY_SD_MIN: f64 = 1e-15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;

    fn estimate(second: i64, offset_s: f64, frequency: f64) -> Estimate {
        Estimate {
            at: CookedTime(NtpTimestamp::from_unix(second, 0)),
            offset_s,
            offset_sd_s: 1e-5,
            frequency,
            frequency_sd: 1e-8,
            skew: 1e-7,
            root_delay_s: 1e-3,
            root_dispersion_s: 1e-4,
            newest_distance_s: 1e-3,
        }
    }

    #[test]
    fn one_source_is_itself() {
        let only = estimate(100, 1e-3, 1e-6);
        let result = combine((&only, 0.01), &[]);
        assert_eq!(result.at, only.at);
        let pairs = [
            (result.offset_s, only.offset_s),
            (result.offset_sd_s, only.offset_sd_s),
            (result.frequency, only.frequency),
            (result.frequency_sd, only.frequency_sd),
            (result.skew, only.skew),
        ];
        for (found, expected) in pairs {
            assert!((found / expected - 1.0).abs() < 1e-9, "{result:?}");
        }
    }

    #[test]
    fn the_nearer_source_weighs_more() {
        let (near, far) = (estimate(100, 0.0, 0.0), estimate(100, 4e-3, 0.0));
        let result = combine((&near, 0.01), &[(&far, 0.03)]);
        assert!((result.offset_s - 1e-3).abs() < 1e-12);
        // 3/4 of 1 ms squared and 1/4 of 3 ms squared, beside 10 us each.
        let expected = (3e-6_f64 + 1e-10).sqrt();
        assert!((result.offset_sd_s - expected).abs() < 1e-12);
    }

    #[test]
    fn offsets_are_of_one_moment_and_the_surer_frequency_weighs_more() {
        let (selected, mut other) = (estimate(100, 1e-3, 1e-6), estimate(0, 0.0, 1e-5));
        other.frequency_sd = 2e-8;
        let result = combine((&selected, 0.01), &[(&other, 0.01)]);
        assert!(
            (result.offset_s - 1e-3).abs() < 1e-12,
            "both are at 1 ms by then"
        );
        assert!((result.frequency - (4e-6 + 1e-5) / 5.0).abs() < 1e-15);
        assert!(result.frequency_sd < selected.frequency_sd);
    }

    #[test]
    fn nothing_divides_by_zero() {
        let mut exact = estimate(100, 1e-3, 1e-6);
        exact.frequency_sd = 0.0;
        let result = combine((&exact, 0.0), &[(&exact, 0.0)]);
        assert!(result.offset_s.is_finite() && result.frequency.is_finite());
    }
}
