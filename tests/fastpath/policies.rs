//! Who gets nothing, and who is left to the sockets.

use std::net::{IpAddr, Ipv4Addr};

use maser::config::PassedLimit;
use maser::fastpath::{FrameVerdict, Program, ProgramOptions, Terms};
use maser::server::{RateLimit, Subnet};
use maser::sys::clock;
use maser::wire::{HeaderView, SystemVariables};

use super::answers::{V4, V6};
use super::keys;
use super::world::{Way, answer, frame, give_keys, key, loaded, system, table, terms};

const REQUEST: [u8; 48] = {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[47] = 7;
    request
};

fn verdict(program: &mut Program, way: &Way, packet: &[u8]) -> FrameVerdict {
    program.run(&frame(way, packet)).expect("it runs").0
}

fn from(last: u8) -> Way {
    Way {
        from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
        ..V4
    }
}

#[test]
fn the_longest_prefix_counts_and_changes_at_once() {
    let mut program = loaded(&[V4, V6]);
    give_keys(&mut program, &[key(keys::AES128)]);
    let subnet = |address: IpAddr, length| Subnet::new(address, length).expect("a subnet");
    let (three, eight) = (from(3), from(8));
    let access = table(&[subnet(V4.from, 29)]);
    let require_auth = table(&[subnet(three.from, 32)]);
    program.admit(&access, &require_auth).expect("admitted");
    assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Answered);
    assert_eq!(
        verdict(&mut program, &eight, &REQUEST),
        FrameVerdict::Dropped
    );
    assert_eq!(verdict(&mut program, &V6, &REQUEST), FrameVerdict::Dropped);
    assert_eq!(
        verdict(&mut program, &three, &REQUEST),
        FrameVerdict::Dropped
    );
    let signed = keys::AES128.sign(&REQUEST);
    assert_eq!(
        verdict(&mut program, &three, &signed),
        FrameVerdict::Answered
    );
    let counts = program.counts().expect("counts");
    assert_eq!((counts.outcomes[8], counts.outcomes[11]), (2, 1));
    program.admit(&table(&[]), &table(&[])).expect("admitted");
    program.publish(&system(), &terms()).expect("published");
    assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Dropped);
    program.admit(&access, &table(&[])).expect("admitted");
    program.publish(&system(), &terms()).expect("published");
    assert_eq!(
        verdict(&mut program, &three, &REQUEST),
        FrameVerdict::Answered
    );
}

#[test]
fn a_silent_timekeeper_and_a_clock_that_was_set_leave_it_to_the_sockets() {
    let mut program = loaded(&[V4]);
    let now_ns = clock::monotonic_ns();
    let stale = Terms {
        valid_until_ns: now_ns,
        ..terms()
    };
    let was_set = Terms {
        tai_ahead_ns: terms().tai_ahead_ns - 3_000_000,
        ..terms()
    };
    program.publish(&system(), &stale).expect("published");
    assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Passed);
    assert_eq!(program.counts().expect("counts").passed, [0, 0, 1, 0]);
    // One request in eight is looked at more closely, on each processor; then none is answered any more.
    program.publish(&system(), &was_set).expect("published");
    for _ in 0..1000 {
        verdict(&mut program, &V4, &REQUEST);
    }
    let [_, _, stale, _] = program.counts().expect("counts").passed;
    assert!(stale > 900, "{stale}");
    program.publish(&system(), &terms()).expect("published");
    assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Answered);
}

#[test]
fn without_the_time_it_says_so_or_nothing() {
    let mut program = loaded(&[V4]);
    let unknown = SystemVariables::not_synchronised(-24);
    program.publish(&unknown, &terms()).expect("published");
    let (verdict, reply) = program.run(&frame(&V4, &REQUEST)).expect("it runs");
    assert_eq!(verdict, FrameVerdict::Answered);
    let header = HeaderView::at_front(answer(&V4, &reply)).expect("a header");
    assert_eq!((reply[42] >> 6, header.stratum()), (3, 0));
    let silent = Terms {
        silent_unsynchronised: true,
        ..terms()
    };
    program.publish(&unknown, &silent).expect("published");
    assert_eq!(
        self::verdict(&mut program, &V4, &REQUEST),
        FrameVerdict::Dropped
    );
    assert_eq!(program.counts().expect("counts").outcomes[10], 1);
}

#[test]
fn who_asks_too_often_gets_less_and_is_remembered() {
    let mut program = loaded(&[V4]);
    let limited = Terms {
        rate_limit: Some(RateLimit {
            interval_log2: 8,
            burst: 16,
            leak_log2: 2,
            kod_log2: Some(2),
        }),
        ..terms()
    };
    program.publish(&system(), &limited).expect("published");
    for _ in 0..4000 {
        verdict(&mut program, &V4, &REQUEST);
    }
    assert_eq!(
        verdict(&mut program, &from(9), &REQUEST),
        FrameVerdict::Answered
    );
    let outcomes = program.counts().expect("counts").outcomes;
    let (answered, kisses, limited) = (outcomes[0], outcomes[2], outcomes[12]);
    assert_eq!(answered + kisses + limited, 4001);
    // The burst, and one of four of the rest; one of four of those that are not answered is a kiss.
    assert!((850..1200).contains(&answered), "{outcomes:?}");
    assert!((600..900).contains(&kisses), "{outcomes:?}");
    let client = program.client(V4.from).expect("read").expect("remembered");
    assert_eq!(client.hits, 4000);
    assert_eq!(u64::from(client.drops), kisses + limited);
    assert_eq!(program.clients().expect("read").len(), 2);
    program.reset_client(V4.from).expect("reset");
    let client = program.client(V4.from).expect("read").expect("remembered");
    assert_eq!((client.hits, client.drops), (0, 0));
}

#[test]
fn what_goes_up_is_limited_and_what_is_answered_is_not() {
    let mut program = loaded(&[V4]);
    let limited = Terms {
        passed: Some(PassedLimit { rate: 1, burst: 5 }),
        ..terms()
    };
    program.publish(&system(), &limited).expect("published");
    let extended = [&REQUEST[..], &[0; 28]].concat();
    for _ in 0..100 {
        verdict(&mut program, &V4, &extended);
        assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Answered);
    }
    let counts = program.counts().expect("counts");
    // Each processor has a bucket of its own, and the test may move from one to another.
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert!(
        (5..=5 * processors + 2).contains(&counts.passed[1]),
        "{counts:?}"
    );
    assert_eq!(counts.passed[1] + counts.shed, 100);
    assert_eq!(counts.outcomes[0], 100);
    // What is not for our port is none of our business.
    let mut other = frame(&V4, &extended);
    other[37] = 124;
    assert_eq!(
        program.run(&other).expect("it runs").0,
        FrameVerdict::Passed
    );
}

#[test]
fn keys_change_all_at_once_and_the_old_are_gone() {
    let mut program = loaded(&[V4]);
    let other = keys::Key {
        hex: "00112233445566778899aabbccddeeff",
        ..keys::AES128
    };
    let in_turn = [keys::AES128, other];
    for turn in 0..100 {
        let (now, before) = (in_turn[turn % 2], in_turn[1 - turn % 2]);
        give_keys(&mut program, &[key(now)]);
        let (answered, reply) = program
            .run(&frame(&V4, &now.sign(&REQUEST)))
            .expect("it runs");
        assert_eq!(answered, FrameVerdict::Answered, "turn {turn}");
        assert!(now.verifies(answer(&V4, &reply)));
        let former = before.sign(&REQUEST);
        assert_eq!(verdict(&mut program, &V4, &former), FrameVerdict::Dropped);
    }
    program.forget_former().expect("forgotten");
    let uses = program.key_uses().expect("uses");
    assert_eq!(uses.values().sum::<u64>(), 100);
    give_keys(&mut program, &[]);
    let signed = other.sign(&REQUEST);
    assert_eq!(verdict(&mut program, &V4, &signed), FrameVerdict::Passed);
    assert_eq!(program.key_uses().expect("uses").values().sum::<u64>(), 100);
}

#[test]
fn a_kernel_without_ciphers_gets_a_program_without_keys() {
    let mut program = Program::load(ProgramOptions {
        clients: 16,
        keys: 16,
        signs: false,
        seed: [5, 6],
    })
    .expect("the kernel takes it");
    assert!(!program.signs());
    let cipher = key(keys::AES128).cipher().expect("a cipher's");
    assert_eq!(program.rekey(&[cipher]).expect("no room"), 1);
    program.publish(&system(), &terms()).expect("published");
    program.serve(&[V4.to]).expect("served");
    let everybody = table(&[Subnet::Any]);
    program.admit(&everybody, &table(&[])).expect("admitted");
    assert_eq!(verdict(&mut program, &V4, &REQUEST), FrameVerdict::Answered);
    let signed = keys::AES128.sign(&REQUEST);
    assert_eq!(verdict(&mut program, &V4, &signed), FrameVerdict::Passed);
    assert!(program.key_uses().expect("none").is_empty());
}
