//! The rows, group by group: which directives there are, and what becomes of each (chrony.conf(5)).

mod control;
mod time;

use super::Grammar::{Check, Read};
use super::Support::{Accepted, Honoured, NotYet, Refused};
use super::form::Part::{One, Optional};
use super::form::Value::{Address, Integer, Word};
use super::form::{PORT, Value};
use super::{Grammar, Row, Support, clock, fast_path, hardware, ours, server};

const fn row(
    name: &'static str,
    arguments: &'static str,
    grammar: Grammar,
    support: Support,
) -> Row {
    Row {
        name,
        arguments,
        support,
        grammar,
    }
}

/// Every row there is.
pub(super) const GROUPS: &[&[Row]] = &[
    SERVER,
    PROCESS,
    FILES,
    OURS,
    time::SOURCES,
    time::SELECTION,
    time::CLOCK,
    time::LEAP,
    time::RTC,
    control::CONTROL,
    control::LOGS,
    control::NTS,
    control::OBSOLETE,
];

/// What is served, to whom, from where.
const SERVER: &[Row] = &[
    row("allow", "[all] [SUBNET]", Read(server::allow), Honoured),
    row("deny", "[all] [SUBNET]", Read(server::deny), Honoured),
    row(
        "bindaddress",
        "ADDRESS",
        Read(server::bindaddress),
        Honoured,
    ),
    row(
        "binddevice",
        "INTERFACE",
        Read(server::binddevice),
        Honoured,
    ),
    row("port", "PORT", Read(server::port), Honoured),
    row("dscp", "POINT", Read(server::dscp), Honoured),
    row(
        "clientloglimit",
        "BYTES",
        Read(server::clientloglimit),
        Honoured,
    ),
    row("noclientlog", "", Read(server::noclientlog), Honoured),
    row(
        "ratelimit",
        "[OPTION...]",
        Read(server::ratelimit),
        Honoured,
    ),
    row("local", "[OPTION...]", Read(server::local), Honoured),
    row("keyfile", "FILE", Read(server::keyfile), Honoured),
    row(
        "clockprecision",
        "SECONDS",
        Read(server::clockprecision),
        Honoured,
    ),
    row(
        "maxclockerror",
        "PPM",
        Read(server::maxclockerror),
        Honoured,
    ),
    row(
        "broadcast",
        "INTERVAL ADDRESS [PORT]",
        Check(&[
            One(Integer(1, i32::MAX as i64)),
            One(Address),
            Optional(PORT),
        ]),
        NotYet(BROADCAST),
    ),
    row(
        "smoothtime",
        "PPM PPM/S [leaponly]",
        Read(clock::smoothtime),
        Honoured,
    ),
    row(
        "hwtimestamp",
        "INTERFACE [OPTION...]",
        Read(hardware::hwtimestamp),
        Honoured,
    ),
    row(
        "hwtstimeout",
        "SECONDS",
        Read(hardware::hwtstimeout),
        Honoured,
    ),
    row(
        "maxtxbuffers",
        "BUFFERS",
        Check(&[One(COUNT)]),
        Accepted(NO_BUFFERS),
    ),
    row("ptpport", "PORT", Check(&[One(PORT)]), NotYet(PTP)),
    row(
        "ptpdomain",
        "DOMAIN",
        Check(&[One(Integer(0, 255))]),
        NotYet(PTP),
    ),
    row(
        "ntpsigndsocket",
        "DIRECTORY",
        Check(&[One(Word("a path"))]),
        Refused(SIGND),
    ),
];

/// The process.
const PROCESS: &[Row] = &[
    row("user", "USER", Read(server::user), Honoured),
    row("pidfile", "FILE", Read(server::pidfile), Honoured),
    row(
        "sched_priority",
        "PRIORITY",
        Read(server::sched_priority),
        Honoured,
    ),
    row("lock_all", "", Read(server::lock_all), Honoured),
];

/// Further files of configuration.
const FILES: &[Row] = &[
    row("include", "PATTERN", Read(server::include), Honoured),
    row("confdir", "DIRECTORY...", Read(server::confdir), Honoured),
    row(
        "sourcedir",
        "DIRECTORY...",
        Read(server::sourcedir),
        Honoured,
    ),
];

/// Ours.
const OURS: &[Row] = &[
    row("workers", "N|auto", Read(ours::workers), Honoured),
    row("cpus", "LIST", Read(ours::cpus), Honoured),
    row("burst", "DATAGRAMS", Read(ours::burst), Honoured),
    row("busypoll", "MICROSECONDS", Read(ours::busypoll), Honoured),
    row("pace", "adaptive|spin|park", Read(ours::pace), Honoured),
    row("steer", "source|cpu|hash", Read(ours::steer), Honoured),
    row(
        "requireauth",
        "all|SUBNET",
        Read(ours::requireauth),
        Honoured,
    ),
    row(
        "follow",
        "kernel [stratum N] [refid ID]|chronyd [ADDRESS|PATH]",
        Read(ours::follow),
        Honoured,
    ),
    row(
        "unsynchronised",
        "answer|silent",
        Read(ours::unsynchronised),
        Honoured,
    ),
    row("metrics", "ADDRESS:PORT", Read(ours::metrics), Honoured),
    row(
        "readydistance",
        "SECONDS",
        Read(ours::readydistance),
        Honoured,
    ),
    row("drain", "SECONDS", Read(ours::drain), Honoured),
    row(
        "fastpath",
        "INTERFACE [native|generic|auto]",
        Read(fast_path::fastpath),
        fast_path::SUPPORT,
    ),
    row(
        "fastpathlimit",
        "DATAGRAMS/S [BURST]",
        Read(fast_path::fastpathlimit),
        fast_path::SUPPORT,
    ),
    row(
        "fastpathdeparture",
        "NANOSECONDS",
        Read(fast_path::fastpathdeparture),
        fast_path::SUPPORT,
    ),
];

const NO_ARGUMENTS: Grammar = Check(&[]);
/// A number of things, or seconds.
const COUNT: Value = Integer(0, i32::MAX as i64);

// What NotYet rows wait for. The text continues "not in force yet: ".
const BROADCAST: &str = "sending broadcasts";
const PTP: &str = "NTP over PTP";

// Why rows are accepted or refused.
const NO_BUFFERS: &str = "stamps of departures are matched by number, without a buffer";
const SIGND: &str = "maser does not sign by Samba's ntp_signd, and domain members would reject replies; remove the line";
