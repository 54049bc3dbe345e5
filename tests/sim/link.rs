//! A way to a source and back: it delays, loses and repeats packets.

use super::random::Random;

/// Delays in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Of each way.
    pub(crate) fixed_s: f64,
    /// Mean of the exponential delay that comes on top, there and back.
    pub(crate) jitter_s: [f64; 2],
    /// Share of the packets that are lost, of each way.
    pub(crate) loss: f64,
    /// Share of the replies that come once more, up to two seconds later.
    pub(crate) replayed: f64,
}

impl Link {
    pub(crate) const fn even(fixed_s: f64, jitter_s: f64) -> Self {
        Self {
            fixed_s,
            jitter_s: [jitter_s; 2],
            loss: 0.0,
            replayed: 0.0,
        }
    }

    /// The delay of one packet there (0) or back (1); `None`: lost. Later packets may overtake it.
    pub(crate) fn delay_s(&self, way: usize, random: &mut Random) -> Option<f64> {
        let delay_s = self.jitter_s[way].mul_add(random.exponential(), self.fixed_s);
        (random.uniform() > self.loss).then_some(delay_s)
    }

    /// How long after a reply it comes once more, if it does.
    pub(crate) fn replay_s(&self, random: &mut Random) -> Option<f64> {
        (random.uniform() <= self.replayed).then(|| 2.0 * random.uniform())
    }
}
