//! What is done with the clock, leap seconds, and the files that tell of it (chrony.conf(5)).

use std::path::PathBuf;

use super::Directive;
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{DriftFileLine, LogName, SmoothingLine, TempcompCurve, TempcompLine};
use crate::discipline::{FallbackDrift, LeapMode, MakeStep, MaxChange};

type Read = Result<Directive, At>;

/// A line about the clock, as typed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum ClockLine {
    Makestep(MakeStep),
    Driftfile(DriftFileLine),
    Maxupdateskew(f64),
    Rtcsync,
    Manual,
    Corrtimeratio(f64),
    Maxdrift(f64),
    Maxslewrate(f64),
    Maxchange(MaxChange),
    Fallbackdrift(FallbackDrift),
    Leapsecmode(LeapMode),
    Leapsectz(String),
    Leapseclist(PathBuf),
    Smoothtime(SmoothingLine),
    Tempcomp(TempcompLine),
    Rtcfile(PathBuf),
    Rtcdevice(PathBuf),
    Rtcautotrim(f64),
    Rtconutc,
    Hwclockfile(PathBuf),
    Log(Vec<LogName>),
    Logdir(PathBuf),
    Logbanner(u32),
    Logchange(f64),
    Dumpdir(PathBuf),
}

pub(super) fn makestep(arguments: &mut Arguments<'_>) -> Read {
    let threshold_s = arguments.number(f64::MIN..=f64::MAX)?;
    // A negative limit is none.
    let limit: i64 = arguments.integer(i32::MIN.into()..=i32::MAX.into())?;
    line(ClockLine::Makestep(MakeStep {
        threshold_s,
        updates: u32::try_from(limit).ok(),
    }))
}

pub(super) fn driftfile(arguments: &mut Arguments<'_>) -> Read {
    let path = path(arguments)?;
    let mut interval_s = DriftFileLine::INTERVAL_S;
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "interval" => interval_s = arguments.integer(1..=i32::MAX.unsigned_abs())?,
            _ => return Err(arguments.no_such_option("interval")),
        }
    }
    line(ClockLine::Driftfile(DriftFileLine { path, interval_s }))
}

pub(super) fn maxupdateskew(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Maxupdateskew(positive(arguments)?))
}

pub(super) fn rtcsync(_: &mut Arguments<'_>) -> Read {
    line(ClockLine::Rtcsync)
}

pub(super) fn manual(_: &mut Arguments<'_>) -> Read {
    line(ClockLine::Manual)
}

pub(super) fn corrtimeratio(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Corrtimeratio(positive(arguments)?))
}

pub(super) fn maxdrift(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Maxdrift(arguments.number(0.0..=RATE_MAX_PPM)?))
}

pub(super) fn maxslewrate(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Maxslewrate(
        arguments.number(0.0..=RATE_MAX_PPM)?,
    ))
}

pub(super) fn maxchange(arguments: &mut Arguments<'_>) -> Read {
    let offset_s = positive(arguments)?;
    let start: i64 = arguments.integer(i32::MIN.into()..=i32::MAX.into())?;
    // Ignored without end where it is negative.
    let ignore: i64 = arguments.integer(i32::MIN.into()..=i32::MAX.into())?;
    line(ClockLine::Maxchange(MaxChange {
        offset_s,
        start: u32::try_from(start).unwrap_or(0),
        ignore: u32::try_from(ignore).ok(),
    }))
}

pub(super) fn fallbackdrift(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Fallbackdrift(FallbackDrift {
        interval_min_log2: arguments.integer(0..=LOG2_MAX)?,
        interval_max_log2: arguments.integer(0..=LOG2_MAX)?,
    }))
}

pub(super) fn leapsecmode(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Leapsecmode(arguments.one_of(&LEAP_MODES)?))
}

pub(super) fn leapsectz(arguments: &mut Arguments<'_>) -> Read {
    let zone = arguments.take("a time zone such as right/UTC", |word| {
        // It is looked for below the folder of zones only.
        let is_inside = !word.starts_with('/') && !word.split('/').any(|part| part == "..");
        is_inside.then(|| word.to_owned())
    })?;
    line(ClockLine::Leapsectz(zone))
}

pub(super) fn leapseclist(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Leapseclist(path(arguments)?))
}

pub(super) fn smoothtime(arguments: &mut Arguments<'_>) -> Read {
    let (frequency_max_ppm, wander_max_ppm) = (positive(arguments)?, positive(arguments)?);
    let leap_only = match arguments.peek() {
        None => false,
        Some(_) => arguments.one_of(&[("leaponly", true)])?,
    };
    line(ClockLine::Smoothtime(SmoothingLine {
        frequency_max_ppm,
        wander_max_ppm,
        leap_only,
    }))
}

pub(super) fn tempcomp(arguments: &mut Arguments<'_>) -> Read {
    let sensor = path(arguments)?;
    let interval_s = arguments.number(0.0..=INTERVAL_MAX_S)?;
    // Behind the interval: a file of points, or four coefficients.
    let curve = if arguments.len() > 1 {
        let mut any = || arguments.number(f64::MIN..=f64::MAX);
        TempcompCurve::Coefficients {
            t0: any()?,
            k0: any()?,
            k1: any()?,
            k2: any()?,
        }
    } else {
        TempcompCurve::Points(arguments.word("a file of points").map(PathBuf::from)?)
    };
    line(ClockLine::Tempcomp(TempcompLine {
        sensor,
        interval_s,
        curve,
    }))
}

pub(super) fn rtcfile(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Rtcfile(path(arguments)?))
}

pub(super) fn rtcdevice(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Rtcdevice(path(arguments)?))
}

pub(super) fn rtcautotrim(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Rtcautotrim(positive(arguments)?))
}

pub(super) fn rtconutc(_: &mut Arguments<'_>) -> Read {
    line(ClockLine::Rtconutc)
}

pub(super) fn hwclockfile(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Hwclockfile(path(arguments)?))
}

pub(super) fn log(arguments: &mut Arguments<'_>) -> Read {
    let mut logs = Vec::new();
    while !arguments.is_empty() {
        // In exactly this case, as chrony.
        let log = arguments.take(&LogName::ALL.map(LogName::word).join(" or "), |word| {
            LogName::ALL.into_iter().find(|log| log.word() == word)
        })?;
        if !logs.contains(&log) {
            logs.push(log);
        }
    }
    line(ClockLine::Log(logs))
}

pub(super) fn logdir(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Logdir(path(arguments)?))
}

pub(super) fn logbanner(arguments: &mut Arguments<'_>) -> Read {
    let lines = arguments.integer(0..=i32::MAX.unsigned_abs())?;
    line(ClockLine::Logbanner(lines))
}

pub(super) fn logchange(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Logchange(arguments.number(f64::MIN..=f64::MAX)?))
}

pub(super) fn dumpdir(arguments: &mut Arguments<'_>) -> Read {
    line(ClockLine::Dumpdir(path(arguments)?))
}

fn path(arguments: &mut Arguments<'_>) -> Result<PathBuf, At> {
    arguments.word("a path").map(PathBuf::from)
}

fn positive(arguments: &mut Arguments<'_>) -> Result<f64, At> {
    arguments.number(0.0..=f64::MAX)
}

#[expect(clippy::unnecessary_wraps, reason = "what a reader answers")]
const fn line(line: ClockLine) -> Read {
    Ok(Directive::Clock(line))
}

/// The words of `leapsecmode`.
pub(in crate::config) const LEAP_MODES: [(&str, LeapMode); 4] = [
    ("system", LeapMode::System),
    ("step", LeapMode::Step),
    ("slew", LeapMode::Slew),
    ("ignore", LeapMode::Ignore),
];

/// The kernel's frequency may be off by a tenth.
const RATE_MAX_PPM: f64 = 100_000.0;
/// A day and more: no temperature is worth as long.
const INTERVAL_MAX_S: f64 = 1e6;
/// 2^31 s are 68 years.
const LOG2_MAX: u8 = 31;
