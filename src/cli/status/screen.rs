//! `/status.json` as one screen of 80 columns, the most important first.

use std::fmt::{Display, Write as _};

use serde_json::Value;

use crate::cli::report::figures::{date, signed, unsigned};

/// The screen. With colours the verdict stands out by one.
pub(super) fn screen(status: &Value, has_colours: bool) -> String {
    let mut screen = Screen {
        text: String::new(),
        has_colours,
    };
    screen.head(status);
    screen.clock(&status["clock"]);
    screen.sources(status);
    screen.requests(&status["requests"]);
    screen.drops(&status["requests"]);
    screen.workers(status["workers"].as_array().map_or(&[], Vec::as_slice));
    screen.times(status);
    screen.text
}

struct Screen {
    text: String,
    has_colours: bool,
}

impl Screen {
    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }

    /// What it is, since when, and whether all is well; then what is not.
    fn head(&mut self, status: &Value) {
        let ready = &status["ready"];
        let is_ready = ready["ready"] == true;
        let (verdict, colour) = if is_ready {
            ("READY", "1;32")
        } else {
            ("NOT READY", "1;7;31")
        };
        let verdict = format!("{verdict:>9}");
        let verdict = if self.has_colours {
            format!("\x1b[{colour}m{verdict}\x1b[0m")
        } else {
            verdict
        };
        let name = format!(
            "{} {}",
            words(&status["program"]),
            words(&status["version"])
        );
        let up = format!("up {}", duration(number(&status["uptime"])));
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds are shown")]
        let now = number(&status["time"]) as i64;
        self.line(format_args!(
            "{name:<14} {up:<20} {} UTC    {verdict}",
            date((now, 0))
        ));
        let why = words(&ready["why"]);
        self.line(why.strip_prefix("ready: ").unwrap_or(&why));
        for warning in list(&status["warnings"]) {
            let what = words(&warning["what"]);
            if !what.ends_with(&why) {
                self.line(format_args!("  ! {what}"));
            }
        }
    }

    fn clock(&mut self, clock: &Value) {
        self.text.push('\n');
        if clock["synchronised"] != true {
            self.line(format_args!(
                "CLOCK    not synchronised: {}",
                words(&clock["why"])
            ));
            return;
        }
        let reference = match &clock["reference"] {
            Value::Null => words(&clock["reference_id"]),
            name => words(name),
        };
        self.line(format_args!(
            "CLOCK    follows {reference}; stratum {}, leap {}",
            clock["stratum"],
            words(&clock["leap"]),
        ));
        self.line(format_args!(
            "         wrong by {} at most; {} left to correct",
            size(&clock["root_distance"]),
            size(&clock["system_offset"]),
        ));
        self.line(format_args!(
            "         last update {} ago: off by {}, usually {}",
            age(&clock["reference_age"]),
            size(&clock["last_offset"]),
            size(&clock["rms_offset"]),
        ));
        self.line(format_args!(
            "         frequency {} ppm +/- {}",
            ppm(&clock["frequency"]),
            ppm(&clock["skew"]),
        ));
    }

    /// The followed ones first; of many the rest is a number.
    fn sources(&mut self, status: &Value) {
        let mut sources = list(&status["sources"]).to_vec();
        if sources.is_empty() {
            return;
        }
        sources.sort_by_key(|source| {
            let sign = words(&source["sign"]);
            "*+-x~?".find(&sign).unwrap_or(usize::MAX)
        });
        self.text.push('\n');
        self.line(
            "SOURCES                            state            reach  last ahead by    +/-",
        );
        for source in sources.iter().take(SOURCES_MAX) {
            let name = match &source["host"] {
                Value::Null => words(&source["name"]),
                host => words(host),
            };
            let state = if source["activity"] == "offline" {
                "offline".to_owned()
            } else {
                words(&source["state"]).replace('_', " ")
            };
            self.line(format_args!(
                "  {} {:<30} {:<16} {:>5o} {:>5}  {:>7} {:>6}",
                words(&source["sign"]),
                cut(&name, 30),
                cut(&state, 16),
                source["reach"].as_u64().unwrap_or(0),
                age(&source["age"]),
                source["offset"]
                    .as_f64()
                    .map_or_else(|| "-".to_owned(), signed),
                size(&source["root_distance"]),
            ));
        }
        let more = sources.len().saturating_sub(SOURCES_MAX);
        if more > 0 {
            self.line(format_args!("    and {more} more: maser sources"));
        }
    }

    fn requests(&mut self, requests: &Value) {
        self.text.push('\n');
        self.line("REQUESTS a second          1 s       10 s       60 s                 total");
        for name in REQUESTS {
            let rate = |span: &str| rate(&requests["rates"][span][name]);
            let total = requests["total"][name].as_u64().unwrap_or(0);
            // What has never been is left out, but for what everybody looks for.
            if total == 0 && !["received", "answered", "dropped"].contains(&name) {
                continue;
            }
            self.line(format_args!(
                "  {:<18} {:>9}  {:>9}  {:>9}  {:>20}",
                name.replace('_', " "),
                rate("1s"),
                rate("10s"),
                rate("60s"),
                grouped(total),
            ));
        }
    }

    /// Why requests were not answered, the most frequent reason first.
    fn drops(&mut self, requests: &Value) {
        let outcomes = list(&requests["outcomes"]).iter();
        let mut drops: Vec<&Value> = outcomes
            .filter(|one| one["is_drop"] == true && one["total"].as_u64().unwrap_or(0) > 0)
            .collect();
        if drops.is_empty() {
            return;
        }
        drops.sort_by_key(|one| std::cmp::Reverse(one["total"].as_u64()));
        self.text.push('\n');
        self.line("DROPPED because                      10 s                             total");
        for drop in drops {
            self.line(format_args!(
                "  {:<18} {:>20}  {:>31}",
                words(&drop["outcome"]).replace('_', " "),
                rate(&drop["rate"]),
                grouped(drop["total"].as_u64().unwrap_or(0)),
            ));
        }
    }

    /// All of a few; of many the busiest and the idlest.
    fn workers(&mut self, workers: &[Value]) {
        if workers.is_empty() {
            return;
        }
        let mut shown: Vec<&Value> = workers.iter().collect();
        if shown.len() > WORKERS_MAX {
            shown.sort_by(|one, two| number(&two["rate"]).total_cmp(&number(&one["rate"])));
            shown.drain(WORKERS_MAX / 2..workers.len() - WORKERS_MAX / 2);
        }
        self.text.push('\n');
        self.line("WORKERS  core    a second       received           sent        dropped  lost");
        for worker in &shown {
            let cpu = worker["cpu"].as_u64();
            self.line(format_args!(
                "  {:>5}  {:>4}   {:>9} {:>14} {:>14} {:>14} {:>5}",
                worker["worker"].as_u64().unwrap_or(0),
                cpu.map_or_else(|| "-".to_owned(), |cpu| cpu.to_string()),
                rate(&worker["rate"]),
                grouped(worker["received"].as_u64().unwrap_or(0)),
                grouped(worker["sent"].as_u64().unwrap_or(0)),
                grouped(worker["dropped"].as_u64().unwrap_or(0)),
                worker["queue_dropped"].as_u64().unwrap_or(0),
            ));
        }
        let hidden = workers.len() - shown.len();
        if hidden > 0 {
            self.line(format_args!(
                "  the busiest and the idlest; {hidden} between them"
            ));
        }
    }

    fn times(&mut self, status: &Value) {
        self.text.push('\n');
        self.line(
            "OF THE LAST MINUTE             mean     50 %     90 %     99 %   99.9 %  samples",
        );
        for (label, name) in [
            ("from arrival to reply", "residence"),
            ("error of timestamps", "timestamp_error"),
        ] {
            let times = &status[name];
            let part = |share: &str| size(&times[share]);
            let mean = times["mean"].as_f64();
            self.line(format_args!(
                "  {label:<23} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
                mean.map_or_else(|| "-".to_owned(), |mean| signed(mean).trim().to_owned()),
                part("p50"),
                part("p90"),
                part("p99"),
                part("p999"),
                times["count"].as_u64().unwrap_or(0),
            ));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// A text without what a terminal would obey.
fn words(value: &Value) -> String {
    let text = value.as_str().unwrap_or("-").chars();
    text.map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width - 1).collect();
    kept + ">"
}

/// Seconds without their sign: how wrong something is.
fn size(value: &Value) -> String {
    let seconds = value.as_f64();
    seconds.map_or_else(|| "-".to_owned(), |s| unsigned(s.abs()).trim().to_owned())
}

fn ppm(value: &Value) -> String {
    let ppm = value.as_f64();
    ppm.map_or_else(|| "-".to_owned(), |ppm| format!("{ppm:.3}"))
}

fn age(value: &Value) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates"
    )]
    let seconds = value.as_f64().map(|seconds| seconds as u32);
    let text = crate::cli::report::figures::age(seconds);
    match seconds {
        Some(0..1200) => format!("{}s", text.trim()),
        _ => text.trim().to_owned(),
    }
}

/// So many a second, in at most five digits: `31.4`, `1.24k`, `2.50M`.
fn rate(value: &Value) -> String {
    let Some(rate) = value.as_f64() else {
        return "-".to_owned();
    };
    match rate {
        ..9.95 => format!("{rate:.1}"),
        ..9999.5 => format!("{rate:.0}"),
        ..999_500.0 => format!("{:.1}k", rate / 1e3),
        _ => format!("{:.2}M", rate / 1e6),
    }
}

/// With a comma before each three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3d 04:12:09`
fn duration(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates"
    )]
    let seconds = seconds as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 {
        clock
    } else {
        format!("{days}d {clock}")
    }
}

/// In the order of the screen, by their names in the JSON.
const REQUESTS: [&str; 7] = [
    "received",
    "answered",
    "signed",
    "interleaved",
    "kiss",
    "dropped",
    "queue_dropped",
];
const SOURCES_MAX: usize = 10;
const WORKERS_MAX: usize = 16;

#[cfg(test)]
mod tests;
