//! What a server is called by those that follow it (RFC 5905 §7.3).

use core::net::IpAddr;

use md5::{Digest, Md5};

use crate::wire::ReferenceId;

/// The reference id of a server by its address: an IPv4 address itself, the first four bytes of the MD5 digest of
/// an IPv6 address.
pub fn reference_id(address: IpAddr) -> ReferenceId {
    match address {
        IpAddr::V4(address) => ReferenceId::from_bytes(address.octets()),
        IpAddr::V6(address) => {
            let digest: [u8; 16] = Md5::digest(address.octets()).into();
            let [a, b, c, d, ..] = digest;
            ReferenceId::from_bytes([a, b, c, d])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_own_name_and_a_longer_one_its_digest() {
        let id = |text: &str| reference_id(text.parse().expect("an address")).to_bytes();
        assert_eq!(id("192.0.2.7"), [192, 0, 2, 7]);
        // echo -n of the sixteen bytes of ::1, by md5sum.
        assert_eq!(id("::1"), [0xcf, 0x40, 0x4d, 0xc8]);
    }
}
