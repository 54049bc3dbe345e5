//! What a reply says.

use super::support::client::{Client, Said, request};
use super::support::keys;
use super::support::node::{Directives, Node};
use super::{CLIENT, T1, signed, some};

#[test]
fn fields_of_a_reply() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.3.1");
    let before = ntp_now();
    let said = Said::by(&client.ask(&request(4, CLIENT, T1)));
    let after = ntp_now();
    assert_eq!((said.leap, said.stratum), (0, 5));
    assert_eq!(
        said.reference_id,
        [127, 127, 1, 1],
        "chrony's local reference"
    );
    assert!(
        (-30..=-10).contains(&said.precision),
        "precision {}",
        said.precision
    );
    assert_eq!(said.root_delay, 0);
    assert!(said.root_dispersion < 0x1_0000, "a second of dispersion");
    assert_eq!(said.origin, T1);
    // The clocks are one clock; a millisecond is for the kernel's stamp being of its own making.
    let slack = 1 << 22;
    assert!(before - slack < said.receive && said.receive < after + slack);
    assert!(before - slack < said.transmit && said.transmit < after + slack);
    assert!(said.receive < said.transmit + slack);
    assert!(
        said.reference <= said.receive,
        "the clock was set in the future"
    );
    assert!(
        said.receive - said.reference < 600 << 32,
        "the reference is ten minutes old"
    );
}

#[test]
fn the_poll_interval_is_the_request_s() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.3.2");
    for poll in [0i8, 4, 6, 10, 17] {
        let mut packet = request(4, CLIENT, T1);
        packet[2] = poll.cast_unsigned();
        assert_eq!(Said::by(&client.ask(&packet)).poll, poll);
    }
}

/// RFC 9769: so that an interleaved request is known without keeping anything of the client.
#[test]
fn receive_is_odd_and_transmit_is_even() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.3.3");
    for round in 0..100 {
        let packet = request(4, if round % 2 == 0 { CLIENT } else { 1 }, T1 + round);
        let packet = if round % 3 == 0 {
            signed(&packet)
        } else {
            packet.to_vec()
        };
        let said = Said::by(&client.ask(&packet));
        assert_eq!((said.receive & 1, said.transmit & 1), (1, 0));
    }
}

#[test]
fn time_goes_forward_from_reply_to_reply() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.3.4");
    let mut last = 0;
    for round in 0..100 {
        let said = Said::by(&client.ask(&request(4, CLIENT, T1 + round)));
        assert!(
            said.receive > last,
            "a request was stamped before the reply to the one before"
        );
        // Random bits below the precision stand in the stamps; a request takes longer than that.
        assert!(said.transmit > said.receive - (1 << 12));
        last = said.receive;
    }
}

#[test]
fn unsynchronised_it_says_so() {
    let node = some!(Node::with(Directives::default()));
    let client = Client::new(&node, "127.0.3.5");
    for packet in [
        request(4, CLIENT, T1).to_vec(),
        signed(&request(3, CLIENT, T1)),
    ] {
        let reply = client.ask(&packet);
        let said = Said::by(&reply);
        assert_eq!(reply.len(), packet.len());
        assert_eq!((said.leap, said.stratum, said.mode), (3, 0, 4));
        assert_eq!((said.reference_id, said.reference), ([0; 4], 0));
        assert_eq!(
            (said.root_delay, said.root_dispersion),
            (0x1_0000, 0x1_0000)
        );
        assert!(said.receive != 0 && said.transmit != 0);
    }
}

#[test]
fn unsynchronised_it_can_be_silent() {
    let node = some!(Node::with(Directives {
        ours: &["unsynchronised silent"],
        silent: true,
        ..Directives::default()
    }));
    let client = Client::new(&node, "127.0.3.6");
    client.send(&request(4, CLIENT, T1));
    client.send(&signed(&request(4, CLIENT, T1)));
    // Nobody is answered who could show that these were read: the counters do.
    let summary = node.stop().expect("ours");
    assert_eq!(summary.get("answered") + summary.get("answered_signed"), 0);
    assert!(summary.get("unsynchronised") >= 2);
}

#[test]
fn a_reply_is_never_longer_than_its_request() {
    let node = some!(Node::start(&[]));
    let client = Client::new(&node, "127.0.3.7");
    let mut chance = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance
    };
    let mut lengths = Vec::new();
    let mut answered = 0;
    for number in 0..2000u64 {
        let shape = next();
        let version = u8::try_from(shape % 6).expect("small");
        let mode = u8::try_from(shape >> 8 & 7).expect("small");
        let mut packet = request(version, mode, 0xfeed_0000_0000_0000 | number).to_vec();
        // Mostly words, so that many get past the first look.
        let length = usize::try_from(next() % 300).expect("small");
        packet.extend((0..length & !3).map(|_| next().to_be_bytes()[0]));
        if shape >> 20 & 7 == 0 {
            packet.truncate(length % 48); // No whole header.
        } else if shape & 1 << 20 != 0 {
            packet.truncate(48);
        } else if shape & 1 << 21 != 0 && packet.len() >= 76 {
            let rest = u16::try_from(packet.len() - 48).expect("small");
            packet[50..52].copy_from_slice(&rest.to_be_bytes());
        }
        if shape & 1 << 22 != 0 && packet.len() >= 48 {
            packet = keys::ALL[usize::try_from(shape >> 32 & 3).expect("small")].sign(&packet);
        }
        lengths.push(packet.len());
        client.send(&packet);
        if number % 20 != 19 {
            continue;
        }
        for reply in client.replies_until_now(&node) {
            let said = Said::by(&reply);
            assert_eq!(said.origin >> 16, 0xfeed_0000_0000, "a reply to no request");
            let asked = lengths[usize::try_from(said.origin & 0xffff).expect("16 bits")];
            assert!(reply.len() <= asked, "{} bytes for {asked}", reply.len());
            answered += 1;
        }
    }
    assert!(answered > 200, "only {answered} were answered");
}

/// Now, in the timestamp format.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock that the server's is held against"
)]
fn ntp_now() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + 2_208_988_800) << 32 | fraction
}
