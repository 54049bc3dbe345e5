//! `maser bench --xdp`: what it says of a node, by whichever way that answers, and of a bare echo.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use super::keys;
use super::support::node::Folder;
use super::support::seen::within;
use super::support::tool;
use super::wire::{INTERFACE, NODE_V4, NODE_V6, Wire, on_wire};

/// What the steps of it came to.
pub(crate) fn steps(wire: &Wire, words: &[&str]) -> Vec<Value> {
    // It has a program of its own there.
    wire.here(&format!("ip link set {INTERFACE} xdp off"));
    let folder = Folder::new();
    let figures = folder.write("figures", "");
    let mut command = command(wire, &folder, words);
    let output = tool::run(command.arg("--json").arg(&figures));
    let text = folder.read("figures");
    let steps = text.lines().map(serde_json::from_str::<Value>);
    let steps: Result<Vec<_>, _> = steps.collect();
    match steps {
        Ok(steps) if !steps.is_empty() => steps,
        other => panic!("{other:?}\n{text}\n{}", tool::said(&output)),
    }
}

/// What its one step came to.
pub(crate) fn bench(wire: &Wire, words: &[&str]) -> Value {
    let mut steps = steps(wire, words);
    assert_eq!(steps.len(), 1, "{steps:?}");
    steps.remove(0)
}

/// The harness with these words, and others that are short and slow; `KEY` is the server's, `WRONG` is not.
pub(crate) fn command(wire: &Wire, folder: &Folder, words: &[&str]) -> Command {
    let key_file = folder.write("keys", &keys::file());
    let wrong = folder.write("wrong", &keys::WRONG.line());
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    command.args(["bench", "--quiet"]);
    let defaults = [
        ["--xdp", INTERFACE],
        ["--duration", "0.5"],
        ["--warmup", "0.2"],
        ["--dst-mac", &hardware_address(wire)],
    ];
    for [name, value] in defaults {
        if !words.contains(&name) {
            command.args([name, value]);
        }
    }
    let paced = ["--in-flight", "--rate", "--ladder"];
    if !words.iter().any(|word| paced.contains(word)) {
        command.args(["--rate", "5k"]);
    }
    for word in words {
        let file = |path: &Path| format!("{}:{}", path.display(), keys::AES128.id);
        match *word {
            "KEY" => command.arg(file(&key_file)),
            "WRONG" => command.arg(file(&wrong)),
            word => command.arg(word),
        };
    }
    command
}

fn hardware_address(wire: &Wire) -> String {
    let text = wire.ip(&format!("-json link show {INTERFACE}"));
    let links: Value = serde_json::from_str(&text).expect("JSON");
    links[0]["address"].as_str().expect("one").to_owned()
}

/// Of every count but those of requests that never left, since the machine is others' too.
#[track_caller]
fn all_is_good(figures: &Value) {
    let count = |name: &str| count(figures, name);
    assert!(count("sent") > 100, "{figures}");
    assert_eq!(count("good"), count("sent"), "{figures}");
    for name in [
        "lost",
        "forged",
        "bad_length",
        "duplicates",
        "late",
        "stale",
    ] {
        assert_eq!(count(name), 0, "{name}: {figures}");
    }
    assert_eq!(
        figures["latency_ns"]["count"].as_u64(),
        Some(count("good")),
        "{figures}"
    );
}

/// A counter of a step.
#[track_caller]
pub(crate) fn count(figures: &Value, name: &str) -> u64 {
    figures["counts"][name].as_u64().expect(name)
}

/// Requests to either family, from addresses that the clients' machine has.
pub(crate) fn plain(wire: &Wire) -> [Vec<String>; 2] {
    let v4 = ["10.9.3.1", "10.9.3.2", "10.9.3.3", "10.9.3.4"];
    let v6 = ["fd09::3:1", "fd09::3:2", "fd09::3:3", "fd09::3:4"];
    let all: Vec<IpAddr> = v4
        .iter()
        .chain(&v6)
        .map(|one| one.parse().expect("one"))
        .collect();
    wire.add_clients(&all);
    let ways = [(NODE_V4, "10.9.3.0/24"), (NODE_V6, "fd09::3:0/112")];
    ways.map(|(node, network)| {
        ["--clients", "4", "--source-net", network]
            .into_iter()
            .map(str::to_owned)
            .chain([node.to_string()])
            .collect()
    })
}

pub(crate) fn with<'a>(plain: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let plain = plain.iter().map(String::as_str);
    plain.chain(more.iter().copied()).collect()
}

#[test]
fn a_node_is_seen_as_it_is() {
    on_wire("bench::a_node_is_seen_as_it_is", |wire| {
        let ways = plain(wire);
        // A card would finish the checksums of what sockets send.
        tool::run(wire.command("ethtool").args(["-K", INTERFACE, "tx", "off"]));
        for fast_path in ["fastpath wire", "! by sockets alone"] {
            let node = wire.start(&["allow", "local stratum 3", fast_path]);
            for plain in &ways {
                all_is_good(&bench(wire, &with(plain, &[])));
                all_is_good(&bench(wire, &with(plain, &["--key", "KEY"])));
            }
            let by_kernel = [("cpu", "xdp"), ("outcome", "answered_signed")];
            if fast_path == "fastpath wire" {
                assert!(node.figures().count("maser_requests_total", &by_kernel) > 1000);
            }
            let figures = bench(wire, &with(&ways[0], &["--key", "WRONG"]));
            let counts = &figures["counts"];
            assert_eq!(counts["good"], 0, "{figures}");
            assert_eq!(counts["lost"], counts["sent"], "{figures}");
        }
    });
}

/// Ends with the test, however that does.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bare echo at the other end of the wire.
pub(crate) fn echo(wire: &Wire, folder: &Folder) -> Running {
    let mut command = wire.command(env!("CARGO_BIN_EXE_maser"));
    let echo = Running(folder.spawn(command.args(["bench", "--echo", INTERFACE])));
    within(Duration::from_secs(10), "it is there", || {
        wire.ip(&format!("link show {INTERFACE}")).contains("xdp")
    });
    echo
}

#[test]
fn an_echo_answers_everything() {
    on_wire("bench::an_echo_answers_everything", |wire| {
        let ways = plain(wire);
        let folder = Folder::new();
        let echo = echo(wire, &folder);
        for plain in &ways {
            all_is_good(&bench(wire, &with(plain, &[])));
            let closed = bench(wire, &with(plain, &["--in-flight", "32"]));
            all_is_good(&closed);
            // An echo signs nothing: it has the request's own MAC.
            let signed = bench(wire, &with(plain, &["--key", "KEY"]));
            assert!(count(&signed, "sent") > 100, "{signed}");
            assert_eq!(count(&signed, "forged"), count(&signed, "sent"), "{signed}");
        }
        drop(echo);
        assert!(!wire.ip(&format!("link show {INTERFACE}")).contains("xdp"));
    });
}
