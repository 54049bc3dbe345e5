//! Frames of chronyc's protocol, version 6.
//!
//! Everything is big-endian, without holes:
//!
//! ```text
//! request: version 6 | type 1 | 0 0 | command u16 | attempt u16 | sequence u32 | 0 × 8 | data | padding
//! reply:   version 6 | type 2 | 0 0 | command u16 | reply u16 | status u16 | 0 × 6 | sequence u32 | 0 × 8 | data
//! ```
//!
//! A request is padded with zeros to the length of the longest reply it can get, so that no reply is
//! longer than its request. The padding is not looked at.

use thiserror::Error;

use super::status::Status;

/// The version of the protocol; the only one spoken here.
pub const PROTOCOL_VERSION: u8 = 6;
/// Bytes of a request before its data.
pub const REQUEST_HEADER_LEN: usize = 20;
/// Bytes of a reply before its data.
pub const REPLY_HEADER_LEN: usize = 28;

/// The longest request that is looked at: chronyd's buffer.
pub const REQUEST_LEN_MAX: usize = 860;

const TYPE_REQUEST: u8 = 1;
const TYPE_REPLY: u8 = 2;

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
    #[error("refused: {0}")]
    Refused(Status),
    /// The data is of another kind: the daemon is of a version that answers differently.
    #[error("unexpected kind of reply, {0}")]
    Kind(u16),
}

/// The first 20 bytes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Of the protocol: [`PROTOCOL_VERSION`], or what a stranger speaks.
    pub version: u8,
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
    /// `None` when it is too short or not a request. The version is not looked at.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let header: &[u8; REQUEST_HEADER_LEN] = packet.first_chunk()?;
        if header[1..4] != [TYPE_REQUEST, 0, 0] {
            return None;
        }
        Some(Self {
            version: header[0],
            command: u16::from_be_bytes([header[4], header[5]]),
            attempt: u16::from_be_bytes([header[6], header[7]]),
            sequence: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        })
    }

    /// The bytes of the header.
    pub fn emit(self) -> [u8; REQUEST_HEADER_LEN] {
        let mut header = [0; REQUEST_HEADER_LEN];
        header[..2].copy_from_slice(&[self.version, TYPE_REQUEST]);
        header[4..6].copy_from_slice(&self.command.to_be_bytes());
        header[6..8].copy_from_slice(&self.attempt.to_be_bytes());
        header[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        header
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

    /// The bytes of the header.
    pub fn emit(self) -> [u8; REPLY_HEADER_LEN] {
        let mut header = [0; REPLY_HEADER_LEN];
        header[..2].copy_from_slice(&[PROTOCOL_VERSION, TYPE_REPLY]);
        header[4..6].copy_from_slice(&self.command.to_be_bytes());
        header[6..8].copy_from_slice(&self.reply.to_be_bytes());
        header[8..10].copy_from_slice(&self.status.code().to_be_bytes());
        header[16..20].copy_from_slice(&self.sequence.to_be_bytes());
        header
    }

    /// Whether this answers the request for `command` that carried `sequence`.
    ///
    /// The sequence is looked at before anything else: a forged refusal must not end the wait.
    pub const fn answers(self, command: u16, sequence: u32) -> bool {
        self.sequence == sequence && self.command == command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: RequestHeader = RequestHeader {
        version: PROTOCOL_VERSION,
        command: 33,
        attempt: 2,
        sequence: 0xa1b2_c3d4,
    };

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let packet = ASKED.emit();
        assert_eq!(packet[..4], [6, 1, 0, 0]);
        assert_eq!(packet[4..12], [0, 33, 0, 2, 0xa1, 0xb2, 0xc3, 0xd4]);
        assert_eq!(packet[12..], [0; 8]);
        assert_eq!(RequestHeader::parse(&packet), Some(ASKED));
        assert_eq!(RequestHeader::parse(&packet[..19]), None);
        for at in 1..4 {
            let mut other = packet;
            other[at] ^= 4;
            assert_eq!(RequestHeader::parse(&other), None);
        }
    }

    #[test]
    fn a_request_is_no_reply() {
        let mut request = ASKED.emit().to_vec();
        request.resize(104, 0);
        assert_eq!(ReplyHeader::parse(&request), Err(BadReply::Foreign));
        assert_eq!(ReplyHeader::parse(&[6, 2, 0]), Err(BadReply::Malformed));
    }

    proptest! {
        #[test]
        fn headers_of_replies_come_back(command: u16, reply: u16, status: u16, sequence: u32) {
            let status = Status::from_code(status);
            let header = ReplyHeader { command, reply, status, sequence };
            prop_assert_eq!(ReplyHeader::parse(&header.emit()), Ok(header));
            prop_assert!(header.answers(command, sequence));
            prop_assert!(!header.answers(command ^ 1, sequence));
            prop_assert!(!header.answers(command, sequence ^ 1));
        }
    }
}
