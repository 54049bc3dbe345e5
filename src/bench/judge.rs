//! Whether a reply is what a client may take: every one is looked at in full.

use super::figures::Counts;
use super::mix::Kind;
use super::plan::Signature;
use crate::auth::Verdict;
use crate::wire::{
    HEADER_LEN, HeaderView, KEY_ID_LEN, KissCode, LeapIndicator, Mode, Split, Trailer,
};

/// Judges first replies, and counts each in the one place it belongs.
pub(super) struct Judge<'a> {
    pub(super) version: u8,
    pub(super) signature: Option<&'a Signature>,
}

impl Judge<'_> {
    /// Counts the first reply to a request of `kind`, of which `len` bytes came, not all of them perhaps
    /// kept; whether it is a good one to an honest request.
    #[inline]
    pub(super) fn count(
        &self,
        (reply, len): (&[u8], usize),
        header: HeaderView<'_>,
        kind: Kind,
        counts: &mut Counts,
    ) -> bool {
        if !kind.is_honest() {
            counts.hostile_answered += 1;
            return false;
        }
        let counter = if header.mode() != Mode::Server {
            &mut counts.bad_mode
        } else if header.version() != self.version {
            &mut counts.bad_version
        } else if len != self.length(kind) {
            &mut counts.bad_length
        } else if !self.is_authentic(reply, kind) {
            &mut counts.forged
        } else if header.stratum() == 0 {
            match KissCode::from_reference_id(header.reference_id()) {
                Some(KissCode::Rate) => &mut counts.kiss_rate,
                Some(_) => &mut counts.kiss_other,
                None => &mut counts.unsynchronised,
            }
        } else if header.leap() == LeapIndicator::NotSynchronised {
            &mut counts.unsynchronised
        } else if header.stratum() > 15 {
            &mut counts.bad_stratum
        } else {
            counts.good += 1;
            return true;
        };
        *counter += 1;
        false
    }

    fn length(&self, kind: Kind) -> usize {
        match (kind, self.signature) {
            (Kind::Signed, Some(signature)) => HEADER_LEN + signature.mac_len(self.version),
            _ => HEADER_LEN,
        }
    }

    fn is_authentic(&self, reply: &[u8], kind: Kind) -> bool {
        let (Kind::Signed, Some(signature)) = (kind, self.signature) else {
            return true;
        };
        let Ok(Split {
            authenticated_len,
            trailer: Trailer::Mac { key },
        }) = Split::of(reply, self.version)
        else {
            return false;
        };
        let (message, mac) = reply.split_at(authenticated_len);
        key == signature.id
            && signature
                .keys
                .verify(signature.key, self.version, message, &mac[KEY_ID_LEN..])
                == Verdict::Good
    }
}
