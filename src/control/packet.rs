//! Frames of chronyc's protocol, version 6, and the types its messages are made of.
//!
//! Everything is big-endian, without holes:
//!
//! ```text
//! request: version 6 | type 1 | 0 0 | command u16 | attempt u16 | sequence u32 | 0 × 8 | data | padding
//! reply:   version 6 | type 2 | 0 0 | command u16 | reply u16 | status u16 | 0 × 6 | sequence u32 | 0 × 8 | data
//! ```
//!
//! A request is padded with zeros to the length of the longest reply it can get, so that no reply is
//! longer than its request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// The version of the protocol; the only one spoken here.
pub const PROTOCOL_VERSION: u8 = 6;
/// Bytes of a request before its data.
pub const REQUEST_HEADER_LEN: usize = 20;
/// Bytes of a reply before its data.
pub const REPLY_HEADER_LEN: usize = 28;

const TYPE_REQUEST: u8 = 1;
const TYPE_REPLY: u8 = 2;
/// Upper half of the seconds where the sender knows the lower 32 bits only.
const SECONDS_HIGH_UNKNOWN: u32 = 0x7fff_ffff;
const NANOS_PER_S: u32 = 1_000_000_000;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// How the daemon's clock is doing.
    Tracking = 33,
}

/// What data a reply carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A [`TrackingReport`](super::TrackingReport).
    Tracking = 5,
}

/// How the daemon took a request; the protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0: done.
    Success,
    /// 2: not from this address, or not over this socket.
    Unauthorised,
    /// 3: no such command.
    Invalid,
    /// 18: another protocol version is spoken.
    BadVersion,
    /// 19: the request is shorter than its longest reply.
    BadLength,
    /// Any other number.
    Other(u16),
}

impl Status {
    /// From the number in a reply.
    pub const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Success,
            2 => Self::Unauthorised,
            3 => Self::Invalid,
            18 => Self::BadVersion,
            19 => Self::BadLength,
            other => Self::Other(other),
        }
    }

    /// The number in a reply.
    pub const fn code(self) -> u16 {
        match self {
            Self::Success => 0,
            Self::Unauthorised => 2,
            Self::Invalid => 3,
            Self::BadVersion => 18,
            Self::BadLength => 19,
            Self::Other(code) => code,
        }
    }
}

/// Why bytes are not the reply that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadReply {
    /// Shorter than what it says it is, or a field out of its range.
    #[error("malformed reply")]
    Malformed,
    /// Another protocol, or not a reply at all.
    #[error("not a reply of protocol version {PROTOCOL_VERSION}")]
    Foreign,
    /// To another request: an older one of ours, or a forgery. The true one may still come.
    #[error("reply to another request")]
    Unasked,
    /// The daemon refused.
    #[error("refused with status {}", .0.code())]
    Refused(Status),
    /// The data is of another kind: the daemon is of a version that answers differently.
    #[error("unexpected kind of reply, {0}")]
    Kind(u16),
}

/// The first 20 bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// What is asked; a number, since a stranger may ask anything.
    pub command: u16,
    /// 0 at first, one more each time the same question is asked again.
    pub attempt: u16,
    /// Chosen by the client at random, anew for each attempt; the reply repeats it.
    pub sequence: u32,
}

impl RequestHeader {
    /// Reads the front of a request.
    ///
    /// `None` when it is too short, of another version, or not a request.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let header: &[u8; REQUEST_HEADER_LEN] = packet.first_chunk()?;
        if header[..4] != [PROTOCOL_VERSION, TYPE_REQUEST, 0, 0] {
            return None;
        }
        Some(Self {
            command: u16::from_be_bytes([header[4], header[5]]),
            attempt: u16::from_be_bytes([header[6], header[7]]),
            sequence: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        })
    }

    /// Writes a whole request without data: header, then zeros to the length it must have.
    pub fn emit<const LEN: usize>(self) -> [u8; LEN] {
        const { assert!(LEN >= REQUEST_HEADER_LEN) };
        let mut packet = [0; LEN];
        packet[..2].copy_from_slice(&[PROTOCOL_VERSION, TYPE_REQUEST]);
        packet[4..6].copy_from_slice(&self.command.to_be_bytes());
        packet[6..8].copy_from_slice(&self.attempt.to_be_bytes());
        packet[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        packet
    }
}

/// The first 28 bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The request's.
    pub command: u16,
    /// The kind of data that follows.
    pub reply: u16,
    /// How the request was taken.
    pub status: Status,
    /// The request's.
    pub sequence: u32,
}

impl ReplyHeader {
    /// Reads the front of a reply.
    ///
    /// # Errors
    /// [`BadReply::Malformed`] when it is too short, [`BadReply::Foreign`] when it is not one.
    pub fn parse(packet: &[u8]) -> Result<Self, BadReply> {
        let header: &[u8; REPLY_HEADER_LEN] = packet.first_chunk().ok_or(BadReply::Malformed)?;
        if header[..2] != [PROTOCOL_VERSION, TYPE_REPLY] {
            return Err(BadReply::Foreign);
        }
        Ok(Self {
            command: u16::from_be_bytes([header[4], header[5]]),
            reply: u16::from_be_bytes([header[6], header[7]]),
            status: Status::from_code(u16::from_be_bytes([header[8], header[9]])),
            sequence: u32::from_be_bytes([header[16], header[17], header[18], header[19]]),
        })
    }

    /// Writes the front of a reply.
    pub fn emit(self, header: &mut [u8; REPLY_HEADER_LEN]) {
        *header = [0; REPLY_HEADER_LEN];
        header[..2].copy_from_slice(&[PROTOCOL_VERSION, TYPE_REPLY]);
        header[4..6].copy_from_slice(&self.command.to_be_bytes());
        header[6..8].copy_from_slice(&self.reply.to_be_bytes());
        header[8..10].copy_from_slice(&self.status.code().to_be_bytes());
        header[16..20].copy_from_slice(&self.sequence.to_be_bytes());
    }

    /// Whether this answers, with the data of `kind`, the request that carried `sequence`.
    ///
    /// The sequence is looked at before the status: a forged refusal must not end the wait.
    ///
    /// # Errors
    /// [`BadReply::Unasked`], [`BadReply::Refused`], [`BadReply::Kind`], the first that applies.
    pub fn answers(self, command: Command, sequence: u32, kind: Reply) -> Result<(), BadReply> {
        if self.sequence != sequence || self.command != command as u16 {
            return Err(BadReply::Unasked);
        }
        if self.status != Status::Success {
            return Err(BadReply::Refused(self.status));
        }
        if self.reply != kind as u16 {
            return Err(BadReply::Kind(self.reply));
        }
        Ok(())
    }
}

/// Bytes of an address: 16, of which an IPv4 address takes the first four, then family and padding.
pub(super) const ADDRESS_LEN: usize = 20;
const FAMILY_NONE: u16 = 0;
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;
/// A number in the place of an address whose name is not resolved yet.
const FAMILY_ID: u16 = 3;

pub(super) fn parse_address(bytes: [u8; ADDRESS_LEN]) -> Result<Option<IpAddr>, BadReply> {
    let (address, family) = bytes.split_first_chunk::<16>().expect("20 bytes");
    let v4 = [address[0], address[1], address[2], address[3]];
    match u16::from_be_bytes([family[0], family[1]]) {
        FAMILY_NONE | FAMILY_ID => Ok(None),
        FAMILY_V4 => Ok(Some(Ipv4Addr::from_octets(v4).into())),
        FAMILY_V6 => Ok(Some(Ipv6Addr::from_octets(*address).into())),
        _ => Err(BadReply::Malformed),
    }
}

pub(super) fn emit_address(address: Option<IpAddr>) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    let family = match address {
        None => FAMILY_NONE,
        Some(IpAddr::V4(v4)) => {
            bytes[..4].copy_from_slice(&v4.octets());
            FAMILY_V4
        }
        Some(IpAddr::V6(v6)) => {
            bytes[..16].copy_from_slice(&v6.octets());
            FAMILY_V6
        }
    };
    bytes[16..18].copy_from_slice(&family.to_be_bytes());
    bytes
}

/// Bytes of a moment: upper and lower half of the seconds since the Unix epoch, then nanoseconds.
pub(super) const MOMENT_LEN: usize = 12;

/// Seconds and nanoseconds since the Unix epoch.
pub(super) fn parse_moment(bytes: [u8; MOMENT_LEN]) -> Result<(i64, u32), BadReply> {
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
    let high = match word(0) {
        SECONDS_HIGH_UNKNOWN => 0,
        known => known,
    };
    let nanos = word(8);
    if nanos >= NANOS_PER_S {
        return Err(BadReply::Malformed);
    }
    let seconds = u64::from(high) << 32 | u64::from(word(4));
    Ok((seconds.cast_signed(), nanos))
}

pub(super) fn emit_moment((seconds, nanos): (i64, u32)) -> [u8; MOMENT_LEN] {
    let mut bytes = [0; MOMENT_LEN];
    bytes[..8].copy_from_slice(&seconds.to_be_bytes());
    bytes[8..].copy_from_slice(&nanos.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: RequestHeader = RequestHeader {
        command: Command::Tracking as u16,
        attempt: 2,
        sequence: 0xa1b2_c3d4,
    };

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let packet: [u8; 104] = ASKED.emit();
        assert_eq!(packet[..4], [6, 1, 0, 0]);
        assert_eq!(packet[4..12], [0, 33, 0, 2, 0xa1, 0xb2, 0xc3, 0xd4]);
        assert!(packet[12..].iter().all(|byte| *byte == 0));
        assert_eq!(RequestHeader::parse(&packet), Some(ASKED));
        assert_eq!(RequestHeader::parse(&packet[..19]), None);
        for at in 0..4 {
            let mut other = packet;
            other[at] ^= 4;
            assert_eq!(RequestHeader::parse(&other), None);
        }
    }

    #[test]
    fn a_reply_must_answer_what_was_asked() {
        let reply = ReplyHeader {
            command: 33,
            reply: 5,
            status: Status::Success,
            sequence: 7,
        };
        let answers = |reply: ReplyHeader| reply.answers(Command::Tracking, 7, Reply::Tracking);
        assert_eq!(answers(reply), Ok(()));
        let refused = ReplyHeader {
            status: Status::Unauthorised,
            reply: 1,
            ..reply
        };
        let refusal = Err(BadReply::Refused(Status::Unauthorised));
        assert_eq!(answers(refused), refusal);
        let late = ReplyHeader {
            sequence: 6,
            ..refused
        };
        assert_eq!(answers(late), Err(BadReply::Unasked));
        let other = ReplyHeader {
            command: 34,
            ..reply
        };
        assert_eq!(answers(other), Err(BadReply::Unasked));
        let kind = ReplyHeader { reply: 6, ..reply };
        assert_eq!(answers(kind), Err(BadReply::Kind(6)));
    }

    #[test]
    fn a_request_is_no_reply() {
        assert_eq!(
            ReplyHeader::parse(&ASKED.emit::<104>()),
            Err(BadReply::Foreign)
        );
        assert_eq!(ReplyHeader::parse(&[6, 2, 0]), Err(BadReply::Malformed));
    }

    #[test]
    fn addresses_and_the_lack_of_one() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for address in [None, Some(v4), Some(v6)] {
            assert_eq!(parse_address(emit_address(address)), Ok(address));
        }
        let mut unresolved = [0; ADDRESS_LEN];
        unresolved[17] = 3;
        assert_eq!(parse_address(unresolved), Ok(None));
        unresolved[17] = 4;
        assert_eq!(parse_address(unresolved), Err(BadReply::Malformed));
    }

    #[test]
    fn a_moment_of_32_bits() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(parse_moment(bytes), Ok((0x8000_0001, 9)));
        let nanos = 1_000_000_000u32.to_be_bytes();
        let mut overfull = [0; MOMENT_LEN];
        overfull[8..].copy_from_slice(&nanos);
        assert_eq!(parse_moment(overfull), Err(BadReply::Malformed));
    }

    proptest! {
        #[test]
        fn headers_of_replies_come_back(command: u16, reply: u16, status: u16, sequence: u32) {
            let status = Status::from_code(status);
            let header = ReplyHeader { command, reply, status, sequence };
            let mut bytes = [0xff; REPLY_HEADER_LEN];
            header.emit(&mut bytes);
            prop_assert_eq!(ReplyHeader::parse(&bytes), Ok(header));
        }

        #[test]
        fn moments_come_back(seconds in -1i64 << 40..1 << 40, nanos in 0u32..1_000_000_000) {
            prop_assert_eq!(parse_moment(emit_moment((seconds, nanos))), Ok((seconds, nanos)));
        }
    }
}
