//! The whole client in virtual time, scenario by scenario: what chrony's own simulations check, with their limits.
//!
//! `cargo test --release --test scenarios -- --nocapture` prints the figures.

#[path = "sim/link.rs"]
mod link;
#[expect(dead_code, reason = "not every scenario is here yet")]
#[path = "scenarios/machine.rs"]
mod machine;
#[path = "sim/random.rs"]
mod random;
#[expect(dead_code, reason = "not every scenario is here yet")]
#[path = "scenarios/world.rs"]
mod world;

use link::Link;
use machine::{Machine, primary};
use maser::client::{PoolSize, Role, SourceOptions};
use maser::discipline::{SourceSpec, SystemOptions};
use world::{Place, World, address};

/// The usual network: 100 µs and an exponential delay of a mean of 100 µs each way.
const USUAL: Link = Link::even(100e-6, 100e-6);

fn server(place: Place) -> SourceSpec {
    SourceSpec {
        host: address(place).to_string(),
        role: Role::Client,
        size: PoolSize::One,
        options: SourceOptions::default(),
    }
}

fn following(sources: Vec<SourceSpec>) -> SystemOptions {
    SystemOptions {
        sources,
        ..SystemOptions::default()
    }
}

/// What chrony's tests look at: when the clock was near the truth for good, and how far off it was after that.
#[derive(Debug)]
struct Figures {
    synchronised_s: usize,
    rms_s: f64,
    max_s: f64,
}

fn figures(world: &mut World, place: Place, from_s: usize) -> Figures {
    let errors = &world.machines[place].seen().errors_s;
    let last = errors.iter().rposition(|error| error.abs() >= 1e-3);
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

#[test]
fn s001_defaults() {
    for seed in 0..5 {
        let mut world = World::new(seed, USUAL);
        let source = world.add(Machine::server(0.0, 0.0, primary(1)));
        let client = world.add(Machine::kept(
            following(vec![server(source)]),
            -0.1,
            100e-6,
            seed,
        ));
        world.run(10_000.0);
        let found = figures(&mut world, client, 210);
        println!(
            "defaults {found:?} {:?} {} {:?}",
            world.machines[client].variables(),
            world.machines[client].seen().requests.len(),
            world.machines[client].seen().notices
        );
        assert!((120..=210).contains(&found.synchronised_s), "{found:?}");
        assert!(found.rms_s < 0.3e-3 && found.max_s < 1e-3, "{found:?}");
    }
}
