//! What is said of a machine.

use super::fact::Unknown;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know; or it cannot be told.
    Note,
    /// Costs throughput, latency or accuracy.
    Slow,
    /// Loses requests, or nothing can be served.
    Broken,
}

impl Severity {
    /// From the worst.
    pub const ALL: [Self; 4] = [Self::Broken, Self::Slow, Self::Note, Self::Ok];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Slow => "slow",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part of the machine: a word.
    pub area: &'static str,
    /// The setting, as Linux calls it where it has a name there.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is.
    pub found: String,
    /// What should be; empty where that is no question.
    pub wanted: String,
    /// Why it matters, and how much.
    pub why: String,
    /// What to run, as root; empty where nothing helps.
    pub command: String,
    /// The script of `tuning/` that does the same and can undo it; empty where there is none.
    pub script: String,
}

impl Finding {
    /// Something that is as it should be.
    pub(super) fn ok(
        area: &'static str,
        name: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            area,
            name: name.into(),
            severity: Severity::Ok,
            found: found.into(),
            wanted: String::new(),
            why: String::new(),
            command: String::new(),
            script: String::new(),
        }
    }

    /// Something that cannot be told.
    pub(super) fn unknown(area: &'static str, name: impl Into<String>, why: &Unknown) -> Self {
        Self::ok(area, name, format!("cannot tell, because {why}")).judged(Severity::Note)
    }

    pub(super) const fn judged(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(super) fn wanting(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = wanted.into();
        self
    }

    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(super) fn cured_by(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    pub(super) fn or_script(mut self, script: impl Into<String>) -> Self {
        self.script = script.into();
        self
    }
}
