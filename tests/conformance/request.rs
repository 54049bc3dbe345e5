//! What is asked: versions, modes, fields, ports, addresses.

use std::io::ErrorKind;

use super::support::client::{Client, Said, request};
use super::support::keys::AES128;
use super::support::node::Node;
use super::support::{skip, tool};
use super::{CLIENT, T1, signed, some};

#[test]
fn a_device_s_request_is_answered_in_kind() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.1");
    // coreSNTP: everything is zero but the first byte and the transmit timestamp.
    let plain = request(4, CLIENT, T1);
    assert_eq!((plain[0], &plain[1..40]), (0x23, &[0; 39][..]));
    let reply = client.ask(&plain);
    assert_eq!(reply.len(), 48);
    let said = Said::by(&reply);
    assert_eq!(
        (said.mode, said.version, said.leap, said.stratum),
        (4, 4, 0, 5)
    );
    assert!(said.receive != 0 && said.transmit != 0);

    let reply = client.ask(&signed(&plain));
    assert_eq!(reply.len(), 68);
    assert_eq!(reply[48..52], AES128.id.to_be_bytes());
    assert!(AES128.verifies(&reply), "the reply's MAC");
    if let Some(summary) = node.stop() {
        assert_eq!(summary.get("answered_signed"), 1);
        summary.assert_refused(&[]);
    }
}

#[test]
fn the_departure_time_is_not_judged() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.2");
    for transmit in [0, 1, 1 << 32, T1, 0x7fff_ffff_ffff_ffff, 1 << 63, u64::MAX] {
        let said = Said::by(&client.ask(&request(4, CLIENT, transmit)));
        assert_eq!((said.origin, said.mode), (transmit, 4));
        let reply = client.ask(&signed(&request(4, CLIENT, transmit)));
        assert!(AES128.verifies(&reply));
    }
}

#[test]
fn no_other_field_of_a_request_is_judged() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.3");
    for at in 1..40 {
        let mut odd = request(4, CLIENT, T1 + at as u64);
        odd[at] = 0xff;
        assert_eq!(Said::by(&client.ask(&odd)).mode, 4, "byte {at}");
    }
    for leap in 0..4 {
        let mut odd = request(4, CLIENT, T1 + 99);
        odd[0] |= leap << 6;
        assert_eq!(Said::by(&client.ask(&odd)).leap, 0);
    }
}

#[test]
fn a_source_port_below_1024_is_like_any_other() {
    if !tool::need_root() {
        return;
    }
    let node = some!(Node::start(&[]));
    for port in [123, 1, 1023] {
        let client = match Client::between(&node, ("127.0.1.4", port), "127.0.0.1") {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return skip(&format!("another program has port {port}"));
            }
            other => other.expect("loopback"),
        };
        assert_eq!(client.ask(&request(4, CLIENT, T1)).len(), 48);
        assert!(AES128.verifies(&client.ask(&signed(&request(4, CLIENT, T1)))));
        // NTPv1 without a mode is a client's, but not from NTP's own port.
        if port == 123 {
            client.assert_silent(&node, &request(1, 0, T1), "version 1, mode 0, port 123");
        } else {
            assert_eq!(Said::by(&client.ask(&request(1, 0, T1))).mode, 4);
        }
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_mode", 1)]);
    }
}

#[test]
fn versions_1_to_4_are_answered_in_their_own() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.5");
    for version in 1..=4 {
        let reply = client.ask(&request(version, CLIENT, T1));
        let said = Said::by(&reply);
        assert_eq!((reply.len(), said.version, said.mode), (48, version, 4));
    }
}

#[test]
fn versions_0_and_from_5_get_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.6");
    for version in [0, 5, 6, 7] {
        for mode in 0..8 {
            let what = format!("version {version}, mode {mode}");
            client.assert_silent(&node, &request(version, mode, T1), &what);
        }
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_version", 4 * 8)]);
    }
}

#[test]
fn mode_1_gets_mode_2() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.7");
    for version in 1..=4 {
        let said = Said::by(&client.ask(&request(version, 1, T1)));
        assert_eq!((said.version, said.mode), (version, 2));
    }
    let reply = client.ask(&signed(&request(3, 1, T1)));
    assert!(AES128.verifies(&reply));
}

#[test]
fn version_1_without_a_mode_is_a_client() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.8");
    let said = Said::by(&client.ask(&request(1, 0, T1)));
    assert_eq!((said.version, said.mode), (1, 4));
    for version in 2..=4 {
        let what = format!("version {version}, mode 0");
        client.assert_silent(&node, &request(version, 0, T1), &what);
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_mode", 3)]);
    }
}

#[test]
fn modes_that_are_no_request_get_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.1.9");
    for version in 1..=4 {
        for mode in [2, 4, 5, 6, 7] {
            let what = format!("version {version}, mode {mode}");
            client.assert_silent(&node, &request(version, mode, T1), &what);
        }
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_mode", 4 * 5)]);
    }
}

#[test]
fn the_reply_comes_from_the_address_that_was_asked() {
    let node = some!(Node::start(&[]));
    for server in ["127.0.0.1", "127.0.0.2", "127.7.7.7"] {
        // A connected socket hears that address alone.
        let client = Client::between(&node, ("127.0.8.1", 0), server).expect("loopback");
        assert_eq!(client.ask(&request(4, CLIENT, T1)).len(), 48);
        assert!(AES128.verifies(&client.ask(&signed(&request(4, CLIENT, T1)))));
    }
}

#[test]
fn both_families_are_served() {
    let node = some!(Node::start(&[]));
    for source in ["127.0.8.2", "::1"] {
        let client = Client::new(&node, source);
        assert_eq!(Said::by(&client.ask(&request(4, CLIENT, T1))).mode, 4);
        assert!(AES128.verifies(&client.ask(&signed(&request(4, CLIENT, T1)))));
    }
}
