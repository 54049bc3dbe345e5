//! When sources are asked, how, and which replies count.

use super::*;
use machine::keys;
use maser::server::{RateLimit, RateLimiter};
use maser::wire::{KeyId, LeapIndicator};

#[test]
fn s101_poll() {
    for poll in [-3_i8, 0, 4, 6, 10, 12] {
        let options = SourceOptions {
            min_poll: Some(poll),
            max_poll: Some(poll),
            ..SourceOptions::default()
        };
        let (mut world, _, client) = pair(1, USUAL, options);
        let interval_s = f64::from(poll).exp2();
        // Below a second only once the source is known to be near.
        let span_s = (interval_s * 40.0).clamp(400.0, 1e5);
        world.run(span_s);
        let requests = world.machines[client].seen().requests.len();
        let expected = span_s / interval_s;
        let share = f64::from(u32::try_from(requests).expect("few")) / expected;
        assert!(
            (0.85..1.15).contains(&share),
            "poll {poll}: {requests} of {expected}"
        );
    }
    passed(
        "101 poll",
        "-3 to 12: as many requests as the interval says",
    );
}

#[test]
fn s102_iburst() {
    for seed in 0..SEEDS {
        let (mut world, _, client) = pair(seed, USUAL, quick());
        world.run(10.0);
        assert_eq!(world.machines[client].seen().good, 4);
        assert!(is_synchronised(&mut world, client), "within 10 s");
        world.run(END_S);
        assert_usual("102 iburst", &mut world, client, 120);
    }
}

fn authenticated(name: &str, options: SourceOptions, secret: u8) -> (World, Place) {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let system = following(vec![server_with(source, options)]);
    let client = world.add(Machine::kept_with(
        system,
        OFFSET_S,
        FREQUENCY,
        1,
        keys(secret),
    ));
    world.run(3000.0);
    passed(
        name,
        &format!("{} good", world.machines[client].seen().good),
    );
    (world, client)
}

fn with_key(id: u32) -> SourceOptions {
    SourceOptions {
        key: Some(KeyId(id)),
        ..quick()
    }
}

#[test]
fn s105_ntpauth() {
    for (key, version) in [(1, None), (1, Some(3)), (2, None), (2, Some(3))] {
        let options = SourceOptions {
            version,
            ..with_key(key)
        };
        let (mut world, client) = authenticated("105 ntpauth", options, 7);
        assert!(is_synchronised(&mut world, client));
        assert_usual("105 ntpauth", &mut world, client, 210);
    }
}

#[test]
fn s105_ntpauth_wrong_key() {
    let (mut world, client) = authenticated("105 ntpauth, wrong key", with_key(1), 8);
    assert!(!is_synchronised(&mut world, client));
    let seen = world.machines[client].seen();
    assert_eq!(seen.good, 0);
    assert!(seen.was_told("is it the same key there?"));
}

#[test]
fn s105_ntpauth_missing_key() {
    let (mut world, client) = authenticated("105 ntpauth, missing key", with_key(99), 7);
    assert!(!is_synchronised(&mut world, client));
    let seen = world.machines[client].seen();
    assert!(seen.requests.is_empty());
    assert!(seen.was_told("key 99 is not in the key file"));
}

#[test]
fn s107_allowdeny() {
    let (mut world, source, client) = pair(1, USUAL, quick());
    world.machines[source].deny_all();
    world.run(2000.0);
    assert!(!is_synchronised(&mut world, client));
    assert_eq!(world.machines[source].answered, 0);
    assert!(world.machines[source].refused > 5);
    assert!(world.machines[client].seen().was_told("are we allowed?"));
    passed("107 allowdeny", "no reply, and that is told");
}

#[test]
fn s112_port() {
    let options = SourceOptions {
        port: 124,
        ..quick()
    };
    let (mut world, source, client) = pair(1, USUAL, options);
    world.run(100.0);
    // The server is at port 123: nothing is there.
    assert_eq!(
        (
            world.machines[source].answered,
            world.machines[client].seen().good
        ),
        (0, 0)
    );
    passed("112 port", "asked at the port that is named");
}

#[test]
fn s114_presend() {
    let options = SourceOptions {
        min_poll: Some(6),
        max_poll: Some(6),
        presend: Some(6),
        ..SourceOptions::default()
    };
    let (mut world, _, client) = pair(1, USUAL, options);
    world.run(5000.0);
    let seen = world.machines[client].seen();
    // Two requests for each sample, 4 s apart.
    let pairs = seen
        .requests
        .windows(2)
        .filter(|pair| (pair[1].0 - pair[0].0 - 4.0).abs() < 0.5);
    assert!(
        pairs.count() * 2 + 4 >= seen.requests.len(),
        "{:?}",
        seen.requests
    );
    assert!(seen.good * 2 <= seen.requests.len() + 2);
    assert_usual("114 presend", &mut world, client, 400);
}

#[test]
fn s118_maxdelay() {
    let options = SourceOptions {
        max_delay_s: 1e-3,
        ..quick()
    };
    let (mut world, _, client) = pair(1, Link::even(100e-6, 500e-6), options);
    world.run(END_S);
    let seen = world.machines[client].seen();
    let requests = seen.requests.len();
    assert!(
        seen.good > 5 && seen.good < requests,
        "{} of {requests}",
        seen.good
    );
    assert_usual("118 maxdelay", &mut world, client, 700);
    // One below any delay there is leaves nothing.
    let options = SourceOptions {
        max_delay_s: 100e-6,
        ..quick()
    };
    let (mut world, _, client) = pair(1, USUAL, options);
    world.run(1000.0);
    assert!(!is_synchronised(&mut world, client));
}

#[test]
fn s122_xleave() {
    for key in [None, Some(KeyId(1))] {
        let options = SourceOptions {
            xleave: true,
            key,
            ..quick()
        };
        let (mut world, _, client) = pair(1, USUAL, options);
        world.run(END_S);
        let seen = world.machines[client].seen();
        assert!(
            seen.interleaved + 4 >= seen.good && seen.interleaved > 20,
            "{} of {}",
            seen.interleaved,
            seen.good
        );
        assert_usual("122 xleave", &mut world, client, 210);
    }
}

#[test]
fn s123_mindelay() {
    let options = SourceOptions {
        min_delay_s: Some(200e-6),
        max_delay_ratio: Some(1.5),
        ..quick()
    };
    let (mut world, _, client) = pair(1, USUAL, options);
    world.run(END_S);
    let seen = world.machines[client].seen();
    assert!(
        seen.good < seen.requests.len(),
        "replies beyond 1.5 times the delay are none"
    );
    assert_usual("123 mindelay", &mut world, client, 300);
}

#[test]
fn s125_packetloss() {
    for seed in 0..SEEDS {
        let link = Link { loss: 0.3, ..USUAL };
        let (mut world, _, client) = pair(seed, link, SourceOptions::default());
        world.run(END_S);
        assert_usual("125 packet loss", &mut world, client, 700);
    }
}

#[test]
fn s126_burst() {
    let options = SourceOptions {
        burst: true,
        min_poll: Some(6),
        max_poll: Some(6),
        ..SourceOptions::default()
    };
    let link = Link { loss: 0.5, ..USUAL };
    let (mut world, _, client) = pair(1, link, options);
    world.run(END_S);
    let seen = world.machines[client].seen();
    // Of up to four requests at each of 156 polls, three in four lost, one is answered mostly.
    assert!(seen.good > 80, "{} of {}", seen.good, seen.requests.len());
    assert!(seen.requests.len() > 250);
    assert_usual("126 burst", &mut world, client, 500);
}

#[test]
fn s127_filter() {
    let options = SourceOptions {
        filter: 5,
        min_poll: Some(4),
        max_poll: Some(4),
        ..SourceOptions::default()
    };
    let (mut world, _, client) = pair(1, Link::even(100e-6, 1e-3), options);
    world.run(END_S);
    let updates = world.machines[client].seen().tracking.len();
    let good = world.machines[client].seen().good;
    assert!(
        updates * 5 <= good + 5 && updates > 50,
        "{updates} of {good}"
    );
    let found = figures_near(&mut world, client, 1000, 2e-3);
    assert!(found.max_s < 2e-3, "{found:?}");
    passed("127 filter", &format!("rms {:.1} us", found.rms_s * 1e6));
}

#[test]
fn s135_ratelimit() {
    let options = SourceOptions {
        min_poll: Some(0),
        max_poll: Some(10),
        ..SourceOptions::default()
    };
    let (mut world, source, client) = pair(1, USUAL, options);
    world.machines[source].limit(RateLimiter::new(RateLimit {
        interval_log2: 5,
        burst: 1,
        leak_log2: 2,
        kod_log2: Some(1),
    }));
    world.run(3000.0);
    let seen = world.machines[client].seen();
    assert!(seen.was_told("asks for less"), "{:?}", seen.notices);
    // From one request a second to what it is told.
    let late = seen
        .requests
        .iter()
        .filter(|(at_s, _)| *at_s > 2000.0)
        .count();
    assert!(late < 60, "{late} requests in the last 1,000 s");
    passed("135 ratelimit", "a kiss lengthens the poll interval");
}

#[test]
fn s149_offline() {
    let options = SourceOptions {
        offline: true,
        ..quick()
    };
    let (mut world, _, client) = pair(1, USUAL, options);
    world.run(500.0);
    assert!(world.machines[client].seen().requests.is_empty());
    world.with(client, |machine| {
        let now = machine.moment();
        machine.system().online(|_| true, now);
    });
    world.run(1500.0);
    assert!(is_synchronised(&mut world, client));
    world.with(client, |machine| machine.system().offline(|_| true));
    let before = world.machines[client].seen().requests.len();
    world.run(3000.0);
    assert_eq!(world.machines[client].seen().requests.len(), before);
    passed(
        "149 offline",
        "no requests until online, none after offline",
    );
}

#[test]
fn replayed_and_overtaking_packets_do_no_harm() {
    for seed in 0..SEEDS {
        let link = Link {
            replayed: 0.5,
            ..Link::even(100e-6, 2e-3)
        };
        let (mut world, _, client) = pair(seed, link, quick());
        world.run(END_S);
        let found = figures_near(&mut world, client, 300, 3e-3);
        assert!(found.max_s < 3e-3, "{found:?}");
    }
    passed("replay", "old replies are no samples");
}

#[test]
fn a_server_without_time_is_no_source() {
    let (mut world, source, client) = pair(1, USUAL, quick());
    world.with(source, |machine| {
        machine.say(|system| system.leap = LeapIndicator::NotSynchronised);
    });
    world.run(1000.0);
    assert!(!is_synchronised(&mut world, client));
    assert_eq!(world.machines[client].seen().good, 0);
    passed("unsynchronised server", "is not followed");
}
