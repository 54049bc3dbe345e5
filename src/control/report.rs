//! What chronyc's reports say: structs of numbers with their units, and their bytes.

use std::net::IpAddr;

use super::float;
use super::packet::{
    BadReply, Command, REPLY_HEADER_LEN, Reply, ReplyHeader, RequestHeader, Status, emit_address,
    emit_moment, parse_address, parse_moment,
};
use crate::wire::{LeapIndicator, ReferenceId};

/// Bytes of a `tracking` request, its padding included.
pub const TRACKING_REQUEST_LEN: usize = TRACKING_REPLY_LEN;
/// Bytes of the reply.
pub const TRACKING_REPLY_LEN: usize = 104;

/// The bytes that ask for a [`TrackingReport`].
///
/// `sequence` is to be chosen at random for each try, `attempt` counts the tries from 0.
pub fn tracking_request(sequence: u32, attempt: u16) -> [u8; TRACKING_REQUEST_LEN] {
    let command = Command::Tracking as u16;
    let header = RequestHeader {
        command,
        attempt,
        sequence,
    };
    header.emit()
}

/// How a daemon's clock is doing: chronyc's `tracking`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackingReport {
    /// What it is synchronised to, as its replies say it; zero when it is not.
    pub reference_id: ReferenceId,
    /// The source's address; `None` for a reference clock, `local`, and when not synchronised.
    pub address: Option<IpAddr>,
    /// Its stratum, as its replies say it; 0 when not synchronised.
    pub stratum: u8,
    /// The leap second it announces, or that it is not synchronised.
    pub leap: LeapIndicator,
    /// When its clock was last updated: seconds and nanoseconds since the Unix epoch, in its own time.
    pub reference_time: (i64, u32),
    /// Seconds the system clock is still behind NTP time: positive when slow.
    pub current_correction_s: f64,
    /// Seconds of offset found at the last update.
    pub last_offset_s: f64,
    /// Seconds, the long-term average of the offset.
    pub rms_offset_s: f64,
    /// Parts per million by which the clock would be fast if nobody corrected it; negative: slow.
    pub frequency_ppm: f64,
    /// Parts per million between the frequency in use and what the last update suggests.
    pub residual_frequency_ppm: f64,
    /// Parts per million of doubt about the frequency.
    pub skew_ppm: f64,
    /// Seconds of round trip to the stratum-1 source.
    pub root_delay_s: f64,
    /// Seconds of dispersion accumulated from the stratum-1 source, as of this reply.
    pub root_dispersion_s: f64,
    /// Seconds between the last two updates.
    pub last_update_interval_s: f64,
}

impl TrackingReport {
    /// Reads the reply to [`tracking_request`] with this `sequence`. What follows the report is ignored.
    ///
    /// # Errors
    /// [`BadReply`], whose [`Unasked`](BadReply::Unasked) means: wait on.
    pub fn parse(packet: &[u8], sequence: u32) -> Result<Self, BadReply> {
        let header = ReplyHeader::parse(packet)?;
        header.answers(Command::Tracking, sequence, Reply::Tracking)?;
        let data: &[u8; TRACKING_REPLY_LEN] = packet.first_chunk().ok_or(BadReply::Malformed)?;
        let stratum = u16::from_be_bytes(field::<STRATUM, 2>(data));
        let leap = u16::from_be_bytes(field::<LEAP, 2>(data));
        let leap = u8::try_from(leap).ok().filter(|leap| *leap <= 3);
        Ok(Self {
            reference_id: ReferenceId::from_bytes(field::<REFERENCE_ID, 4>(data)),
            address: parse_address(field::<ADDRESS, _>(data))?,
            stratum: u8::try_from(stratum).map_err(|_| BadReply::Malformed)?,
            leap: LeapIndicator::from_bits(leap.ok_or(BadReply::Malformed)?),
            reference_time: parse_moment(field::<REFERENCE_TIME, _>(data))?,
            current_correction_s: float::parse(field::<{ FLOATS[0] }, 4>(data)),
            last_offset_s: float::parse(field::<{ FLOATS[1] }, 4>(data)),
            rms_offset_s: float::parse(field::<{ FLOATS[2] }, 4>(data)),
            frequency_ppm: float::parse(field::<{ FLOATS[3] }, 4>(data)),
            residual_frequency_ppm: float::parse(field::<{ FLOATS[4] }, 4>(data)),
            skew_ppm: float::parse(field::<{ FLOATS[5] }, 4>(data)),
            root_delay_s: float::parse(field::<{ FLOATS[6] }, 4>(data)),
            root_dispersion_s: float::parse(field::<{ FLOATS[7] }, 4>(data)),
            last_update_interval_s: float::parse(field::<{ FLOATS[8] }, 4>(data)),
        })
    }

    /// Writes the reply to a request that carried `sequence`.
    pub fn emit(&self, sequence: u32) -> [u8; TRACKING_REPLY_LEN] {
        let mut packet = [0; TRACKING_REPLY_LEN];
        let header = ReplyHeader {
            command: Command::Tracking as u16,
            reply: Reply::Tracking as u16,
            status: Status::Success,
            sequence,
        };
        let front = packet.first_chunk_mut::<REPLY_HEADER_LEN>();
        header.emit(front.expect("the reply is longer than its header"));
        let mut put = |at: usize, bytes: &[u8]| {
            packet[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(REFERENCE_ID, &self.reference_id.to_bytes());
        put(ADDRESS, &emit_address(self.address));
        put(STRATUM, &u16::from(self.stratum).to_be_bytes());
        put(LEAP, &(self.leap as u16).to_be_bytes());
        put(REFERENCE_TIME, &emit_moment(self.reference_time));
        let floats = [
            self.current_correction_s,
            self.last_offset_s,
            self.rms_offset_s,
            self.frequency_ppm,
            self.residual_frequency_ppm,
            self.skew_ppm,
            self.root_delay_s,
            self.root_dispersion_s,
            self.last_update_interval_s,
        ];
        for (at, value) in FLOATS.into_iter().zip(floats) {
            put(at, &float::emit(value));
        }
        packet
    }

    /// Whether the daemon says that its clock can be trusted.
    pub fn is_synchronised(&self) -> bool {
        self.leap != LeapIndicator::NotSynchronised && self.stratum != 0
    }
}

const REFERENCE_ID: usize = REPLY_HEADER_LEN;
const ADDRESS: usize = REPLY_HEADER_LEN + 4;
const STRATUM: usize = REPLY_HEADER_LEN + 24;
const LEAP: usize = REPLY_HEADER_LEN + 26;
const REFERENCE_TIME: usize = REPLY_HEADER_LEN + 28;
/// Where the nine floats stand, in the order of [`TrackingReport`]'s fields.
const FLOATS: [usize; 9] = [68, 72, 76, 80, 84, 88, 92, 96, 100];

fn field<const AT: usize, const LEN: usize>(packet: &[u8; TRACKING_REPLY_LEN]) -> [u8; LEN] {
    const { assert!(AT + LEN <= TRACKING_REPLY_LEN) };
    let mut field = [0; LEN];
    field.copy_from_slice(&packet[AT..AT + LEN]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(address: Option<IpAddr>, floats: [f64; 9]) -> TrackingReport {
        TrackingReport {
            reference_id: ReferenceId::from_bytes([192, 0, 2, 9]),
            address,
            stratum: 3,
            leap: LeapIndicator::InsertSecond,
            reference_time: (1_795_379_376, 411_417_049),
            current_correction_s: floats[0],
            last_offset_s: floats[1],
            rms_offset_s: floats[2],
            frequency_ppm: floats[3],
            residual_frequency_ppm: floats[4],
            skew_ppm: floats[5],
            root_delay_s: floats[6],
            root_dispersion_s: floats[7],
            last_update_interval_s: floats[8],
        }
    }

    #[test]
    fn fields_out_of_range_are_malformed() {
        let good = report(None, [0.0; 9]).emit(1);
        assert!(TrackingReport::parse(&good, 1).is_ok());
        for (at, value) in [(STRATUM, 1), (LEAP, 1), (LEAP + 1, 4), (ADDRESS + 16, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(TrackingReport::parse(&bad, 1), Err(BadReply::Malformed));
        }
        for length in REPLY_HEADER_LEN..good.len() {
            let cut = TrackingReport::parse(&good[..length], 1);
            assert_eq!(cut, Err(BadReply::Malformed));
        }
    }

    #[test]
    fn a_longer_reply_and_another_sequence() {
        let mut packet = report(None, [0.5; 9]).emit(1).to_vec();
        packet.extend([0xee; 40]);
        assert!(TrackingReport::parse(&packet, 1).is_ok());
        assert_eq!(TrackingReport::parse(&packet, 2), Err(BadReply::Unasked));
    }

    #[test]
    fn synchronised_is_a_stratum_and_no_alarm() {
        let mut report = report(None, [0.0; 9]);
        assert!(report.is_synchronised());
        report.stratum = 0;
        assert!(!report.is_synchronised());
        report.stratum = 3;
        report.leap = LeapIndicator::NotSynchronised;
        assert!(!report.is_synchronised());
    }

    proptest! {
        #[test]
        fn reports_come_back(octets: [u8; 16], v6: bool, floats in prop::array::uniform9(-1e6f64..1e6)) {
            let address = if v6 {
                IpAddr::from(octets)
            } else {
                IpAddr::from(*octets.first_chunk::<4>().unwrap())
            };
            let floats = floats.map(|value| float::parse(float::emit(value)));
            let report = report(Some(address), floats);
            prop_assert_eq!(TrackingReport::parse(&report.emit(77), 77), Ok(report));
        }

        #[test]
        fn bytes_written_again_read_the_same(mut packet in prop::collection::vec(any::<u8>(), 104)) {
            report(None, [0.0; 9]).emit(5)[..REPLY_HEADER_LEN].swap_with_slice(&mut packet[..REPLY_HEADER_LEN]);
            if let Ok(report) = TrackingReport::parse(&packet, 5) {
                prop_assert_eq!(TrackingReport::parse(&report.emit(5), 5), Ok(report));
            }
        }
    }
}
