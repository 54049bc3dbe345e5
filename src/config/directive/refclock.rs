//! Reference clocks (chrony.conf(5), `refclock`).

use std::path::PathBuf;

use super::Directive;
use super::source::SourcesLine;
use crate::client::{POLL_MAX, POLL_MIN, RefclockOptions};
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{PhcPulses, RefclockDriver, RefclockSpec};
use crate::wire::ReferenceId;

/// `DRIVER PARAMETER[:OPTION]... [OPTION]...`; its letters are settled when all lines are known.
pub(super) fn refclock(arguments: &mut Arguments<'_>) -> Result<Directive, At> {
    let driver = arguments.word("PPS, SOCK, SHM, PHC or RTC")?.to_uppercase();
    let driver = driver_of(&driver, arguments)?;
    let mut options = RefclockOptions::default();
    while let Some(name) = arguments.option() {
        match name.as_str() {
            "poll" => options.poll = arguments.integer(POLL_MIN..=POLL_MAX)?,
            "dpoll" => options.driver_poll = arguments.integer(POLL_MIN..=POLL_MAX)?,
            "refid" => options.reference_id = letters(arguments)?,
            "lock" => options.lock = Some(letters(arguments)?),
            "rate" => options.rate = arguments.integer(1..=RATE_MAX)?,
            "maxlockage" => options.lock_age_max = arguments.integer(0..=COUNT_MAX)?,
            "width" => options.width_s = arguments.number(0.0..=1.0)?,
            "pps" => options.pps = true,
            "offset" => options.offset_s = arguments.number(f64::MIN..=f64::MAX)?,
            "delay" => options.delay_s = arguments.number(0.0..=DELAY_MAX_S)?,
            "stratum" => options.stratum = arguments.integer(0..=14)?,
            "precision" => options.precision_s = Some(arguments.number(0.0..=1.0)?),
            "maxdispersion" => options.dispersion_max_s = arguments.number(0.0..=f64::MAX)?,
            "filter" => options.filter = arguments.integer(1..=FILTER_MAX)?,
            "minsamples" => options.samples_min = Some(arguments.integer(0..=64)?),
            "maxsamples" => options.samples_max = Some(arguments.integer(0..=64)?),
            "maxunreach" => options.unreach_max = arguments.integer(0..=COUNT_MAX)?,
            "tai" => options.tai = true,
            "local" => options.local = true,
            "prefer" => options.select.prefer = true,
            "noselect" => options.select.noselect = true,
            "trust" => options.select.trust = true,
            "require" => options.select.require = true,
            name => {
                let near = super::nearest(name, OPTIONS.into_iter());
                let expected = near.unwrap_or("an option that chrony.conf(5) has for it");
                return Err(arguments.no_such_option(expected));
            }
        }
    }
    Ok(Directive::Sources(SourcesLine::Refclock(RefclockSpec {
        driver,
        options,
    })))
}

fn driver_of(driver: &str, arguments: &mut Arguments<'_>) -> Result<RefclockDriver, At> {
    let is_known = ["PPS", "SOCK", "SHM", "PHC", "RTC"].contains(&driver);
    let expected = match driver {
        "SHM" => "the number of a segment, as 0 or 0:perm=0644",
        "PPS" => "a path, as /dev/pps0 or /dev/pps0:clear",
        "PHC" => {
            "a path or an interface, behind it nocrossts, extpps, pin=N, channel=N, clear, each after a colon"
        }
        "RTC" => "a path, as /dev/rtc or /dev/rtc:utc",
        "SOCK" => "a path, as /run/chrony.ttyS0.sock",
        _ => "PPS, SOCK, SHM, PHC or RTC before it",
    };
    arguments.take(expected, |word| {
        if !is_known {
            return None;
        }
        let mut parts = word.split(':');
        let parameter = parts.next().filter(|parameter| !parameter.is_empty())?;
        let parts: Vec<&str> = parts.collect();
        match driver {
            "SHM" => shm(parameter, &parts),
            "SOCK" => parts
                .is_empty()
                .then(|| RefclockDriver::Sock(PathBuf::from(parameter))),
            "PPS" => flag(&parts, "clear").map(|clear| RefclockDriver::Pps {
                path: PathBuf::from(parameter),
                clear,
            }),
            "RTC" => flag(&parts, "utc").map(|utc| RefclockDriver::Rtc {
                path: PathBuf::from(parameter),
                utc,
            }),
            _ => phc(parameter, &parts),
        }
    })
}

/// Whether the one option there may be was given; `None`: another was.
fn flag(parts: &[&str], name: &str) -> Option<bool> {
    match parts {
        [] => Some(false),
        [part] if *part == name => Some(true),
        _ => None,
    }
}

fn shm(unit: &str, parts: &[&str]) -> Option<RefclockDriver> {
    let mut mode = SHM_MODE;
    for part in parts {
        let digits = part.strip_prefix("perm=")?;
        mode = u32::from_str_radix(digits, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)?;
    }
    let unit = unit.parse().ok()?;
    Some(RefclockDriver::Shm { unit, mode })
}

fn phc(clock: &str, parts: &[&str]) -> Option<RefclockDriver> {
    let mut crosses = true;
    let mut pulses = PhcPulses {
        pin: Some(0),
        channel: 0,
        clear: false,
    };
    let mut has_pulses = false;
    for part in parts {
        match part.split_once('=') {
            None if *part == "nocrossts" => crosses = false,
            None if *part == "extpps" => has_pulses = true,
            None if *part == "clear" => pulses.clear = true,
            Some(("pin", "-1")) => pulses.pin = None,
            Some(("pin", pin)) => pulses.pin = Some(pin.parse().ok()?),
            Some(("channel", channel)) => pulses.channel = channel.parse().ok()?,
            _ => return None,
        }
    }
    Some(RefclockDriver::Phc {
        clock: clock.to_owned(),
        crosses,
        pulses: has_pulses.then_some(pulses),
    })
}

fn letters(arguments: &mut Arguments<'_>) -> Result<ReferenceId, At> {
    arguments.take("one to four ASCII characters", |word| {
        let fits = (1..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic());
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(word.bytes()) {
            *to = from;
        }
        fits.then_some(ReferenceId::from_bytes(bytes))
    })
}

const OPTIONS: [&str; 23] = [
    "poll",
    "dpoll",
    "refid",
    "lock",
    "rate",
    "maxlockage",
    "width",
    "pps",
    "offset",
    "delay",
    "stratum",
    "precision",
    "maxdispersion",
    "filter",
    "minsamples",
    "maxsamples",
    "maxunreach",
    "tai",
    "local",
    "prefer",
    "noselect",
    "trust",
    "require",
];

/// As chrony makes it: the owner alone.
const SHM_MODE: u32 = 0o600;
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();
const RATE_MAX: u32 = 1_000_000;
const FILTER_MAX: usize = 10_000;
const DELAY_MAX_S: f64 = 1000.0;
