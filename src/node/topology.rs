//! How processors lie to each other: which are hardware threads of one core, which are on one NUMA node. Read
//! from sysfs once, at start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The machine's hardware threads. What sysfs does not tell is not known, and nothing fails for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    /// Those online, by number.
    threads: BTreeMap<usize, HardwareThread>,
    /// From node to node, as the firmware says: 10 to itself, more to others.
    distances: BTreeMap<(usize, usize), usize>,
}

/// One of them, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HardwareThread {
    /// Its place among the hardware threads of its core; 0 is the first.
    sibling: usize,
    node: Option<usize>,
}

impl Topology {
    /// Reads `sys/devices/system` below `root`, which is `/` but for tests.
    pub(super) fn read(root: &Path) -> Self {
        let system = root.join("sys/devices/system");
        let nodes = numbered(&system.join("node"), "node");
        let mut node_of = BTreeMap::new();
        let mut distances = BTreeMap::new();
        for (node, folder) in &nodes {
            for cpu in cpu_list_in(&folder.join("cpulist")) {
                node_of.insert(cpu, *node);
            }
            let row = text(&folder.join("distance"));
            let row = row.split_whitespace().filter_map(|word| word.parse().ok());
            // A row has a number for each node that is online, in their order.
            distances.extend(nodes.keys().map(|other| (*node, *other)).zip(row));
        }
        let cpus = system.join("cpu");
        let online = cpu_list_in(&cpus.join("online"));
        let threads = online.into_iter().map(|cpu| {
            let thread = HardwareThread {
                sibling: sibling(&cpus.join(format!("cpu{cpu}/topology")), cpu),
                node: node_of.get(&cpu).copied(),
            };
            (cpu, thread)
        });
        Self {
            threads: threads.collect(),
            distances,
        }
    }

    /// Whether a processor is running. Where sysfs tells of none, all are.
    pub(super) fn is_online(&self, cpu: usize) -> bool {
        self.threads.is_empty() || self.threads.contains_key(&cpu)
    }

    /// The place of a processor among the hardware threads of its core: 0 for the first, and where it is not
    /// known.
    pub(super) fn sibling(&self, cpu: usize) -> usize {
        self.threads.get(&cpu).map_or(0, |thread| thread.sibling)
    }

    /// How far a processor's memory is from a node: 10 is the node's own. What is not told is far, but not
    /// as far as another machine.
    pub(super) fn distance(&self, from_node: usize, cpu: usize) -> usize {
        let Some(node) = self.threads.get(&cpu).and_then(|thread| thread.node) else {
            return FAR;
        };
        let told = self.distances.get(&(from_node, node)).copied();
        told.unwrap_or(if node == from_node { OWN } else { FAR })
    }
}

/// Distances as ACPI has them (its system locality table): a node to itself, and the usual other one.
const OWN: usize = 10;
const FAR: usize = 20;

/// `core_cpus_list` is today's name, `thread_siblings_list` the one all kernels have.
fn sibling(topology: &Path, cpu: usize) -> usize {
    let mut siblings = cpu_list_in(&topology.join("core_cpus_list"));
    if siblings.is_empty() {
        siblings = cpu_list_in(&topology.join("thread_siblings_list"));
    }
    siblings.iter().filter(|sibling| **sibling < cpu).count()
}

/// What lies directly in a folder under a name of `prefix` and a number, by that number.
pub(super) fn numbered(folder: &Path, prefix: &str) -> BTreeMap<usize, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect()
}

/// A file's text; empty where it cannot be read.
pub(super) fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The processors a file lists, ascending; none where it cannot be read or understood.
pub(super) fn cpu_list_in(file: &Path) -> Vec<usize> {
    cpu_list(&text(file)).unwrap_or_default()
}

/// `0-3,8`, as the kernel lists processors (cpulist of cpumask(9)).
fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus: Vec<usize> = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last > CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// `00000001,0000000f`: a bit for each processor, the highest first. What is no mask has none.
pub(super) fn cpu_mask(mask: &str) -> Vec<usize> {
    let digits = mask.trim().chars().rev().filter(|c| *c != ',');
    digits
        .enumerate()
        .filter_map(|(at, digit)| Some((4 * at, digit.to_digit(16)?)))
        .flat_map(|(first, digit)| {
            (0..4)
                .filter(move |bit| digit >> bit & 1 == 1)
                .map(move |bit| first + bit)
        })
        .collect()
}

/// The mask of these processors, as the kernel takes it.
pub(super) fn mask_of(cpus: &[usize]) -> String {
    let highest = cpus.iter().max().map_or(0, |cpu| cpu / 32);
    let words = (0..=highest).rev().map(|word| {
        let bits = cpus.iter().filter(|cpu| **cpu / 32 == word);
        let bits = bits.fold(0u32, |sum, cpu| sum | 1 << (cpu % 32));
        format!("{bits:08x}")
    });
    words.collect::<Vec<_>>().join(",")
}

/// More than any machine has, so that a file of nonsense costs no memory.
const CPUS_MAX: usize = 1 << 16;

#[cfg(test)]
pub(super) mod tests;
