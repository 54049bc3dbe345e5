//! measurements.log: what a packet of a source has shown.

use super::{Entry, Log, SourceName, leap_letter, seconds};
use crate::client::{Exponent, Measurement};
use crate::wire::ReferenceId;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasurementEntry<'a> {
    /// Who sent it.
    pub source: SourceName,
    /// What it said, and what was made of it.
    pub measurement: &'a Measurement,
}

impl Entry for MeasurementEntry<'_> {
    const LOG: Log = Log {
        at: 0,
        name: "measurements",
        banner: "   Date (UTC) Time     IP Address   L St 123 567 ABCD  LP RP Score    Offset  Peer del. Peer disp.  \
                 Root del. Root disp. Refid     MTxRx",
    };

    /// The offset is positive where our clock is slow, as ours are. Root delay and dispersion are what the source says
    /// of them, without the way to it.
    fn line(&self, now_unix_s: i64) -> String {
        let Measurement {
            reference_id,
            transmit_source,
            receive_source,
            peer_delay_s,
            peer_dispersion_s,
            ..
        } = *self.measurement;
        let seen = self.measurement;
        let mode = if seen.is_interleaved { 'I' } else { 'B' };
        format!(
            "{} {:<15} {} {:2} {}  {:2} {:2} {:4.2} {:10.3} {:10.3} {:10.3} {:10.3} {:10.3} {:08X} {}{mode} {} {}",
            seconds(seen.at, now_unix_s),
            self.source,
            leap_letter(seen.leap),
            seen.stratum,
            seen.tests,
            seen.poll,
            seen.remote_poll,
            seen.score,
            Exponent(seen.offset_s),
            Exponent(peer_delay_s),
            Exponent(peer_dispersion_s),
            Exponent(seen.root_delay_s - peer_delay_s),
            Exponent(seen.root_dispersion_s - peer_dispersion_s),
            bits(reference_id),
            seen.mode as u8,
            transmit_source.letter(),
            receive_source.letter(),
        )
    }

    fn is_wanted(&self, is_raw: bool) -> bool {
        is_raw || self.measurement.tests.is_synchronised()
    }
}

const fn bits(id: ReferenceId) -> u32 {
    u32::from_be_bytes(id.to_bytes())
}
