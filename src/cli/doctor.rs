//! `maser doctor`: what of this machine costs throughput or requests.

use std::path::{Path, PathBuf};

use super::{Exit, complain, print};
use crate::doctor::{self, Kernel, KernelElsewhere, Machine, Question, Severity, ThisKernel};

/// Look at this machine and tell what costs throughput or requests, how much, and what to run.
///
/// It reads and changes nothing; what cannot be read is said. Each finding is broken (requests are lost, or
/// none can be served), slow (it costs throughput, latency or accuracy), a note, or ok. Commands are for root.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Doctor {
    /// The port that is, or shall be, served.
    #[arg(long, value_name = "PORT", default_value_t = 123, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Look at this interface only; may stand several times. Otherwise at all that are up, but the loopback.
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
    /// Also show what is as it should be.
    #[arg(long)]
    all: bool,
    /// One JSON object a line: area, name, severity, found, wanted, why, command, script. With all that is ok.
    #[arg(long)]
    json: bool,
    /// Read proc and sys below this folder: a copy of another machine's.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(&self) -> Exit {
        let question = Question {
            port: self.port,
            interfaces: self.interface.clone(),
        };
        let (root, kernel): (&Path, &dyn Kernel) = match &self.root {
            Some(root) => (root, &KernelElsewhere),
            None => (Path::new("/"), &ThisKernel),
        };
        if !root.join("proc").is_dir() {
            let text = format!("maser doctor: --root {}: no proc in it", root.display());
            return complain(&text, Exit::Usage);
        }
        let findings = match Machine::read(root, kernel, &question) {
            Ok(machine) => machine.findings(&question),
            Err(error) => return complain(&format!("maser doctor: {error}"), Exit::Usage),
        };
        let text = if self.json {
            let lines = findings
                .iter()
                .map(|finding| doctor::json(finding).to_string() + "\n");
            lines.collect::<String>()
        } else {
            let shown = |severity| self.all || severity > Severity::Ok;
            let lines = findings.iter().filter(|finding| shown(finding.severity));
            lines.map(doctor::line).collect::<String>() + &doctor::summary(&findings, self.all)
        };
        match print(&text) {
            Exit::Success => exit(findings.iter().map(|finding| finding.severity).max()),
            other => other,
        }
    }
}

fn exit(worst: Option<Severity>) -> Exit {
    match worst {
        None | Some(Severity::Ok | Severity::Note) => Exit::Success,
        Some(Severity::Slow) => Exit::Slow,
        Some(Severity::Broken) => Exit::Broken,
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 nothing worse than a note; 3 something is slow; 4 something is broken; 1 the findings could \
not be written; 2 a mistake in the arguments.";
