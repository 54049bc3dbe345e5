//! `maser doctor`: machines made of files and judged, and this one compared with what its files say.

use std::path::Path;
use std::process::{Command, Output};

use proptest::prelude::*;
use serde_json::Value;

use maser::doctor::fact::{Fact, Unknown};
use maser::doctor::{self, Driver, Finding, Kernel, Machine, Question, Severity};
use maser::sys::bpf::XdpMode;
use maser::sys::clock::KernelClock;
use maser::sys::ethtool::{Channels, Coalescing, Feature, FlowHash, Rings, Stamping};
use maser::sys::netlink::{XdpFeatures, XdpProgram};

#[path = "doctor/fastpath.rs"]
mod fastpath;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;
#[path = "doctor/tree.rs"]
mod tree;

use support::node::{Directives, Node, Server};
use tree::Tree;

fn maser(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maser"))
        .arg("doctor")
        .args(arguments)
        .output()
        .expect("the binary under test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Compares with a file of tests/data/doctor; `MASER_WRITE_GOLDENS=1` writes it instead, to be looked at.
#[track_caller]
fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/doctor")
        .join(name);
    if std::env::var_os("MASER_WRITE_GOLDENS").is_some() {
        std::fs::write(&path, text).expect("the source tree");
    }
    let golden = std::fs::read_to_string(path).expect("a golden of this name");
    assert_eq!(text, golden);
}

fn port_123() -> Question {
    Question {
        port: 123,
        interfaces: Vec::new(),
    }
}

fn findings(tree: &Tree, kernel: &dyn Kernel) -> Vec<Finding> {
    let machine = Machine::read(tree.path(), kernel, &port_123()).expect("no interface is named");
    machine.findings(&port_123())
}

fn shown(findings: &[Finding]) -> String {
    findings.iter().map(doctor::line).collect::<String>() + &doctor::summary(findings, true)
}

/// A kernel with one answer for each kind of card.
struct Told {
    clock: KernelClock,
    eth0: Driver,
}

impl Kernel for Told {
    fn clock(&self) -> Fact<KernelClock> {
        Ok(self.clock)
    }

    fn driver(&self, interface: &str) -> Driver {
        if interface == "eth0" {
            return self.eth0.clone();
        }
        fn silent<T>() -> Fact<T> {
            Err(Unknown::NotSaid("the driver does not say".into()))
        }
        Driver {
            channels: silent(),
            rings: silent(),
            coalescing: silent(),
            udp4_hash: silent(),
            udp6_hash: silent(),
            stamping: Ok(Stamping::default()),
            xdp: silent(),
            program: Ok(None),
            joins: silent(),
        }
    }
}

fn good_kernel() -> Told {
    let addresses = FlowHash {
        source: true,
        destination: true,
        ..FlowHash::default()
    };
    Told {
        clock: KernelClock {
            synchronised: true,
            leap: 0,
            max_error_us: 120,
            estimated_error_us: 3,
        },
        eth0: Driver {
            channels: Ok(Channels {
                combined: 4,
                combined_max: 63,
                ..Channels::default()
            }),
            rings: Ok(Rings {
                receive: 4096,
                receive_max: 4096,
            }),
            coalescing: Ok(Coalescing {
                receive_us: 8,
                adaptive: false,
            }),
            udp4_hash: Ok(addresses),
            udp6_hash: Ok(addresses),
            stamping: Ok(Stamping {
                receive_software: true,
                transmit_software: true,
                receive_hardware: true,
                transmit_hardware: true,
                clock: Some(0),
            }),
            xdp: Ok(XdpFeatures {
                native: true,
                sends: true,
                receive_stamp: true,
            }),
            program: Ok(Some(XdpProgram {
                id: Some(42),
                mode: Some(XdpMode::Native),
            })),
            joins: Ok(Feature::default()),
        },
    }
}

fn bad_kernel() -> Told {
    Told {
        clock: KernelClock {
            synchronised: false,
            leap: 1,
            max_error_us: 16_000_000,
            estimated_error_us: 16_000_000,
        },
        eth0: Driver {
            channels: Ok(Channels {
                combined: 2,
                combined_max: 8,
                ..Channels::default()
            }),
            rings: Ok(Rings {
                receive: 512,
                receive_max: 4096,
            }),
            coalescing: Ok(Coalescing {
                receive_us: 50,
                adaptive: true,
            }),
            udp4_hash: Ok(FlowHash {
                destination: true,
                ..FlowHash::default()
            }),
            udp6_hash: Ok(FlowHash {
                source: true,
                destination: true,
                source_port: true,
                destination_port: true,
            }),
            stamping: Ok(Stamping {
                receive_software: true,
                ..Stamping::default()
            }),
            xdp: Ok(XdpFeatures::default()),
            program: Ok(Some(XdpProgram {
                id: None,
                mode: None,
            })),
            joins: Ok(Feature {
                on: true,
                fixed: false,
            }),
        },
    }
}

#[test]
fn a_good_machine_is_ok_in_every_line() {
    let findings = findings(&Tree::good(), &good_kernel());
    assert!(
        findings
            .iter()
            .all(|finding| finding.severity == Severity::Ok)
    );
    assert!(findings.iter().all(|finding| finding.command.is_empty()));
    assert_golden("good.txt", &shown(&findings));
}

#[test]
fn a_bad_machine_is_told_of_each_thing() {
    let findings = findings(&Tree::bad(), &bad_kernel());
    assert!(findings.is_sorted_by(|one, other| one.severity >= other.severity));
    assert_golden("bad.txt", &shown(&findings));
}

#[test]
fn files_of_another_machine_leave_open_what_only_its_kernel_knows() {
    let tree = Tree::guest();
    let root = tree.path().to_str().expect("text");
    let output = maser(&["--root", root, "--all"]);
    assert_golden("guest.txt", &stdout(&output));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_exit_code_is_the_worst_severity() {
    for (tree, code, worst) in [
        (Tree::good(), 0, "note"), // Its kernel is not asked.
        (Tree::guest(), 3, "slow"),
        (Tree::bad(), 4, "broken"),
    ] {
        let root = tree.path().to_str().expect("text").to_owned();
        let output = maser(&["--root", &root]);
        assert_eq!(output.status.code(), Some(code), "{}", stdout(&output));
        let text = stdout(&output);
        assert!(text.starts_with(worst), "{text}");
        assert!(!text.contains("\nok "), "{text}");
        assert!(text.ends_with(" ok (--all shows them)\n"), "{text}");
    }
}

#[test]
fn mistakes_in_the_arguments_are_2() {
    let tree = Tree::guest();
    let root = tree.path().to_str().expect("text");
    for slip in [
        &["--interface", "no-such-card"][..],
        &["--root", "/no/such/folder"],
        &["--root", root, "--interface", "eth9"],
        &["--port", "0"],
        &["--port", "65536"],
        &["now"],
    ] {
        let output = maser(slip);
        assert_eq!(output.status.code(), Some(2), "{slip:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{slip:?}"
        );
    }
    let help = stdout(&maser(&["--help"]));
    assert!(
        help.contains("3 something is slow; 4 something is broken"),
        "{help}"
    );
}

#[test]
fn an_interface_that_is_named_is_the_only_one() {
    let tree = Tree::bad();
    let root = tree.path().to_str().expect("text");
    let text = stdout(&maser(&["--root", root, "--all", "--interface", "eth1"]));
    assert!(text.contains(" eth1 receive steering: "), "{text}");
    assert!(!text.contains(" eth0"), "{text}");
}

#[test]
fn another_port_has_another_owner() {
    let tree = Tree::bad();
    let root = tree.path().to_str().expect("text");
    let text = stdout(&maser(&["--root", root, "--all", "--port", "11123"]));
    assert!(text.contains("ok      UDP port 11123: free\n"), "{text}");
    assert!(
        text.contains("right to port 11123: everybody's: "),
        "{text}"
    );
}

#[test]
fn a_few_losses_of_the_past_are_a_note() {
    let tree = Tree::good();
    let snmp = tree
        .read("proc/net/snmp")
        .replace("5000000 0 0 0 0 0", "5000000 499 0 0 0 0");
    tree.write(&[("proc/net/snmp", &snmp)]);
    let severity = |tree: &Tree| {
        let findings = findings(tree, &good_kernel());
        let lost = findings
            .into_iter()
            .find(|finding| finding.name == "UDP RcvbufErrors");
        lost.expect("always looked at").severity
    };
    assert_eq!(severity(&tree), Severity::Note);
    tree.write(&[("proc/net/snmp", &snmp.replace(" 499 ", " 501 "))]);
    assert_eq!(severity(&tree), Severity::Slow);
}

#[test]
fn json_has_every_finding_and_the_same_fields_in_each() {
    let tree = Tree::bad();
    let root = tree.path().to_str().expect("text");
    let output = maser(&["--root", root, "--json"]);
    assert_eq!(output.status.code(), Some(4));
    let fields = [
        "area", "name", "severity", "found", "wanted", "why", "command", "script",
    ];
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for line in &lines {
        let object = line.as_object().expect("an object");
        assert_eq!(object.len(), fields.len());
        assert!(
            fields.iter().all(|field| object[*field].is_string()),
            "{line}"
        );
    }
    let with_ok = stdout(&maser(&["--root", root, "--all"]));
    let told = with_ok
        .lines()
        .filter(|line| !line.starts_with("        "))
        .count()
        - 1;
    assert_eq!(lines.len(), told);
}

#[test]
fn a_maser_at_work_is_known_by_its_port() {
    let node = Node::of(Server::Maser, Directives::default()).expect("it is under test");
    let port = node.port().to_string();
    let text = stdout(&maser(&["--all", "--port", &port]));
    let owner = format!(
        "ok      UDP port {port}: in use by maser (pid {})\n",
        node.pid()
    );
    assert!(text.contains(&owner), "{text}");
    assert!(
        text.contains("ok      requests lost by the server: 0\n"),
        "{text}"
    );
}

/// An object of `--json` on this machine by its name.
fn here(name: &str) -> Value {
    let output = maser(&["--json"]);
    let mut lines = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect::<Vec<Value>>()
        .into_iter();
    lines
        .find(|line| line["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn file(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

/// On whatever machine the tests run: what is said is what its files say.
#[test]
fn this_machine_is_told_as_it_is() {
    for name in ["rmem_max", "wmem_max", "netdev_max_backlog"] {
        let Some(value) = file(&format!("/proc/sys/net/core/{name}")) else {
            continue;
        };
        let told = here(&format!("net.core.{name}"));
        assert_eq!(told["found"], value);
        if name.ends_with("mem_max") {
            let enough = value.parse::<u64>().expect("a number") >= 8 << 20;
            assert_eq!(told["severity"] == "ok", enough, "{told}");
        }
    }
    let governor = file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let told = here("cpufreq governor");
    match governor {
        None => assert_eq!(told["found"], "none"),
        Some(governor) => {
            assert!(
                told["found"].as_str().expect("text").contains(&governor),
                "{told}"
            );
        }
    }
    let online = file("/sys/devices/system/cpu/online").expect("Linux");
    assert_eq!(here("cores")["found"], online);
    if let Some(source) = file("/sys/devices/system/clocksource/clocksource0/current_clocksource") {
        assert_eq!(here("clocksource")["found"], source);
    }
}

#[test]
fn this_machines_cards_are_told_as_they_are() {
    let cores = std::fs::read_to_string("/proc/cpuinfo").expect("Linux");
    let cores = cores
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let cards = std::fs::read_dir("/sys/class/net")
        .expect("Linux")
        .flatten();
    for card in cards {
        let path = card.path();
        let up = file(&format!("{}/operstate", path.display())).is_some_and(|state| state == "up");
        if !up || !path.join("device").exists() {
            continue;
        }
        let name = card.file_name().into_string().expect("text");
        let queues: Vec<_> = std::fs::read_dir(path.join("queues"))
            .expect("queues")
            .flatten()
            .collect();
        let receive = queues
            .iter()
            .filter(|q| q.file_name().to_string_lossy().starts_with("rx-"));
        let masks: Vec<_> = receive
            .map(|queue| file(&format!("{}/rps_cpus", queue.path().display())).expect("a mask"))
            .collect();
        let steered = masks
            .iter()
            .filter(|mask| mask.chars().any(|c| !",0".contains(c)))
            .count();
        let told = here(&format!("{name} receive steering"));
        let found = told["found"].as_str().expect("text");
        assert!(
            found.starts_with(&format!("{} receive queue", masks.len())),
            "{told}"
        );
        assert!(found.contains(&format!("for {cores} cores")), "{told}");
        if masks.len() >= cores || steered == 0 {
            let slow = masks.len() < cores;
            assert_eq!(told["severity"] == "slow", slow, "{told}");
        }
    }
}

const FILES: [&str; 31] = [
    "proc/sys/kernel/osrelease",
    "proc/kallsyms",
    "proc/crypto",
    "proc/mounts",
    "proc/sys/net/core/bpf_jit_enable",
    "sys/kernel/security/lockdown",
    "sys/class/net/eth0/mtu",
    "proc/net/udp",
    "proc/700/status",
    "proc/700/limits",
    "proc/net/snmp",
    "proc/net/snmp6",
    "proc/net/softnet_stat",
    "proc/net/netstat",
    "proc/net/nf_conntrack",
    "proc/net/fib_trie",
    "proc/net/if_inet6",
    "proc/net/stat/nf_conntrack",
    "proc/sys/net/netfilter/nf_conntrack_count",
    "proc/sys/net/core/rmem_max",
    "proc/cpuinfo",
    "proc/stat",
    "proc/interrupts",
    "proc/irq/60/effective_affinity_list",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/isolated",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
    "sys/devices/system/cpu/vulnerabilities/meltdown",
    "sys/class/net/eth0/queues/rx-0/rps_cpus",
    "sys/class/net/eth0/flags",
    "sys/devices/system/node/online",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing that a file may say makes it fail, and nothing is said to be broken because of a file that
    /// says nothing.
    #[test]
    fn any_file_may_say_anything(
        texts in proptest::collection::vec(
            (0usize..FILES.len(), "\\PC*|([0-9a-fA-Z:=.,-]{0,40}[ \t\n]{1,2}){0,30}|[0-9]{0,25}"), 1..6)
    ) {
        let tree = Tree::good();
        for (at, text) in &texts {
            tree.write(&[(FILES[*at], text)]);
        }
        let findings = findings(&tree, &good_kernel());
        prop_assert!(findings.len() > 20);
        let _ = shown(&findings);
    }

    #[test]
    fn a_file_that_is_empty_breaks_nothing(at in 0usize..FILES.len()) {
        let tree = Tree::good();
        tree.write(&[(FILES[at], "")]);
        let findings = findings(&tree, &good_kernel());
        prop_assert!(findings.iter().all(|finding| finding.severity <= Severity::Note));
    }
}
