//! Clocks that are off, that wander, that are set by others; what the discipline is told.

use super::*;
use maser::client::StampSource;
use maser::discipline::{Drift, End, FallbackDrift, InitialStep, MakeStep, MaxChange, Purpose};

#[test]
fn s001_defaults() {
    for seed in 0..SEEDS {
        let (mut world, _, client) = pair(seed, USUAL, SourceOptions::default());
        world.run(END_S);
        let found = assert_usual("001 defaults", &mut world, client, 210);
        assert!(found.synchronised_s >= 120, "{found:?}");
        let requests = world.machines[client].seen().requests.len();
        // 64 s at first, and longer as the register fills.
        assert!((20..=160).contains(&requests), "{requests}");
    }
}

#[test]
fn s003_large_frequency_offset() {
    for (seed, frequency) in [(1, 5e-3), (2, -5e-3), (3, 0.02), (4, -0.02)] {
        let mut world = World::new(seed, USUAL);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = following(vec![server(source)]);
        let client = world.add(Machine::kept(options, OFFSET_S, frequency, seed));
        world.run(END_S);
        assert_usual("003 large frequency offset", &mut world, client, 2000);
        let left = world.machines[client]
            .system()
            .clock()
            .kernel()
            .clock
            .rate_error();
        assert!(left.abs() < 1e-6, "{left}");
    }
}

#[test]
fn s004_large_time_offset() {
    for (seed, offset_s) in [(1, 100.0), (2, -100.0), (3, 10.0)] {
        let mut world = World::new(seed, USUAL);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = following(vec![server(source)]);
        let client = world.add(Machine::kept(options, offset_s, FREQUENCY, seed));
        world.run(END_S);
        // 100 s take 1,200 s at the largest rate of a slew.
        assert_usual("004 large time offset", &mut world, client, 2000);
    }
}

#[test]
fn s005_external_step() {
    for (seed, by_s) in [(1, 100.0), (2, -100.0), (3, 0.5)] {
        let (mut world, _, client) = pair(seed, USUAL, quick());
        world.run(3000.0);
        assert!(is_synchronised(&mut world, client));
        world.with(client, |machine| machine.step_outside(by_s));
        assert!(!is_synchronised(&mut world, client), "it says so at once");
        world.run(END_S);
        assert!(is_synchronised(&mut world, client));
        let found = figures(&mut world, client, 7000);
        assert!(found.max_s < 1e-3, "{found:?}");
    }
    passed("005 external step", "unsynchronised at once, right again");
}

#[test]
fn s006_large_jitter() {
    let link = Link::even(100e-6, 100e-3);
    for seed in 0..SEEDS {
        let mut world = World::new(seed, link);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = following(vec![server(source)]);
        let client = world.add(Machine::kept(options, 1.0, FREQUENCY, seed));
        world.run(END_S);
        let found = figures_near(&mut world, client, 500, 0.2);
        assert!(
            found.synchronised_s <= 500 && found.max_s < 0.2,
            "{found:?}"
        );
        assert!(found.rms_s < 0.05, "{found:?}");
        passed(
            "006 large jitter",
            &format!("rms {:.1} ms", found.rms_s * 1e3),
        );
    }
}

#[test]
fn s007_large_wander() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, USUAL);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = following(vec![server(source)]);
        let mut machine = Machine::kept(options, OFFSET_S, FREQUENCY, seed);
        machine.kept_clock().wander = 1e-7;
        let client = world.add(machine);
        world.run(END_S);
        let found = figures_near(&mut world, client, 210, 5e-3);
        assert!(found.max_s < 5e-3 && found.rms_s < 1e-3, "{found:?}");
        passed(
            "007 large wander",
            &format!("rms {:.1} us", found.rms_s * 1e6),
        );
    }
}

#[test]
fn s008_ntp_era() {
    // 2036-02-07T06:28:16Z is the end of NTP's first era: 500 s from the start.
    machine::begin_at(2_085_978_496 - 500);
    let (mut world, _, client) = pair(1, USUAL, SourceOptions::default());
    world.run(END_S);
    assert_usual("008 end of an era", &mut world, client, 210);
}

#[test]
fn s012_daemon_timestamps() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = following(vec![server(source)]);
    let mut machine = Machine::kept(options, OFFSET_S, FREQUENCY, 1);
    // The program reads the clock 20 µs before a request leaves and after a reply has come.
    machine.kept_clock().stamps = (StampSource::Daemon, 20e-6);
    let client = world.add(machine);
    world.run(END_S);
    assert_usual("012 daemon timestamps", &mut world, client, 210);
}

#[test]
fn s103_initstepslew() {
    for (name, offset_s, steps) in [("slewed", 1.0, 0), ("stepped", 10.0, 1), ("back", -10.0, 1)] {
        let mut world = World::new(7, USUAL);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let options = SystemOptions {
            initial: Some(InitialStep {
                threshold_s: 5.0,
                hosts: vec![server(source)],
            }),
            ..following(vec![server(source)])
        };
        let client = world.add(Machine::kept(options, offset_s, FREQUENCY, 7));
        world.run(400.0);
        let kernel = &world.machines[client].system().clock().kernel().clock;
        assert_eq!(kernel.steps(), steps, "{name}");
        world.run(END_S);
        let found = figures(&mut world, client, 400);
        assert!(
            found.synchronised_s <= 300 && found.max_s < 1e-3,
            "{name}: {found:?}"
        );
    }
    passed(
        "103 initstepslew",
        "stepped beyond the threshold, slewed below",
    );
}

#[test]
fn s104_driftfile() {
    for seed in 0..SEEDS {
        let (mut world, _, client) = pair_with(seed, |options| {
            options.drift = Drift::parse("100.0 0.01");
        });
        // The frequency is right before anybody has answered.
        let rate = world.machines[client]
            .system()
            .clock()
            .kernel()
            .clock
            .rate_error();
        assert!(rate.abs() < 1e-8, "{rate}");
        world.run(END_S);
        assert_usual("104 driftfile", &mut world, client, 210);
        let drift = world.machines[client]
            .system()
            .drift()
            .expect("there were updates");
        assert!((drift.frequency_ppm - 100.0).abs() < 0.5, "{drift:?}");
        assert!(drift.skew_ppm < 1.0);
    }
}

#[test]
fn s109_makestep() {
    let rule = |threshold_s, updates| {
        move |options: &mut SystemOptions| {
            options.servo.make_step = Some(MakeStep {
                threshold_s,
                updates,
            });
        }
    };
    let steps = |world: &mut World, client: Place| {
        world.machines[client]
            .system()
            .clock()
            .kernel()
            .clock
            .steps()
    };
    let (mut world, _, client) = pair_with(1, rule(0.05, Some(1)));
    world.run(1000.0);
    assert_eq!(steps(&mut world, client), 1);
    assert!(
        world.machines[client]
            .seen()
            .was_told("System clock was stepped by")
    );
    assert_usual("109 makestep", &mut world, client, 210);
    let (mut world, _, client) = pair_with(1, rule(2.0, Some(1)));
    world.run(600.0);
    assert_eq!(steps(&mut world, client), 0, "below the threshold");
    let (mut world, _, client) = pair_with(1, rule(0.05, Some(0)));
    world.run(600.0);
    assert_eq!(steps(&mut world, client), 0, "no update is left for it");
    // Without a limit it steps late, too.
    let (mut world, source, client) = pair_with(1, rule(0.05, None));
    world.run(3000.0);
    world.with(source, |machine| machine.set_error(3.0));
    world.run(8000.0);
    assert!(steps(&mut world, client) >= 2);
}

#[test]
fn s117_fallbackdrift() {
    let (mut world, source, client) = pair_with(3, |options| {
        options.servo.fallback_drift = Some(FallbackDrift {
            interval_min_log2: 6,
            interval_max_log2: 10,
        });
    });
    world.run(20_000.0);
    world.machines[source].is_silent = true;
    world.run(26_000.0);
    assert!(
        world.machines[client]
            .seen()
            .was_told("the frequency of the past is used")
    );
    let rate = world.machines[client]
        .system()
        .clock()
        .kernel()
        .clock
        .rate_error();
    assert!(rate.abs() < 1e-6, "{rate}");
    passed("117 fallbackdrift", "the past's frequency is used");
}

#[test]
fn s128_nocontrol() {
    let mut world = World::new(1, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let options = following(vec![server_with(source, quick())]);
    let mut machine = Machine::kept(options, OFFSET_S, FREQUENCY, 1);
    machine.kept_clock().is_controlled = false;
    let client = world.add(machine);
    world.run(END_S);
    let kernel = &world.machines[client].system().clock().kernel().clock;
    assert_eq!(kernel.steps(), 0);
    assert!(
        (kernel.rate_error() - FREQUENCY).abs() < 1e-6,
        "nothing was set"
    );
    let served = &world.machines[client].seen().served[300..];
    assert!(
        served.iter().all(|(error, _)| error.abs() < 1e-3),
        "served time is right"
    );
    passed(
        "128 no control",
        "served time is right, the clock as it was",
    );
}

#[test]
fn s130_quit() {
    for (purpose, steps) in [(Purpose::SetOnce, 1), (Purpose::MeasureOnce, 0)] {
        let (mut world, _, client) = pair_with(1, |options| options.purpose = purpose);
        world.run(20.0);
        let machine = &mut world.machines[client];
        assert_eq!(machine.system().clock().kernel().clock.steps(), steps);
        let [end] = machine.seen().ends[..] else {
            panic!("{:?}", machine.seen().ends);
        };
        let (End::Set(offset_s) | End::Measured(offset_s)) = end else {
            panic!("{end:?}");
        };
        assert!((offset_s - 0.1).abs() < 1e-3, "{offset_s}");
    }
    // Nobody answers.
    let mut world = World::new(1, USUAL);
    let options = SystemOptions {
        purpose: Purpose::SetOnce,
        ..following(vec![server(7)])
    };
    let client = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, 1));
    world.run(60.0);
    assert_eq!(world.machines[client].seen().ends, [End::NoSource]);
    passed("130 quit", "-q steps once, -Q never, both end");
}

#[test]
fn s131_maxchange() {
    let (mut world, source, client) = pair_with(1, |options| {
        options.servo.max_change = Some(MaxChange {
            offset_s: 0.05,
            start: 1,
            ignore: Some(3),
        });
    });
    world.run(3000.0);
    assert!(world.machines[client].seen().ends.is_empty());
    world.with(source, |machine| machine.set_error(1.0));
    world.run(30_000.0);
    let seen = world.machines[client].seen();
    assert!(seen.was_told("exceeds maxchange: ignored"));
    assert_eq!(seen.ends.first(), Some(&End::ExceededMaxChange));
    passed("131 maxchange", "ignored three times, then the end");
}

#[test]
fn s132_logchange() {
    for (limit_s, is_told) in [(0.05, true), (0.2, false)] {
        let (mut world, _, client) = pair_with(1, |options| options.log_change_s = limit_s);
        world.run(600.0);
        let told = world.machines[client]
            .seen()
            .was_told("System clock wrong by");
        assert_eq!(told, is_told);
    }
    passed("132 logchange", "told beyond the limit only");
}

#[test]
fn s201_frequency_accumulation() {
    // Updates come often and each is slewed in for long: the frequency must not run away with them.
    let options = SourceOptions {
        min_poll: Some(0),
        max_poll: Some(0),
        ..SourceOptions::default()
    };
    let (mut world, _, client) = pair(1, Link::even(100e-6, 1e-3), options);
    world.run(2000.0);
    let found = figures_near(&mut world, client, 300, 5e-3);
    assert!(found.max_s < 5e-3, "{found:?}");
    let base = world.machines[client].system().clock().frequency();
    assert!((base + FREQUENCY).abs() < 5e-6, "{base}");
    passed(
        "201 frequency accumulation",
        &format!("rms {:.1} us", found.rms_s * 1e6),
    );
}

/// chrony's `maxdrift`: what the clock cannot be made to run by is told once.
#[test]
fn a_frequency_at_its_bound_is_told() {
    for (drift_max, is_told) in [(0.5 * FREQUENCY, true), (2.0 * FREQUENCY, false)] {
        let (mut world, _, client) = pair_with(1, |options| options.frequency_max = drift_max);
        world.run(2000.0);
        let told = &world.machines[client].seen().notices;
        let count = told
            .iter()
            .filter(|(_, text)| text.contains("the most that maxdrift allows"))
            .count();
        assert_eq!(count, usize::from(is_told), "{told:?}");
    }
    passed("maxdrift", "told once where the clock is worse");
}
