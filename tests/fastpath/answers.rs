//! What one frame gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maser::fastpath::FrameVerdict;
use maser::wire::{HeaderView, KeyId};

use super::keys;
use super::world::{Way, answer, frame, give_keys, key, loaded, raw_now};

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
    let mut program = loaded(&ways);
    for way in ways {
        let mut request = [0; 48];
        request[0] = 0x23;
        request[40..].copy_from_slice(&[7; 8]);
        let (verdict, reply) = program.run(&frame(&way, &request)).expect("it runs");
        assert_eq!(verdict, FrameVerdict::Answered, "{way:?}");
        let header = HeaderView::at_front(answer(&way, &reply)).expect("a header");
        assert_eq!((header.stratum(), header.version()), (2, 4));
        assert_eq!(header.origin_timestamp().to_be_bytes(), [7; 8]);
        let age_s = (raw_now().0 - header.transmit_timestamp()).to_seconds();
        assert!((-0.001..0.1).contains(&age_s), "{age_s}");
    }
    assert_eq!(program.counts().expect("counts").outcomes[0], 5);
}

#[test]
fn a_signed_request_gets_a_signed_answer() {
    let mut program = loaded(&[V4, V6]);
    give_keys(&mut program, &[key(keys::AES128), key(keys::AES256)]);
    let mut request = [0x31; 48];
    request[0] = 0x23;
    request[24..32].copy_from_slice(&[0; 8]);
    for (known, way) in [(keys::AES128, V4), (keys::AES256, V6)] {
        let signed = known.sign(&request);
        let (verdict, reply) = program.run(&frame(&way, &signed)).expect("it runs");
        assert_eq!(verdict, FrameVerdict::Answered);
        assert!(known.verifies(answer(&way, &reply)));
    }
    let mut wrong = keys::AES128.sign(&request);
    wrong[60] ^= 1;
    let (verdict, _) = program.run(&frame(&V4, &wrong)).expect("it runs");
    assert_eq!(verdict, FrameVerdict::Dropped);
    // An unknown key is the sockets' to count, which may have got it meanwhile.
    let unknown = keys::UNKNOWN.sign(&request);
    let (verdict, _) = program.run(&frame(&V4, &unknown)).expect("it runs");
    assert_eq!(verdict, FrameVerdict::Passed);
    let counts = program.counts().expect("counts");
    assert_eq!((counts.outcomes[1], counts.outcomes[17]), (2, 1));
    assert_eq!(counts.passed[1], 1);
    assert_eq!((counts.kinds[0x23], counts.kinds[0x23 | 64]), (2, 1));
    assert!((1..=2).contains(&counts.residence.iter().sum::<u64>()));
    let uses = program.key_uses().expect("uses");
    let used = [keys::AES128, keys::AES256].map(|one| uses[&KeyId(one.id)]);
    assert_eq!(used, [1, 1]);
}

#[test]
fn what_is_not_for_us_or_is_broken_goes_up() {
    let mut program = loaded(&[V4, V6]);
    let mut request = [0; 48];
    request[0] = 0x23;
    let good = frame(&V4, &request);
    let mut passes = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let (verdict, after) = program.run(&bytes).expect("it runs");
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
