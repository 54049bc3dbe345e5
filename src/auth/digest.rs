//! Keyed hashes of NTP's old kind: H(secret || message) (RFC 5905 §7.3, chrony.keys).
//!
//! Not HMAC, and open to length extension; kept for clients whose key files still have them.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as Hash, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::KeyType;
use crate::wire::DIGEST_LEN_MAX;

/// The hashes a key can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl DigestAlgorithm {
    /// The hash of a key type; `None` for the ciphers and for what is not supported.
    pub(super) const fn of(key_type: KeyType) -> Option<Self> {
        Some(match key_type {
            KeyType::Md5 => Self::Md5,
            KeyType::Sha1 => Self::Sha1,
            KeyType::Sha256 => Self::Sha256,
            KeyType::Sha384 => Self::Sha384,
            KeyType::Sha512 => Self::Sha512,
            KeyType::Sha3_224 => Self::Sha3_224,
            KeyType::Sha3_256 => Self::Sha3_256,
            KeyType::Sha3_384 => Self::Sha3_384,
            KeyType::Sha3_512 => Self::Sha3_512,
            KeyType::Tiger | KeyType::Whirlpool | KeyType::Aes128 | KeyType::Aes256 => return None,
        })
    }

    /// H(secret || message), whole. Works on the stack alone.
    pub(super) fn digest(self, secret: &[u8], message: &[u8]) -> Digest {
        match self {
            Self::Md5 => hash::<Md5>(secret, message),
            Self::Sha1 => hash::<Sha1>(secret, message),
            Self::Sha256 => hash::<Sha256>(secret, message),
            Self::Sha384 => hash::<Sha384>(secret, message),
            Self::Sha512 => hash::<Sha512>(secret, message),
            Self::Sha3_224 => hash::<Sha3_224>(secret, message),
            Self::Sha3_256 => hash::<Sha3_256>(secret, message),
            Self::Sha3_384 => hash::<Sha3_384>(secret, message),
            Self::Sha3_512 => hash::<Sha3_512>(secret, message),
        }
    }
}

fn hash<H: Hash>(secret: &[u8], message: &[u8]) -> Digest {
    let mut digest = Digest {
        bytes: [0; DIGEST_LEN_MAX],
        len: 0,
    };
    let whole = H::new()
        .chain_update(secret)
        .chain_update(message)
        .finalize();
    for (to, from) in digest.bytes.iter_mut().zip(&whole) {
        *to = *from;
        digest.len += 1;
    }
    digest
}

/// A digest of 16 to 64 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digest {
    bytes: [u8; DIGEST_LEN_MAX],
    len: usize,
}

impl Digest {
    /// All of it.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// "abc" as secret and message: FIPS 180-4's and FIPS 202's examples, and RFC 1321 §A.5.
    #[test]
    fn published_vectors_whichever_side_the_bytes_stand() {
        for (key_type, expected) in [
            (KeyType::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (KeyType::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                KeyType::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                KeyType::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                KeyType::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (
                KeyType::Sha3_224,
                "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
            ),
            (
                KeyType::Sha3_256,
                "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
            ),
            (
                KeyType::Sha3_384,
                "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2\
                 98d88cea927ac7f539f1edf228376d25",
            ),
            (
                KeyType::Sha3_512,
                "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
                 10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
            ),
        ] {
            let algorithm = DigestAlgorithm::of(key_type).unwrap();
            for cut in 0..=3 {
                let (secret, message) = b"abc".split_at(cut);
                let digest = algorithm.digest(secret, message);
                assert_eq!(hex(digest.as_bytes()), expected, "{key_type}");
                assert_eq!(digest.as_bytes().len(), key_type.digest_len());
            }
        }
    }

    #[test]
    fn ciphers_and_unsupported_hashes_have_none() {
        for key_type in KeyType::ALL {
            let is_hash = key_type.key_len().is_none() && key_type.is_supported();
            assert_eq!(DigestAlgorithm::of(key_type).is_some(), is_hash);
        }
    }
}
