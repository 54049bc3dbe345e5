//! Rows about chronyc, logs, NTS, and what is obsolete.

use super::super::Grammar::{self, Check, Read};
use super::super::Row;
use super::super::Support::{Accepted, Honoured, Refused};
use super::super::form::Part::{Each, One, Optional, Options};
use super::super::form::Value::{Integer, Word};
use super::super::form::{PORT, POSITIVE, Value};
use super::super::source::HOST;
use super::super::{clock, command};
use super::{COUNT, NO_ARGUMENTS, row};

/// chronyc.
pub(super) const CONTROL: &[Row] = &[
    row("cmdport", "PORT", Read(command::cmdport), Honoured),
    row(
        "bindcmdaddress",
        "ADDRESS|PATH",
        Read(command::bindcmdaddress),
        Honoured,
    ),
    row(
        "bindcmddevice",
        "INTERFACE",
        Read(command::bindcmddevice),
        Honoured,
    ),
    row(
        "cmdallow",
        "[all] [SUBNET]",
        Read(command::cmdallow),
        Honoured,
    ),
    row(
        "cmddeny",
        "[all] [SUBNET]",
        Read(command::cmddeny),
        Honoured,
    ),
    row(
        "cmdratelimit",
        "[OPTION...]",
        Read(command::cmdratelimit),
        Honoured,
    ),
    row(
        "opencommands",
        "[COMMAND...]",
        Read(command::opencommands),
        Honoured,
    ),
];

/// Logs and dumps.
pub(super) const LOGS: &[Row] = &[
    row("log", "[LOG...]", Read(clock::log), Honoured),
    row("logdir", "DIRECTORY", Read(clock::logdir), Honoured),
    row("logbanner", "LINES", Read(clock::logbanner), Honoured),
    row("logchange", "SECONDS", Read(clock::logchange), Honoured),
    row("dumpdir", "DIRECTORY", Read(clock::dumpdir), Honoured),
    row(
        "dumponexit",
        "",
        ANYTHING,
        Accepted("chrony ignores it too"),
    ),
    row(
        "mailonchange",
        "ADDRESS SECONDS",
        Check(&[One(Word("a mail address")), One(POSITIVE)]),
        Refused(MAIL),
    ),
];

/// Network Time Security (RFC 8915).
pub(super) const NTS: &[Row] = &[
    row(
        "ntsserverkey",
        "FILE",
        Check(&[One(Word("a path"))]),
        Refused(NTS_REFUSED),
    ),
    row(
        "ntsservercert",
        "FILE",
        Check(&[One(Word("a path"))]),
        Refused(NTS_REFUSED),
    ),
    row("ntsport", "PORT", Check(&[One(PORT)]), Accepted(NTS_SERVER)),
    row(
        "ntsprocesses",
        "PROCESSES",
        Check(&[One(COUNT)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "maxntsconnections",
        "CONNECTIONS",
        Check(&[One(COUNT)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "ntsrotate",
        "SECONDS",
        Check(&[One(COUNT)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "ntsratelimit",
        "[OPTION...]",
        Check(&[Options(COMMAND_RATE_LIMIT)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "ntsntpserver",
        "HOST",
        Check(&[One(HOST)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "ntsaeads",
        "ID...",
        Check(&[One(AEAD), Each(AEAD)]),
        Accepted(NTS_SERVER),
    ),
    row(
        "ntsdumpdir",
        "DIRECTORY",
        Check(&[One(Word("a path"))]),
        Accepted(NTS_FILES),
    ),
    row(
        "ntscachedir",
        "DIRECTORY",
        Check(&[One(Word("a path"))]),
        Accepted(NTS_FILES),
    ),
    row(
        "ntsrefresh",
        "SECONDS",
        Check(&[One(COUNT)]),
        Accepted(NTS_CLIENT),
    ),
    row(
        "ntstrustedcerts",
        "[SET] PATH",
        Check(&[
            One(Word("a path, or a set and a path")),
            Optional(Word("a path")),
        ]),
        Accepted(NTS_CLIENT),
    ),
    row("nosystemcert", "", NO_ARGUMENTS, Accepted(NTS_CLIENT)),
    row(
        "nocerttimecheck",
        "UPDATES",
        Check(&[One(COUNT)]),
        Accepted(NTS_CLIENT),
    ),
];

/// What chrony itself no longer knows but accepts.
pub(super) const OBSOLETE: &[Row] = &[
    row(
        "commandkey",
        "",
        ANYTHING,
        Accepted("obsolete; chrony ignores it too"),
    ),
    row(
        "generatecommandkey",
        "",
        ANYTHING,
        Accepted("obsolete; chrony ignores it too"),
    ),
    row(
        "linux_freq_scale",
        "",
        ANYTHING,
        Accepted("obsolete; chrony ignores it too"),
    ),
    row(
        "linux_hz",
        "",
        ANYTHING,
        Accepted("obsolete; chrony ignores it too"),
    ),
];

/// Of a directive that is ignored, and its arguments with it.
const ANYTHING: Grammar = Check(&[Each(Word("anything"))]);

/// An AEAD algorithm's number (RFC 5116 §6).
const AEAD: Value = Integer(1, 65535);

/// As `ratelimit`, but for `kod`: chronyc and NTS-KE know no kiss.
const COMMAND_RATE_LIMIT: &[(&str, Value)] = &[
    ("interval", Integer(-19, 12)),
    ("burst", Integer(1, 255)),
    ("leak", Integer(1, 4)),
];

// What rows wait for, and why others are accepted or refused.
const NTS_SERVER: &str = "it tunes the NTS server, which cannot be switched on here";
const NTS_CLIENT: &str = "it tunes NTS sources, which cannot be named here";
const NTS_FILES: &str = "there are no NTS cookies and keys to keep";
const NTS_REFUSED: &str = "maser does not serve NTS, and clients would wait for it; remove the line, or serve NTS by chronyd";
const MAIL: &str = "maser sends no mail, and the warning would never come; remove the line";
