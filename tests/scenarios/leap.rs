//! Leap seconds, and served time that is led over them.

use super::*;
use machine::START_UNIX_S;
use maser::discipline::{LeapMode, LeapTable, SmoothingOptions};
use maser::wire::LeapIndicator;

/// The end of the first day.
const MIDNIGHT_S: f64 = 86_400.0;
/// A table in which the day of the start has a second inserted at its end.
const TABLE: &str = "#@ 3913697179\n3644697600 36\n3692217600 37\n";

fn leaping(
    mode: LeapMode,
    announced: bool,
    change: impl FnOnce(&mut SystemOptions),
) -> (World, Place, Place) {
    let (mut world, source, client) = pair_with(1, |options| {
        options.leap_mode = mode;
        change(options);
    });
    world.leap = Some((MIDNIGHT_S, -1.0));
    if announced {
        world.with(source, |machine| {
            machine.say(|system| system.leap = LeapIndicator::InsertSecond);
        });
        world.run(MIDNIGHT_S);
        world.with(source, |machine| {
            machine.say(|system| system.leap = LeapIndicator::NoWarning);
        });
    }
    (world, source, client)
}

fn error_at(world: &mut World, client: Place, second: usize) -> f64 {
    world.machines[client].seen().errors_s[second - 1]
}

#[test]
fn s113_leapsecond_by_the_kernel() {
    let (mut world, _, client) = leaping(LeapMode::System, true, |_| ());
    world.run(MIDNIGHT_S + 20_000.0);
    assert!(error_at(&mut world, client, 86_395).abs() < 1e-3);
    assert!(
        error_at(&mut world, client, 86_410).abs() < 1e-3,
        "the kernel has made it"
    );
    assert!(
        world.machines[client]
            .seen()
            .was_told("leap second: made by the kernel")
    );
    assert_usual("113 leap second, system", &mut world, client, 210);
}

#[test]
fn s113_leapsecond_stepped() {
    let (mut world, _, client) = leaping(LeapMode::Step, true, |_| ());
    world.run(MIDNIGHT_S + 20_000.0);
    assert!(
        error_at(&mut world, client, 86_410).abs() < 1e-3,
        "{}",
        error_at(&mut world, client, 86_410)
    );
    assert!(
        world.machines[client]
            .seen()
            .was_told("leap second: stepped")
    );
    passed("113 leap second, step", "at once");
}

#[test]
fn s113_leapsecond_slewed() {
    let (mut world, _, client) = leaping(LeapMode::Slew, true, |_| ());
    world.run(MIDNIGHT_S + 20_000.0);
    // A second at the largest rate takes 12.
    assert!(error_at(&mut world, client, 86_404).abs() > 0.3);
    assert!(error_at(&mut world, client, 86_430).abs() < 1e-3);
    assert_eq!(
        world.machines[client]
            .system()
            .clock()
            .kernel()
            .clock
            .steps(),
        0
    );
    passed("113 leap second, slew", "in 12 s, no step");
}

#[test]
fn s113_leapsecond_ignored() {
    let (mut world, _, client) = leaping(LeapMode::Ignore, true, |_| ());
    world.run(MIDNIGHT_S + 20_000.0);
    assert!(
        error_at(&mut world, client, 86_430) > 0.9,
        "nothing is done by itself"
    );
    assert!(
        error_at(&mut world, client, 106_000).abs() < 1e-3,
        "the sources show it"
    );
    passed("113 leap second, ignore", "corrected when sources show it");
}

#[test]
fn s113_leapsectz() {
    // Nobody announces it but the table.
    let (mut world, _, client) = leaping(LeapMode::System, false, |options| {
        options.leap_table = LeapTable::parse_list(TABLE).ok();
    });
    world.run(MIDNIGHT_S - 100.0);
    assert_eq!(
        world.machines[client].variables().leap,
        LeapIndicator::InsertSecond
    );
    world.run(MIDNIGHT_S + 20_000.0);
    assert_eq!(
        world.machines[client].variables().leap,
        LeapIndicator::NoWarning
    );
    assert!(error_at(&mut world, client, 86_410).abs() < 1e-3);
    assert_usual("113 leap second by a table", &mut world, client, 210);
}

#[test]
fn s124_tai() {
    let (mut world, _, client) = leaping(LeapMode::System, false, |options| {
        options.leap_table = LeapTable::parse_list(TABLE).ok();
    });
    let told = |world: &mut World| {
        let kernel = &world.machines[client].system().clock().kernel().clock;
        kernel.status().and_then(|status| status.tai_offset_s)
    };
    world.run(1000.0);
    assert_eq!(told(&mut world), Some(36));
    world.run(MIDNIGHT_S + 5000.0);
    assert_eq!(told(&mut world), Some(37));
    passed("124 tai", "the kernel is told of atomic time");
}

#[test]
fn a_leap_second_on_another_day_is_not_believed() {
    // A day that is none of the last of June or December.
    machine::begin_at(START_UNIX_S - 86_400 * 40);
    let (mut world, source, client) = pair_with(1, |_| ());
    world.with(source, |machine| {
        machine.say(|system| system.leap = LeapIndicator::InsertSecond);
    });
    world.run(2000.0);
    assert_eq!(
        world.machines[client].variables().leap,
        LeapIndicator::NoWarning
    );
    passed("113 wrong day", "not believed");
}

#[test]
fn s119_smoothtime() {
    let smoothing = SmoothingOptions {
        frequency_max: 400e-6,
        wander_max: 0.01e-6,
        leap_only: false,
    };
    let (mut world, source, client) = pair_with(1, |options| options.smoothing = Some(smoothing));
    world.run(3000.0);
    assert!(
        world.machines[client]
            .seen()
            .was_told("served time is smoothed")
    );
    // The source is found to have been wrong by 10 ms.
    world.with(source, |machine| machine.set_error(0.01));
    world.run(30_000.0);
    let served: Vec<f64> = world.machines[client]
        .seen()
        .served
        .iter()
        .map(|(error_s, _)| *error_s)
        .collect();
    let steps = served[3001..]
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs());
    let fastest = steps.fold(0.0, f64::max);
    assert!(
        fastest < 450e-6,
        "served time moves by {fastest} in a second"
    );
    assert!((served.last().expect("it ran") - 0.01).abs() < 1e-3);
    passed(
        "119 smoothtime",
        &format!("at most {:.1} ppm", fastest * 1e6),
    );
}

#[test]
fn s119_leap_smear() {
    // The manual's: one second over 62,500 s.
    let smoothing = SmoothingOptions {
        frequency_max: 400e-6,
        wander_max: 0.001_024e-6,
        leap_only: true,
    };
    let (mut world, _, client) = leaping(LeapMode::Slew, true, |options| {
        options.smoothing = Some(smoothing);
        options.slew_rate_max = 1000e-6;
    });
    let before = world.machines[client].variables().leap;
    assert_eq!(before, LeapIndicator::NoWarning, "clients are not told");
    world.run(MIDNIGHT_S + 80_000.0);
    let served: Vec<f64> = world.machines[client]
        .seen()
        .served
        .iter()
        .map(|(error_s, _)| *error_s)
        .collect();
    assert!(served[86_380].abs() < 1e-3);
    // It is the second ahead at first, and gives it back slowly.
    assert!((served[86_410] - 1.0).abs() < 0.01, "{}", served[86_410]);
    let half = served[86_400 + 31_250];
    assert!((half - 0.5).abs() < 0.05, "{half}");
    assert!(
        served[86_400 + 64_000].abs() < 5e-3,
        "{}",
        served[86_400 + 64_000]
    );
    let fastest = served[86_410..]
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f64::max);
    // Beside the smear's 32 us in a second at most there are the clock's own corrections.
    assert!(fastest < 300e-6, "{fastest}");
    passed("119 leap smear", "one second over 62,500 s");
}
