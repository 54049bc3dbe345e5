//! Keys and access change while clients ask, signed, all the time.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::load::{Asked, Flow, Load};
use super::support::exposition::Exposition;
use super::support::keys::{self, Key};
use super::support::tool;
use super::wire::{CLIENT_V4, CLIENT_V6, Node, on_wire};

const CHANGES: u64 = 100;

/// Keys that change: of a kind that the fast path has, and of one that the sockets have.
const CHANGING: [(u32, &str); 2] = [(20, "AES128"), (21, "SHA1")];

/// Keys that do not.
const CONSTANT: [Key; 3] = [keys::AES128, keys::AES256, keys::SHA1];

/// A changing key as it is after so many changes.
fn changed((id, kind): (u32, &'static str), changes: u64) -> Key {
    let secret = (changes + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Key {
        id,
        kind,
        hex: format!("{secret:016x}{id:016x}").leak(),
    }
}

fn key_file(changes: u64) -> String {
    keys::file() + &CHANGING.map(|key| changed(key, changes).line()).concat()
}

fn constant(client: IpAddr, key: Key) -> Flow {
    Flow {
        client,
        dress: Box::new(move |header| (key.sign(header), 0)),
    }
}

/// Signs with what is in force; while it changes, by turns with what was and with what will be. The mark is how often it
/// had changed.
fn changing(client: IpAddr, key: (u32, &'static str), now: &Arc<AtomicU64>) -> Flow {
    let (now, turns) = (Arc::clone(now), AtomicU64::new(0));
    let secrets: Vec<Key> = (0..=CHANGES).map(|changes| changed(key, changes)).collect();
    Flow {
        client,
        dress: Box::new(move |header| {
            let now = now.load(Ordering::SeqCst);
            let turn = turns.fetch_add(1, Ordering::Relaxed) % 2;
            let changes = now / 2 + now % 2 * turn;
            let place = usize::try_from(changes).expect("few");
            (secrets[place].sign(header), changes)
        }),
    }
}

fn count(asked: &[Asked], is_counted: impl Fn(&Asked) -> bool) -> u64 {
    let counted = asked.iter().filter(|one| is_counted(one)).count();
    u64::try_from(counted).expect("few")
}

/// Keys and access change so often, each as soon as the one before is in force.
fn change_all(node: &Node, now: &AtomicU64) {
    for change in 1..=CHANGES {
        now.fetch_add(1, Ordering::SeqCst);
        node.folder().write("keys", &key_file(change));
        assert!(node.chronyc("rekey").contains("200 OK"));
        now.fetch_add(1, Ordering::SeqCst);
        let order = if change % 2 == 0 { "allow" } else { "deny" };
        let other = if change / 2 % 2 == 0 {
            "10.77.0.0/16"
        } else {
            "fd77::/32"
        };
        let said = node.chronyc(&format!("{order} {other}"));
        assert!(said.contains("200 OK"), "{said}");
        sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn assert_all_answered(flow: &[Asked], key: Key) {
    let sent = count(flow, |_| true);
    let missing = count(flow, |one| !one.is_answered());
    assert!(sent > 1000, "{sent} with {}", key.id);
    assert!(missing <= sent / 10_000, "{missing} of {sent}: {}", key.id);
    for reply in flow.iter().flat_map(|one| &one.replies) {
        assert!(key.verifies(reply), "{key:?}: {reply:02x?}");
    }
}

#[test]
fn no_reply_is_signed_wrongly_and_none_is_missing() {
    on_wire(
        "rotation::no_reply_is_signed_wrongly_and_none_is_missing",
        |wire| {
            if tool::need("chronyc").is_none() {
                return;
            }
            let node = wire.start(&["allow", "local stratum 3", "fastpath wire"]);
            // Twice the number of changes; odd while one is made.
            let now = Arc::new(AtomicU64::new(0));
            node.folder().write("keys", &key_file(0));
            assert!(node.chronyc("rekey").contains("200 OK"));
            let before = node.figures();
            let load = Load::start(vec![
                constant(CLIENT_V4, CONSTANT[0]),
                constant(CLIENT_V6, CONSTANT[1]),
                constant(CLIENT_V4, CONSTANT[2]),
                changing(CLIENT_V4, CHANGING[0], &now),
                changing(CLIENT_V6, CHANGING[1], &now),
            ]);
            change_all(&node, &now);
            let flows = load.stop();
            let after = node.figures();
            let (constant, changing) = flows.split_at(CONSTANT.len());
            for (flow, key) in constant.iter().zip(CONSTANT) {
                assert_all_answered(flow, key);
            }
            let mut refused = 0;
            for (flow, key) in changing.iter().zip(CHANGING) {
                for one in flow {
                    let secret = changed(key, one.mark);
                    let mut replies = one.replies.iter();
                    assert!(replies.all(|reply| secret.verifies(reply)), "{one:?}");
                }
                let answered = count(flow, Asked::is_answered);
                let missing = count(flow, |one| !one.is_answered());
                assert!(
                    answered > 1000 && missing < answered,
                    "{missing}, {answered}"
                );
                refused += missing;
                let id = key.0.to_string();
                let uses = after.count("maser_key_requests_total", &[("key_id", &id)]);
                assert_eq!(uses, answered, "key {id}");
            }
            assert!(
                flows.iter().flatten().all(|one| one.replies.len() < 2),
                "once"
            );
            let outcome = |figures: &Exposition, outcome: &str| {
                figures.count("maser_requests_total", &[("outcome", outcome)])
            };
            assert!(refused > 0, "some came while keys changed");
            for (name, expected) in [
                ("bad_mac", refused),
                ("unknown_key", 0),
                ("denied", 0),
                ("rate_limited", 0),
                ("answered", 0),
            ] {
                let grown = outcome(&after, name) - outcome(&before, name);
                assert_eq!(grown, expected, "{name}");
            }
            let signed = [("cpu", "xdp"), ("outcome", "answered_signed")];
            let by_kernel = after.count("maser_requests_total", &signed);
            let all = [&constant[0], &constant[1], &changing[0]];
            let all: u64 = all.map(|flow| count(flow, Asked::is_answered)).iter().sum();
            assert_eq!(by_kernel, all);
        },
    );
}
