//! The client and its discipline in virtual time: how far off the clock is, in chrony's scenarios.
//!
//! `cargo test --release --test sim -- --nocapture` runs twenty seeds of each and prints a line for each;
//! without optimisation three seeds are run, with wider limits. Those of twenty are chronyd's own figures and what
//! two sets of twenty seeds may differ by.

#[path = "sim/client.rs"]
mod client;
#[path = "sim/link.rs"]
mod link;
#[path = "sim/poll.rs"]
mod poll;
#[path = "sim/random.rs"]
mod random;
#[path = "sim/source.rs"]
mod source;
#[path = "sim/world.rs"]
mod world;

use client::Client;
use link::Link;
use maser::discipline::ServoOptions;
use poll::Poll;
use random::Random;
use source::{Clock, Server};
use world::World;

struct Scenario {
    name: &'static str,
    offset_s: f64,
    frequency: f64,
    link: Link,
    wander: f64,
    /// Synchronised from when on the error is below this.
    bound_s: f64,
    /// The figures are of the time from this second on, by which it must be synchronised.
    settled: usize,
    /// The median of all seeds' root mean square is at most this.
    rms_max_s: f64,
}

/// Of one run; in seconds.
struct Figures {
    synchronised_s: f64,
    rms_s: f64,
    served_rms_s: f64,
    max_s: f64,
}

const DEFAULT: Scenario = Scenario {
    name: "default",
    offset_s: 0.1,
    frequency: 100e-6,
    link: Link::even(100e-6, 100e-6),
    wander: 1e-9,
    bound_s: 1e-3,
    settled: 210,
    rms_max_s: 45e-6,
};

impl Scenario {
    fn world(&self, seed: u64, burst: u32) -> World {
        let server = Server::new(Clock::True, self.link);
        let options = ServoOptions::default();
        let client = Client::new(-self.offset_s, self.frequency, options, &[Poll::new(burst)]);
        World::new(client, vec![server], self.wander, Random::new(seed))
    }

    fn run(&self, seed: u64, burst: u32) -> Figures {
        let mut world = self.world(seed, burst);
        world.run(seconds(END));
        let errors = &world.errors_s;
        let is_far = |error: &f64| error.abs() >= self.bound_s;
        let window = self.settled..END;
        let start = errors[..self.settled].iter().rposition(is_far);
        let rms = |errors: &[f64]| {
            let squares: f64 = errors.iter().map(|error| error * error).sum();
            (squares / seconds(errors.len())).sqrt()
        };
        let peak = errors[window.clone()]
            .iter()
            .fold(0.0, |a: f64, b| a.max(b.abs()));
        Figures {
            synchronised_s: start.map_or(0.0, |last| seconds(last) + 1.0),
            rms_s: rms(&errors[window.clone()]),
            served_rms_s: rms(&world.served_errors_s[window]),
            max_s: peak,
        }
    }

    /// The figures of all seeds, by growing error, and a line about them.
    fn judge(&self, burst: u32) -> Vec<Figures> {
        let mut all: Vec<_> = (0..SEEDS).map(|seed| self.run(seed, burst)).collect();
        all.sort_by(|a, b| a.rms_s.total_cmp(&b.rms_s));
        let peak = all.iter().fold(0.0, |a: f64, b| a.max(b.max_s));
        let middle = &all[all.len() / 2];
        let late = all.iter().fold(0.0, |a: f64, b| a.max(b.synchronised_s));
        println!(
            "{:18} median rms {:9.1} us (served {:9.1}), {:9.1} to {:9.1}; max {:9.1}; synchronised by {late} s; {SEEDS} seeds",
            self.name,
            middle.rms_s * 1e6,
            middle.served_rms_s * 1e6,
            all[0].rms_s * 1e6,
            all[all.len() - 1].rms_s * 1e6,
            peak * 1e6,
        );
        assert!(middle.rms_s <= self.rms_max_s * LIMITS_WIDER);
        all
    }
}

fn seconds(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a run is short"))
}

#[test]
fn s001_default() {
    for figures in DEFAULT.judge(0) {
        assert!(figures.max_s < 1e-3 && figures.rms_s < 0.3e-3);
        assert!((120.0..=210.0).contains(&figures.synchronised_s));
    }
}

#[test]
fn s005_large_jitter() {
    Scenario {
        name: "large jitter",
        offset_s: 1.0,
        link: Link::even(100e-6, 100e-3),
        bound_s: 100e-3,
        rms_max_s: 14e-3,
        ..DEFAULT
    }
    .judge(0);
}

#[test]
fn s006_large_wander() {
    Scenario {
        name: "large wander",
        wander: 1e-7,
        rms_max_s: 145e-6,
        ..DEFAULT
    }
    .judge(0);
}

#[test]
fn s010_asymmetric_jitter() {
    Scenario {
        name: "asymmetric jitter",
        link: Link {
            jitter_s: [500e-6 * 0.06, 500e-6 * 1.94],
            ..Link::even(100e-6, 0.0)
        },
        rms_max_s: 90e-6,
        ..DEFAULT
    }
    .judge(0);
}

#[test]
fn s008_falsetickers_are_told_from_three_good_sources() {
    let link = Link::even(100e-6, 100e-6);
    let clocks = [
        Clock::True,
        Clock::True,
        Clock::True,
        Clock::Jumps {
            at_s: 2000.0,
            by_s: 0.5,
        },
        Clock::Drifts(50e-6),
    ];
    for seed in 0..SEEDS {
        let polls = [Poll::new(4); 5];
        let options = ServoOptions::default();
        let client = Client::new(-0.1, 100e-6, options, &polls);
        let servers = clocks.map(|clock| Server::new(clock, link)).to_vec();
        let mut world = World::new(client, servers, 1e-9, Random::new(seed));
        world.run(10_000.0);
        let states: String = world
            .client
            .sources
            .iter()
            .map(|s| s.standing.state.sign())
            .collect();
        let (good, bad) = states.split_at(3);
        assert!(good.contains('*') && !good.contains('x'), "{states}");
        assert_eq!(bad, "xx");
        let late = &world.errors_s[5000..];
        assert!(late.iter().all(|error| error.abs() < 1e-3));
    }
}

#[test]
fn s102_iburst() {
    let all = Scenario {
        name: "iburst",
        ..DEFAULT
    }
    .judge(4);
    assert!(all.iter().all(|figures| figures.synchronised_s < 100.0));
}

const SEEDS: u64 = if cfg!(debug_assertions) { 3 } else { 20 };
/// The median of three seeds is a worse measure than that of twenty.
const LIMITS_WIDER: f64 = if cfg!(debug_assertions) { 2.0 } else { 1.0 };
/// Seconds.
const END: usize = 10_000;
