//! What server, harness and machine did during a step, as far as `/proc` tells.
//!
//! The step's own thread takes two readings of CPU time, one a little before the measured part, so that
//! reading disturbs nothing that counts, and one at its end; and two of what was dropped, the second when the
//! last request is settled. What cannot be read is left out: none of this can make a step fail.

mod cpu;
mod drops;
mod json;
mod remarks;
mod route;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use super::null;
use cpu::{Census, numbered, share};

pub use cpu::{Core, Others, Process, Thread};
pub use drops::{Drops, InterfaceDrops, Network, SocketDrops, Softnet, UdpErrors, Whose};
pub(super) use json::object;
pub(super) use remarks::{OTHERS_MAX, STEAL_MAX, line, remarks};
pub(super) use route::interface_towards;

/// How long before the measured part the first reading is taken, in nanoseconds.
pub(super) const LEAD_NS: u64 = 20_000_000;
/// What the names of the harness's threads begin with.
pub(super) const THREAD_NAME: &str = "maser-bench";

/// What was seen of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Seconds between the two readings of CPU time: the measured part and a little before it.
    pub seconds: f64,
    /// Each core of the machine.
    pub cores: Vec<Core>,
    /// The harness's own threads.
    pub harness: Vec<Thread>,
    /// The server.
    pub server: Server,
    /// Everybody else.
    pub others: Others,
    /// Drops, from shortly before the measured part until the last request was settled.
    pub drops: Drops,
}

/// What can be seen of the server's process.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Server {
    /// The address is not this machine's.
    #[default]
    Elsewhere,
    /// The address is this machine's, but whose socket it is cannot be seen: it takes the same user or root,
    /// and a server in a thread of the harness's own process is not told apart.
    Hidden,
    /// Its processes; of the null responder, which is a thread of the harness's process, that thread only.
    Seen(Vec<Process>),
}

impl Machine {
    /// The share of the cores' time that the hypervisor took.
    pub fn steal(&self) -> f64 {
        let sum = |seconds: fn(&Core) -> f64| self.cores.iter().map(seconds).sum();
        share(sum(|core| core.steal_s), sum(Core::total_s))
    }

    /// Core seconds that the hypervisor took.
    pub fn steal_s(&self) -> f64 {
        self.cores.iter().map(|core| core.steal_s).sum()
    }

    /// Cores' worth of interrupts, soft ones included.
    pub fn softirq_cores(&self) -> f64 {
        let seconds: f64 = self.cores.iter().map(|core| core.softirq_s).sum();
        share(seconds, self.seconds)
    }

    /// Cores' worth of CPU time that the harness took: user and system.
    pub fn harness_cores(&self) -> (f64, f64) {
        self.cores_of(self.harness.iter())
    }

    /// Cores' worth of CPU time that the server took: user and system; `None` where it is not seen.
    pub fn server_cores(&self) -> Option<(f64, f64)> {
        match &self.server {
            Server::Seen(processes) => {
                Some(self.cores_of(processes.iter().flat_map(|process| &process.threads)))
            }
            Server::Elsewhere | Server::Hidden => None,
        }
    }

    /// Cores' worth of CPU time that other programs took.
    pub fn others_cores(&self) -> f64 {
        share(self.others.seconds, self.seconds)
    }

    /// Shares of the server's CPU time, of each of its threads that took more than 1 % of a core.
    pub fn server_shares(&self) -> Vec<f64> {
        let Server::Seen(processes) = &self.server else {
            return Vec::new();
        };
        let threads = processes.iter().flat_map(|process| &process.threads);
        let seconds: Vec<_> = threads.map(Thread::seconds).collect();
        let all = seconds.iter().sum();
        let working = seconds.iter().filter(|s| **s > 0.01 * self.seconds);
        working.map(|seconds| share(*seconds, all)).collect()
    }

    /// The largest of [`server_shares`](Self::server_shares) to their mean: 1 where all do the same.
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    pub fn server_imbalance(&self) -> Option<f64> {
        let shares = self.server_shares();
        let most = shares.iter().copied().reduce(f64::max)?;
        Some(most * shares.len() as f64 / shares.iter().sum::<f64>())
    }

    fn cores_of<'a>(&self, threads: impl Iterator<Item = &'a Thread>) -> (f64, f64) {
        let (user_s, system_s) = threads.fold((0.0, 0.0), |(user, system), thread| {
            (user + thread.user_s, system + thread.system_s)
        });
        (share(user_s, self.seconds), share(system_s, self.seconds))
    }
}

/// Where to look: found before the step begins, since it means looking through all processes.
pub(super) struct Watch {
    root: PathBuf,
    target: SocketAddr,
    /// This process's number, as `root` has it.
    own: Option<u32>,
    server: Found,
    networks: Vec<(Whose, PathBuf)>,
}

/// Whether there are processes to look at, and which.
enum Found {
    Elsewhere,
    Hidden,
    Processes(Vec<u32>),
}

/// CPU time so far.
pub(super) struct Reading {
    at_ns: u64,
    cores: Vec<Core>,
    harness: Vec<Thread>,
    server: Vec<Process>,
    census: Census,
}

impl Watch {
    /// Looks for the server: its processes are `pids`, or else whoever has the socket that hears `target`.
    /// `root` is where proc is mounted.
    pub(super) fn new(root: &Path, target: SocketAddr, pids: &[u32]) -> Self {
        let harness_net = root.join("self/net");
        let own = fs::read_link(root.join("self")).ok();
        let namespace = |process: &str| fs::read_link(root.join(process).join("ns/net")).ok();
        let (server, networks) = if let Some(first) = pids.first() {
            let first = first.to_string();
            let theirs = namespace(&first);
            let networks = if theirs.is_some() && theirs == namespace("self") {
                vec![(Whose::Both, harness_net)]
            } else {
                vec![
                    (Whose::Harness, harness_net),
                    (Whose::Server, root.join(first).join("net")),
                ]
            };
            (Found::Processes(pids.to_vec()), networks)
        } else if is_local(target.ip()) {
            let sockets = drops::hearing(&harness_net, target);
            let inodes: Vec<_> = sockets.iter().map(|socket| socket.inode).collect();
            let owners = owners(root, &inodes);
            let found = if owners.is_empty() {
                Found::Hidden
            } else {
                Found::Processes(owners)
            };
            (found, vec![(Whose::Both, harness_net)])
        } else {
            (Found::Elsewhere, vec![(Whose::Harness, harness_net)])
        };
        Self {
            root: root.to_owned(),
            target,
            own: own.and_then(|own| own.to_str()?.parse().ok()),
            server,
            networks,
        }
    }

    /// Reads CPU time; `now_ns` is the monotonic clock's time.
    pub(super) fn read(&self, now_ns: u64) -> Reading {
        let pids = match &self.server {
            Found::Processes(pids) => pids.as_slice(),
            Found::Elsewhere | Found::Hidden => &[],
        };
        let process = |pid: &u32| {
            if self.own == Some(*pid) {
                let mut process =
                    Process::read(&self.root, *pid, |name| name == null::THREAD_NAME)?;
                null::THREAD_NAME.clone_into(&mut process.name);
                Some(process)
            } else {
                Process::read(&self.root, *pid, |_| true)
            }
        };
        Reading {
            at_ns: now_ns,
            cores: cpu::cores(&self.root),
            harness: cpu::threads(&self.root.join("self"), |name| name != null::THREAD_NAME),
            server: pids
                .iter()
                .filter_map(process)
                .filter(|process| !process.threads.is_empty())
                .collect(),
            census: cpu::census(&self.root, |pid| {
                self.own == Some(pid) || pids.contains(&pid)
            }),
        }
    }

    /// Reads what was dropped so far.
    pub(super) fn drops(&self) -> Drops {
        Drops::read(&self.networks, self.target)
    }

    /// What was dropped since an earlier reading.
    pub(super) fn drops_since(&self, before: &Drops) -> Drops {
        self.drops().since(before)
    }

    /// What happened between two readings, and what was dropped meanwhile.
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of a step, far below 2^53"
    )]
    pub(super) fn between(&self, before: &Reading, after: &Reading, drops: Drops) -> Machine {
        let earlier = |pid| before.server.iter().find(|process| process.pid == pid);
        let servers: Vec<_> = after
            .server
            .iter()
            .map(|process| process.since(earlier(process.pid)))
            .collect();
        let cores = cpu::cores_since(&after.cores, &before.cores);
        let harness = cpu::threads_since(&after.harness, &before.harness);
        let threads = servers.iter().flat_map(|process| &process.threads);
        let ours_s = threads.chain(&harness).map(Thread::seconds).sum();
        Machine {
            seconds: after.at_ns.saturating_sub(before.at_ns) as f64 / 1e9,
            others: cpu::others(&after.census, &before.census, &cores, ours_s),
            server: match &self.server {
                Found::Elsewhere => Server::Elsewhere,
                _ if servers.is_empty() => Server::Hidden,
                _ => Server::Seen(servers),
            },
            cores,
            harness,
            drops,
        }
    }
}

/// Processes that have one of these sockets open, as far as we may see.
fn owners(root: &Path, inodes: &[u64]) -> Vec<u32> {
    let links: Vec<_> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let has_one = |pid: &u32| {
        let descriptors = fs::read_dir(root.join(pid.to_string()).join("fd"));
        let mut open = descriptors
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok());
        open.any(|to| links.iter().any(|link| to == Path::new(link)))
    };
    if links.is_empty() {
        return Vec::new();
    }
    let mut pids: Vec<_> = numbered(root).filter(has_one).collect();
    pids.sort_unstable();
    pids
}

/// Whether an address is this machine's, in this namespace: from such the kernel sends to itself.
pub(super) fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connecting a UDP socket asks the routing table, and sends nothing.
    let source = || {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((ip, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ip.is_loopback() || source() == Some(ip)
}

#[cfg(test)]
pub(super) mod tests;
