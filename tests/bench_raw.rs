//! The load harness with whole frames, over a veth pair between two namespaces of the test's own.

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::bench::{self, assert_all_good, count};
use support::node::{Directives, Folder, Server, Summary};
use support::skip;
use support::tool::{self, need, need_root, said};

/// Two namespaces with a cable between them, a node in the one; gone when dropped.
struct Cable {
    node: String,
    harness: String,
}

/// Clients of 10.77.0.0/16 and fd77::/64 are reached through the harness's end, and so is 10.78.0.0/16.
const UP: [(&str, &str); 9] = [
    ("node", "link set lo up"),
    ("node", "link set node up"),
    ("harness", "link set harness up"),
    ("node", "addr add 10.9.0.1/24 dev node"),
    ("node", "addr add fd09::1/64 dev node nodad"),
    (
        "node",
        "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev node nud permanent",
    ),
    (
        "node",
        "neigh add fd09::2 lladdr 02:00:00:00:00:02 dev node nud permanent",
    ),
    ("node", "route add 10.76.0.0/14 via 10.9.0.2 dev node"),
    ("node", "route add fd77::/64 via fd09::2 dev node"),
];
const NODE_MAC: &str = "02:00:00:00:00:01";
const HARNESS_MAC: &str = "02:00:00:00:00:02";

impl Cable {
    fn lay() -> Option<Self> {
        if !need_root() {
            return None;
        }
        need("ip")?;
        let name = |end: &str| {
            let thread = std::thread::current();
            let test = thread
                .name()
                .unwrap_or("test")
                .bytes()
                .fold(0u32, |hash, byte| {
                    hash.wrapping_mul(31).wrapping_add(u32::from(byte))
                });
            format!("maser-{end}-{}-{test:x}", std::process::id())
        };
        let cable = Self {
            node: name("node"),
            harness: name("harness"),
        };
        for namespace in [&cable.node, &cable.harness] {
            let made = ip(&["netns", "add", namespace]);
            if !made.status.success() {
                skip(&format!(
                    "no network namespace can be made here: {}",
                    said(&made)
                ));
                return None;
            }
        }
        let (node, harness) = (&cable.node, &cable.harness);
        let pair = format!(
            "link add node netns {node} address {NODE_MAC} type veth peer name harness netns {harness} \
             address {HARNESS_MAC}"
        );
        must(&pair);
        for (end, what) in UP {
            let namespace = if end == "node" { node } else { harness };
            must(&format!("-n {namespace} {what}"));
        }
        Some(cable)
    }

    fn frames<'a>(&'a self, source_net: &'a str) -> [&'a str; 6] {
        [
            "--raw",
            "harness",
            "--dst-mac",
            NODE_MAC,
            "--source-net",
            source_net,
        ]
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.node, &self.harness] {
            ip(&["netns", "del", namespace]);
        }
    }
}

fn ip(arguments: &[&str]) -> std::process::Output {
    tool::run(Command::new("ip").args(arguments))
}

#[track_caller]
fn must(arguments: &str) {
    let output = ip(&arguments.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "ip {arguments}: {}", said(&output));
}

/// A node on port 123 at the cable's end.
struct Node {
    child: Child,
    folder: Folder,
}

impl Node {
    fn start(cable: &Cable) -> Self {
        let folder = Folder::new();
        let directives = Directives {
            chrony: &["local stratum 5", "allow all"],
            ..Directives::default()
        };
        let configuration = folder.configuration(Server::Maser, 123, directives);
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &cable.node,
            env!("CARGO_BIN_EXE_maser"),
            "serve",
            "-x",
            "-f",
        ]);
        let child = folder.spawn(command.arg(configuration));
        let node = Self { child, folder };
        for _ in 0..500 {
            let sockets = format!("/proc/{}/net/udp6", node.child.id());
            if fs::read_to_string(sockets).is_ok_and(|sockets| sockets.contains(":007B ")) {
                return node;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("nobody has bound port 123\n{}", node.folder.log());
    }

    fn stop(mut self) -> Summary {
        tool::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}\n{}", self.folder.log());
        Summary::parse(&self.folder.read("stdout"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn whole_frames_of_both_families_are_answered_and_counted_exactly() {
    let Some(cable) = Cable::lay() else { return };
    let node = Node::start(&cable);
    let folder = Folder::new();
    let keys = folder.write("keys", &support::keys::file());
    let key = format!("{}:{}", keys.display(), support::keys::AES128.id);
    let mut sent = 0;
    for (target, source_net) in [("10.9.0.1", "10.77.0.0/16"), ("fd09::1", "fd77::/64")] {
        let plan = [
            "--rate",
            "2k",
            "--duration",
            "1",
            "--warmup",
            "0",
            "--mix",
            "basic=50,signed=50",
        ];
        let how = ["--clients", "1000", "--key", &key];
        let arguments = [&[target][..], &plan, &how, &cable.frames(source_net)].concat();
        let run = bench::run(&folder, Some(&cable.harness), &arguments);
        assert_all_good(&run);
        sent += count(&run.steps[0], "sent");
    }
    let summary = node.stop();
    assert_eq!((sent, summary.get("received")), (4000, 4000));
    assert_eq!(summary.get("answered"), 2000, "{summary:?}");
    assert_eq!(summary.get("answered_signed"), 2000, "{summary:?}");
    summary.assert_refused(&[]);
}

#[test]
fn spoofed_requests_are_answered_elsewhere_and_honest_ones_here() {
    let Some(cable) = Cable::lay() else { return };
    let node = Node::start(&cable);
    let plan = [
        "--rate",
        "2k",
        "--duration",
        "1",
        "--warmup",
        "0",
        "--mix",
        "basic=50,spoofed=50",
    ];
    let spoofed = ["10.9.0.1", "--spoof-net", "10.78.0.0/16"];
    let arguments = [&spoofed[..], &plan, &cable.frames("10.77.0.0/16")].concat();
    let run = bench::run(&Folder::new(), Some(&cable.harness), &arguments);
    let step = &run.steps[0];
    assert_eq!(
        (count(step, "good"), count(step, "lost")),
        (1000, 0),
        "{step}"
    );
    assert_eq!(node.stop().get("answered"), 2000);
}

/// A storm asks from each address once before any asks again.
#[test]
fn a_storm_is_many_clients_once() {
    let Some(cable) = Cable::lay() else { return };
    let node = Node::start(&cable);
    let plan = [
        "10.9.0.1",
        "--rate",
        "2k",
        "--duration",
        "1",
        "--warmup",
        "0",
        "--storm",
    ];
    let arguments = [&plan[..], &cable.frames("10.77.0.0/21")].concat();
    let run = bench::run(&Folder::new(), Some(&cable.harness), &arguments);
    assert_all_good(&run);
    assert_eq!(run.steps[0]["sources"], 2046);
    assert_eq!(node.stop().get("answered"), 2000);
}

#[test]
fn the_ceiling_of_whole_frames_is_measured_on_a_cable_without_a_server() {
    let Some(cable) = Cable::lay() else { return };
    must(&format!(
        "-n {} link set node netns {}",
        cable.node, cable.harness
    ));
    must(&format!("-n {} link set node up", cable.harness));
    let plan = [
        "--rate",
        "2k",
        "--duration",
        "0.5",
        "--null=node",
        "--src-mac",
        "02:00:00:00:00:99",
    ];
    let arguments = [&plan[..], &cable.frames("10.77.0.0/16")].concat();
    let run = bench::run(&Folder::new(), Some(&cable.harness), &arguments);
    assert_all_good(&run);
    assert_eq!(count(&run.steps[0], "sent"), 1000);
}
