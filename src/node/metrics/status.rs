//! `/status.json`: the node at one moment, as a status screen wants it. The page, `maser status` and scripts read it.
//!
//! Times are seconds, frequencies parts per million, rates per second. What is not known is `null`. Fields are only
//! ever added.
//!
//! | field | what |
//! |---|---|
//! | `program`, `version` | `maser`, and its version |
//! | `time` | seconds since 1970 by the system's clock when this was made |
//! | `start_time`, `uptime` | when the program began; seconds since then |
//! | `addresses` | where it serves, each `ADDRESS:PORT` |
//! | `ready`: `ready`, `why`, `draining`, `distance_max` | what `/readyz` says, in words why; whether it drains; `readydistance` |
//! | `clock.synchronised`, `clock.why` | whether clients may take time from it; where not, why not |
//! | `clock.stratum`, `leap`, `reference_id`, `reference` | as clients are told; `reference` is the followed source's name |
//! | `clock.reference_age`, `update_interval` | since the last update by the source; from the update before to it |
//! | `clock.system_offset`, `last_offset`, `rms_offset` | what is still to be corrected (positive: the clock is behind); found at the last update; its long-term mean |
//! | `clock.frequency`, `residual_frequency`, `skew` | as chronyc's `tracking` |
//! | `clock.root_delay`, `root_dispersion`, `root_distance` | at this moment; the distance bounds the error |
//! | `sources[]` | `name`, `host`, `role` (`server`, `peer`, `refclock`), `state`, `sign` (as chronyc's `sources`), `selected`, `activity`, `stratum`, `poll_interval`, `reach` (0 to 255), `samples`, `age`, `offset`, `last_offset`, `delay`, `deviation`, `root_distance` |
//! | `sources_unresolved` | names without an address |
//! | `requests.total` | since the start: `received`, `answered`, `signed`, `kiss`, `interleaved`, `dropped`, `queue_dropped`, `sent` |
//! | `requests.rates` | the same a second, over the last `1s`, `10s`, `60s`; `null` in the first second |
//! | `requests.history[]` | datagrams a second taken in, in each of the last sixty seconds, the oldest first |
//! | `requests.outcomes[]` | `outcome`, `total`, `rate` (over 10 s), `is_drop`: each datagram ends in one of them |
//! | `requests.kinds[]` | `family`, `version` (0 to 7), `mode`, `total`; those that came |
//! | `workers[]` | `worker`, `cpu` (`null`: none of its own), `received`, `rate` (over 10 s), `sent`, `dropped`, `queue_dropped` |
//! | `residence` | from arrival to seal, of the last minute: `count`, `mean`, `p50`, `p90`, `p99`, `p999` |
//! | `timestamp_error` | size of the transmit timestamps' errors, of the last minute, likewise; `mean` has a sign (positive: left later than said) |
//! | `timestamps`: `receive_kernel`, `receive_daemon`, `transmit` | receive timestamps by who noted the arrival; departures that the kernel stamped |
//! | `keys[]`, `keys_total` | `key_id`, `requests`: those in force, the first thousand; how many there are |
//! | `clients.evicted`, `interleaved_evicted` | records that made room for others |
//! | `commands`: `requests`, `dropped` | of chronyc |
//! | `warnings[]` | `what`, in words, most important first |

use serde_json::{Value, json};

use super::about::About;
use super::rates::Span;
use super::view::{View, WorkerView};
use super::words;
use crate::discipline::SourceReport;
use crate::node::counters::{Counts, Event};
use crate::node::{ResidenceCounts, StampErrorCounts};
use crate::server::DropReason;
use crate::sys::clock;

/// The text.
pub(super) fn text(view: &View<'_>, why_not: Option<&str>) -> String {
    let now = clock::realtime();
    let minute = view.rates.over(60);
    let recent = view.rates.over(10);
    let addresses: Vec<String> = view
        .about
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let keys = view.key_use.iter().take(KEYS_MAX);
    let keys = keys.map(|(id, count)| json!({"key_id": id, "requests": count}));
    let counts = &view.total.counts;
    let whole = json!({
        "program": "maser",
        "version": About::VERSION,
        "time": seconds(now.secs, now.nanos),
        "start_time": view.about.start_unix_s,
        "uptime": view.uptime_s,
        "addresses": addresses,
        "ready": {
            "ready": view.readiness.is_ready,
            "why": view.readiness.why,
            "draining": view.drains,
            "distance_max": view.about.ready_distance_s,
        },
        "clock": clock_of(view, why_not),
        "sources": view.sources.iter().map(source).collect::<Vec<_>>(),
        "sources_unresolved": view.unresolved,
        "requests": requests(view, recent.as_ref()),
        "workers": view.workers.iter().enumerate()
            .map(|(place, one)| worker(place, one, recent.as_ref())).collect::<Vec<_>>(),
        "residence": residence(minute.as_ref().map(|span| &span.residence)),
        "timestamp_error": errors(minute.as_ref().map(|span| &span.errors)),
        "timestamps": {
            "receive_kernel": counts.event(Event::TimestampKernel),
            "receive_daemon": counts.event(Event::TimestampDaemon),
            "transmit": counts.event(Event::TransmitStamp),
        },
        "keys": keys.collect::<Vec<_>>(),
        "keys_total": view.key_use.len(),
        "clients": {
            "evicted": counts.event(Event::ClientsEvicted),
            "interleaved_evicted": counts.event(Event::InterleavedEvicted),
        },
        "commands": {"requests": view.commands.hits, "dropped": view.commands.drops},
        "warnings": warnings(view, why_not, minute.as_ref()),
    });
    whole.to_string()
}

fn clock_of(view: &View<'_>, why_not: Option<&str>) -> Value {
    let tracking = &view.tracking;
    let root_delay_s = view.variables.root_delay.to_seconds();
    json!({
        "synchronised": why_not.is_none(),
        "why": why_not,
        "stratum": tracking.stratum,
        "leap": words::leap(tracking.leap),
        "reference_id": tracking.reference_id.to_string(),
        "reference": view.followed.map(|name| name.to_string()),
        "reference_age": view.reference_age_s,
        "update_interval": tracking.last_update_interval_s,
        "system_offset": tracking.current_correction_s,
        "last_offset": tracking.last_offset_s,
        "rms_offset": tracking.rms_offset_s,
        "frequency": tracking.frequency_ppm,
        "residual_frequency": tracking.residual_frequency_ppm,
        "skew": tracking.skew_ppm,
        "root_delay": root_delay_s,
        "root_dispersion": view.root_distance_s - root_delay_s / 2.0,
        "root_distance": view.root_distance_s,
    })
}

fn source(source: &SourceReport) -> Value {
    let found = source.selectable;
    json!({
        "name": source.name.to_string(),
        "host": source.host,
        "role": words::role(source),
        "state": words::state(source),
        "sign": source.state.sign().to_string(),
        "selected": source.candidate.standing.is_selected,
        "activity": words::activity(source.activity),
        "stratum": source.candidate.stratum,
        "poll_interval": f64::from(source.poll).exp2(),
        "reach": source.reach,
        "samples": source.statistics.samples,
        "age": source.age_s,
        "offset": found.map(|found| found.offset_s),
        "last_offset": source.newest.map(|sample| sample.offset_s),
        "delay": source.newest.map(|sample| sample.peer_delay_s),
        "deviation": found.map(|found| found.standard_deviation_s),
        "root_distance": found.map(|found| found.root_distance_s),
    })
}

/// The counts of `requests.total`, by name.
fn sums(counts: &Counts, queue_dropped: u64) -> [(&'static str, u64); 8] {
    let named = |name| counts.by_name(name);
    let signed = named("answered_signed");
    let kiss = named("kiss") + named("kiss_signed");
    [
        ("received", counts.received()),
        ("answered", named("answered") + signed),
        ("signed", signed),
        ("kiss", kiss),
        ("interleaved", counts.event(Event::Interleaved)),
        ("dropped", dropped(counts)),
        ("queue_dropped", queue_dropped),
        ("sent", counts.event(Event::Sent)),
    ]
}

fn dropped(counts: &Counts) -> u64 {
    let reasons = DropReason::ALL.iter();
    reasons.map(|reason| counts.by_name(reason.name())).sum()
}

fn requests(view: &View<'_>, recent: Option<&Span>) -> Value {
    let total: serde_json::Map<String, Value> = sums(&view.total.counts, view.total.queue_dropped)
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    let rates: serde_json::Map<String, Value> = [("1s", 1), ("10s", 10), ("60s", 60)]
        .into_iter()
        .map(|(name, seconds)| {
            let span = view.rates.over(seconds);
            let rates = span.map(|span| {
                let all = sums(&span.counts, span.queue_dropped);
                let all = all.map(|(name, count)| (name.to_owned(), json!(span.rate(count))));
                all.into_iter().collect::<serde_json::Map<_, _>>()
            });
            (name.to_owned(), json!(rates))
        })
        .collect();
    let outcomes = view.total.counts.outcomes().map(|(outcome, total)| {
        json!({
            "outcome": outcome,
            "total": total,
            "rate": recent.map(|span| span.rate(span.counts.by_name(outcome))),
            "is_drop": DropReason::ALL.iter().any(|reason| reason.name() == outcome),
        })
    });
    let came = view.kinds.iter().filter(|(_, count)| *count > 0);
    let kinds = came.map(|(kind, total)| {
        json!({
            "family": words::FAMILIES[usize::from(kind.is_v6)],
            "version": kind.version,
            "mode": words::MODES[usize::from(kind.mode)],
            "total": total,
        })
    });
    json!({
        "total": total,
        "rates": rates,
        "history": view.rates.history(),
        "outcomes": outcomes.collect::<Vec<_>>(),
        "kinds": kinds.collect::<Vec<_>>(),
    })
}

fn worker(place: usize, one: &WorkerView, recent: Option<&Span>) -> Value {
    let rate = recent.and_then(|span| Some(span.rate(*span.received.get(place)?)));
    json!({
        "worker": place,
        "cpu": one.cpu.parse::<usize>().ok(),
        "received": one.counts.received(),
        "rate": rate,
        "sent": one.counts.event(Event::Sent),
        "dropped": dropped(&one.counts),
        "queue_dropped": one.queue_dropped,
    })
}

fn residence(counts: Option<&ResidenceCounts>) -> Value {
    let counts = counts.copied().unwrap_or_default();
    let bound = |share: f64| counts.bound_ns(share).map(nanos);
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = (counts.count() > 0).then(|| counts.sum_ns() as f64 / counts.count() as f64 / 1e9);
    json!({
        "count": counts.count(),
        "mean": mean,
        "p50": bound(0.5),
        "p90": bound(0.9),
        "p99": bound(0.99),
        "p999": bound(0.999),
    })
}

fn errors(counts: Option<&StampErrorCounts>) -> Value {
    let counts = counts.copied().unwrap_or_default();
    let any = counts.count() > 0;
    let bound = |share: f64| any.then(|| nanos(counts.bound_ns(share).unsigned_abs()));
    json!({
        "count": counts.count(),
        "mean": any.then(|| counts.mean_ns() / 1e9),
        "p50": bound(0.5),
        "p90": bound(0.9),
        "p99": bound(0.99),
        "p999": bound(0.999),
    })
}

/// What a tired person should look at.
fn warnings(view: &View<'_>, why_not: Option<&str>, minute: Option<&Span>) -> Vec<Value> {
    let mut all = Vec::new();
    if let Some(why) = why_not {
        all.push(format!("not synchronised: {why}"));
    } else if !view.readiness.is_ready {
        all.push(format!("not ready: {}", view.readiness.why));
    }
    if view.keeps_sources && why_not.is_none() && view.followed.is_none() {
        all.push("no source is followed: the time is our own (`local`)".to_owned());
    }
    if let Some(span) = minute {
        let lost = span.queue_dropped;
        if lost > 0 {
            all.push(format!(
                "{lost} requests were lost in the last minute because a socket's queue was full: more cores, or `maser doctor`"
            ));
        }
        let late = span.counts.by_name("too_late");
        if late > 0 {
            all.push(format!(
                "{late} requests of the last minute had waited for more than a second"
            ));
        }
        let unsent = span.counts.event(Event::SendNoRoom);
        if unsent > 0 {
            all.push(format!(
                "{unsent} replies of the last minute found the send queue full"
            ));
        }
        let bad = span.counts.by_name("bad_mac") + span.counts.by_name("unknown_key");
        if bad > 0 {
            all.push(format!(
                "{bad} requests of the last minute were signed with a wrong or unknown key"
            ));
        }
        let received = span.counts.received();
        let by_daemon = span.counts.event(Event::TimestampDaemon);
        if by_daemon * 100 > received {
            all.push(format!(
                "{by_daemon} of {received} requests of the last minute came without the kernel's timestamp"
            ));
        }
    }
    if view.unresolved > 0 {
        all.push(format!(
            "names of sources without an address: {}",
            view.unresolved
        ));
    }
    all.into_iter().map(|what| json!({"what": what})).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn nanos(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(secs: i64, nanos: u32) -> f64 {
    secs as f64 + f64::from(nanos) / 1e9
}

/// Keys that are listed.
const KEYS_MAX: usize = 1000;
