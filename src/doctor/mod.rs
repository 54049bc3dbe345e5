//! `maser doctor`: what of a machine costs a server throughput or requests, and what to do about it.
//!
//! Reading and judging are apart. Each area has a plain structure of what is there, which is read from files
//! below a [`Root`] and from a [`Kernel`], and a function from it to [`Finding`]s. What cannot be read is a
//! [`fact::Unknown`], and becomes a finding that says so: nothing is guessed.

mod backlog;
mod clock;
mod cores;
mod cpu;
mod departure;
pub mod fact;
mod fastpath;
mod finding;
mod firewall;
mod irq;
mod kernel;
mod nic;
mod process;
mod show;
mod sockets;

use std::path::Path;

pub use departure::{LoopQuestion, LoopTest};
pub use finding::{Finding, Severity};
pub use kernel::{Driver, Kernel, KernelElsewhere, ThisKernel};
pub use show::{json, line, summary};

use fact::Root;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The port that is, or shall be, served.
    pub port: u16,
    /// Interfaces to look at; empty: all that are up, but for the loopback.
    pub interfaces: Vec<String>,
}

/// What was found of a machine.
#[derive(Debug)]
pub struct Machine {
    process: process::Processes,
    sockets: sockets::Sockets,
    backlog: backlog::Backlog,
    firewall: firewall::Firewall,
    cpu: cpu::Cpu,
    cards: Vec<nic::Card>,
    clock: clock::Clock,
    fastpath: fastpath::Kernel,
}

/// An interface that was named is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--interface {0}: there is no such interface")]
pub struct NoSuchInterface(String);

impl Machine {
    /// Reads the files of a machine below `root` (`/`: this one) and asks `kernel` for the rest.
    ///
    /// # Errors
    /// An interface that `question` names is not there.
    pub fn read(
        root: &Path,
        kernel: &dyn Kernel,
        question: &Question,
    ) -> Result<Self, NoSuchInterface> {
        let root = Root::new(root);
        let known = root.names("sys/class/net");
        if let Some(missing) = question
            .interfaces
            .iter()
            .find(|name| !known.contains(name))
        {
            return Err(NoSuchInterface(missing.clone()));
        }
        Ok(Self {
            process: process::Processes::read(&root, question.port),
            sockets: sockets::Sockets::read(&root),
            backlog: backlog::Backlog::read(&root),
            firewall: firewall::Firewall::read(&root, question.port),
            cpu: cpu::Cpu::read(&root),
            cards: nic::read(&root, kernel, &question.interfaces),
            clock: clock::Clock::read(&root, kernel),
            fastpath: fastpath::Kernel::read(&root),
        })
    }

    /// Judges what was read: the worst first, and within a severity by area.
    pub fn findings(&self, question: &Question) -> Vec<Finding> {
        let cores = &self.cpu.online;
        let mut findings = self.process.findings(question.port, cores.len());
        findings.extend(self.sockets.findings(&self.process));
        findings.extend(self.backlog.findings());
        findings.extend(self.firewall.findings(question.port, &self.cards));
        findings.extend(self.cpu.findings());
        findings.extend(nic::findings(&self.cards, cores));
        findings.extend(irq::findings(&self.cards, cores, &self.process));
        findings.extend(self.clock.findings(&self.process));
        findings.extend(self.fastpath.findings());
        findings.extend(fastpath::findings(
            &self.cards,
            &self.fastpath,
            &self.process,
            cores,
        ));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}
