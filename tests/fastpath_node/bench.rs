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

/// What one step of it came to.
fn bench(wire: &Wire, words: &[&str]) -> Value {
    // It has a program of its own there.
    wire.here(&format!("ip link set {INTERFACE} xdp off"));
    let folder = Folder::new();
    let figures = folder.write("figures", "");
    let key_file = folder.write("keys", &keys::file());
    let wrong = folder.write("wrong", &keys::WRONG.line());
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    command.args(["bench", "--quiet", "--xdp", INTERFACE]);
    command.args(["--duration", "0.5", "--warmup", "0.2"]);
    if !words.contains(&"--in-flight") {
        command.args(["--rate", "5k"]);
    }
    command.args(["--dst-mac", &hardware_address(wire), "--json"]);
    command.arg(&figures);
    for word in words {
        let file = |path: &Path| format!("{}:{}", path.display(), keys::AES128.id);
        match *word {
            "KEY" => command.arg(file(&key_file)),
            "WRONG" => command.arg(file(&wrong)),
            word => command.arg(word),
        };
    }
    let output = tool::run(&mut command);
    let text = folder.read("figures");
    serde_json::from_str(&text)
        .unwrap_or_else(|why| panic!("{why}\n{text}\n{}", tool::said(&output)))
}

fn hardware_address(wire: &Wire) -> String {
    let text = wire.ip(&format!("-json link show {INTERFACE}"));
    let links: Value = serde_json::from_str(&text).expect("JSON");
    links[0]["address"].as_str().expect("one").to_owned()
}

/// Of every count but those of requests that never left, since the machine is others' too.
#[track_caller]
fn all_is_good(figures: &Value) {
    let count = |name: &str| figures["counts"][name].as_u64().expect(name);
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

/// Requests to either family, from addresses that the clients' machine has.
fn plain(wire: &Wire) -> [Vec<String>; 2] {
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

fn with<'a>(plain: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
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
struct Echo(Child);

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_echo_answers_everything() {
    on_wire("bench::an_echo_answers_everything", |wire| {
        let ways = plain(wire);
        let mut command = wire.command(env!("CARGO_BIN_EXE_maser"));
        let folder = Folder::new();
        let echo = Echo(folder.spawn(command.args(["bench", "--echo", INTERFACE])));
        within(Duration::from_secs(10), "it is there", || {
            wire.ip(&format!("link show {INTERFACE}")).contains("xdp")
        });
        for plain in &ways {
            all_is_good(&bench(wire, &with(plain, &[])));
            let closed = bench(wire, &with(plain, &["--in-flight", "32"]));
            all_is_good(&closed);
            // An echo signs nothing: it has the request's own MAC.
            let signed = bench(wire, &with(plain, &["--key", "KEY"]));
            assert!(signed["counts"]["forged"].as_u64() > Some(100), "{signed}");
        }
        drop(echo);
        assert!(!wire.ip(&format!("link show {INTERFACE}")).contains("xdp"));
    });
}
