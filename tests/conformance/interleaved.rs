//! Interleaved mode (RFC 9769): a reply tells when the one before it left.

use crate::support::client::{Client, Said, request};
use crate::support::keys::AES128;
use crate::support::node::Node;

/// What a client puts into its receive timestamp, to be found as an interleaved reply's origin.
const RECEIVE: u64 = 0x1111_2222_3333_4444;
const TRANSMIT: u64 = 0x5555_6666_7777_8888;

/// A request that builds on the reply with this receive timestamp.
fn building_on(receive: u64) -> [u8; 48] {
    let mut packet = request(4, 3, TRANSMIT);
    packet[24..32].copy_from_slice(&receive.to_be_bytes());
    packet[32..40].copy_from_slice(&RECEIVE.to_be_bytes());
    packet
}

fn exchange(client: &Client, request: &[u8]) -> Said {
    client.send(request);
    Said::by(&client.receive())
}

/// Nanoseconds from one timestamp to a later one.
fn nanos(from: u64, to: u64) -> i128 {
    (i128::from(to.wrapping_sub(from).cast_signed()) * 1_000_000_000) >> 32
}

#[test]
fn the_third_reply_and_all_that_follow_are_interleaved() {
    let Some(node) = Node::start(&[]) else { return };
    let client = Client::new(&node, "127.0.0.1");
    let mut last = exchange(&client, &building_on(0));
    assert_eq!(last.origin, TRANSMIT);
    for number in 2..20 {
        let reply = exchange(&client, &building_on(last.receive));
        let origin = if number == 2 { TRANSMIT } else { RECEIVE };
        assert_eq!(reply.origin, origin, "reply {number}");
        if number > 2 {
            // It left after it had come, and before this request was sent.
            let stay = nanos(last.receive, reply.transmit);
            let pause = nanos(reply.transmit, reply.receive);
            assert!(
                (1..1_000_000_000).contains(&stay) && pause > 0,
                "{last:?} {reply:?}"
            );
        }
        last = reply;
    }
}

#[test]
fn a_departure_is_told_once_and_never_to_who_does_not_ask_for_it() {
    let Some(node) = Node::start(&[]) else { return };
    let client = Client::new(&node, "127.0.0.1");
    let first = exchange(&client, &building_on(0));
    let second = exchange(&client, &building_on(first.receive));
    // The same request in version 3, and one whose own two timestamps are the same.
    let mut old = building_on(second.receive);
    old[0] = 3 << 3 | 3;
    assert_eq!(exchange(&client, &old).origin, TRANSMIT);
    let mut same = building_on(second.receive);
    same.copy_within(40..48, 32);
    assert_eq!(exchange(&client, &same).origin, TRANSMIT);
    assert_eq!(
        exchange(&client, &building_on(second.receive)).origin,
        RECEIVE
    );
    assert_eq!(
        exchange(&client, &building_on(second.receive)).origin,
        TRANSMIT
    );
}

#[test]
fn signed_requests_interleave_likewise() {
    let Some(node) = Node::start(&[]) else { return };
    let client = Client::new(&node, "127.0.0.1");
    let mut last = exchange(&client, &AES128.sign(&building_on(0)));
    for number in 2..6 {
        client.send(&AES128.sign(&building_on(last.receive)));
        let reply = client.receive();
        assert_eq!(reply.len(), 68);
        assert!(AES128.verifies(&reply));
        last = Said::by(&reply);
        let origin = if number == 2 { TRANSMIT } else { RECEIVE };
        assert_eq!(last.origin, origin, "reply {number}");
    }
}

/// The client log and what hangs on it are off.
#[test]
fn noclientlog_switches_it_off() {
    let Some(node) = Node::start(&["noclientlog"]) else {
        return;
    };
    let client = Client::new(&node, "127.0.0.1");
    let mut last = exchange(&client, &building_on(0));
    for _ in 0..3 {
        last = exchange(&client, &building_on(last.receive));
        assert_eq!(last.origin, TRANSMIT);
    }
}

/// Nothing is kept by address: two clients behind one do not disturb each other.
#[test]
fn clients_of_one_address_are_told_apart() {
    let Some(node) = Node::start(&[]) else { return };
    let clients = [0, 1].map(|_| Client::new(&node, "127.0.0.1"));
    let mut last = clients
        .each_ref()
        .map(|client| exchange(client, &building_on(0)));
    for number in 2..6 {
        for (client, last) in clients.iter().zip(&mut last) {
            *last = exchange(client, &building_on(last.receive));
            assert_eq!(last.origin == RECEIVE, number > 2, "reply {number}");
        }
    }
}
