//! What was done, for people: printed once, when the program ends.

use std::fmt;

use super::counters::{Counting, Counts, Event};
use super::stamp_error::StampErrorCounts;

/// A run in figures.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Seconds from the start of the workers.
    pub seconds: f64,
    /// Each worker, then each interface at which the kernel answers, and its counts.
    pub workers: Vec<(Counting, Counts)>,
    /// By how much sampled replies left at another moment than they said.
    pub transmit_errors: StampErrorCounts,
    /// Datagrams the kernel dropped because a socket's queue was full.
    pub queue_dropped: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = Counts::sum(self.workers.iter().map(|(_, counts)| *counts));
        writeln!(f, "maser served for {:.1} s", self.seconds)?;
        line(f, "received", total.received())?;
        for (name, value) in total.named() {
            line(f, name, value)?;
        }
        line(f, "queue_dropped", self.queue_dropped)?;
        let kernel = total.event(Event::TimestampKernel);
        writeln!(
            f,
            "receive timestamps: {:.3} % the kernel's",
            percent(kernel, total.received())
        )?;
        let errors = &self.transmit_errors;
        if errors.count() > 0 {
            writeln!(
                f,
                "transmit timestamps: {:+.2} us off in the mean, 99 % within {:.3} us, by {} stamps of the \
                 kernel's",
                errors.mean_ns() / 1e3,
                micros(errors.bound_ns(0.99)),
                errors.count(),
            )?;
        }
        for (worker, (who, counts)) in self.workers.iter().enumerate() {
            let who = match who {
                Counting::Worker(Some(cpu)) => format!("worker {worker} on core {cpu}"),
                Counting::Worker(None) => format!("worker {worker} on no core of its own"),
                Counting::Interface(name) => format!("fast path at {name}"),
            };
            let received = counts.received();
            let share = percent(received, total.received());
            writeln!(f, "{who}: received {received} ({share:.1} %)")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    writeln!(f, "  {name:<20} {value:>15}")
}

#[expect(clippy::cast_precision_loss, reason = "a bound for people")]
const fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1e3
}

/// `part` in `whole`; of nothing, all.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        100.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::StampErrors;
    use crate::node::counters::WorkerCounters;
    use crate::server::{DropReason, Outcome, Plan};

    #[test]
    fn reads_well() {
        let counters = WorkerCounters::default();
        for _ in 0..3 {
            counters.count(&Outcome::Answer(Plan::UNSIGNED));
        }
        counters.count(&Outcome::Drop(DropReason::BadMac));
        counters.add(Event::TimestampKernel, 3);
        counters.add(Event::TimestampDaemon, 1);
        let errors = StampErrors::default();
        [400, 600].iter().for_each(|error| errors.record(*error));
        let summary = Summary {
            seconds: 12.34,
            workers: vec![
                (Counting::Worker(Some(0)), counters.snapshot()),
                (Counting::Worker(None), Counts::default()),
                (Counting::Interface("eth0".into()), Counts::default()),
            ],
            transmit_errors: errors.snapshot(),
            queue_dropped: 5,
        };
        let text = summary.to_string();
        let starts = |start: &str| text.lines().any(|line| line.starts_with(start));
        assert!(starts("maser served for 12.3 s"));
        assert!(starts("receive timestamps: 75.000 % the kernel's"));
        assert!(starts(
            "transmit timestamps: +0.50 us off in the mean, 99 % within 0.750 us, by 2 stamps"
        ));
        assert!(starts("worker 0 on core 0: received 4 (100.0 %)"));
        assert!(starts("worker 1 on no core of its own: received 0 (0.0 %)"));
        assert!(starts("fast path at eth0: received 0 (0.0 %)"));
        let value = |name: &str| {
            let words = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            words
                .filter(|words| words.len() == 2 && words[0] == name)
                .map(|words| words[1].to_owned())
                .next()
        };
        assert_eq!(value("received").as_deref(), Some("4"));
        assert_eq!(value("bad_mac").as_deref(), Some("1"));
        assert_eq!(value("queue_dropped").as_deref(), Some("5"));
    }
}
