//! Interleaved mode (RFC 9769): when earlier replies left, found by the receive timestamps they carried.
//!
//! A client in interleaved mode sends back the receive timestamp of the last reply as its origin, and gets
//! the moment when that reply left, as the kernel or the network card saw it. Nothing is kept per address,
//! so clients behind one address do not disturb each other.

use crate::wire::{NtpDuration, NtpTimestamp};

const WAYS: usize = 4;
/// The departure must be so close to the arrival, or one of them is of another time.
const DELAY_NS_MAX: i64 = 2_000_000_000;
const DELAY_NS_MIN: i64 = -1_000_000_000;
/// Places looked at for the range of what is held.
const LOOKED_AT_MAX: usize = 1 << 13;

/// A reply that a client may ask about, once.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Reply {
    /// The receive timestamp as it was served; zero: the place is free.
    receive: NtpTimestamp,
    /// From it to the departure, in nanoseconds.
    delay_ns: i32,
    state: State,
}

const _: () = assert!(size_of::<Reply>() == 16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// The departure is not known yet.
    Pending,
    Known,
    /// Asked for already, or the receive timestamp is that of two replies.
    Spent,
}

/// The replies of a worker to interleaved clients, in a fixed amount of memory: sets of four, of which the
/// oldest makes room.
pub struct InterleavedTable {
    replies: Box<[Reply]>,
    held: u64,
    evicted: u64,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterleavedHeld {
    /// Replies that a client may ask about.
    pub replies: u64,
    /// Receive timestamps of the oldest and the newest of them, as far as was looked; `None`: there is none.
    pub range: Option<(NtpTimestamp, NtpTimestamp)>,
}

impl InterleavedTable {
    const FREE: Reply = Reply {
        receive: NtpTimestamp::ZERO,
        delay_ns: 0,
        state: State::Spent,
    };

    /// With as many replies as a power of two below what `memory_bytes` hold, four at the least.
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            replies: vec![Self::FREE; Self::replies(memory_bytes)].into(),
            held: 0,
            evicted: 0,
        }
    }

    fn replies(memory_bytes: usize) -> usize {
        let replies = (memory_bytes / Self::REPLY_BYTES).max(WAYS);
        1 << replies.ilog2()
    }

    /// Bytes that one reply takes.
    pub const REPLY_BYTES: usize = size_of::<Reply>();

    /// Bytes on the heap of a table made with `memory_bytes`.
    pub fn bytes_for(memory_bytes: usize) -> usize {
        Self::replies(memory_bytes) * Self::REPLY_BYTES
    }

    /// Bytes on the heap.
    pub const fn memory_bytes(&self) -> usize {
        size_of_val(&*self.replies)
    }

    /// Replies that made room for others before their client asked.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What it holds. Of a large table a part is looked at for the range: clients must not wait for long.
    pub fn held(&self) -> InterleavedHeld {
        let looked_at = self.replies.iter().take(LOOKED_AT_MAX);
        let held = looked_at.filter(|reply| reply.state != State::Spent);
        let range = held.fold(None, |range, reply| {
            let at = reply.receive;
            let (oldest, newest) = range.unwrap_or((at, at));
            let oldest = if at.is_before(oldest) { at } else { oldest };
            let newest = if newest.is_before(at) { at } else { newest };
            Some((oldest, newest))
        });
        InterleavedHeld {
            replies: self.held,
            range,
        }
    }

    /// When the reply with this receive timestamp left. Each is told once.
    #[inline]
    pub fn take(&mut self, receive: NtpTimestamp) -> Option<NtpTimestamp> {
        let reply = self.find(receive)?;
        let was = core::mem::replace(&mut reply.state, State::Spent);
        let delay = NtpDuration::from_nanos(i64::from(reply.delay_ns));
        self.held -= u64::from(was != State::Spent);
        (was == State::Known).then_some(receive + delay)
    }

    /// A reply with this receive timestamp is about to leave. Two with the same could not be told apart:
    /// then neither is told.
    #[inline]
    pub fn remember(&mut self, receive: NtpTimestamp) {
        if receive.is_zero() {
            return;
        }
        if let Some(reply) = self.find(receive) {
            let was = core::mem::replace(&mut reply.state, State::Spent);
            self.held -= u64::from(was != State::Spent);
            return;
        }
        // Spent places are older than any, and so are free ones.
        let age = |reply: &Reply| match reply.state {
            State::Spent => i64::MAX,
            State::Pending | State::Known => (receive - reply.receive).to_bits(),
        };
        let [first, rest @ ..] = self.set(receive);
        let mut oldest = first;
        for reply in rest {
            if age(reply) > age(oldest) {
                oldest = reply;
            }
        }
        let evicts = oldest.state != State::Spent;
        *oldest = Reply {
            receive,
            delay_ns: 0,
            state: State::Pending,
        };
        self.evicted += u64::from(evicts);
        self.held += u64::from(!evicts);
    }

    /// The reply with this receive timestamp left at `transmit`, as far as is known now; a better stamp may
    /// follow. A departure that lies far from the arrival is of another time, and the reply is spent.
    #[inline]
    pub fn left(&mut self, receive: NtpTimestamp, transmit: NtpTimestamp) {
        let Some(reply) = self.find(receive) else {
            return;
        };
        if reply.state == State::Spent {
            return;
        }
        let delay_ns = (transmit - receive).to_nanos();
        reply.state = State::Spent;
        if (DELAY_NS_MIN..=DELAY_NS_MAX).contains(&delay_ns)
            && let Ok(delay_ns) = i32::try_from(delay_ns)
        {
            (reply.delay_ns, reply.state) = (delay_ns, State::Known);
        } else {
            self.held -= 1;
        }
    }

    /// Forgets all: the clock was stepped, and what was kept is of the time before.
    pub fn clear(&mut self) {
        self.replies.fill(Self::FREE);
        self.held = 0;
    }

    fn find(&mut self, receive: NtpTimestamp) -> Option<&mut Reply> {
        let set = self.set(receive);
        set.iter_mut()
            .find(|reply| reply.receive == receive && !receive.is_zero())
    }

    #[inline]
    fn set(&mut self, receive: NtpTimestamp) -> &mut [Reply; WAYS] {
        // Timestamps of a burst are alike but for their low bits: an odd factor spreads them all.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let (sets, _) = self.replies.as_chunks_mut();
        let hash = receive.to_bits().wrapping_mul(FACTOR) >> 32;
        let last = sets.len() - 1;
        &mut sets[hash as usize & last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn at(nanos: u32) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_800_000_000, nanos)
    }

    #[test]
    fn a_departure_is_told_once_and_as_it_was_known_last() {
        let mut table = InterleavedTable::new(1 << 10);
        table.remember(at(1_000));
        assert_eq!(table.take(at(1_000)), None);
        table.remember(at(2_000));
        table.left(at(2_000), at(9_000));
        table.left(at(2_000), at(9_500));
        let told = table.take(at(2_000)).expect("known");
        assert!((told - at(9_500)).to_nanos().abs() <= 1, "{told:?}");
        assert_eq!(table.take(at(2_000)), None);
        table.left(at(2_000), at(9_600));
        assert_eq!(table.take(at(2_000)), None);
    }

    #[test]
    fn two_replies_with_one_receive_timestamp_are_told_to_neither() {
        let mut table = InterleavedTable::new(1 << 10);
        for _ in 0..2 {
            table.remember(at(5));
            table.left(at(5), at(6));
        }
        assert_eq!(table.take(at(5)), None);
    }

    #[test]
    fn a_departure_of_another_time_is_not_told() {
        let mut table = InterleavedTable::new(1 << 10);
        table.remember(at(5));
        table.left(at(5), NtpTimestamp::from_unix(1_800_000_100, 0));
        assert_eq!(table.take(at(5)), None);
        table.remember(NtpTimestamp::ZERO);
        assert_eq!(table.take(NtpTimestamp::ZERO), None);
        table.remember(at(7));
        table.left(at(7), at(8));
        table.clear();
        assert_eq!(table.take(at(7)), None);
    }

    #[test]
    fn a_full_table_keeps_the_newest() {
        let mut table = InterleavedTable::new(1 << 14);
        for nanos in 0..100_000 {
            table.remember(at(nanos));
            table.left(at(nanos), at(nanos + 1));
        }
        assert!(table.evicted() > 98_000);
        let newest = (99_900..100_000).filter(|nanos| table.take(at(*nanos)).is_some());
        assert_eq!(newest.count(), 100);
        let held = table.held();
        assert!((800..1024).contains(&held.replies), "{held:?}");
        let (oldest, newest) = held.range.expect("some are held");
        assert_eq!((newest - at(99_899)).to_nanos(), 0);
        assert!(at(90_000).is_before(oldest), "{oldest:?}");
    }

    proptest! {
        /// Against a map that forgets nothing: what is told is what was told to it.
        #[test]
        fn what_is_told_is_right(steps in prop::collection::vec((0u8..3, 0u32..40, 0u32..1_000), 0..300)) {
            let mut table = InterleavedTable::new(1 << 8);
            let mut known: HashMap<u32, Option<NtpTimestamp>> = HashMap::new();
            for (step, receive, delay) in steps {
                match step {
                    0 => {
                        table.remember(at(receive));
                        // A second one of the same is spent until it has made room.
                        known.insert(receive, None);
                    }
                    1 => {
                        let transmit = at(receive + delay);
                        table.left(at(receive), transmit);
                        known.entry(receive).and_modify(|told| *told = Some(transmit));
                    }
                    _ => {
                        if let Some(told) = table.take(at(receive)) {
                            let transmit = known.insert(receive, None).flatten().expect("it was known");
                            prop_assert!((told - transmit).to_nanos().abs() <= 1);
                        }
                    }
                }
                let held = table.replies.iter().filter(|reply| reply.state != State::Spent);
                prop_assert_eq!(table.held().replies, held.count() as u64);
            }
        }
    }
}
