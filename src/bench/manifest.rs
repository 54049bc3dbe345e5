//! What a figure belongs to: the machine, its settings, the command.

use std::fs;

/// Kernel settings that a UDP server's figures hang on.
const SYSCTLS: [&str; 8] = [
    "net.core.rmem_max",
    "net.core.rmem_default",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.core.rps_sock_flow_entries",
    "kernel.sched_rt_runtime_us",
];

/// Facts about the machine and the run, in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Processor model.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Kernel settings that could be read, with their values.
    pub sysctls: Vec<(&'static str, String)>,
    /// The command line.
    pub command: Vec<String>,
    /// Our version.
    pub version: &'static str,
}

impl Manifest {
    /// Reads them. What cannot be read is left out, or empty.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = text("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let sysctl = |name: &'static str| {
            let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
            Some((name, value.trim().to_owned()))
        };
        Self {
            processor: model.map(|(_, model)| model.to_owned()).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            sysctls: SYSCTLS.into_iter().filter_map(sysctl).collect(),
            command: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Time that the hypervisor took from this machine's cores since boot, in seconds, all cores together.
pub(super) fn steal_seconds() -> f64 {
    const TICKS_PER_S: f64 = 100.0; // USER_HZ
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let total = stat.lines().next().unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal …
    let steal = total
        .split_whitespace()
        .nth(8)
        .and_then(|ticks| ticks.parse::<f64>().ok());
    steal.unwrap_or(0.0) / TICKS_PER_S
}
