//! Extension fields of NTPv4 (RFC 7822): a walk that ends and covers each byte once.

use super::Malformed;

/// The shortest extension field, type and length included (RFC 7822 §7.5).
pub const FIELD_LEN_MIN: usize = 16;

/// A MAC of up to this length stands at the end; only what is longer can begin with an extension
/// field. That is why the last field needs at least 28 bytes where no MAC follows (RFC 7822 §7.5.1.4).
const MAC_LEN_MAX: usize = 24;

/// One extension field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionField<'a> {
    /// Its type, from the IANA registry.
    pub field_type: u16,
    /// What follows type and length, padding included.
    pub value: &'a [u8],
}

/// Walks the extension fields between the header and the MAC.
///
/// It yields fields while more than 24 bytes are left, and then [`rest`](Self::rest) is what remains:
/// nothing, a MAC, a crypto-NAK, or something malformed. A field that cannot be one yields
/// `Err(Malformed)` and ends the walk.
#[derive(Clone, Debug)]
pub struct ExtensionFields<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> ExtensionFields<'a> {
    /// Over all that follows the header.
    pub const fn new(after_header: &'a [u8]) -> Self {
        Self {
            rest: after_header,
            broken: false,
        }
    }

    /// What the walk has not consumed yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for ExtensionFields<'a> {
    type Item = Result<ExtensionField<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.rest.len() <= MAC_LEN_MAX {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([self.rest[2], self.rest[3]]));
        if length < FIELD_LEN_MIN || !length.is_multiple_of(4) || length > self.rest.len() {
            self.broken = true;
            return Some(Err(Malformed));
        }
        let (field, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Ok(ExtensionField {
            field_type: u16::from_be_bytes([field[0], field[1]]),
            value: &field[4..],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(field_type: u16, length: u16) -> Vec<u8> {
        let mut bytes = vec![0xa5; usize::from(length)];
        bytes[..2].copy_from_slice(&field_type.to_be_bytes());
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn s7_5_two_fields_and_a_mac() {
        let mut bytes = field(0x0104, 36);
        bytes.extend(field(0x2005, 16));
        bytes.extend([7; 20]);
        let mut walk = ExtensionFields::new(&bytes);
        assert_eq!(walk.next().unwrap().unwrap().field_type, 0x0104);
        let second = walk.next().unwrap().unwrap();
        assert_eq!((second.field_type, second.value.len()), (0x2005, 12));
        assert!(walk.next().is_none());
        assert_eq!(walk.rest(), [7; 20]);
    }

    #[test]
    fn s7_5_1_4_last_field_needs_28_bytes() {
        assert!(ExtensionFields::new(&field(1, 24)).next().is_none());
        assert!(ExtensionFields::new(&field(1, 28)).next().unwrap().is_ok());
    }

    proptest! {
        #[test]
        fn the_walk_ends_and_covers_each_byte_once(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
            let mut walk = ExtensionFields::new(&bytes);
            let mut covered = 0;
            while let Some(Ok(field)) = walk.next() {
                covered += field.value.len() + 4;
            }
            prop_assert_eq!(covered + walk.rest().len(), bytes.len());
            prop_assert!(walk.next().is_none() || !walk.broken);
        }
    }
}
