//! What a figure belongs to: the machine, its settings, the command.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::machine::{interface_towards, is_local};

/// Kernel settings that a UDP server's figures hang on. The last two are there where connections are tracked.
const SYSCTLS: [&str; 14] = [
    "net.core.rmem_max",
    "net.core.rmem_default",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.core.netdev_budget",
    "net.core.netdev_budget_usecs",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.core.rps_sock_flow_entries",
    "net.ipv4.udp_mem",
    "net.ipv4.udp_rmem_min",
    "kernel.sched_rt_runtime_us",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
];

/// Facts about the machine and the run, in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Processor model.
    pub processor: String,
    /// Cores of the machine, whether or not this process may use them.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Whose virtual machine this is: a name, "unnamed", or "none".
    pub hypervisor: String,
    /// How the cores' clock is chosen: the governors in use, or "none".
    pub governor: String,
    /// What the kernel's clock counts.
    pub clocksource: String,
    /// Load averages over 1, 5 and 15 minutes at the start, and what else /proc/loadavg says.
    pub load_average: String,
    /// The interface towards the target, where the main routing table tells.
    pub interface: Option<String>,
    /// Its receive queues and the cores each spreads its packets over (RPS), as a mask; 0: none.
    pub rps: Vec<(String, String)>,
    /// Kernel settings that could be read, with their values.
    pub sysctls: Vec<(&'static str, String)>,
    /// The command line.
    pub command: Vec<String>,
    /// Our version.
    pub version: &'static str,
}

impl Manifest {
    /// Reads them. What cannot be read is left out, or empty.
    pub fn read(target: SocketAddr) -> Self {
        let interface = if is_local(target.ip()) {
            Some("lo".to_owned())
        } else {
            interface_towards(Path::new("/proc/self/net"), target.ip())
        };
        Self::of(Path::new("/"), interface)
    }

    /// With `proc` and `sys` below `root`.
    fn of(root: &Path, interface: Option<String>) -> Self {
        let text = |path: &str| {
            let text = fs::read_to_string(root.join(path)).unwrap_or_default();
            // Some settings are several numbers with tabs between them.
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let sysctl = |name: &'static str| {
            let value = text(&format!("proc/sys/{}", name.replace('.', "/")));
            (!value.is_empty()).then_some((name, value))
        };
        let virtual_flag = field("flags").is_some_and(|flags| {
            let mut flags = flags.split_whitespace();
            flags.any(|flag| flag == "hypervisor")
        });
        Self {
            processor: field("model name").unwrap_or_default(),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: text("proc/sys/kernel/osrelease"),
            hypervisor: match text("sys/hypervisor/type") {
                name if !name.is_empty() => name,
                _ if virtual_flag => "unnamed".into(),
                _ => "none".into(),
            },
            governor: governors(root),
            clocksource: text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            load_average: text("proc/loadavg"),
            rps: interface
                .as_deref()
                .map_or_else(Vec::new, |interface| rps(root, interface)),
            interface,
            sysctls: SYSCTLS.into_iter().filter_map(sysctl).collect(),
            command: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn governors(root: &Path) -> String {
    let cores = fs::read_dir(root.join("sys/devices/system/cpu"));
    let files = cores
        .into_iter()
        .flatten()
        .flatten()
        .map(|core| core.path().join("cpufreq/scaling_governor"));
    let names: BTreeSet<_> = files
        .filter_map(|file| Some(fs::read_to_string(file).ok()?.trim().to_owned()))
        .collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.into_iter().collect::<Vec<_>>().join(" ")
    }
}

/// Receive queues of an interface by name, each with its mask of cores.
fn rps(root: &Path, interface: &str) -> Vec<(String, String)> {
    let queues = fs::read_dir(root.join("sys/class/net").join(interface).join("queues"));
    let mut masks: Vec<_> = queues
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|queue| {
            let mask = fs::read_to_string(queue.path().join("rps_cpus")).ok()?;
            Some((
                queue.file_name().to_string_lossy().into_owned(),
                mask.trim().to_owned(),
            ))
        })
        .collect();
    masks.sort_unstable();
    masks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::machine::tests::Folder;

    #[test]
    fn facts_are_read_from_where_linux_keeps_them() {
        let folder = Folder::new("manifest");
        for (path, text) in [
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: AMD EPYC: new\nflags\t\t: fpu hypervisor aes\n\n",
            ),
            ("proc/sys/kernel/osrelease", "6.18.1\n"),
            ("proc/sys/net/ipv4/udp_mem", "1\t22\t333\n"),
            ("proc/sys/net/netfilter/nf_conntrack_count", "4\n"),
            ("proc/loadavg", "1.76 0.88 0.75 8/121 1179\n"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "powersave\n",
            ),
            (
                "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
                "performance\n",
            ),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "tsc\n",
            ),
            ("sys/class/net/veth1/queues/rx-0/rps_cpus", "3\n"),
            ("sys/class/net/veth1/queues/rx-1/rps_cpus", "0\n"),
            ("sys/class/net/veth1/queues/tx-0/xps_cpus", "0\n"),
        ] {
            folder.write(path, text);
        }
        let manifest = Manifest::of(folder.path(), Some("veth1".into()));
        assert_eq!(manifest.processor, "AMD EPYC: new");
        assert_eq!(manifest.kernel, "6.18.1");
        assert_eq!(manifest.hypervisor, "unnamed");
        assert_eq!(manifest.governor, "performance powersave");
        assert_eq!(manifest.clocksource, "tsc");
        assert_eq!(manifest.load_average, "1.76 0.88 0.75 8/121 1179");
        let queue = |name: &str, mask: &str| (name.to_owned(), mask.to_owned());
        assert_eq!(manifest.rps, [queue("rx-0", "3"), queue("rx-1", "0")]);
        let sysctls = [
            ("net.ipv4.udp_mem", "1 22 333".to_owned()),
            ("net.netfilter.nf_conntrack_count", "4".to_owned()),
        ];
        assert_eq!(manifest.sysctls, sysctls);

        folder.write("sys/hypervisor/type", "xen\n");
        assert_eq!(Manifest::of(folder.path(), None).hypervisor, "xen");
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let folder = Folder::new("empty");
        let manifest = Manifest::of(folder.path(), Some("veth1".into()));
        assert_eq!(
            (manifest.hypervisor.as_str(), manifest.governor.as_str()),
            ("none", "none")
        );
        assert!(manifest.sysctls.is_empty() && manifest.rps.is_empty());
    }
}
