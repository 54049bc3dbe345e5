//! The 48-byte header (RFC 5905 §7.3), as views over its bytes.
//!
//! Reading and writing go through borrowed arrays of exactly [`HEADER_LEN`] bytes, so no accessor can
//! fail or panic. NTPv1 to v4 share this layout.

use core::fmt;

use super::{NtpShort, NtpTimestamp};

/// Bytes of the header.
pub const HEADER_LEN: usize = 48;
/// The oldest version whose requests have this layout.
pub const VERSION_MIN: u8 = 1;
/// The newest version spoken here.
pub const VERSION_MAX: u8 = 4;

const STRATUM: usize = 1;
const POLL: usize = 2;
const PRECISION: usize = 3;
const ROOT_DELAY: usize = 4;
const ROOT_DISPERSION: usize = 8;
const REFERENCE_ID: usize = 12;
const REFERENCE_TIMESTAMP: usize = 16;
const ORIGIN_TIMESTAMP: usize = 24;
const RECEIVE_TIMESTAMP: usize = 32;
const TRANSMIT_TIMESTAMP: usize = 40;

/// Warning of a leap second at the end of the day (RFC 5905 §7.3, figure 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LeapIndicator {
    /// No warning.
    #[default]
    NoWarning = 0,
    /// The last minute of the day has 61 seconds.
    InsertSecond = 1,
    /// The last minute of the day has 59 seconds.
    DeleteSecond = 2,
    /// The clock is not synchronised.
    NotSynchronised = 3,
}

impl LeapIndicator {
    /// From the low two bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NoWarning,
            1 => Self::InsertSecond,
            2 => Self::DeleteSecond,
            _ => Self::NotSynchronised,
        }
    }
}

/// Association mode (RFC 5905 §7.3, figure 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// 0: NTPv1 clients leave it so.
    #[default]
    Reserved = 0,
    /// 1
    SymmetricActive = 1,
    /// 2
    SymmetricPassive = 2,
    /// 3
    Client = 3,
    /// 4
    Server = 4,
    /// 5
    Broadcast = 5,
    /// 6: `ntpq`
    Control = 6,
    /// 7: `ntpdc`
    Private = 7,
}

impl Mode {
    /// From the low three bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Reserved,
            1 => Self::SymmetricActive,
            2 => Self::SymmetricPassive,
            3 => Self::Client,
            4 => Self::Server,
            5 => Self::Broadcast,
            6 => Self::Control,
            _ => Self::Private,
        }
    }
}

/// What a server is synchronised to: an IPv4 address, four letters, or 32 bits of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ReferenceId([u8; 4]);

impl ReferenceId {
    /// Nothing: not synchronised.
    pub const NONE: Self = Self([0; 4]);
    /// 127.127.1.1: the local reference of ntpd and chrony.
    pub const LOCAL: Self = Self([127, 127, 1, 1]);

    /// 127.127.1.255: chrony's for served time that differs from the clock while it is smoothed.
    pub const SMOOTHED: Self = Self([127, 127, 1, 255]);

    /// From the four bytes as they stand in the packet.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes as they stand in the packet.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for ReferenceId {
    /// As chronyc shows it: eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ReferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A header that is read.
#[derive(Clone, Copy)]
pub struct HeaderView<'a>(&'a [u8; HEADER_LEN]);

impl<'a> HeaderView<'a> {
    /// Over exactly these bytes.
    pub const fn new(bytes: &'a [u8; HEADER_LEN]) -> Self {
        Self(bytes)
    }

    /// The header at the front of `packet`, if it is that long.
    pub fn at_front(packet: &'a [u8]) -> Option<Self> {
        packet.first_chunk().map(Self)
    }

    /// Warning of a leap second.
    pub const fn leap(self) -> LeapIndicator {
        LeapIndicator::from_bits(self.0[0] >> 6)
    }

    /// Version number, 0 to 7.
    pub const fn version(self) -> u8 {
        self.0[0] >> 3 & 7
    }

    /// Association mode.
    pub const fn mode(self) -> Mode {
        Mode::from_bits(self.0[0])
    }

    /// Distance from the reference clock; 0 is unspecified, or a kiss.
    pub const fn stratum(self) -> u8 {
        self.0[STRATUM]
    }

    /// log2 of the poll interval in seconds.
    pub const fn poll(self) -> i8 {
        self.0[POLL].cast_signed()
    }

    /// log2 of the clock's precision in seconds.
    pub const fn precision(self) -> i8 {
        self.0[PRECISION].cast_signed()
    }

    /// Round trip to the reference clock.
    pub fn root_delay(self) -> NtpShort {
        NtpShort::from_bits(u32::from_be_bytes(self.field::<ROOT_DELAY, 4>()))
    }

    /// Largest error against the reference clock, without the delay's half.
    pub fn root_dispersion(self) -> NtpShort {
        NtpShort::from_bits(u32::from_be_bytes(self.field::<ROOT_DISPERSION, 4>()))
    }

    /// What the sender is synchronised to, or a kiss code.
    pub fn reference_id(self) -> ReferenceId {
        ReferenceId::from_bytes(self.field::<REFERENCE_ID, 4>())
    }

    /// When the sender's clock was last set.
    pub fn reference_timestamp(self) -> NtpTimestamp {
        NtpTimestamp::from_be_bytes(self.field::<REFERENCE_TIMESTAMP, 8>())
    }

    /// T1 in a reply: what the request said of its departure.
    pub fn origin_timestamp(self) -> NtpTimestamp {
        NtpTimestamp::from_be_bytes(self.field::<ORIGIN_TIMESTAMP, 8>())
    }

    /// T2 in a reply: when the request arrived.
    pub fn receive_timestamp(self) -> NtpTimestamp {
        NtpTimestamp::from_be_bytes(self.field::<RECEIVE_TIMESTAMP, 8>())
    }

    /// T3 in a reply, T1 in a request: when this packet left.
    pub fn transmit_timestamp(self) -> NtpTimestamp {
        NtpTimestamp::from_be_bytes(self.field::<TRANSMIT_TIMESTAMP, 8>())
    }

    fn field<const AT: usize, const LEN: usize>(self) -> [u8; LEN] {
        const { assert!(AT + LEN <= HEADER_LEN) };
        let mut field = [0; LEN];
        field.copy_from_slice(&self.0[AT..AT + LEN]);
        field
    }
}

/// A header that is written.
pub struct HeaderMut<'a>(&'a mut [u8; HEADER_LEN]);

impl<'a> HeaderMut<'a> {
    /// Over exactly these bytes.
    pub const fn new(bytes: &'a mut [u8; HEADER_LEN]) -> Self {
        Self(bytes)
    }

    /// Leap indicator, version (its low three bits) and mode: the first byte.
    pub const fn set_first(&mut self, leap: LeapIndicator, version: u8, mode: Mode) {
        self.0[0] = (leap as u8) << 6 | (version & 7) << 3 | mode as u8;
    }

    /// Distance from the reference clock.
    pub const fn set_stratum(&mut self, stratum: u8) {
        self.0[STRATUM] = stratum;
    }

    /// log2 of the poll interval in seconds.
    pub const fn set_poll(&mut self, poll: i8) {
        self.0[POLL] = poll.cast_unsigned();
    }

    /// log2 of the clock's precision in seconds.
    pub const fn set_precision(&mut self, precision: i8) {
        self.0[PRECISION] = precision.cast_unsigned();
    }

    /// Round trip to the reference clock.
    pub fn set_root_delay(&mut self, delay: NtpShort) {
        self.set_field::<ROOT_DELAY, 4>(delay.to_bits().to_be_bytes());
    }

    /// Largest error against the reference clock.
    pub fn set_root_dispersion(&mut self, dispersion: NtpShort) {
        self.set_field::<ROOT_DISPERSION, 4>(dispersion.to_bits().to_be_bytes());
    }

    /// What we are synchronised to, or a kiss code.
    pub fn set_reference_id(&mut self, id: ReferenceId) {
        self.set_field::<REFERENCE_ID, 4>(id.to_bytes());
    }

    /// When our clock was last set.
    pub fn set_reference_timestamp(&mut self, at: NtpTimestamp) {
        self.set_field::<REFERENCE_TIMESTAMP, 8>(at.to_be_bytes());
    }

    /// T1 in a reply.
    pub fn set_origin_timestamp(&mut self, at: NtpTimestamp) {
        self.set_field::<ORIGIN_TIMESTAMP, 8>(at.to_be_bytes());
    }

    /// T2 in a reply.
    pub fn set_receive_timestamp(&mut self, at: NtpTimestamp) {
        self.set_field::<RECEIVE_TIMESTAMP, 8>(at.to_be_bytes());
    }

    /// T3 in a reply.
    pub fn set_transmit_timestamp(&mut self, at: NtpTimestamp) {
        self.set_field::<TRANSMIT_TIMESTAMP, 8>(at.to_be_bytes());
    }

    fn set_field<const AT: usize, const LEN: usize>(&mut self, field: [u8; LEN]) {
        const { assert!(AT + LEN <= HEADER_LEN) };
        self.0[AT..AT + LEN].copy_from_slice(&field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn s7_3_first_byte() {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 0x23; // coreSNTP's request: LI 0, version 4, mode 3
        let header = HeaderView::new(&bytes);
        assert_eq!(header.leap(), LeapIndicator::NoWarning);
        assert_eq!(header.version(), 4);
        assert_eq!(header.mode(), Mode::Client);
        HeaderMut::new(&mut bytes).set_first(LeapIndicator::NotSynchronised, 3, Mode::Server);
        assert_eq!(bytes[0], 0xdc);
    }

    proptest! {
        #[test]
        fn what_is_set_is_read(
            stratum: u8, poll: i8, precision: i8, delay: u32, dispersion: u32, id: [u8; 4], at: [u64; 4],
        ) {
            let mut bytes = [0; HEADER_LEN];
            let mut header = HeaderMut::new(&mut bytes);
            header.set_stratum(stratum);
            header.set_poll(poll);
            header.set_precision(precision);
            header.set_root_delay(NtpShort::from_bits(delay));
            header.set_root_dispersion(NtpShort::from_bits(dispersion));
            header.set_reference_id(ReferenceId::from_bytes(id));
            header.set_reference_timestamp(NtpTimestamp::from_bits(at[0]));
            header.set_origin_timestamp(NtpTimestamp::from_bits(at[1]));
            header.set_receive_timestamp(NtpTimestamp::from_bits(at[2]));
            header.set_transmit_timestamp(NtpTimestamp::from_bits(at[3]));
            let header = HeaderView::new(&bytes);
            prop_assert_eq!(header.stratum(), stratum);
            prop_assert_eq!(header.poll(), poll);
            prop_assert_eq!(header.precision(), precision);
            prop_assert_eq!(header.root_delay().to_bits(), delay);
            prop_assert_eq!(header.root_dispersion().to_bits(), dispersion);
            prop_assert_eq!(header.reference_id().to_bytes(), id);
            prop_assert_eq!(header.reference_timestamp().to_bits(), at[0]);
            prop_assert_eq!(header.origin_timestamp().to_bits(), at[1]);
            prop_assert_eq!(header.receive_timestamp().to_bits(), at[2]);
            prop_assert_eq!(header.transmit_timestamp().to_bits(), at[3]);
        }
    }
}
