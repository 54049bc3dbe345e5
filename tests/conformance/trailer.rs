//! What follows the header: MACs, extension fields, and what is neither.

use super::support::client::{Client, field, request};
use super::support::keys::{self, AES128};
use super::support::node::Node;
use super::{CLIENT, T1, signed, some};

#[test]
fn lengths_that_no_packet_has() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.1");
    let mut packet = request(4, CLIENT, T1).to_vec();
    packet.extend(field(0x2005, 1400));
    let lengths = [
        0, 1, 3, 4, 12, 44, 47, 49, 50, 51, 67, 69, 1139, 1141, 1144, 1448,
    ];
    for length in lengths {
        client.assert_silent(&node, &packet[..length], &format!("{length} bytes"));
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_length", lengths.len() as u64)]);
    }
}

#[test]
fn a_mac_that_lost_its_end() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.2");
    let lengths = [52, 56, 60, 64];
    for version in [3, 4] {
        let whole = signed(&request(version, CLIENT, T1));
        for length in lengths {
            let what = format!("version {version}, {length} bytes");
            client.assert_silent(&node, &whole[..length], &what);
        }
        assert!(AES128.verifies(&client.ask(&whole)), "and whole it is good");
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("short_mac", 2 * lengths.len() as u64)]);
    }
}

#[test]
fn rfc_8573_and_older_macs_of_each_type() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.3");
    // In NTPv4 a MAC has at most 24 bytes, 20 of them digest (RFC 7822 §7.5.1.4); before it is whole.
    let lengths = [
        ("AES128", 68, 68),
        ("AES256", 68, 68),
        ("MD5", 68, 68),
        ("SHA1", 72, 72),
        ("SHA256", 84, 72),
    ];
    for (key, (kind, v3, v4)) in keys::ALL.into_iter().zip(lengths) {
        assert_eq!(key.kind, kind);
        for (version, length) in [(3, v3), (4, v4)] {
            let reply = client.ask(&key.sign(&request(version, CLIENT, T1)));
            assert_eq!(reply.len(), length, "{key:?}, version {version}");
            assert!(key.verifies(&reply), "{key:?}, version {version}");
        }
    }
    if let Some(summary) = node.stop() {
        assert_eq!(summary.get("answered_signed"), 10);
        summary.assert_refused(&[]);
    }
}

#[test]
fn a_digest_of_another_length_is_not_the_keys() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.4");
    // One word more than AES-CMAC has; and SHA256 cut as NTPv4 does it, in NTPv3.
    let longer = [&signed(&request(4, CLIENT, T1))[..], &[0; 4]].concat();
    client.assert_silent(&node, &longer, "a digest of 20 bytes for AES128");
    let mut cut = keys::SHA256.sign(&request(3, CLIENT, T1));
    cut.truncate(72);
    client.assert_silent(&node, &cut, "a cut digest in NTPv3");
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_mac", 1), ("short_mac", 1)]);
    }
}

#[test]
fn a_long_digest_in_version_4_is_no_extension_field() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.5");
    let packet = request(4, CLIENT, T1);
    let id = keys::SHA256.id.to_be_bytes();
    let whole = [&packet[..], &id, &keys::SHA256.digest(&packet)].concat();
    assert_eq!(whole.len(), 84);
    client.assert_silent(&node, &whole, "32 bytes of digest in NTPv4");
    for length in [76, 100, 116] {
        let mut other = whole.clone();
        other.resize(length, 0x5a);
        client.assert_silent(&node, &other, &format!("{length} bytes"));
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("malformed_extension", 4)]);
    }
}

#[test]
fn a_wrong_mac_gets_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.6");
    client.assert_silent(
        &node,
        &keys::WRONG.sign(&request(4, CLIENT, T1)),
        "another key",
    );
    let good = signed(&request(4, CLIENT, T1));
    for at in [0, 1, 40, 47, 52, 67] {
        let mut bad = good.clone();
        bad[at] ^= if at == 0 { 0x40 } else { 1 }; // leap, so that it stays a request
        client.assert_silent(&node, &bad, &format!("byte {at} changed"));
    }
    assert!(AES128.verifies(&client.ask(&good)));
    if let Some(summary) = node.stop() {
        assert_eq!(summary.get("answered_signed"), 1);
        summary.assert_refused(&[("bad_mac", 7)]);
    }
}

#[test]
fn an_unknown_key_gets_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.7");
    let zero = keys::Key { id: 0, ..AES128 };
    for version in [3, 4] {
        for key in [keys::UNKNOWN, zero] {
            let request = key.sign(&request(version, CLIENT, T1));
            client.assert_silent(&node, &request, &format!("key {}", key.id));
        }
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("unknown_key", 4)]);
    }
}

#[test]
fn a_crypto_nak_is_no_request() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.8");
    let nak = [&request(4, CLIENT, T1)[..], &[0; 4]].concat();
    client.assert_silent(&node, &nak, "a crypto-NAK");
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("crypto_nak", 1)]);
    }
}

#[test]
fn a_windows_domain_member_gets_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.9");
    let header = request(3, CLIENT, T1);
    // [MS-SNTP] §2.2.1: a key id and a checksum of zeros; §2.2.3: the longer form.
    client.assert_silent(
        &node,
        &[&header[..], &[0, 0, 4, 0], &[0; 16]].concat(),
        "68 bytes",
    );
    client.assert_silent(
        &node,
        &[&header[..], &[1; 8], &[0; 64]].concat(),
        "120 bytes",
    );
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("ms_sntp", 2)]);
    }
}

#[test]
fn rfc_7822_unknown_fields_are_skipped() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.10");
    let header = request(4, CLIENT, T1);
    for lengths in [&[28][..], &[32], &[16, 28], &[16, 16, 16, 40], &[1092]] {
        let fields: Vec<_> = lengths
            .iter()
            .flat_map(|length| field(0x2005, *length))
            .collect();
        let packet = [&header[..], &fields].concat();
        let reply = client.ask(&packet);
        assert_eq!(reply.len(), 48, "fields of {lengths:?} bytes");
    }
    // The MAC covers the fields, and stands behind the header in the reply.
    let packet = [&header[..], &field(0x2005, 32)].concat();
    let reply = client.ask(&signed(&packet));
    assert!(reply.len() == 68 && AES128.verifies(&reply));
    let mut changed = signed(&packet);
    changed[60] ^= 1;
    client.assert_silent(&node, &changed, "a field changed");
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("bad_mac", 1)]);
    }
}

#[test]
fn rfc_7822_what_is_no_field_gets_nothing() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.2.11");
    let header = request(4, CLIENT, T1);
    let broken = [
        ("a length of 0", field(0x2005, 32), 0u16),
        ("shorter than 16", field(0x2005, 32), 12),
        ("not of words", field(0x2005, 32), 30),
        ("longer than the packet", field(0x2005, 32), 36),
        ("less than a MAC left", field(0x2005, 40), 28),
    ];
    for (what, mut bytes, length) in broken.clone() {
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        client.assert_silent(&node, &[&header[..], &bytes].concat(), what);
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[("malformed_extension", broken.len() as u64)]);
    }
}
