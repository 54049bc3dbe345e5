//! Findings as text for people and as JSON for programs.

use serde_json::{Value, json};

use super::finding::{Finding, Severity};

/// A finding: severity, what it is of, what is, what should be, why. The command that cures it follows on a
/// line of its own, to be copied; behind `#` stands the script that can undo it.
pub fn line(finding: &Finding) -> String {
    let Finding {
        name,
        found,
        wanted,
        why,
        command,
        script,
        ..
    } = finding;
    let mut text = format!("{:<6}  {name}: {found}", finding.severity.name());
    if !wanted.is_empty() {
        text += &format!("; should be {wanted}");
    }
    if !why.is_empty() {
        text += &format!(": {why}");
    }
    match (command.is_empty(), script.is_empty()) {
        (true, true) => {}
        (true, false) => text += &format!("\n        {script}"),
        (false, true) => text += &format!("\n        {command}"),
        (false, false) => text += &format!("\n        {command}  # or: {script}"),
    }
    text + "\n"
}

/// How many there are of each severity, the worst first.
pub fn summary(findings: &[Finding], all: bool) -> String {
    let count = |severity| {
        let like = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        like.count()
    };
    let counts = Severity::ALL.map(|severity| format!("{} {}", count(severity), severity.name()));
    let hidden = if all || count(Severity::Ok) == 0 {
        ""
    } else {
        " (--all shows them)"
    };
    format!("{}{hidden}\n", counts.join(", "))
}

/// A finding as an object with a string for each of its fields.
pub fn json(finding: &Finding) -> Value {
    json!({
        "area": finding.area,
        "name": finding.name,
        "severity": finding.severity.name(),
        "found": finding.found,
        "wanted": finding.wanted,
        "why": finding.why,
        "command": finding.command,
        "script": finding.script,
    })
}
