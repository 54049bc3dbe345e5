//! Virtual time: machines with clocks, the network between them, and what happens next.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;

use super::link::Link;
use super::machine::{Datagram, Machine};
use super::random::Random;

/// A machine's place in the world; its address is [`address`] of it.
pub(crate) type Place = usize;

pub(crate) struct World {
    pub(crate) machines: Vec<Machine>,
    pub(crate) random: Random,
    /// The way between two machines, whoever sends; without an entry it is the first.
    pub(crate) links: HashMap<(Place, Place), Link>,
    pub(crate) link: Link,
    /// What names stand for.
    pub(crate) names: HashMap<String, Vec<IpAddr>>,
    /// When UTC has a leap second, and by how much it goes forward then.
    pub(crate) leap: Option<(f64, f64)>,
    now_s: f64,
    coming: BinaryHeap<Reverse<Event>>,
    serial: u64,
}

struct Event {
    at_s: f64,
    /// Events of one moment happen in the order they were planned.
    serial: u64,
    what: What,
}

enum What {
    Packet(Datagram),
    Wake(Place, u64),
    Resolved(Place, u64, Vec<IpAddr>),
    Second,
}

impl World {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        let mut world = Self {
            machines: Vec::new(),
            random: Random::new(seed),
            links: HashMap::new(),
            link,
            names: HashMap::new(),
            leap: None,
            now_s: 0.0,
            coming: BinaryHeap::new(),
            serial: 0,
        };
        world.plan(1.0, What::Second);
        world
    }

    /// Adds a machine, which begins now.
    pub(crate) fn add(&mut self, mut machine: Machine) -> Place {
        let place = self.machines.len();
        machine.address = address(place);
        machine.begin(self.now_s);
        self.machines.push(machine);
        self.settle(place);
        place
    }

    /// Runs on until `end_s` of true time.
    pub(crate) fn run(&mut self, end_s: f64) {
        while let Some(Reverse(event)) = self.coming.pop() {
            if event.at_s > end_s {
                self.coming.push(Reverse(event));
                break;
            }
            self.now_s = self.now_s.max(event.at_s);
            self.happen(event.what);
        }
        self.now_s = end_s;
    }

    /// Seconds of UTC that have passed.
    pub(crate) fn utc_s(&self) -> f64 {
        match self.leap {
            Some((at_s, by_s)) if self.now_s >= at_s => self.now_s + by_s,
            _ => self.now_s,
        }
    }

    /// Does something to a machine now.
    pub(crate) fn with<T>(&mut self, place: Place, act: impl FnOnce(&mut Machine) -> T) -> T {
        let utc_s = self.utc_s();
        let machine = &mut self.machines[place];
        machine.advance(self.now_s, utc_s);
        let result = act(machine);
        self.settle(place);
        result
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Packet(datagram) => {
                let place = self.machines.iter().position(|m| m.address == datagram.to);
                let Some(place) = place.filter(|place| !self.machines[*place].is_silent) else {
                    return;
                };
                self.with(place, |machine| machine.receive(datagram));
            }
            What::Wake(place, generation) => {
                if self.machines[place].generation == generation {
                    self.with(place, Machine::wake);
                }
            }
            What::Resolved(place, serial, addresses) => {
                self.with(place, |machine| machine.resolved(serial, &addresses));
            }
            What::Second => {
                let utc_s = self.utc_s();
                for place in 0..self.machines.len() {
                    let walk = self.random.normal();
                    self.machines[place].advance(self.now_s, utc_s);
                    self.machines[place].note_second(walk);
                }
                self.plan(1.0, What::Second);
            }
        }
    }

    /// Sends what a machine has to send, and plans when it is next woken.
    fn settle(&mut self, place: Place) {
        self.machines[place].act();
        for datagram in std::mem::take(&mut self.machines[place].outbox) {
            self.send(place, datagram);
        }
        for (serial, host) in std::mem::take(&mut self.machines[place].lookups) {
            let addresses = self.names.get(&host).cloned().unwrap_or_default();
            self.plan(0.05, What::Resolved(place, serial, addresses));
        }
        if let Some(wait_s) = self.machines[place].wait_s() {
            self.machines[place].generation += 1;
            let generation = self.machines[place].generation;
            self.plan(wait_s, What::Wake(place, generation));
        }
    }

    fn send(&mut self, place: Place, datagram: Datagram) {
        let to = self.machines.iter().position(|m| m.address == datagram.to);
        let Some(to) = to.filter(|_| !self.machines[place].is_silent) else {
            return;
        };
        let (near, far) = (place.min(to), place.max(to));
        let link = self.links.get(&(near, far)).copied().unwrap_or(self.link);
        // The way there is from the lower place (a server's) seen from the other: 0 towards the lower.
        let way = usize::from(place < to);
        let Some(delay_s) = link.delay_s(way, &mut self.random) else {
            return;
        };
        let delay_s = delay_s + datagram.after_s;
        if let Some(after_s) = link.replay_s(&mut self.random) {
            self.plan(delay_s + after_s, What::Packet(datagram.clone()));
        }
        self.plan(delay_s, What::Packet(datagram));
    }

    fn plan(&mut self, wait_s: f64, what: What) {
        self.serial += 1;
        self.coming.push(Reverse(Event {
            at_s: self.now_s + wait_s,
            serial: self.serial,
            what,
        }));
    }
}

/// The address of the machine at a place.
pub(crate) fn address(place: Place) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(place + 1).expect("few machines")])
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = self.at_s.total_cmp(&other.at_s);
        by_time.then(self.serial.cmp(&other.serial))
    }
}
