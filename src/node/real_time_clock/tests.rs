use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::wire::NtpTimestamp;

const S: u64 = 1_000_000_000;
const DATE: RtcTime = RtcTime {
    year: 2023,
    month: 11,
    day: 14,
    hour: 22,
    minute: 13,
    second: 20,
};
const DATE_UNIX_S: i64 = 1_700_000_000;

#[derive(Clone, Default)]
struct FakeChip(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    time: RtcTime,
    tells: bool,
    has_begun: bool,
    is_broken: bool,
    set: Option<RtcTime>,
}

impl Chip for FakeChip {
    fn time(&self) -> io::Result<RtcTime> {
        Ok(self.0.borrow().time)
    }

    fn set_time(&mut self, time: &RtcTime) -> io::Result<()> {
        self.0.borrow_mut().set = Some(*time);
        Ok(())
    }

    fn update_interrupts(&mut self, on: bool) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.is_broken {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        inner.tells = on;
        Ok(())
    }

    fn take_interrupt(&mut self) -> io::Result<bool> {
        Ok(std::mem::take(&mut self.0.borrow_mut().has_begun))
    }
}

fn clock(trim_s: Option<f64>) -> (RealTimeClock<FakeChip>, FakeChip) {
    let chip = FakeChip::default();
    chip.0.borrow_mut().time = DATE;
    let file = PathBuf::from("/nonexistent/rtc");
    let clock = RealTimeClock::new(chip.clone(), Zone::Utc, (file, trim_s), 100 * S);
    (clock, chip)
}

fn raw(seconds: i64) -> RawTime {
    RawTime(NtpTimestamp::from_unix(seconds, 0))
}

#[test]
fn the_second_that_begins_is_measured_and_then_there_is_rest() {
    let (mut clock, chip) = clock(None);
    assert_eq!(clock.next_deadline(), 100 * S);
    assert!(!clock.turn(100 * S, (0, 0)));
    assert!(chip.0.borrow().tells);
    // The first that is told of may be old.
    chip.0.borrow_mut().has_begun = true;
    assert_eq!(clock.ready(raw(5), 101 * S, 15), None);
    assert_eq!(clock.ready(raw(5), 101 * S, 15), None, "nothing began");
    chip.0.borrow_mut().has_begun = true;
    let tick = clock.ready(raw(6), 102 * S, 15);
    let expected = Tick {
        rtc_unix_s: DATE_UNIX_S,
        at: raw(6),
    };
    assert_eq!(tick, Some(expected));
    assert!(!chip.0.borrow().tells);
    assert_eq!(clock.next_deadline(), 117 * S);
    chip.0.borrow_mut().has_begun = true;
    assert_eq!(clock.ready(raw(7), 103 * S, 15), None, "nobody waits");
}

#[test]
fn a_chip_that_says_nothing_is_told_of_once_and_tried_again() {
    let (mut clock, chip) = clock(None);
    clock.turn(100 * S, (0, 0));
    assert_eq!(clock.next_deadline(), 105 * S);
    clock.turn(105 * S, (0, 0));
    assert!(clock.has_failed && !chip.0.borrow().tells);
    assert_eq!(clock.next_deadline(), 165 * S);
    chip.0.borrow_mut().is_broken = true;
    clock.turn(165 * S, (0, 0));
    assert_eq!(clock.next_deadline(), 225 * S);
    chip.0.borrow_mut().is_broken = false;
    clock.turn(225 * S, (0, 0));
    for _ in 0..2 {
        chip.0.borrow_mut().has_begun = true;
        clock.ready(raw(6), 226 * S, 15);
    }
    assert!(!clock.has_failed);
}

#[test]
fn it_is_set_when_our_second_is_half_over() {
    let (mut clock, chip) = clock(Some(0.0));
    clock.offer(0.9, 100 * S, 700_000_000);
    assert_eq!(clock.next_deadline(), 100 * S, "within a second it may be");
    clock.offer(-1.5, 100 * S, 700_000_000);
    assert_eq!(clock.next_deadline(), 100 * S + 800_000_000);
    // Woken too late.
    assert!(!clock.turn(101 * S, (DATE_UNIX_S, 700_000_000)));
    assert_eq!(chip.0.borrow().set, None);
    assert_eq!(clock.next_deadline(), 101 * S + 800_000_000);
    let now_ns = 101 * S + 800_000_001;
    assert!(clock.turn(now_ns, (DATE_UNIX_S, 500_000_001)));
    assert_eq!(chip.0.borrow().set, Some(DATE));
    assert_eq!(clock.next_deadline(), now_ns + S, "and measured again");
    let (mut untrimmed, _) = self::clock(None);
    untrimmed.offer(100.0, 100 * S, 0);
    assert_eq!(untrimmed.next_deadline(), 100 * S);
}

#[test]
fn what_zone_the_date_is_of() {
    assert_eq!(Zone::Utc.unix_s(&DATE), Some(DATE_UNIX_S));
    assert_eq!(Zone::Utc.date(DATE_UNIX_S), Some(DATE));
    let local = Zone::Local.date(DATE_UNIX_S).unwrap();
    assert_eq!(Zone::Local.unix_s(&local), Some(DATE_UNIX_S));
    for (text, zone) in [
        ("0.0 0 0.0\n0\nUTC\n", Some(Zone::Utc)),
        ("0.0 0 0.0\n0\nLOCAL\n", Some(Zone::Local)),
        ("0.0 0 0.0\n0\n", None),
        ("", None),
    ] {
        assert_eq!(Zone::parse(text), zone);
    }
    let path = std::env::temp_dir().join(format!("maser-adjtime-{}", std::process::id()));
    fs::write(&path, "0.0 0 0.0\n0\nLOCAL\n").unwrap();
    let mut config = RtcConfig {
        on_utc: true,
        hwclock_file: Some(path.clone()),
        ..RtcConfig::default()
    };
    assert_eq!(Zone::of(&config), Zone::Local, "the file overrides");
    fs::remove_file(&path).unwrap();
    assert_eq!(Zone::of(&config), Zone::Utc);
    config.on_utc = false;
    assert_eq!(Zone::of(&config), Zone::Local);
}

#[test]
fn the_file_is_kept_over_a_restart() {
    let path = std::env::temp_dir().join(format!("maser-rtcfile-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    assert_eq!(read_file(&path), None);
    let clock = RealTimeClock::new(FakeChip::default(), Zone::Utc, (path.clone(), None), 0);
    let found = RtcCoefficients {
        reference_s: DATE_UNIX_S,
        fast_s: 1.5,
        gain_ppm: -3.25,
    };
    clock.write(&found);
    assert_eq!(read_file(&path), Some(found));
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_device_that_is_not_there_is_said_so_with_what_to_do() {
    let config = RtcConfig {
        file: Some("/nonexistent/rtc".into()),
        device: Some("/nonexistent/device".into()),
        ..RtcConfig::default()
    };
    assert!(open(&config, 0).is_none());
    assert!(open(&RtcConfig::default(), 0).is_none(), "not asked for");
    let error = RtcDevice::open(device(&config)).unwrap_err();
    let said = advice(device(&config), &error);
    assert!(
        said.contains("/nonexistent/device") && said.contains("rtcdevice"),
        "{said}"
    );
    assert_eq!(device(&RtcConfig::default()), Path::new("/dev/rtc"));
}
