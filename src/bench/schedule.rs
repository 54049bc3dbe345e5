//! When requests are meant to leave: fixed beforehand, whatever happens meanwhile.

use crate::server::Chance;

/// How requests are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// Each as far from the last as the next.
    Even,
    /// As independent clients ask: gaps of an exponential distribution (a Poisson process).
    Exponential,
}

/// Yields one intended moment after another, in nanoseconds of the monotonic clock.
///
/// Moments are kept in 2^-16 ns, so that a million a second for an hour ends where it should.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    next: u128,
    gap: f64,
    spacing: Spacing,
    chance: Chance,
}

const SUBNANOS: f64 = 65_536.0;

impl Schedule {
    /// `rate` requests a second from `start_ns` on.
    pub(super) fn new(start_ns: u64, rate: f64, spacing: Spacing, seed: u64) -> Self {
        Self {
            next: u128::from(start_ns) << 16,
            gap: 1e9 * SUBNANOS / rate.max(1e-3),
            spacing,
            chance: Chance::new(seed),
        }
    }

    /// The next intended moment, without passing it.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "nanoseconds since boot fit 64 bits for centuries"
    )]
    pub(super) const fn peek_ns(&self) -> u64 {
        (self.next >> 16) as u64
    }

    /// Passes to the moment after the next.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "gaps are positive"
    )]
    pub(super) fn advance(&mut self) {
        let gap = match self.spacing {
            Spacing::Even => self.gap,
            Spacing::Exponential => {
                // In (0, 1], so that the logarithm is finite.
                let uniform = (f64::from(self.chance.bits()) + 1.0) / 4_294_967_296.0;
                -uniform.ln() * self.gap
            }
        };
        self.next += gap as u128;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(spacing: Spacing, rate: f64, requests: u32) -> u64 {
        let mut schedule = Schedule::new(1_000, rate, spacing, 7);
        for _ in 0..requests {
            schedule.advance();
        }
        schedule.peek_ns() - 1_000
    }

    #[test]
    fn even_gaps_do_not_drift() {
        // A third of a nanosecond is not lost a million times.
        let end = after(Spacing::Even, 3e6, 3_000_000);
        assert!((999_999_900..=1_000_000_000).contains(&end), "{end}");
        assert_eq!(after(Spacing::Even, 1e6, 1), 1_000);
    }

    #[test]
    fn exponential_gaps_have_the_rate_as_their_mean() {
        let end = after(Spacing::Exponential, 1e6, 1_000_000);
        assert!((990_000_000..1_010_000_000).contains(&end), "{end}");
        let mut schedule = Schedule::new(0, 1e6, Spacing::Exponential, 3);
        let mut short = 0;
        for _ in 0..100_000 {
            let before = schedule.peek_ns();
            schedule.advance();
            short += u32::from(schedule.peek_ns() - before < 693); // The median is ln 2 of the mean.
        }
        assert!((49_000..51_000).contains(&short), "{short}");
    }
}
