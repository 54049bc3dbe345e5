//! How a daemon's clock is doing.

use core::net::IpAddr;

use crate::control::address::SourceAddress;
use crate::control::client;
use crate::control::edition::Edition;
use crate::control::fields::Fields;
use crate::control::packet::BadReply;
use crate::control::reply::Reply;
use crate::control::request::{Question, Request};
use crate::control::status::Status;
use crate::discipline::{Drift, Tracking};
use crate::wire::{LeapIndicator, ReferenceId};

/// Bytes of a `tracking` request, its padding included.
pub const TRACKING_REQUEST_LEN: usize = TRACKING_REPLY_LEN;
/// Bytes of the reply.
pub const TRACKING_REPLY_LEN: usize = 104;

/// The bytes that ask for a [`TrackingReport`].
///
/// `sequence` is to be chosen at random for each try, `attempt` counts the tries from 0.
pub fn tracking_request(sequence: u32, attempt: u16) -> [u8; TRACKING_REQUEST_LEN] {
    let packet = client::encode(&TRACKING, Edition::NEWEST, sequence, attempt);
    packet
        .and_then(|packet| packet.try_into().ok())
        .expect("the request has no data to go wrong, and one length")
}

const TRACKING: Request = Request::Ask(Question::Tracking);

/// How a daemon's clock is doing: chronyc's `tracking`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
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
    /// Seconds the system clock is still behind NTP time: positive when slow. chrony's sign too.
    pub current_correction_s: f64,
    /// Seconds of offset found at the last update: positive when slow; chrony's is the other.
    pub last_offset_s: f64,
    /// Seconds, the long-term average of the offset. Has no sign.
    pub rms_offset_s: f64,
    /// Parts per million by which the clock would be fast if nobody corrected it; negative: slow. chrony's sign too.
    pub frequency_ppm: f64,
    /// Parts per million that the last update would have the clock run faster than it was made to; chrony's sign is
    /// the other.
    pub residual_frequency_ppm: f64,
    /// Parts per million of doubt about the frequency. Has no sign.
    pub skew_ppm: f64,
    /// Seconds of round trip to the stratum-1 source.
    pub root_delay_s: f64,
    /// Seconds of dispersion accumulated from the stratum-1 source, as of this reply.
    pub root_dispersion_s: f64,
    /// Seconds between the last two updates.
    pub last_update_interval_s: f64,
}

impl TrackingReport {
    /// With the figures of the last update of our clock, which runs faster by the fraction `frequency` than it would
    /// by itself. The root dispersion is that of the update; what it has grown since is the caller's to add.
    #[must_use]
    pub fn with_update(self, update: &Tracking, frequency: f64) -> Self {
        let drift = Drift::of_clock(frequency, update.skew);
        Self {
            last_offset_s: update.last_offset_s,
            rms_offset_s: update.rms_offset_s,
            frequency_ppm: drift.frequency_ppm,
            residual_frequency_ppm: update.residual_frequency * PPM,
            skew_ppm: drift.skew_ppm,
            root_delay_s: update.root_delay_s,
            root_dispersion_s: update.root_dispersion_s,
            last_update_interval_s: update.update_interval_s,
            ..self
        }
    }

    /// Reads the reply to [`tracking_request`] with this `sequence`. What follows the report is ignored.
    ///
    /// # Errors
    /// [`BadReply`], whose [`Unasked`](BadReply::Unasked) means: wait on.
    pub fn parse(packet: &[u8], sequence: u32) -> Result<Self, BadReply> {
        match client::decode(packet, &TRACKING, sequence)? {
            Reply::Tracking(report) => Ok(report),
            other => Err(BadReply::Kind(other.code(Edition::NEWEST))),
        }
    }

    /// Writes the reply to a request that carried `sequence`.
    ///
    /// # Errors
    /// The nanoseconds of the reference time are a second or more.
    pub fn emit(&self, sequence: u32) -> Result<[u8; TRACKING_REPLY_LEN], Status> {
        let reply = Reply::Tracking(*self);
        let packet = reply.emit(TRACKING.code(Edition::NEWEST), sequence, Edition::NEWEST)?;
        packet.try_into().map_err(|_| Status::BadLength)
    }

    /// Whether the daemon says that its clock can be trusted.
    pub fn is_synchronised(&self) -> bool {
        self.leap != LeapIndicator::NotSynchronised && self.stratum != 0
    }

    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let mut id = self.reference_id.to_bytes();
        fields.octets(&mut id)?;
        self.reference_id = ReferenceId::from_bytes(id);
        let mut address = SourceAddress::from(self.address);
        address.layout(fields)?;
        self.address = address.ip();
        fields.narrow(&mut self.stratum)?;
        fields.place(&mut self.leap, &LEAPS)?;
        fields.moment(&mut self.reference_time)?;
        fields.float(&mut self.current_correction_s)?;
        fields.opposite(&mut self.last_offset_s)?;
        fields.float(&mut self.rms_offset_s)?;
        fields.float(&mut self.frequency_ppm)?;
        fields.opposite(&mut self.residual_frequency_ppm)?;
        fields.float(&mut self.skew_ppm)?;
        fields.float(&mut self.root_delay_s)?;
        fields.float(&mut self.root_dispersion_s)?;
        fields.float(&mut self.last_update_interval_s)
    }
}

/// By their numbers.
const LEAPS: [LeapIndicator; 4] = [
    LeapIndicator::NoWarning,
    LeapIndicator::InsertSecond,
    LeapIndicator::DeleteSecond,
    LeapIndicator::NotSynchronised,
];
/// Parts per million in one.
const PPM: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{REPLY_HEADER_LEN, float};
    use proptest::prelude::*;

    const ADDRESS: usize = REPLY_HEADER_LEN + 4;
    const STRATUM: usize = REPLY_HEADER_LEN + 24;
    const LEAP: usize = REPLY_HEADER_LEN + 26;

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

    fn emitted(report: &TrackingReport, sequence: u32) -> [u8; TRACKING_REPLY_LEN] {
        report.emit(sequence).expect("a good report")
    }

    #[test]
    fn fields_out_of_range_are_malformed() {
        let good = emitted(&report(None, [0.0; 9]), 1);
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
        let late = TrackingReport {
            reference_time: (0, 1_000_000_000),
            ..report(None, [0.0; 9])
        };
        assert_eq!(late.emit(1), Err(Status::InvalidTime));
    }

    #[test]
    fn a_longer_reply_and_another_sequence() {
        let mut packet = emitted(&report(None, [0.5; 9]), 1).to_vec();
        packet.extend([0xee; 40]);
        assert!(TrackingReport::parse(&packet, 1).is_ok());
        assert_eq!(TrackingReport::parse(&packet, 2), Err(BadReply::Unasked));
    }

    #[test]
    fn chronys_signs() {
        let packet = emitted(&report(None, [1.0; 9]), 1);
        for (at, value) in [1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
            .into_iter()
            .enumerate()
        {
            let start = 68 + 4 * at;
            assert_eq!(packet[start..start + 4], float::emit(value), "float {at}");
        }
    }

    #[test]
    fn an_update_in_parts_per_million() {
        let update = Tracking {
            updated: None,
            last_offset_s: 0.25,
            offset_sd_s: 1e-3,
            rms_offset_s: 0.5,
            residual_frequency: 2e-6,
            skew: 3e-6,
            update_interval_s: 64.0,
            root_delay_s: 0.125,
            root_dispersion_s: 0.0625,
        };
        let report = TrackingReport::default().with_update(&update, 1e-4);
        // Made to run faster by 100 ppm, it would be slow by as much.
        assert!((report.frequency_ppm + 100.0).abs() < 0.02);
        assert!((report.skew_ppm - 3.0).abs() < 1e-3);
        assert!((report.residual_frequency_ppm - 2.0).abs() < 1e-9);
        let seconds = (
            report.last_offset_s,
            report.rms_offset_s,
            report.last_update_interval_s,
        );
        assert_eq!(seconds, (0.25, 0.5, 64.0));
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
            prop_assert_eq!(TrackingReport::parse(&emitted(&report, 77), 77), Ok(report));
        }

        #[test]
        fn bytes_written_again_read_the_same(mut packet in prop::collection::vec(any::<u8>(), 104)) {
            packet[..REPLY_HEADER_LEN].copy_from_slice(&emitted(&report(None, [0.0; 9]), 5)[..REPLY_HEADER_LEN]);
            if let Ok(report) = TrackingReport::parse(&packet, 5) {
                prop_assert_eq!(TrackingReport::parse(&emitted(&report, 5), 5), Ok(report));
            }
        }
    }
}
