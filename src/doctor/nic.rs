//! Network cards: queues, and how packets are spread over cores.

use super::cores::{list, mask, parse_list, parse_mask};
use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::irq::{self, Interrupt};
use super::kernel::{Driver, Kernel};
use super::sockets::{percent, severity_of_losses};
use crate::sys::ethtool::FlowHash;

pub(super) const AREA: &str = "nic";
/// Microseconds that a card may wait with its interrupt.
const COALESCING_US: u32 = 20;
/// An interface is switched on (IFF_UP in include/uapi/linux/if.h).
const UP: u32 = 1;
/// ARPHRD_LOOPBACK in include/uapi/linux/if_arp.h.
const LOOPBACK: u32 = 772;

/// A network interface that receives packets by itself.
#[derive(Debug)]
pub(super) struct Card {
    /// The interface.
    pub(super) name: String,
    /// Its own net.ipv4.conf.NAME.rp_filter; 0 where it has none.
    pub(super) reverse_path: u8,
    /// Its interrupts, of queues and others.
    pub(super) interrupts: Vec<Interrupt>,
    /// The longest packet that it takes.
    pub(super) mtu: Fact<u32>,
    /// What its driver says.
    pub(super) driver: Driver,
    /// What it is.
    pub(super) kind: Kind,
    up: bool,
    /// Receive queues in order, and the cores each spreads its packets over (RPS).
    queues: Vec<(String, Fact<Vec<usize>>)>,
    /// Packets that the card lost because no room was left in a receive queue, since it came up.
    missed: Fact<u64>,
    /// Packets that came.
    received: Fact<u64>,
    /// The node of memory it is at, and that node's cores, on machines with several.
    node: Option<(i64, Vec<usize>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A device, real or the host's, with its driver.
    Device(String),
    /// An end of a cable between two network namespaces.
    Pair,
    /// It stands on other interfaces, or is a part of one, or is only software.
    Virtual,
}

/// Reads the interfaces that are named, or all that are up but the loopback.
pub(super) fn read(root: &Root, kernel: &dyn Kernel, named: &[String]) -> Vec<Card> {
    let names = root.names("sys/class/net").into_iter();
    let cards = names.filter_map(|name| {
        if !named.is_empty() {
            return named
                .contains(&name)
                .then(|| Card::read(root, kernel, &name));
        }
        let kind: u32 = root
            .number(&format!("sys/class/net/{name}/type"))
            .unwrap_or(0);
        let card = (kind != LOOPBACK).then(|| Card::read(root, kernel, &name))?;
        card.up.then_some(card)
    });
    cards.collect()
}

/// What is said of all cards.
pub(super) fn findings(cards: &[Card], cores: &[usize]) -> Vec<Finding> {
    if cards.is_empty() {
        return vec![
            Finding::ok(AREA, "interfaces", "none is up but the loopback")
                .judged(Severity::Note)
                .because("nobody outside this machine can be served"),
        ];
    }
    cards.iter().flat_map(|card| card.findings(cores)).collect()
}

impl Card {
    fn read(root: &Root, kernel: &dyn Kernel, name: &str) -> Self {
        let folder = format!("sys/class/net/{name}");
        let flags = root.text(&format!("{folder}/flags")).unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
        let state = root
            .text(&format!("{folder}/operstate"))
            .unwrap_or_default();
        let queues = root.names(&format!("{folder}/queues")).into_iter();
        let mut queues: Vec<_> = queues
            .filter(|queue| queue.starts_with("rx-"))
            .map(|queue| {
                let path = format!("{folder}/queues/{queue}/rps_cpus");
                let cores = root.text(&path).and_then(|text| {
                    parse_mask(&text).ok_or_else(|| Unknown::strange(&path, &text))
                });
                (queue, cores)
            })
            .collect();
        // rx-10 comes behind rx-9.
        queues.sort_by_key(|(queue, _)| (queue.len(), queue.clone()));
        Self {
            name: name.to_owned(),
            reverse_path: root
                .number(&format!("proc/sys/net/ipv4/conf/{name}/rp_filter"))
                .unwrap_or(0),
            interrupts: irq::read(root, name),
            mtu: root.number(&format!("{folder}/mtu")),
            up: flags & UP != 0 && ["up", "unknown"].contains(&state.as_str()),
            kind: kind(root, &folder),
            queues,
            missed: root.number(&format!("{folder}/statistics/rx_missed_errors")),
            received: root.number(&format!("{folder}/statistics/rx_packets")),
            node: node(root, &folder),
            driver: kernel.driver(name),
        }
    }

    /// Its receive queues.
    pub(super) const fn queues(&self) -> usize {
        self.queues.len()
    }

    /// Whether the kernel must be told how its packets are spread.
    fn steers(&self) -> bool {
        self.kind != Kind::Virtual
    }

    fn findings(&self, cores: &[usize]) -> Vec<Finding> {
        let what = match &self.kind {
            Kind::Device(driver) => format!("driver {driver}"),
            Kind::Pair => "an end of a veth pair".to_owned(),
            Kind::Virtual => {
                "virtual; packets are spread by the cards below it, if there are any".to_owned()
            }
        };
        let finding = Finding::ok(AREA, self.name.as_str(), what);
        let mut findings = if self.up {
            vec![finding]
        } else {
            vec![
                finding
                    .judged(Severity::Note)
                    .because("it is down, or nothing is plugged in"),
            ]
        };
        if self.steers() {
            findings.push(self.steering(cores));
            findings.extend(self.hash());
            findings.push(self.ring());
            findings.push(self.coalescing());
            findings.extend(self.node());
            findings.push(self.stamps());
        }
        findings
    }

    fn named(&self, what: &str) -> String {
        format!("{} {what}", self.name)
    }

    fn script(&self) -> String {
        format!("tuning/nic apply --really --interface {}", self.name)
    }

    fn steering(&self, cores: &[usize]) -> Finding {
        let name = self.named("receive steering");
        let mut spread = Vec::new();
        for (_, over) in &self.queues {
            match over {
                Ok(over) => spread.push(over),
                Err(why) => return Finding::unknown(AREA, name, why),
            }
        }
        let (queues, all) = (self.queues.len(), cores.len());
        if queues == 0 || all == 0 {
            let why = Unknown::NotSaid("its queues or the machine's cores are not told".into());
            return Finding::unknown(AREA, name, &why);
        }
        let plural = if queues == 1 { "queue" } else { "queues" };
        let mut masks: Vec<_> = spread.iter().map(|over| mask(over)).collect();
        masks.dedup();
        let found = format!(
            "{queues} receive {plural} for {all} cores, rps_cpus {}",
            masks.join(" ")
        );
        let finding = Finding::ok(AREA, name, found);
        let spreading = spread.iter().filter(|over| !over.is_empty()).count();
        if queues >= all {
            return if spreading == 0 {
                finding
            } else {
                self.unsteered(finding)
            };
        }
        if let Some(more) = self.more_queues(all) {
            let kind = if self.combined() { "combined" } else { "rx" };
            return finding
                .judged(Severity::Slow)
                .wanting(format!("{more} queues"))
                .because(idle_cores(queues, all))
                .cured_by(format!(
                    "ethtool --set-channels {} {kind} {more}",
                    self.name
                ))
                .or_script(self.script());
        }
        if spreading == queues {
            return finding;
        }
        let wanted = mask(cores);
        finding
            .judged(Severity::Slow)
            .wanting(format!("rps_cpus {wanted} on each"))
            .because(idle_cores(queues, all))
            .cured_by(format!(
                "for file in /sys/class/net/{}/queues/rx-*/rps_cpus; do echo {wanted} >\"$file\"; done",
                self.name
            ))
            .or_script(self.script())
    }

    /// RPS where the card has a queue for every core already.
    fn unsteered(&self, finding: Finding) -> Finding {
        finding
            .judged(Severity::Note)
            .wanting("rps_cpus 0")
            .because(
                "the card spreads packets over all cores by itself; handing them on costs another interrupt of a \
                 core for each batch",
            )
            .cured_by(format!(
                "for file in /sys/class/net/{}/queues/rx-*/rps_cpus; do echo 0 >\"$file\"; done",
                self.name
            ))
            .or_script(self.script())
    }

    fn combined(&self) -> bool {
        self.driver
            .channels
            .as_ref()
            .is_ok_and(|channels| channels.combined_max > 0)
    }

    /// How many queues the card could have for these cores, where that is more than it has.
    fn more_queues(&self, cores: usize) -> Option<usize> {
        if self.kind == Kind::Pair {
            return None; // The other end chooses the queue, and has no hash for it.
        }
        let channels = self.driver.channels.as_ref().ok()?;
        let (now, most) = if self.combined() {
            (channels.combined, channels.combined_max)
        } else {
            (channels.receive, channels.receive_max)
        };
        let possible = usize::try_from(most).ok()?.min(cores);
        (possible > usize::try_from(now).ok()?).then_some(possible)
    }

    /// By what a card with several queues chooses one.
    fn hash(&self) -> Vec<Finding> {
        if self.queues.len() < 2 {
            return Vec::new();
        }
        let families = [
            ("udp4", &self.driver.udp4_hash),
            ("udp6", &self.driver.udp6_hash),
        ];
        let judged = families.map(|(flow, hash)| {
            let name = self.named(&format!("hash of {flow}"));
            let hash = match hash {
                Ok(hash) => hash,
                Err(why) => return Finding::unknown(AREA, name, why),
            };
            let finding = Finding::ok(AREA, name, fields(hash));
            let cured = |finding: Finding| {
                let card = &self.name;
                finding
                    .wanting("sd (the addresses)")
                    .cured_by(format!("ethtool --config-nfc {card} rx-flow-hash {flow} sd"))
                    .or_script(self.script())
            };
            if !hash.source {
                cured(finding.judged(Severity::Slow).because(
                    "clients differ by their address and their port; by what is hashed here they all meet the \
                     same queue and core",
                ))
            } else if hash.source_port {
                cured(finding.judged(Severity::Note).because(
                    "a client takes a new port for each request (RFC 9109) and so meets several cores: with \
                     `steer cpu` its rate limit is not counted in one place; with `steer source` it is",
                ))
            } else {
                finding
            }
        });
        judged.into()
    }

    fn ring(&self) -> Finding {
        let name = self.named("receive ring");
        let rings = match &self.driver.rings {
            Ok(rings) => rings,
            Err(_) if self.kind == Kind::Pair => {
                return Finding::ok(AREA, name, "none: it is no card");
            }
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let found = format!("{} of at most {} packets", rings.receive, rings.receive_max);
        let missed = match &self.missed {
            Ok(missed) => *missed,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let finding = Finding::ok(AREA, name, format!("{found}; {missed} missed"));
        let short = rings.receive < rings.receive_max;
        let finding = if missed > 0 {
            let received = *self.received.as_ref().unwrap_or(&0);
            finding
                .judged(severity_of_losses(missed, received))
                .because(format!(
                    "since it came up the card lost {} of all packets because the ring was full",
                    percent(missed, received.saturating_add(missed))
                ))
        } else if short {
            finding
                .judged(Severity::Note)
                .because("a burst beyond it is lost before Linux sees it; none was so far")
        } else {
            return finding;
        };
        if !short {
            return finding;
        }
        finding
            .wanting(format!("{} packets", rings.receive_max))
            .cured_by(format!(
                "ethtool --set-ring {} rx {}",
                self.name, rings.receive_max
            ))
            .or_script(self.script())
    }

    fn coalescing(&self) -> Finding {
        let name = self.named("interrupt delay");
        let delay = match &self.driver.coalescing {
            Ok(delay) => delay,
            Err(_) if self.kind == Kind::Pair => {
                return Finding::ok(AREA, name, "none: it is no card");
            }
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let adaptive = if delay.adaptive { ", adaptive" } else { "" };
        let finding = Finding::ok(AREA, name, format!("{} µs{adaptive}", delay.receive_us));
        if !delay.adaptive && delay.receive_us <= COALESCING_US {
            return finding;
        }
        let late = if delay.adaptive {
            "by as much as the driver thinks fit".to_owned()
        } else {
            format!("by up to {} µs", delay.receive_us)
        };
        finding
            .judged(Severity::Note)
            .wanting(format!("at most {COALESCING_US} µs, not adaptive"))
            .because(format!(
                "receive timestamps of the system clock are late {late}, which clients see as asymmetry; a \
                 shorter delay costs more interrupts"
            ))
            .cured_by(format!(
                "ethtool --coalesce {} adaptive-rx off rx-usecs {COALESCING_US}",
                self.name
            ))
            .or_script(format!("{} --rx-usecs {COALESCING_US}", self.script()))
    }

    fn node(&self) -> Option<Finding> {
        let (node, cores) = self.node.as_ref()?;
        let cores = list(cores);
        Some(
            Finding::ok(AREA, self.named("memory node"), format!("node {node}, cores {cores}"))
                .judged(Severity::Note)
                .because(format!(
                    "workers on other nodes reach its packets through the processors' link; `cpus {cores}` in \
                     maser.conf keeps them near"
                )),
        )
    }

    fn stamps(&self) -> Finding {
        let name = self.named("timestamps");
        let stamping = match &self.driver.stamping {
            Ok(stamping) => stamping,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let clock = stamping
            .clock
            .map_or_else(String::new, |clock| format!(" (/dev/ptp{clock})"));
        let hardware = match (stamping.receive_hardware, stamping.transmit_hardware) {
            (true, true) => format!("hardware{clock} and "),
            (true, false) => format!("hardware{clock} on receipt only, and "),
            (false, true) => format!("hardware{clock} on sending only, and "),
            (false, false) => "no hardware, ".to_owned(),
        };
        let (software, missing) = match (stamping.receive_software, stamping.transmit_software) {
            (true, true) => ("software both ways", ""),
            (true, false) => (
                "software on receipt only",
                "maser cannot learn when a reply left: its transmit timestamps are early by the time a reply \
                 takes to the wire, and interleaved mode has no better one",
            ),
            (false, true) => (
                "software on sending only",
                "requests are stamped when the worker takes them, not when they came: late by their time in the \
                 queue",
            ),
            (false, false) => (
                "no software",
                "timestamps are taken by the worker: late by the queue, early by the way to the wire",
            ),
        };
        let finding = Finding::ok(AREA, name, format!("{hardware}{software}"));
        if missing.is_empty() {
            finding
        } else {
            finding
                .judged(Severity::Slow)
                .wanting("software both ways")
                .because(missing)
        }
    }
}

fn idle_cores(queues: usize, cores: usize) -> String {
    let takers = if queues == 1 {
        "one core takes".to_owned()
    } else {
        format!("{queues} cores take")
    };
    let others = match cores - queues {
        1 => "the other waits".to_owned(),
        others => format!("the other {others} wait"),
    };
    format!(
        "{takers} all packets off the card, and the kernel's work on a packet is most of its cost: {others} for it"
    )
}

fn fields(hash: &FlowHash) -> String {
    let letters = [
        (hash.source, 's'),
        (hash.destination, 'd'),
        (hash.source_port, 'f'),
        (hash.destination_port, 'n'),
    ];
    let text: String = letters
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, letter)| *letter)
        .collect();
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}

fn kind(root: &Root, folder: &str) -> Kind {
    if root.has(&format!("{folder}/device")) {
        let driver = root.link_name(&format!("{folder}/device/driver"));
        return Kind::Device(driver.unwrap_or_else(|| "unnamed".into()));
    }
    let number = |file: &str| root.number::<u32>(&format!("{folder}/{file}")).ok();
    let other_end = number("iflink") != number("ifindex");
    let stacked = root
        .names(folder)
        .iter()
        .any(|name| name.starts_with("lower_") || name == "master");
    if other_end && !stacked {
        Kind::Pair
    } else {
        Kind::Virtual
    }
}

fn node(root: &Root, folder: &str) -> Option<(i64, Vec<usize>)> {
    let nodes = root.text("sys/devices/system/node/online").ok()?;
    if parse_list(&nodes)?.len() < 2 {
        return None;
    }
    // A machine that does not know says -1.
    let node: i64 = root.number(&format!("{folder}/device/numa_node")).ok()?;
    (node >= 0).then_some(())?;
    let cores = root
        .text(&format!("sys/devices/system/node/node{node}/cpulist"))
        .ok()?;
    Some((node, parse_list(&cores)?))
}
