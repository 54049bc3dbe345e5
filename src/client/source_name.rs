//! What a source is called in reports, logs and names of files.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use crate::wire::ReferenceId;

/// A source: by its address, or by the letters of its reference id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceName {
    /// A server or a peer.
    Address(IpAddr),
    /// A reference clock, by the letters of its id.
    Refclock(ReferenceId),
}

impl SourceName {
    /// What is written where nothing is followed: `0.0.0.0`.
    pub const NONE: Self = Self::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    /// The local reference: `127.127.1.1`.
    pub const LOCAL: Self = Self::Address(IpAddr::V4(Ipv4Addr::new(127, 127, 1, 1)));
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.pad(&address.to_string()),
            Self::Refclock(id) => {
                let letters = id.to_bytes().into_iter();
                let letters = letters.filter(u8::is_ascii_graphic).map(char::from);
                f.pad(&letters.collect::<String>())
            }
        }
    }
}
