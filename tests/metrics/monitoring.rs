//! What the dashboard and the alerts ask Prometheus for is there.

use std::path::PathBuf;
use std::time::Duration;

use maser::auth::KeyStore;
use serde_json::Value;

use super::skewed::{Skew, SkewedServer};
use super::support::seen::within;
use super::{LOOPBACK, Told};

/// Every series that a text of PromQL names: its metric, and the labels that it is asked by.
fn series(promql: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in promql.match_indices("maser_") {
        if promql[..at].ends_with(is_word) {
            continue;
        }
        let rest = &promql[at..];
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let labels = rest[name.len()..].strip_prefix('{').unwrap_or("");
        let labels = labels.split('}').next().unwrap_or("").split(',');
        let labels = labels.filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        found.push((name, labels.collect()));
    }
    found
}

/// The labels of `by (…)`, `on (…)`, and those that a legend or an annotation shows.
fn shown(text: &str) -> Vec<String> {
    let lists = [" by (", " on ("].map(|start| text.split(start).skip(1));
    let lists = lists.into_iter().flatten();
    let lists = lists.filter_map(|rest| rest.split(')').next());
    let words = lists.flat_map(|list| list.split(','));
    let mut all: Vec<String> = words.map(|word| word.trim().to_owned()).collect();
    for (start, end) in [("{{ $labels.", " }}"), ("{{", "}}")] {
        let rest = text.split(start).skip(1);
        all.extend(rest.filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())));
    }
    all.retain(|label| {
        label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    all
}

/// Each alert, and each query of the dashboard with its legend.
fn questions() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("monitoring");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("our file");
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    let alerts = read("alerts.yml");
    let mut lines: Vec<String> = alerts
        .split("- alert:")
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert!(lines.len() > 10, "{} alerts", lines.len());
    for alert in &lines {
        for part in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: \"",
            "description: \"",
        ] {
            assert!(alert.contains(part), "no {part} in {alert}");
        }
    }
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |field: &str| target[field].as_str().expect("text");
            lines.push(format!("{} {}", text("expr"), text("legendFormat")));
        }
    }
    lines
}

#[test]
fn dashboard_and_alerts_name_only_what_there_is() {
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0",
        source.address().port()
    );
    let told = Told::start(&[&line]);
    let mut figures = told.figures();
    within(Duration::from_secs(20), "the source is selected", || {
        figures = told.figures();
        figures.count("maser_source_selected", &[]) == 1
    });
    let lines = questions();
    let known = |name: &str| {
        let families = figures.0.iter();
        let mut families = families.filter(|(family, its)| {
            let suffixes = ["", "_bucket", "_sum", "_count"].into_iter();
            let suffixes = suffixes.filter(|suffix| (its.kind == "histogram") != suffix.is_empty());
            suffixes
                .map(|suffix| format!("{family}{suffix}"))
                .any(|full| full == name)
        });
        families.next().map(|(_, family)| family)
    };
    let (mut named, mut labelled) = (0, 0);
    // Prometheus adds two to whatever it has read.
    let added = ["job", "instance"];
    for line in &lines {
        let mut there: Vec<String> = added.map(str::to_owned).to_vec();
        for (name, labels) in series(line) {
            let family = known(&name).unwrap_or_else(|| panic!("there is no {name}: {line}"));
            named += 1;
            let has: Vec<String> = family
                .samples
                .iter()
                .flat_map(|(_, l, _)| l.keys().cloned())
                .collect();
            for label in labels {
                assert!(
                    added.contains(&&*label) || has.contains(&label),
                    "{label}: {line}"
                );
            }
            there.extend(has);
        }
        for label in shown(line) {
            labelled += 1;
            assert!(there.contains(&label), "there is no label {label}: {line}");
        }
    }
    assert!(named > 50 && labelled > 30, "{named} {labelled}");
}
