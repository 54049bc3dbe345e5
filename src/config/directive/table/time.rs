//! Rows about where the time comes from and what is done with the clock.

use super::super::Grammar::Read;
use super::super::Row;
use super::super::Support::Honoured;
use super::super::clock;
use super::super::{refclock, source};
use super::row;

/// Time sources.
pub(super) const SOURCES: &[Row] = &[
    row("server", "HOST [OPTION...]", Read(source::server), Honoured),
    row("pool", "HOST [OPTION...]", Read(source::pool), Honoured),
    row("peer", "HOST [OPTION...]", Read(source::peer), Honoured),
    row(
        "refclock",
        "DRIVER PARAMETER [OPTION...]",
        Read(refclock::refclock),
        Honoured,
    ),
    row(
        "initstepslew",
        "SECONDS [HOST...]",
        Read(source::initstepslew),
        Honoured,
    ),
    row(
        "acquisitionport",
        "PORT",
        Read(source::acquisitionport),
        Honoured,
    ),
    row(
        "bindacqaddress",
        "ADDRESS",
        Read(source::bindacqaddress),
        Honoured,
    ),
    row(
        "bindacqdevice",
        "INTERFACE",
        Read(source::bindacqdevice),
        Honoured,
    ),
    row("refresh", "SECONDS", Read(source::refresh), Honoured),
];

/// Selection among sources.
pub(super) const SELECTION: &[Row] = &[
    row(
        "authselectmode",
        "MODE",
        Read(source::authselectmode),
        Honoured,
    ),
    row(
        "combinelimit",
        "RATIO",
        Read(source::combinelimit),
        Honoured,
    ),
    row(
        "maxdistance",
        "SECONDS",
        Read(source::maxdistance),
        Honoured,
    ),
    row("maxjitter", "SECONDS", Read(source::maxjitter), Honoured),
    row("maxstratum", "STRATUM", Read(source::maxstratum), Honoured),
    row("minstratum", "STRATUM", Read(source::minstratum), Honoured),
    row("minsources", "SOURCES", Read(source::minsources), Honoured),
    row(
        "reselectdist",
        "SECONDS",
        Read(source::reselectdist),
        Honoured,
    ),
    row(
        "stratumweight",
        "SECONDS",
        Read(source::stratumweight),
        Honoured,
    ),
    row("minsamples", "SAMPLES", Read(source::minsamples), Honoured),
    row("maxsamples", "SAMPLES", Read(source::maxsamples), Honoured),
];

/// Discipline of the clock.
pub(super) const CLOCK: &[Row] = &[
    row(
        "makestep",
        "THRESHOLD LIMIT",
        Read(clock::makestep),
        Honoured,
    ),
    row(
        "driftfile",
        "FILE [interval SECONDS]",
        Read(clock::driftfile),
        Honoured,
    ),
    row("maxupdateskew", "PPM", Read(clock::maxupdateskew), Honoured),
    row("rtcsync", "", Read(clock::rtcsync), Honoured),
    row(
        "corrtimeratio",
        "RATIO",
        Read(clock::corrtimeratio),
        Honoured,
    ),
    row("maxdrift", "PPM", Read(clock::maxdrift), Honoured),
    row("maxslewrate", "PPM", Read(clock::maxslewrate), Honoured),
    row(
        "maxchange",
        "SECONDS START IGNORE",
        Read(clock::maxchange),
        Honoured,
    ),
    row(
        "fallbackdrift",
        "MIN MAX",
        Read(clock::fallbackdrift),
        Honoured,
    ),
    row(
        "tempcomp",
        "FILE INTERVAL (T0 K0 K1 K2|FILE)",
        Read(clock::tempcomp),
        Honoured,
    ),
    row("manual", "", Read(clock::manual), Honoured),
];

/// Leap seconds.
pub(super) const LEAP: &[Row] = &[
    row("leapsecmode", "MODE", Read(clock::leapsecmode), Honoured),
    row("leapsectz", "ZONE", Read(clock::leapsectz), Honoured),
    row("leapseclist", "FILE", Read(clock::leapseclist), Honoured),
];

/// The real-time clock.
pub(super) const RTC: &[Row] = &[
    row("rtcfile", "FILE", Read(clock::rtcfile), Honoured),
    row("rtcdevice", "DEVICE", Read(clock::rtcdevice), Honoured),
    row("rtcautotrim", "SECONDS", Read(clock::rtcautotrim), Honoured),
    row("rtconutc", "", Read(clock::rtconutc), Honoured),
    row("hwclockfile", "FILE", Read(clock::hwclockfile), Honoured),
];
