//! Which sources are followed.

use super::*;
use maser::client::State;

/// True servers, and a client of all of them with these options for each.
fn several(
    seed: u64,
    errors_s: &[f64],
    options: impl Fn(usize) -> SourceOptions,
) -> (World, Vec<Place>, Place) {
    several_with(seed, errors_s, options, |_| ())
}

fn several_with(
    seed: u64,
    errors_s: &[f64],
    options: impl Fn(usize) -> SourceOptions,
    change: impl FnOnce(&mut SystemOptions),
) -> (World, Vec<Place>, Place) {
    let mut world = World::new(seed, USUAL);
    let places: Vec<Place> = errors_s
        .iter()
        .map(|error_s| world.add(Machine::server(*error_s, 0.0, primary(1))))
        .collect();
    let specs = places.iter().enumerate();
    let specs = specs
        .map(|(at, place)| server_with(*place, options(at)))
        .collect();
    let mut system = following(specs);
    change(&mut system);
    let client = world.add(Machine::kept(system, OFFSET_S, FREQUENCY, seed));
    (world, places, client)
}

fn states(world: &mut World, client: Place) -> String {
    let sources = world.with(client, Machine::sources);
    sources.iter().map(|source| source.state.sign()).collect()
}

fn selected(world: &mut World, client: Place) -> Option<usize> {
    let sources = world.with(client, Machine::sources);
    sources
        .iter()
        .position(|source| source.state == State::Selected)
}

#[test]
fn s009_source_selection() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, USUAL);
        for _ in 0..3 {
            world.add(Machine::server(0.0, 0.0, primary(1)));
        }
        let jumps = world.add(Machine::server(0.0, 0.0, primary(1)));
        let drifts = world.add(Machine::server(0.0, 50e-6, primary(1)));
        let specs = (0..5).map(|place| server_with(place, quick())).collect();
        let client = world.add(Machine::kept(following(specs), OFFSET_S, FREQUENCY, seed));
        world.run(3000.0);
        world.with(jumps, |machine| machine.set_error(0.5));
        world.run(END_S);
        let states = states(&mut world, client);
        let (good, bad) = states.split_at(3);
        assert!(good.contains('*') && !good.contains('x'), "{states}");
        assert_eq!(
            bad, "xx",
            "the one that jumps and the one that drifts ({drifts})"
        );
        assert_usual("009 source selection", &mut world, client, 210);
    }
}

#[test]
fn two_that_disagree_are_no_majority() {
    let (mut world, _, client) = several(1, &[0.0, 1.0], |_| quick());
    world.run(1000.0);
    assert!(!is_synchronised(&mut world, client));
    assert_eq!(states(&mut world, client), "xx");
    passed("no majority", "two that disagree leave none");
}

#[test]
fn s116_minsources() {
    for (count, is_enough) in [(2, false), (3, true)] {
        let errors = vec![0.0; count];
        let (mut world, _, client) = several_with(
            1,
            &errors,
            |_| quick(),
            |system| system.selection.sources_min = 3,
        );
        world.run(1000.0);
        assert_eq!(is_synchronised(&mut world, client), is_enough, "{count}");
    }
    passed("116 minsources", "two of three needed are not enough");
}

#[test]
fn s120_prefer() {
    let (mut world, _, client) = several(1, &[0.0, 0.0, 0.0], |at| SourceOptions {
        prefer: at == 2,
        ..quick()
    });
    world.run(2000.0);
    assert_eq!(selected(&mut world, client), Some(2));
    passed("120 prefer", "the preferred one is followed");
}

#[test]
fn s120_noselect() {
    let (mut world, _, client) = several(1, &[0.5, 0.0, 0.0], |at| SourceOptions {
        noselect: at != 1,
        ..quick()
    });
    world.run(2000.0);
    assert_eq!(selected(&mut world, client), Some(1));
    assert_usual("120 noselect", &mut world, client, 300);
}

#[test]
fn s120_trust() {
    // Two that agree against one that is trusted.
    let (mut world, _, client) = several(1, &[0.5, 0.5, 0.0], |at| SourceOptions {
        trust: at == 2,
        ..quick()
    });
    world.run(3000.0);
    assert_eq!(selected(&mut world, client), Some(2));
    assert_usual("120 trust", &mut world, client, 300);
}

#[test]
fn s120_require() {
    let (mut world, places, client) = several(1, &[0.0, 0.0], |at| SourceOptions {
        require: at == 1,
        ..quick()
    });
    world.machines[places[1]].is_silent = true;
    world.run(1000.0);
    assert!(
        !is_synchronised(&mut world, client),
        "the one that is required is missing"
    );
    world.machines[places[1]].is_silent = false;
    world.run(4000.0);
    assert!(is_synchronised(&mut world, client));
    passed("120 require", "nothing without the one that is required");
}

#[test]
fn s150_maxunreach() {
    for (most, is_kept) in [(3, false), (100_000, true)] {
        let (mut world, places, client) = several(1, &[0.0], |_| SourceOptions {
            max_unreach: most,
            min_poll: Some(4),
            max_poll: Some(4),
            ..quick()
        });
        world.run(1000.0);
        world.machines[places[0]].is_silent = true;
        world.run(2000.0);
        assert_eq!(selected(&mut world, client).is_some(), is_kept, "{most}");
        let told = world.machines[client]
            .seen()
            .was_told("Can't synchronise: no selectable sources");
        assert_eq!(told, !is_kept);
    }
    passed("150 maxunreach", "not selected after as many polls");
}

#[test]
fn s151_stratumlimit() {
    for (min, max, is_followed) in [(0, 15, true), (2, 15, false), (0, 1, true), (1, 1, true)] {
        let (mut world, _, client) = several_with(
            1,
            &[0.0],
            |_| quick(),
            |system| {
                system.selection.stratum_min = min;
                system.selection.stratum_max = max;
            },
        );
        world.run(500.0);
        assert_eq!(
            is_synchronised(&mut world, client),
            is_followed,
            "{min} to {max}"
        );
    }
    passed("151 stratumlimit", "outside of the limits is not followed");
}

#[test]
fn s202_prefer() {
    // The preferred one vanishes and comes back.
    let (mut world, places, client) = several(1, &[0.0, 0.0, 0.0], |at| SourceOptions {
        prefer: at == 0,
        min_poll: Some(4),
        max_poll: Some(4),
        ..quick()
    });
    world.run(1000.0);
    assert_eq!(selected(&mut world, client), Some(0));
    world.machines[places[0]].is_silent = true;
    world.run(4000.0);
    assert!(matches!(selected(&mut world, client), Some(1 | 2)));
    world.machines[places[0]].is_silent = false;
    world.run(6000.0);
    assert_eq!(selected(&mut world, client), Some(0));
    assert_usual("202 prefer", &mut world, client, 210);
}

#[test]
fn combined_sources_are_better_than_one() {
    let (mut world, _, client) = several(1, &[0.0; 5], |_| quick());
    world.run(END_S);
    let combined = world.machines[client]
        .seen()
        .tracking
        .iter()
        .map(|update| update.combined);
    assert!(combined.max() >= Some(4));
    assert_usual("combining", &mut world, client, 210);
}

#[test]
fn s014_sources_that_vanish() {
    let (mut world, places, client) = several(1, &[0.0, 0.0, 0.0], |_| quick());
    world.run(2000.0);
    let first = selected(&mut world, client).expect("one is followed");
    world.machines[places[first]].is_silent = true;
    world.run(12_000.0);
    let second = selected(&mut world, client).expect("another is followed");
    assert_ne!(first, second);
    assert_usual("014 the source vanishes", &mut world, client, 210);
}
