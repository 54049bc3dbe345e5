//! A month in which all happens that does.

use super::*;
use maser::wire::LeapIndicator;

const DAY_S: f64 = 86_400.0;

/// A leap second on the first day, sleep, steps by others, sources that vanish, come back and go wrong, a bad network.
#[test]
fn s900_a_month() {
    for seed in 0..MONTHS {
        let month = month(seed);
        let Month { worst, kept, .. } = month;
        assert!(worst <= 1.0, "seed {seed}: {worst}");
        assert!(month.claims * 100 > month.seconds * 90, "seed {seed}");
        // Registers were full after the first days.
        let (early, late) = (kept[5], kept[kept.len() - 1]);
        assert!(late - early < 16_384, "seed {seed}: {kept:?}");
        passed(
            "900 a month",
            &format!(
                "the error is {worst:.2} of the root distance at most; memory {early} to {late} bytes"
            ),
        );
    }
}

const MONTHS: u64 = if cfg!(debug_assertions) { 1 } else { 10 };

/// What a month has shown.
#[derive(Default)]
struct Month {
    /// The largest error as a share of what was claimed.
    worst: f64,
    seconds: usize,
    /// Seconds in which it was synchronised.
    claims: usize,
    /// What was allocated and not freed at the end of each day, in bytes.
    kept: Vec<isize>,
}

impl Month {
    /// A day's seconds. Nothing that was noted of it is kept.
    fn count(&mut self, seen: machine::Seen) {
        for (error_s, claimed_s) in &seen.served {
            self.seconds += 1;
            // Within the second in which UTC has a leap, no clock is right.
            let leaps = (86_400..=86_402).contains(&self.seconds);
            if let Some(claimed_s) = claimed_s {
                self.claims += 1;
                let share = error_s.abs() / claimed_s;
                self.worst = self.worst.max(if leaps { 0.0 } else { share });
            }
        }
        drop(seen);
        self.kept.push(live::bytes());
    }
}

fn month(seed: u64) -> Month {
    let mut month = Month {
        kept: Vec::with_capacity(64),
        ..Month::default()
    };
    let mut world = World::new(seed, USUAL);
    for _ in 0..4 {
        world.add(Machine::server(0.0, 0.0, primary(1)));
    }
    let specs = (0..4).map(|place| server_with(place, quick())).collect();
    let client = world.add(Machine::kept(following(specs), OFFSET_S, FREQUENCY, seed));
    world.leap = Some((DAY_S, -1.0));
    for place in 0..4 {
        world.with(place, |machine| {
            machine.say(|system| system.leap = LeapIndicator::InsertSecond)
        });
    }
    world.run(DAY_S);
    for place in 0..4 {
        world.with(place, |machine| {
            machine.say(|system| system.leap = LeapIndicator::NoWarning)
        });
    }
    for day in 1..30_u32 {
        befall(&mut world, client, day);
        let sources = world.with(client, Machine::sources);
        assert_eq!(sources.len(), 4, "sources are neither lost nor multiplied");
        assert!(sources.iter().all(|source| source.statistics.samples <= 64));
        drop(sources);
        month.count(std::mem::take(world.machines[client].seen()));
    }
    world.run(30.0 * DAY_S);
    assert!(is_synchronised(&mut world, client));
    month.count(std::mem::take(world.machines[client].seen()));
    month
}

/// What happens on a day, a quarter of it gone.
fn befall(world: &mut World, client: Place, day: u32) {
    let at_s = f64::from(day) * DAY_S;
    world.run(at_s + 20_000.0);
    match day % 6 {
        0 => {
            // Somebody sets the clock.
            let by_s = if day.is_multiple_of(4) { 3.0 } else { -0.2 };
            world.with(client, |machine| machine.step_outside(by_s));
        }
        1 => {
            // Two sources vanish until the next day.
            for place in [0, 1] {
                world.machines[place].is_silent = day % 12 == 1;
            }
        }
        2 => {
            // The machine sleeps; its clock is off by some when it wakes.
            world.with(client, |machine| machine.step_outside(0.7));
        }
        3 => {
            let wrong = usize::try_from(day).expect("small") % 4;
            world.with(wrong, |machine| machine.set_error(2.0));
        }
        4 => {
            for place in 0..4 {
                world.with(place, |machine| machine.set_error(0.0));
            }
        }
        _ => {
            world.link = Link {
                loss: 0.3,
                replayed: 0.1,
                ..Link::even(5e-3, 20e-3)
            };
            world.run(at_s + 60_000.0);
            world.link = USUAL;
        }
    }
}
