//! `follow`: another program keeps the clock, and what it says of it becomes what we say of ourselves.

use std::io;

use super::control_socket::ControlSocket;
use crate::config::ChronydAddress;
use crate::control::{TRACKING_REPLY_LEN, TrackingReport, tracking_request};
use crate::sys::clock::KernelClock;
use crate::wire::{
    Correction, LeapIndicator, NtpDuration, NtpTimestamp, RawTime, ReferenceId, SystemVariables,
};

/// A chronyd that has not answered for this long has fallen silent.
const SILENCE_S: f64 = 10.0;
/// Requests sent and not answered before the socket is made anew: the daemon may have been restarted.
const RECONNECT_AFTER: u32 = 3;

/// A rate in parts per million, in the units of [`SystemVariables::dispersion_rate`].
pub(super) fn rate_from_ppm(ppm: f64) -> i64 {
    NtpDuration::from_seconds(ppm * 1e-6).to_bits()
}

/// `follow kernel`: the state of the kernel's clock, as whoever keeps it has set it.
#[derive(Clone, Debug)]
pub(super) struct FollowKernel {
    stratum: u8,
    reference_id: ReferenceId,
    dispersion_rate: i64,
    /// The largest error that the kernel told last, and the time at which it was last seen to shrink:
    /// it grows by itself and shrinks only when somebody sets the clock.
    max_error_us: i64,
    reference_timestamp: NtpTimestamp,
}

impl FollowKernel {
    /// Stratum and reference id are the configuration's: the kernel knows neither.
    pub(super) fn new(stratum: u8, reference_id: ReferenceId, max_clock_error_ppm: f64) -> Self {
        Self {
            stratum,
            reference_id,
            dispersion_rate: rate_from_ppm(max_clock_error_ppm),
            max_error_us: i64::MAX,
            reference_timestamp: NtpTimestamp::ZERO,
        }
    }

    /// What the kernel's state, read at `now`, makes of us.
    pub(super) fn variables(
        &mut self,
        kernel: KernelClock,
        now: RawTime,
        precision: i8,
    ) -> SystemVariables {
        if kernel.max_error_us < self.max_error_us {
            self.reference_timestamp = now.0;
        }
        self.max_error_us = kernel.max_error_us;
        if !kernel.synchronised {
            self.max_error_us = i64::MAX;
            return SystemVariables::not_synchronised(precision);
        }
        SystemVariables {
            leap: match kernel.leap {
                1 => LeapIndicator::InsertSecond,
                -1 => LeapIndicator::DeleteSecond,
                _ => LeapIndicator::NoWarning,
            },
            stratum: self.stratum,
            precision,
            reference_id: self.reference_id,
            reference_timestamp: self.reference_timestamp,
            // The largest error already holds half the delay to the reference.
            root_delay: NtpDuration::ZERO,
            root_dispersion: NtpDuration::from_nanos(kernel.max_error_us.saturating_mul(1000)),
            dispersion_rate: self.dispersion_rate,
            updated: now,
            correction: Correction::default(),
        }
    }
}

/// `follow chronyd`: asks it for `tracking`, once a tick.
#[derive(Debug)]
pub(super) struct FollowChronyd {
    address: ChronydAddress,
    socket: Option<ControlSocket>,
    sequence: u32,
    unanswered: u32,
    max_clock_error_ppm: f64,
    asked: RawTime,
    last: Option<Tracking>,
}

/// A report, and when it came.
#[derive(Clone, Debug)]
struct Tracking {
    report: TrackingReport,
    at: RawTime,
    correction: Correction,
}

impl FollowChronyd {
    /// `sequence` is where the requests' numbers start; nobody should be able to guess it.
    pub(super) const fn new(
        address: ChronydAddress,
        sequence: u32,
        max_clock_error_ppm: f64,
    ) -> Self {
        Self {
            address,
            socket: None,
            sequence,
            unanswered: 0,
            max_clock_error_ppm,
            asked: RawTime(NtpTimestamp::ZERO),
            last: None,
        }
    }

    /// Sends the next request. Where that fails, the next tick tries again with a new socket.
    ///
    /// # Errors
    /// Why chronyd cannot be asked.
    pub(super) fn ask(&mut self, now: RawTime) -> io::Result<()> {
        // An answer that took longer than it was waited for is taken before it is asked again.
        self.receive();
        if self.unanswered >= RECONNECT_AFTER {
            self.socket = None;
        }
        let socket = match &self.socket {
            Some(socket) => socket,
            None => {
                let made = ControlSocket::connect(&self.address)?;
                made.set_nonblocking()?;
                self.socket.insert(made)
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.asked = now;
        self.unanswered = self.unanswered.saturating_add(1);
        socket
            .send(&tracking_request(self.sequence, 0))
            .inspect_err(|_| self.unanswered = RECONNECT_AFTER)
    }

    /// Takes the answers that have come.
    pub(super) fn receive(&mut self) {
        let mut reply = [0; 2 * TRACKING_REPLY_LEN];
        while let Some(socket) = &self.socket
            && let Ok(len) = socket.receive(&mut reply)
        {
            if let Ok(report) = TrackingReport::parse(&reply[..len], self.sequence) {
                // chronyd answers at once: the report is of the moment it was asked, not of the moment the
                // answer is read.
                self.take(report, self.asked);
            }
        }
    }

    /// What the last report makes of us at `now`.
    pub(super) fn variables(&self, now: RawTime, precision: i8) -> SystemVariables {
        let nothing = SystemVariables::not_synchronised(precision);
        let Some(Tracking {
            report,
            at,
            correction,
        }) = &self.last
        else {
            return nothing;
        };
        let silent_s = (now.0 - at.0).to_seconds();
        if !report.is_synchronised() || !(-SILENCE_S..SILENCE_S).contains(&silent_s) {
            return nothing;
        }
        let (secs, nanos) = report.reference_time;
        let rate_ppm =
            report.residual_frequency_ppm.abs() + report.skew_ppm.abs() + self.max_clock_error_ppm;
        SystemVariables {
            leap: report.leap,
            stratum: report.stratum,
            precision,
            reference_id: report.reference_id,
            reference_timestamp: NtpTimestamp::from_unix(secs, nanos),
            root_delay: NtpDuration::from_seconds(report.root_delay_s),
            root_dispersion: NtpDuration::from_seconds(report.root_dispersion_s),
            dispersion_rate: rate_from_ppm(rate_ppm),
            updated: *at,
            correction: *correction,
        }
    }

    fn take(&mut self, report: TrackingReport, now: RawTime) {
        self.unanswered = 0;
        let offset_s = report.current_correction_s;
        let slope = self.last.as_ref().map_or(0.0, |last| {
            slewing(
                last.report.current_correction_s,
                offset_s,
                (now.0 - last.at.0).to_seconds(),
            )
        });
        let correction = Correction {
            epoch: now,
            offset: NtpDuration::from_seconds(offset_s),
            slope: NtpDuration::from_seconds(slope).to_bits(),
        };
        self.last = Some(Tracking {
            report,
            at: now,
            correction,
        });
    }
}

/// How fast a correction that was `before` and is `after` is being slewed in, in seconds per second.
///
/// chronyd does not tell its slew; two reports show it. Only a correction that shrinks towards zero is
/// one that is being slewed in, and it will not go beyond zero before the next report.
fn slewing(before_s: f64, after_s: f64, elapsed_s: f64) -> f64 {
    let shrinking = before_s.signum() * after_s.signum() > 0.0 && after_s.abs() < before_s.abs();
    if !shrinking || !(0.1..=SILENCE_S).contains(&elapsed_s) {
        return 0.0;
    }
    let rate = (after_s - before_s) / elapsed_s;
    let most = after_s.abs() / elapsed_s;
    rate.clamp(-most, most)
}

#[cfg(test)]
mod tests;
