//! Two peers that ask each other.

use maser::auth::{Key, KeyStore, KeyType};
use maser::client::{
    Association, Due, Expectation, Local, Port, Role, Sample, SourceOptions, Stamp, StampSource,
};
use maser::wire::{CookedTime, KeyId, SystemVariables};

use super::link::{Clock, Link, MICROSECOND, SECOND, Weather};
use super::server::synchronised;

/// From the clock's reading before a packet leaves to its departure.
const SENDING_NS: u64 = 40 * MICROSECOND;
const HOUR: u64 = 3_600 * SECOND;

/// One of the two.
struct Side {
    clock: Clock,
    system: SystemVariables,
    association: Association,
    samples: Vec<(Sample, bool)>,
}

impl Side {
    fn new(clock: Clock, options: SourceOptions) -> Self {
        Self {
            clock,
            system: synchronised(clock),
            association: Association::new(Role::Peer, options, 0),
            samples: Vec::new(),
        }
    }

    fn stamp(&self, at_ns: u64) -> Stamp {
        Stamp {
            at: CookedTime(self.clock.at(at_ns)),
            error_s: 0.0,
            source: StampSource::Kernel,
        }
    }

    fn ask(&mut self, keys: &KeyStore, now_ns: u64, random: [u64; 3]) -> Option<Vec<u8>> {
        let now = self.clock.now(now_ns);
        let stamp = self.stamp(now_ns + SENDING_NS);
        let local = local(keys, &self.system);
        match self.association.timeout(now, random, &local) {
            Due::Send(request) => {
                assert_eq!(request.from, Port::Serving);
                self.association.departed(request.id, stamp);
                Some(request.bytes().to_vec())
            }
            Due::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, keys: &KeyStore, bytes: &[u8], now_ns: u64) {
        let received = self.stamp(now_ns);
        let expected = Expectation {
            skew: 1e-6,
            ..Expectation::default()
        };
        let local = local(keys, &self.system);
        let reply = self
            .association
            .reply(bytes, received, now_ns, &local, &expected);
        if let Some(reply) = reply
            && let Some(sample) = reply.sample
        {
            let is_interleaved = reply.measurement.is_interleaved;
            self.samples.push((sample, is_interleaved));
        }
    }

    fn interleaved(&self) -> usize {
        self.samples
            .iter()
            .filter(|(_, interleaved)| *interleaved)
            .count()
    }
}

fn local<'a>(keys: &'a KeyStore, system: &'a SystemVariables) -> Local<'a> {
    Local {
        keys,
        system,
        address: None,
        max_clock_error: 1e-6,
        is_selected: false,
    }
}

struct Pair {
    now_ns: u64,
    sides: [Side; 2],
    keys: KeyStore,
    /// To which side, and what.
    link: Link<(usize, Vec<u8>)>,
}

impl Pair {
    fn new(options: [SourceOptions; 2], weather: Weather, seed: u64) -> Self {
        let [one, other] = options;
        let (slow, fast) = (
            Clock {
                offset_ns: -40_000_000,
                fast_ppb: 500,
            },
            Clock {
                offset_ns: 60_000_000,
                fast_ppb: -200,
            },
        );
        let key = Key::new(KeyId(1), KeyType::Aes128, &[7; 16]).unwrap();
        Self {
            now_ns: 0,
            sides: [Side::new(slow, one), Side::new(fast, other)],
            keys: KeyStore::new(&[key]).0,
            link: Link::new(weather, seed),
        }
    }

    fn run(&mut self, until_ns: u64) {
        loop {
            let deadlines = self
                .sides
                .each_ref()
                .map(|side| side.association.next_deadline());
            let [one, other] = deadlines;
            let next_ns = [one, other, self.link.next_arrival()]
                .into_iter()
                .flatten()
                .min();
            let next_ns = next_ns.expect("peers never stop");
            if next_ns > until_ns {
                self.now_ns = until_ns;
                return;
            }
            self.now_ns = self.now_ns.max(next_ns);
            while let Some((to, bytes)) = self.link.arrived(self.now_ns) {
                self.sides[to].receive(&self.keys, &bytes, self.now_ns);
            }
            for from in [0, 1] {
                let random = [self.link.bits(), self.link.bits(), self.link.bits()];
                let packet = self.sides[from].ask(&self.keys, self.now_ns, random);
                if let Some(packet) = packet {
                    self.link.send((1 - from, packet), self.now_ns + SENDING_NS);
                }
            }
        }
    }

    /// By how much the samples of a side are wrong, in seconds.
    fn errors_s(&self, side: usize) -> Vec<f64> {
        let (mine, theirs) = (self.sides[side].clock, self.sides[1 - side].clock);
        let samples = self.sides[side].samples.iter();
        samples
            .map(|(sample, _)| sample.offset_s - mine.behind_s(theirs, sample.at))
            .collect()
    }
}

fn options(signed: bool, xleave: bool, poll: i8) -> SourceOptions {
    SourceOptions {
        min_poll: Some(poll),
        max_poll: Some(poll),
        key: signed.then_some(KeyId(1)),
        xleave,
        // Half an interval passes between a packet and its answer.
        max_delay_s: 0.1,
        ..SourceOptions::default()
    }
}

#[test]
fn peers_measure_each_other_by_turns() {
    for (signed, xleave) in [(false, false), (true, false), (false, true), (true, true)] {
        let both = [options(signed, xleave, 4), options(signed, xleave, 4)];
        let mut pair = Pair::new(both, Weather::FAIR, 11);
        pair.run(HOUR);
        for (at, side) in pair.sides.iter().enumerate() {
            let said = format!("side {at}, signed {signed}, interleaved {xleave}");
            assert!(side.samples.len() > 200, "{said}: {}", side.samples.len());
            let ahead = [0.1, -0.1][at];
            for (sample, _) in &side.samples {
                assert!((sample.offset_s - ahead).abs() < 0.01, "{said}: {sample:?}");
            }
            // In basic mode a packet says that it leaves 40 us before it does.
            for (error_s, (_, is_interleaved)) in pair.errors_s(at).iter().zip(&side.samples) {
                let wrong_s = if *is_interleaved { 0.0 } else { -20e-6 };
                assert!((error_s - wrong_s).abs() < 2e-6, "{said}: {error_s}");
            }
            let interleaved = side.interleaved();
            if xleave {
                assert!(
                    interleaved > side.samples.len() - 10,
                    "{said}: {interleaved}"
                );
            } else {
                assert_eq!(interleaved, 0, "{said}");
            }
            assert_eq!(side.association.reach().to_string(), "377", "{said}");
        }
    }
}

#[test]
fn one_peer_s_xleave_is_enough_for_both() {
    let both = [options(true, true, 4), options(true, false, 4)];
    let mut pair = Pair::new(both, Weather::FAIR, 12);
    pair.run(HOUR);
    for side in &pair.sides {
        assert!(side.interleaved() > 190, "{}", side.interleaved());
    }
}

#[test]
fn peers_of_different_intervals_keep_the_shorter() {
    let both = [options(false, true, 6), options(false, true, 4)];
    let patient = SourceOptions {
        min_poll: Some(3),
        ..both[0].clone()
    };
    let mut pair = Pair::new([patient, both[1].clone()], Weather::FAIR, 13);
    pair.run(HOUR);
    for (at, side) in pair.sides.iter().enumerate() {
        assert!(side.samples.len() > 190, "{at}: {}", side.samples.len());
        assert!(pair.errors_s(at).iter().all(|error| error.abs() < 25e-6));
    }
}

#[test]
fn a_peer_that_cannot_ask_as_often_still_gets_right_offsets() {
    let mut pair = Pair::new(
        [options(true, true, 6), options(true, true, 4)],
        Weather::FAIR,
        14,
    );
    pair.run(4 * HOUR);
    for (at, side) in pair.sides.iter().enumerate() {
        assert!(side.samples.len() > 150, "{at}: {}", side.samples.len());
        assert!(pair.errors_s(at).iter().all(|error| error.abs() < 25e-6));
    }
}

#[test]
fn in_foul_weather_no_sample_is_further_off_than_the_path_explains() {
    for seed in 20..32 {
        for (signed, xleave) in [(true, false), (true, true), (false, true)] {
            let both = [options(signed, xleave, 4), options(signed, xleave, 4)];
            let mut pair = Pair::new(both, Weather::FOUL, seed);
            pair.run(HOUR);
            for (at, side) in pair.sides.iter().enumerate() {
                let said = format!("seed {seed}, side {at}, signed {signed}, interleaved {xleave}");
                assert!(side.samples.len() > 60, "{said}: {}", side.samples.len());
                assert_eq!(
                    xleave,
                    side.interleaved() > 10,
                    "{said}: {}",
                    side.interleaved()
                );
                for (error_s, (sample, _)) in pair.errors_s(at).iter().zip(&side.samples) {
                    assert!(error_s.abs() < 2.6e-3, "{said}: {error_s}, {sample:?}");
                }
            }
        }
    }
}

#[test]
fn peers_find_each_other_again_after_a_restart_and_after_a_step() {
    let one = options(true, true, 4);
    let mut pair = Pair::new([one.clone(), one.clone()], Weather::FAIR, 15);
    pair.run(HOUR);
    // One has forgotten everything.
    let clock = pair.sides[0].clock;
    let mut restarted = Side::new(clock, one);
    restarted.association = Association::new(Role::Peer, options(true, true, 4), HOUR);
    pair.sides[0] = restarted;
    let before = pair.sides[1].samples.len();
    pair.run(2 * HOUR);
    assert!(
        pair.sides[0].samples.len() > 200,
        "{}",
        pair.sides[0].samples.len()
    );
    let after = pair.sides[1].samples.len() - before;
    assert!(after > 200, "{after}");
    assert!(pair.sides[0].interleaved() > 190);
    // The other's clock is set back by an hour.
    pair.sides[1].clock.offset_ns -= HOUR.cast_signed();
    pair.sides[1].association.clock_jumped();
    for side in &mut pair.sides {
        side.samples.clear();
    }
    pair.run(3 * HOUR);
    for (at, side) in pair.sides.iter().enumerate() {
        assert!(side.samples.len() > 190, "{at}: {}", side.samples.len());
        let errors_s = pair.errors_s(at);
        assert!(
            errors_s.iter().all(|error| error.abs() < 30e-6),
            "{at}: {errors_s:?}"
        );
    }
}
