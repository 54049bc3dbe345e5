//! What one frame gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maser::fastpath::FrameVerdict;
use maser::wire::HeaderView;

use super::keys;
use super::world::{Way, answer, fast_path, frame, raw_now};

pub(crate) const V4: Way = Way {
    from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    to: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    port: 40_000,
    tags: 0,
    has_checksum: true,
};
pub(crate) const V6: Way = Way {
    from: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    to: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
    ..V4
};

#[test]
fn a_plain_request_is_answered() {
    let ways = [
        V4,
        V6,
        Way { tags: 1, ..V4 },
        Way { tags: 2, ..V6 },
        Way {
            has_checksum: false,
            ..V4
        },
    ];
    let mut path = fast_path(&ways);
    for way in ways {
        let mut request = [0; 48];
        request[0] = 0x23;
        request[40..].copy_from_slice(&[7; 8]);
        let (verdict, reply) = path.run(&frame(&way, &request)).expect("it runs");
        assert_eq!(verdict, FrameVerdict::Answered, "{way:?}");
        let header = HeaderView::at_front(answer(&way, &reply)).expect("a header");
        assert_eq!((header.stratum(), header.version()), (2, 4));
        assert_eq!(header.origin_timestamp().to_be_bytes(), [7; 8]);
        let age_s = (raw_now().0 - header.transmit_timestamp()).to_seconds();
        assert!((0.0..0.1).contains(&age_s), "{age_s}");
    }
    assert_eq!(path.counters().expect("counters")[0], 5);
}

#[test]
fn a_signed_request_gets_a_signed_answer() {
    let mut path = fast_path(&[V4]);
    let key = keys::AES128;
    // RFC 4493's key and its first subkey.
    let secret: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&key.hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect();
    let subkey = 0xfbee_d618_3571_3366_7c85_e08f_7236_a8de_u128.to_be_bytes();
    path.add_key(key.id, &secret, &subkey).expect("a key");
    let mut request = [0x31; 48];
    request[0] = 0x23;
    request[24..32].copy_from_slice(&[0; 8]);
    let (verdict, reply) = path.run(&frame(&V4, &key.sign(&request))).expect("it runs");
    assert_eq!(verdict, FrameVerdict::Answered);
    assert!(key.verifies(answer(&V4, &reply)));
    let mut wrong = key.sign(&request);
    wrong[60] ^= 1;
    let (verdict, _) = path.run(&frame(&V4, &wrong)).expect("it runs");
    assert_eq!(verdict, FrameVerdict::Dropped);
    let counters = path.counters().expect("counters");
    assert_eq!((counters[1], counters[17]), (1, 1), "{counters:?}");
}

#[test]
fn what_is_not_for_us_or_is_broken_goes_up() {
    let mut path = fast_path(&[V4, V6]);
    let mut request = [0; 48];
    request[0] = 0x23;
    let good = frame(&V4, &request);
    let mut passes = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let (verdict, after) = path.run(&bytes).expect("it runs");
        assert_eq!(verdict, FrameVerdict::Passed, "{bytes:02x?}");
        assert_eq!(after, bytes, "untouched");
    };
    passes(&|bytes| bytes[12] = 9);
    passes(&|bytes| bytes[14] = 0x46);
    passes(&|bytes| bytes[20] = 0x20);
    passes(&|bytes| bytes[21] = 1);
    passes(&|bytes| bytes[23] = 6);
    passes(&|bytes| bytes[33] = 77);
    passes(&|bytes| bytes[37] = 124);
    passes(&|bytes| bytes[60] ^= 1);
    passes(&|bytes| bytes.truncate(80));
    // Interleaved: an origin as our receive timestamps have it, and another receive than transmit timestamp.
    let mut interleaved = request;
    (interleaved[31], interleaved[39]) = (1, 5);
    let bytes = frame(&V4, &interleaved);
    passes(&|other| other.clone_from(&bytes));
}
