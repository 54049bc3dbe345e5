//! Processes: who has the port, and what the server may do.

use std::collections::BTreeMap;

use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};

const AREA: &str = "process";
/// What the kernel calls our main thread.
const SERVER: &str = "maser";
/// Descriptors of a worker (sockets of both families, epoll, a few more), and of all the rest.
const FILES_PER_CORE: u64 = 8;
const FILES: u64 = 64;
/// Bits of a capability set (include/uapi/linux/capability.h).
const NET_BIND_SERVICE: u32 = 10;
const NET_ADMIN: u32 = 12;
const IPC_LOCK: u32 = 14;
const SYS_NICE: u32 = 23;
/// Capabilities that the service is given, but for the one for the port, and what is refused without.
const PRIVILEGES: [(u32, &str, &str); 3] = [
    (
        NET_ADMIN,
        "CAP_NET_ADMIN",
        "socket queues stay within net.core.rmem_max and wmem_max",
    ),
    (SYS_NICE, "CAP_SYS_NICE", "`sched_priority` is refused"),
    (
        IPC_LOCK,
        "CAP_IPC_LOCK",
        "`lock_all` is refused or runs into the limit on locked memory",
    ),
];

/// What runs, and what matters of it.
#[derive(Debug)]
pub(super) struct Processes {
    /// The names of all, as the kernel has them.
    names: BTreeMap<u32, String>,
    /// Sockets that hear the port.
    sockets: Fact<Vec<Socket>>,
    /// Who has them.
    owners: Vec<u32>,
    /// Effective capabilities of the server, or of this process where none runs.
    capabilities: Fact<u64>,
    /// Open files that it may have at most.
    files: Fact<u64>,
    /// net.ipv4.ip_unprivileged_port_start.
    first_free_port: Fact<u16>,
    /// Where chronyd's configuration is on this system, and what its service is called.
    chrony: Option<(&'static str, &'static str)>,
}

/// A UDP socket that hears the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    inode: u64,
    /// Datagrams that found its queue full.
    drops: u64,
}

impl Processes {
    pub(super) fn read(root: &Root, port: u16) -> Self {
        let pids = root.names("proc").into_iter();
        let names = pids.filter_map(|pid| {
            let name = root.text(&format!("proc/{pid}/comm")).ok()?;
            Some((pid.parse().ok()?, name))
        });
        let names: BTreeMap<u32, String> = names.collect();
        let sockets = sockets(root, port);
        let owners = match &sockets {
            Ok(sockets) if !sockets.is_empty() => owners(root, &names, sockets),
            _ => Vec::new(),
        };
        let server = owners
            .iter()
            .find(|pid| names.get(pid).is_some_and(|name| name == SERVER));
        let subject = server.map_or_else(|| "self".to_owned(), u32::to_string);
        let etc = [
            ("etc/chrony/chrony.conf", "chrony.service"),
            ("etc/chrony.conf", "chronyd.service"),
        ];
        Self {
            sockets,
            owners,
            capabilities: capabilities(root, &subject),
            files: files(root, &subject),
            first_free_port: root.number("proc/sys/net/ipv4/ip_unprivileged_port_start"),
            chrony: etc.into_iter().find(|(file, _)| root.has(file)),
            names,
        }
    }

    /// A running process of one of these names.
    pub(super) fn running(&self, names: &[&str]) -> Option<u32> {
        let mut all = self.names.iter();
        let (pid, _) = all.find(|(_, name)| names.contains(&name.as_str()))?;
        Some(*pid)
    }

    /// The maser that serves the port.
    pub(super) fn server(&self) -> Option<u32> {
        let mut owners = self.owners.iter();
        owners.find(|pid| self.name(**pid) == SERVER).copied()
    }

    /// Datagrams that the sockets of the port have lost; `None` where there are none.
    pub(super) fn lost(&self) -> Option<u64> {
        let sockets = self
            .sockets
            .as_ref()
            .ok()
            .filter(|sockets| !sockets.is_empty())?;
        Some(
            sockets
                .iter()
                .fold(0, |sum, socket| sum.saturating_add(socket.drops)),
        )
    }

    /// The service of the chronyd that is installed.
    pub(super) fn chrony_service(&self) -> Option<&'static str> {
        self.chrony.map(|(_, service)| service)
    }

    /// Whose privileges are looked at, in words.
    pub(super) fn subject(&self) -> String {
        self.server().map_or_else(
            || "a maser started from here".to_owned(),
            |pid| format!("maser (pid {pid})"),
        )
    }

    /// Whether the server's queues may be longer than the limits of net.core.
    pub(super) fn may_force_buffers(&self) -> bool {
        self.capabilities
            .as_ref()
            .is_ok_and(|set| set >> NET_ADMIN & 1 == 1)
    }

    pub(super) fn findings(&self, port: u16, cores: usize) -> Vec<Finding> {
        vec![
            self.port(port),
            self.binding(port),
            self.privileges(),
            self.files(cores),
        ]
    }

    fn name(&self, pid: u32) -> &str {
        self.names.get(&pid).map_or("?", String::as_str)
    }

    fn port(&self, port: u16) -> Finding {
        let name = format!("UDP port {port}");
        let sockets = match &self.sockets {
            Ok(sockets) => sockets.len(),
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        if sockets == 0 {
            return Finding::ok(AREA, name, "free");
        }
        if self.owners.is_empty() {
            let why = Unknown::NotSaid("only root sees whose the socket is".into());
            return Finding::unknown(AREA, name, &why)
                .wanting("free, or maser's")
                .because(
                    "a maser that is started while another program has the port ends at once",
                );
        }
        let owners: Vec<_> = self
            .owners
            .iter()
            .map(|pid| format!("{} (pid {pid})", self.name(*pid)))
            .collect();
        let finding = Finding::ok(AREA, name, format!("in use by {}", owners.join(", ")));
        let Some(stranger) = self.owners.iter().find(|pid| self.name(**pid) != SERVER) else {
            return finding;
        };
        let command = match (self.name(*stranger), self.chrony) {
            ("chronyd", Some((file, service))) => {
                format!("echo 'port 0' >>/{file} && systemctl restart {service}")
            }
            _ => format!("systemctl stop \"$(ps --no-headers --format unit --pid {stranger})\""),
        };
        finding
            .judged(Severity::Broken)
            .wanting("free, or maser's")
            .because("maser cannot have it as well and ends at once; a chronyd may stay and keep the clock")
            .cured_by(command)
    }

    fn binding(&self, port: u16) -> Finding {
        let name = format!("right to port {port}");
        let (set, first) = match (&self.capabilities, &self.first_free_port) {
            (Ok(set), Ok(first)) => (set, *first),
            (Err(why), _) | (_, Err(why)) => return Finding::unknown(AREA, name, why),
        };
        if self.server().is_some() {
            return Finding::ok(AREA, name, format!("{} has it", self.subject()));
        }
        if port >= first {
            return Finding::ok(
                AREA,
                name,
                format!("everybody's: ports from {first} are free"),
            );
        }
        if set >> NET_BIND_SERVICE & 1 == 1 {
            return Finding::ok(AREA, name, "CAP_NET_BIND_SERVICE");
        }
        Finding::ok(AREA, name, "none here")
            .judged(Severity::Note)
            .wanting("CAP_NET_BIND_SERVICE")
            .because(format!(
                "{} cannot open a port below {first}; the service of tuning/systemd can",
                self.subject()
            ))
            .cured_by("systemctl start maser.service")
            .or_script("tuning/systemd/install apply --really")
    }

    fn privileges(&self) -> Finding {
        let name = "capabilities";
        let set = match &self.capabilities {
            Ok(set) => set,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let missing: Vec<_> = PRIVILEGES
            .iter()
            .filter(|(bit, ..)| set >> bit & 1 == 0)
            .collect();
        if missing.is_empty() {
            return Finding::ok(
                AREA,
                name,
                format!("{} has all that it can use", self.subject()),
            );
        }
        let names: Vec<_> = missing.iter().map(|(_, name, _)| *name).collect();
        let effects: Vec<_> = missing.iter().map(|(.., effect)| *effect).collect();
        Finding::ok(
            AREA,
            name,
            format!("{} has no {}", self.subject(), names.join(", ")),
        )
        .judged(Severity::Note)
        .wanting("those of tuning/systemd/maser.service")
        .because(format!(
            "{}, unless done before they were given up",
            effects.join("; ")
        ))
        .or_script("tuning/systemd/install apply --really")
    }

    fn files(&self, cores: usize) -> Finding {
        let name = "limit on open files";
        let most = match &self.files {
            Ok(most) => *most,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let wanted = FILES.saturating_add(FILES_PER_CORE.saturating_mul(cores as u64));
        let found = if most == u64::MAX {
            "none".to_owned()
        } else {
            most.to_string()
        };
        let finding = Finding::ok(AREA, name, found);
        if most >= wanted {
            return finding;
        }
        finding
            .judged(Severity::Broken)
            .wanting(format!("at least {wanted}"))
            .because(format!(
                "{} opens a socket for each of {cores} workers and each address, and ends when it cannot",
                self.subject()
            ))
            .cured_by("systemctl edit maser.service  # [Service] LimitNOFILE=65536")
            .or_script("tuning/systemd/install apply --really")
    }
}

/// Of both families; a kernel without IPv6 has no `udp6`.
fn sockets(root: &Root, port: u16) -> Fact<Vec<Socket>> {
    let mut sockets = hearing(&root.text("proc/net/udp")?, port);
    match root.text("proc/net/udp6") {
        Ok(text) => sockets.extend(hearing(&text, port)),
        Err(why) if why.is_missing() => {}
        Err(why) => return Err(why),
    }
    Ok(sockets)
}

/// Sockets bound to `port` and not connected, of `/proc/net/udp`: number, local and remote address, state,
/// queues, timer, retransmits, user, timeout, inode, references, pointer, drops.
fn hearing(text: &str, port: u16) -> Vec<Socket> {
    let end = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let hears = fields.get(1)?.ends_with(&end) && fields.get(2)?.ends_with(":0000");
        hears.then_some(())?;
        Some(Socket {
            inode: fields.get(9)?.parse().ok()?,
            drops: fields.get(12)?.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Processes that have one of the sockets open, as far as they can be looked into.
fn owners(root: &Root, names: &BTreeMap<u32, String>, sockets: &[Socket]) -> Vec<u32> {
    let wanted: Vec<_> = sockets
        .iter()
        .map(|socket| format!("socket:[{}]", socket.inode))
        .collect();
    let has_one = |pid: &u32| {
        let folder = format!("proc/{pid}/fd");
        let mut files = root.names(&folder).into_iter();
        files.any(|file| {
            root.link(&format!("{folder}/{file}"))
                .is_some_and(|to| wanted.contains(&to))
        })
    };
    names.keys().copied().filter(has_one).collect()
}

fn capabilities(root: &Root, process: &str) -> Fact<u64> {
    let path = format!("proc/{process}/status");
    let text = root.text(&path)?;
    let set = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.ok_or_else(|| Unknown::strange(&path, &text))
}

/// The hard limit, to which maser lifts its own; none is the largest number.
fn files(root: &Root, process: &str) -> Fact<u64> {
    let path = format!("proc/{process}/limits");
    let text = root.text(&path)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| match line.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    most.ok_or_else(|| Unknown::strange(&path, &text))
}
