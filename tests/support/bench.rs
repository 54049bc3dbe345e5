//! `maser bench` as a user runs it, and the figures it writes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::node::Folder;
use super::tool;

/// What a run came to.
pub(crate) struct Run {
    pub(crate) output: Output,
    /// One object a step.
    pub(crate) steps: Vec<Value>,
}

/// Runs the harness with these arguments, in a network namespace if one is named.
#[track_caller]
pub(crate) fn run(folder: &Folder, namespace: Option<&str>, arguments: &[&str]) -> Run {
    let json = folder.write("json", "");
    let maser = env!("CARGO_BIN_EXE_maser");
    let mut command = match namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, maser]);
            command
        }
        None => Command::new(maser),
    };
    // A busy machine may be late: what is tested is the counting.
    let patient = ["bench", "--late", "10000", "--timeout", "3"];
    command.args(patient).args(arguments);
    let output = tool::run(command.arg("--json").arg(&json));
    let steps = read(&json);
    assert!(!steps.is_empty(), "no figures: {}", tool::said(&output));
    Run { output, steps }
}

fn read(json: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(json).expect("our file");
    let steps = text.lines().map(serde_json::from_str::<Value>);
    steps.collect::<Result<_, _>>().expect("JSON lines")
}

/// A counter of a step.
#[track_caller]
pub(crate) fn count(step: &Value, counter: &str) -> u64 {
    let count = step["counts"][counter].as_u64();
    count.unwrap_or_else(|| panic!("no {counter} in {step}"))
}

/// Every request was sent, and answered as it should be.
#[track_caller]
pub(crate) fn assert_all_good(run: &Run) {
    for step in &run.steps {
        let sent = count(step, "sent");
        assert!(sent > 0, "{step}\n{}", tool::said(&run.output));
        let others = [
            "lost",
            "not_sent",
            "send_errors",
            "duplicates",
            "late",
            "stale",
        ];
        let others = others.map(|counter| count(step, counter));
        assert_eq!((count(step, "good"), others), (sent, [0; 6]), "{step}");
    }
}
