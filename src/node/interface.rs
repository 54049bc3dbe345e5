//! The network interface that requests come by, and which processors take them from it. Read from sysfs and
//! procfs once, at start.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::topology::{cpu_list_in, cpu_mask, numbered, text};
use crate::config::ServerConfig;

/// An interface. Of one that stands on others (a bond, a VLAN), what those are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// The NUMA node the card is attached to.
    pub(super) node: Option<usize>,
    /// Its receive queues.
    pub(super) queues: Vec<Queue>,
}

/// A receive queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    /// Its folder in sysfs, such as `/sys/class/net/eth0/queues/rx-0`.
    pub(super) folder: PathBuf,
    /// Its interrupt, and the processors that may take it.
    pub(super) interrupt: Option<(usize, Vec<usize>)>,
    /// The processors among which its packets are spread (RPS); none: they stay where they were received.
    pub(super) spread_over: Vec<usize>,
}

impl Queue {
    /// The processors that run the network stack for it, if that can be told: an interrupt that may hit one
    /// of several cannot.
    pub(super) fn cpus(&self) -> Option<&[usize]> {
        if !self.spread_over.is_empty() {
            return Some(&self.spread_over);
        }
        let (_, cpus) = self.interrupt.as_ref()?;
        (cpus.len() == 1).then_some(cpus)
    }
}

impl Interface {
    /// The one that `config` serves by: `binddevice`; else that of the first `bindaddress` that tells; else
    /// that of the default route. `None`: only this machine can ask, or it cannot be told.
    pub(super) fn find(root: &Path, config: &ServerConfig) -> Option<Self> {
        let device = config.bind_device.clone();
        device
            .or_else(|| by_address(root, &config.bind_addresses))
            .map(|name| Self::read(root, &name))
    }

    fn read(root: &Path, name: &str) -> Self {
        let mut devices = Vec::new();
        beneath(root, name, DEPTH_MAX, &mut devices);
        let nodes: BTreeSet<_> = devices.iter().map(|device| node(root, device)).collect();
        let queues = devices.iter().flat_map(|device| queues(root, device));
        Self {
            name: name.to_owned(),
            // Cards on several nodes are near to none.
            node: nodes
                .first()
                .copied()
                .flatten()
                .filter(|_| nodes.len() == 1),
            queues: queues.collect(),
        }
    }

    /// The processors that run the network stack for what it receives, ascending; `None` where that cannot
    /// be told of every queue.
    pub(super) fn receiving_cpus(&self) -> Option<BTreeSet<usize>> {
        let cpus: Option<Vec<&[usize]>> = self.queues.iter().map(Queue::cpus).collect();
        let cpus: BTreeSet<usize> = cpus?.into_iter().flatten().copied().collect();
        (!cpus.is_empty()).then_some(cpus)
    }
}

/// The devices beneath `name`: itself, unless it stands on others, which sysfs has as `lower_NAME`.
fn beneath(root: &Path, name: &str, depth: usize, devices: &mut Vec<String>) {
    let entries = fs::read_dir(folder(root, name)).into_iter().flatten();
    let mut lower: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("lower_")?.into()))
        .collect();
    lower.sort();
    if lower.is_empty() || depth == 0 {
        if !devices.iter().any(|known| known == name) {
            devices.push(name.to_owned());
        }
        return;
    }
    for device in lower {
        beneath(root, &device, depth - 1, devices);
    }
}

/// A VLAN on a bond on a card is three; a loop there cannot be.
const DEPTH_MAX: usize = 4;

fn folder(root: &Path, name: &str) -> PathBuf {
    root.join("sys/class/net").join(name)
}

/// The card's own folder; of a virtio device that of the bus it is on, which has node and interrupts.
fn bus_folders(root: &Path, device: &str) -> [PathBuf; 2] {
    let own = folder(root, device).join("device");
    [own.clone(), own.join("..")]
}

fn node(root: &Path, device: &str) -> Option<usize> {
    // -1: the firmware does not tell.
    let told = bus_folders(root, device).map(|folder| text(&folder.join("numa_node")));
    told.iter().find_map(|node| node.trim().parse().ok())
}

fn queues(root: &Path, device: &str) -> Vec<Queue> {
    let interrupts = receive_interrupts(root, device);
    let found = numbered(&folder(root, device).join("queues"), "rx-");
    let queues = found.into_iter().map(|(number, folder)| {
        let interrupt = interrupts.iter().find(|(queue, _)| *queue == number);
        let shown = Path::new("/sys/class/net").join(device);
        Queue {
            spread_over: cpu_mask(&text(&folder.join("rps_cpus"))),
            interrupt: interrupt.map(|(_, irq)| (*irq, interrupt_cpus(root, *irq))),
            folder: shown.join(format!("queues/rx-{number}")),
        }
    });
    queues.collect()
}

/// The device's interrupts that tell of arrivals, each with the number of its queue.
fn receive_interrupts(root: &Path, device: &str) -> Vec<(usize, usize)> {
    let names = text(&root.join("proc/interrupts"));
    let [own, bus] = bus_folders(root, device).map(|folder| numbered(&folder.join("msi_irqs"), ""));
    let irqs = if own.is_empty() { bus } else { own };
    irqs.into_keys()
        .filter_map(|irq| Some((queue_of(name_of(&names, irq)?)?, irq)))
        .collect()
}

/// An interrupt's name: the last word of its line, ` 38:  0  19752  PCI-MSIX  1-edge  virtio2-input.0`.
fn name_of(interrupts: &str, irq: usize) -> Option<&str> {
    let number = |line: &str| line.split_once(':')?.0.trim().parse::<usize>().ok();
    let line = interrupts.lines().find(|line| number(line) == Some(irq))?;
    line.split_whitespace().next_back()
}

/// The receive queue in an interrupt's name, which each driver writes in its own way: `eth0-TxRx-3`,
/// `eth0-Tx-Rx-3`, `eth0-rxtx-3`, `eth0-rx-3`, `mlx5_comp3@pci:0000:3b:00.0`, `virtio2-input.3`. Of other
/// names (`mlx5_async0`, `virtio2-output.3`, `i40e-0000:3b:00.0:misc`) none.
fn queue_of(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let behind = ["rxtx", "rx", "comp", "input"]
        .iter()
        .filter_map(|word| Some(name.rfind(word)? + word.len()))
        .max()?;
    let number = name[behind..].trim_start_matches(['-', '.']);
    let digits = number.len()
        - number
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    number[..digits].parse().ok()
}

/// Where an interrupt goes; where the kernel does not say that, where it may go.
fn interrupt_cpus(root: &Path, irq: usize) -> Vec<usize> {
    let folder = root.join(format!("proc/irq/{irq}"));
    let effective = cpu_list_in(&folder.join("effective_affinity_list"));
    if effective.is_empty() {
        cpu_list_in(&folder.join("smp_affinity_list"))
    } else {
        effective
    }
}

/// The interface by which requests for these addresses come.
fn by_address(root: &Path, addresses: &[IpAddr]) -> Option<String> {
    if !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback) {
        return None;
    }
    let routes = text(&root.join("proc/net/route"));
    let routes: Vec<Route> = routes.lines().filter_map(Route::parse).collect();
    let mut found = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(v4) => on_link(&routes, *v4),
        IpAddr::V6(v6) => with_v6_address(root, *v6),
    });
    // An address on the loopback interface (anycast) is reached by the default route as well.
    found.find(|name| name != "lo").or_else(|| {
        let defaults = routes.iter().filter(|route| route.mask == 0);
        let best = defaults.min_by_key(|route| route.metric);
        best.map(|route| route.interface.to_owned())
            .or_else(|| default_route_v6(root))
    })
}

/// A line of `/proc/net/route`.
struct Route<'a> {
    interface: &'a str,
    /// Addresses are bytes in network order, taken as one number of this machine.
    destination: u32,
    gateway: u32,
    mask: u32,
    metric: u32,
}

impl<'a> Route<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let hex = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let is_up = hex(3)? & 1 == 1;
        is_up.then_some(Self {
            interface: words[0],
            destination: hex(1)?,
            gateway: hex(2)?,
            mask: hex(7)?,
            metric: words[6].parse().ok()?,
        })
    }
}

/// The interface whose own network an address is in.
fn on_link(routes: &[Route<'_>], address: Ipv4Addr) -> Option<String> {
    let bits = u32::from_ne_bytes(address.octets());
    let holds = |route: &&Route<'_>| {
        route.gateway == 0 && route.mask != 0 && bits & route.mask == route.destination
    };
    let longest = routes
        .iter()
        .filter(holds)
        .max_by_key(|route| route.mask.count_ones());
    longest.map(|route| route.interface.to_owned())
}

/// The interface that has an address: `/proc/net/if_inet6` has address, index, prefix, scope, flags, name.
fn with_v6_address(root: &Path, address: Ipv6Addr) -> Option<String> {
    let held = text(&root.join("proc/net/if_inet6"));
    let wanted = format!("{:032x}", address.to_bits());
    held.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.first() == Some(&&*wanted))
            .then(|| words.last().map(|name| (*name).to_owned()))
            .flatten()
    })
}

/// `/proc/net/ipv6_route`: destination and length first, the interface last. The kernel's own entry for what
/// has no route is on `lo`.
fn default_route_v6(root: &Path) -> Option<String> {
    let routes = text(&root.join("proc/net/ipv6_route"));
    routes.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let to_all =
            words.first()?.bytes().all(|digit| digit == b'0') && words.get(1) == Some(&"00");
        let name = words.last()?;
        (to_all && *name != "lo").then(|| (*name).to_owned())
    })
}

#[cfg(test)]
pub(super) mod tests;
