//! Control messages (`cmsg(3)`) as bytes: read and written by offset, without a pointer.
//!
//! A message is a header (length, level, type; 16 bytes on 64-bit Linux), its data, and padding to a
//! multiple of the word. The length in the header counts header and data, not the padding.

/// Bytes of a message's header.
const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();

const _: () = assert!(HEADER_LEN.is_multiple_of(WORD) && HEADER_LEN == WORD + 8);

/// Bytes that a message with `data_len` bytes of data takes in a buffer.
pub const fn space(data_len: usize) -> usize {
    HEADER_LEN + data_len.next_multiple_of(WORD)
}

/// One control message, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMessage<'a> {
    /// The protocol it belongs to: `SOL_SOCKET`, `IPPROTO_IP`, …
    pub level: i32,
    /// Its type within that protocol.
    pub kind: i32,
    /// Its data.
    pub data: &'a [u8],
}

/// The messages in a buffer the kernel has filled, cut to the length it reported.
///
/// Ends at the first header whose length does not fit, which the kernel never writes.
#[derive(Clone, Debug)]
pub struct ControlMessages<'a>(&'a [u8]);

impl<'a> ControlMessages<'a> {
    /// Over a control buffer.
    pub const fn new(control: &'a [u8]) -> Self {
        Self(control)
    }
}

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    #[inline]
    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = self.0.get(HEADER_LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(WORD)..).unwrap_or_default();
        Some(ControlMessage {
            level: i32::from_ne_bytes(*level),
            kind: i32::from_ne_bytes(*kind),
            data,
        })
    }
}

/// Writes one message at `at` in `control` and answers where the next one goes.
///
/// A message that does not fit is not written: buffers are sized at compile time for what is put in.
#[inline]
pub fn append<const N: usize>(
    control: &mut [u8],
    at: usize,
    (level, kind): (i32, i32),
    data: [u8; N],
) -> usize {
    let end = at + space(N);
    let Some(message) = control.get_mut(at..end) else {
        debug_assert!(false, "control buffer too small");
        return at;
    };
    message[..WORD].copy_from_slice(&(HEADER_LEN + N).to_ne_bytes());
    message[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
    message[WORD + 4..HEADER_LEN].copy_from_slice(&kind.to_ne_bytes());
    message[HEADER_LEN..HEADER_LEN + N].copy_from_slice(&data);
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut control = [0xff; 128];
        let at = append(&mut control, 0, (1, 2), [7; 12]);
        let end = append(&mut control, at, (3, 4), [9; 4]);
        assert_eq!((at, end), (space(12), space(12) + space(4)));
        let read: Vec<_> = ControlMessages::new(&control[..end]).collect();
        assert_eq!(
            read[0],
            ControlMessage {
                level: 1,
                kind: 2,
                data: &[7; 12]
            }
        );
        assert_eq!(
            read[1],
            ControlMessage {
                level: 3,
                kind: 4,
                data: &[9; 4]
            }
        );
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn lengths_are_the_kernels() {
        // SAFETY: CMSG_SPACE only computes.
        let space_12 = unsafe { libc::CMSG_SPACE(12) };
        // SAFETY: CMSG_LEN only computes.
        let len_12 = unsafe { libc::CMSG_LEN(12) };
        assert_eq!(space(12), space_12 as usize);
        assert_eq!(HEADER_LEN + 12, len_12 as usize);
    }

    proptest! {
        #[test]
        fn any_bytes_end(control in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(ControlMessages::new(&control).count() <= control.len());
        }

        #[test]
        fn any_lengths_end(lengths in prop::collection::vec(0usize..64, 0..8)) {
            let mut control = vec![0; 8 * 80];
            let mut at = 0;
            for length in &lengths {
                control[at..at + 8].copy_from_slice(&length.to_ne_bytes());
                at += length.next_multiple_of(8).max(8);
            }
            prop_assert!(ControlMessages::new(&control).count() <= 80);
        }
    }
}
