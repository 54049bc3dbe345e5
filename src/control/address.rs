//! Addresses in messages: of hosts, of sources that may not have one yet, and of subnets.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fields::Fields;
use super::status::Status;
use crate::client::reference_id;
use crate::server::Subnet;
use crate::wire::ReferenceId;

/// What a source goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceAddress {
    /// Nothing: no source, or every one.
    #[default]
    Unspecified,
    /// An address.
    Ip(IpAddr),
    /// The number of a source whose name has no address yet.
    Unresolved(u32),
    /// A reference clock's reference id. In requests chronyc spells it as an IPv4 address.
    Refclock(ReferenceId),
}

impl SourceAddress {
    /// The address, if it has one.
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// What others that follow the source call it: zero where there is nothing to be called so.
    pub fn reference_id(self) -> ReferenceId {
        match self {
            Self::Unspecified | Self::Unresolved(_) => ReferenceId::NONE,
            Self::Ip(ip) => reference_id(ip),
            Self::Refclock(id) => id,
        }
    }

    /// 16 bytes, of which an IPv4 address takes the first four, then family and padding.
    pub(super) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let (mut bytes, mut family) = self.spelled();
        fields.octets(&mut bytes)?;
        fields.u16(&mut family)?;
        fields.padding::<2>(0)?;
        let [a, b, c, d, ..] = bytes;
        *self = match family {
            FAMILY_NONE => Self::Unspecified,
            FAMILY_V4 => Self::Ip(Ipv4Addr::new(a, b, c, d).into()),
            FAMILY_V6 => Self::Ip(Ipv6Addr::from_octets(bytes).into()),
            FAMILY_NUMBER => Self::Unresolved(u32::from_be_bytes([a, b, c, d])),
            _ => return Err(Status::BadFamily),
        };
        Ok(())
    }

    /// A reference id, then the address; a reference clock has no address.
    pub(super) fn layout_with_id(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let mut id = self.reference_id().to_bytes();
        let mut address = match *self {
            Self::Refclock(_) => Self::Unspecified,
            other => other,
        };
        fields.octets(&mut id)?;
        address.layout(fields)?;
        *self = match address {
            Self::Unspecified if id != [0; 4] => Self::Refclock(ReferenceId::from_bytes(id)),
            other => other,
        };
        Ok(())
    }

    /// The other way round: the address, then the reference id of a reference clock, which requests name so.
    pub(super) fn layout_then_id(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let (mut address, mut id) = match *self {
            Self::Refclock(id) => (Self::Unspecified, id.to_bytes()),
            other => (other, [0; 4]),
        };
        address.layout(fields)?;
        fields.octets(&mut id)?;
        *self = match address {
            Self::Unspecified if id != [0; 4] => Self::Refclock(ReferenceId::from_bytes(id)),
            other => other,
        };
        Ok(())
    }

    fn spelled(self) -> ([u8; 16], u16) {
        let first = |four: [u8; 4]| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&four);
            bytes
        };
        match self {
            Self::Unspecified => ([0; 16], FAMILY_NONE),
            Self::Ip(IpAddr::V4(v4)) => (first(v4.octets()), FAMILY_V4),
            Self::Ip(IpAddr::V6(v6)) => (v6.octets(), FAMILY_V6),
            Self::Unresolved(number) => (first(number.to_be_bytes()), FAMILY_NUMBER),
            Self::Refclock(id) => (first(id.to_bytes()), FAMILY_V4),
        }
    }
}

impl From<Option<IpAddr>> for SourceAddress {
    fn from(ip: Option<IpAddr>) -> Self {
        ip.map_or(Self::Unspecified, Self::Ip)
    }
}

/// Sources by the bits of their addresses: `online`, `offline` and `burst` go to all that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Matching {
    /// The bits that count.
    pub mask: SourceAddress,
    /// What they are; unspecified: every source matches.
    pub address: SourceAddress,
}

impl Matching {
    /// Whether a source matches.
    pub fn includes(&self, source: SourceAddress) -> bool {
        if self.address == SourceAddress::Unspecified {
            return true;
        }
        let (mask, mask_family) = self.mask.spelled();
        let (bytes, family) = self.address.spelled();
        let (theirs, their_family) = source.spelled();
        // Without a mask no bit counts.
        let is_of_family = mask_family == FAMILY_NONE || mask_family == family;
        let mut differences = mask
            .iter()
            .zip(bytes.iter().zip(theirs))
            .map(|(mask, (a, b))| mask & (a ^ b));
        is_of_family && family == their_family && differences.all(|bits| bits == 0)
    }

    pub(super) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        self.mask.layout(fields)?;
        self.address.layout(fields)
    }
}

/// An address and how many of its bits count. Without an address and bits: everything.
pub(super) fn layout_subnet(subnet: &mut Subnet, fields: &mut impl Fields) -> Result<(), Status> {
    let (mut address, mut bits) = match *subnet {
        Subnet::Any => (SourceAddress::Unspecified, 0),
        Subnet::V4(v4, bits) => (SourceAddress::Ip(v4.into()), u32::from(bits)),
        Subnet::V6(v6, bits) => (SourceAddress::Ip(v6.into()), u32::from(bits)),
    };
    let family = address.layout(fields);
    fields.u32(&mut bits)?;
    family.map_err(|_| Status::BadSubnet)?;
    *subnet = match address {
        SourceAddress::Unspecified if bits == 0 => Subnet::Any,
        SourceAddress::Ip(ip) => {
            let bits = u8::try_from(bits).map_err(|_| Status::BadSubnet)?;
            Subnet::new(ip, bits).ok_or(Status::BadSubnet)?
        }
        _ => return Err(Status::BadSubnet),
    };
    Ok(())
}

const FAMILY_NONE: u16 = 0;
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;
/// A number in the place of an address whose name is not resolved yet.
const FAMILY_NUMBER: u16 = 3;

#[cfg(test)]
mod tests {
    use super::super::fields::{Reader, Writer};
    use super::*;

    fn ip(text: &str) -> SourceAddress {
        SourceAddress::Ip(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_and_the_lack_of_one() {
        let clock = SourceAddress::Refclock(ReferenceId::from_bytes(*b"PPS\0"));
        let with_address = [
            ip("192.0.2.1"),
            ip("2001:db8::1"),
            SourceAddress::Unresolved(7),
        ];
        for address in [SourceAddress::Unspecified, clock]
            .into_iter()
            .chain(with_address)
        {
            let mut bytes = Vec::new();
            address
                .clone()
                .layout_with_id(&mut Writer(&mut bytes))
                .expect("room");
            assert_eq!(bytes.len(), 24);
            let mut read = ip("::");
            read.layout_with_id(&mut Reader(&bytes)).expect("ours");
            assert_eq!(read, address);
            bytes.clear();
            address
                .clone()
                .layout_then_id(&mut Writer(&mut bytes))
                .expect("room");
            read.layout_then_id(&mut Reader(&bytes)).expect("ours");
            assert_eq!(read, address);
        }
        let mut bytes = [0; 20];
        bytes[17] = 4;
        let mut read = SourceAddress::default();
        assert_eq!(read.layout(&mut Reader(&bytes)), Err(Status::BadFamily));
    }

    #[test]
    fn who_matches() {
        let all = Matching::default();
        let net = Matching {
            mask: ip("255.255.0.0"),
            address: ip("192.0.0.0"),
        };
        let one = Matching {
            mask: SourceAddress::Unresolved(u32::MAX),
            address: SourceAddress::Unresolved(7),
        };
        let sources = [
            ip("192.0.2.1"),
            ip("198.51.100.1"),
            ip("::1"),
            SourceAddress::Unresolved(7),
            SourceAddress::Unresolved(8),
        ];
        let matched = |matching: Matching| sources.map(|source| matching.includes(source));
        assert_eq!(matched(all), [true; 5]);
        assert_eq!(matched(net), [true, false, false, false, false]);
        assert_eq!(matched(one), [false, false, false, true, false]);
        let crossed = Matching {
            mask: ip("ffff::"),
            ..net
        };
        assert_eq!(matched(crossed), [false; 5]);
        let maskless = Matching {
            mask: SourceAddress::Unspecified,
            ..net
        };
        assert_eq!(matched(maskless), [true, true, false, false, false]);
    }

    #[test]
    fn subnets_and_what_is_none() {
        let read = |address: SourceAddress, bits: u32| {
            let mut bytes = Vec::new();
            address
                .clone()
                .layout(&mut Writer(&mut bytes))
                .expect("room");
            bytes.extend(bits.to_be_bytes());
            let mut subnet = Subnet::Any;
            layout_subnet(&mut subnet, &mut Reader(&bytes)).map(|()| subnet)
        };
        let bad = Err(Status::BadSubnet);
        assert_eq!(read(SourceAddress::Unspecified, 0), Ok(Subnet::Any));
        assert_eq!(read(SourceAddress::Unspecified, 5), bad);
        assert_eq!(read(SourceAddress::Unresolved(1), 0), bad);
        assert_eq!(read(ip("1.2.3.4"), 33), bad);
        assert_eq!(read(ip("1.2.3.4"), u32::MAX), bad);
        assert_eq!(
            read(ip("1.2.3.4"), 16),
            Ok(Subnet::V4([1, 2, 0, 0].into(), 16))
        );
        assert_eq!(
            read(ip("::1"), 128),
            Ok(Subnet::V6(Ipv6Addr::LOCALHOST, 128))
        );
    }
}
