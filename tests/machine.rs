//! What the load harness tells of the machine beside its figures: whose CPU time, where packets were dropped.

use std::net::SocketAddr;
use std::time::Duration;

use maser::bench::machine::{Server, Thread};
use maser::bench::{Carriage, Course, Ended, Kind, Load, Mix, NullServer, Order, Plan, Step, run};
use maser::sys::{PortOptions, UdpPort};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::node::{Directives, Node};

const OPEN: Load = Load::Open { exponential: false };

/// A second of plain requests from one socket.
fn plan(target: SocketAddr, load: Load, rate: f64) -> Plan {
    Plan {
        target,
        load,
        course: Course::One(rate),
        mix: Mix::only(Kind::Basic),
        signature: None,
        version: 4,
        duration: Duration::from_secs(1),
        warm_up: Duration::ZERO,
        patience: Duration::from_secs(1),
        gather: Duration::ZERO,
        // A slow machine may be late; that is not what is looked at.
        lateness_max: Duration::from_secs(10),
        cpus: vec![None],
        ports: 1,
        sources: Vec::new(),
        order: Order::Turns,
        associations: 1,
        carriage: Carriage::Udp,
        correction_ns: 0,
        server_pids: Vec::new(),
    }
}

fn one_step(plan: &Plan) -> Step {
    let mut steps = Vec::new();
    let ended = run(plan, None, &mut |step: &Step| steps.push(step.clone())).expect("it runs");
    assert_eq!(ended, Ended::Held);
    steps.pop().expect("one step")
}

#[test]
fn a_servers_process_is_found_and_its_workers_cpu_time_is_told() {
    let Some(node) = Node::with(Directives {
        chrony: &["local stratum 5"],
        ours: &["pace spin"],
        silent: false,
    }) else {
        return;
    };
    let plan = plan(
        node.address("127.0.0.1"),
        Load::Closed { in_flight: 16 },
        1.0,
    );
    let named = Plan {
        server_pids: vec![node.pid()],
        ..plan.clone()
    };
    for plan in [plan, named] {
        let machine = one_step(&plan).machine;
        let Server::Seen(processes) = &machine.server else {
            panic!("{:?}", machine.server);
        };
        assert_eq!(processes[0].pid, node.pid());
        assert_eq!(processes[0].name, "maser");
        let (user, system) = machine.server_cores().expect("seen");
        assert!(user + system > 0.05, "{machine:?}");
        let (user, system) = machine.harness_cores();
        assert!(user + system > 0.05, "{machine:?}");
        assert!((1.0..1.5).contains(&machine.seconds), "{machine:?}");
        assert!(!machine.drops.sockets.is_empty(), "{machine:?}");
    }
}

#[test]
fn the_null_responders_cpu_time_is_not_the_harnesss() {
    let server = NullServer::start(None).expect("loopback");
    let step = one_step(&plan(server.address(), OPEN, 100.0));
    let machine = &step.machine;
    let Server::Seen(processes) = &machine.server else {
        panic!("{:?}", machine.server);
    };
    let is_null = |thread: &Thread| thread.name == "maser-null";
    assert!(processes[0].threads.iter().all(is_null), "{machine:?}");
    assert!(!machine.harness.iter().any(is_null), "{machine:?}");
    let (user, system) = machine.server_cores().expect("seen");
    assert!(user + system > 0.05, "{machine:?}"); // It never sleeps.
}

/// Nobody takes what comes, and the queue is as short as the kernel makes one.
#[test]
fn drops_at_the_servers_socket_are_told_as_the_kernel_counts_them() {
    let port = UdpPort::open(&PortOptions {
        address: "127.0.0.1:0".parse().expect("loopback"),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: 1,
    })
    .expect("loopback");
    let step = one_step(&plan(port.address(), OPEN, 1_000.0));
    let dropped = port.dropped().expect("since Linux 4.12");
    assert!(dropped > 900, "{dropped}");
    assert_eq!(step.machine.drops.at_server(), u64::from(dropped));
    assert_eq!(step.counts.own_drops, 0);
    // In a thread of this very process, a server is not told from the harness.
    assert_eq!(step.machine.server, Server::Hidden);
}
