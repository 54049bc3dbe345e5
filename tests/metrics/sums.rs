//! Figures that add up: received is the sum over outcomes, and what the harness has sent.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Told;
use super::support::bench::count;
use super::support::client::{Client, field, request};
use super::support::exposition::Exposition;
use super::support::node::Folder;
use super::support::seen::within;
use super::support::{keys, tool};

/// Every way of adding up what came gives the same; the sum.
#[track_caller]
pub(crate) fn assert_adds_up(figures: &Exposition) -> u64 {
    let received = figures.count("maser_received_total", &[]);
    for family in [
        "maser_requests_total",
        "maser_requests_by_kind_total",
        "maser_requests_by_authentication_total",
        "maser_receive_timestamps_total",
    ] {
        assert_eq!(figures.count(family, &[]), received, "{family}");
    }
    let outcome = |outcome| figures.count("maser_requests_total", &[("outcome", outcome)]);
    let made = ["answered", "answered_signed", "kiss", "kiss_signed"].map(outcome);
    let made: u64 = made.iter().sum();
    assert_eq!(figures.count("maser_drops_total", &[]), received - made);
    let unsent = figures.count("maser_replies_unsent_total", &[]);
    assert_eq!(figures.count("maser_replies_total", &[]), made - unsent);
    received
}

/// Of a histogram, in all.
#[track_caller]
fn observed(figures: &Exposition, name: &str) -> u64 {
    let samples = figures.0[name].samples.iter();
    let counts = samples.filter(|(full, ..)| full.ends_with("_count"));
    let sum: f64 = counts.map(|(.., value)| value).sum();
    format!("{sum}").parse().expect("a whole number")
}

#[test]
fn sums_are_what_the_harness_has_sent_to_the_packet() {
    let told = Told::start(&["workers 2"]);
    let (before, uptime_s) = (told.figures_at_rest(), told.status()["uptime"].as_f64());
    let asked = assert_adds_up(&before);
    assert!(asked > 0, "the start has asked");
    let mix = "basic=4,signed=3,interleaved=2,badmac=1,unknownkey=1";
    let run = told.load(&["--rate", "8k", "--mix", mix, "--clients", "16"]);
    let [step] = &run.steps[..] else {
        panic!("one step is expected");
    };
    assert_eq!(count(step, "send_errors"), 0);
    let of = |kind: &str| {
        let mut all = step["by_kind"].as_array().expect("a list").iter();
        let found = all.find(|one| one["kind"] == kind);
        found
            .and_then(|one| one["sent"].as_u64())
            .filter(|sent| *sent > 0)
    };
    let after = told.figures_at_rest();
    let received = assert_adds_up(&after);
    let kinds = ["basic", "signed", "interleaved", "badmac", "unknownkey"];
    let all: u64 = kinds.iter().filter_map(|kind| of(kind)).sum();
    assert_eq!(received - asked, all, "{}", step["by_kind"]);
    assert_eq!(after.count("maser_queue_dropped_total", &[]), 0);
    let moved = |outcome: &str| {
        let labels = [("outcome", outcome)];
        let counts = [&after, &before].map(|one| one.count("maser_requests_total", &labels));
        Some(counts[0] - counts[1])
    };
    assert_eq!(moved("answered_signed"), of("signed"));
    assert_eq!(moved("bad_mac"), of("badmac"));
    assert_eq!(moved("unknown_key"), of("unknownkey"));
    let plain = of("basic").zip(of("interleaved")).map(|(a, b)| a + b);
    assert_eq!(moved("answered"), plain);
    assert!(after.count("maser_interleaved_replies_total", &[]) > 0);
    let id = keys::AES128.id.to_string();
    let uses = after.count("maser_key_requests_total", &[("key_id", &id)]);
    assert_eq!(Some(uses), of("signed"));
    assert_eq!(after.count("maser_key_requests_total", &[]), uses);
    let kind = [("family", "ipv4"), ("version", "4"), ("mode", "client")];
    assert_eq!(after.count("maser_requests_by_kind_total", &kind), received);
    let replies = after.count("maser_replies_total", &[]);
    assert_eq!(observed(&after, "maser_residence_seconds"), replies);
    let stamps = observed(&after, "maser_transmit_timestamp_error_seconds");
    assert!(stamps > 10, "{stamps} sampled");
    // Before the harness came there was nothing to have a rate of.
    assert!(uptime_s.is_some_and(|seconds| seconds > 0.0));
    let summary = told.node.stop().expect("ours");
    assert_eq!(summary.get("received"), received);
}

#[test]
fn kinds_and_refusals_have_their_labels() {
    let told = Told::start(&["deny 127.9.0.0/16", "requireauth 127.8.0.0/16"]);
    let before = assert_adds_up(&told.figures_at_rest());
    Client::new(&told.node, "::1").ask(&request(3, 3, 1));
    Client::new(&told.node, "127.0.0.1").ask(&request(2, 1, 2));
    let stranger = Client::new(&told.node, "127.9.0.1");
    stranger.send(&request(4, 3, 3));
    Client::new(&told.node, "127.8.0.1").send(&request(4, 3, 4));
    let odd = Client::new(&told.node, "127.0.0.1");
    odd.send(&request(7, 3, 5));
    odd.send(&request(4, 6, 6));
    odd.send(b"");
    odd.send(&[&request(4, 3, 7)[..], &field(1, 7)].concat());
    within(Duration::from_secs(5), "all are counted", || {
        let figures = told.figures();
        figures.count("maser_received_total", &[]) == before + 8
    });
    let figures = told.figures_at_rest();
    assert_adds_up(&figures);
    let kind = |family, version, mode| {
        let labels = [("family", family), ("version", version), ("mode", mode)];
        figures.count("maser_requests_by_kind_total", &labels)
    };
    assert_eq!(kind("ipv6", "3", "client"), 1);
    assert_eq!(kind("ipv4", "2", "symmetric_active"), 1);
    assert_eq!(kind("ipv4", "other", "client"), 1);
    assert_eq!(kind("ipv4", "4", "control"), 1);
    assert_eq!(kind("ipv4", "other", "reserved"), 1, "an empty datagram");
    for reason in ["denied", "auth_required", "bad_version", "bad_mode"] {
        assert_eq!(
            figures.count("maser_drops_total", &[("reason", reason)]),
            1,
            "{reason}"
        );
    }
    let status = told.status();
    let denied = status["requests"]["outcomes"].as_array().expect("a list");
    let denied = denied.iter().find(|one| one["outcome"] == "denied");
    assert_eq!(denied.map(|one| &one["total"]), Some(&Value::from(1)));
}

/// More than one worker can take: the harness on one core, the worker in bursts of one with a small queue.
#[test]
fn under_overload_what_came_is_the_sum_over_outcomes_and_the_rest_is_counted_apart() {
    let told = Told::start(&["burst 1", "ratelimit interval 1 burst 8 leak 2"]);
    let asked = assert_adds_up(&told.figures_at_rest());
    // The process stands still while requests come, so that its queue must overflow; then it goes on.
    let pid = told.node.pid().to_string();
    let signal = |name: &str| {
        let output = tool::run(Command::new("kill").args([name, &pid]));
        assert!(output.status.success());
    };
    signal("-STOP");
    let run = told.load(&["--rate", "60k", "--mix", "basic=9,signed=1"]);
    signal("-CONT");
    let [step] = &run.steps[..] else {
        panic!("one step is expected");
    };
    let (sent, errors) = (count(step, "sent"), count(step, "send_errors"));
    let figures = told.figures_at_rest();
    let received = assert_adds_up(&figures) - asked;
    let lost = figures.count("maser_queue_dropped_total", &[]);
    assert!(lost > 0, "{sent} were sent, {received} received");
    assert_eq!(received + lost, sent, "{errors} could not be sent");
    let outcome = |outcome| figures.count("maser_requests_total", &[("outcome", outcome)]);
    assert!(outcome("too_late") > 0, "they waited for a second");
    let status = told.status();
    assert_eq!(status["requests"]["total"]["queue_dropped"], lost);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("queue was full"), "{warnings}");
}

#[test]
fn a_responder_in_the_timekeepers_loop_is_told_of_as_well() {
    let told = Told::start(&["workers 0"]);
    let before = assert_adds_up(&told.figures_at_rest());
    let client = Client::new(&told.node, "127.0.0.1");
    for transmit in 0..50 {
        client.ask(&request(4, 3, transmit));
    }
    let figures = told.figures_at_rest();
    assert_eq!(assert_adds_up(&figures), before + 50);
    assert_eq!(
        figures.count("maser_received_total", &[("cpu", "any")]),
        before + 50
    );
    assert_eq!(told.status()["workers"][0]["cpu"], Value::Null);
}

#[test]
fn uses_of_keys_outlast_the_keys() {
    let Some(chronyc) = tool::need("chronyc") else {
        return;
    };
    let folder = Folder::new();
    let (old, new) = (
        keys::AES128,
        keys::Key {
            id: 20,
            ..keys::AES128
        },
    );
    let key_file = folder.write("own-keys", &old.line());
    let socket = key_file.with_file_name("sock");
    let own = socket.parent().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(own, mode).expect("ours");
    let lines = [
        format!("keyfile {}", key_file.display()),
        format!("bindcmdaddress {}", socket.display()),
    ];
    let told = Told::start(&[&lines[0], &lines[1]]);
    let client = Client::new(&told.node, "127.0.0.1");
    let signed = |key: keys::Key, transmit| client.ask(&key.sign(&request(4, 3, transmit)));
    (1..=3).for_each(|transmit| drop(signed(old, transmit)));
    folder.write("own-keys", &new.line());
    let mut rekey = Command::new(chronyc);
    let output = tool::run(rekey.arg("-h").arg(&socket).arg("rekey"));
    assert!(output.status.success(), "{}", tool::said(&output));
    signed(new, 4);
    let figures = told.figures_at_rest();
    let uses = |id: &str| figures.count("maser_key_requests_total", &[("key_id", id)]);
    assert_eq!((uses("10"), uses("20")), (3, 1));
    assert_eq!(figures.count("maser_key_requests_total", &[]), 4);
    assert_eq!(
        figures.count("maser_requests_total", &[("outcome", "answered_signed")]),
        4
    );
}
