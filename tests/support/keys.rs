//! Keys that server and clients share, and the MACs they make (RFC 8573, chrony.keys).

use aes::{Aes128, Aes256};
use cmac::{Cmac, KeyInit as _, Mac as _};
use md5::Digest as _;

/// One line of chrony.keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) id: u32,
    /// The type as chrony.keys spells it.
    pub(crate) kind: &'static str,
    pub(crate) hex: &'static str,
}

/// The key of RFC 4493's examples.
pub(crate) const AES128: Key = Key {
    id: 10,
    kind: "AES128",
    hex: "2b7e151628aed2a6abf7158809cf4f3c",
};
pub(crate) const AES256: Key = Key {
    id: 0x7fff_ffff, // the largest that a device's library takes
    kind: "AES256",
    hex: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
};
pub(crate) const MD5: Key = Key {
    id: 12,
    kind: "MD5",
    hex: "616e206f6c64206861626974",
};
pub(crate) const SHA1: Key = Key {
    id: 13,
    kind: "SHA1",
    hex: "4ae71336e44bf9bf79d2752e234818a5c0ffee00",
};
pub(crate) const SHA256: Key = Key {
    id: 14,
    kind: "SHA256",
    hex: "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210",
};
/// Every key the server knows.
pub(crate) const ALL: [Key; 5] = [AES128, AES256, MD5, SHA1, SHA256];
/// Known to nobody but the test.
pub(crate) const UNKNOWN: Key = Key { id: 99, ..AES128 };
/// The server knows the identifier, with other bytes.
pub(crate) const WRONG: Key = Key {
    hex: "2b7e151628aed2a6abf7158809cf4f3d",
    ..AES128
};

impl Key {
    /// The line of a key file.
    pub(crate) fn line(self) -> String {
        format!("{} {} HEX:{}\n", self.id, self.kind, self.hex)
    }

    fn bytes(self) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&self.hex[at..at + 2], 16).expect("hexadecimal");
        (0..self.hex.len()).step_by(2).map(digit).collect()
    }

    /// The whole digest over `covered`.
    pub(crate) fn digest(self, covered: &[u8]) -> Vec<u8> {
        let key = self.bytes();
        let whole = [&key, covered].concat();
        match self.kind {
            "AES128" => {
                let mut mac = Cmac::<Aes128>::new_from_slice(&key).expect("16 bytes");
                mac.update(covered);
                mac.finalize().into_bytes().to_vec()
            }
            "AES256" => {
                let mut mac = Cmac::<Aes256>::new_from_slice(&key).expect("32 bytes");
                mac.update(covered);
                mac.finalize().into_bytes().to_vec()
            }
            "MD5" => md5::Md5::digest(whole).to_vec(),
            "SHA1" => sha1::Sha1::digest(whole).to_vec(),
            "SHA256" => sha2::Sha256::digest(whole).to_vec(),
            other => panic!("no digest for {other}"),
        }
    }

    /// `covered` with its MAC: key id, then the digest, in NTPv4 cut to 20 bytes (RFC 7822 §7.5.1.4).
    pub(crate) fn sign(self, covered: &[u8]) -> Vec<u8> {
        let mut digest = self.digest(covered);
        if covered[0] >> 3 & 7 == 4 {
            digest.truncate(20);
        }
        [covered, &self.id.to_be_bytes(), &digest].concat()
    }

    /// Whether `packet` is a header, and behind it this key's MAC over it.
    pub(crate) fn verifies(self, packet: &[u8]) -> bool {
        packet.len() > 48 && self.sign(&packet[..48]) == packet
    }
}

/// The text of a key file with [`ALL`].
pub(crate) fn file() -> String {
    ALL.iter().map(|key| key.line()).collect()
}
