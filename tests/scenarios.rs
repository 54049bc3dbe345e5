//! The whole client in virtual time, scenario by scenario: what chrony's own simulations check, with their limits. The
//! numbers are those of chrony's.
//!
//! `cargo test --release --test scenarios -- --nocapture` prints a line for each.

#[path = "scenarios/clock.rs"]
mod clock;
#[path = "scenarios/exchange.rs"]
mod exchange;
#[path = "scenarios/leap.rs"]
mod leap;
#[path = "sim/link.rs"]
mod link;
#[path = "scenarios/live.rs"]
mod live;
#[path = "scenarios/machine.rs"]
mod machine;
#[path = "scenarios/month.rs"]
mod month;
#[path = "scenarios/network.rs"]
mod network;
#[path = "sim/random.rs"]
mod random;
#[path = "scenarios/refclock.rs"]
mod refclock;
#[path = "scenarios/selection.rs"]
mod selection;
#[path = "scenarios/world.rs"]
mod world;

use link::Link;
use machine::{Machine, primary};
use maser::client::{PoolSize, Role, SourceOptions};
use maser::discipline::{SourceSpec, SystemOptions};
use world::{Place, World, address};

/// The usual network: 100 µs and an exponential delay of a mean of 100 µs each way.
const USUAL: Link = Link::even(100e-6, 100e-6);
/// The usual clock at the start: 0.1 s slow, and fast by 100 ppm.
const OFFSET_S: f64 = -0.1;
const FREQUENCY: f64 = 100e-6;
/// How long chrony's scenarios last, in seconds.
const END_S: f64 = 10_000.0;
const SEEDS: u64 = if cfg!(debug_assertions) { 2 } else { 10 };

fn named(host: &str, options: SourceOptions) -> SourceSpec {
    SourceSpec {
        host: host.to_owned(),
        role: Role::Client,
        size: PoolSize::One,
        options,
    }
}

fn server_with(place: Place, options: SourceOptions) -> SourceSpec {
    named(&address(place).to_string(), options)
}

fn server(place: Place) -> SourceSpec {
    server_with(place, SourceOptions::default())
}

/// Asked quickly at first, so that a scenario need not wait.
fn quick() -> SourceOptions {
    SourceOptions {
        iburst: true,
        ..SourceOptions::default()
    }
}

fn following(sources: Vec<SourceSpec>) -> SystemOptions {
    SystemOptions {
        sources,
        ..SystemOptions::default()
    }
}

/// A true server, and a client that follows it with these options.
fn pair(seed: u64, link: Link, options: SourceOptions) -> (World, Place, Place) {
    let mut world = World::new(seed, link);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let spec = server_with(source, options);
    let client = world.add(Machine::kept(
        following(vec![spec]),
        OFFSET_S,
        FREQUENCY,
        seed,
    ));
    (world, source, client)
}

/// The same with all that the system process can be told.
fn pair_with(seed: u64, change: impl FnOnce(&mut SystemOptions)) -> (World, Place, Place) {
    let mut world = World::new(seed, USUAL);
    let source = world.add(Machine::server(0.0, 0.0, primary(1)));
    let mut options = following(vec![server_with(source, quick())]);
    change(&mut options);
    let client = world.add(Machine::kept(options, OFFSET_S, FREQUENCY, seed));
    (world, source, client)
}

/// What chrony's tests look at: when the clock was near the truth for good, and how far off it was after a moment.
#[derive(Debug)]
struct Figures {
    synchronised_s: usize,
    rms_s: f64,
    max_s: f64,
}

/// `near_s` is the error below which it is synchronised.
fn figures_near(world: &mut World, place: Place, from_s: usize, near_s: f64) -> Figures {
    let errors = &world.machines[place].seen().errors_s;
    let last = errors.iter().rposition(|error| error.abs() >= near_s);
    let after = &errors[from_s.min(errors.len() - 1)..];
    let squares: f64 = after.iter().map(|error| error * error).sum();
    let count = u32::try_from(after.len()).expect("short");
    Figures {
        synchronised_s: last.map_or(0, |last| last + 1),
        rms_s: (squares / f64::from(count)).sqrt(),
        max_s: after
            .iter()
            .fold(0.0, |most: f64, error| most.max(error.abs())),
    }
}

fn figures(world: &mut World, place: Place, from_s: usize) -> Figures {
    figures_near(world, place, from_s, 1e-3)
}

/// chrony's limits where a test names no others: the largest error below 1 ms, RMS below 0.3 ms.
#[track_caller]
fn assert_usual(name: &str, world: &mut World, place: Place, synchronised_by_s: usize) -> Figures {
    let found = figures(world, place, synchronised_by_s);
    println!(
        "{name:32} synchronised {:5} s, rms {:8.1} us, max {:8.1} us",
        found.synchronised_s,
        found.rms_s * 1e6,
        found.max_s * 1e6
    );
    assert!(
        found.synchronised_s <= synchronised_by_s,
        "{name}: {found:?}"
    );
    assert!(
        found.rms_s < 0.3e-3 && found.max_s < 1e-3,
        "{name}: {found:?}"
    );
    found
}

fn is_synchronised(world: &mut World, place: Place) -> bool {
    world.machines[place].variables().is_synchronised()
}

fn passed(name: &str, what: &str) {
    println!("{name:32} {what}");
}
