use super::*;
use crate::config::{Config, Origin};

#[derive(Default)]
struct FakeMachine {
    /// Name, what it can, whether we may set it.
    cards: Vec<(&'static str, CardStamping, bool)>,
    set: Vec<(String, CardSetting)>,
}

const FULL: CardStamping = CardStamping {
    clock: Some(2),
    transmit: true,
    receive_all: true,
    receive_ntp: true,
    receive_ptp: false,
};

impl FakeMachine {
    fn card(&self, interface: &str) -> Option<(usize, &(&'static str, CardStamping, bool))> {
        self.cards
            .iter()
            .enumerate()
            .find(|(_, card)| card.0 == interface)
    }
}

impl Driver for FakeMachine {
    type Clock = u32;

    fn interfaces(&self) -> Vec<String> {
        self.cards.iter().map(|card| card.0.to_owned()).collect()
    }

    fn index(&self, interface: &str) -> Option<u32> {
        let (at, _) = self.card(interface)?;
        u32::try_from(at + 5).ok()
    }

    fn speed(&self, _: &str) -> Option<f64> {
        Some(1e9)
    }

    fn ability(&self, interface: &str) -> io::Result<CardStamping> {
        let card = self.card(interface);
        card.map(|(_, card)| card.1)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn setting(&self, _: &str) -> io::Result<CardSetting> {
        Ok(CardSetting {
            transmit: true,
            receive: CardFilter::All,
        })
    }

    fn set(&mut self, interface: &str, setting: CardSetting) -> io::Result<CardSetting> {
        if !self.card(interface).is_some_and(|(_, card)| card.2) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.set.push((interface.to_owned(), setting));
        Ok(setting)
    }

    fn open(&self, number: u32) -> io::Result<u32> {
        if number == 9 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(number)
    }

    fn read(&self, _: &u32, is_crossed: bool) -> io::Result<Vec<PtpReading>> {
        let reading = PtpReading {
            before: at(1_700_000_000, 0),
            clock: at(77, 5),
            after: at(1_700_000_000, 2000),
        };
        Ok(vec![reading; if is_crossed { 1 } else { 25 }])
    }
}

const fn at(secs: i64, nanos: u32) -> Timespec {
    Timespec { secs, nanos }
}

fn config(lines: &[&str]) -> Config {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let loaded = crate::config::load(Origin::Arguments(&lines), &crate::node::Files);
    loaded.unwrap().config
}

fn start(lines: &[&str], machine: FakeMachine) -> (Cards<FakeMachine>, Vec<u32>) {
    let mut clocks = Vec::new();
    let hardware = config(lines).hardware;
    let cards = Cards::start(&hardware, machine, 100, |number, _| clocks.push(number));
    (cards, clocks)
}

#[test]
fn a_card_is_told_to_stamp_and_its_clock_is_read() {
    let machine = FakeMachine {
        cards: vec![("eth0", FULL, true)],
        ..FakeMachine::default()
    };
    let (mut cards, clocks) = start(&["hwtimestamp eth0 nocrossts minpoll -1"], machine);
    assert_eq!(clocks, [2]);
    let setting = CardSetting {
        transmit: true,
        receive: CardFilter::Ntp,
    };
    assert_eq!(cards.driver.set, [("eth0".to_owned(), setting)]);
    assert_eq!(cards.next_deadline(), Some(100));
    let mut read = Vec::new();
    for now_ns in [99, 100, 101] {
        cards.read(now_ns, |number, all| read.push((number, all.to_vec())));
    }
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].0, read[0].1.len()), (2, 25));
    assert_eq!(read[0].1[0].card_ns, 77_000_000_005);
    assert_eq!(cards.next_deadline(), Some(500_000_100));
    assert_eq!(cards.timeout_ns, 1_000_000);
}

#[test]
fn which_card_cannot_and_why() {
    let none = CardStamping::default();
    let ptp_only = CardStamping {
        receive_all: false,
        receive_ntp: false,
        receive_ptp: true,
        ..FULL
    };
    let machine = || FakeMachine {
        cards: vec![
            ("lan", none, true),
            ("ptp", ptp_only, true),
            ("no", FULL, false),
            (
                "gone",
                CardStamping {
                    clock: Some(9),
                    ..FULL
                },
                true,
            ),
            (
                "deaf",
                CardStamping {
                    transmit: false,
                    ..ptp_only
                },
                true,
            ),
        ],
        ..FakeMachine::default()
    };
    let line = |text: &str| config(&[text]).hardware.interfaces[0].clone();
    let (mut cards, _) = start(&[], machine());
    for (text, expected) in [
        ("hwtimestamp absent", "no such interface"),
        ("hwtimestamp lan", "has no clock"),
        ("hwtimestamp ptp rxfilter ntp", "no filter for rxfilter Ntp"),
        ("hwtimestamp no", "CAP_NET_ADMIN"),
        ("hwtimestamp gone", "/dev/ptp9"),
        ("hwtimestamp deaf", "neither departures nor"),
    ] {
        let line = line(text);
        let said = cards.add(&line.interface, &line, 0).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    }
    assert!(cards.is_empty());
    // What somebody else has set already is good.
    let all = line("hwtimestamp no rxfilter all");
    assert!(
        cards
            .add("no", &all, 0)
            .unwrap()
            .contains("departures and arrivals")
    );
    let (cards, clocks) = start(&["hwtimestamp *"], machine());
    assert_eq!(
        (cards.cards.len(), clocks.len()),
        (1, 1),
        "the one of PTP, for departures"
    );
    assert!(cards.cards[0].transmits && !cards.cards[0].receives);
}

#[test]
fn a_frame_has_arrived_when_its_end_has() {
    let machine = FakeMachine {
        cards: vec![("eth0", FULL, true)],
        ..FakeMachine::default()
    };
    let (cards, _) = start(&["hwtimestamp eth0 txcomp 300e-9 rxcomp 645e-9"], machine);
    let stamp = |interface| ReceiveStamp {
        hardware: Some(at(5, 0)),
        interface,
        frame_len: 125,
        ..ReceiveStamp::default()
    };
    assert_eq!(cards.of(&stamp(6)), None);
    assert_eq!(
        cards.of(&ReceiveStamp::default()),
        None,
        "it stamps arrivals"
    );
    let card = cards.of(&stamp(5)).unwrap();
    assert_eq!(card.left_ns(at(5, 0)), 5_000_000_300);
    // 1000 bits are a microsecond long.
    assert_eq!(card.arrived_ns(at(5, 0), 125), 5_000_000_000 - 645 + 1000);
}
