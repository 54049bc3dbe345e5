//! The same figures as the table's, and more, as JSON lines: one object per step.

use serde_json::{Value, json};

use super::clients::Order;
use super::figures::{Counts, Deviations, Percentiles, Second};
use super::machine;
use super::manifest::Manifest;
use super::plan::{Carriage, Load, Plan};
use super::step::Step;

/// A step as one object. Times are nanoseconds, rates per second.
pub fn object(label: &str, manifest: &Manifest, plan: &Plan, step: &Step) -> Value {
    json!({
        "label": label,
        "target": plan.target.to_string(),
        "load": load(plan),
        "mix": plan.mix.to_string(),
        "version": plan.version,
        "threads": plan.cpus.len(),
        "sources": plan.sources.len(),
        "order": order(plan),
        "carriage": match &plan.carriage {
            Carriage::Udp => json!("udp"),
            Carriage::Raw(raw) => json!({ "raw": raw.interface }),
        },
        "warm_up_s": plan.warm_up.as_secs_f64(),
        "timeout_s": plan.patience.as_secs_f64(),
        "seconds": step.seconds,
        "offered_per_s": step.offered,
        "replies_per_s": step.replies_per_s(),
        "loss": step.loss(),
        "unsent": step.unsent(),
        "counts": counts(&step.counts),
        "by_kind": step.by_kind.iter().map(|(kind, sent, answered)| {
            json!({ "kind": kind.name(), "sent": sent, "answered": answered })
        }).collect::<Vec<_>>(),
        "latency_ns": percentiles(&step.latency),
        "lateness_ns": percentiles(&step.lateness),
        "transmit_error_ns": deviations(&step.transmit_error),
        "interleaved_error_ns": deviations(&step.interleaved_error),
        "receive_error_ns": deviations(&step.receive_error),
        "residence_ns": deviations(&step.residence),
        "correction_ns": plan.correction_ns,
        "punctual": step.punctual,
        "series": step.series.iter().map(second).collect::<Vec<_>>(),
        "busy": step.busy,
        "own_cpu_cores": { "user": step.cpu.0, "system": step.cpu.1 },
        "steal_s": step.steal_s,
        "memory_bytes": step.memory_bytes,
        "machine": machine::object(&step.machine),
        "remarks": machine::remarks(step),
        "manifest": facts(manifest),
    })
}

fn order(plan: &Plan) -> Value {
    match plan.order {
        Order::Turns => json!("turns"),
        Order::Zipf(exponent) => json!({ "zipf": exponent }),
        Order::Storm => json!("storm"),
    }
}

fn load(plan: &Plan) -> Value {
    match plan.load {
        Load::Open { exponential } => json!({ "open": { "exponential": exponential } }),
        Load::Closed { in_flight } => json!({ "closed": { "in_flight": in_flight } }),
    }
}

fn counts(counts: &Counts) -> Value {
    json!({
        "sent": counts.sent,
        "good": counts.good,
        "lost": counts.lost,
        "forged": counts.forged,
        "bad_length": counts.bad_length,
        "bad_mode": counts.bad_mode,
        "bad_version": counts.bad_version,
        "bad_stratum": counts.bad_stratum,
        "unsynchronised": counts.unsynchronised,
        "kiss_rate": counts.kiss_rate,
        "kiss_other": counts.kiss_other,
        "interleaved": counts.interleaved,
        "hostile_answered": counts.hostile_answered,
        "duplicates": counts.duplicates,
        "late": counts.late,
        "stale": counts.stale,
        "not_sent": counts.not_sent,
        "send_errors": counts.send_errors,
        "own_drops": counts.own_drops,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a mean of times far below 2^53 ns"
)]
fn second(second: &Second) -> Value {
    json!({
        "sent": second.sent,
        "good": second.good,
        "lost": second.lost,
        "latency_mean_ns": second.latency_sum_ns as f64 / second.good.max(1) as f64,
        "latency_max_ns": second.latency_max_ns,
    })
}

fn percentiles(of: &Percentiles) -> Value {
    json!({
        "count": of.count, "min": of.min, "mean": of.mean, "p50": of.p50, "p90": of.p90, "p99": of.p99,
        "p99.9": of.p99_9, "p99.99": of.p99_99, "max": of.max,
    })
}

fn deviations(of: &Deviations) -> Value {
    json!({
        "count": of.count, "min": of.min, "p50": of.p50, "p99": of.p99, "max": of.max, "mean": of.mean,
        "deviation": of.deviation,
    })
}

fn facts(manifest: &Manifest) -> Value {
    let sysctls = manifest
        .sysctls
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)));
    let rps = manifest
        .rps
        .iter()
        .map(|(queue, mask)| (queue.clone(), json!(mask)));
    json!({
        "processor": manifest.processor,
        "cores": manifest.cores,
        "kernel": manifest.kernel,
        "hypervisor": manifest.hypervisor,
        "governor": manifest.governor,
        "clocksource": manifest.clocksource,
        "load_average": manifest.load_average,
        "interface": manifest.interface,
        "rps_cpus": Value::Object(rps.collect()),
        "sysctls": Value::Object(sysctls.collect()),
        "command": manifest.command,
        "version": manifest.version,
    })
}
