//! A server of stratum 1, true or not.

use super::link::Link;

/// What is wrong with a server's clock, in seconds of true time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    True,
    /// Ahead by so many seconds from a moment on.
    Jumps {
        at_s: f64,
        by_s: f64,
    },
    /// Faster by this fraction.
    Drifts(f64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) clock: Clock,
    pub(crate) link: Link,
    /// Silent from this moment on.
    pub(crate) dies_at_s: f64,
}

impl Server {
    pub(crate) const fn new(clock: Clock, link: Link) -> Self {
        Self {
            clock,
            link,
            dies_at_s: f64::INFINITY,
        }
    }

    /// By how much its clock is ahead of the true time.
    pub(crate) fn error_s(&self, true_s: f64) -> f64 {
        match self.clock {
            Clock::True => 0.0,
            Clock::Jumps { at_s, by_s } if true_s >= at_s => by_s,
            Clock::Jumps { .. } => 0.0,
            Clock::Drifts(rate) => rate * true_s,
        }
    }
}

/// Between arrival and departure.
pub(crate) const HOLD_S: f64 = 20e-6;
pub(crate) const ROOT_DISPERSION_S: f64 = 1e-6;
