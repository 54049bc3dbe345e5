//! The text that Prometheus reads, read strictly: what a tool would complain of is a failure.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// A family as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    /// Name, labels and value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

/// The whole of it, by the families' names.
#[derive(Clone, Debug)]
pub(crate) struct Exposition(pub(crate) BTreeMap<String, Family>);

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(line).map_err(|why| format!("{why}: {line}"))?;
        }
        reader.end()?;
        for (name, family) in &reader.families {
            family.check(name).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(Self(reader.families))
    }

    /// The sum of a family's samples that have these labels; panics where the family is not there.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let family = self.0.get(name);
        let family = family.unwrap_or_else(|| panic!("no family {name}"));
        let has = |its: &Labels| {
            let mut wanted = labels.iter();
            wanted.all(|(label, value)| its.get(*label).is_some_and(|found| found == value))
        };
        let these = family
            .samples
            .iter()
            .filter(|(full, its, _)| full == name && has(its));
        these.map(|(.., value)| value).sum()
    }

    /// The same, of what is counted.
    #[track_caller]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is seen to be whole"
    )]
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        assert!(
            sum >= 0.0 && sum.fract().abs() < f64::EPSILON,
            "{name}: {sum}"
        );
        sum as u64
    }
}

#[derive(Default)]
struct Reader {
    families: BTreeMap<String, Family>,
    /// Of the family that is read, with its HELP and TYPE.
    current: Option<(String, bool, bool)>,
    seen: BTreeSet<(String, Vec<(String, String)>)>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without a text")?;
            if help.trim() != help || help.is_empty() {
                return Err("a HELP that is no text".into());
            }
            return self.begin(name);
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(format!("no such type {kind}"));
            }
            let Some((current, _, has_type)) = &mut self.current else {
                return Err("TYPE before HELP".into());
            };
            if current != name || *has_type {
                return Err("TYPE of another family, or twice".into());
            }
            *has_type = true;
            let family = self.families.get_mut(name).ok_or("no family")?;
            kind.clone_into(&mut family.kind);
            return check_name(name, kind);
        }
        if line.starts_with('#') || line.is_empty() {
            return Err("neither HELP, TYPE nor a sample".into());
        }
        self.sample(line)
    }

    fn begin(&mut self, name: &str) -> Result<(), String> {
        self.end()?;
        if !is_name(name) {
            return Err("no name".into());
        }
        if self.families.contains_key(name) {
            return Err("a family twice".into());
        }
        self.families.insert(name.to_owned(), Family::default());
        self.current = Some((name.to_owned(), true, false));
        Ok(())
    }

    /// The family that is read must be whole.
    fn end(&self) -> Result<(), String> {
        let Some((name, _, has_type)) = &self.current else {
            return Ok(());
        };
        if !has_type {
            return Err(format!("{name}: no TYPE"));
        }
        if self.families[name].samples.is_empty() {
            return Err(format!("{name}: no sample"));
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let name = &line[..end];
        let (labels, rest) = match line[end..].strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), &line[end..]),
        };
        let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
        let value = number(value)?;
        let (family, _, has_type) = self.current.as_ref().ok_or("a sample before its HELP")?;
        if !has_type {
            return Err("a sample before its TYPE".into());
        }
        let family = self.families.get_mut(family).ok_or("no family")?;
        let base = self.current.as_ref().map_or("", |(name, ..)| name);
        let suffix = name
            .strip_prefix(base)
            .ok_or("a sample of another family")?;
        let allowed: &[&str] = if family.kind == "histogram" {
            &["_bucket", "_sum", "_count"]
        } else {
            &[""]
        };
        if !allowed.contains(&suffix) {
            return Err("a name that its family cannot have".into());
        }
        if !self.seen.insert((name.to_owned(), labels.clone())) {
            return Err("a sample twice".into());
        }
        if family.kind == "counter" && (value < 0.0 || value.is_nan()) {
            return Err("a counter that is none".into());
        }
        let map: Labels = labels.into_iter().collect();
        family.samples.push((name.to_owned(), map, value));
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let mut all = name.bytes();
    all.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && all.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What `promtool check metrics` says of names.
fn check_name(name: &str, kind: &str) -> Result<(), String> {
    if (kind == "counter") != name.ends_with("_total") {
        return Err("counters, and counters alone, end in _total".into());
    }
    for suffix in ["_count", "_sum", "_bucket"] {
        if name.ends_with(suffix) {
            return Err(format!("{suffix} is a histogram's"));
        }
    }
    for word in name.split('_') {
        let bad = [
            "milliseconds",
            "microseconds",
            "nanoseconds",
            "ms",
            "us",
            "ns",
            "s",
            "minutes",
            "hours",
            "percent",
            "counter",
            "gauge",
            "histogram",
        ];
        if bad.contains(&word) {
            return Err(format!("{word} in a name"));
        }
    }
    Ok(())
}

fn labels(text: &str) -> Result<(Vec<(String, String)>, &str), String> {
    let (mut all, mut rest) = (Vec::<(String, String)>::new(), text);
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("no label's value")?;
        if !is_name(name) || all.iter().any(|(other, _)| other == name) {
            return Err(format!("the label {name}"));
        }
        let (mut value, mut chars) = (String::new(), after.char_indices());
        rest = loop {
            match chars.next().ok_or("a label's value without its end")? {
                (at, '"') => break &after[at + 1..],
                (_, '\\') => match chars.next() {
                    Some((_, '\\')) => value.push('\\'),
                    Some((_, '"')) => value.push('"'),
                    Some((_, 'n')) => value.push('\n'),
                    _ => return Err("an escape that is none".into()),
                },
                (_, other) => value.push(other),
            }
        };
        all.push((name.to_owned(), value));
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((all, after));
        }
        rest = rest.strip_prefix(',').ok_or("no comma")?;
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ => {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
            let value = text.parse().ok().filter(|_| plain);
            value.ok_or_else(|| format!("{text} is no number"))
        }
    }
}

impl Family {
    fn check(&self, name: &str) -> Result<(), String> {
        if self.kind != "histogram" {
            let names = |labels: &Labels| labels.keys().cloned().collect::<Vec<_>>();
            let mut all = self.samples.iter().map(|(_, labels, _)| names(labels));
            let first = all.next();
            return if all.all(|other| Some(&other) == first.as_ref()) {
                Ok(())
            } else {
                Err("samples with other labels".into())
            };
        }
        let mut groups: BTreeMap<Labels, Group> = BTreeMap::new();
        for (full, labels, value) in &self.samples {
            let mut labels = labels.clone();
            let bound = labels.remove("le");
            let group = groups.entry(labels).or_default();
            match (full.strip_prefix(name), bound) {
                (Some("_bucket"), Some(bound)) => group.buckets.push((number(&bound)?, *value)),
                (Some("_sum"), None) => group.sum = Some(*value),
                (Some("_count"), None) => group.count = Some(*value),
                _ => return Err("a sample that is no bucket, sum or count".into()),
            }
        }
        groups.values().try_for_each(Group::check)
    }
}

/// One histogram.
#[derive(Default)]
struct Group {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

impl Group {
    fn check(&self) -> Result<(), String> {
        let (Some(sum), Some(count)) = (self.sum, self.count) else {
            return Err("no sum, or no count".into());
        };
        let sorted = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        if !self.buckets.windows(2).all(sorted) {
            return Err("buckets that do not ascend".into());
        }
        let Some((bound, all)) = self.buckets.last() else {
            return Err("no bucket".into());
        };
        if !bound.is_infinite() || (all - count).abs() > 0.0 {
            return Err("the last bucket is not +Inf, or not the count".into());
        }
        let least: f64 = self
            .buckets
            .windows(2)
            .map(|pair| pair[0].0 * (pair[1].1 - pair[0].1))
            .sum();
        let finite = self.buckets.iter().rev().nth(1).map_or(0.0, |pair| pair.1);
        if sum < 0.0 || sum < least * 0.999_999 || (finite - count).abs() < 0.5 && sum > most(self)
        {
            return Err(format!("a sum of {sum} that cannot be"));
        }
        Ok(())
    }
}

/// The largest sum that the buckets allow, where none is beyond the last bound.
fn most(group: &Group) -> f64 {
    let mut before = 0.0;
    let parts = group.buckets.iter().filter(|(bound, _)| bound.is_finite());
    let parts = parts.map(|(bound, below)| {
        let within = below - before;
        before = *below;
        bound * within
    });
    parts.sum::<f64>() * 1.000_001
}
