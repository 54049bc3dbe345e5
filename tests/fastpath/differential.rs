//! The same requests to the program and to the responder behind the sockets: the same answers, and the same counters.

use std::sync::Arc;

use maser::auth::KeyStore;
use maser::fastpath::FrameVerdict;
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, InterleavedTable, Outcome, Responder,
    ResponderParts, Subnet,
};
use maser::sys::clock;

use super::answers::{V4, V6};
use super::keys;
use super::world::{Way, answer, frame, give_keys, key, loaded, raw_now, system};

/// Chance that is the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).expect("64 bits") % end
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn responder() -> Responder {
    let everybody = AccessRule {
        subnet: Subnet::Any,
        allow: true,
        all: false,
    };
    let mut responder = Responder::new(ResponderParts {
        access: AccessTable::new(&[everybody]),
        require_auth: AccessTable::new(&[]),
        clients: Some(ClientTable::new(1 << 16, [1; 16])),
        interleaved: Some(InterleavedTable::new(1 << 16)),
        limiter: None,
        poll_min: None,
        keys: Arc::new(KeyStore::new(&[key(keys::AES128)]).0),
        silent_unsynchronised: false,
        chance: Chance::new(3),
    });
    responder.renew(&system(), raw_now());
    responder
}

/// A request, or what looks like one.
fn packet(random: &mut Random) -> Vec<u8> {
    let length = [48, 48, 48, 48, 44, 52, 60, 68, 68, 72, 96, 120][random.below(12)];
    let mut packet = random.bytes(length);
    if random.below(4) > 0 {
        // A mode and a version that may be answered.
        packet[0] =
            packet[0] & 0xc0 | [1, 2, 3, 4][random.below(4)] << 3 | [3, 3, 1][random.below(3)];
    }
    if random.below(2) == 0 && length >= 48 {
        packet[24..40].fill(0);
    }
    if length == 68 {
        let signed = keys::AES128.sign(&packet[..48]);
        match random.below(4) {
            0 => {}
            1 => packet[48..52].copy_from_slice(&keys::AES128.id.to_be_bytes()),
            2 => packet[52..].fill(0),
            _ => packet = signed,
        }
    }
    packet
}

/// Bits that are chance, or the moment: low bits of timestamps, all of receive and transmit but the lowest.
fn settled(reply: &[u8]) -> Vec<u8> {
    let mut reply = reply.to_vec();
    // Root dispersion grows by the moment.
    reply[8..12].fill(0);
    reply[32..39].fill(0);
    reply[39] &= 1;
    reply[40..47].fill(0);
    reply[47] &= 1;
    reply.truncate(48);
    reply
}

#[test]
fn twenty_thousand_requests_get_the_same() {
    const REQUESTS: usize = 20_000;
    let mut program = loaded(&[V4, V6]);
    give_keys(&mut program, &[key(keys::AES128)]);
    let (mut responder, mut random) = (responder(), Random(0x9e37_79b9_7f4a_7c15));
    let mut expected = [0_u64; 18];
    let mut passed = 0;
    for _ in 0..REQUESTS {
        let way = Way {
            tags: random.below(3),
            port: 1024 + u16::try_from(random.below(60_000)).expect("a port"),
            ..[V4, V6][random.below(2)]
        };
        let packet = packet(&mut random);
        let (verdict, reply) = program.run(&frame(&way, &packet)).expect("it runs");
        if verdict == FrameVerdict::Passed {
            passed += 1;
            continue;
        }
        let mut theirs = packet.clone();
        let arrival = Arrival {
            peer: way.from,
            port: way.port,
            received: raw_now(),
            waited_ns: 0,
            monotonic_ns: clock::monotonic_ns(),
        };
        let outcome = responder.prepare(&arrival, &mut theirs);
        expected[outcome.counter()] += 1;
        match outcome {
            Outcome::Answer(plan) => {
                theirs.truncate(plan.len);
                responder.seal(&plan, raw_now(), &mut theirs);
                assert_eq!(verdict, FrameVerdict::Answered, "{packet:02x?}");
                let ours = answer(&way, &reply);
                assert_eq!(ours.len(), theirs.len(), "{packet:02x?}");
                assert_eq!(settled(ours), settled(&theirs), "{packet:02x?}");
                if plan.key.is_some() {
                    assert!(keys::AES128.verifies(ours), "{packet:02x?}");
                }
            }
            Outcome::Drop(reason) => {
                assert_eq!(verdict, FrameVerdict::Dropped, "{reason:?}: {packet:02x?}");
            }
        }
    }
    let counters = program.counts().expect("counts").outcomes;
    assert_eq!(
        counters[..18],
        expected[..],
        "of {REQUESTS}, {passed} went up"
    );
    assert!(
        counters[0] > 3_000 && counters[1] > 300 && counters[17] > 300,
        "{counters:?}"
    );
}
