//! What a reader must know of a step beside its figures, in words.

use super::super::step::Step;
use super::cpu::share;
use super::{Machine, Network, Server, THREAD_NAME, UdpErrors, Whose};

/// Where the hypervisor takes more than this share of the machine, figures are noisy.
pub(in crate::bench) const STEAL_MAX: f64 = 0.01;
/// Where other programs take more than this share of what server and harness take, they are.
pub(in crate::bench) const OTHERS_MAX: f64 = 0.05;
/// Above this share of a core nothing more is to be had of it.
const BUSY_MAX: f64 = 0.95;
/// A hundredth of the requests leaving so late, in nanoseconds, is more than the scheduler's noise.
const LATENESS_MAX_NS: u64 = 100_000;
/// More threads of a server than this are not told one by one.
const SHARES_SHOWN: usize = 8;

/// One line about server, machine and drops, without its end; empty where nothing was seen at all.
pub(in crate::bench) fn line(step: &Step) -> String {
    let machine = &step.machine;
    if machine.cores.is_empty() {
        return String::new();
    }
    format!(
        "{}; softirq {:.2}; host steal {:.1} %; drops: {}",
        server(machine),
        machine.softirq_cores(),
        machine.steal() * 100.0,
        drops(step)
    )
}

/// Sentences that change what the figures mean; none where all is well.
pub(in crate::bench) fn remarks(step: &Step) -> Vec<String> {
    let machine = &step.machine;
    let mut remarks = Vec::new();
    if let Some(core) = full_core(step) {
        let late_us = micros(step.lateness.p99);
        remarks.push(if step.busy > BUSY_MAX {
            format!(
                "the harness was saturated: it was at work all the time, and requests left late (p99 {late_us:.0} us)"
            )
        } else {
            format!(
                "the harness was held up: it was at work {:.0} % of the time, yet requests left late (p99 \
                 {late_us:.0} us), for something else had core {core}",
                step.busy * 100.0
            )
        });
    }
    if machine.steal() > STEAL_MAX {
        remarks.push(format!(
            "the host took {:.1} % of this machine: figures are noisy",
            machine.steal() * 100.0
        ));
    }
    if machine.others_share() > OTHERS_MAX {
        let hint = if machine.server == Server::Elsewhere {
            " (a server in another namespace of this machine is named by --server-pid)"
        } else {
            ""
        };
        remarks.push(format!(
            "other programs took {:.2} cores{}: figures are noisy{hint}",
            machine.others_cores(),
            machine
                .others
                .mostly()
                .map(|name| format!(", most of it {name}"))
                .unwrap_or_default()
        ));
    }
    let own = step.counts.own_drops;
    if own > 0 {
        remarks.push(format!(
            "the harness's own sockets dropped {own}, warm-up included: up to {:.3} % of the loss is not the \
             server's",
            100.0 * own_part(own, step.counts.lost)
        ));
    }
    remarks
}

impl Machine {
    /// CPU time of other programs to that of server and harness; 0 where the server is one of those programs
    /// and it is not known which.
    pub(in crate::bench) fn others_share(&self) -> f64 {
        if self.server == Server::Hidden {
            return 0.0;
        }
        let (server, harness) = (
            self.server_cores().unwrap_or_default(),
            self.harness_cores(),
        );
        share(
            self.others_cores(),
            server.0 + server.1 + harness.0 + harness.1,
        )
    }
}

/// The core of a thread of the harness that had nothing left while requests left late. A thread of the
/// harness keeps its core busy always; only both together say that it could not do more.
fn full_core(step: &Step) -> Option<usize> {
    let machine = &step.machine;
    let busy = |id: usize| {
        let core = machine.cores.iter().find(|core| core.id == id);
        core.is_some_and(|core| core.busy() > BUSY_MAX)
    };
    let threads = machine
        .harness
        .iter()
        .filter(|thread| thread.name.starts_with(THREAD_NAME));
    let mut cores = threads.map(|thread| thread.core).filter(|core| busy(*core));
    cores.next().filter(|_| step.lateness.p99 > LATENESS_MAX_NS)
}

/// The most of `lost` requests that `dropped` replies can explain.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn own_part(dropped: u64, lost: u64) -> f64 {
    share(dropped.min(lost) as f64, lost as f64)
}

fn server(machine: &Machine) -> String {
    let processes = match &machine.server {
        Server::Elsewhere => return "server: not on this machine".into(),
        Server::Hidden => return "server: its process is not to be seen".into(),
        Server::Seen(processes) => processes,
    };
    let (user, system) = machine.server_cores().unwrap_or_default();
    let pids: Vec<_> = processes
        .iter()
        .map(|process| process.pid.to_string())
        .collect();
    let names = processes
        .first()
        .map_or("", |process| process.name.as_str());
    let shares = machine.server_shares();
    let workers = match (shares.len(), machine.server_imbalance()) {
        (0 | 1, _) | (_, None) => String::new(),
        (2..=SHARES_SHOWN, _) => {
            let percents: Vec<_> = shares
                .iter()
                .map(|share| format!("{:.0}", share * 100.0))
                .collect();
            format!(", workers {} %", percents.join("/"))
        }
        (many, Some(imbalance)) => {
            format!(", {many} workers, the busiest {imbalance:.2} times the mean")
        }
    };
    format!(
        "server ({names}, pid {}): {:.2} cores ({user:.2} user, {system:.2} system){workers}",
        pids.join(" "),
        user + system,
    )
}

fn drops(step: &Step) -> String {
    let drops = &step.machine.drops;
    let mut named = vec![
        ("server's socket".to_owned(), drops.at_server()),
        ("harness's socket".to_owned(), step.counts.own_drops),
    ];
    for network in &drops.networks {
        let (server, harness) = (drops.at_server(), step.counts.own_drops);
        let known = match network.whose {
            Whose::Both => server + harness,
            Whose::Harness => harness,
            Whose::Server => server,
        };
        named.extend(elsewhere(network, known));
    }
    named.push(("cores' backlog".to_owned(), drops.softnet.dropped));
    let told: Vec<_> = named
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if told.is_empty() {
        "none".into()
    } else {
        told.join(", ")
    }
}

/// Drops of a namespace beside those at full queues of sockets that are `known`.
fn elsewhere(network: &Network, known: u64) -> Vec<(String, u64)> {
    let whose = match network.whose {
        Whose::Both => "",
        Whose::Harness => "harness's ",
        Whose::Server => "server's ",
    };
    let both = |count: fn(&UdpErrors) -> u64| count(&network.udp) + count(&network.udp6);
    let full = both(|udp| udp.receive_buffer).saturating_sub(known);
    let mut named = vec![
        (format!("{whose}other sockets"), full),
        (format!("{whose}UDP unsent"), both(|udp| udp.send_buffer)),
        (format!("{whose}UDP checksum"), both(|udp| udp.checksum)),
    ];
    for interface in &network.interfaces {
        let name = &interface.name;
        named.extend([
            (format!("{whose}{name} rx"), interface.rx_dropped),
            (format!("{whose}{name} tx"), interface.tx_dropped),
        ]);
    }
    named
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
const fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
