//! How a daemon takes a request.

use thiserror::Error;

/// How the daemon took a request; the protocol's numbers.
///
/// All but three are refusals, and serve as errors: [`Success`](Self::Success), and the two that answer a question
/// about access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Status {
    /// 0: done.
    #[error("done")]
    Success,
    /// 1: it was tried.
    #[error("it failed")]
    Failed,
    /// 2: not from this address, or not over this socket.
    #[error("not authorised")]
    Unauthorised,
    /// 3: no such command, or an argument that it cannot have.
    #[error("invalid command or argument")]
    Invalid,
    /// 4: no source with this address or index.
    #[error("no such source")]
    NoSuchSource,
    /// 5: a time that cannot be set.
    #[error("invalid time")]
    InvalidTime,
    /// 6: the configuration does not have it.
    #[error("not enabled")]
    NotEnabled,
    /// 7: more bits than the address has.
    #[error("bad subnet")]
    BadSubnet,
    /// 8: the address may ask.
    #[error("access allowed")]
    AccessAllowed,
    /// 9: it may not.
    #[error("access denied")]
    AccessDenied,
    /// 11: there is a source with this address already.
    #[error("source already known")]
    SourceKnown,
    /// 12: no room for another source.
    #[error("too many sources")]
    TooManySources,
    /// 13: no driver of a real-time clock is running.
    #[error("no driver of a real-time clock is running")]
    NoRtc,
    /// 14: its file cannot be written.
    #[error("the real-time clock's file cannot be written")]
    BadRtcFile,
    /// 15: it is not active.
    #[error("inactive")]
    Inactive,
    /// 16: no sample with this index.
    #[error("no such sample")]
    NoSuchSample,
    /// 17: an address of a family that is not known.
    #[error("unknown address family")]
    BadFamily,
    /// 18: another protocol version is spoken.
    #[error("another protocol version")]
    BadVersion,
    /// 19: the request is shorter than its longest reply.
    #[error("bad length")]
    BadLength,
    /// 21: a name that cannot be one.
    #[error("bad name")]
    BadName,
    /// Any other number.
    #[error("status {0}")]
    Other(u16),
}

impl Status {
    /// All that have a name, by their numbers.
    const NAMED: [(u16, Self); 20] = [
        (0, Self::Success),
        (1, Self::Failed),
        (2, Self::Unauthorised),
        (3, Self::Invalid),
        (4, Self::NoSuchSource),
        (5, Self::InvalidTime),
        (6, Self::NotEnabled),
        (7, Self::BadSubnet),
        (8, Self::AccessAllowed),
        (9, Self::AccessDenied),
        (11, Self::SourceKnown),
        (12, Self::TooManySources),
        (13, Self::NoRtc),
        (14, Self::BadRtcFile),
        (15, Self::Inactive),
        (16, Self::NoSuchSample),
        (17, Self::BadFamily),
        (18, Self::BadVersion),
        (19, Self::BadLength),
        (21, Self::BadName),
    ];

    /// From the number in a reply.
    pub fn from_code(code: u16) -> Self {
        let named = Self::NAMED.iter().find(|(number, _)| *number == code);
        named.map_or(Self::Other(code), |(_, status)| *status)
    }

    /// The number in a reply.
    pub fn code(self) -> u16 {
        if let Self::Other(code) = self {
            return code;
        }
        let named = Self::NAMED.iter().find(|(_, status)| *status == self);
        named.map_or(u16::MAX, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_rise_and_are_not_repeated() {
        let codes = Status::NAMED.map(|(code, _)| code);
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    proptest! {
        #[test]
        fn every_number_comes_back(code: u16) {
            prop_assert_eq!(Status::from_code(code).code(), code);
        }
    }
}
