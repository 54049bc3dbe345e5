//! The node is killed, ends, begins again: who answers then.

use std::thread::sleep;
use std::time::Duration;

use maser::sys::clock;

use super::asker::Asker;
use super::load::{Asked, Flow, Load};
use super::support::seen::within;
use super::support::{keys, tool};
use super::wire::{CLIENT_V4, CLIENT_V6, INTERFACE, Node, Wire, on_wire};

const LINES: [&str; 3] = ["allow", "local stratum 3", "fastpath wire native"];
const SECOND_NS: u64 = 1_000_000_000;
/// How long the program may answer alone.
const BOUND_NS: u64 = 10 * SECOND_NS;

/// What the fast path answers, all the time.
fn load() -> Load {
    let dress = |header: &[u8]| (header.to_vec(), 0);
    let sign = |header: &[u8]| (keys::AES256.sign(header), 0);
    Load::start(vec![
        Flow {
            client: CLIENT_V4,
            dress: Box::new(dress),
        },
        Flow {
            client: CLIENT_V6,
            dress: Box::new(sign),
        },
    ])
}

fn has_program(wire: &Wire) -> bool {
    wire.ip(&format!("link show {INTERFACE}")).contains("xdp")
}

/// Requests that were sent between two moments.
fn between(flow: &[Asked], from_ns: u64, to_ns: u64) -> Vec<&Asked> {
    let sent = flow
        .iter()
        .filter(|one| (from_ns..to_ns).contains(&one.sent_ns));
    sent.collect()
}

fn missing(asked: &[&Asked]) -> usize {
    asked.iter().filter(|one| !one.is_answered()).count()
}

fn by_kernel(node: &Node) -> u64 {
    node.figures()
        .count("maser_requests_total", &[("cpu", "xdp")])
}

#[test]
fn killed_it_answers_for_ten_seconds_at_most() {
    on_wire(
        "restart::killed_it_answers_for_ten_seconds_at_most",
        |wire| {
            let first = wire.start(&LINES);
            let load = load();
            within(Duration::from_secs(5), "it answers", || {
                by_kernel(&first) > 500
            });
            let before_ns = clock::monotonic_ns();
            first.end("-KILL");
            let killed_ns = clock::monotonic_ns();
            assert!(has_program(wire), "it stays");
            sleep(Duration::from_millis(12_000));
            let second_ns = clock::monotonic_ns();
            let second = wire.start(&LINES);
            let served_ns = clock::monotonic_ns();
            within(Duration::from_secs(5), "it takes over", || {
                by_kernel(&second) > 500
            });
            let end_ns = clock::monotonic_ns();
            let flows = load.stop();
            for flow in &flows {
                assert!(flow.iter().all(|one| one.replies.len() < 2), "two answers");
                let some_s = between(flow, before_ns - SECOND_NS / 4, killed_ns + 5 * SECOND_NS);
                assert!(some_s.len() > 1000, "{}", some_s.len());
                assert_eq!(missing(&some_s), 0, "of {}", some_s.len());
                let stale = between(flow, killed_ns + BOUND_NS, second_ns);
                assert!(stale.len() > 200, "{}", stale.len());
                assert_eq!(missing(&stale), stale.len(), "past the bound");
                let again = between(flow, served_ns, end_ns);
                assert_eq!(missing(&again), 0, "of {}", again.len());
            }
            let (ended_well, said) = second.end("-TERM");
            assert!(
                ended_well && said.contains("fastpath wire: taken over"),
                "{said}"
            );
        },
    );
}

/// Ends it by SIGQUIT while clients ask, and starts it again; it is ended then.
fn restart(wire: &Wire, lines: &[&str]) {
    let first = wire.start(lines);
    let load = load();
    within(Duration::from_secs(5), "it answers", || {
        by_kernel(&first) > 500
    });
    let from_ns = clock::monotonic_ns();
    let pin = wire.pins().join(INTERFACE);
    let (ended_well, said) = first.end("-QUIT");
    assert!(ended_well && !said.contains("taken away"), "{said}");
    assert!(has_program(wire) && pin.exists(), "it stays");
    let second = wire.start(lines);
    within(Duration::from_secs(5), "it takes over", || {
        by_kernel(&second) > 500
    });
    let to_ns = clock::monotonic_ns();
    let flows = load.stop();
    for flow in &flows {
        let all = between(flow, from_ns, to_ns);
        assert_eq!(missing(&all), 0, "of {}", all.len());
        assert!(flow.iter().all(|one| one.replies.len() < 2), "two answers");
    }
    let (ended_well, said) = second.end("-TERM");
    assert!(ended_well && said.contains("taken over"), "{said}");
    assert!(said.contains("fastpath wire: taken away"), "{said}");
    assert!(!has_program(wire), "it is gone");
}

#[test]
fn who_restarts_it_leaves_no_gap() {
    on_wire("restart::who_restarts_it_leaves_no_gap", |wire| {
        restart(wire, &LINES);
        assert!(!wire.pins().exists(), "nor is its name there");
        restart(wire, &[&LINES[..], &["user nobody"]].concat());
    });
}

#[test]
fn without_root_it_goes_on_and_is_taken_away() {
    on_wire(
        "restart::without_root_it_goes_on_and_is_taken_away",
        |wire| {
            if tool::need("chronyc").is_none() {
                return;
            }
            let node = wire.start(&[&LINES[..], &["user nobody"]].concat());
            node.folder().write("keys", &keys::AES128.line());
            let mut asker = Asker::new(CLIENT_V4);
            let sign = |key: keys::Key| move |header: &[u8]| key.sign(header);
            assert!(asker.ask(sign(keys::AES256)).is_some());
            for order in ["rekey", "deny fd09::/32"] {
                assert!(node.chronyc(order).contains("200 OK"), "{order}");
            }
            assert!(!Asker::new(CLIENT_V6).has_answer(&[]));
            let reply = asker.ask(sign(keys::AES128)).expect("the key is there");
            assert!(keys::AES128.verifies(&reply));
            assert!(asker.ask(sign(keys::AES256)).is_none(), "this one is gone");
            // What is published every second still is.
            sleep(Duration::from_nanos(BOUND_NS + SECOND_NS));
            let before = by_kernel(&node);
            asker.is_answered(10, &[]);
            assert_eq!(by_kernel(&node), before + 10);
            let (ended_well, said) = node.end("-TERM");
            assert!(ended_well && !said.contains("error"), "{said}");
            assert!(!has_program(wire), "{said}");
            // The name that only root may take away is in nobody's way.
            let again = wire.start(&LINES);
            within(Duration::from_secs(5), "it answers", || {
                asker.has_answer(&[]) && by_kernel(&again) > 0
            });
        },
    );
}

#[test]
fn an_interface_that_comes_again_has_the_program_again() {
    on_wire(
        "restart::an_interface_that_comes_again_has_the_program_again",
        |wire| {
            let node = wire.start(&LINES);
            assert!(Asker::new(CLIENT_V4).has_answer(&[]));
            for _ in 0..2 {
                wire.replace();
                within(Duration::from_secs(10), "it is there", || has_program(wire));
                let before = by_kernel(&node);
                let mut asker = Asker::new(CLIENT_V4);
                within(Duration::from_secs(5), "it answers", || {
                    asker.has_answer(&[]) && by_kernel(&node) > before
                });
                assert!(wire.pins().join(INTERFACE).exists(), "with a name");
            }
            let (ended_well, said) = node.end("-TERM");
            assert!(ended_well && said.contains("is there again"), "{said}");
            assert!(!has_program(wire), "{said}");
            assert!(!wire.pins().exists(), "nor is its name there");
        },
    );
}
