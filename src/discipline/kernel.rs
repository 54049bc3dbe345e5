//! The kernel's clock as the discipline drives it, and two that are none of a real kernel.

use std::convert::Infallible;

use crate::wire::{LeapIndicator, NtpDuration};

/// A clock whose frequency and time can be changed.
pub trait KernelClock {
    /// What a change can fail with.
    type Error;

    /// By how much the clock is made to run faster than by itself, as a fraction.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn frequency(&mut self) -> Result<f64, Self::Error>;

    /// Asks for a frequency, and tells which one is in force now: as near as the clock can.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn set_frequency(&mut self, frequency: f64) -> Result<f64, Self::Error>;

    /// Asks for a step forward (back, if negative), and tells by how much the clock was stepped.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn step(&mut self, offset: NtpDuration) -> Result<NtpDuration, Self::Error>;

    /// Tells the kernel what others may know of its clock.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn set_status(&mut self, status: &KernelStatus) -> Result<(), Self::Error>;

    /// Whether it makes the leap seconds that it is told of by [`set_status`](Self::set_status).
    fn makes_leap_seconds(&self) -> bool {
        true
    }
}

/// What the kernel tells others of its clock (`adjtimex`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelStatus {
    /// The clock follows a source. What the kernel does with the real-time clock is its driver's matter.
    pub is_synchronised: bool,
    /// Largest error, in seconds.
    pub error_max_s: f64,
    /// Likely error, in seconds.
    pub error_estimated_s: f64,
    /// The leap second that the kernel makes at the end of the day.
    pub leap: LeapIndicator,
    /// International atomic time less UTC, in seconds, where it is known.
    pub tai_offset_s: Option<i32>,
}

/// No control of the clock (`-x`): nothing is ever set, all correction stays in the served time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClock;

impl KernelClock for NoClock {
    type Error = Infallible;

    fn frequency(&mut self) -> Result<f64, Infallible> {
        Ok(0.0)
    }

    fn set_frequency(&mut self, _: f64) -> Result<f64, Infallible> {
        Ok(0.0)
    }

    fn step(&mut self, _: NtpDuration) -> Result<NtpDuration, Infallible> {
        Ok(NtpDuration::ZERO)
    }

    fn set_status(&mut self, _: &KernelStatus) -> Result<(), Infallible> {
        Ok(())
    }

    fn makes_leap_seconds(&self) -> bool {
        false
    }
}

/// A clock in virtual time: an oscillator with an error of its own, driven as the kernel drives it.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    /// By how much the clock is ahead of true time, in seconds.
    error_s: f64,
    /// By how much the oscillator runs too fast, as a fraction.
    oscillator: f64,
    frequency: f64,
    status: Option<KernelStatus>,
    steps: u32,
}

impl SimulatedClock {
    /// A clock that is ahead by `error_s` and whose oscillator runs too fast by `oscillator`.
    pub const fn new(error_s: f64, oscillator: f64) -> Self {
        Self {
            error_s,
            oscillator,
            frequency: 0.0,
            status: None,
            steps: 0,
        }
    }

    /// Lets true time pass.
    pub fn advance(&mut self, seconds: f64) {
        self.error_s = seconds.mul_add(self.rate_error(), self.error_s);
    }

    /// True time and the clock move apart by `ahead_s` at once: somebody sets it, or UTC has a leap second.
    pub fn jump(&mut self, ahead_s: f64) {
        self.error_s += ahead_s;
    }

    /// Changes the oscillator: its wander, temperature.
    pub fn wander(&mut self, frequency: f64) {
        self.oscillator += frequency;
    }

    /// By how much the clock is ahead of true time, in seconds.
    pub const fn error_s(&self) -> f64 {
        self.error_s
    }

    /// By how much it runs too fast, the frequency that was set included.
    pub fn rate_error(&self) -> f64 {
        (1.0 + self.frequency).mul_add(1.0 + self.oscillator, -1.0)
    }

    /// What was said of it last.
    pub const fn status(&self) -> Option<&KernelStatus> {
        self.status.as_ref()
    }

    /// How often it was stepped.
    pub const fn steps(&self) -> u32 {
        self.steps
    }
}

impl KernelClock for SimulatedClock {
    type Error = Infallible;

    fn frequency(&mut self) -> Result<f64, Infallible> {
        Ok(self.frequency)
    }

    /// Linux keeps the tick to 100 ppm, and 2^-16 ppm of the rest.
    fn set_frequency(&mut self, frequency: f64) -> Result<f64, Infallible> {
        let units = (frequency * UNITS_PER_FREQUENCY).round();
        self.frequency = units.clamp(-UNITS_MAX, UNITS_MAX) / UNITS_PER_FREQUENCY;
        Ok(self.frequency)
    }

    fn step(&mut self, offset: NtpDuration) -> Result<NtpDuration, Infallible> {
        self.error_s += offset.to_seconds();
        self.steps += 1;
        Ok(offset)
    }

    fn set_status(&mut self, status: &KernelStatus) -> Result<(), Infallible> {
        self.status = Some(*status);
        Ok(())
    }
}

const UNITS_PER_FREQUENCY: f64 = 1e6 * 65536.0;
/// The tick may be a tenth shorter or longer than its length.
const UNITS_MAX: f64 = 0.1 * UNITS_PER_FREQUENCY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_runs_as_it_is_set() {
        let mut clock = SimulatedClock::new(0.5, 100e-6);
        clock.advance(10.0);
        assert!((clock.error_s() - 0.501).abs() < 1e-12);
        let Ok(actual) = clock.set_frequency(-100e-6);
        assert!((actual + 100e-6).abs() < 1e-11);
        let Ok(stepped) = clock.step(NtpDuration::from_seconds(-0.501));
        assert!((stepped.to_seconds() + 0.501).abs() < 1e-9);
        clock.advance(1000.0);
        // What is left of 100 ppm less 100 ppm is their product.
        assert!((clock.error_s() + 1e-8 * 1000.0).abs() < 1e-7);
        let Ok(most) = clock.set_frequency(0.5);
        assert!((most - 0.1).abs() < 1e-12);
        assert_eq!(clock.steps(), 1);
        clock.wander(1e-6);
        assert!((clock.rate_error() - (1.1 * 1.000_101 - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn without_control_nothing_is_set() {
        let mut clock = NoClock;
        assert_eq!(clock.set_frequency(1e-4), Ok(0.0));
        assert_eq!(
            clock.step(NtpDuration::from_seconds(1.0)),
            Ok(NtpDuration::ZERO)
        );
        assert_eq!(clock.frequency(), Ok(0.0));
    }
}
