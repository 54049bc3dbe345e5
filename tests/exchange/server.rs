//! A client of our own server.

use std::net::IpAddr;
use std::sync::Arc;

use maser::auth::{Key, KeyStore, KeyType};
use maser::client::{
    Association, ClockChange, Due, Expectation, Local, Reply, RequestId, Role, Sample,
    SourceOptions, Stamp, StampSource,
};
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, InterleavedTable, Outcome, Responder,
    ResponderParts, Subnet,
};
use maser::wire::{
    CookedTime, HeaderMut, HeaderView, KeyId, LeapIndicator, NtpDuration, RawTime, ReferenceId,
    SystemVariables,
};

use super::link::{Clock, Link, MICROSECOND, SECOND, Weather};

/// From the clock's reading before a packet leaves to its departure.
const SENDING_NS: u64 = 30 * MICROSECOND;
const SERVING_NS: u64 = 50 * MICROSECOND;

#[derive(Clone)]
enum Packet {
    Request(Vec<u8>),
    Reply { bytes: Vec<u8>, is_forged: bool },
}

/// What an attacker on the path does with a reply.
#[derive(Clone, Copy, PartialEq)]
enum Forger {
    None,
    /// Sees it, changes its times, and is faster.
    OnPath,
    /// Sees nothing, and guesses what was asked.
    OffPath,
}

/// One client, one server.
struct World {
    now_ns: u64,
    mine: Clock,
    theirs: Clock,
    association: Association,
    responder: Responder,
    /// Whether the server tells when a reply really left.
    stamps_departures: bool,
    keys: Arc<KeyStore>,
    system: SystemVariables,
    link: Link<Packet>,
    forger: Forger,
    port: Option<RequestId>,
    /// Each with whether it is interleaved, and by how much it is wrong, in seconds.
    samples: Vec<(Sample, bool, f64)>,
    /// Our clock is set by 50 ms, there and back, while requests are under way; whether we are told.
    setting: Option<bool>,
    forged_valid: usize,
}

fn keys() -> KeyStore {
    let keys = [
        Key::new(KeyId(1), KeyType::Aes128, &[7; 16]).unwrap(),
        Key::new(KeyId(2), KeyType::Sha512, b"long digests").unwrap(),
    ];
    KeyStore::new(&keys).0
}

fn everybody(allow: bool) -> AccessTable {
    AccessTable::new(&[AccessRule {
        subnet: Subnet::Any,
        allow,
        all: false,
    }])
}

fn responder(keys: &Arc<KeyStore>, interleaved: bool) -> Responder {
    Responder::new(ResponderParts {
        access: everybody(true),
        require_auth: everybody(false),
        clients: Some(ClientTable::new(1 << 12, [3; 16])),
        interleaved: interleaved.then(|| InterleavedTable::new(1 << 12)),
        limiter: None,
        poll_min: None,
        keys: Arc::clone(keys),
        silent_unsynchronised: false,
        chance: Chance::new(77),
    })
}

pub(crate) fn synchronised(clock: Clock) -> SystemVariables {
    SystemVariables {
        leap: LeapIndicator::NoWarning,
        stratum: 2,
        reference_id: ReferenceId::from_bytes([192, 0, 2, 9]),
        reference_timestamp: clock.at(0),
        root_delay: NtpDuration::from_nanos(2_000_000),
        root_dispersion: NtpDuration::from_nanos(1_000_000),
        ..SystemVariables::not_synchronised(-24)
    }
}

impl World {
    fn new(role: Role, options: SourceOptions, weather: Weather, seed: u64) -> Self {
        let keys = Arc::new(keys());
        Self {
            now_ns: 0,
            mine: Clock {
                offset_ns: -250_000_000,
                fast_ppb: 20_000,
            },
            theirs: Clock {
                offset_ns: 5_000_000,
                fast_ppb: -1_000,
            },
            association: Association::new(role, options, 0),
            responder: responder(&keys, true),
            stamps_departures: true,
            keys,
            system: SystemVariables::not_synchronised(-24),
            link: Link::new(weather, seed),
            forger: Forger::None,
            port: None,
            samples: Vec::new(),
            setting: None,
            forged_valid: 0,
        }
    }

    fn run(&mut self, until_ns: u64) {
        loop {
            let next = [self.association.next_deadline(), self.link.next_arrival()];
            let Some(next_ns) = next.into_iter().flatten().min() else {
                return;
            };
            if next_ns > until_ns {
                self.now_ns = until_ns;
                return;
            }
            self.now_ns = self.now_ns.max(next_ns);
            while let Some(packet) = self.link.arrived(self.now_ns) {
                match packet {
                    Packet::Request(bytes) => self.serve(bytes),
                    Packet::Reply { bytes, is_forged } => self.receive(&bytes, is_forged),
                }
            }
            self.ask();
        }
    }

    fn ask(&mut self) {
        let random = [self.link.bits(), self.link.bits(), self.link.bits()];
        let local = Local {
            keys: &self.keys,
            system: &self.system,
            address: None,
            max_clock_error: 1e-6,
            is_selected: false,
        };
        let now = self.mine.now(self.now_ns);
        match self.association.timeout(now, random, &local) {
            Due::Nothing => {}
            Due::Close => self.port = None,
            Due::NoKey => panic!("the key is there"),
            Due::Send(request) => {
                let departure_ns = self.now_ns + SENDING_NS;
                self.port = Some(request.id);
                let packet = Packet::Request(request.bytes().to_vec());
                self.link.send(packet, departure_ns);
                let stamp = Stamp {
                    at: CookedTime(self.mine.at(departure_ns)),
                    error_s: 0.0,
                    source: StampSource::Kernel,
                };
                self.association.departed(request.id, stamp);
                self.set_clock();
            }
        }
    }

    fn set_clock(&mut self) {
        let Some(is_told) = self.setting else {
            return;
        };
        let when = CookedTime(self.mine.at(self.now_ns));
        let set_ns = if self.mine.offset_ns < -220_000_000 {
            50_000_000
        } else {
            -50_000_000
        };
        self.mine.offset_ns += set_ns;
        if is_told {
            self.association.clock_changed(&ClockChange {
                at: when,
                frequency: 0.0,
                offset_s: if set_ns > 0 { 0.05 } else { -0.05 },
            });
        }
    }

    fn serve(&mut self, mut packet: Vec<u8>) {
        let received = RawTime(self.theirs.at(self.now_ns));
        let arrival = Arrival {
            peer: IpAddr::from([192, 0, 2, 33]),
            port: 40_000,
            received,
            waited_ns: 0,
            monotonic_ns: self.now_ns,
        };
        self.responder.renew(&synchronised(self.theirs), received);
        let Outcome::Answer(plan) = self.responder.prepare(&arrival, &mut packet) else {
            panic!("a request of ours is answered");
        };
        packet.truncate(plan.len);
        let read_ns = self.now_ns + 10 * MICROSECOND;
        let departure_ns = read_ns + SERVING_NS;
        self.responder
            .seal(&plan, RawTime(self.theirs.at(read_ns)), &mut packet);
        let told = HeaderView::at_front(&packet).unwrap().receive_timestamp();
        if self.stamps_departures {
            self.responder
                .left(told, RawTime(self.theirs.at(departure_ns)));
        }
        self.forge(&packet);
        let reply = Packet::Reply {
            bytes: packet,
            is_forged: false,
        };
        self.link.send(reply, departure_ns);
    }

    /// An attacker's reply, ten seconds off, that arrives at once.
    fn forge(&mut self, true_reply: &[u8]) {
        if self.forger == Forger::None {
            return;
        }
        let mut bytes = true_reply.to_vec();
        let mut header = HeaderMut::new(bytes.first_chunk_mut().unwrap());
        let later = self.theirs.at(self.now_ns + 10 * SECOND);
        header.set_receive_timestamp(later);
        header.set_transmit_timestamp(later);
        if self.forger == Forger::OffPath {
            header.set_origin_timestamp(self.mine.at(self.now_ns));
        }
        let forged = Packet::Reply {
            bytes,
            is_forged: true,
        };
        self.link.inject(forged, self.now_ns);
    }

    fn receive(&mut self, bytes: &[u8], is_forged: bool) {
        // Who replays or forges has found the port that is open now, if one is.
        if self.port.is_none() && self.association.role() == Role::Client {
            return;
        }
        let received = Stamp {
            at: CookedTime(self.mine.at(self.now_ns)),
            error_s: 0.0,
            source: StampSource::Kernel,
        };
        let local = Local {
            keys: &self.keys,
            system: &self.system,
            address: None,
            max_clock_error: 1e-6,
            is_selected: true,
        };
        let expected = Expectation::default();
        let reply = self
            .association
            .reply(bytes, received, self.now_ns, &local, &expected);
        let Some(Reply {
            measurement,
            sample,
            answers,
            ..
        }) = reply
        else {
            return;
        };
        if answers {
            self.port = None;
        }
        self.forged_valid += usize::from(is_forged && measurement.tests.is_valid());
        if let Some(sample) = sample {
            let error_s = sample.offset_s - self.mine.behind_s(self.theirs, sample.at);
            self.samples
                .push((sample, measurement.is_interleaved, error_s));
        }
    }

    fn errors_s(&self) -> Vec<f64> {
        self.samples
            .iter()
            .map(|(_, _, error_s)| *error_s)
            .collect()
    }

    fn interleaved(&self) -> usize {
        self.samples
            .iter()
            .filter(|(_, interleaved, _)| *interleaved)
            .count()
    }
}

fn options(signed: bool, xleave: bool) -> SourceOptions {
    SourceOptions {
        min_poll: Some(4),
        max_poll: Some(4),
        key: signed.then_some(KeyId(1)),
        xleave,
        ..SourceOptions::default()
    }
}

const HOUR: u64 = 3_600 * SECOND;

#[test]
fn in_fair_weather_offsets_are_right_and_interleaved_ones_exact() {
    for (role, signed, xleave) in [
        (Role::Client, false, false),
        (Role::Client, true, false),
        (Role::Client, false, true),
        (Role::Client, true, true),
        (Role::Peer, true, false),
        (Role::Peer, true, true),
    ] {
        let mut world = World::new(role, options(signed, xleave), Weather::FAIR, 1);
        world.run(HOUR);
        let said = format!("{role:?}, signed {signed}, interleaved {xleave}");
        assert!(
            (220..=227).contains(&world.samples.len()),
            "{said}: {}",
            world.samples.len()
        );
        // The server says that a reply has left 50 us before it does, in basic mode; half of it is offset.
        let errors_s = world.errors_s();
        let (first, rest) = errors_s.split_at(3);
        assert!(
            first
                .iter()
                .all(|error| (error + 25e-6).abs() < 1e-6 || error.abs() < 1e-6)
        );
        let wrong_s = if xleave { 0.0 } else { -25e-6 };
        for error_s in rest {
            assert!((error_s - wrong_s).abs() < 1e-6, "{said}: {error_s}");
        }
        let (last, ..) = world.samples[200];
        assert!(last.offset_s > 0.15, "the server is ahead: {last:?}");
        let delay_s = if xleave { 200e-6 } else { 250e-6 };
        assert!(
            (last.peer_delay_s - delay_s).abs() < 1e-6,
            "{said}: {last:?}"
        );
        assert_eq!(
            world.interleaved(),
            if xleave { world.samples.len() - 2 } else { 0 },
            "{said}"
        );
        assert_eq!(world.association.reach().to_string(), "377");
    }
}

#[test]
fn in_foul_weather_no_sample_is_further_off_than_the_path_explains() {
    for seed in 1..=12 {
        for (signed, xleave) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut world = World::new(Role::Client, options(signed, xleave), Weather::FOUL, seed);
            world.run(HOUR);
            let said = format!("seed {seed}, signed {signed}, interleaved {xleave}");
            // A request sent again by whoever may be answered late, but then the delay tells.
            // Of a request and its reply both come through in 64 of 100 cases.
            let least = if xleave { 70 } else { 110 };
            assert!(
                world.samples.len() > least,
                "{said}: {}",
                world.samples.len()
            );
            for (sample, _, error_s) in &world.samples {
                assert!(
                    error_s.abs() <= 0.5 * sample.peer_delay_s + 2e-6,
                    "{said}: {sample:?}"
                );
            }
            let counts = world.association.counts();
            assert!(
                counts.valid <= counts.sent,
                "{said}: a request has one reply: {counts:?}"
            );
            assert_eq!(
                xleave,
                world.interleaved() > 20,
                "{said}: {}",
                world.interleaved()
            );
        }
    }
}

#[test]
fn a_forger_gets_no_sample_and_keeps_no_reply_out() {
    for (forger, signed, xleave) in [
        (Forger::OnPath, true, false),
        (Forger::OnPath, true, true),
        (Forger::OffPath, false, false),
        (Forger::OffPath, false, true),
        (Forger::OffPath, true, true),
    ] {
        let mut world = World::new(Role::Client, options(signed, xleave), Weather::FAIR, 3);
        world.forger = forger;
        world.run(HOUR);
        assert_eq!(world.forged_valid, 0);
        assert!(world.samples.len() > 215, "{}", world.samples.len());
        assert!(world.errors_s().iter().all(|error| error.abs() < 30e-6));
        let counts = world.association.counts();
        assert!(
            counts.received >= 2 * counts.valid,
            "the forger was there: {counts:?}"
        );
    }
}

#[test]
fn who_sees_the_path_can_forge_what_is_not_signed() {
    // Without this, the test above could be passed by a forger who does nothing.
    let mut world = World::new(Role::Client, options(false, false), Weather::FAIR, 3);
    world.forger = Forger::OnPath;
    world.run(HOUR);
    assert!(world.forged_valid > 200);
}

#[test]
fn interleaved_mode_is_left_when_the_server_does_and_reached_again() {
    let mut world = World::new(Role::Client, options(true, true), Weather::FAIR, 5);
    world.run(HOUR);
    let before = (world.samples.len(), world.interleaved());
    assert!(before.1 > 200);
    // A server that keeps nothing, as after a restart without a client log.
    world.responder = responder(&world.keys, false);
    world.run(2 * HOUR);
    let without = (
        world.samples.len() - before.0,
        world.interleaved() - before.1,
    );
    assert!(without.0 > 215 && without.1 == 0, "{without:?}");
    world.responder = responder(&world.keys, true);
    world.run(3 * HOUR);
    assert!(world.interleaved() - before.1 > 215);
}

#[test]
fn an_outage_ends_in_basic_mode_and_interleaved_mode_is_reached_again() {
    let mut world = World::new(Role::Client, options(false, true), Weather::FAIR, 6);
    world.run(HOUR);
    let silence = Weather {
        lost: 100,
        ..Weather::FAIR
    };
    world.link.set(silence);
    let before = world.samples.len();
    world.run(HOUR + 600 * SECOND);
    assert_eq!(
        (world.samples.len(), world.association.reach().register()),
        (before, 0)
    );
    assert!(world.association.reach().unreachable_polls() > 20);
    world.link.set(Weather::FAIR);
    world.run(2 * HOUR);
    let after = &world.samples[before..];
    assert!(!after[0].1, "the server is asked anew");
    assert!(after[2..].iter().all(|(_, interleaved, _)| *interleaved));
    assert!(
        world.errors_s()[before..]
            .iter()
            .all(|error| error.abs() < 30e-6)
    );
    assert_eq!(world.association.reach().to_string(), "377");
}

#[test]
fn a_server_without_departures_of_its_own_is_no_worse_than_basic() {
    let mut world = World::new(Role::Client, options(false, true), Weather::FAIR, 7);
    world.stamps_departures = false;
    world.run(HOUR);
    assert!(world.interleaved() > 200);
    assert!(
        world
            .errors_s()
            .iter()
            .all(|error| (error + 25e-6).abs() < 1e-6)
    );
}

#[test]
fn long_digests_in_version_3() {
    let options = SourceOptions {
        key: Some(KeyId(2)),
        ..options(false, true)
    };
    let mut world = World::new(Role::Client, options, Weather::FAIR, 8);
    world.run(HOUR);
    assert!(world.samples.len() > 215 && world.interleaved() == 0);
    let last = world.association.last().unwrap();
    assert!(last.is_authenticated && last.version == 3);
}

#[test]
fn a_clock_that_is_set_while_requests_are_under_way_spoils_none() {
    for xleave in [false, true] {
        let mut world = World::new(Role::Client, options(true, xleave), Weather::FAIR, 9);
        world.setting = Some(true);
        world.run(HOUR);
        assert!(world.samples.len() > 215 && (world.interleaved() > 200) == xleave);
        assert!(world.errors_s().iter().all(|error| error.abs() < 27e-6));
        // And it would be seen.
        world.setting = Some(false);
        world.samples.clear();
        world.run(2 * HOUR);
        assert!(world.errors_s().iter().all(|error| error.abs() > 20e-3));
    }
}
