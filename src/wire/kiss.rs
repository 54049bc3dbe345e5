//! Kiss codes (RFC 5905 §7.4): what a server says with stratum 0 in the place of its reference id.

use super::ReferenceId;

/// A kiss-o'-death, and what a client must do on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KissCode {
    /// Access is denied for good: stop sending to this server.
    Deny,
    /// Access is restricted by policy: stop sending to this server.
    Restricted,
    /// Too many requests: lengthen the poll interval.
    Rate,
    /// The NTS cookie could not be read (RFC 8915 §5.7): start a new key exchange.
    NtsNak,
}

impl KissCode {
    /// The four letters in the reference id.
    pub const fn reference_id(self) -> ReferenceId {
        ReferenceId::from_bytes(match self {
            Self::Deny => *b"DENY",
            Self::Restricted => *b"RSTR",
            Self::Rate => *b"RATE",
            Self::NtsNak => *b"NTSN",
        })
    }

    /// The code in a reply of stratum 0, if it is one a client must act on.
    pub fn from_reference_id(id: ReferenceId) -> Option<Self> {
        [Self::Deny, Self::Restricted, Self::Rate, Self::NtsNak]
            .into_iter()
            .find(|code| code.reference_id() == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_4_codes_are_four_letters() {
        assert_eq!(KissCode::Rate.reference_id().to_bytes(), *b"RATE");
        assert_eq!(
            KissCode::from_reference_id(KissCode::NtsNak.reference_id()),
            Some(KissCode::NtsNak)
        );
        assert_eq!(
            KissCode::from_reference_id(ReferenceId::from_bytes(*b"INIT")),
            None
        );
    }
}
