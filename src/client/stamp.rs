//! When packets left and arrived by the local clock, and what becomes of it when that clock is changed.

use crate::wire::{CookedTime, RawTime};

/// One moment on the three clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a clock that never steps: for timers.
    pub monotonic_ns: u64,
    /// The kernel's clock.
    pub raw: RawTime,
    /// The time we serve.
    pub cooked: CookedTime,
}

/// Who noted when a packet left or arrived, from the least exact to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StampSource {
    /// The program, before it sent or after it received.
    Daemon,
    /// The kernel.
    Kernel,
    /// The network card.
    Hardware,
}

impl StampSource {
    /// The letter in measurements.log and in chronyc's `ntpdata`.
    pub const fn letter(self) -> char {
        match self {
            Self::Daemon => 'D',
            Self::Kernel => 'K',
            Self::Hardware => 'H',
        }
    }
}

/// When a packet left or arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// By the time we serve.
    pub at: CookedTime,
    /// How wrong the reading may be, in seconds.
    pub error_s: f64,
    /// Who noted it.
    pub source: StampSource,
}

impl Stamp {
    /// The program's own.
    pub const fn by_daemon(at: CookedTime) -> Self {
        Self {
            at,
            error_s: 0.0,
            source: StampSource::Daemon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_their_letters_and_their_order() {
        let letters = [
            StampSource::Daemon,
            StampSource::Kernel,
            StampSource::Hardware,
        ];
        assert_eq!(letters.map(StampSource::letter), ['D', 'K', 'H']);
        assert!(StampSource::Hardware > StampSource::Kernel);
    }
}
