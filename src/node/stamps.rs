//! Replies whose departure the kernel was asked to stamp, until the stamps come.

use crate::sys::Timespec;
use crate::wire::NtpTimestamp;

/// Replies of one port that may be waited for at a time.
const WAITING: usize = 1024;
/// A stamp that has not come after so long will not.
const PATIENCE_NS: u64 = 50_000_000;

/// A reply that was asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The clock when all of its burst was sealed.
    pub(super) sealed: Timespec,
    /// When it was expected to leave, which is what it says.
    pub(super) said: NtpTimestamp,
    /// Its place in the burst.
    pub(super) place: u16,
    /// Whether the worker had slept.
    pub(super) woken: bool,
    /// The receive timestamp of a reply that is remembered for an interleaved client; zero for a sample.
    pub(super) receive: NtpTimestamp,
}

/// Those of one port. The kernel numbers them as they are sent.
pub(super) struct Stamps {
    ring: Box<[Option<Asked>]>,
    next: u32,
    waiting: u32,
    last_ns: u64,
}

impl Stamps {
    /// Bytes of one port's, with what they have on the heap.
    pub(super) const BYTES: usize = size_of::<Self>() + WAITING * size_of::<Option<Asked>>();

    pub(super) fn new() -> Self {
        Self {
            ring: vec![None; WAITING].into(),
            next: 0,
            waiting: 0,
            last_ns: 0,
        }
    }

    /// The next reply that is asked about leaves.
    #[inline]
    pub(super) fn ask(&mut self, asked: Asked, now_ns: u64) {
        let place = &mut self.ring[self.next as usize % WAITING];
        self.waiting += u32::from(place.is_none());
        *place = Some(asked);
        self.next = self.next.wrapping_add(1);
        self.last_ns = now_ns;
    }

    /// The stamp of this number came; `None`: it is too old, or came twice.
    #[inline]
    pub(super) fn came(&mut self, number: u32) -> Option<Asked> {
        let is_known = (1..=WAITING).contains(&(self.next.wrapping_sub(number) as usize));
        let asked = self.ring[number as usize % WAITING].take_if(|_| is_known)?;
        self.waiting -= 1;
        Some(asked)
    }

    /// Whether it is worth looking for stamps.
    #[inline]
    pub(super) const fn is_waiting(&self, now_ns: u64) -> bool {
        self.waiting > 0 && now_ns.saturating_sub(self.last_ns) <= PATIENCE_NS
    }

    /// Forgets all that is waited for: the clock was stepped, and their stamps may be of either time.
    pub(super) fn forget(&mut self) {
        self.ring.fill(None);
        self.waiting = 0;
    }

    /// Forgets all, and expects the kernel to number from here on anew.
    pub(super) fn restart(&mut self) {
        self.forget();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(place: u16) -> Asked {
        Asked {
            sealed: Timespec::default(),
            said: NtpTimestamp::ZERO,
            place,
            woken: false,
            receive: NtpTimestamp::ZERO,
        }
    }

    #[test]
    fn a_stamp_finds_its_reply_once() {
        let mut stamps = Stamps::new();
        (0..3).for_each(|place| stamps.ask(asked(place), 5));
        assert_eq!(stamps.came(1).map(|asked| asked.place), Some(1));
        assert!(stamps.came(1).is_none() && stamps.came(3).is_none());
        assert!(stamps.is_waiting(5) && !stamps.is_waiting(5 + PATIENCE_NS + 1));
        assert_eq!(stamps.came(0).map(|asked| asked.place), Some(0));
        assert_eq!(stamps.came(2).map(|asked| asked.place), Some(2));
        assert!(!stamps.is_waiting(5));
    }

    #[test]
    fn what_is_forgotten_does_not_shift_the_numbers() {
        let mut stamps = Stamps::new();
        stamps.ask(asked(7), 5);
        stamps.forget();
        stamps.ask(asked(8), 5);
        assert!(stamps.came(0).is_none());
        assert_eq!(stamps.came(1).map(|asked| asked.place), Some(8));
    }

    #[test]
    fn what_was_overtaken_is_not_taken_for_another() {
        let mut stamps = Stamps::new();
        (0..=1024).for_each(|place| stamps.ask(asked(place), 5));
        assert!(stamps.came(0).is_none());
        assert_eq!(stamps.came(1024).map(|asked| asked.place), Some(1024));
        stamps.restart();
        assert!(stamps.came(5).is_none() && !stamps.is_waiting(5));
    }
}
