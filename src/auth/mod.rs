//! Message authentication with keys that client and server share (RFC 5905 §7.3, RFC 8573): floor 2.
//!
//! A [`KeyStore`] is built once from the key file, in the control plane, and handed whole to the
//! workers, who look a key up, verify the request and sign the reply with it. That part allocates
//! nothing, cannot fail but by its answer, and spends for AES-128-CMAC, the type to use, little more
//! than the three AES blocks of a 48-byte packet. The other types are chrony's, for its key files.
//! Secrets are wiped when dropped, and neither `Debug` nor an error shows one.

mod cmac;
mod digest;
mod keygen;
mod keys;

use core::fmt;

pub use cmac::{Cipher, CmacKey, hardware_accelerated};
pub use keygen::generate;
pub use keys::{CipherKey, Key, KeyError, KeyIndex, KeyStore, Verdict};

/// How a key's MAC is made, by chrony's names and numbers (chrony.conf(5), `keyfile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say all there is to say")]
pub enum KeyType {
    Md5 = 1,
    Sha1 = 2,
    Sha256 = 3,
    Sha384 = 4,
    Sha512 = 5,
    Sha3_224 = 6,
    Sha3_256 = 7,
    Sha3_384 = 8,
    Sha3_512 = 9,
    Tiger = 10,
    Whirlpool = 11,
    Aes128 = 13,
    Aes256 = 14,
}

impl KeyType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Tiger,
        Self::Whirlpool,
        Self::Aes128,
        Self::Aes256,
    ];

    /// The word in a key file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::Sha3_224 => "SHA3-224",
            Self::Sha3_256 => "SHA3-256",
            Self::Sha3_384 => "SHA3-384",
            Self::Sha3_512 => "SHA3-512",
            Self::Tiger => "TIGER",
            Self::Whirlpool => "WHIRLPOOL",
            Self::Aes128 => "AES128",
            Self::Aes256 => "AES256",
        }
    }

    /// The type of exactly this name; upper and lower case differ.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The number in chronyc's `authdata` report.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Bytes of the whole digest, before NTPv4 cuts it to 20.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 | Self::Aes128 | Self::Aes256 => 16,
            Self::Sha1 => 20,
            Self::Tiger => 24,
            Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 | Self::Whirlpool => 64,
        }
    }

    /// Bytes a cipher's key must have; `None` for a hash, which takes any length from one on.
    pub const fn key_len(self) -> Option<usize> {
        match self {
            Self::Aes128 => Some(16),
            Self::Aes256 => Some(32),
            _ => None,
        }
    }

    /// Whether a key of this type can be loaded. TIGER and WHIRLPOOL are known by name only, as in the
    /// builds of chrony that distributions ship.
    pub const fn is_supported(self) -> bool {
        !matches!(self, Self::Tiger | Self::Whirlpool)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DIGEST_LEN_MAX, DIGEST_LEN_MIN};

    #[test]
    fn names_are_exact_and_numbers_are_chrony_s() {
        let numbers = KeyType::ALL.map(KeyType::number);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14]);
        for known in KeyType::ALL {
            assert_eq!(KeyType::from_name(known.name()), Some(known));
            assert_eq!(KeyType::from_name(&known.name().to_lowercase()), None);
        }
        assert_eq!(KeyType::from_name("AES128 "), None);
        assert_eq!(KeyType::from_name(""), None);
    }

    #[test]
    fn digests_fit_a_packet() {
        for known in KeyType::ALL {
            assert!((DIGEST_LEN_MIN..=DIGEST_LEN_MAX).contains(&known.digest_len()));
        }
    }
}
