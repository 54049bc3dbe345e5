//! What was counted in the last minute, second by second.

use std::collections::VecDeque;

use crate::node::command::Crew;
use crate::node::counters::Counts;
use crate::node::responders::Queues;
use crate::node::{ResidenceCounts, StampErrorCounts};

/// All counters at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// By the clock that never steps.
    pub(super) at_ns: u64,
    /// All workers in sum.
    pub(super) counts: Counts,
    /// All workers in sum.
    pub(super) residence: ResidenceCounts,
    /// All workers in sum.
    pub(super) errors: StampErrorCounts,
    /// Datagrams that the kernel dropped because a queue was full.
    pub(super) queue_dropped: u64,
    /// Datagrams that each worker has taken in.
    pub(super) received: Box<[u64]>,
}

impl Reading {
    /// Of now.
    pub(super) fn of(crew: &Crew, queues: Option<&Queues>, now_ns: u64) -> Self {
        let all = crew.counters();
        let hands = || all.iter().map(|(_, counters)| counters);
        let received = hands().map(|counters| counters.snapshot().received());
        Self {
            at_ns: now_ns,
            counts: Counts::sum(hands().map(|counters| counters.snapshot())),
            residence: ResidenceCounts::sum(hands().map(|c| c.residence().snapshot())),
            errors: StampErrorCounts::sum(hands().map(|c| c.transmit_errors().snapshot())),
            queue_dropped: queues.map_or(0, Queues::dropped),
            received: received.collect(),
        }
    }

    /// What has come since an earlier one of the same workers.
    pub(super) fn since(&self, earlier: &Self) -> Span {
        let received = self.received.iter().zip(&earlier.received);
        Span {
            seconds: seconds(self.at_ns.saturating_sub(earlier.at_ns)),
            counts: self.counts.since(&earlier.counts),
            residence: self.residence.since(&earlier.residence),
            errors: self.errors.since(&earlier.errors),
            queue_dropped: self.queue_dropped.saturating_sub(earlier.queue_dropped),
            received: received.map(|(now, before)| now - before).collect(),
        }
    }
}

/// What came between two readings.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// From one to the other.
    pub(super) seconds: f64,
    /// As in [`Reading`].
    pub(super) counts: Counts,
    /// As in [`Reading`].
    pub(super) residence: ResidenceCounts,
    /// As in [`Reading`].
    pub(super) errors: StampErrorCounts,
    /// As in [`Reading`].
    pub(super) queue_dropped: u64,
    /// As in [`Reading`].
    pub(super) received: Box<[u64]>,
}

impl Span {
    /// So many of them a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn rate(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(1e-9)
    }
}

/// The readings of the last minute, one a second.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// The newest last.
    readings: VecDeque<Reading>,
}

impl Rates {
    /// When the next reading is due.
    pub(super) fn next_deadline(&self) -> u64 {
        let last = self.readings.back();
        last.map_or(0, |reading| reading.at_ns.saturating_add(SECOND_NS))
    }

    /// Takes a reading in.
    pub(super) fn add(&mut self, reading: Reading) {
        if self.readings.len() > SECONDS_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// Datagrams a second taken in, second by second, the oldest first.
    pub(super) fn history(&self) -> Vec<f64> {
        let pairs = self.readings.iter().zip(self.readings.iter().skip(1));
        let spans = pairs.map(|(earlier, later)| later.since(earlier));
        spans
            .map(|span| span.rate(span.counts.received()))
            .collect()
    }

    /// What came in the last so many seconds, or since there are readings; `None` of less than two.
    pub(super) fn over(&self, seconds: usize) -> Option<Span> {
        let newest = self.readings.len().checked_sub(1)?;
        let earlier = newest.saturating_sub(seconds);
        (earlier < newest).then(|| self.readings[newest].since(&self.readings[earlier]))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

const SECOND_NS: u64 = 1_000_000_000;
/// The longest time that is looked back.
const SECONDS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::counters::WorkerCounters;
    use crate::server::{Outcome, Plan};

    #[test]
    fn a_minute_is_kept_and_no_more() {
        let mut rates = Rates::default();
        let counters = WorkerCounters::default();
        assert_eq!((rates.next_deadline(), rates.over(1).is_none()), (0, true));
        for second in 1..=100 {
            (0..second).for_each(|_| counters.count(&Outcome::Answer(Plan::UNSIGNED)));
            let mut reading = Reading::of(&Crew::default(), None, second * SECOND_NS);
            reading.counts = counters.snapshot();
            rates.add(reading);
        }
        assert_eq!(rates.next_deadline(), 101 * SECOND_NS);
        let rate = |seconds| {
            let span = rates.over(seconds).unwrap();
            span.rate(span.counts.received())
        };
        assert!((rate(1) - 100.0).abs() < 1e-9, "{}", rate(1));
        assert!((rate(10) - 95.5).abs() < 1e-9, "{}", rate(10));
        assert!((rate(60) - 70.5).abs() < 1e-9, "{}", rate(60));
        assert!((rate(1000) - rate(60)).abs() < 1e-9);
        let history = rates.history();
        assert_eq!(history.len(), 60);
        assert!((history[0] - 41.0).abs() < 1e-9 && (history[59] - 100.0).abs() < 1e-9);
    }
}
