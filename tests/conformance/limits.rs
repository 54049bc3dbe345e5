//! Whom a server answers, and how often.

use super::support::client::{Client, Said, request};
use super::support::keys::{self, AES128};
use super::support::node::{Directives, Node};
use super::{CLIENT, T1, signed, some};

#[test]
fn beyond_the_limit_a_kiss_is_signed_like_its_request() {
    const ASKED: usize = 120;
    let node = some!(with_kisses("ratelimit interval 3 burst 4 leak 1 kod 1"));
    let mut kisses_seen = [0u64; 2];
    for (kind, kisses) in kisses_seen.iter_mut().enumerate() {
        let client = Client::new(&node, ["127.0.4.1", "127.0.4.2"][kind]);
        let packet = |number: u64| {
            let packet = request(4, CLIENT, T1 + number);
            if kind == 0 {
                packet.to_vec()
            } else {
                signed(&packet)
            }
        };
        // So many at once as the smallest of socket buffers holds.
        let mut replies = Vec::new();
        for number in 0..ASKED as u64 {
            client.send(&packet(number));
            if number % 30 == 29 {
                replies.extend(client.replies_until_now(&node));
            }
        }
        assert!(
            (4..ASKED).contains(&replies.len()),
            "{} of {ASKED} answered",
            replies.len()
        );
        for reply in replies {
            let said = Said::by(&reply);
            assert_eq!(reply.len(), packet(0).len());
            assert!(kind == 0 || AES128.verifies(&reply), "the MAC of {said:?}");
            assert!((T1..T1 + ASKED as u64).contains(&said.origin), "{said:?}");
            assert_eq!(said.poll, 3, "not below the limit's interval");
            // A device takes a kiss for broken when one of these is zero.
            assert!(said.receive != 0 && said.transmit != 0);
            assert_eq!((said.mode, said.version), (4, 4));
            if said.stratum == 0 {
                assert_eq!((said.leap, &said.reference_id), (3, b"RATE"));
                *kisses += 1;
            } else {
                assert_eq!((said.leap, said.stratum), (0, 5));
            }
        }
        // Half of the 116 are to be answered, half of the others kissed: none is (3/4)^116.
        assert!(*kisses > 0, "no kiss");
    }
    if let Some(summary) = node.stop() {
        assert_eq!(
            summary.get("kiss") + summary.get("kiss_signed"),
            kisses_seen[0] + kisses_seen[1]
        );
        assert_eq!(summary.get("kiss_signed"), kisses_seen[1]);
        assert!(summary.get("rate_limited") > 0);
    }
}

#[test]
fn a_kiss_is_not_for_a_forger() {
    let node = some!(with_kisses("ratelimit interval 3 burst 1 leak 1 kod 1"));
    let client = Client::new(&node, "127.0.4.3");
    for number in 0..40 {
        client.send(&keys::WRONG.sign(&request(4, CLIENT, T1 + number)));
    }
    assert_eq!(client.replies_until_now(&node), [[0u8; 0]; 0]);
}

#[test]
fn the_limit_is_one_address_s_own() {
    let node = some!(Node::start(&["ratelimit interval 3 burst 2 leak 4"]));
    let greedy = Client::new(&node, "127.0.4.4");
    for number in 0..100 {
        greedy.send(&request(4, CLIENT, T1 + number));
    }
    let answered = greedy.replies_until_now(&node).len();
    assert!((2..60).contains(&answered), "{answered} of 100 answered");
    for source in ["127.0.4.5", "127.0.4.6"] {
        let modest = Client::new(&node, source);
        for number in 0..2 {
            assert_eq!(
                Said::by(&modest.ask(&request(4, CLIENT, T1 + number))).stratum,
                5
            );
        }
    }
}

#[test]
fn who_is_denied_gets_nothing() {
    let node = some!(Node::start(&["deny 127.0.5.0/24", "allow 127.0.5.7"]));
    let denied = Client::new(&node, "127.0.5.1");
    denied.assert_silent(&node, &request(4, CLIENT, T1), "denied");
    denied.assert_silent(&node, &signed(&request(4, CLIENT, T1)), "denied and signed");
    let allowed = Client::new(&node, "127.0.5.7");
    assert_eq!(allowed.ask(&request(4, CLIENT, T1)).len(), 48);
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("denied", 2)]);
    }
}

#[test]
fn where_authentication_is_required() {
    let node = some!(Node::with(Directives {
        chrony: &["local stratum 5"],
        ours: &["requireauth 127.0.6.0/24"],
        ..Directives::default()
    }));
    let client = Client::new(&node, "127.0.6.1");
    client.assert_silent(&node, &request(4, CLIENT, T1), "unsigned");
    client.assert_silent(&node, &keys::WRONG.sign(&request(4, CLIENT, T1)), "forged");
    assert!(AES128.verifies(&client.ask(&signed(&request(4, CLIENT, T1)))));
    let elsewhere = Client::new(&node, "127.0.7.1");
    assert_eq!(elsewhere.ask(&request(4, CLIENT, T1)).len(), 48);
    let summary = node.stop().expect("ours");
    summary.assert_refused(&[("auth_required", 1), ("bad_mac", 1)]);
}

/// `ratelimit` with `kod`, which chronyd 4.3 does not know.
fn with_kisses(ratelimit: &str) -> Option<Node> {
    Node::with(Directives {
        chrony: &["local stratum 5"],
        ours: &[ratelimit],
        ..Directives::default()
    })
}
