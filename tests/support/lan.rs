//! Machines of their own on a wire: network namespaces, joined by pairs of veth.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use super::tool::{self, need, need_root, said};

/// Namespaces in a row, each joined to the next: machine `n` has 10.99.n.1 towards machine n + 1, which has 10.99.n.2.
/// They go with the value.
pub(crate) struct Lan {
    ip: PathBuf,
    names: Vec<String>,
}

impl Lan {
    /// So many machines in a row. `None`: skipped, and why was said.
    pub(crate) fn row(machines: usize) -> Option<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        if !need_root() {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}n{number}", std::process::id());
        let mut lan = Self {
            ip: need("ip")?,
            names: Vec::new(),
        };
        for machine in 0..machines {
            let name = format!("maser{mark}m{machine}");
            let made = tool::run(Command::new(&lan.ip).args(["netns", "add", &name]));
            if !made.status.success() {
                super::skip("no network namespace can be made here");
                return None;
            }
            lan.names.push(name);
            lan.ip(machine, "link set lo up");
        }
        for near in 0..machines.saturating_sub(1) {
            let far = near + 1;
            let far_name = lan.names[far].clone();
            lan.ip(
                near,
                &format!("link add right type veth peer name left netns {far_name}"),
            );
            lan.ip(near, &format!("addr add 10.99.{near}.1/24 dev right"));
            lan.ip(far, &format!("addr add 10.99.{near}.2/24 dev left"));
            lan.ip(near, "link set right up");
            lan.ip(far, "link set left up");
        }
        Some(lan)
    }

    /// `ip` on one of the machines.
    #[track_caller]
    pub(crate) fn ip(&self, machine: usize, words: &str) {
        let mut command = Command::new(&self.ip);
        command.args(["-n", &self.names[machine]]);
        let output = tool::run(command.args(words.split(' ')));
        assert!(output.status.success(), "ip {words}: {}", said(&output));
    }

    /// A program on one of the machines.
    pub(crate) fn command(&self, machine: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new(&self.ip);
        command
            .args(["netns", "exec", &self.names[machine]])
            .arg(program);
        command
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in &self.names {
            // It may be gone; what is left of it is the kernel's when its last process ends.
            tool::run(Command::new(&self.ip).args(["netns", "del", name]));
        }
    }
}
