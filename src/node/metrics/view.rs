//! The node at one moment, as the exposition and the status tell of it.

use std::collections::BTreeMap;

use super::about::About;
use super::health::Readiness;
use super::rates::{Rates, Reading};
use crate::client::SourceName;
use crate::control::TrackingReport;
use crate::discipline::SourceReport;
use crate::node::command::{CommandCounts, Commands, tracking};
use crate::node::counters::{Counting, Counts, Kind, WorkerCounters};
use crate::node::responders::Queues;
use crate::node::system_process::{SystemProcess, now};
use crate::node::{ResidenceCounts, StampErrorCounts};
use crate::sys::clock;
use crate::wire::SystemVariables;

/// What the timekeeper lends, to be looked at.
#[derive(Clone, Copy)]
pub(in crate::node) struct Lent<'a> {
    /// `None`: the time comes from elsewhere, and there are no sources.
    pub(in crate::node) process: Option<&'a SystemProcess>,
    /// What we say of ourselves.
    pub(in crate::node) variables: &'a SystemVariables,
    /// chronyc's requests, and those who serve.
    pub(in crate::node) commands: &'a Commands,
    /// Whether others are to serve in our place.
    pub(in crate::node) drains: bool,
}

/// One worker, or the kernel at an interface.
pub(super) struct WorkerView {
    /// Its number, or the interface.
    pub(super) worker: String,
    /// Its core; `any` where it has none of its own, `xdp` for the kernel.
    pub(super) cpu: String,
    pub(super) counts: Counts,
    pub(super) residence: ResidenceCounts,
    pub(super) errors: StampErrorCounts,
    pub(super) queue_dropped: u64,
}

/// All that is told.
pub(super) struct View<'a> {
    pub(super) about: &'a About,
    pub(super) variables: SystemVariables,
    pub(super) tracking: TrackingReport,
    /// Of the system variables: half the root delay, and the root dispersion as it has grown.
    pub(super) root_distance_s: f64,
    /// Seconds since the clock was last set by what is followed; `None`: not synchronised.
    pub(super) reference_age_s: Option<f64>,
    /// Whether there is a system process.
    pub(super) keeps_sources: bool,
    pub(super) followed: Option<SourceName>,
    pub(super) sources: Vec<SourceReport>,
    pub(super) unresolved: usize,
    pub(super) workers: Vec<WorkerView>,
    /// All workers in sum.
    pub(super) total: Reading,
    /// All workers in sum.
    pub(super) kinds: Vec<(Kind, u64)>,
    /// What the kernel, answering at an interface, has left to the workers, by the reason.
    pub(super) passed: Vec<(String, &'static str, u64)>,
    pub(super) key_use: BTreeMap<u32, u64>,
    pub(super) commands: CommandCounts,
    pub(super) readiness: Readiness,
    pub(super) drains: bool,
    pub(super) rates: &'a Rates,
    pub(super) uptime_s: f64,
}

impl<'a> View<'a> {
    /// Takes it.
    pub(super) fn take(
        lent: Lent<'_>,
        about: &'a About,
        queues: Option<&Queues>,
        rates: &'a Rates,
    ) -> Self {
        let now = now();
        let variables = *lent.variables;
        let crew = lent.commands.crew();
        let tracking = tracking(lent.process, &variables);
        let served = clock::realtime();
        let age_s = |(secs, nanos): (i64, u32)| {
            let nanos = f64::from(served.nanos) - f64::from(nanos);
            whole(served.secs - secs) + nanos / 1e9 + tracking.current_correction_s
        };
        let queue_dropped: Vec<u64> =
            queues.map_or_else(Vec::new, |queues| queues.dropped_by_worker().collect());
        let counters = crew.counters();
        let workers = counters
            .iter()
            .enumerate()
            .map(|(number, (who, counters))| {
                let (worker, cpu) = match who {
                    Counting::Worker(Some(cpu)) => (number.to_string(), cpu.to_string()),
                    Counting::Worker(None) => (number.to_string(), "any".into()),
                    Counting::Interface(name) => (name.clone(), "xdp".into()),
                };
                WorkerView {
                    worker,
                    cpu,
                    counts: counters.snapshot(),
                    residence: counters.residence().snapshot(),
                    errors: counters.transmit_errors().snapshot(),
                    queue_dropped: queue_dropped.get(number).copied().unwrap_or(0),
                }
            });
        let workers: Vec<WorkerView> = workers.collect();
        let system = lent.process.map(SystemProcess::system);
        Self {
            readiness: Readiness::of(lent, about),
            root_distance_s: root_distance_s(&variables),
            reference_age_s: variables
                .is_synchronised()
                .then(|| age_s(tracking.reference_time)),
            keeps_sources: system.is_some(),
            followed: system.and_then(|system| system.followed()),
            sources: system.map_or_else(Vec::new, |system| system.sources(now)),
            unresolved: system.map_or(0, |system| system.unresolved()),
            total: sum(&workers, now.monotonic_ns),
            kinds: kinds(counters.iter().map(|(_, counters)| *counters)),
            passed: crew
                .fast_paths
                .passed()
                .map(|(interface, reason, count)| (interface.to_owned(), reason, count))
                .collect(),
            key_use: crew.key_use(),
            commands: lent.commands.counts(),
            drains: lent.drains,
            uptime_s: about.uptime_s(now.monotonic_ns),
            variables,
            tracking,
            about,
            rates,
            workers,
        }
    }
}

/// Half the root delay, and the root dispersion as it has grown until now, in seconds (RFC 5905 §11.2).
pub(super) fn root_distance_s(variables: &SystemVariables) -> f64 {
    let dispersion_s = variables.root_dispersion_at(now().raw).to_seconds();
    0.5_f64.mul_add(variables.root_delay.to_seconds(), dispersion_s)
}

fn sum(workers: &[WorkerView], at_ns: u64) -> Reading {
    Reading {
        at_ns,
        counts: Counts::sum(workers.iter().map(|one| one.counts)),
        residence: ResidenceCounts::sum(workers.iter().map(|one| one.residence)),
        errors: StampErrorCounts::sum(workers.iter().map(|one| one.errors)),
        queue_dropped: workers.iter().map(|one| one.queue_dropped).sum(),
        received: workers.iter().map(|one| one.counts.received()).collect(),
    }
}

fn kinds<'a>(workers: impl Iterator<Item = &'a WorkerCounters>) -> Vec<(Kind, u64)> {
    let mut sum: Vec<(Kind, u64)> = WorkerCounters::default().kinds().collect();
    for worker in workers {
        for (total, (_, count)) in sum.iter_mut().zip(worker.kinds()) {
            total.1 += count;
        }
    }
    sum
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
const fn whole(seconds: i64) -> f64 {
    seconds as f64
}
