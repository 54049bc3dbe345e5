//! True time, clocks that differ from it, and a link between two of them.

use std::collections::BTreeMap;

use maser::client::Now;
use maser::server::Chance;
use maser::wire::{CookedTime, NtpDuration, NtpTimestamp, RawTime};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MICROSECOND: u64 = 1_000;
const START_S: i64 = 1_800_000_000;

/// A clock that is off by a line.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// At the start of true time.
    pub(crate) offset_ns: i64,
    /// Parts per billion by which it is too fast.
    pub(crate) fast_ppb: i64,
}

impl Clock {
    /// What it shows at a moment of true time.
    pub(crate) fn at(self, true_ns: u64) -> NtpTimestamp {
        let drift = i128::from(true_ns) * i128::from(self.fast_ppb) / 1_000_000_000;
        let shown_ns = i128::from(true_ns) + i128::from(self.offset_ns) + drift;
        let shown_ns = i64::try_from(shown_ns).expect("a test lasts hours");
        NtpTimestamp::from_unix(START_S, 0) + NtpDuration::from_nanos(shown_ns)
    }

    pub(crate) fn now(self, true_ns: u64) -> Now {
        Now {
            monotonic_ns: true_ns,
            raw: RawTime(self.at(true_ns)),
            cooked: CookedTime(self.at(true_ns)),
        }
    }

    /// By how much `other` is ahead of this clock when this one shows `at`.
    pub(crate) fn behind_s(self, other: Self, at: CookedTime) -> f64 {
        let shown_ns = (at.0 - NtpTimestamp::from_unix(START_S, 0)).to_nanos() - self.offset_ns;
        // The drift between true and shown time is of second order here.
        let true_ns = shown_ns as f64 / (1.0 + self.fast_ppb as f64 * 1e-9);
        let off = |clock: Self| clock.offset_ns as f64 + true_ns * clock.fast_ppb as f64 * 1e-9;
        (off(other) - off(self)) * 1e-9
    }
}

/// How packets fare.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) delay_min_ns: u64,
    pub(crate) delay_max_ns: u64,
    /// In percent, each.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// An old packet comes again.
    pub(crate) replayed: u64,
}

impl Weather {
    /// Nothing is lost, and all take equally long.
    pub(crate) const FAIR: Self = Self {
        delay_min_ns: 100 * MICROSECOND,
        delay_max_ns: 100 * MICROSECOND,
        lost: 0,
        doubled: 0,
        replayed: 0,
    };
    pub(crate) const FOUL: Self = Self {
        delay_min_ns: 50 * MICROSECOND,
        delay_max_ns: 5_000 * MICROSECOND,
        lost: 20,
        doubled: 15,
        replayed: 20,
    };
}

/// Packets under way, in the order of their arrival.
pub(crate) struct Link<P> {
    weather: Weather,
    chance: Chance,
    under_way: BTreeMap<(u64, u64), P>,
    sent: Vec<P>,
    sequence: u64,
}

impl<P: Clone> Link<P> {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            chance: Chance::new(seed),
            under_way: BTreeMap::new(),
            sent: Vec::new(),
            sequence: 0,
        }
    }

    pub(crate) fn set(&mut self, weather: Weather) {
        self.weather = weather;
    }

    pub(crate) fn bits(&mut self) -> u64 {
        u64::from(self.chance.bits()) << 32 | u64::from(self.chance.bits())
    }

    pub(crate) fn send(&mut self, packet: P, at_ns: u64) {
        self.sent.push(packet.clone());
        if self.happens(self.weather.replayed) {
            let at = self.chance.bits() as usize % self.sent.len();
            let old = self.sent[at].clone();
            self.deliver(old, at_ns);
        }
        if self.happens(self.weather.lost) {
            return;
        }
        if self.happens(self.weather.doubled) {
            self.deliver(packet.clone(), at_ns);
        }
        self.deliver(packet, at_ns);
    }

    /// A packet that nobody delays any more arrives at that moment.
    pub(crate) fn inject(&mut self, packet: P, arrives_ns: u64) {
        self.sequence += 1;
        self.under_way.insert((arrives_ns, self.sequence), packet);
    }

    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.under_way.keys().next().map(|(at_ns, _)| *at_ns)
    }

    pub(crate) fn arrived(&mut self, now_ns: u64) -> Option<P> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }

    fn deliver(&mut self, packet: P, at_ns: u64) {
        let (min, max) = (self.weather.delay_min_ns, self.weather.delay_max_ns);
        let delay_ns = min + self.bits() % (max - min + 1);
        self.inject(packet, at_ns + delay_ns);
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }
}
