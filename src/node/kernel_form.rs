//! The kernel's clock in the form that the command line and the configuration ask for.

use std::io;

use super::kernel_clock::{AdjustedClock, ThisKernel};
use crate::discipline::{KernelClock, KernelStatus, NoClock};
use crate::wire::NtpDuration;

/// What the discipline drives.
pub(super) struct Kernel {
    form: Form,
    has_stepped: bool,
}

enum Form {
    /// `-x`: served time alone is kept.
    Uncontrolled(NoClock),
    /// The clock is set and steered.
    Adjusted(AdjustedClock<ThisKernel>),
}

impl Kernel {
    /// The clock is left alone.
    pub(super) const fn uncontrolled() -> Self {
        Self {
            form: Form::Uncontrolled(NoClock),
            has_stepped: false,
        }
    }

    /// The system's clock is set and steered.
    ///
    /// # Errors
    /// The kernel lets us not.
    pub(super) fn adjusted(rtc_sync: bool) -> io::Result<Self> {
        Ok(Self {
            form: Form::Adjusted(AdjustedClock::new(ThisKernel, rtc_sync)?),
            has_stepped: false,
        })
    }

    /// Whether the clock is set and steered.
    pub(super) const fn is_adjusted(&self) -> bool {
        matches!(self.form, Form::Adjusted(_))
    }

    /// Whether we have stepped the clock since this was asked last.
    pub(super) const fn take_own_steps(&mut self) -> bool {
        std::mem::replace(&mut self.has_stepped, false)
    }
}

impl KernelClock for Kernel {
    type Error = io::Error;

    fn frequency(&mut self) -> io::Result<f64> {
        match &mut self.form {
            Form::Uncontrolled(clock) => clock.frequency().map_err(|never| match never {}),
            Form::Adjusted(clock) => clock.frequency(),
        }
    }

    fn set_frequency(&mut self, frequency: f64) -> io::Result<f64> {
        match &mut self.form {
            Form::Uncontrolled(clock) => clock
                .set_frequency(frequency)
                .map_err(|never| match never {}),
            Form::Adjusted(clock) => clock.set_frequency(frequency),
        }
    }

    fn step(&mut self, offset: NtpDuration) -> io::Result<NtpDuration> {
        let stepped: io::Result<NtpDuration> = match &mut self.form {
            Form::Uncontrolled(clock) => clock.step(offset).map_err(|never| match never {}),
            Form::Adjusted(clock) => clock.step(offset),
        };
        let stepped = stepped?;
        self.has_stepped |= stepped != NtpDuration::ZERO;
        Ok(stepped)
    }

    fn set_status(&mut self, status: &KernelStatus) -> io::Result<()> {
        match &mut self.form {
            Form::Uncontrolled(clock) => clock.set_status(status).map_err(|never| match never {}),
            Form::Adjusted(clock) => clock.set_status(status),
        }
    }

    fn makes_leap_seconds(&self) -> bool {
        match &self.form {
            Form::Uncontrolled(clock) => clock.makes_leap_seconds(),
            Form::Adjusted(clock) => clock.makes_leap_seconds(),
        }
    }
}
