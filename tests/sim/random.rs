//! Seeded chance in the distributions that clocks and networks have.

use maser::server::Chance;

pub(crate) struct Random(Chance);

impl Random {
    /// Seeds that lie close together give sequences that do not.
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..8 {
            chance.bits();
        }
        Self(chance)
    }

    /// Above 0, at most 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (f64::from(self.0.bits()) + 1.0) / 4_294_967_296.0
    }

    /// Of mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Of mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }
}
