//! Which core each worker gets, and why. Decided once, before anything is opened.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use super::interface::Interface;
use super::topology::{Topology, mask_of};
use crate::config::{Config, CpuList, RuntimeConfig, Steer};

/// The workers' cores. Without `cpus` they are all that this process may use, in this order:
///
/// 1. with `steer cpu`, those that receive from the network card, where that can be told;
/// 2. by distance from the NUMA node of the card: its own first;
/// 3. the first hardware thread of each core before the second of any;
/// 4. by number.
///
/// `workers auto` takes all of them; with `steer cpu`, those that receive, since another would get nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// `cores[w]` is the core of worker `w`; hardware threads are cores here, as for the kernel.
    pub(super) cores: Vec<usize>,
    /// Workers that will get nothing, and cores that receive without a worker.
    pub(super) warnings: Vec<String>,
    reason: String,
}

/// Workers that cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// `cpus` names a core we may not use.
    #[error("cpus: core {cpu} is not among those this process may use ({allowed}): change `cpus`")]
    Core {
        /// The core.
        cpu: usize,
        /// The allowed ones.
        allowed: String,
    },
    /// With `steer cpu` a second worker on a core would get nothing.
    #[error(
        "steer cpu: {workers} workers for {cores} cores: lower `workers`, or choose `steer source`"
    )]
    SteerCpu {
        /// Workers.
        workers: usize,
        /// Their cores.
        cores: usize,
    },
}

impl Display for Placement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cores = CpuList(&self.cores);
        write!(f, "workers on cores {cores}: {}", self.reason)
    }
}

impl Placement {
    /// On the machine this runs on.
    ///
    /// # Errors
    /// [`PlacementError`]
    pub(super) fn here(config: &Config) -> Result<Self, PlacementError> {
        let allowed: Vec<usize> = core_affinity::get_core_ids()
            .unwrap_or_default()
            .iter()
            .map(|core| core.id)
            .collect();
        let root = Path::new("/");
        let interface = Interface::find(root, &config.server);
        let machine = Machine {
            allowed: &allowed,
            topology: &Topology::read(root),
            interface: interface.as_ref(),
        };
        Self::new(&config.runtime, &machine)
    }

    fn new(config: &RuntimeConfig, machine: &Machine<'_>) -> Result<Self, PlacementError> {
        let allowed = machine.running();
        if let Some(cpu) = config.cpus.iter().find(|cpu| !allowed.contains(cpu)) {
            let (cpu, allowed) = (*cpu, join(&allowed));
            return Err(PlacementError::Core { cpu, allowed });
        }
        let receiving = match config.steer {
            Steer::Cpu => machine.receiving(&allowed),
            Steer::Source | Steer::Hash => None,
        };
        let (order, reason) = if config.cpus.is_empty() {
            machine.order(allowed, receiving.as_ref())
        } else {
            (config.cpus.clone(), "as `cpus` says".to_owned())
        };
        let auto = match &receiving {
            Some(receiving) if config.cpus.is_empty() => {
                order.iter().filter(|cpu| receiving.contains(cpu)).count()
            }
            _ => order.len(),
        };
        let workers = config.workers.unwrap_or(auto);
        if config.steer == Steer::Cpu && workers > order.len() {
            let cores = order.len();
            return Err(PlacementError::SteerCpu { workers, cores });
        }
        let cores: Vec<usize> = order.into_iter().cycle().take(workers).collect();
        let warnings = match (receiving, machine.interface) {
            (Some(receiving), Some(interface)) => warnings(&cores, &receiving, interface),
            _ => Vec::new(),
        };
        Ok(Self {
            cores,
            warnings,
            reason,
        })
    }
}

/// What placement depends on besides the configuration.
struct Machine<'a> {
    /// The cores this process may use.
    allowed: &'a [usize],
    topology: &'a Topology,
    interface: Option<&'a Interface>,
}

impl Machine<'_> {
    /// The cores that a worker may be on, by number.
    fn running(&self) -> Vec<usize> {
        let online = |cpu: &usize| self.topology.is_online(*cpu);
        let mut running: Vec<usize> = self.allowed.iter().copied().filter(online).collect();
        running.sort_unstable();
        running
    }

    /// All cores that receive, with or without a worker; `None` where it cannot be told, or where no worker
    /// may be on any.
    fn receiving(&self, allowed: &[usize]) -> Option<BTreeSet<usize>> {
        let receiving = self.interface?.receiving_cpus()?;
        allowed
            .iter()
            .any(|cpu| receiving.contains(cpu))
            .then_some(receiving)
    }

    /// The cores as workers take them, and the rule that made a difference.
    fn order(
        &self,
        mut cpus: Vec<usize>,
        receiving: Option<&BTreeSet<usize>>,
    ) -> (Vec<usize>, String) {
        let node = self.interface.and_then(|interface| interface.node);
        let distance = |cpu| node.map_or(0, |node| self.topology.distance(node, cpu));
        let receives_not = |cpu| receiving.is_some_and(|receiving| !receiving.contains(&cpu));
        cpus.sort_by_key(|cpu| {
            let sibling = self.topology.sibling(*cpu);
            (receives_not(*cpu), distance(*cpu), sibling, *cpu)
        });
        let differ = |of: &dyn Fn(usize) -> usize| cpus.iter().any(|cpu| of(*cpu) != of(cpus[0]));
        let mut rules = Vec::new();
        if let (Some(_), Some(interface)) = (receiving, self.interface) {
            rules.push(format!("those that receive from {}", interface.name));
        }
        if let (Some(node), Some(interface), true) = (node, self.interface, differ(&distance)) {
            rules.push(format!("nearest to {} on node {node}", interface.name));
        }
        if differ(&|cpu| self.topology.sibling(cpu)) {
            rules.push("one hardware thread of each core before its siblings".to_owned());
        }
        rules.push("by number".to_owned());
        (cpus, rules.join(", then "))
    }
}

/// With `steer cpu`: what is placed where it is of no use, and what to do.
fn warnings(cores: &[usize], receiving: &BTreeSet<usize>, interface: &Interface) -> Vec<String> {
    let name = &interface.name;
    let mut spare = spare_interrupts(cores, interface).into_iter();
    let idle = cores.iter().enumerate();
    let idle = idle.filter(|(_, core)| !receiving.contains(core));
    let mut warnings: Vec<String> = idle
        .filter_map(|(worker, core)| {
            let (command, effect) = if let Some(irq) = spare.next() {
                let command = format!("echo {core} >/proc/irq/{irq}/smp_affinity_list");
                (command, "moves a queue there")
            } else {
                let queue = interface.queues.first()?.folder.display();
                let command = format!("echo {} >{queue}/rps_cpus", mask_of(cores));
                (command, "spreads a queue over all workers")
            };
            Some(format!(
                "worker {worker}: core {core} receives nothing from {name}, so with `steer cpu` it gets no \
                 request: `{command}` {effect}; or lower `workers`"
            ))
        })
        .collect();
    let without: Vec<usize> = receiving
        .iter()
        .copied()
        .filter(|cpu| !cores.contains(cpu))
        .collect();
    if !without.is_empty() {
        warnings.push(format!(
            "steer cpu: cores {} receive from {name} and have no worker, so others' serve them: add them to \
             `cpus`, or raise `workers`",
            CpuList(&without)
        ));
    }
    warnings
}

/// Interrupts of queues that another core may have: those that share their core with an earlier one, or go
/// where no worker is. None where packets are spread in software, which an interrupt does not change.
fn spare_interrupts(cores: &[usize], interface: &Interface) -> Vec<usize> {
    let spread = |queue: &super::interface::Queue| !queue.spread_over.is_empty();
    if interface.queues.iter().any(spread) {
        return Vec::new();
    }
    let mut taken = BTreeSet::new();
    let queues = interface.queues.iter();
    queues
        .filter_map(|queue| queue.interrupt.as_ref())
        .filter(|(_, cpus)| {
            let cpu = cpus.first();
            cpu.is_some_and(|cpu| !cores.contains(cpu) || !taken.insert(*cpu))
        })
        .map(|(irq, _)| *irq)
        .collect()
}

fn join(cpus: &[usize]) -> String {
    let words: Vec<_> = cpus.iter().map(usize::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
