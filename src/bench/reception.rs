//! What came: whose reply it is, whether it is right, and what its timestamps tell.

use super::association::Associations;
use super::carrier::Arrival;
use super::driver::Moments;
use super::figures::{Counts, Figures};
use super::judge::Judge;
use super::ledger::{Found, Ledger, Request};
use super::mix::Kind;
use super::samples::{SampleId, Samples};
use crate::sys::Timespec;
use crate::wire::{HeaderView, NtpTimestamp};

const NANOS_PER_S: i64 = 1_000_000_000;

/// All that one thread knows of what it has asked.
pub(super) struct Reception<'a> {
    pub(super) ledger: Ledger,
    pub(super) associations: Associations,
    pub(super) samples: Samples,
    pub(super) figures: Figures,
    pub(super) judge: Judge<'a>,
    pub(super) moments: Moments,
    pub(super) correction_ns: i64,
    /// The transmit timestamp of the request that is replayed.
    pub(super) replayed: NtpTimestamp,
}

/// The system's clock and the one of the schedule, read together.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) unix_ns: i64,
    pub(super) monotonic_ns: u64,
}

/// When a reply arrived, by both clocks.
#[derive(Clone, Copy)]
struct Arrived {
    at: NtpTimestamp,
    monotonic_ns: u64,
}

impl Reception<'_> {
    /// Counts a request as it leaves.
    #[inline]
    pub(super) fn sent(&mut self, request: &Request) {
        if !request.measured {
            return;
        }
        self.figures.by_kind[request.kind as usize][0] += 1;
        if request.kind.is_honest() {
            self.figures.counts.sent += 1;
            self.second(request).sent += 1;
        }
    }

    /// Gives up what was sent before this moment.
    #[inline]
    pub(super) fn give_up(&mut self, deadline_ns: u64) {
        let Self {
            ledger,
            figures,
            moments,
            ..
        } = self;
        ledger.give_up(deadline_ns, |request| {
            if request.measured && request.kind.is_honest() {
                figures.counts.lost += 1;
                let since = request.intended_ns - moments.measured_from_ns;
                figures.second(since).lost += 1;
            }
        });
    }

    /// A datagram came; `None`: not from the server.
    #[inline]
    pub(super) fn take(&mut self, arrival: Option<Arrival<'_>>, now: Now) {
        let counts = &mut self.figures.counts;
        let Some(Arrival {
            payload,
            len,
            stamp,
        }) = arrival
        else {
            counts.stale += 1;
            return;
        };
        let Some(header) = HeaderView::at_front(payload) else {
            counts.stale += 1;
            return;
        };
        let origin = header.origin_timestamp();
        let (request, interleaved_with) = match self.ledger.find(origin) {
            Found::First(request, interleaved_with) => (request, interleaved_with),
            Found::Duplicate(request) => {
                counts.duplicates += u64::from(request.measured);
                return;
            }
            Found::Late(request) => {
                counts.late += u64::from(request.measured);
                return;
            }
            Found::Stale if origin == self.replayed => {
                self.replay_answered(now.monotonic_ns);
                return;
            }
            Found::Stale => {
                counts.stale += 1;
                return;
            }
        };
        let unix_ns = stamp.map_or(now.unix_ns, unix_ns);
        let age_ns = u64::try_from(now.unix_ns - unix_ns).unwrap_or(0);
        let arrived = Arrived {
            at: timestamp(unix_ns),
            monotonic_ns: now.monotonic_ns.saturating_sub(age_ns),
        };
        self.settle(request, interleaved_with, (payload, len, header), arrived);
    }

    /// The kernel's stamp of a departure came.
    pub(super) fn departed(&mut self, sample: SampleId, at: Timespec) {
        if let Some(error) = self.samples.departed(sample, timestamp(unix_ns(at))) {
            self.figures
                .receive_error
                .record(error - self.correction_ns);
        }
    }

    fn settle(
        &mut self,
        request: Request,
        interleaved_with: Option<u64>,
        (payload, len, header): (&[u8], usize, HeaderView<'_>),
        arrived: Arrived,
    ) {
        let mut warm_up = Counts::default();
        let counts = if request.measured {
            self.figures.by_kind[request.kind as usize][1] += 1;
            &mut self.figures.counts
        } else {
            &mut warm_up
        };
        if !self
            .judge
            .count((payload, len), header, request.kind, counts)
        {
            return;
        }
        let (receive, transmit) = (header.receive_timestamp(), header.transmit_timestamp());
        let client = request.client as usize;
        // Before the state moves on: what this reply tells is about the one before.
        let previous =
            interleaved_with.and_then(|number| self.associations.previous_arrival(client, number));
        if request.kind == Kind::Interleaved {
            self.associations.replied(client, receive, arrived.at);
        }
        if !request.measured {
            return;
        }
        let latency_ns = arrived.monotonic_ns.saturating_sub(request.intended_ns);
        self.figures.latency.saturating_record(latency_ns);
        let second = self.second(&request);
        second.good += 1;
        second.latency_sum_ns += latency_ns;
        second.latency_max_ns = second.latency_max_ns.max(latency_ns);
        if let Some(error) = self.samples.received(request.sample, receive) {
            self.figures
                .receive_error
                .record(error - self.correction_ns);
        }
        let error = |arrived: NtpTimestamp| (arrived - transmit).to_nanos() - self.correction_ns;
        if interleaved_with.is_none() {
            self.figures.transmit_error.record(error(arrived.at));
            self.figures
                .residence
                .record((transmit - receive).to_nanos());
        } else {
            self.figures.counts.interleaved += 1;
            if let Some(previous) = previous {
                self.figures.interleaved_error.record(error(previous));
            }
        }
    }

    /// All replays have one name: whether this one was asked in the warm-up is told by when it came.
    fn replay_answered(&mut self, now_ns: u64) {
        if now_ns < self.moments.measured_from_ns {
            return;
        }
        self.figures.counts.hostile_answered += 1;
        self.figures.by_kind[Kind::Replay as usize][1] += 1;
    }

    fn second(&mut self, request: &Request) -> &mut super::figures::Second {
        let since_ns = request.intended_ns - self.moments.measured_from_ns;
        self.figures.second(since_ns)
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.ledger.memory_bytes()
            + self.associations.memory_bytes()
            + self.samples.memory_bytes()
            + self.figures.memory_bytes()
    }
}

/// Nanoseconds since 1970.
pub(super) fn unix_ns(at: Timespec) -> i64 {
    at.secs
        .saturating_mul(NANOS_PER_S)
        .saturating_add(i64::from(at.nanos))
}

fn timestamp(unix_ns: i64) -> NtpTimestamp {
    let nanos = u32::try_from(unix_ns.rem_euclid(NANOS_PER_S)).unwrap_or(0);
    NtpTimestamp::from_unix(unix_ns.div_euclid(NANOS_PER_S), nanos)
}
