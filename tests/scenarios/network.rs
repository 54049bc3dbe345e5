//! More than one client and server: strata, names, pools, peers, orphans.

use super::*;
use maser::client::{Family, SourceName, State};
use maser::discipline::Local;
use std::net::IpAddr;

#[test]
fn s002_large_network() {
    let mut world = World::new(1, USUAL);
    for _ in 0..3 {
        world.add(Machine::server(0.0, 0.0, primary(1)));
    }
    let mut below: Vec<Place> = (0..3).collect();
    for stratum in 2..=4_u8 {
        let specs = || below.iter().map(|place| server(*place)).collect();
        let tier: Vec<Place> = (0..5_u32)
            .map(|number| {
                let seed = u64::from(stratum) * 100 + u64::from(number);
                let offset_s = 0.05 * (f64::from(number) - 2.0);
                let frequency = 50e-6 * (f64::from(number) - 2.0);
                world.add(Machine::kept(following(specs()), offset_s, frequency, seed))
            })
            .collect();
        below = tier;
    }
    world.run(20_000.0);
    for place in 3..18 {
        let variables = world.machines[place].variables();
        let expected = 2 + u8::try_from((place - 3) / 5).expect("few");
        assert_eq!(variables.stratum, expected);
        assert_usual("002 large network", &mut world, place, 3000);
        let served = &world.machines[place].seen().served;
        let is_honest = |(error_s, claimed_s): &(f64, Option<f64>)| {
            claimed_s.is_none_or(|claimed_s| error_s.abs() <= claimed_s)
        };
        assert!(
            served.iter().all(is_honest),
            "an error beyond the root distance"
        );
    }
}

#[test]
fn s013_name_service() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let specs = vec![named("ntp.example.net", quick())];
    let client = world.add(Machine::kept(following(specs), OFFSET_S, FREQUENCY, 1));
    // The name is not known at first: it is looked up again, less and less often.
    world.run(100.0);
    assert!(world.machines[client].seen().requests.is_empty());
    world
        .names
        .insert("ntp.example.net".to_owned(), vec![address(source)]);
    world.run(END_S);
    let found = figures(&mut world, client, 2000);
    assert!(found.max_s < 1e-3, "{found:?}");
    passed("013 name service", "a name that is found later");
}

#[test]
fn s014_intermittent_link() {
    for seed in 0..SEEDS {
        let (mut world, source, client) = pair(seed, USUAL, SourceOptions::default());
        // Ten minutes of three there is no network.
        for round in 0..10_u32 {
            let start_s = f64::from(round) * 1800.0;
            world.machines[source].is_silent = false;
            world.run(start_s + 1200.0);
            world.machines[source].is_silent = true;
            world.run(start_s + 1800.0);
        }
        assert_usual("014 intermittent link", &mut world, client, 210);
    }
}

#[test]
fn s015_ipv6() {
    let mut world = World::new(1, USUAL);
    let v6: IpAddr = "2001:db8::1".parse().expect("an address");
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    world.machines[source].address = v6;
    let specs = vec![named("2001:db8::1", quick())];
    let client = world.add(Machine::kept(following(specs), OFFSET_S, FREQUENCY, 1));
    world.machines[client].address = "2001:db8::2".parse().expect("an address");
    world.run(END_S);
    // The first four bytes of the address's MD5 digest.
    let id = world.machines[client].variables().reference_id;
    assert_eq!(id, maser::client::reference_id(v6));
    assert_usual("015 IPv6", &mut world, client, 210);
}

#[test]
fn s015_one_family_only() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = SourceOptions {
        family: Some(Family::V4),
        ..quick()
    };
    world.names.insert("both".to_owned(), vec![address(source)]);
    let client = world.add(Machine::kept(
        following(vec![named("both", options)]),
        OFFSET_S,
        FREQUENCY,
        1,
    ));
    world.run(300.0);
    assert!(is_synchronised(&mut world, client));
    passed("015 family", "the resolver is told");
}

#[test]
fn s108_peer() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let peer = |place: Place| SourceSpec {
        role: Role::Peer,
        ..server(place)
    };
    // One has a server; the other has the one.
    let near = world.add(Machine::kept(
        following(vec![server(source), peer(2)]),
        OFFSET_S,
        FREQUENCY,
        1,
    ));
    let far = world.add(Machine::kept(following(vec![peer(1)]), 0.2, -FREQUENCY, 2));
    world.run(20_000.0);
    assert_eq!(world.machines[near].variables().stratum, 2);
    assert_eq!(world.machines[far].variables().stratum, 3);
    assert_usual("108 peer", &mut world, near, 210);
    assert_usual("108 peer of the peer", &mut world, far, 3000);
}

#[test]
fn s111_knownclient() {
    // A server that is told to treat its client as a peer answers it as any other.
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let first = world.add(Machine::kept(
        following(vec![server(source), server(2)]),
        OFFSET_S,
        FREQUENCY,
        1,
    ));
    let second = world.add(Machine::kept(
        following(vec![server(first)]),
        0.1,
        FREQUENCY,
        2,
    ));
    world.run(END_S);
    assert_usual("111 known client", &mut world, first, 400);
    assert_usual("111 its client", &mut world, second, 3000);
}

fn local(stratum: u8) -> Local {
    Local {
        stratum,
        orphan: false,
        distance_s: 1.0,
        activate_s: 0.0,
        wait_synced_s: 0.0,
        wait_unsynced_s: 0.0,
    }
}

#[test]
fn s121_local() {
    let mut world = World::new(1, USUAL);
    let options = SystemOptions {
        local: Some(local(4)),
        ..SystemOptions::default()
    };
    let master = world.add(Machine::kept(options, 0.0, 0.0, 1));
    let client = world.add(Machine::kept(
        following(vec![server(master)]),
        OFFSET_S,
        FREQUENCY,
        2,
    ));
    world.run(END_S);
    assert_eq!(world.machines[master].variables().stratum, 4);
    assert_eq!(world.machines[client].variables().stratum, 5);
    assert_usual("121 local", &mut world, client, 210);
}

#[test]
fn s121_orphan() {
    // Three that have nobody but each other: the one of the lowest address leads.
    let mut world = World::new(1, USUAL);
    let orphan = Local {
        orphan: true,
        wait_unsynced_s: 300.0,
        ..local(5)
    };
    let places = [0_usize, 1, 2];
    for place in places {
        let others = places.iter().filter(|other| **other != place);
        let options = SystemOptions {
            local: Some(orphan),
            ..following(others.map(|other| server(*other)).collect())
        };
        let seed = u64::try_from(place).expect("small");
        world.add(Machine::kept(
            options,
            0.01 * (place as f64 - 1.0),
            1e-6 * place as f64,
            seed,
        ));
    }
    world.run(END_S);
    let errors: Vec<f64> = places
        .iter()
        .map(|place| {
            world.machines[*place]
                .seen()
                .errors_s
                .last()
                .copied()
                .expect("it ran")
        })
        .collect();
    let spread = errors.iter().fold(f64::MIN, |a, b| a.max(*b))
        - errors.iter().fold(f64::MAX, |a, b| a.min(*b));
    assert!(spread < 1e-3, "{errors:?}");
    assert!(
        places
            .iter()
            .all(|place| world.machines[*place].variables().is_synchronised())
    );
    let leader = world.with(0, Machine::sources);
    assert!(
        leader.iter().all(|source| source.state != State::Selected),
        "{leader:?}"
    );
    passed("121 orphan", "three without a source stay together");
}

#[test]
fn s137_pool() {
    let mut world = World::new(1, USUAL);
    let places: Vec<Place> = (0..8)
        .map(|_| world.add(Machine::server(0.0, 0.0, primary(1))))
        .collect();
    let addresses = places.iter().map(|place| address(*place)).collect();
    world.names.insert("pool.example.net".to_owned(), addresses);
    let spec = SourceSpec {
        size: PoolSize::AtMost(3),
        ..named("pool.example.net", quick())
    };
    let client = world.add(Machine::kept(following(vec![spec]), OFFSET_S, FREQUENCY, 1));
    world.run(END_S);
    assert_eq!(
        world.with(client, Machine::sources).len(),
        3,
        "as many as maxsources"
    );
    assert_usual("137 pool", &mut world, client, 210);
}

#[test]
fn s138_syncloop() {
    // Two that follow each other, and one of them a server: when that vanishes neither believes the other for ever.
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let first = world.add(Machine::kept(
        following(vec![server(source), server(2)]),
        OFFSET_S,
        FREQUENCY,
        1,
    ));
    let second = world.add(Machine::kept(
        following(vec![server(1)]),
        0.1,
        -FREQUENCY,
        2,
    ));
    world.run(5000.0);
    assert_eq!(world.machines[second].variables().stratum, 3);
    world.machines[source].is_silent = true;
    world.run(40_000.0);
    for place in [first, second] {
        let stratum = world.machines[place].variables().stratum;
        assert!(stratum <= 4, "they count up: {stratum}");
        let served = &world.machines[place].seen().served;
        let is_honest = |(error_s, claimed_s): &(f64, Option<f64>)| {
            claimed_s.is_none_or(|claimed_s| error_s.abs() <= claimed_s)
        };
        assert!(served.iter().all(is_honest));
    }
    passed("138 syncloop", "a loop is seen");
}

#[test]
fn s141_copy() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = SourceOptions {
        copy: true,
        ..quick()
    };
    let client = world.add(Machine::kept(
        following(vec![server_with(source, options)]),
        OFFSET_S,
        FREQUENCY,
        1,
    ));
    world.run(500.0);
    let variables = world.machines[client].variables();
    assert_eq!(
        (variables.stratum, &variables.reference_id.to_bytes()),
        (1, b"GPS\0")
    );
    passed("141 copy", "stratum and reference id are the source's");
}

#[test]
fn s147_refresh() {
    let mut world = World::new(1, USUAL);
    let old = world.add(Machine::server(0.0, 0.0, primary(1)));
    let new = world.add(Machine::server(0.0, 0.0, primary(1)));
    world.names.insert("ntp".to_owned(), vec![address(old)]);
    let options = SystemOptions {
        refresh_s: 1000,
        ..following(vec![named("ntp", quick())])
    };
    let client = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, 1));
    world.run(500.0);
    world.names.insert("ntp".to_owned(), vec![address(new)]);
    world.run(3000.0);
    let sources = world.with(client, Machine::sources);
    assert_eq!(
        sources[0].name,
        SourceName::Address(address(new)),
        "a name that moved is followed"
    );
    passed(
        "147 refresh",
        "an address that the name has no more is left",
    );
}

#[test]
fn s148_replacement() {
    let mut world = World::new(1, USUAL);
    let places: Vec<Place> = (0..6)
        .map(|_| world.add(Machine::server(0.0, 0.0, primary(1))))
        .collect();
    world.machines[places[0]].set_error(1.0);
    let addresses = places.iter().map(|place| address(*place)).collect();
    world.names.insert("pool".to_owned(), addresses);
    let spec = SourceSpec {
        size: PoolSize::AtMost(4),
        ..named("pool", quick())
    };
    let client = world.add(Machine::kept(following(vec![spec]), OFFSET_S, FREQUENCY, 1));
    world.run(1000.0);
    // One of those that are kept does not answer any more.
    let kept = world.with(client, Machine::sources)[1].name;
    let gone = places
        .iter()
        .find(|place| SourceName::Address(address(**place)) == kept)
        .expect("one of them");
    world.machines[*gone].is_silent = true;
    world.run(60_000.0);
    let sources = world.with(client, Machine::sources);
    assert!(
        sources.iter().all(|source| source.name != kept),
        "{kept} was not replaced"
    );
    assert!(
        sources
            .iter()
            .all(|source| source.name != SourceName::Address(address(places[0]))),
        "the falseticker was not replaced"
    );
    assert!(world.machines[client].seen().was_told("replaced with"));
    passed(
        "148 replacement",
        "a silent source and a falseticker are replaced",
    );
}
