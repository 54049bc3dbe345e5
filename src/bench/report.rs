//! The table for people.

use std::fmt::Write as _;

use super::figures::Counts;
use super::ladder::Ended;
use super::machine;
use super::mix::Kind;
use super::plan::{Load, Plan};
use super::step::Step;

/// Writes the lines of a run.
pub struct Report<'a> {
    plan: &'a Plan,
}

impl<'a> Report<'a> {
    /// For a plan.
    pub const fn new(plan: &'a Plan) -> Self {
        Self { plan }
    }

    /// What is done, and the head of the table.
    pub fn head(&self, server: &str) -> String {
        let load = match self.plan.load {
            Load::Open { exponential: false } => "open loop, even gaps".to_owned(),
            Load::Open { exponential: true } => "open loop, exponential gaps".to_owned(),
            Load::Closed { in_flight } => format!("closed loop, {in_flight} in flight"),
        };
        let plan = self.plan;
        format!(
            "{server}: NTPv{}, {}, {load}; {} threads of {} ports; {} s a step after {} s of warm-up, which is in \
             no figure; a reply is lost after {} s\n\n\
             {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>8} | {:>7} {:>7} {:>7} {:>7} {:>8} | {:>7} {:>7} | {:>7} {:>6} {:>9}\n\
             {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>8} | {:>39} {} | {:>15} | {:>7} {:>6} {:>9}\n",
            plan.version,
            plan.mix,
            plan.cpus.len(),
            plan.ports,
            plan.duration.as_secs_f64(),
            plan.warm_up.as_secs_f64(),
            plan.patience.as_secs_f64(),
            "offered",
            "replies",
            "lost",
            "unsent",
            "wrong",
            "kisses",
            "others",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "TX mean",
            "TX p99",
            "own cpu",
            "busy",
            "late p99",
            "per s",
            "per s",
            "%",
            "%",
            "",
            "",
            "",
            "latency from the intended moment, us",
            "",
            "error, us",
            "cores",
            "%",
            "us",
        )
    }

    /// A step's line.
    pub fn line(&self, step: &Step) -> String {
        let Counts {
            kiss_rate,
            kiss_other,
            unsynchronised,
            duplicates,
            late,
            stale,
            ..
        } = step.counts;
        let offered = offered(step);
        let latency = &step.latency;
        format!(
            "{offered:>9} {:>9.0} {:>8.3} {:>8.3} {:>7} {:>7} {:>8} | {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>8.1} | {:>7.2} {:>7.2} | {:>7.2} {:>6.1} {:>9.1}\n",
            step.replies_per_s(),
            step.loss() * 100.0,
            step.unsent() * 100.0,
            step.counts.wrong(),
            kiss_rate + kiss_other + unsynchronised,
            duplicates + late + stale,
            micros(latency.p50),
            micros(latency.p90),
            micros(latency.p99),
            micros(latency.p99_9),
            micros(latency.max),
            step.transmit_error.mean / 1e3,
            signed_micros(step.transmit_error.p99),
            step.cpu.0 + step.cpu.1,
            step.busy * 100.0,
            micros(step.lateness.p99),
        )
    }

    /// Counters of a step that are not zero, by name; what the machine did meanwhile, and what follows from it.
    pub fn details(&self, step: &Step) -> String {
        let counts = &step.counts;
        let named = [
            ("forged", counts.forged),
            ("bad length", counts.bad_length),
            ("bad mode", counts.bad_mode),
            ("bad version", counts.bad_version),
            ("bad stratum", counts.bad_stratum),
            ("not synchronised", counts.unsynchronised),
            ("kiss RATE", counts.kiss_rate),
            ("other kisses", counts.kiss_other),
            ("duplicates", counts.duplicates),
            ("late", counts.late),
            ("stale", counts.stale),
            ("interleaved", counts.interleaved),
            ("replies to hostile requests", counts.hostile_answered),
            ("not sent in time", counts.not_sent),
            ("refused by the kernel", counts.send_errors),
            ("dropped by the harness's own queues", counts.own_drops),
        ];
        let mut text = String::new();
        for (name, count) in named.into_iter().filter(|(_, count)| *count > 0) {
            let _ = write!(
                text,
                "{}{name} {count}",
                if text.is_empty() { INDENT } else { ", " }
            );
        }
        if step.by_kind.len() > 1 {
            let told = |(kind, sent, answered): &(Kind, u64, u64)| {
                format!("{} {sent} sent, {answered} answered", kind.name())
            };
            let kinds = |is_honest: bool| {
                let kinds = step
                    .by_kind
                    .iter()
                    .filter(|(kind, ..)| kind.is_honest() == is_honest);
                kinds.map(told).collect::<Vec<_>>().join("; ")
            };
            add_line(&mut text, &kinds(true));
            let hostile = kinds(false);
            if !hostile.is_empty() {
                add_line(
                    &mut text,
                    &format!("beside it, in no figure above: {hostile}"),
                );
            }
        }
        add_looked_at(&mut text, step);
        if step.punctual < PUNCTUAL_MIN {
            let schedule = format!(
                "the schedule was not held: {:.1} % of the requests left within 50 us of their moment",
                step.punctual * 100.0
            );
            add_line(&mut text, &schedule);
        }
        for line in [machine::line(step)].iter().chain(&machine::remarks(step)) {
            if !line.is_empty() {
                add_line(&mut text, line);
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// What the server's timestamps are worth, and what the harness's tables took; nothing where no reply
    /// was good.
    pub fn stamps(&self, steps: &[Step]) -> String {
        let mut text = String::new();
        for step in steps {
            let offered = offered(step);
            for (name, of) in [
                ("transmit", &step.transmit_error),
                ("interleaved", &step.interleaved_error),
                ("receive", &step.receive_error),
                ("residence", &step.residence),
            ] {
                if of.count > 0 {
                    let _ = writeln!(
                        text,
                        "{offered:>9} {name:<12} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>10}",
                        signed_micros(of.min),
                        signed_micros(of.p50),
                        signed_micros(of.p99),
                        signed_micros(of.max),
                        of.mean / 1e3,
                        of.deviation / 1e3,
                        of.count,
                    );
                }
            }
        }
        if !text.is_empty() {
            let head = format!(
                "\nthe server's timestamps against this machine's kernel, us (true where both have one clock):\n\
                 {:>9} {:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}\n",
                "offered", "", "min", "p50", "p99", "max", "mean", "deviation", "of",
            );
            text.insert_str(0, &head);
        }
        let bytes = steps
            .iter()
            .map(|step| step.memory_bytes)
            .max()
            .unwrap_or(0);
        let _ = writeln!(text, "\nthe harness's tables: {:.1} MiB", mebibytes(bytes));
        text
    }

    /// How it ended, in a sentence.
    pub fn end(&self, ended: Ended) -> String {
        match ended {
            Ended::Held => "held\n".into(),
            Ended::Broken => "the bound on loss was broken\n".into(),
            Ended::NotDriven(rate) => format!(
                "the harness could not drive {rate:.0} a second: what the server does at that rate is not known\n"
            ),
            Ended::Knee(0.0) => "no rate is held within the bound on loss\n".into(),
            Ended::Knee(rate) => format!("knee: {rate:.0} a second, confirmed\n"),
            Ended::AtLeast(rate) => format!(
                "knee: at least {rate:.0} a second, confirmed; the harness could not drive more\n"
            ),
        }
    }
}

/// Where less than this share left in time, it is said.
const PUNCTUAL_MIN: f64 = 0.99;
/// Details stand under the table's figures.
const INDENT: &str = "            ";

/// How many replies were looked at in full where not all were, and whose checksums were wrong.
fn add_looked_at(text: &mut String, step: &Step) {
    if let Some(inspected) = step.inspected {
        let told = format!(
            "looked at in full, checksum and MAC: {inspected} replies, which stand for all"
        );
        add_line(text, &told);
    }
    if step.broken > 0 {
        let told = format!(
            "lost for a wrong checksum: {}; sockets behind a veth leave it to a card: `ethtool -K INTERFACE tx off` there",
            step.broken
        );
        add_line(text, &told);
    }
}

fn add_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(INDENT);
    text.push_str(line);
}

fn offered(step: &Step) -> String {
    step.offered
        .map_or_else(|| "-".into(), |rate| format!("{rate:.0}"))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
const fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
const fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
const fn signed_micros(nanos: i64) -> f64 {
    nanos as f64 / 1e3
}
