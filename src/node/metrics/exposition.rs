//! The text that Prometheus reads, version 0.0.4 of its format, family by family.

use std::fmt::{Display, Write as _};

/// `Content-Type`
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label: its name and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// The text as far as it is written. Writing to a string cannot fail.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    name: &'static str,
    /// The lines before the family's first sample. A family without samples has none.
    head: String,
}

impl Exposition {
    /// The whole of it.
    pub(super) fn text(self) -> String {
        self.text
    }

    /// A family begins; its samples follow. All names begin with `maser_`, which is added here.
    pub(super) fn family(&mut self, name: &'static str, kind: Type, help: &str) {
        self.name = name;
        let word = kind.word();
        self.head = format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {word}\n");
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A family of one sample without labels.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        kind: Type,
        help: &str,
        value: impl Display,
    ) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram of the family: upper bounds in nanoseconds, ascending, each with the number of what was not larger;
    /// how many there were in all; their sum in nanoseconds. It is written in seconds.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        bounds: &[(u64, u64)],
        (count, sum_ns): (u64, u64),
    ) {
        for (bound_ns, below) in bounds {
            let bound = seconds(*bound_ns).to_string();
            self.line("_bucket", labels, Some(&bound), below);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, seconds(sum_ns));
        self.line("_count", labels, None, count);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(&std::mem::take(&mut self.head));
        let _ = write!(self.text, "{PREFIX}{}{suffix}", self.name);
        let all = labels.iter().copied().chain(bound.map(|le| ("le", le)));
        let mut before = '{';
        for (name, value) in all {
            let _ = write!(self.text, "{before}{name}=\"");
            escape(&mut self.text, value);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value may hold anything, but these three are written otherwise.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

const PREFIX: &str = "maser_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_the_format_has_it() {
        let mut exposition = Exposition::default();
        exposition.family("things_total", Type::Counter, "Things.");
        exposition.sample(&[("kind", "a\"b\\c\nd"), ("other", "x")], 7);
        exposition.family("nothing_total", Type::Counter, "Nothing.");
        exposition.single("size_seconds", Type::Gauge, "Size.", 0.000_25);
        exposition.family("wait_seconds", Type::Histogram, "Wait.");
        exposition.histogram(&[("worker", "0")], &[(2048, 1), (4096, 3)], (4, 1_000_000));
        let expected = "\
            # HELP maser_things_total Things.\n\
            # TYPE maser_things_total counter\n\
            maser_things_total{kind=\"a\\\"b\\\\c\\nd\",other=\"x\"} 7\n\
            # HELP maser_size_seconds Size.\n\
            # TYPE maser_size_seconds gauge\n\
            maser_size_seconds 0.00025\n\
            # HELP maser_wait_seconds Wait.\n\
            # TYPE maser_wait_seconds histogram\n\
            maser_wait_seconds_bucket{worker=\"0\",le=\"0.000002048\"} 1\n\
            maser_wait_seconds_bucket{worker=\"0\",le=\"0.000004096\"} 3\n\
            maser_wait_seconds_bucket{worker=\"0\",le=\"+Inf\"} 4\n\
            maser_wait_seconds_sum{worker=\"0\"} 0.001\n\
            maser_wait_seconds_count{worker=\"0\"} 4\n";
        assert_eq!(exposition.text(), expected);
    }
}
