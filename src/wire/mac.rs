//! Where a packet's MAC is: the split into header, extension fields and trailer.
//!
//! NTPv4 follows RFC 7822: what is left of 20 or 24 bytes is a MAC, more is an extension field, four
//! zero bytes are a crypto-NAK. Up to NTPv3 all that follows the header is one MAC. A digest is at
//! least 16 bytes; in NTPv4 at most 20 (a longer one is cut to that), before it up to 64.

use super::{ExtensionFields, HEADER_LEN, Malformed};

/// Bytes of the key identifier that begins a MAC.
pub const KEY_ID_LEN: usize = 4;
/// The shortest digest: MD5's and AES-CMAC's.
pub const DIGEST_LEN_MIN: usize = 16;
/// The longest digest in NTPv4, so that the MAC stays within RFC 7822's 24 bytes.
pub const DIGEST_LEN_MAX_V4: usize = 20;
/// The longest digest of all: SHA512's, in NTPv3.
pub const DIGEST_LEN_MAX: usize = 64;
/// A crypto-NAK is a key identifier of zero and no digest (RFC 5905 §9.2).
pub const CRYPTO_NAK_LEN: usize = KEY_ID_LEN;

/// Trailer of a Windows client's extended authenticator ([MS-SNTP] §2.2.3).
const MS_SNTP_EXTENDED_LEN: usize = 72;

/// Names a key that client and server share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// What stands behind the header and the extension fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// Nothing: the packet is not authenticated.
    Absent,
    /// A key identifier and a digest of [`DIGEST_LEN_MIN`] bytes or more, to the packet's end.
    Mac {
        /// The key the sender says it used.
        key: KeyId,
    },
    /// A key identifier, and less than the shortest digest.
    ShortMac,
    /// Four zero bytes: "your MAC was bad". No request can be one.
    CryptoNak,
    /// A Windows domain member asks for a signature by its machine account: MAC of zeros, or the
    /// extended form.
    MsSntp,
}

/// A packet taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Header and extension fields: what a MAC covers.
    pub authenticated_len: usize,
    /// What follows them.
    pub trailer: Trailer,
}

impl Split {
    /// Takes apart a packet of `version`. Its first [`HEADER_LEN`] bytes are the header.
    ///
    /// # Errors
    /// [`Malformed`] when there is no whole header, or (NTPv4) what follows it is neither a chain of
    /// extension fields nor a MAC.
    #[inline]
    pub fn of(packet: &[u8], version: u8) -> Result<Self, Malformed> {
        let after_header = packet.get(HEADER_LEN..).ok_or(Malformed)?;
        if after_header.is_empty() {
            return Ok(Self {
                authenticated_len: HEADER_LEN,
                trailer: Trailer::Absent,
            });
        }
        if version < 4 {
            let trailer = trailer_v3(after_header, version);
            return Ok(Self {
                authenticated_len: HEADER_LEN,
                trailer,
            });
        }
        split_v4(packet, after_header)
    }
}

fn key_id(trailer: &[u8; KEY_ID_LEN]) -> KeyId {
    KeyId(u32::from_be_bytes(*trailer))
}

fn trailer_v3(trailer: &[u8], version: u8) -> Trailer {
    let Some((id, digest)) = trailer.split_first_chunk() else {
        return Trailer::ShortMac;
    };
    let key = key_id(id);
    if digest.len() < DIGEST_LEN_MIN {
        return Trailer::ShortMac;
    }
    // [MS-SNTP] §2.2.1 and §2.2.3: the client leaves the checksum zero, the server fills it in.
    let zero_digest = digest.len() == 16 && digest.iter().all(|byte| *byte == 0);
    let extended =
        trailer.len() == MS_SNTP_EXTENDED_LEN && trailer[8..].iter().all(|byte| *byte == 0);
    if version == 3 && (zero_digest && key != KeyId(0) || extended) {
        return Trailer::MsSntp;
    }
    Trailer::Mac { key }
}

fn split_v4(packet: &[u8], after_header: &[u8]) -> Result<Split, Malformed> {
    let mut fields = ExtensionFields::new(after_header);
    for field in &mut fields {
        field?;
    }
    let trailer = fields.rest();
    let authenticated_len = packet.len() - trailer.len();
    let trailer = match trailer.split_first_chunk() {
        None if trailer.is_empty() => Trailer::Absent,
        None => Trailer::ShortMac,
        Some((id, digest)) if digest.len() >= DIGEST_LEN_MIN => Trailer::Mac { key: key_id(id) },
        Some(([0, 0, 0, 0], [])) => Trailer::CryptoNak,
        Some(_) => Trailer::ShortMac,
    };
    if trailer == Trailer::ShortMac && authenticated_len > HEADER_LEN {
        return Err(Malformed); // Behind extension fields it is not a MAC that lost its end.
    }
    Ok(Split {
        authenticated_len,
        trailer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trailer(version: u8, after_header: &[u8]) -> Result<Trailer, Malformed> {
        let mut packet = vec![0; HEADER_LEN];
        packet.extend(after_header);
        Split::of(&packet, version).map(|split| split.trailer)
    }

    fn mac(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x5a; length];
        bytes[..4].copy_from_slice(&7u32.to_be_bytes());
        bytes
    }

    const MAC_7: Result<Trailer, Malformed> = Ok(Trailer::Mac { key: KeyId(7) });

    /// The table of lengths: what chrony does with each, for NTPv3 and NTPv4.
    #[test]
    fn lengths_as_chrony_reads_them() {
        assert_eq!(trailer(3, &[]), Ok(Trailer::Absent));
        assert_eq!(trailer(4, &[]), Ok(Trailer::Absent));
        assert_eq!(trailer(3, &[0; 4]), Ok(Trailer::ShortMac));
        assert_eq!(trailer(4, &[0; 4]), Ok(Trailer::CryptoNak));
        assert_eq!(trailer(4, &[0, 0, 0, 1]), Ok(Trailer::ShortMac));
        for short in [8, 12, 16] {
            assert_eq!(trailer(3, &mac(short)), Ok(Trailer::ShortMac));
            assert_eq!(trailer(4, &mac(short)), Ok(Trailer::ShortMac));
        }
        for length in [20, 24] {
            assert_eq!(trailer(3, &mac(length)), MAC_7);
            assert_eq!(trailer(4, &mac(length)), MAC_7);
        }
        for length in [28, 36, 52, 68] {
            assert_eq!(trailer(3, &mac(length)), MAC_7);
            // Its second word is not a field's length, so NTPv4 cannot read it as a field.
            assert_eq!(trailer(4, &mac(length)), Err(Malformed));
        }
    }

    #[test]
    fn rfc_7822_fields_before_the_mac_are_covered_by_it() {
        let mut after_header = vec![0; 32];
        after_header[..4].copy_from_slice(&[0x20, 0x05, 0, 32]);
        assert_eq!(trailer(4, &after_header), Ok(Trailer::Absent));
        after_header.extend(mac(20));
        assert_eq!(trailer(4, &after_header), MAC_7);
        after_header.truncate(32 + 12);
        assert_eq!(trailer(4, &after_header), Err(Malformed));
        after_header.truncate(32);
        after_header.extend([0; 4]);
        assert_eq!(trailer(4, &after_header), Ok(Trailer::CryptoNak));
    }

    #[test]
    fn ms_sntp_is_not_a_mac() {
        let mut zeros = vec![0; 20];
        zeros[3] = 9;
        assert_eq!(trailer(3, &zeros), Ok(Trailer::MsSntp));
        assert_eq!(trailer(4, &zeros), Ok(Trailer::Mac { key: KeyId(9) }));
        let mut extended = vec![0; 72];
        extended[..8].copy_from_slice(&[1; 8]);
        assert_eq!(trailer(3, &extended), Ok(Trailer::MsSntp));
    }

    proptest! {
        #[test]
        fn the_parts_add_up(packet in prop::collection::vec(any::<u8>(), 0..1200), version in 1u8..5) {
            if let Ok(split) = Split::of(&packet, version) {
                let rest = packet.len() - split.authenticated_len;
                prop_assert!(split.authenticated_len >= HEADER_LEN);
                match split.trailer {
                    Trailer::Absent => prop_assert_eq!(rest, 0),
                    Trailer::Mac { .. } => prop_assert!(rest >= KEY_ID_LEN + DIGEST_LEN_MIN),
                    Trailer::CryptoNak => prop_assert_eq!(rest, CRYPTO_NAK_LEN),
                    Trailer::ShortMac => prop_assert!(rest < KEY_ID_LEN + DIGEST_LEN_MIN),
                    Trailer::MsSntp => prop_assert!(rest == 20 || rest == 72),
                }
                if version == 4 && !matches!(split.trailer, Trailer::Absent) {
                    prop_assert!(rest <= KEY_ID_LEN + DIGEST_LEN_MAX_V4);
                }
            }
        }
    }
}
