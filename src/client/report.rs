//! What is shown of an association: its last exchange (`ntpdata` in chronyc(1), measurements.log), and counts.

use super::sanity::Tests;
use super::stamp::StampSource;
use crate::wire::{CookedTime, LeapIndicator, Mode, NtpTimestamp, ReferenceId};

/// What one reply said, and what was made of it. The addresses are with whoever owns the socket.
///
/// Of a reply that is not valid only what it said is here; offset, delay and dispersion are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Halfway between the request's departure and the reply's arrival; the arrival, of a reply that is not valid.
    pub at: CookedTime,
    /// Which tests it passed.
    pub tests: Tests,
    /// What the source says of the leap second.
    pub leap: LeapIndicator,
    /// Of the reply.
    pub version: u8,
    /// Of the reply.
    pub mode: Mode,
    /// The source's.
    pub stratum: u8,
    /// Ours, log2 of seconds.
    pub poll: i8,
    /// The source's, log2 of seconds.
    pub remote_poll: i8,
    /// The poll interval's score, before this reply.
    pub score: f64,
    /// Of the source's clock, log2 of seconds.
    pub precision: i8,
    /// What the source says of its way to the reference clock, with ours to it.
    pub root_delay_s: f64,
    /// The same of its error.
    pub root_dispersion_s: f64,
    /// What the source is synchronised to.
    pub reference_id: ReferenceId,
    /// When the source's clock was last set.
    pub reference_timestamp: NtpTimestamp,
    /// By how much the source is ahead of us.
    pub offset_s: f64,
    /// There and back.
    pub peer_delay_s: f64,
    /// How wrong the clocks' readings may be.
    pub peer_dispersion_s: f64,
    /// How long the source held the request.
    pub response_time_s: f64,
    /// Of the path's jitter, as the samples so far have shown it.
    pub jitter_asymmetry: f64,
    /// Whether the reply is in interleaved mode.
    pub is_interleaved: bool,
    /// Whether it has the MAC that was asked for.
    pub is_authenticated: bool,
    /// Who noted the departure that was used.
    pub transmit_source: StampSource,
    /// Who noted the arrival that was used.
    pub receive_source: StampSource,
}

/// Packets to and from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests.
    pub sent: u64,
    /// Packets that might be replies.
    pub received: u64,
    /// Those that passed tests 1, 2, 3, 5.
    pub valid: u64,
    /// Those that passed all.
    pub good: u64,
    /// Departures that the kernel noted.
    pub kernel_sent: u64,
    /// Arrivals that the kernel noted.
    pub kernel_received: u64,
    /// Departures that the network card noted.
    pub hardware_sent: u64,
    /// Arrivals that the network card noted.
    pub hardware_received: u64,
}

impl Counts {
    pub(super) const fn departed(&mut self, source: StampSource) {
        match source {
            StampSource::Daemon => {}
            StampSource::Kernel => self.kernel_sent += 1,
            StampSource::Hardware => self.hardware_sent += 1,
        }
    }

    pub(super) const fn arrived(&mut self, source: StampSource) {
        self.received += 1;
        match source {
            StampSource::Daemon => {}
            StampSource::Kernel => self.kernel_received += 1,
            StampSource::Hardware => self.hardware_received += 1,
        }
    }
}
