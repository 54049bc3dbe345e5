//! What has been sent and is not settled yet: a ring, found again by the number in the reply's origin.

use super::mix::Kind;
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
    kind: Kind,
    measured: bool,
    state: State,
}

/// A request found again by its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When it was meant to leave, in nanoseconds of the monotonic clock.
    pub(super) intended_ns: u64,
    /// What it was.
    pub(super) kind: Kind,
    /// Whether it was sent after the warm-up.
    pub(super) measured: bool,
}

/// Whose a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first reply to this request.
    First(Request),
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

    /// Enters a request; the answer is the transmit timestamp that names it.
    #[inline]
    pub(super) fn enter(&mut self, request: Request, sent_ns: u64) -> NtpTimestamp {
        let number = self.next;
        self.next += 1;
        self.open += 1;
        let place = self.place(number);
        self.ring[place] = Entry {
            number,
            intended_ns: request.intended_ns,
            sent_ns,
            kind: request.kind,
            measured: request.measured,
            state: State::Open,
        };
        // Odd multipliers are bijections of 64 bits: no two numbers meet, and none is like the next.
        NtpTimestamp::from_bits((number ^ self.mask).wrapping_mul(MULTIPLIER))
    }

    /// Finds the request a reply is to.
    #[inline]
    pub(super) fn find(&mut self, origin: NtpTimestamp) -> Found {
        let number = origin.to_bits().wrapping_mul(INVERSE) ^ self.mask;
        let place = self.place(number);
        let entry = &mut self.ring[place];
        if entry.number != number {
            return Found::Stale;
        }
        let request = Request {
            intended_ns: entry.intended_ns,
            kind: entry.kind,
            measured: entry.measured,
        };
        match entry.state {
            State::Open => {
                entry.state = State::Answered;
                self.open -= 1;
                Found::First(request)
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
                lost(Request {
                    intended_ns: entry.intended_ns,
                    kind: entry.kind,
                    measured: entry.measured,
                });
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
            kind: Kind::Signed,
            measured: true,
        }
    }

    #[test]
    fn a_reply_is_first_then_duplicate() {
        let mut ledger = Ledger::new(4, 99);
        let (one, two) = (ledger.enter(request(1), 1), ledger.enter(request(2), 2));
        assert_eq!(ledger.find(two), Found::First(request(2)));
        assert_eq!(ledger.find(one), Found::First(request(1)));
        assert_eq!(ledger.find(two), Found::Duplicate(request(2)));
        assert_eq!(ledger.find(NtpTimestamp::from_bits(12_345)), Found::Stale);
    }

    #[test]
    fn what_is_given_up_is_lost_once_and_then_late() {
        let mut ledger = Ledger::new(4, 5);
        let stamps = [1, 2, 3].map(|at| ledger.enter(request(at), at * 100));
        ledger.find(stamps[1]);
        let mut lost = Vec::new();
        ledger.give_up(250, |request| lost.push(request.intended_ns));
        assert_eq!((lost.as_slice(), ledger.open()), (&[1][..], 1));
        assert_eq!(ledger.find(stamps[0]), Found::Late(request(1)));
        assert_eq!(ledger.find(stamps[2]), Found::First(request(3)));
    }

    #[test]
    fn a_place_taken_by_another_makes_the_reply_stale() {
        let mut ledger = Ledger::new(2, 5);
        let first = ledger.enter(request(1), 1);
        ledger.enter(request(2), 2);
        assert!(ledger.is_full());
        ledger.give_up(10, |_| {});
        assert!(!ledger.is_full());
        ledger.enter(request(3), 3);
        assert_eq!(ledger.find(first), Found::Stale);
    }

    #[test]
    fn another_run_is_another_ledger() {
        let stamp = Ledger::new(8, 1).enter(request(1), 1);
        let mut other = Ledger::new(8, 2 << 32);
        other.enter(request(1), 1);
        assert_eq!(other.find(stamp), Found::Stale);
    }
}
