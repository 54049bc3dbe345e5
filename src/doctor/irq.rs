//! Interrupts of network cards: which core each queue's goes to, and who moves them.

use super::cores::{list, parse_list};
use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::nic::Card;
use super::process::Processes;

const AREA: &str = "irq";
/// Words in the names of interrupts that bring no received packets.
const NOT_RECEIVING: [&str; 9] = [
    "config", "admin", "mgmnt", "async", "event", "fdir", "misc", "output", "-tx-",
];
/// Commands that fit a line.
const COMMANDS_MAX: usize = 4;

/// An interrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interrupt {
    number: u32,
    /// What its driver calls it.
    name: String,
    /// The cores it goes to.
    cores: Fact<Vec<usize>>,
}

/// The interrupts of an interface: those of its device, else those that bear its name.
pub(super) fn read(root: &Root, interface: &str) -> Vec<Interrupt> {
    let device = format!("sys/class/net/{interface}/device");
    // virtio's device stands below the one on the bus, which has the interrupts.
    let of_device = [
        format!("{device}/msi_irqs"),
        format!("{device}/../msi_irqs"),
    ];
    let numbers = of_device
        .iter()
        .map(|folder| root.names(folder))
        .find(|names| !names.is_empty());
    let table = root.text("proc/interrupts").unwrap_or_default();
    let interrupts = table.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let number = number.trim();
        let name = rest.split_whitespace().last()?;
        let ours = match &numbers {
            Some(numbers) => numbers.iter().any(|known| known == number),
            None => name.split(['-', '@', '/']).any(|part| part == interface),
        };
        ours.then_some(())?;
        Some(Interrupt {
            number: number.parse().ok()?,
            name: name.to_owned(),
            cores: cores(root, number),
        })
    });
    interrupts.collect()
}

fn cores(root: &Root, number: &str) -> Fact<Vec<usize>> {
    let effective = format!("proc/irq/{number}/effective_affinity_list");
    let allowed = format!("proc/irq/{number}/smp_affinity_list");
    let (path, text) = match root.text(&effective) {
        Ok(text) if !text.is_empty() => (effective, text),
        _ => (allowed.clone(), root.text(&allowed)?),
    };
    parse_list(&text).ok_or_else(|| Unknown::strange(&path, &text))
}

/// What is said of all cards' interrupts.
pub(super) fn findings(cards: &[Card], cores: &[usize], processes: &Processes) -> Vec<Finding> {
    let mut findings: Vec<_> = cards
        .iter()
        .filter(|card| !card.interrupts.is_empty())
        .map(|card| spread(card, cores))
        .collect();
    findings.push(balancer(processes));
    findings
}

fn spread(card: &Card, cores: &[usize]) -> Finding {
    let name = format!("{} queues' interrupts", card.name);
    let receiving = card.interrupts.iter().filter(|interrupt| {
        let name = interrupt.name.to_lowercase();
        !NOT_RECEIVING.iter().any(|word| name.contains(word))
    });
    let receiving: Vec<_> = receiving.collect();
    let mut used = Vec::new();
    for interrupt in &receiving {
        match &interrupt.cores {
            Ok(cores) => used.extend_from_slice(cores),
            Err(why) => return Finding::unknown(AREA, name, why),
        }
    }
    used.sort_unstable();
    used.dedup();
    let count = receiving.len();
    if count == 0 {
        let why = Unknown::NotSaid("no interrupt of it is named like a receive queue's".into());
        return Finding::unknown(AREA, name, &why);
    }
    let numbers: Vec<_> = receiving
        .iter()
        .map(|interrupt| interrupt.number.to_string())
        .collect();
    let numbers = if count > COMMANDS_MAX {
        format!("{count} of them")
    } else {
        numbers.join(", ")
    };
    let finding = Finding::ok(AREA, name, format!("{numbers} on {}", on_cores(&used)));
    let possible = count.min(cores.len());
    if used.len() >= possible {
        return finding;
    }
    let commands: Vec<_> = receiving
        .iter()
        .zip(cores.iter().cycle())
        .map(|(interrupt, core)| {
            format!(
                "echo {core} >/proc/irq/{}/smp_affinity_list",
                interrupt.number
            )
        })
        .collect();
    let command = if commands.len() > COMMANDS_MAX {
        String::new()
    } else {
        commands.join("; ")
    };
    finding
        .judged(Severity::Slow)
        .wanting(format!("{possible} cores"))
        .because(format!(
            "{count} queues are emptied on {}, which bounds what all of them bring",
            on_cores(&used)
        ))
        .cured_by(command)
        .or_script(format!(
            "tuning/irq apply --really --interface {}",
            card.name
        ))
}

fn on_cores(cores: &[usize]) -> String {
    let plural = if cores.len() == 1 { "core" } else { "cores" };
    format!("{plural} {}", list(cores))
}

fn balancer(processes: &Processes) -> Finding {
    let name = "irqbalance";
    let Some(pid) = processes.running(&["irqbalance"]) else {
        return Finding::ok(AREA, name, "not running");
    };
    Finding::ok(AREA, name, format!("running (pid {pid})"))
        .judged(Severity::Note)
        .wanting("not running")
        .because(
            "it moves interrupts between cores as it sees fit, and so undoes what is set by hand",
        )
        .cured_by("systemctl disable --now irqbalance.service")
        .or_script("tuning/irq apply --really")
}
