//! One measurement of a source's clock.

use crate::wire::{CookedTime, LeapIndicator};

/// What one good exchange with a source has shown.
///
/// Times are in seconds. It belongs to the local clock as it was when it was taken: whoever keeps samples shifts
/// them when the local clock is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When, by the local clock: halfway between the request's departure and the reply's arrival.
    pub at: CookedTime,
    /// By how much the source's clock is ahead of ours.
    pub offset_s: f64,
    /// The way there and back, without the time the source held the request.
    pub peer_delay_s: f64,
    /// How far reading both clocks may have been wrong, and ours may have drifted meanwhile.
    pub peer_dispersion_s: f64,
    /// The way from us to the primary source and back, that to this source included.
    pub root_delay_s: f64,
    /// The dispersion of all of them.
    pub root_dispersion_s: f64,
    /// The source's.
    pub stratum: u8,
    /// What the source says of the leap second.
    pub leap: LeapIndicator,
}

impl Sample {
    /// How far the offset may be from the truth: the root distance (RFC 5905 §11.2), in seconds.
    pub fn root_distance_s(&self) -> f64 {
        0.5_f64.mul_add(self.root_delay_s, self.root_dispersion_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_half_the_delay_and_the_dispersion() {
        let sample = Sample {
            at: CookedTime::default(),
            offset_s: 0.0,
            peer_delay_s: 0.01,
            peer_dispersion_s: 0.001,
            root_delay_s: 0.03,
            root_dispersion_s: 0.004,
            stratum: 2,
            leap: LeapIndicator::NoWarning,
        };
        assert!((sample.root_distance_s() - 0.019).abs() < 1e-12);
    }
}
