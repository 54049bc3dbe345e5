//! Network cards that stamp by clocks of their own (`hwtimestamp`): told to at the start, their clocks read now and then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::steps::ClockPair;
use crate::client::HardwareClock;
use crate::config::{HardwareConfig, HardwareLine, ReceiveFilter};
use crate::discipline::RawCardSample;
use crate::sys::hwtstamp::{self, CardFilter, CardSetting, CardStamping};
use crate::sys::{PtpDevice, PtpReading};
use crate::sys::{ReceiveStamp, Timespec};
use crate::wire::{NtpTimestamp, RawTime};

/// What cards are reached through; tests have cards of their own behind it.
pub(super) trait Driver {
    /// A card's clock, opened.
    type Clock;
    /// All interfaces but loopback.
    fn interfaces(&self) -> Vec<String>;
    /// The number of an interface.
    fn index(&self, interface: &str) -> Option<u32>;
    /// Bits a second, where the link has a speed.
    fn speed(&self, interface: &str) -> Option<f64>;
    /// What the card can stamp.
    fn ability(&self, interface: &str) -> io::Result<CardStamping>;
    /// What it stamps now.
    fn setting(&self, interface: &str) -> io::Result<CardSetting>;
    /// Tells it what to stamp.
    fn set(&mut self, interface: &str, setting: CardSetting) -> io::Result<CardSetting>;
    /// Opens a clock.
    fn open(&self, number: u32) -> io::Result<Self::Clock>;
    /// Reads it several times in a row; `is_crossed`: the card may compare the two clocks itself.
    fn read(&self, clock: &Self::Clock, is_crossed: bool) -> io::Result<Vec<PtpReading>>;
}

/// This machine's.
pub(super) struct ThisMachine;

impl Driver for ThisMachine {
    type Clock = PtpDevice;

    fn interfaces(&self) -> Vec<String> {
        let folder = fs::read_dir("/sys/class/net")
            .into_iter()
            .flatten()
            .flatten();
        let names = folder.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name != "lo").collect();
        names.sort();
        names
    }

    fn index(&self, interface: &str) -> Option<u32> {
        hwtstamp::interface_index(interface)
    }

    fn speed(&self, interface: &str) -> Option<f64> {
        let text = fs::read_to_string(format!("/sys/class/net/{interface}/speed")).ok()?;
        let megabits: f64 = text.trim().parse().ok()?;
        (megabits > 0.0).then_some(megabits * 1e6)
    }

    fn ability(&self, interface: &str) -> io::Result<CardStamping> {
        hwtstamp::ability(interface)
    }

    fn setting(&self, interface: &str) -> io::Result<CardSetting> {
        hwtstamp::setting(interface)
    }

    fn set(&mut self, interface: &str, setting: CardSetting) -> io::Result<CardSetting> {
        hwtstamp::set(interface, setting)
    }

    fn open(&self, number: u32) -> io::Result<PtpDevice> {
        PtpDevice::open(&Path::new("/dev").join(format!("ptp{number}")), false)
    }

    fn read(&self, clock: &PtpDevice, is_crossed: bool) -> io::Result<Vec<PtpReading>> {
        if is_crossed && let Ok((card, system)) = clock.crossed() {
            return Ok(vec![PtpReading {
                before: system,
                clock: card,
                after: system,
            }]);
        }
        clock.readings().or_else(|_| clock.readings_by_turns())
    }
}

/// The cards that stamp.
pub(super) struct Cards<D: Driver> {
    driver: D,
    cards: Vec<Card>,
    clocks: BTreeMap<u32, ReadClock<D::Clock>>,
    /// `hwtstimeout`
    pub(super) timeout_ns: u64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Card {
    index: u32,
    /// The number of its clock.
    pub(super) clock: u32,
    /// It stamps departures.
    pub(super) transmits: bool,
    receives: bool,
    transmit_ns: i64,
    receive_ns: i64,
    bits_per_s: Option<f64>,
}

impl Card {
    /// The moment at which a packet left, by the card's clock.
    pub(super) fn left_ns(&self, stamp: Timespec) -> i64 {
        nanos(stamp).wrapping_add(self.transmit_ns)
    }

    /// The moment at which all of a frame had arrived: it is stamped where it begins, as departures are, but the
    /// kernel's and everybody's else arrivals are at its end.
    pub(super) fn arrived_ns(&self, stamp: Timespec, frame_len: u32) -> i64 {
        let bits = f64::from(frame_len) * 8.0;
        let long_s = self.bits_per_s.map_or(0.0, |speed| bits / speed);
        nanos(stamp)
            .wrapping_sub(self.receive_ns)
            .wrapping_add(whole_ns(long_s))
    }
}

struct ReadClock<C> {
    clock: C,
    is_crossed: bool,
    interval_ns: u64,
    next_ns: u64,
    has_failed: bool,
}

impl<D: Driver> Cards<D> {
    /// Has the cards of `config` stamp, and says of each that cannot why. `learnt` gets the clocks that will be read.
    pub(super) fn start(
        config: &HardwareConfig,
        driver: D,
        now_ns: u64,
        mut learnt: impl FnMut(u32, HardwareClock),
    ) -> Self {
        let mut cards = Self {
            driver,
            cards: Vec::new(),
            clocks: BTreeMap::new(),
            timeout_ns: whole_ns(config.timeout_s).unsigned_abs(),
        };
        let named = config
            .interfaces
            .iter()
            .filter(|line| line.interface != "*");
        for line in named.clone() {
            match cards.add(&line.interface, line, now_ns) {
                Ok(said) => log::info!("hwtimestamp {}: {said}", line.interface),
                Err(why) => log::warn!(
                    "hwtimestamp {}: {why}: the kernel's timestamps are used there",
                    line.interface
                ),
            }
        }
        if let Some(line) = config.interfaces.iter().find(|line| line.interface == "*") {
            let others = cards.driver.interfaces().into_iter();
            let others = others.filter(|name| named.clone().all(|line| line.interface != *name));
            for interface in others.collect::<Vec<_>>() {
                match cards.add(&interface, line, now_ns) {
                    Ok(said) => log::info!("hwtimestamp {interface}: {said}"),
                    Err(why) => log::info!("hwtimestamp *: not {interface}: {why}"),
                }
            }
            if cards.cards.is_empty() {
                log::warn!("hwtimestamp *: no card can: the kernel's timestamps are used");
            }
        }
        let lines = config.interfaces.iter();
        for number in cards.clocks.keys() {
            let of_clock = cards.cards.iter().find(|card| card.clock == *number);
            let index = of_clock.map(|card| card.index);
            let has_index = |line: &&HardwareLine| cards.driver.index(&line.interface) == index;
            let every = lines.clone().find(|line| line.interface == "*");
            if let Some(line) = lines.clone().find(has_index).or(every) {
                let (min, max) = (line.samples_min, line.samples_max.max(line.samples_min));
                learnt(*number, HardwareClock::new(min, max, line.precision_s));
            }
        }
        cards
    }

    /// What the card stamps from now on, or why it does not.
    fn add(&mut self, interface: &str, line: &HardwareLine, now_ns: u64) -> Result<String, String> {
        let index = self.driver.index(interface);
        let index = index.ok_or("there is no such interface")?;
        let ability = self.driver.ability(interface);
        let ability = ability.map_err(|error| format!("its driver does not tell: {error}"))?;
        let clock = ability.clock.ok_or("the card has no clock")?;
        let wanted = CardSetting {
            transmit: ability.transmit,
            receive: filter(line.filter, &ability)?,
        };
        if !wanted.transmit && wanted.receive == CardFilter::Nothing {
            return Err("the card stamps neither departures nor NTP's arrivals".to_owned());
        }
        let set = self.driver.set(interface, wanted).or_else(|error| {
            // Somebody with the right to may have done it before.
            let is_so = self.driver.setting(interface).ok();
            is_so.filter(|found| *found == wanted).ok_or_else(|| {
                format!("the card cannot be told to: {error}: start as root or with CAP_NET_ADMIN")
            })
        })?;
        if !self.clocks.contains_key(&clock) {
            let opened = self.driver.open(clock);
            let opened = opened.map_err(|error| format!("its clock, /dev/ptp{clock}: {error}"))?;
            let poll = line.max_poll.map_or(line.poll, |most| line.poll.min(most));
            let read = ReadClock {
                clock: opened,
                is_crossed: line.is_crossed,
                interval_ns: whole_ns(f64::from(poll).exp2()).unsigned_abs(),
                next_ns: now_ns,
                has_failed: false,
            };
            self.clocks.insert(clock, read);
        }
        let receives = matches!(set.receive, CardFilter::All | CardFilter::Ntp);
        self.cards.push(Card {
            index,
            clock,
            transmits: set.transmit,
            receives,
            transmit_ns: whole_ns(line.transmit_s),
            receive_ns: whole_ns(line.receive_s),
            bits_per_s: self.driver.speed(interface),
        });
        let what = match (set.transmit, receives) {
            (true, true) => "departures and arrivals",
            (true, false) => "departures",
            _ => "arrivals",
        };
        Ok(format!(
            "{what} are stamped by the card's clock, /dev/ptp{clock}"
        ))
    }

    /// Whether no card stamps.
    pub(super) const fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// When [`read`](Self::read) is to be called next.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.clocks.values().map(|clock| clock.next_ns).min()
    }

    /// Reads the clocks that are due; each one's readings go to `sink` with its number.
    pub(super) fn read(&mut self, now_ns: u64, mut sink: impl FnMut(u32, &[RawCardSample])) {
        for (number, read) in &mut self.clocks {
            if now_ns < read.next_ns {
                continue;
            }
            read.next_ns = now_ns.saturating_add(read.interval_ns);
            let found = self.driver.read(&read.clock, read.is_crossed);
            let had_failed = std::mem::replace(&mut read.has_failed, found.is_err());
            match found {
                Ok(readings) => {
                    let samples: Vec<_> = readings.iter().map(sample).collect();
                    sink(*number, &samples);
                }
                Err(error) if !had_failed => {
                    log::warn!("hwtimestamp: /dev/ptp{number}: {error}");
                }
                Err(_) => {}
            }
        }
    }

    /// The card that stamped an arrival, or, where none did, the only one there is, if that stamps no arrivals.
    pub(super) fn of(&self, arrival: &ReceiveStamp) -> Option<&Card> {
        if arrival.hardware.is_some() {
            return self
                .cards
                .iter()
                .find(|card| card.index == arrival.interface);
        }
        match &self.cards[..] {
            [only] if !only.receives => Some(only),
            _ => None,
        }
    }
}

/// The filter that the line asks for, or the narrowest for NTP that the card has.
fn filter(asked: Option<ReceiveFilter>, ability: &CardStamping) -> Result<CardFilter, String> {
    let (filter, can) = match asked {
        Some(ReceiveFilter::Nothing) => (CardFilter::Nothing, true),
        Some(ReceiveFilter::All) => (CardFilter::All, ability.receive_all),
        Some(ReceiveFilter::Ntp) => (CardFilter::Ntp, ability.receive_ntp),
        Some(ReceiveFilter::Ptp) => (CardFilter::Ptp, ability.receive_ptp),
        None if ability.receive_ntp => (CardFilter::Ntp, true),
        None if ability.receive_all => (CardFilter::All, true),
        None => (CardFilter::Nothing, true),
    };
    can.then_some(filter)
        .ok_or_else(|| format!("the card has no filter for rxfilter {filter:?}"))
}

fn sample(reading: &PtpReading) -> RawCardSample {
    let raw = |at: Timespec| RawTime(NtpTimestamp::from_unix(at.secs, at.nanos));
    RawCardSample {
        before: raw(reading.before),
        card_ns: nanos(reading.clock),
        after: raw(reading.after),
    }
}

fn nanos(at: Timespec) -> i64 {
    at.nanos_since(Timespec::default())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds of a configuration, at most 2^20"
)]
fn whole_ns(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// A stamp that is farther than this from the kernel's, or ours, is of another packet or time.
pub(super) fn is_near(stamp: RawTime, ours: RawTime) -> bool {
    (stamp.0 - ours.0).to_seconds().abs() <= 1.0
}

/// Now, for waits that are too short for timers.
pub(super) fn now_ns() -> u64 {
    ClockPair::read().monotonic_ns
}

#[cfg(test)]
mod tests;
