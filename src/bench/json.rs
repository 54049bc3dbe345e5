//! The same figures as the table's, and more, as JSON lines: one object per step; and reading what a picture
//! needs of them.

use serde_json::{Value, json};

use super::clients::Order;
use super::figures::{Counts, Deviations, Percentiles, Second};
use super::machine;
use super::manifest::Manifest;
use super::picture::Dot;
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
            Carriage::Xdp(raw) => json!({ "xdp": raw.interface }),
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
        "inspected": step.inspected,
        "broken": step.broken,
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

/// A file that holds no figures.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFigures {
    /// A line is no JSON.
    #[error("{file}:{line}: no JSON: {what}")]
    NotJson {
        /// The file's name.
        file: String,
        /// From 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// A line is not a step's figures.
    #[error("{file}:{line}: not a line of maser bench --json: it has no {what}")]
    Missing {
        /// The file's name.
        file: String,
        /// From 1.
        line: usize,
        /// The first thing that is missing.
        what: &'static str,
    },
    /// There is nothing in it.
    #[error("{file}: no figures in it; maser bench --json {file} writes them")]
    Empty {
        /// The file's name.
        file: String,
    },
}

/// What a picture shows of a file's steps.
///
/// # Errors
/// The first line that is not what [`object`] writes.
pub fn dots(file: &str, text: &str) -> Result<Vec<Dot>, BadFigures> {
    let mut dots = Vec::new();
    let lines = text.lines().enumerate();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let line = line + 1;
        let object: Value = serde_json::from_str(text).map_err(|error| BadFigures::NotJson {
            file: file.to_owned(),
            line,
            what: error.to_string(),
        })?;
        dots.push(dot(&object).map_err(|what| BadFigures::Missing {
            file: file.to_owned(),
            line,
            what,
        })?);
    }
    if dots.is_empty() {
        return Err(BadFigures::Empty {
            file: file.to_owned(),
        });
    }
    Ok(dots)
}

fn dot(object: &Value) -> Result<Dot, &'static str> {
    let number = |name: &'static str| object[name].as_f64().ok_or(name);
    let latency = &object["latency_ns"];
    let percentile = |name: &'static str| latency[name].as_f64().ok_or(name);
    let latency = match latency["count"].as_u64().ok_or("latency_ns")? {
        0 => None,
        _ => Some([percentile("p50")?, percentile("p99")?, percentile("p99.9")?]),
    };
    let label = match object["label"].as_str() {
        None | Some("") => object["target"].as_str().ok_or("target")?,
        Some(label) => label,
    };
    let offered = match object.get("offered_per_s") {
        Some(Value::Null) => None,
        _ => Some(number("offered_per_s")?),
    };
    Ok(Dot {
        label: label.to_owned(),
        offered,
        replies: number("replies_per_s")?,
        latency,
        unsent: number("unsent")?,
        place: measured_at(object),
    })
}

/// The machine and the plan in a line.
fn measured_at(object: &Value) -> String {
    let manifest = &object["manifest"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let cores = match manifest["cores"].as_u64() {
        Some(1) => "1 core".to_owned(),
        Some(cores) => format!("{cores} cores"),
        None => "? cores".to_owned(),
    };
    format!(
        "{}, {cores}, Linux {}. NTPv{}, {}; {} s a step.",
        text(&manifest["processor"]),
        text(&manifest["kernel"]),
        object["version"],
        text(&object["mix"]),
        object["seconds"].as_f64().unwrap_or_default(),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"label":"","target":"127.0.0.1:123","offered_per_s":1000.0,"replies_per_s":999.5,
        "unsent":0.0,"latency_ns":{"count":5,"p50":1,"p99":2,"p99.9":3},"seconds":2.0,"version":4,"mix":"basic=1",
        "manifest":{"processor":"Z80","cores":1,"kernel":"6.18"}}"#;

    fn line() -> String {
        LINE.replace('\n', "")
    }

    #[test]
    fn a_line_is_a_dot() {
        let dots = dots("a.json", &format!("{}\n\n{}\n", line(), line())).unwrap();
        assert_eq!(dots.len(), 2);
        assert_eq!(dots[0].label, "127.0.0.1:123");
        assert_eq!(
            (dots[0].offered, dots[0].latency),
            (Some(1000.0), Some([1.0, 2.0, 3.0]))
        );
        assert_eq!(
            dots[0].place,
            "Z80, 1 core, Linux 6.18. NTPv4, basic=1; 2 s a step."
        );
    }

    #[test]
    fn what_is_no_figures_is_said_with_its_line() {
        let said = |text: &str| dots("a.json", text).unwrap_err().to_string();
        assert!(said("").starts_with("a.json: no figures in it"));
        assert!(said(&format!("{}\n{{", line())).starts_with("a.json:2: no JSON"));
        let missing = said(&line().replace("unsent", "sent"));
        assert_eq!(
            missing,
            "a.json:1: not a line of maser bench --json: it has no unsent"
        );
        assert!(said(&line().replace("1000.0", "\"1000\"")).ends_with("it has no offered_per_s"));
        assert!(said(&line().replace("p99.9", "p99.8")).ends_with("it has no p99.9"));
        assert!(said("{}").ends_with("it has no latency_ns"));
        assert!(said("[1]").ends_with("it has no latency_ns"));
    }
}
