//! Interleaved mode: which requests ask for it, what they get, what is kept.

use super::tests::{T1, answer, arrival, at, parts, request, signed, synchronised};
use super::*;
use crate::server::ratelimit::RateLimit;
use crate::wire::NtpDuration;

/// The client's receive timestamp, which an interleaved reply has as its origin.
const T4: NtpTimestamp = NtpTimestamp::from_bits(0xfedc_ba98_7654_3210);

fn responder() -> Responder {
    let mut responder = Responder::new(parts());
    responder.renew(&synchronised(), at(0));
    responder
}

/// A request that builds on the reply with this receive timestamp.
fn building_on(first: u8, receive: NtpTimestamp) -> Vec<u8> {
    let mut packet = request(first);
    packet[24..32].copy_from_slice(&receive.to_be_bytes());
    packet[32..40].copy_from_slice(&T4.to_be_bytes());
    packet
}

fn header(reply: &[u8]) -> HeaderView<'_> {
    HeaderView::at_front(reply).unwrap()
}

fn is_about(stamp: NtpTimestamp, nanos: u32) -> bool {
    (stamp - at(nanos).0).abs() <= NtpDuration::from_bits(1 << 8)
}

/// The receive timestamp of a reply that is remembered: the second of a client that starts from nothing.
fn remembered(responder: &mut Responder) -> NtpTimestamp {
    let first = answer(responder, request(0x23)).unwrap();
    let second = answer(
        responder,
        building_on(0x23, header(&first).receive_timestamp()),
    )
    .unwrap();
    assert_eq!(header(&second).origin_timestamp(), T1, "a basic reply");
    header(&second).receive_timestamp()
}

#[test]
fn the_third_reply_tells_when_the_second_left() {
    let mut responder = responder();
    let second = remembered(&mut responder);
    responder.left(second, at(77_000));
    let third = answer(&mut responder, building_on(0x23, second)).unwrap();
    let third = header(&third);
    assert_eq!(third.origin_timestamp(), T4);
    assert!(is_about(third.receive_timestamp(), 1_000));
    assert!(is_about(third.transmit_timestamp(), 77_000));
    assert_eq!(third.receive_timestamp().to_bits() & 1, 1);
    assert_eq!(third.transmit_timestamp().to_bits() & 1, 0);
    // The fourth builds on the third, which left when it was sealed as far as is known.
    let fourth = answer(&mut responder, building_on(0x23, third.receive_timestamp())).unwrap();
    assert_eq!(header(&fourth).origin_timestamp(), T4);
    assert!(is_about(header(&fourth).transmit_timestamp(), 50_000));
}

#[test]
fn a_departure_is_told_once() {
    let mut responder = responder();
    let second = remembered(&mut responder);
    for origin in [T4, T1] {
        let reply = answer(&mut responder, building_on(0x23, second)).unwrap();
        assert_eq!(header(&reply).origin_timestamp(), origin);
    }
}

#[test]
fn signed_exchanges_interleave_likewise() {
    let mut responder = responder();
    let keys = parts().keys;
    let second = remembered(&mut responder);
    let third = answer(&mut responder, signed(&keys, building_on(0x23, second))).unwrap();
    assert_eq!((third.len(), header(&third).origin_timestamp()), (68, T4));
    let key = keys.find(crate::wire::KeyId(1)).unwrap();
    assert_eq!(
        keys.verify(key, 4, &third[..48], &third[52..]),
        Verdict::Good
    );
}

#[test]
fn who_does_not_ask_for_it_is_answered_in_basic_mode_and_not_remembered() {
    let mut one = responder();
    let second = remembered(&mut one);
    let mut same = building_on(0x23, second);
    same.copy_within(32..40, 40);
    let even = NtpTimestamp::from_bits(second.to_bits() & !1);
    for packet in [building_on(0x1b, second), building_on(0x23, even), same] {
        let transmit = header(&packet).transmit_timestamp();
        let mut packet = packet;
        let Outcome::Answer(plan) = one.prepare(&arrival(), &mut packet) else {
            panic!("no answer");
        };
        assert_eq!(plan.exchange, Exchange::Basic);
        assert_eq!(header(&packet).origin_timestamp(), transmit);
    }
    // None of them has used it up.
    let third = answer(&mut one, building_on(0x23, second)).unwrap();
    assert_eq!(header(&third).origin_timestamp(), T4);
}

#[test]
fn a_kiss_is_never_interleaved() {
    let limited = ResponderParts {
        limiter: Some(RateLimiter::new(RateLimit {
            interval_log2: 10,
            burst: 1,
            leak_log2: 1,
            kod_log2: Some(1),
        })),
        ..parts()
    };
    let mut responder = Responder::new(limited);
    responder.renew(&synchronised(), at(0));
    let mut kisses = 0;
    for _ in 0..200 {
        let mut packet = building_on(0x23, NtpTimestamp::from_bits(0x77));
        if let Outcome::Answer(plan) = responder.prepare(&arrival(), &mut packet) {
            kisses += usize::from(plan.kiss);
            assert!(!plan.kiss || plan.exchange == Exchange::Basic);
        }
    }
    assert!(kisses > 0);
}

#[test]
fn without_a_table_and_after_a_step_there_is_nothing_to_tell() {
    let mut none = Responder::new(ResponderParts {
        interleaved: None,
        ..parts()
    });
    let reply = answer(&mut none, building_on(0x23, NtpTimestamp::from_bits(1))).unwrap();
    assert_eq!(header(&reply).origin_timestamp(), T1);
    let mut stepped = responder();
    let second = remembered(&mut stepped);
    stepped.forget_departures();
    let third = answer(&mut stepped, building_on(0x23, second)).unwrap();
    assert_eq!(header(&third).origin_timestamp(), T1);
}
