//! Reports about clocks that are read by hand, by a battery, or by those we serve.

use crate::control::fields::Fields;
use crate::control::status::Status;

/// chronyc's `rtcdata`: the real-time clock against the system's.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct RtcReport {
    /// When it was read last, by the system's clock: seconds since the Unix epoch and nanoseconds.
    pub reference_time: (i64, u32),
    /// Readings in the line.
    pub samples: u16,
    /// Runs of residuals of one sign.
    pub runs: u16,
    /// Seconds from the oldest to the newest.
    pub span_s: u32,
    /// Seconds by which the real-time clock was ahead of the system's at that time. chrony's sign too.
    pub fast_s: f64,
    /// Parts per million by which it gains on the system's clock. chrony's sign too.
    pub gain_ppm: f64,
}

impl RtcReport {
    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        fields.moment(&mut self.reference_time)?;
        fields.u16(&mut self.samples)?;
        fields.u16(&mut self.runs)?;
        fields.u32(&mut self.span_s)?;
        fields.float(&mut self.fast_s)?;
        fields.float(&mut self.gain_ppm)
    }
}

/// chronyc's `smoothing`: by what served time differs from the clock (`smoothtime`).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct SmoothingReport {
    /// Whether served time is smoothed now.
    pub is_active: bool,
    /// Whether only leap seconds are smoothed.
    pub leap_only: bool,
    /// Seconds by which served time is ahead of the clock. chrony's sign too.
    pub offset_s: f64,
    /// Parts per million by which it runs faster. chrony's sign too.
    pub frequency_ppm: f64,
    /// Parts per million by which that grows in a second. chrony's sign too.
    pub wander_ppm: f64,
    /// Seconds since something was added to what is to be smoothed.
    pub last_update_age_s: f64,
    /// Seconds until nothing is left.
    pub remaining_s: f64,
}

impl SmoothingReport {
    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let mut flags = u32::from(self.is_active) | u32::from(self.leap_only) << 1;
        fields.u32(&mut flags)?;
        self.is_active = flags & 1 != 0;
        self.leap_only = flags & 2 != 0;
        fields.float(&mut self.offset_s)?;
        fields.float(&mut self.frequency_ppm)?;
        fields.float(&mut self.wander_ppm)?;
        fields.float(&mut self.last_update_age_s)?;
        fields.float(&mut self.remaining_s)
    }
}

/// One line of chronyc's `manual list`: a time that somebody has entered.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ManualSample {
    /// When it was entered: seconds since the Unix epoch and nanoseconds.
    pub at: (i64, u32),
    /// Seconds by which it was ahead of our clock, with what that was changed by since; chrony's sign is the other.
    pub slewed_offset_s: f64,
    /// The same as it was found; chrony's sign is the other.
    pub original_offset_s: f64,
    /// Seconds from the line through all of them; chrony's sign is the other.
    pub residual_s: f64,
}

/// The most samples in a reply, and that chronyd keeps.
pub(in crate::control) const MANUAL_SAMPLES_MAX: usize = 16;

impl ManualSample {
    /// A number of samples, then room for all there can be.
    pub(in crate::control) fn layout_all(
        samples: &mut Vec<Self>,
        fields: &mut impl Fields,
    ) -> Result<(), Status> {
        samples.truncate(MANUAL_SAMPLES_MAX);
        let mut count = u32::try_from(samples.len()).map_err(|_| Status::Invalid)?;
        fields.u32(&mut count)?;
        samples.resize(MANUAL_SAMPLES_MAX, Self::default());
        for sample in &mut *samples {
            fields.moment(&mut sample.at)?;
            fields.opposite(&mut sample.slewed_offset_s)?;
            fields.opposite(&mut sample.original_offset_s)?;
            fields.opposite(&mut sample.residual_s)?;
        }
        let count = usize::try_from(count).map_err(|_| Status::Invalid)?;
        samples.truncate(count);
        Ok(())
    }
}

/// What `settime` has come to.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ManualTimestamp {
    /// Seconds by which the entered time was ahead of our clock; chrony's sign is the other.
    pub offset_s: f64,
    /// Parts per million by which the clock's own frequency is more than was thought. chrony's sign too.
    pub frequency_change_ppm: f64,
    /// The clock's own frequency, as in `tracking`: positive where it gains. chrony's sign too.
    pub new_frequency_ppm: f64,
}

impl ManualTimestamp {
    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        fields.opposite(&mut self.offset_s)?;
        fields.float(&mut self.frequency_change_ppm)?;
        fields.float(&mut self.new_frequency_ppm)
    }
}
