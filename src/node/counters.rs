//! What a worker counts: one block of its own, written by it alone, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::apart::stands_apart;
use super::residence::Residence;
use super::stamp_error::StampErrors;
use crate::server::Outcome;

/// What is counted besides outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// The arrival has a stamp of the kernel's.
    TimestampKernel = Outcome::COUNTERS,
    /// The arrival has no stamp, or an absurd one: the clock was read instead.
    TimestampDaemon,
    /// Replies in interleaved mode.
    Interleaved,
    /// Receiving calls that brought datagrams.
    Burst,
    /// Replies the kernel took.
    Sent,
    /// Replies whose destination the kernel refused.
    SendRefused,
    /// Replies that found the send queue full.
    SendNoRoom,
    /// Receiving calls that failed.
    ReceiveError,
    /// Records of clients that made room for others.
    ClientsEvicted,
    /// Replies to interleaved clients that made room for others before they were asked about.
    InterleavedEvicted,
    /// Stamps of departures that the kernel gave.
    TransmitStamp,
    /// Replies not sent because the clock was stepped while they were made.
    ClockStepped,
    /// Times a receive queue was made smaller, because it did not empty, or larger again.
    QueueResized,
    /// Times the worker went to sleep because nothing came.
    Parked,
}

const EVENT_NAMES: [&str; 14] = [
    "timestamps_kernel",
    "timestamps_daemon",
    "interleaved",
    "bursts",
    "sent",
    "send_refused",
    "send_no_room",
    "receive_errors",
    "clients_evicted",
    "interleaved_evicted",
    "transmit_stamps",
    "clock_stepped",
    "queue_resized",
    "parked",
];

const COUNTERS: usize = Outcome::COUNTERS + EVENT_NAMES.len();

/// One worker's counters, on cache lines of their own ([`Apart`](super::Apart) says how far apart).
///
/// There is one writer, so adding is a plain load and store: no locked instruction.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    counters: [AtomicU64; COUNTERS],
    kinds: [AtomicU64; KINDS],
    residence: Residence,
    transmit_errors: StampErrors,
}

const _: () = assert!(stands_apart::<WorkerCounters>());

impl Default for WorkerCounters {
    fn default() -> Self {
        Self {
            counters: std::array::from_fn(|_| AtomicU64::new(0)),
            kinds: std::array::from_fn(|_| AtomicU64::new(0)),
            residence: Residence::default(),
            transmit_errors: StampErrors::default(),
        }
    }
}

impl WorkerCounters {
    /// Counts how a datagram ended.
    #[inline]
    pub fn count(&self, outcome: &Outcome) {
        self.add_at(outcome.counter(), 1);
    }

    /// Counts what a datagram is by its first byte, 0 where it has none.
    #[inline]
    pub fn count_kind(&self, first: u8, is_v6: bool) {
        add(&self.kinds[Kind::place(first, is_v6)], 1);
    }

    /// Adds to an event.
    #[inline]
    pub fn add(&self, event: Event, amount: usize) {
        self.add_at(event as usize, amount as u64);
    }

    /// Sets an event to a count that is kept elsewhere.
    #[inline]
    pub fn set(&self, event: Event, value: u64) {
        self.counters[event as usize].store(value, Ordering::Relaxed);
    }

    /// Takes over what was counted elsewhere.
    pub fn copy_outcomes(&self, outcomes: &[u64; Outcome::COUNTERS], kinds: &[u64; KINDS]) {
        for (counter, value) in self.counters.iter().zip(outcomes) {
            counter.store(*value, Ordering::Relaxed);
        }
        for (counter, value) in self.kinds.iter().zip(kinds) {
            counter.store(*value, Ordering::Relaxed);
        }
    }

    /// How long those that were answered have stayed.
    #[inline]
    pub const fn residence(&self) -> &Residence {
        &self.residence
    }

    /// By how much sampled replies left at another moment than they said.
    pub const fn transmit_errors(&self) -> &StampErrors {
        &self.transmit_errors
    }

    /// All counters at about this moment.
    pub fn snapshot(&self) -> Counts {
        Counts(std::array::from_fn(|at| {
            self.counters[at].load(Ordering::Relaxed)
        }))
    }

    /// Datagrams by family, version and mode at about this moment.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, u64)> {
        let counts = self.kinds.iter().map(|one| one.load(Ordering::Relaxed));
        (0..KINDS).map(Kind::at).zip(counts)
    }

    #[inline]
    fn add_at(&self, at: usize, amount: u64) {
        add(&self.counters[at], amount);
    }
}

#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}

/// Who has counted something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counting {
    /// A worker, with its core if it has one of its own.
    Worker(Option<usize>),
    /// The kernel, at an interface (`fastpath`).
    Interface(String),
}

/// What a datagram says that it is, whether or not it is that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// By IPv6.
    pub is_v6: bool,
    /// 0 to 7.
    pub version: u8,
    /// 0 to 7 (RFC 5905 §7.3).
    pub mode: u8,
}

impl Kind {
    /// The leap indicator, above version and mode, says nothing.
    #[inline]
    const fn place(first: u8, is_v6: bool) -> usize {
        (first & FIRST_MASK) as usize | (is_v6 as usize) << 6
    }

    #[expect(clippy::cast_possible_truncation, reason = "three bits each")]
    const fn at(place: usize) -> Self {
        Self {
            is_v6: place >> 6 == 1,
            version: (place >> 3 & 7) as u8,
            mode: (place & 7) as u8,
        }
    }
}

/// Version and mode.
const FIRST_MASK: u8 = 0x3f;
const KINDS: usize = 2 << 6;

/// Counters as read, of one worker or of several in sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts([u64; COUNTERS]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counts {
    /// The sum of several workers.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |sum, part| {
            Self(std::array::from_fn(|at| sum.0[at].wrapping_add(part.0[at])))
        })
    }

    /// Datagrams taken in: each ended in one outcome.
    pub fn received(&self) -> u64 {
        self.0[..Outcome::COUNTERS].iter().sum()
    }

    /// What has come since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|at| {
            self.0[at].wrapping_sub(earlier.0[at])
        }))
    }

    /// How often datagrams ended in each outcome, by name.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.named().take(Outcome::COUNTERS)
    }

    /// One outcome's or event's count by its name; 0 where there is none of it.
    pub fn by_name(&self, name: &str) -> u64 {
        let mut all = self.named();
        all.find(|(other, _)| *other == name)
            .map_or(0, |(_, count)| count)
    }

    /// One event.
    pub const fn event(&self, event: Event) -> u64 {
        self.0[event as usize]
    }

    /// Every counter with its name: outcomes, then events.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::counter_names()
            .into_iter()
            .chain(EVENT_NAMES)
            .zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{DropReason, Plan};

    #[test]
    fn kinds_are_counted_by_what_the_first_byte_says() {
        let counters = WorkerCounters::default();
        counters.count_kind(0xe3, false);
        counters.count_kind(0x23, false);
        counters.count_kind(0x19, true);
        let moved: Vec<_> = counters.kinds().filter(|(_, count)| *count > 0).collect();
        let kind = |is_v6, version, mode| Kind {
            is_v6,
            version,
            mode,
        };
        assert_eq!(moved, [(kind(false, 4, 3), 2), (kind(true, 3, 1), 1)]);
    }

    #[test]
    fn outcomes_and_events_have_their_own_places() {
        let counters = WorkerCounters::default();
        counters.count(&Outcome::Answer(Plan::UNSIGNED));
        counters.count(&Outcome::Drop(DropReason::BadMac));
        counters.add(Event::TimestampKernel, 2);
        counters.add(Event::Parked, 3);
        let counts = Counts::sum([counters.snapshot(), counters.snapshot()]);
        let moved: Vec<_> = counts.named().filter(|(_, value)| *value > 0).collect();
        assert_eq!(
            moved,
            [
                ("answered", 2),
                ("bad_mac", 2),
                ("timestamps_kernel", 4),
                ("parked", 6)
            ]
        );
        assert_eq!(counts.received(), 4);
    }
}
