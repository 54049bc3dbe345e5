use super::*;
use crate::auth::{Key, KeyType};
use crate::client::poll::Poll;
use crate::client::sanity::{Expectation, Test};
use crate::client::stamp::StampSource;
use crate::wire::{
    HEADER_LEN, HeaderMut, HeaderView, KeyId, KissCode, LeapIndicator, Mode, NtpDuration, RawTime,
};

const SECOND: u64 = 1_000_000_000;
const START_S: i64 = 1_800_000_000;

/// What a source is asked with, on clocks that agree.
struct Bench {
    keys: KeyStore,
    system: SystemVariables,
    expected: Expectation,
    /// Stands in for chance: no interval is spread.
    nonce: u64,
}

impl Bench {
    fn new() -> Self {
        let keys = [
            Key::new(KeyId(1), KeyType::Aes128, &[7; 16]).unwrap(),
            Key::new(KeyId(2), KeyType::Sha512, b"a secret").unwrap(),
        ];
        Self {
            keys: KeyStore::new(&keys).0,
            system: SystemVariables::not_synchronised(-24),
            expected: Expectation::default(),
            nonce: 0x1111_2222_3333_4444,
        }
    }

    fn local(&self) -> Local<'_> {
        Local {
            keys: &self.keys,
            system: &self.system,
            address: None,
            max_clock_error: 1e-6,
            is_selected: false,
        }
    }

    fn due(&mut self, association: &mut Association, at_ns: u64) -> Due {
        self.nonce += 2;
        let random = [self.nonce, self.nonce + 1, 0];
        association.timeout(now(at_ns), random, &self.local())
    }

    /// The next request, and when it is due. Ports are closed on the way.
    fn next(&mut self, association: &mut Association) -> (u64, Request) {
        loop {
            let at_ns = association.next_deadline().expect("a request is due");
            match self.due(association, at_ns) {
                Due::Send(request) => return (at_ns, request),
                Due::Close => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn reply(&self, association: &mut Association, packet: &[u8], at_ns: u64) -> Option<Reply> {
        let received = Stamp::by_daemon(now(at_ns).cooked);
        association.reply(packet, received, at_ns, &self.local(), &self.expected)
    }

    /// The next request, answered within 2 ms by a source that is 1 s ahead.
    fn answered(&mut self, association: &mut Association) -> (u64, Reply) {
        let (at_ns, request) = self.next(association);
        let packet = answer(request.bytes(), at_ns);
        let reply = self.reply(association, &packet, at_ns + 2_000_000);
        (at_ns, reply.expect("a reply"))
    }
}

fn now(at_ns: u64) -> Now {
    let at = NtpTimestamp::from_unix(START_S, 0) + NtpDuration::from_nanos(at_ns.cast_signed());
    Now {
        monotonic_ns: at_ns,
        raw: RawTime(at),
        cooked: CookedTime(at),
    }
}

/// A basic reply of a server that is 1 s ahead and half a millisecond slow to answer, 1 ms away.
fn answer(request: &[u8], asked_ns: u64) -> [u8; HEADER_LEN] {
    let mut packet = [0; HEADER_LEN];
    let origin = HeaderView::at_front(request).unwrap().transmit_timestamp();
    let mut header = HeaderMut::new(&mut packet);
    header.set_first(LeapIndicator::NoWarning, 4, Mode::Server);
    header.set_stratum(1);
    header.set_precision(-24);
    header.set_origin_timestamp(origin);
    header.set_receive_timestamp(now(asked_ns + SECOND + 750_000).cooked.0);
    header.set_transmit_timestamp(now(asked_ns + SECOND + 1_250_000).cooked.0);
    packet
}

fn client(options: SourceOptions) -> Association {
    Association::new(Role::Client, options, 0)
}

fn options() -> SourceOptions {
    SourceOptions::default()
}

fn header(request: &Request) -> HeaderView<'_> {
    HeaderView::at_front(request.bytes()).unwrap()
}

#[test]
fn a_request_tells_nothing_of_us() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    assert_eq!((at_ns, request.from), (START_NS, Port::New));
    let mut expected = [0; HEADER_LEN];
    expected[..4].copy_from_slice(&[0x23, 0, 6, 32]);
    expected[40..].copy_from_slice(&bench.nonce.to_be_bytes());
    assert_eq!(request.bytes(), expected);
}

#[test]
fn a_good_reply_is_a_sample() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, reply) = bench.answered(&mut association);
    assert!(reply.answers && reply.kiss.is_none());
    let sample = reply.sample.expect("good");
    assert!((sample.offset_s - 1.0).abs() < 1e-9, "{sample:?}");
    assert!((sample.peer_delay_s - 1.5e-3).abs() < 1e-9);
    assert!(
        (sample.at.0 - now(at_ns + 1_000_000).cooked.0)
            .abs()
            .to_seconds()
            < 1e-9
    );
    // Precision of 60 ns, and 2000 ppm of 2 ms.
    assert!((sample.peer_dispersion_s - 4.06e-6).abs() < 1e-8);
    let last = association.last().unwrap();
    assert_eq!(last.tests.to_string(), "111 111 1111");
    assert!((last.response_time_s - 5e-4).abs() < 1e-9 && !last.is_interleaved);
    assert_eq!(association.reach().to_string(), "1");
    let counts = association.counts();
    assert_eq!(
        (counts.sent, counts.received, counts.valid, counts.good),
        (1, 1, 1, 1)
    );
    // 64 s after the request, and no port is open.
    assert_eq!(association.next_deadline(), Some(at_ns + 64 * SECOND));
}

#[test]
fn the_offset_option_is_added() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        offset_s: -0.25,
        ..options()
    });
    let (_, reply) = bench.answered(&mut association);
    assert!((reply.sample.unwrap().offset_s - 0.75).abs() < 1e-9);
}

#[test]
fn iburst_is_four_good_replies_2_s_apart() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        iburst: true,
        ..options()
    });
    let times: Vec<u64> = (0..6).map(|_| bench.answered(&mut association).0).collect();
    let gaps: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / SECOND)
        .collect();
    assert_eq!(gaps, [2, 2, 2, 64, 64]);
    // Without answers it is eight requests.
    association.offline();
    let from_ns = times[5] + SECOND;
    association.online(from_ns);
    let times: Vec<u64> = (0..9).map(|_| bench.next(&mut association).0).collect();
    assert_eq!(times[0], from_ns + START_NS);
    assert!(
        times[..8]
            .windows(2)
            .all(|pair| pair[1] - pair[0] == 2 * SECOND)
    );
    assert!(times[8] - times[7] >= 64 * SECOND);
}

#[test]
fn burst_is_up_to_four_requests_at_each_poll() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        burst: true,
        ..options()
    });
    let (first_ns, _) = bench.answered(&mut association);
    let times: Vec<u64> = (0..5).map(|_| bench.next(&mut association).0).collect();
    let gaps: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / SECOND)
        .collect();
    assert_eq!((times[0] - first_ns) / SECOND, 64);
    assert_eq!(gaps, [2, 2, 2, 64]);
}

#[test]
fn an_ordered_burst_leaves_the_source_as_it_was_to_be() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        offline: true,
        ..options()
    });
    assert_eq!(association.next_deadline(), None);
    association.burst(2, 5, 0);
    assert_eq!(association.activity(), Activity::BurstOffline);
    bench.answered(&mut association);
    bench.answered(&mut association);
    assert_eq!(
        (association.activity(), association.next_deadline()),
        (Activity::Offline, None)
    );
    // Told to be online meanwhile, it stays so.
    association.burst(1, 2, 100 * SECOND);
    association.online(100 * SECOND);
    assert_eq!(association.activity(), Activity::BurstOnline);
    bench.next(&mut association);
    bench.next(&mut association);
    assert_eq!(association.activity(), Activity::Online);
    association.offline();
    // Only the port is left to be closed.
    let at_ns = association.next_deadline().unwrap();
    assert_eq!(bench.due(&mut association, at_ns), Due::Close);
    assert_eq!(association.next_deadline(), None);
}

#[test]
fn a_reply_to_an_offline_source_s_last_request_still_counts() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    association.offline();
    let packet = answer(request.bytes(), at_ns);
    assert!(
        bench
            .reply(&mut association, &packet, at_ns + 2_000_000)
            .unwrap()
            .sample
            .is_some()
    );
    assert_eq!(association.next_deadline(), None);
}

#[test]
fn presend_wakes_the_path_4_s_ahead_and_is_no_sample() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        presend: Some(6),
        ..options()
    });
    let (first_ns, reply) = bench.answered(&mut association);
    assert_eq!(reply.measurement.tests.to_string(), "111 111 0111");
    let (second_ns, reply) = bench.answered(&mut association);
    assert_eq!(
        (second_ns - first_ns, reply.sample.is_some()),
        (4 * SECOND, true)
    );
    let (third_ns, reply) = bench.answered(&mut association);
    assert_eq!(
        (third_ns - second_ns, reply.sample.is_some()),
        (60 * SECOND, false)
    );
    let (fourth_ns, _) = bench.answered(&mut association);
    assert_eq!(fourth_ns - second_ns, 64 * SECOND);
}

#[test]
fn what_is_not_answered_is_given_up_asked_less_often_and_unreachable() {
    let mut bench = Bench::new();
    let mut association = client(options());
    bench.answered(&mut association);
    let (at_ns, request) = bench.next(&mut association);
    let patience_ns = association.next_deadline().unwrap() - at_ns;
    assert_eq!(patience_ns, 7 * SECOND);
    assert_eq!(
        bench.due(&mut association, at_ns + patience_ns - 1),
        Due::Nothing
    );
    assert_eq!(bench.due(&mut association, at_ns + patience_ns), Due::Close);
    // The port is closed; should a reply be handed in all the same, it is none.
    let late = bench.reply(
        &mut association,
        &answer(request.bytes(), at_ns),
        at_ns + 8 * SECOND,
    );
    assert!(!late.unwrap().measurement.tests.passed(Test::Origin));
    let mut registers = Vec::new();
    for _ in 0..10 {
        bench.next(&mut association);
        registers.push(association.reach().to_string());
    }
    assert_eq!(
        registers,
        ["1", "2", "4", "10", "20", "40", "100", "200", "0", "0"]
    );
    assert_eq!(association.reach().unreachable_polls(), 2);
    // Nine quarters.
    assert_eq!(
        (association.poll().log2(), association.poll().score()),
        (8, 0.25)
    );
}

#[test]
fn sub_second_polls_are_for_near_sources() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        min_poll: Some(-2),
        max_poll: Some(-2),
        ..options()
    });
    let (first_ns, _) = bench.next(&mut association);
    let (second_ns, reply) = bench.answered(&mut association);
    assert_eq!(second_ns - first_ns, SECOND);
    assert!(reply.sample.is_some());
    let (third_ns, _) = bench.next(&mut association);
    assert_eq!(third_ns - second_ns, SECOND / 4);
    bench.expected = Expectation {
        samples: 3,
        min_delay_s: 0.02,
        ..Expectation::default()
    };
    let (fourth_ns, _) = bench.answered(&mut association);
    let (fifth_ns, _) = bench.next(&mut association);
    assert_eq!(fifth_ns - fourth_ns, SECOND);
}

#[test]
fn samples_move_the_poll_interval() {
    let mut bench = Bench::new();
    let mut association = client(options());
    bench.expected.samples = 16;
    bench.expected.at = now(0).cooked;
    bench.expected.offset_s = 1.0;
    for _ in 0..8 {
        bench.answered(&mut association);
        association.accumulated(16);
        // Once for each sample.
        association.accumulated(16);
    }
    assert_eq!(
        (association.poll().log2(), association.poll().score()),
        (7, 0.0)
    );
    let (at_ns, _) = bench.answered(&mut association);
    assert_eq!(association.next_request(), Some(at_ns + 128 * SECOND));
    // The prediction is far off: the interval that runs is shortened.
    association.accumulated(16);
    bench.expected.offset_s = 1.1;
    let (at_ns, _) = bench.answered(&mut association);
    association.accumulated(16);
    assert_eq!(association.next_request(), Some(at_ns + 64 * SECOND));
}

#[test]
fn a_kiss_is_obeyed_and_a_forged_one_is_not() {
    for (code, rate) in [
        (KissCode::Rate, true),
        (KissCode::Deny, false),
        (KissCode::Restricted, false),
    ] {
        let mut bench = Bench::new();
        let mut association = client(SourceOptions {
            iburst: true,
            ..options()
        });
        let (at_ns, request) = bench.next(&mut association);
        let mut packet = answer(request.bytes(), at_ns);
        let mut kiss = HeaderMut::new(&mut packet);
        kiss.set_first(LeapIndicator::NotSynchronised, 4, Mode::Server);
        kiss.set_stratum(0);
        kiss.set_poll(8);
        kiss.set_reference_id(code.reference_id());
        let mut forged = packet;
        forged[31] ^= 1;
        let reply = bench.reply(&mut association, &forged, at_ns).unwrap();
        assert_eq!((reply.kiss, reply.answers), (None, false));
        let reply = bench.reply(&mut association, &packet, at_ns).unwrap();
        assert_eq!(
            (reply.kiss, reply.answers, reply.sample),
            (Some(code), true, None)
        );
        if rate {
            let next_ns = association.next_deadline().unwrap();
            assert_eq!(next_ns - at_ns, 5 * 256 * SECOND);
            assert_eq!(association.poll().min(), 8);
        } else {
            assert_eq!(
                (association.activity(), association.next_deadline()),
                (Activity::Offline, None)
            );
        }
    }
}

#[test]
fn a_kiss_cannot_order_more_than_1024_s() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    let mut packet = answer(request.bytes(), at_ns);
    let mut kiss = HeaderMut::new(&mut packet);
    kiss.set_first(LeapIndicator::NotSynchronised, 4, Mode::Server);
    kiss.set_stratum(0);
    kiss.set_poll(24);
    kiss.set_reference_id(KissCode::Rate.reference_id());
    bench.reply(&mut association, &packet, at_ns).unwrap();
    assert_eq!(association.poll().log2(), 10);
}

#[test]
fn only_the_reply_to_the_open_request_is_valid() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    let good = answer(request.bytes(), at_ns);
    let arrival_ns = at_ns + 2_000_000;
    let changed = |at: usize, bits: u8| {
        let mut packet = good;
        packet[at] ^= bits;
        packet
    };
    let mut ragged = good.to_vec();
    ragged.extend([0; 2]);
    let mut with_scraps = good.to_vec();
    with_scraps.extend([9; 28]);
    let no_replies = [
        changed(0, 7).to_vec(),    // mode 3
        changed(0, 0x08).to_vec(), // version 5
        changed(0, 0x20).to_vec(), // version 0
        good[..44].to_vec(),
        ragged,
        with_scraps,
    ];
    for packet in no_replies {
        assert_eq!(bench.reply(&mut association, &packet, arrival_ns), None);
    }
    assert_eq!(association.counts().received, 0);

    let mut signed = good.to_vec();
    signed.resize(HEADER_LEN + 20, 0);
    let key = bench.keys.find(KeyId(1)).unwrap();
    bench.keys.sign(key, 4, &mut signed, HEADER_LEN).unwrap();
    let mut crypto_nak = good.to_vec();
    crypto_nak.extend([0; 4]);
    let invalid = [
        (changed(30, 1).to_vec(), Test::Origin),
        (signed, Test::Authentic),
        (crypto_nak, Test::Authentic),
    ];
    for (packet, test) in invalid {
        let reply = bench.reply(&mut association, &packet, arrival_ns).unwrap();
        assert!(!reply.answers && reply.sample.is_none());
        assert!(!reply.measurement.tests.passed(test), "{test:?}");
    }
    let mut without = good;
    HeaderMut::new(&mut without).set_receive_timestamp(NtpTimestamp::ZERO);
    let reply = bench.reply(&mut association, &without, arrival_ns).unwrap();
    assert_eq!(reply.measurement.tests.to_string(), "110 111 0000");

    assert!(
        bench
            .reply(&mut association, &good, arrival_ns)
            .unwrap()
            .sample
            .is_some()
    );
    let again = bench.reply(&mut association, &good, arrival_ns).unwrap();
    assert_eq!(again.measurement.tests.to_string(), "001 111 0000");
    assert!(!again.answers);
    let counts = association.counts();
    assert_eq!((counts.received, counts.valid, counts.good), (6, 1, 1));
    assert_eq!(association.failed().of(Test::Authentic), 2);
}

#[test]
fn a_signed_source_must_sign() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        key: Some(KeyId(1)),
        ..options()
    });
    let (at_ns, request) = bench.next(&mut association);
    assert_eq!(request.bytes().len(), 68);
    let key = bench.keys.find(KeyId(1)).unwrap();
    let (message, mac) = request.bytes().split_at(HEADER_LEN);
    assert_eq!(
        bench.keys.verify(key, 4, message, &mac[4..]),
        crate::auth::Verdict::Good
    );

    let arrival_ns = at_ns + 2_000_000;
    let unsigned = answer(request.bytes(), at_ns);
    let reply = bench
        .reply(&mut association, &unsigned, arrival_ns)
        .unwrap();
    assert_eq!(reply.measurement.tests.to_string(), "111 011 0000");
    let mut kiss = unsigned;
    let mut header = HeaderMut::new(&mut kiss);
    header.set_first(LeapIndicator::NotSynchronised, 4, Mode::Server);
    header.set_stratum(0);
    header.set_reference_id(KissCode::Deny.reference_id());
    assert_eq!(
        bench
            .reply(&mut association, &kiss, arrival_ns)
            .unwrap()
            .kiss,
        None
    );
    let mut signed = unsigned.to_vec();
    signed.resize(HEADER_LEN + 20, 0);
    bench.keys.sign(key, 4, &mut signed, HEADER_LEN).unwrap();
    for at in [0, 40, 50, 67] {
        let mut changed = signed.clone();
        changed[at] ^= 0x40;
        let reply = bench.reply(&mut association, &changed, arrival_ns);
        assert!(reply.is_none_or(|reply| !reply.answers), "byte {at}");
    }
    let reply = bench.reply(&mut association, &signed, arrival_ns).unwrap();
    assert!(reply.sample.is_some() && reply.measurement.is_authenticated);
}

#[test]
fn another_key_than_the_source_s_own_is_not_taken() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        key: Some(KeyId(2)),
        version: Some(4),
        ..options()
    });
    let (at_ns, request) = bench.next(&mut association);
    assert_eq!(request.bytes().len(), HEADER_LEN + 24);
    let mut signed = answer(request.bytes(), at_ns).to_vec();
    signed.resize(HEADER_LEN + 20, 0);
    let other = bench.keys.find(KeyId(1)).unwrap();
    bench.keys.sign(other, 4, &mut signed, HEADER_LEN).unwrap();
    let reply = bench.reply(&mut association, &signed, at_ns + 1).unwrap();
    assert!(!reply.measurement.tests.passed(Test::Authentic));
}

#[test]
fn a_long_digest_is_sent_whole_in_version_3() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        key: Some(KeyId(2)),
        xleave: true,
        ..options()
    });
    let (_, request) = bench.next(&mut association);
    assert_eq!(
        (header(&request).version(), request.bytes().len()),
        (3, REQUEST_LEN_MAX)
    );
}

#[test]
fn without_its_key_a_source_is_not_asked() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        key: Some(KeyId(77)),
        ..options()
    });
    assert_eq!(bench.due(&mut association, START_NS), Due::NoKey);
    assert_eq!(
        (association.counts().sent, association.next_deadline()),
        (0, Some(START_NS + 64 * SECOND))
    );
}

#[test]
fn what_cannot_be_sent_takes_an_auto_offline_source_offline() {
    for auto_offline in [false, true] {
        let mut bench = Bench::new();
        let mut association = client(SourceOptions {
            auto_offline,
            ..options()
        });
        let (_, request) = bench.next(&mut association);
        association.send_failed(request.id);
        association.send_failed(request.id);
        assert_eq!(association.counts().sent, 0);
        assert_eq!(association.next_deadline().is_none(), auto_offline);
    }
}

#[test]
fn the_best_stamp_of_a_departure_is_used_even_if_it_comes_late() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    let stamp = |nanos, source| Stamp {
        at: now(at_ns + nanos).cooked,
        error_s: 0.0,
        source,
    };
    association.departed(request.id, stamp(200_000, StampSource::Hardware));
    association.departed(request.id, stamp(900_000, StampSource::Kernel));
    let packet = answer(request.bytes(), at_ns);
    let reply = bench
        .reply(&mut association, &packet, at_ns + 2_000_000)
        .unwrap();
    let sample = reply.sample.unwrap();
    assert!((sample.peer_delay_s - 1.3e-3).abs() < 1e-9, "{sample:?}");
    assert!((sample.offset_s - 0.9999).abs() < 1e-9);
    assert_eq!(reply.measurement.transmit_source, StampSource::Hardware);
    association.departed(request.id, stamp(210_000, StampSource::Hardware));
    assert_eq!(
        association.previous.unwrap().departure,
        stamp(210_000, StampSource::Hardware)
    );
    assert_eq!(association.counts().hardware_sent, 1);
}

#[test]
fn a_change_of_the_clock_moves_what_is_under_way() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    association.clock_changed(&ClockChange {
        at: now(at_ns).cooked,
        frequency: 0.0,
        offset_s: 0.75,
    });
    let packet = answer(request.bytes(), at_ns);
    let received = Stamp::by_daemon(now(at_ns + 752_000_000).cooked);
    let reply = association.reply(&packet, received, at_ns, &bench.local(), &bench.expected);
    assert!((reply.unwrap().sample.unwrap().offset_s - 0.25).abs() < 1e-9);

    let (at_ns, request) = bench.next(&mut association);
    association.clock_jumped();
    let packet = answer(request.bytes(), at_ns);
    let reply = bench.reply(&mut association, &packet, at_ns + 1).unwrap();
    assert_eq!((reply.answers, reply.sample), (false, None));
}

#[test]
fn interleaved_requests_build_on_a_reply_four_times_at_most() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        xleave: true,
        ..options()
    });
    let (at_ns, request) = bench.next(&mut association);
    assert!(header(&request).origin_timestamp().is_zero());
    let packet = answer(request.bytes(), at_ns);
    bench
        .reply(&mut association, &packet, at_ns + 2_000_000)
        .unwrap();
    let told = HeaderView::new(&packet).receive_timestamp();
    for _ in 0..4 {
        let (_, request) = bench.next(&mut association);
        let header = header(&request);
        assert_eq!(header.origin_timestamp(), told);
        let (receive, transmit) = (header.receive_timestamp(), header.transmit_timestamp());
        assert!(receive != transmit && !receive.is_zero());
        // Chance, and not when the reply came.
        assert_eq!(transmit.to_bits(), bench.nonce);
        assert_eq!(receive.to_bits(), bench.nonce + 1);
    }
    let (_, request) = bench.next(&mut association);
    assert!(header(&request).origin_timestamp().is_zero());
    assert!(header(&request).receive_timestamp().is_zero());
}

#[test]
fn the_first_interleaved_reply_repeats_and_the_second_measures() {
    let mut bench = Bench::new();
    let mut association = client(SourceOptions {
        xleave: true,
        ..options()
    });
    let mut before_ns = bench.answered(&mut association).0;
    for good in [false, true, true] {
        let (at_ns, request) = bench.next(&mut association);
        let mut packet = answer(request.bytes(), at_ns);
        let mut reply = HeaderMut::new(&mut packet);
        reply.set_origin_timestamp(header(&request).receive_timestamp());
        // The one before left 100 us later than it said.
        reply.set_transmit_timestamp(now(before_ns + SECOND + 1_350_000).cooked.0);
        let reply = bench
            .reply(&mut association, &packet, at_ns + 2_000_000)
            .unwrap();
        assert!(reply.answers && reply.measurement.is_interleaved);
        assert_eq!(reply.sample.is_some(), good);
        let measured = reply.measurement;
        assert!((measured.offset_s - 1.000_05).abs() < 1e-9, "{measured:?}");
        assert!((measured.peer_delay_s - 1.4e-3).abs() < 1e-9);
        assert!(
            (measured.at.0 - now(before_ns + 1_000_000).cooked.0)
                .abs()
                .to_seconds()
                < 1e-9
        );
        before_ns = at_ns;
    }
}

#[test]
fn a_source_that_holds_requests_for_seconds_is_no_sample() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    let mut packet = answer(request.bytes(), at_ns);
    HeaderMut::new(&mut packet).set_transmit_timestamp(now(at_ns + 6 * SECOND).cooked.0);
    let reply = bench
        .reply(&mut association, &packet, at_ns + 5 * SECOND)
        .unwrap();
    assert_eq!(reply.measurement.tests.to_string(), "111 111 0111");
    // Synchronised but not good: the poll interval grows slowly.
    assert!((association.poll().score() - 0.02).abs() < 1e-12);
}

#[test]
fn options_are_changed_and_addresses_too_while_it_runs() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, _) = bench.answered(&mut association);
    association.set_options(SourceOptions {
        max_poll: Some(3),
        ..options()
    });
    assert_eq!(association.next_request(), Some(at_ns + 8 * SECOND));
    assert_eq!(*association.poll(), Poll::new(3, 3));
    association.keep_apart(&[at_ns + 8 * SECOND]);
    assert_eq!(
        association.next_request(),
        Some(at_ns + 8 * SECOND + 200_000_000)
    );
    association.moved(at_ns);
    assert_eq!(association.counts().valid, 0);
    assert_eq!(association.next_request(), Some(at_ns + START_NS));
    association.offline();
    association.moved(at_ns);
    assert_eq!(association.next_request(), None);
}

/// The tests' columns for a reply with 1.5 ms of delay, after ten of the same.
fn columns(options: SourceOptions, expected: Expectation, delay_ns: u64) -> String {
    let mut bench = Bench::new();
    let mut association = client(options);
    for _ in 0..10 {
        bench.answered(&mut association);
    }
    bench.expected = expected;
    let (at_ns, request) = bench.next(&mut association);
    let packet = answer(request.bytes(), at_ns);
    let reply = bench.reply(&mut association, &packet, at_ns + 500_000 + delay_ns);
    reply.unwrap().measurement.tests.to_string()
}

#[test]
fn the_options_of_tests_a_to_c_are_obeyed() {
    let expected = Expectation {
        samples: 8,
        at: now(640 * SECOND).cooked,
        offset_s: 1.0,
        skew: 1e-9,
        standard_deviation_s: 1e-6,
        min_delay_s: 1.5e-3,
        ..Expectation::default()
    };
    let of = |change: fn(&mut SourceOptions), delay_us: u32| {
        let mut options = options();
        change(&mut options);
        // All growth is on the way back. The prediction is right all the same: the offset is no news.
        let expected = Expectation {
            offset_s: 1.0 - 0.5e-6 * (f64::from(delay_us) - 1.5e3),
            ..expected
        };
        columns(options, expected, u64::from(delay_us) * 1_000)
    };
    assert_eq!(of(|_| (), 1_500), "111 111 1111");
    assert_eq!(
        of(|options| options.max_delay_s = 1e-3, 1_500),
        "111 111 0111"
    );
    assert_eq!(
        of(|options| options.max_delay_ratio = Some(1.5), 2_500),
        "111 111 1001"
    );
    assert_eq!(
        of(|options| options.max_delay_dev_ratio = 1e4, 2_500),
        "111 111 1111"
    );
    let by_quantile = |options: &mut SourceOptions| options.max_delay_quantile = Some(0.5);
    assert_eq!(of(by_quantile, 1_500), "111 111 1111");
    assert_eq!(of(by_quantile, 1_501), "111 111 1101");
    let far = |options: &mut SourceOptions| {
        options.max_delay_ratio = Some(1.5);
        options.min_delay_s = Some(2.5e-3);
    };
    assert_eq!(of(far, 2_500), "111 111 1111");
}

#[test]
fn a_source_that_follows_us_is_no_sample() {
    let mut bench = Bench::new();
    let mut association = client(options());
    let (at_ns, request) = bench.next(&mut association);
    let ours = ReferenceId::from_bytes([192, 0, 2, 1]);
    let mut packet = answer(request.bytes(), at_ns);
    let mut header = HeaderMut::new(&mut packet);
    header.set_stratum(3);
    header.set_reference_id(ours);
    let local = Local {
        address: Some(ours),
        ..bench.local()
    };
    let received = Stamp::by_daemon(now(at_ns + 2_000_000).cooked);
    let reply = association.reply(&packet, received, at_ns, &local, &bench.expected);
    assert_eq!(reply.unwrap().measurement.tests.to_string(), "111 111 1110");
    assert!((association.poll().score() - 0.1).abs() < 1e-12);
}
