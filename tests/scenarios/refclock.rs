//! Reference clocks.

use super::*;
use maser::client::{RefclockOptions, SelectOptions, State};
use maser::wire::ReferenceId;

const GPS: ReferenceId = ReferenceId::from_bytes(*b"GPS\0");
const PPS: ReferenceId = ReferenceId::from_bytes(*b"PPS\0");

fn alone(options: SystemOptions, seed: u64) -> (World, Place) {
    let mut world = World::new(seed, USUAL);
    let place = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, seed));
    (world, place)
}

/// Each second until `end_s`, `read` is called with a normal deviate.
fn each_second(
    world: &mut World,
    place: Place,
    (from_s, end_s): (u32, u32),
    mut read: impl FnMut(&mut Machine, f64),
) {
    for second in from_s..end_s {
        world.run(f64::from(second));
        let noise = world.random.normal();
        world.with(place, |machine| read(machine, noise));
    }
}

#[test]
fn s106_refclock() {
    let (mut world, place) = alone(following(Vec::new()), 1);
    let id = world.machines[place].add_refclock(RefclockOptions {
        reference_id: GPS,
        ..RefclockOptions::default()
    });
    each_second(&mut world, place, (1, 10_000), |machine, noise| {
        machine.read_time(id, noise * 1e-6);
    });
    let found = assert_usual("106 refclock", &mut world, place, 210);
    assert!(found.rms_s < 10e-6, "{found:?}");
    let variables = world.machines[place].variables();
    assert_eq!((variables.stratum, variables.reference_id), (1, GPS));
    let readings = &world.machines[place].seen().readings;
    let filtered = readings
        .iter()
        .filter(|record| record.raw.is_none())
        .count();
    assert_eq!(filtered, 10_000 / 16 - 1);
}

#[test]
fn a_pulse_is_locked_to_a_poor_clock() {
    let (mut world, place) = alone(following(Vec::new()), 2);
    let machine = &mut world.machines[place];
    let serial = machine.add_refclock(RefclockOptions {
        reference_id: GPS,
        select: SelectOptions {
            noselect: true,
            ..SelectOptions::default()
        },
        ..RefclockOptions::default()
    });
    let pulses = machine.add_refclock(RefclockOptions {
        reference_id: PPS,
        lock: Some(GPS),
        ..RefclockOptions::default()
    });
    each_second(&mut world, place, (1, 5000), |machine, noise| {
        // The message is late by 100 ms, the pulse right.
        machine.read_time(serial, -0.1 + noise * 0.01);
        machine.read_pulse(pulses, 0.0);
    });
    let found = assert_usual("pps, locked", &mut world, place, 210);
    assert!(found.rms_s < 10e-6, "{found:?}");
    assert_eq!(world.machines[place].variables().reference_id, PPS);
}

#[test]
fn a_pulse_needs_a_clock_that_is_near_enough() {
    let mut world = World::new(3, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = following(vec![server_with(source, quick())]);
    let place = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, 3));
    let pulses = world.machines[place].add_refclock(RefclockOptions {
        reference_id: PPS,
        select: SelectOptions {
            prefer: true,
            ..SelectOptions::default()
        },
        ..RefclockOptions::default()
    });
    each_second(&mut world, place, (1, 3000), |machine, _| {
        machine.read_pulse(pulses, 0.0);
    });
    let found = assert_usual("pps beside a server", &mut world, place, 300);
    assert!(found.rms_s < 10e-6, "{found:?}");
    // Without the server the pulses go on alone: the clock is near enough by then.
    world.machines[source].is_silent = true;
    each_second(&mut world, place, (3000, 9000), |machine, _| {
        machine.read_pulse(pulses, 0.0);
    });
    assert_usual("pps alone", &mut world, place, 300);
    let found = figures(&mut world, place, 4000);
    assert!(found.rms_s < 5e-6, "{found:?}");
}

#[test]
fn a_clock_is_read_eight_times_a_second() {
    let (mut world, place) = alone(following(Vec::new()), 4);
    let machine = &mut world.machines[place];
    let id = machine.add_refclock(RefclockOptions {
        reference_id: GPS,
        poll: 0,
        filter: 4,
        driver_poll: -3,
        ..RefclockOptions::default()
    });
    for eighth in 1..8000_u32 {
        world.run(f64::from(eighth) / 8.0);
        let noise = world.random.normal();
        world.with(place, |machine| machine.read_time(id, noise * 1e-6));
    }
    let found = assert_usual("refclock at poll 0", &mut world, place, 60);
    assert!(found.rms_s < 10e-6, "{found:?}");
}

#[test]
fn a_stable_clock_steadies_the_frequency() {
    // An oscillator that wanders, a far server, and a standard whose time means nothing.
    let run = |with_standard: bool| {
        let far = Link::even(20e-3, 5e-3);
        let mut world = World::new(5, far);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = following(vec![server_with(source, quick())]);
        let place = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, 5));
        world.machines[place].kept_clock().wander = 1e-7;
        let standard = with_standard.then(|| {
            world.machines[place].add_refclock(RefclockOptions {
                reference_id: PPS,
                local: true,
                poll: 2,
                ..RefclockOptions::default()
            })
        });
        each_second(&mut world, place, (1, 20_000), |machine, noise| {
            if let Some(standard) = standard {
                machine.read_time(standard, 1234.5 + noise * 1e-7);
            }
        });
        let sources = world.with(place, Machine::sources);
        assert!(sources.iter().any(|source| source.state == State::Selected));
        assert_eq!(world.machines[place].variables().stratum, 2);
        figures(&mut world, place, 3000)
    };
    let (without, with) = (run(false), run(true));
    assert!(with.rms_s < 0.7 * without.rms_s, "{with:?} {without:?}");
    passed(
        "refclock local",
        &format!(
            "rms {:.1} us, without it {:.1} us",
            with.rms_s * 1e6,
            without.rms_s * 1e6
        ),
    );
}

#[test]
fn a_refclock_that_falls_silent_is_left() {
    let mut world = World::new(6, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = following(vec![server_with(source, quick())]);
    let place = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, 6));
    let id = world.machines[place].add_refclock(RefclockOptions {
        reference_id: GPS,
        ..RefclockOptions::default()
    });
    each_second(&mut world, place, (1, 2000), |machine, noise| {
        machine.read_time(id, noise * 1e-6);
    });
    assert_eq!(world.machines[place].variables().reference_id, GPS);
    world.run(12_000.0);
    let variables = world.machines[place].variables();
    assert_eq!(variables.stratum, 2, "the server is followed");
    passed("refclock falls silent", "the server is followed");
}
