//! `maser doctor`: what of this machine costs throughput or requests.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Exit, complain, print};
use crate::config::{self, Origin};
use crate::doctor::{
    self, Finding, Kernel, KernelElsewhere, LoopQuestion, LoopTest, Machine, Question, Severity,
    ThisKernel,
};
use crate::node::Files;

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
    /// Instead, ask the server at this address, which must be on this machine, and tell what `fastpathdeparture` it needs.
    ///
    /// The clock there must be the one here. To come by the interface that has the fast path, be in a network namespace that
    /// has the other end of the cable: ip netns exec NAME maser doctor --loop ADDRESS. tuning/README.md says more.
    #[arg(long = "loop", value_name = "ADDRESS", conflicts_with_all = ["interface", "root"])]
    server: Option<IpAddr>,
    /// Requests of --loop that count, a thousand a second.
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "server",
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    requests: u32,
    /// The server's configuration, for --loop: what is found is added to what stands there.
    #[arg(short = 'f', value_name = "FILE", requires = "server")]
    file: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(&self) -> Exit {
        match self.server {
            Some(server) => self.run_loop(SocketAddr::new(server, self.port)),
            None => self.look(),
        }
    }

    fn look(&self) -> Exit {
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
        match Machine::read(root, kernel, &question) {
            Ok(machine) => self.tell(&machine.findings(&question), self.all),
            Err(error) => complain(&format!("maser doctor: {error}"), Exit::Usage),
        }
    }

    fn run_loop(&self, server: SocketAddr) -> Exit {
        let configured_ns = match &self.file {
            None => None,
            Some(file) => match config::load(Origin::File(file), &Files) {
                Ok(loaded) => Some(loaded.config.fast_path.departure_ns),
                Err(errors) => return complain(&errors.to_string(), Exit::Failure),
            },
        };
        let question = LoopQuestion {
            server,
            requests: self.requests,
            configured_ns,
        };
        match LoopTest::run(&question) {
            // What was measured is shown, good or not.
            Ok(test) => self.tell(&test.findings(&question), true),
            Err(error) => complain(
                &format!("maser doctor: --loop {}: {error}", server.ip()),
                Exit::Failure,
            ),
        }
    }

    fn tell(&self, findings: &[Finding], all: bool) -> Exit {
        let text = if self.json {
            let lines = findings
                .iter()
                .map(|finding| doctor::json(finding).to_string() + "\n");
            lines.collect::<String>()
        } else {
            let shown = |severity| all || severity > Severity::Ok;
            let lines = findings.iter().filter(|finding| shown(finding.severity));
            lines.map(doctor::line).collect::<String>() + &doctor::summary(findings, all)
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
not be written, or with --loop: nothing could be asked; 2 a mistake in the arguments.";
