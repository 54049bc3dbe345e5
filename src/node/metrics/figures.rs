//! `/metrics`: which families there are, and their samples.
//!
//! Of what is counted by worker each sample has the labels `worker` and `cpu`; the sum is PromQL's to make.

mod clock;

use super::about::About;
use super::exposition::Exposition;
use super::exposition::Type::{Counter, Gauge, Histogram};
use super::view::{View, WorkerView};
use super::words;
use crate::node::counters::Event;
use crate::server::DropReason;

/// The text.
pub(super) fn text(view: &View<'_>) -> String {
    let mut text = Exposition::default();
    process(&mut text, view);
    requests(&mut text, view);
    by_kind(&mut text, view);
    passed(&mut text, view);
    workers(&mut text, view);
    histograms(&mut text, view);
    keys(&mut text, view);
    clock::clock(&mut text, view);
    clock::sources(&mut text, view);
    text.text()
}

fn process(text: &mut Exposition, view: &View<'_>) {
    text.family("build_info", Gauge, "Always 1; which program this is.");
    text.sample(&[("version", About::VERSION)], 1);
    let help = "When the program began, in seconds since 1970.";
    text.single("start_time_seconds", Gauge, help, view.about.start_unix_s);
    let help =
        "Whether /readyz says 200: synchronised within readydistance, serving and not draining.";
    text.single("ready", Gauge, help, u8::from(view.readiness.is_ready));
    let help = "Whether others are asked to serve in its place.";
    text.single("draining", Gauge, help, u8::from(view.drains));
    let help = "Requests of chronyc.";
    text.single("command_requests_total", Counter, help, view.commands.hits);
    let help = "Requests of chronyc that were not answered because of cmdratelimit.";
    text.single("command_dropped_total", Counter, help, view.commands.drops);
}

fn requests(text: &mut Exposition, view: &View<'_>) {
    let help = "Datagrams taken in, by what became of them: each ends in exactly one outcome.";
    text.family("requests_total", Counter, help);
    for one in &view.workers {
        for (outcome, count) in one.counts.outcomes() {
            let labels = [
                ("worker", &*one.worker),
                ("cpu", &*one.cpu),
                ("outcome", outcome),
            ];
            text.sample(&labels, count);
        }
    }
    let help = "Datagrams that got no answer, by the reason.";
    text.family("drops_total", Counter, help);
    for reason in DropReason::ALL {
        let count = view.total.counts.by_name(reason.name());
        text.sample(&[("reason", reason.name())], count);
    }
    let help = "Datagrams by how they were signed: not, well, not well; or refused before that was looked at.";
    text.family("requests_by_authentication_total", Counter, help);
    for kind in ["none", "good", "refused", "not_looked_at"] {
        let all = view.total.counts.outcomes();
        let these = all.filter(|(outcome, _)| words::authentication(outcome) == kind);
        let count: u64 = these.map(|(_, count)| count).sum();
        text.sample(&[("authentication", kind)], count);
    }
}

fn passed(text: &mut Exposition, view: &View<'_>) {
    if view.passed.is_empty() {
        return;
    }
    let help = "Datagrams that the fast path has left to the workers, by the reason; shed: to nobody, by fastpathlimit.";
    text.family("fastpath_passed_total", Counter, help);
    for (interface, reason, count) in &view.passed {
        let labels = [("interface", &**interface), ("reason", *reason)];
        text.sample(&labels, *count);
    }
}

fn by_kind(text: &mut Exposition, view: &View<'_>) {
    let help = "Datagrams by IP family and by the version and the mode that they say; other: a version that is not NTP's.";
    text.family("requests_by_kind_total", Counter, help);
    for (is_v6, family) in [(false, words::FAMILIES[0]), (true, words::FAMILIES[1])] {
        for version in ["1", "2", "3", "4", "other"] {
            for (mode, word) in (0..).zip(words::MODES) {
                let these = view.kinds.iter().filter(|(kind, _)| {
                    let its_version = match kind.version {
                        1 => "1",
                        2 => "2",
                        3 => "3",
                        4 => "4",
                        _ => "other",
                    };
                    kind.is_v6 == is_v6 && kind.mode == mode && its_version == version
                });
                let count: u64 = these.map(|(_, count)| count).sum();
                let labels = [("family", family), ("version", version), ("mode", word)];
                text.sample(&labels, count);
            }
        }
    }
}

/// A family of counters by worker and by one more label.
fn by_worker_and(
    text: &mut Exposition,
    view: &View<'_>,
    (name, help): (&'static str, &str),
    label: &'static str,
    events: &[(&str, Event)],
) {
    text.family(name, Counter, help);
    for one in &view.workers {
        for (value, event) in events {
            let labels = [
                ("worker", &*one.worker),
                ("cpu", &*one.cpu),
                (label, *value),
            ];
            text.sample(&labels, one.counts.event(*event));
        }
    }
}

/// One counter of a worker.
type WorkerFigure = fn(&WorkerView) -> u64;

const WORKER_FIGURES: [(&str, &str, WorkerFigure); 11] = [
    (
        "received_total",
        "Datagrams that the kernel has delivered.",
        |one| one.counts.event(Event::TimestampKernel) + one.counts.event(Event::TimestampDaemon),
    ),
    (
        "replies_total",
        "Replies that the kernel has taken.",
        |one| one.counts.event(Event::Sent),
    ),
    (
        "interleaved_replies_total",
        "Replies in interleaved mode (RFC 9769).",
        |one| one.counts.event(Event::Interleaved),
    ),
    (
        "queue_dropped_total",
        "Datagrams that the kernel dropped because a socket's queue was full. They are in no other figure.",
        |one| one.queue_dropped,
    ),
    (
        "clients_evicted_total",
        "Records of clients that made room for others.",
        |one| one.counts.event(Event::ClientsEvicted),
    ),
    (
        "interleaved_evicted_total",
        "Departures kept for interleaved clients that made room for others before they were asked about.",
        |one| one.counts.event(Event::InterleavedEvicted),
    ),
    (
        "receive_errors_total",
        "Receiving calls that failed.",
        |one| one.counts.event(Event::ReceiveError),
    ),
    (
        "bursts_total",
        "Receiving calls that brought datagrams.",
        |one| one.counts.event(Event::Burst),
    ),
    (
        "queue_resizes_total",
        "Times a receive queue was made smaller, because it did not empty, or larger again.",
        |one| one.counts.event(Event::QueueResized),
    ),
    (
        "parked_total",
        "Times a worker went to sleep because nothing came.",
        |one| one.counts.event(Event::Parked),
    ),
    (
        "transmit_timestamps_total",
        "Departures of sampled replies that the kernel has stamped.",
        |one| one.counts.event(Event::TransmitStamp),
    ),
];

fn workers(text: &mut Exposition, view: &View<'_>) {
    for (name, help, count) in WORKER_FIGURES {
        text.family(name, Counter, help);
        for one in &view.workers {
            let labels = [("worker", &*one.worker), ("cpu", &*one.cpu)];
            text.sample(&labels, count(one));
        }
    }
    let stamps = [
        ("kernel", Event::TimestampKernel),
        ("daemon", Event::TimestampDaemon),
    ];
    let help = "Receive timestamps by who noted the arrival.";
    let name = ("receive_timestamps_total", help);
    by_worker_and(text, view, name, "source", &stamps);
    let unsent = [
        ("refused", Event::SendRefused),
        ("no_room", Event::SendNoRoom),
        ("clock_stepped", Event::ClockStepped),
    ];
    let help = "Replies that were made and not sent: the destination was refused, the queue was full, the clock was stepped.";
    let name = ("replies_unsent_total", help);
    by_worker_and(text, view, name, "reason", &unsent);
}

fn histograms(text: &mut Exposition, view: &View<'_>) {
    let help = "From the arrival of a request, as the kernel stamped it, to the seal of its reply.";
    text.family("residence_seconds", Histogram, help);
    for one in &view.workers {
        let labels = [("worker", &*one.worker), ("cpu", &*one.cpu)];
        let sum = (one.residence.count(), one.residence.sum_ns());
        text.histogram(&labels, &one.residence.octaves(), sum);
    }
    let help =
        "By how much sampled replies left later, or earlier, than their transmit timestamps say.";
    text.family("transmit_timestamp_error_seconds", Histogram, help);
    for one in &view.workers {
        for (direction, late) in [("late", true), ("early", false)] {
            let labels = [
                ("worker", &*one.worker),
                ("cpu", &*one.cpu),
                ("direction", direction),
            ];
            let (bounds, count, sum_ns) = one.errors.side(late);
            text.histogram(&labels, &bounds, (count, sum_ns));
        }
    }
}

fn keys(text: &mut Exposition, view: &View<'_>) {
    let help = "Keys in the key file, and those that were there before and were used.";
    text.single("keys", Gauge, help, view.key_use.len());
    let help =
        "Requests that were signed well, by key; beyond the first ten thousand in sum as others.";
    text.family("key_requests_total", Counter, help);
    for (key, count) in view.key_use.iter().take(KEYS_MAX) {
        text.sample(&[("key_id", &key.to_string())], count);
    }
    let others = view.key_use.values().skip(KEYS_MAX);
    text.sample(&[("key_id", "others")], others.sum::<u64>());
}

/// Keys with a sample of their own.
const KEYS_MAX: usize = 10_000;
