//! The load harness against real servers: ours, and Debian's chronyd unchanged.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::bench::{self, assert_all_good, count};
use support::node::{Directives, Folder, Node, Server};

fn start(server: Server) -> Option<Node> {
    Node::of(
        server,
        Directives {
            chrony: &["local stratum 5"],
            ..Directives::default()
        },
    )
}

fn drive(server: Server, arguments: &[&str]) -> Option<bench::Run> {
    let node = start(server)?;
    let folder = Folder::new();
    let keys = folder.write("keys", &support::keys::file());
    let target = node.address("127.0.0.1").to_string();
    let key = format!("{}:{}", keys.display(), support::keys::AES128.id);
    let arguments = [&[target.as_str(), "--key", &key][..], arguments].concat();
    Some(bench::run(&folder, None, &arguments))
}

const BOTH: [Server; 2] = [Server::Maser, Server::Chronyd];

#[test]
fn each_server_is_driven_signed_and_unsigned() {
    for server in BOTH {
        let Some(run) = drive(
            server,
            &[
                "--rate",
                "2k",
                "--duration",
                "1",
                "--mix",
                "basic=50,signed=50",
            ],
        ) else {
            continue;
        };
        assert_all_good(&run);
        let step = &run.steps[0];
        assert_eq!(count(step, "sent"), 2000);
        for kind in step["by_kind"].as_array().expect("kinds") {
            assert_eq!(
                (&kind["sent"], &kind["answered"]),
                (&1000.into(), &1000.into())
            );
        }
        // The harness and the server read one clock: neither stamp may be a second off.
        for error in ["transmit_error_ns", "receive_error_ns"] {
            let error = &step[error];
            assert!(error["count"].as_u64() > Some(10), "{step}");
            assert!(
                error["mean"].as_f64().is_some_and(|mean| mean.abs() < 1e9),
                "{step}"
            );
        }
    }
}

#[test]
fn each_version_is_asked_for_and_verified() {
    for version in ["3", "4"] {
        let Some(run) = drive(
            Server::Chronyd,
            &["--rate", "500", "--duration", "0.5", "--version", version],
        ) else {
            return;
        };
        assert_all_good(&run);
    }
}

/// chronyd keeps the interleaved state of its clients, and its stamps of the reply before are the
/// kernel's.
#[test]
fn chronyd_answers_interleaved_clients_in_interleaved_mode() {
    let Some(run) = drive(
        Server::Chronyd,
        &[
            "--rate",
            "1k",
            "--duration",
            "1",
            "--mix",
            "interleaved=1",
            "--clients",
            "20",
        ],
    ) else {
        return;
    };
    assert_all_good(&run);
    let step = &run.steps[0];
    // The warm-up has had each client past its two first exchanges.
    assert!(count(step, "interleaved") >= 990, "{step}");
    let error = &step["interleaved_error_ns"];
    assert!(error["count"].as_u64() >= Some(900), "{step}");
    assert!(
        error["mean"].as_f64().is_some_and(|mean| mean.abs() < 1e6),
        "{step}"
    );
}

#[test]
fn hostile_requests_are_told_apart_from_honest_ones() {
    let mix = "basic=40,extension=10,malformed=10,badmac=10,unknownkey=10,replay=20";
    let plan = [
        "--rate",
        "2k",
        "--duration",
        "1",
        "--warmup",
        "0",
        "--mix",
        mix,
    ];
    let Some(run) = drive(Server::Maser, &plan) else {
        return;
    };
    assert_all_good(&run);
    let step = &run.steps[0];
    let answered = step["by_kind"].as_array().expect("kinds").iter();
    let answered: Vec<_> = answered
        .map(|kind| {
            (
                kind["kind"].as_str().expect("a name"),
                kind["answered"].as_u64(),
            )
        })
        .collect();
    // A server without state answers a replay: it is a good request.
    let expected = [
        ("basic", Some(800)),
        ("extension", Some(200)),
        ("malformed", Some(0)),
        ("badmac", Some(0)),
        ("unknownkey", Some(0)),
        ("replay", Some(400)),
    ];
    assert_eq!(answered, expected);
    assert_eq!(count(step, "sent"), 1000);
    let text = support::tool::said(&run.output);
    assert!(
        text.contains("beside it, in no figure above: malformed 200 sent"),
        "{text}"
    );
}

#[test]
fn the_null_responder_runs_beside_the_target() {
    let Some(run) = drive(
        Server::Maser,
        &[
            "--in-flight",
            "8",
            "--duration",
            "0.3",
            "--null",
            "--label",
            "ours",
        ],
    ) else {
        return;
    };
    // It does not sign, so a signed plan's replies have the wrong MAC there; the kernel carries them.
    let labels: Vec<_> = run
        .steps
        .iter()
        .map(|step| step["label"].as_str())
        .collect();
    assert_eq!(labels, [Some("ours"), Some("null")]);
}

#[test]
fn a_second_by_second_series_sums_up() {
    let Some(run) = drive(Server::Maser, &["--rate", "1k", "--duration", "2.5"]) else {
        return;
    };
    let step = &run.steps[0];
    let series = step["series"].as_array().expect("seconds");
    let sent: Vec<_> = series
        .iter()
        .map(|second| second["sent"].as_u64())
        .collect();
    assert_eq!(sent, [Some(1000), Some(1000), Some(500)]);
    let good: u64 = series
        .iter()
        .filter_map(|second| second["good"].as_u64())
        .sum();
    assert_eq!(good, count(step, "good"));
}
