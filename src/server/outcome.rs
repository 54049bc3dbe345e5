//! What becomes of a datagram: each ends in exactly one outcome, and each outcome has one counter.

use crate::auth::KeyIndex;
use crate::wire::HEADER_LEN;

/// What [`Responder::prepare`](super::Responder::prepare) decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A reply stands in the place of the request; seal it and send it.
    Answer(Plan),
    /// Silence.
    Drop(DropReason),
}

/// What is left to do for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of the reply, MAC included. Never more than the request had.
    pub len: usize,
    /// The key to sign it with.
    pub key: Option<KeyIndex>,
    /// Whether it is a kiss.
    pub kiss: bool,
    /// What it has to do with the replies before and after it.
    pub exchange: Exchange,
}

/// A reply's place in interleaved mode (RFC 9769).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// It stands alone.
    Basic,
    /// It stands alone, and when it left is kept for the client's next request.
    Remembered,
    /// It tells when the one before it left, and is remembered likewise.
    Interleaved,
}

impl Plan {
    /// A reply of a header alone.
    pub const UNSIGNED: Self = Self {
        len: HEADER_LEN,
        key: None,
        kiss: false,
        exchange: Exchange::Basic,
    };
}

/// Why a datagram got no answer. In the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// It waited for us so long that whoever asked has given up.
    TooLate,
    /// Shorter than a header, longer than any request, or not in whole words of 4 bytes.
    BadLength,
    /// Version 0, or above 4.
    BadVersion,
    /// NTPv4: what follows the header is neither extension fields nor a MAC.
    MalformedExtension,
    /// `deny`
    Denied,
    /// Not a request: a reply, a broadcast, `ntpq`.
    BadMode,
    /// `unsynchronised silent`, and we are.
    Unsynchronised,
    /// `requireauth`, and it carries no MAC.
    AuthRequired,
    /// `ratelimit`
    RateLimited,
    /// A crypto-NAK is no request.
    CryptoNak,
    /// A MAC that lost its end, or a digest shorter than the key's.
    ShortMac,
    /// A Windows domain member's request, which only a Samba host could sign.
    MsSntp,
    /// The key identifier is not in the key file.
    UnknownKey,
    /// The digest is not the one the key gives.
    BadMac,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 14] = [
        Self::TooLate,
        Self::BadLength,
        Self::BadVersion,
        Self::MalformedExtension,
        Self::Denied,
        Self::BadMode,
        Self::Unsynchronised,
        Self::AuthRequired,
        Self::RateLimited,
        Self::CryptoNak,
        Self::ShortMac,
        Self::MsSntp,
        Self::UnknownKey,
        Self::BadMac,
    ];

    /// The name of its counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::BadLength => "bad_length",
            Self::BadVersion => "bad_version",
            Self::MalformedExtension => "malformed_extension",
            Self::Denied => "denied",
            Self::BadMode => "bad_mode",
            Self::Unsynchronised => "unsynchronised",
            Self::AuthRequired => "auth_required",
            Self::RateLimited => "rate_limited",
            Self::CryptoNak => "crypto_nak",
            Self::ShortMac => "short_mac",
            Self::MsSntp => "ms_sntp",
            Self::UnknownKey => "unknown_key",
            Self::BadMac => "bad_mac",
        }
    }
}

impl Outcome {
    /// How many different counters there are: four kinds of reply, and the reasons for none.
    pub const COUNTERS: usize = 4 + DropReason::ALL.len();

    /// Which counter this one moves.
    #[inline]
    pub const fn counter(&self) -> usize {
        match self {
            Self::Answer(plan) => plan.key.is_some() as usize + 2 * plan.kiss as usize,
            Self::Drop(reason) => 4 + *reason as usize,
        }
    }

    /// The counters' names, by number.
    pub const fn counter_names() -> [&'static str; Self::COUNTERS] {
        let mut names = ["answered", "answered_signed", "kiss", "kiss_signed"].as_slice();
        let mut all = [""; Self::COUNTERS];
        let mut at = 0;
        while let Some((name, rest)) = names.split_first() {
            all[at] = name;
            names = rest;
            at += 1;
        }
        while at < Self::COUNTERS {
            all[at] = DropReason::ALL[at - 4].name();
            at += 1;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(Outcome::Drop(reason).counter(), 4 + at);
            assert_eq!(Outcome::counter_names()[4 + at], reason.name());
        }
        let mut names = Outcome::counter_names();
        names.sort_unstable();
        assert!(
            names
                .windows(2)
                .all(|pair| pair[0] != pair[1] && !pair[0].is_empty())
        );
        assert_eq!(Outcome::Answer(Plan::UNSIGNED).counter(), 0);
        assert_eq!(
            Outcome::Answer(Plan {
                kiss: true,
                ..Plan::UNSIGNED
            })
            .counter(),
            2
        );
    }
}
