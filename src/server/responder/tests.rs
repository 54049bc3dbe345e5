//! The order of the tests, and what each kind of reply holds. What holds for any bytes is in
//! `tests/fuzz/properties.rs`; what a client sees over a socket in `tests/conformance.rs`.

use super::*;
use crate::auth::{Key, KeyType};
use crate::server::access::{AccessRule, Subnet};
use crate::server::ratelimit::RateLimit;
use crate::wire::{KeyId, NtpDuration, ReferenceId};

const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
pub(super) const T1: NtpTimestamp = NtpTimestamp::from_bits(0x0123_4567_89ab_cdef);

pub(super) fn at(nanos: u32) -> RawTime {
    RawTime(NtpTimestamp::from_unix(1_800_000_000, nanos))
}

fn everybody(allow: bool) -> AccessTable {
    AccessTable::new(&[AccessRule {
        subnet: Subnet::Any,
        allow,
        all: false,
    }])
}

pub(super) fn parts() -> ResponderParts {
    let key = Key::new(KeyId(1), KeyType::Aes128, &[7; 16]).unwrap();
    ResponderParts {
        access: everybody(true),
        require_auth: everybody(false),
        clients: Some(ClientTable::new(1 << 14, [1; 16])),
        interleaved: Some(InterleavedTable::new(1 << 12)),
        limiter: None,
        poll_min: None,
        keys: Arc::new(KeyStore::new(&[key]).0),
        silent_unsynchronised: false,
        chance: Chance::new(5),
    }
}

pub(super) fn synchronised() -> SystemVariables {
    SystemVariables {
        leap: LeapIndicator::NoWarning,
        stratum: 2,
        reference_id: ReferenceId::from_bytes([192, 0, 2, 99]),
        reference_timestamp: at(0).0,
        root_dispersion: NtpDuration::from_nanos(1_000_000),
        ..SystemVariables::not_synchronised(-24)
    }
}

pub(super) fn arrival() -> Arrival {
    Arrival {
        peer: PEER,
        port: 40_000,
        received: at(1_000),
        waited_ns: 0,
        monotonic_ns: 1 << 40,
    }
}

pub(super) fn request(first: u8) -> Vec<u8> {
    let mut packet = vec![0; HEADER_LEN];
    packet[0] = first;
    packet[2] = 6;
    packet[40..].copy_from_slice(&T1.to_be_bytes());
    packet
}

pub(super) fn signed(keys: &KeyStore, mut packet: Vec<u8>) -> Vec<u8> {
    let (len, version) = (packet.len(), packet[0] >> 3 & 7);
    packet.resize(len + 20, 0);
    keys.sign(keys.find(KeyId(1)).unwrap(), version, &mut packet, len)
        .unwrap();
    packet
}

pub(super) fn answer(
    responder: &mut Responder,
    mut packet: Vec<u8>,
) -> Result<Vec<u8>, DropReason> {
    match responder.prepare(&arrival(), &mut packet) {
        Outcome::Drop(reason) => Err(reason),
        Outcome::Answer(plan) => {
            packet.truncate(plan.len);
            responder.seal(&plan, at(50_000), &mut packet);
            Ok(packet)
        }
    }
}

#[test]
fn a_basic_reply_field_by_field() {
    let mut responder = Responder::new(parts());
    responder.renew(&synchronised(), at(0));
    let reply = answer(&mut responder, request(0x23)).unwrap();
    let header = HeaderView::at_front(&reply).unwrap();
    assert_eq!(
        (header.leap(), header.version(), header.mode()),
        (LeapIndicator::NoWarning, 4, Mode::Server)
    );
    assert_eq!(
        (header.stratum(), header.poll(), header.precision()),
        (2, 6, -24)
    );
    assert_eq!(header.reference_id().to_bytes(), [192, 0, 2, 99]);
    assert_eq!(header.reference_timestamp(), at(0).0);
    assert_eq!(header.origin_timestamp(), T1);
    // Within the precision of 2^-24 s.
    let precision = NtpDuration::from_bits(1 << 8);
    assert!((header.receive_timestamp() - at(1_000).0).abs() <= precision);
    assert!((header.transmit_timestamp() - at(50_000).0).abs() <= precision);
}

#[test]
fn served_time_is_cooked() {
    let mut responder = Responder::new(parts());
    let mut system = synchronised();
    system.correction.offset = NtpDuration::from_nanos(250_000_000);
    responder.renew(&system, at(0));
    let reply = answer(&mut responder, request(0x23)).unwrap();
    let header = HeaderView::at_front(&reply).unwrap();
    for (stamp, raw) in [
        (header.receive_timestamp(), at(1_000)),
        (header.transmit_timestamp(), at(50_000)),
    ] {
        let error = stamp - raw.0 - NtpDuration::from_nanos(250_000_000);
        assert!(error.abs() <= NtpDuration::from_bits(1 << 8), "{error:?}");
    }
}

#[test]
fn before_the_first_record_it_says_that_it_is_not_synchronised() {
    let reply = answer(&mut Responder::new(parts()), request(0x1b)).unwrap();
    let header = HeaderView::at_front(&reply).unwrap();
    assert_eq!(
        (header.leap(), header.stratum()),
        (LeapIndicator::NotSynchronised, 0)
    );
    assert_eq!(header.version(), 3);
}

#[test]
fn silence_while_unsynchronised_where_it_is_asked_for() {
    let mut responder = Responder::new(ResponderParts {
        silent_unsynchronised: true,
        ..parts()
    });
    assert_eq!(
        answer(&mut responder, request(0x23)),
        Err(DropReason::Unsynchronised)
    );
    responder.renew(&synchronised(), at(0));
    assert!(answer(&mut responder, request(0x23)).is_ok());
}

#[test]
fn a_signed_request_gets_a_signed_reply_of_its_length() {
    let mut responder = Responder::new(parts());
    responder.renew(&synchronised(), at(0));
    let keys = Arc::clone(&responder.parts.keys);
    let reply = answer(&mut responder, signed(&keys, request(0x23))).unwrap();
    assert_eq!(reply.len(), 68);
    assert_eq!(reply[48..52], [0, 0, 0, 1]);
    let key = keys.find(KeyId(1)).unwrap();
    assert_eq!(
        keys.verify(key, 4, &reply[..48], &reply[52..]),
        Verdict::Good
    );
}

#[test]
fn extension_fields_are_covered_by_the_mac_and_left_out_of_the_reply() {
    let mut responder = Responder::new(parts());
    let keys = Arc::clone(&responder.parts.keys);
    let mut packet = request(0x23);
    packet.extend([0xf0, 0x0d, 0, 32]);
    packet.resize(HEADER_LEN + 32, 0xee);
    let packet = signed(&keys, packet);
    assert_eq!(answer(&mut responder, packet.clone()).unwrap().len(), 68);
    let mut forged = packet;
    forged[60] ^= 1;
    assert_eq!(answer(&mut responder, forged), Err(DropReason::BadMac));
}

#[test]
fn each_refusal_has_its_reason() {
    let mut responder = Responder::new(parts());
    let keys = Arc::clone(&responder.parts.keys);
    let good = signed(&keys, request(0x23));
    let mut refused = |packet: &[u8]| answer(&mut responder, packet.to_vec()).unwrap_err();
    assert_eq!(refused(&good[..44]), DropReason::BadLength);
    assert_eq!(refused(&good[..50]), DropReason::BadLength);
    assert_eq!(
        refused(&vec![0x23; PACKET_LEN_MAX + 4]),
        DropReason::BadLength
    );
    assert_eq!(refused(&request(0x03)), DropReason::BadVersion);
    assert_eq!(refused(&request(0x2b)), DropReason::BadVersion);
    for mode in [0x20, 0x22, 0x24, 0x25, 0x26, 0x27] {
        assert_eq!(refused(&request(mode)), DropReason::BadMode);
    }
    assert_eq!(
        refused(&[&request(0x23)[..], &[1; 28]].concat()),
        DropReason::MalformedExtension
    );
    assert_eq!(
        refused(&[&request(0x23)[..], &[0; 4]].concat()),
        DropReason::CryptoNak
    );
    assert_eq!(refused(&good[..64]), DropReason::ShortMac);
    let mut zeros = request(0x1b);
    zeros.extend([0, 0, 0, 1]);
    zeros.extend([0; 16]);
    assert_eq!(refused(&zeros), DropReason::MsSntp);
    let mut unknown = good.clone();
    unknown[51] = 9;
    assert_eq!(refused(&unknown), DropReason::UnknownKey);
    let mut forged = good;
    forged[67] ^= 0x80;
    assert_eq!(refused(&forged), DropReason::BadMac);
}

#[test]
fn version_1_may_have_mode_0_but_not_from_a_server() {
    let mut responder = Responder::new(parts());
    assert_eq!(
        answer(&mut responder, request(0x08)).unwrap()[0] & 7,
        Mode::Server as u8
    );
    let from_server = Arrival {
        port: NTP_PORT,
        ..arrival()
    };
    let outcome = responder.prepare(&from_server, &mut request(0x08));
    assert_eq!(outcome, Outcome::Drop(DropReason::BadMode));
}

#[test]
fn windows_symmetric_active_gets_symmetric_passive() {
    let reply = answer(&mut Responder::new(parts()), request(0x19)).unwrap();
    assert_eq!(reply[0] & 7, Mode::SymmetricPassive as u8);
}

#[test]
fn what_waited_too_long_is_told_apart_before_all_else() {
    let mut responder = Responder::new(parts());
    let late = |waited_ns| Arrival {
        waited_ns,
        ..arrival()
    };
    let outcome = responder.prepare(&late(WAITED_NS_MAX + 1), &mut [0; 3]);
    assert_eq!(outcome, Outcome::Drop(DropReason::TooLate));
    let outcome = responder.prepare(&late(WAITED_NS_MAX), &mut request(0x23));
    assert!(matches!(outcome, Outcome::Answer(_)));
}

#[test]
fn a_denied_or_unsigned_stranger_leaves_no_record() {
    let denied = ResponderParts {
        access: everybody(false),
        ..parts()
    };
    let unsigned = ResponderParts {
        require_auth: everybody(true),
        ..parts()
    };
    for (parts, reason) in [
        (denied, DropReason::Denied),
        (unsigned, DropReason::AuthRequired),
    ] {
        let mut responder = Responder::new(parts);
        assert_eq!(answer(&mut responder, request(0x23)), Err(reason));
        let clients = responder.parts.clients.as_mut().unwrap();
        assert_eq!(clients.hit(PEER, 1).hits, 1);
    }
}

#[test]
fn a_kiss_is_whole_and_signed_like_its_request() {
    let limit = RateLimit {
        interval_log2: 5,
        burst: 1,
        leak_log2: 4,
        kod_log2: Some(1),
    };
    let mut responder = Responder::new(ResponderParts {
        limiter: Some(RateLimiter::new(limit)),
        poll_min: Some(5),
        ..parts()
    });
    responder.renew(&synchronised(), at(0));
    let keys = Arc::clone(&responder.parts.keys);
    let packet = signed(&keys, {
        let mut packet = request(0x23);
        packet[2] = 0;
        packet
    });
    let replies: Vec<_> = (0..50)
        .filter_map(|_| answer(&mut responder, packet.clone()).ok())
        .collect();
    let (kisses, others): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply[1] == 0);
    assert!(!kisses.is_empty() && !others.is_empty());
    let key = keys.find(KeyId(1)).unwrap();
    for reply in kisses.iter().chain(&others) {
        assert_eq!(reply.len(), 68);
        assert_eq!(
            keys.verify(key, 4, &reply[..48], &reply[52..]),
            Verdict::Good
        );
        assert_eq!(reply[2], 5, "poll is not below the limit's interval");
    }
    for reply in kisses {
        let header = HeaderView::at_front(&reply).unwrap();
        assert_eq!(header.leap(), LeapIndicator::NotSynchronised);
        assert_eq!(header.reference_id().to_bytes(), *b"RATE");
        assert_eq!(header.origin_timestamp(), T1);
        assert!(!header.receive_timestamp().is_zero() && !header.transmit_timestamp().is_zero());
    }
}

#[test]
fn a_forger_over_the_limit_gets_no_kiss() {
    let limit = RateLimit {
        interval_log2: 12,
        burst: 1,
        leak_log2: 1,
        kod_log2: Some(1),
    };
    let mut responder = Responder::new(ResponderParts {
        limiter: Some(RateLimiter::new(limit)),
        ..parts()
    });
    let mut forged = signed(&responder.parts.keys, request(0x23));
    forged[60] ^= 1;
    for _ in 0..100 {
        let reason = answer(&mut responder, forged.clone()).unwrap_err();
        assert!(matches!(
            reason,
            DropReason::BadMac | DropReason::RateLimited
        ));
    }
}

#[test]
fn fuzz_never_meets_the_origin_or_zero() {
    let mut responder = Responder::new(parts());
    // No fuzz at all, so that the clash is certain.
    responder.renew(
        &SystemVariables {
            precision: -32,
            ..synchronised()
        },
        at(0),
    );
    let exact = NtpTimestamp::from_bits(0x1000);
    assert_eq!(responder.fuzz(exact, 0, T1).to_bits(), 0x1000);
    assert_eq!(responder.fuzz(exact, 1, T1).to_bits(), 0x1001);
    assert_eq!(responder.fuzz(exact, 0, exact).to_bits(), 0x1002);
    assert_eq!(responder.fuzz(NtpTimestamp::ZERO, 0, T1).to_bits(), 2);
}
