//! What has been sent and is not settled yet: a ring, found again by the number in the reply's origin.

use super::mix::Kind;
use super::samples::SampleId;
use crate::wire::NtpTimestamp;

/// What became of a request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Answered,
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    intended_ns: u64,
    sent_ns: u64,
    client: u32,
    sample: SampleId,
    kind: Kind,
    measured: bool,
    state: State,
}

impl Entry {
    const fn request(&self) -> Request {
        Request {
            intended_ns: self.intended_ns,
            client: self.client,
            sample: self.sample,
            kind: self.kind,
            measured: self.measured,
        }
    }
}

/// A request found again by its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When it was meant to leave, in nanoseconds of the monotonic clock.
    pub(super) intended_ns: u64,
    /// Which of the interleaved clients asked; nothing for other kinds.
    pub(super) client: u32,
    /// Whether and as what the kernel stamps its departure.
    pub(super) sample: SampleId,
    /// What it was.
    pub(super) kind: Kind,
    /// Whether it was sent after the warm-up.
    pub(super) measured: bool,
}

/// A request's number, which names it in the timestamps of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The number.
    pub(super) number: u64,
    /// Its transmit timestamp, which a basic reply has as its origin.
    pub(super) transmit: NtpTimestamp,
    /// Its receive timestamp, if it is an interleaved one's, which an interleaved reply has as its origin.
    pub(super) receive: NtpTimestamp,
}

/// Whose a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first reply to this request, and the request's number where it is an interleaved one.
    First(Request, Option<u64>),
    /// One more.
    Duplicate(Request),
    /// To a request that was given up.
    Late(Request),
    /// To a request so old that its place is taken, or to none at all.
    Stale,
}

/// Remembers requests in the order they were sent; its size is fixed.
pub(super) struct Ledger {
    ring: Box<[Entry]>,
    /// The number of the next request.
    next: u64,
    /// The oldest request that may still be open.
    oldest: u64,
    open: u64,
    /// Makes transmit timestamps out of numbers; another one in each run, so that a reply to an earlier
    /// run's request is known for what it is.
    mask: u64,
}

impl Ledger {
    /// Room for `capacity` requests, rounded up to a power of two.
    pub(super) fn new(capacity: usize, mask: u64) -> Self {
        let free = Entry {
            number: u64::MAX,
            intended_ns: 0,
            sent_ns: 0,
            client: 0,
            sample: SampleId::NONE,
            kind: Kind::Basic,
            measured: false,
            state: State::GivenUp,
        };
        Self {
            ring: vec![free; capacity.next_power_of_two()].into(),
            next: 0,
            oldest: 0,
            open: 0,
            mask,
        }
    }

    /// Whether another request would take the place of one that is still open.
    pub(super) fn is_full(&self) -> bool {
        self.next - self.oldest >= self.ring.len() as u64
    }

    /// Requests neither answered nor given up.
    pub(super) const fn open(&self) -> u64 {
        self.open
    }

    /// Enters a request.
    #[inline]
    pub(super) fn enter(&mut self, request: Request, sent_ns: u64) -> Names {
        let number = self.next;
        self.next += 1;
        self.open += 1;
        let place = self.place(number);
        self.ring[place] = Entry {
            number,
            intended_ns: request.intended_ns,
            sent_ns,
            client: request.client,
            sample: request.sample,
            kind: request.kind,
            measured: request.measured,
            state: State::Open,
        };
        // Odd multipliers are bijections of 64 bits: no two names meet, and none is like the next.
        let name = |name: u64| NtpTimestamp::from_bits((name ^ self.mask).wrapping_mul(MULTIPLIER));
        Names {
            number,
            transmit: name(2 * number),
            receive: name(2 * number + 1),
        }
    }

    /// Takes back the request entered last: it could not leave.
    pub(super) fn withdraw(&mut self) {
        let place = self.place(self.next.wrapping_sub(1));
        if self.ring[place].state == State::Open {
            self.next -= 1;
            self.open -= 1;
            self.ring[place].number = u64::MAX;
        }
    }

    /// Finds the request a reply is to.
    #[inline]
    pub(super) fn find(&mut self, origin: NtpTimestamp) -> Found {
        let name = origin.to_bits().wrapping_mul(INVERSE) ^ self.mask;
        let (number, is_interleaved) = (name / 2, name % 2 == 1);
        let place = self.place(number);
        let entry = &mut self.ring[place];
        if entry.number != number || (is_interleaved && entry.kind != Kind::Interleaved) {
            return Found::Stale;
        }
        let request = entry.request();
        match entry.state {
            State::Open => {
                entry.state = State::Answered;
                self.open -= 1;
                Found::First(request, is_interleaved.then_some(number))
            }
            State::Answered => Found::Duplicate(request),
            State::GivenUp => Found::Late(request),
        }
    }

    /// Gives up what was sent before `deadline_ns` and not answered; each such request goes to `lost`.
    #[inline]
    pub(super) fn give_up(&mut self, deadline_ns: u64, mut lost: impl FnMut(Request)) {
        while self.oldest < self.next {
            let place = self.place(self.oldest);
            let entry = &mut self.ring[place];
            if entry.sent_ns >= deadline_ns {
                return;
            }
            if entry.state == State::Open {
                entry.state = State::GivenUp;
                self.open -= 1;
                lost(entry.request());
            }
            self.oldest += 1;
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.ring)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "masked by the ring's length"
    )]
    fn place(&self, number: u64) -> usize {
        number as usize & (self.ring.len() - 1)
    }
}

/// An odd number without pattern, and its inverse modulo 2^64.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const INVERSE: u64 = inverse(MULTIPLIER);
const _: () = assert!(MULTIPLIER.wrapping_mul(INVERSE) == 1);

/// Newton's iteration: each step doubles the bits that are right, and an odd number's own three are.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(intended_ns: u64) -> Request {
        Request {
            intended_ns,
            client: 0,
            sample: SampleId::NONE,
            kind: Kind::Signed,
            measured: true,
        }
    }

    #[test]
    fn a_reply_is_first_then_duplicate() {
        let mut ledger = Ledger::new(4, 99);
        let (one, two) = (
            ledger.enter(request(1), 1).transmit,
            ledger.enter(request(2), 2).transmit,
        );
        assert_eq!(ledger.find(two), Found::First(request(2), None));
        assert_eq!(ledger.find(one), Found::First(request(1), None));
        assert_eq!(ledger.find(two), Found::Duplicate(request(2)));
        assert_eq!(ledger.find(NtpTimestamp::from_bits(12_345)), Found::Stale);
    }

    #[test]
    fn an_interleaved_reply_names_its_request_by_the_receive_timestamp() {
        let mut ledger = Ledger::new(4, 99);
        let plain = ledger.enter(request(1), 1);
        let interleaved = Request {
            kind: Kind::Interleaved,
            ..request(2)
        };
        let names = ledger.enter(interleaved, 2);
        assert_eq!(ledger.find(plain.receive), Found::Stale);
        assert_eq!(
            ledger.find(names.receive),
            Found::First(interleaved, Some(names.number))
        );
        assert_eq!(ledger.find(names.transmit), Found::Duplicate(interleaved));
    }

    #[test]
    fn what_is_given_up_is_lost_once_and_then_late() {
        let mut ledger = Ledger::new(4, 5);
        let stamps = [1, 2, 3].map(|at| ledger.enter(request(at), at * 100).transmit);
        ledger.find(stamps[1]);
        let mut lost = Vec::new();
        ledger.give_up(250, |request| lost.push(request.intended_ns));
        assert_eq!((lost.as_slice(), ledger.open()), (&[1][..], 1));
        assert_eq!(ledger.find(stamps[0]), Found::Late(request(1)));
        assert_eq!(ledger.find(stamps[2]), Found::First(request(3), None));
    }

    #[test]
    fn a_place_taken_by_another_makes_the_reply_stale() {
        let mut ledger = Ledger::new(2, 5);
        let first = ledger.enter(request(1), 1).transmit;
        ledger.enter(request(2), 2);
        assert!(ledger.is_full());
        ledger.give_up(10, |_| {});
        assert!(!ledger.is_full());
        ledger.enter(request(3), 3);
        assert_eq!(ledger.find(first), Found::Stale);
    }

    #[test]
    fn another_run_is_another_ledger() {
        let stamp = Ledger::new(8, 1).enter(request(1), 1).transmit;
        let mut other = Ledger::new(8, 2 << 32);
        other.enter(request(1), 1);
        assert_eq!(other.find(stamp), Found::Stale);
    }
}
