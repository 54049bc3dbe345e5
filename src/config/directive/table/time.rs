//! Rows about where the time comes from and what is done with the clock.

use super::super::Grammar::Check;
use super::super::Row;
use super::super::Support::NotYet;
use super::super::form::Part::{Each, One, Options, Tempcomp};
use super::super::form::Value::{Address, Integer, OneOf, Word};
use super::super::form::{ANY_NUMBER, PORT, POSITIVE, Value};
use super::super::source::{HOST, PEER, POOL, REFCLOCK, SERVER};
use super::{COUNT, DISCIPLINE, NO_ARGUMENTS, SOURCE, row};

/// Time sources.
pub(super) const SOURCES: &[Row] = &[
    row(
        "server",
        "HOST [OPTION...]",
        Check(&[One(HOST), Options(SERVER)]),
        NotYet(SOURCE),
    ),
    row(
        "pool",
        "HOST [OPTION...]",
        Check(&[One(HOST), Options(POOL)]),
        NotYet(SOURCE),
    ),
    row(
        "peer",
        "HOST [OPTION...]",
        Check(&[One(HOST), Options(PEER)]),
        NotYet(SOURCE),
    ),
    row(
        "refclock",
        "DRIVER PARAMETER [OPTION...]",
        Check(&[
            One(DRIVER),
            One(Word("the driver's parameter")),
            Options(REFCLOCK),
        ]),
        NotYet(REFERENCE_CLOCK),
    ),
    row(
        "initstepslew",
        "SECONDS [HOST...]",
        Check(&[One(POSITIVE), Each(HOST)]),
        NotYet(SOURCE),
    ),
    row(
        "acquisitionport",
        "PORT",
        Check(&[One(PORT)]),
        NotYet(SOURCE),
    ),
    row(
        "bindacqaddress",
        "ADDRESS",
        Check(&[One(Address)]),
        NotYet(SOURCE),
    ),
    row(
        "bindacqdevice",
        "INTERFACE",
        Check(&[One(Word("an interface"))]),
        NotYet(SOURCE),
    ),
    row("refresh", "SECONDS", Check(&[One(COUNT)]), NotYet(SOURCE)),
];

/// Selection among sources.
pub(super) const SELECTION: &[Row] = &[
    row(
        "authselectmode",
        "MODE",
        Check(&[One(OneOf(&["require", "prefer", "mix", "ignore"]))]),
        NotYet(SOURCE),
    ),
    row(
        "combinelimit",
        "RATIO",
        Check(&[One(POSITIVE)]),
        NotYet(SOURCE),
    ),
    row(
        "maxdistance",
        "SECONDS",
        Check(&[One(POSITIVE)]),
        NotYet(SOURCE),
    ),
    row(
        "maxjitter",
        "SECONDS",
        Check(&[One(POSITIVE)]),
        NotYet(SOURCE),
    ),
    row(
        "maxstratum",
        "STRATUM",
        Check(&[One(Integer(0, 16))]),
        NotYet(SOURCE),
    ),
    row(
        "minstratum",
        "STRATUM",
        Check(&[One(Integer(0, 16))]),
        NotYet(SOURCE),
    ),
    row(
        "minsources",
        "SOURCES",
        Check(&[One(COUNT)]),
        NotYet(SOURCE),
    ),
    row(
        "reselectdist",
        "SECONDS",
        Check(&[One(POSITIVE)]),
        NotYet(SOURCE),
    ),
    row(
        "stratumweight",
        "SECONDS",
        Check(&[One(POSITIVE)]),
        NotYet(SOURCE),
    ),
    row(
        "minsamples",
        "SAMPLES",
        Check(&[One(Integer(0, 64))]),
        NotYet(SOURCE),
    ),
    row(
        "maxsamples",
        "SAMPLES",
        Check(&[One(Integer(0, 64))]),
        NotYet(SOURCE),
    ),
];

/// Discipline of the clock.
pub(super) const CLOCK: &[Row] = &[
    row(
        "makestep",
        "THRESHOLD LIMIT",
        Check(&[One(ANY_NUMBER), One(ANY_COUNT)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "driftfile",
        "FILE [interval SECONDS]",
        Check(&[One(Word("a path")), Options(&[("interval", COUNT)])]),
        NotYet(DISCIPLINE),
    ),
    row(
        "maxupdateskew",
        "PPM",
        Check(&[One(POSITIVE)]),
        NotYet(DISCIPLINE),
    ),
    row("rtcsync", "", NO_ARGUMENTS, NotYet(DISCIPLINE)),
    row(
        "corrtimeratio",
        "RATIO",
        Check(&[One(POSITIVE)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "maxdrift",
        "PPM",
        Check(&[One(POSITIVE)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "maxslewrate",
        "PPM",
        Check(&[One(POSITIVE)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "maxchange",
        "SECONDS START IGNORE",
        Check(&[One(POSITIVE), One(ANY_COUNT), One(ANY_COUNT)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "fallbackdrift",
        "MIN MAX",
        Check(&[One(ANY_COUNT), One(ANY_COUNT)]),
        NotYet(DISCIPLINE),
    ),
    row(
        "tempcomp",
        "FILE INTERVAL (T0 K0 K1 K2|FILE)",
        Check(&[One(Word("a path")), Tempcomp]),
        NotYet(DISCIPLINE),
    ),
    row("manual", "", NO_ARGUMENTS, NotYet(DISCIPLINE)),
];

/// Leap seconds.
pub(super) const LEAP: &[Row] = &[
    row(
        "leapsecmode",
        "MODE",
        Check(&[One(OneOf(&["system", "step", "slew", "ignore"]))]),
        NotYet(LEAP_SECONDS),
    ),
    row(
        "leapsectz",
        "ZONE",
        Check(&[One(Word("a time zone"))]),
        NotYet(LEAP_SECONDS),
    ),
    row(
        "leapseclist",
        "FILE",
        Check(&[One(Word("a path"))]),
        NotYet(LEAP_SECONDS),
    ),
];

/// The real-time clock.
pub(super) const RTC: &[Row] = &[
    row(
        "rtcfile",
        "FILE",
        Check(&[One(Word("a path"))]),
        NotYet(RTC_CLOCK),
    ),
    row(
        "rtcdevice",
        "DEVICE",
        Check(&[One(Word("a path"))]),
        NotYet(RTC_CLOCK),
    ),
    row(
        "rtcautotrim",
        "SECONDS",
        Check(&[One(POSITIVE)]),
        NotYet(RTC_CLOCK),
    ),
    row("rtconutc", "", NO_ARGUMENTS, NotYet(RTC_CLOCK)),
    row(
        "hwclockfile",
        "FILE",
        Check(&[One(Word("a path"))]),
        NotYet(RTC_CLOCK),
    ),
];

/// A number of things, or seconds; where negative means without limit, or never.
const ANY_COUNT: Value = Integer(i32::MIN as i64, i32::MAX as i64);

const DRIVER: Value = OneOf(&["PPS", "SOCK", "SHM", "PHC", "RTC"]);

// What rows wait for.
const REFERENCE_CLOCK: &str = "reference clocks; use `follow` or `local`";
const LEAP_SECONDS: &str = "leap seconds of our own; with `follow` they come from there";
const RTC_CLOCK: &str = "the real-time clock; maser leaves it alone";
