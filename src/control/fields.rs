//! Fields of messages, one behind the other, in network order and without holes.
//!
//! A layout is written once, as a function over [`Fields`]: with a [`Reader`] it fills the fields in, with a
//! [`Writer`] it puts them down. So the two directions cannot differ.

use super::float;
use super::status::Status;

/// Where fields come from or go to. What a layout passes is the field's value before and after.
pub(super) trait Fields {
    /// The next bytes.
    ///
    /// # Errors
    /// A reader has no more: [`Status::BadLength`].
    fn octets(&mut self, field: &mut [u8]) -> Result<(), Status>;

    fn u8(&mut self, field: &mut u8) -> Result<(), Status> {
        self.octets(core::slice::from_mut(field))
    }

    fn i8(&mut self, field: &mut i8) -> Result<(), Status> {
        let mut bits = field.cast_unsigned();
        self.u8(&mut bits)?;
        *field = bits.cast_signed();
        Ok(())
    }

    fn u16(&mut self, field: &mut u16) -> Result<(), Status> {
        let mut bytes = field.to_be_bytes();
        self.octets(&mut bytes)?;
        *field = u16::from_be_bytes(bytes);
        Ok(())
    }

    fn u32(&mut self, field: &mut u32) -> Result<(), Status> {
        let mut bytes = field.to_be_bytes();
        self.octets(&mut bytes)?;
        *field = u32::from_be_bytes(bytes);
        Ok(())
    }

    fn i32(&mut self, field: &mut i32) -> Result<(), Status> {
        let mut bits = field.cast_unsigned();
        self.u32(&mut bits)?;
        *field = bits.cast_signed();
        Ok(())
    }

    fn u64(&mut self, field: &mut u64) -> Result<(), Status> {
        let mut bytes = field.to_be_bytes();
        self.octets(&mut bytes)?;
        *field = u64::from_be_bytes(bytes);
        Ok(())
    }

    /// A count in 32 bits; a larger one is the largest.
    fn count(&mut self, field: &mut u64) -> Result<(), Status> {
        let mut bits = u32::try_from(*field).unwrap_or(u32::MAX);
        self.u32(&mut bits)?;
        *field = u64::from(bits);
        Ok(())
    }

    /// 32 bits, all of them set where there is nothing to say.
    fn optional(&mut self, field: &mut Option<u32>) -> Result<(), Status> {
        let mut bits = field.unwrap_or(u32::MAX);
        self.u32(&mut bits)?;
        *field = (bits != u32::MAX).then_some(bits);
        Ok(())
    }

    /// 16 bits that must hold a smaller number.
    fn narrow<T: Copy + TryFrom<u16> + Into<u16>>(&mut self, field: &mut T) -> Result<(), Status> {
        let mut wide: u16 = (*field).into();
        self.u16(&mut wide)?;
        *field = T::try_from(wide).map_err(|_| Status::Invalid)?;
        Ok(())
    }

    /// 32 bits, yes or no: no is zero.
    fn flag(&mut self, field: &mut bool) -> Result<(), Status> {
        let mut bits = u32::from(*field);
        self.u32(&mut bits)?;
        *field = bits != 0;
        Ok(())
    }

    /// 16 bits: the value's place among all there are.
    fn place<T: Copy + PartialEq>(&mut self, field: &mut T, all: &[T]) -> Result<(), Status> {
        let place = all.iter().position(|one| one == field);
        let mut code = place
            .and_then(|place| u16::try_from(place).ok())
            .unwrap_or(u16::MAX);
        self.u16(&mut code)?;
        *field = *all.get(usize::from(code)).ok_or(Status::Invalid)?;
        Ok(())
    }

    /// chrony's floating format: written to the nearest, read exactly.
    fn float(&mut self, field: &mut f64) -> Result<(), Status> {
        let mut bytes = float::emit(*field);
        self.octets(&mut bytes)?;
        *field = float::parse(bytes);
        Ok(())
    }

    /// A number whose sign is another in chrony's reports than here. Zero has none.
    fn opposite(&mut self, field: &mut f64) -> Result<(), Status> {
        let mut theirs = 0.0 - *field;
        self.float(&mut theirs)?;
        *field = 0.0 - theirs;
        Ok(())
    }

    /// A moment as seconds since the Unix epoch and nanoseconds.
    fn moment(&mut self, (seconds, nanos): &mut (i64, u32)) -> Result<(), Status> {
        let bits = seconds.cast_unsigned();
        let [mut high, mut low] = [high_half(bits), low_half(bits)];
        self.u32(&mut high)?;
        self.u32(&mut low)?;
        self.u32(nanos)?;
        if *nanos >= NANOS_PER_S {
            return Err(Status::InvalidTime);
        }
        if high == SECONDS_HIGH_UNKNOWN {
            high = 0;
        }
        *seconds = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        Ok(())
    }

    /// Bytes that nobody reads, and what stands there.
    fn padding<const LEN: usize>(&mut self, value: u8) -> Result<(), Status> {
        self.octets(&mut [value; LEN])
    }

    /// A name in 256 bytes, of which at least the last is zero.
    fn name(&mut self, field: &mut String) -> Result<(), Status> {
        let mut bytes = [0; NAME_LEN];
        // A longer one is cut: no name that can be looked up has more.
        let length = field.len().min(NAME_LEN - 1);
        bytes[..length].copy_from_slice(&field.as_bytes()[..length]);
        self.octets(&mut bytes)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let text = &bytes[..end.ok_or(Status::BadName)?];
        let is_printable = text.iter().all(u8::is_ascii_graphic);
        let text = str::from_utf8(text).map_err(|_| Status::BadName)?;
        if !is_printable {
            return Err(Status::BadName);
        }
        text.clone_into(field);
        Ok(())
    }
}

/// Fields of bytes that came.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Fields for Reader<'_> {
    fn octets(&mut self, field: &mut [u8]) -> Result<(), Status> {
        let (front, rest) = self
            .0
            .split_at_checked(field.len())
            .ok_or(Status::BadLength)?;
        field.copy_from_slice(front);
        self.0 = rest;
        Ok(())
    }
}

/// Fields behind what is there already.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Fields for Writer<'_> {
    fn octets(&mut self, field: &mut [u8]) -> Result<(), Status> {
        self.0.extend_from_slice(field);
        Ok(())
    }
}

const fn high_half(bits: u64) -> u32 {
    low_half(bits >> 32)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn low_half(bits: u64) -> u32 {
    bits as u32
}

/// Bytes of a name and its end.
const NAME_LEN: usize = 256;
/// Upper half of the seconds where the sender knows the lower 32 bits only.
const SECONDS_HIGH_UNKNOWN: u32 = 0x7fff_ffff;
const NANOS_PER_S: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(layout: impl FnOnce(&mut Writer<'_>) -> Result<(), Status>) -> Vec<u8> {
        let mut bytes = Vec::new();
        layout(&mut Writer(&mut bytes)).expect("a writer takes everything");
        bytes
    }

    fn moment(bytes: &[u8]) -> Result<(i64, u32), Status> {
        let mut at = (0, 0);
        Reader(bytes).moment(&mut at)?;
        Ok(at)
    }

    #[test]
    fn a_moment_of_32_bits() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(moment(&bytes), Ok((0x8000_0001, 9)));
        let mut overfull = [0; 12];
        overfull[8..].copy_from_slice(&1_000_000_000u32.to_be_bytes());
        assert_eq!(moment(&overfull), Err(Status::InvalidTime));
        assert_eq!(moment(&bytes[..11]), Err(Status::BadLength));
    }

    #[test]
    fn what_a_name_may_be() {
        let read = |bytes: &[u8]| {
            let mut name = String::new();
            let mut whole = [0; NAME_LEN];
            whole[..bytes.len()].copy_from_slice(bytes);
            Reader(&whole).name(&mut name).map(|()| name)
        };
        assert_eq!(read(b"ntp.example"), Ok("ntp.example".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
        assert_eq!(read(&[b'a'; 255]), Ok("a".repeat(255)));
        for bad in [&b"a b"[..], b"\xff", b"a\n", &[b'a'; 256]] {
            assert_eq!(read(bad), Err(Status::BadName), "{bad:?}");
        }
        let cut = written(|fields| fields.name(&mut "a".repeat(300)));
        assert_eq!((cut.len(), cut[254], cut[255]), (256, b'a', 0));
    }

    #[test]
    fn numbers_that_do_not_fit() {
        assert_eq!(written(|f| f.count(&mut (1 << 40))), [0xff; 4]);
        assert_eq!(written(|f| f.optional(&mut None)), [0xff; 4]);
        let mut small = 0u8;
        assert_eq!(Reader(&[1, 0]).narrow(&mut small), Err(Status::Invalid));
        assert_eq!(
            Reader(&[0, 2]).place(&mut 'a', &['a', 'b']),
            Err(Status::Invalid)
        );
    }

    #[test]
    fn the_other_sign_and_no_sign_of_zero() {
        assert_eq!(written(|f| f.opposite(&mut 1.0)), float::emit(-1.0));
        let mut value = 1.0;
        Reader(&[0; 4]).opposite(&mut value).expect("four bytes");
        assert_eq!(value.to_bits(), 0);
    }

    proptest! {
        #[test]
        fn moments_come_back(seconds in -1i64 << 40..1 << 40, nanos in 0u32..1_000_000_000) {
            let bytes = written(|fields| fields.moment(&mut (seconds, nanos)));
            prop_assert_eq!(moment(&bytes), Ok((seconds, nanos)));
        }
    }
}
