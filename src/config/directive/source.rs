//! Options of time sources (chrony.conf(5), "Time sources").

use super::form::Value::{Hexadecimal, Integer, Nothing, Number, ReferenceId, Refused, Word};
use super::form::{ANY_NUMBER, PORT, POSITIVE, Value};

type Options = &'static [(&'static str, Value)];

/// Of `server`.
pub(super) const SERVER: Options = &[
    ("minpoll", POLL),
    ("maxpoll", POLL),
    ("iburst", Nothing),
    ("burst", Nothing),
    ("key", KEY),
    ("nts", NTS),
    ("ntsport", PORT),
    ("certset", CERTIFICATE_SET),
    ("maxdelay", MAX_DELAY),
    ("maxdelayratio", POSITIVE),
    ("maxdelaydevratio", POSITIVE),
    ("maxdelayquant", Number(0.05, 0.95)),
    ("mindelay", MAX_DELAY),
    ("asymmetry", Number(-0.5, 0.5)),
    ("offset", ANY_NUMBER),
    ("minsamples", SAMPLES),
    ("maxsamples", SAMPLES),
    ("maxunreach", COUNT),
    ("filter", COUNT),
    ("offline", Nothing),
    ("auto_offline", Nothing),
    ("prefer", Nothing),
    ("noselect", Nothing),
    ("trust", Nothing),
    ("require", Nothing),
    ("xleave", Nothing),
    ("polltarget", COUNT),
    ("port", PORT),
    ("presend", POLL),
    ("minstratum", Integer(0, 16)),
    ("version", Integer(1, 4)),
    ("copy", Nothing),
    ("extfield", Hexadecimal),
    ("ipv4", Nothing),
    ("ipv6", Nothing),
];

/// Of `pool`: those of `server`, and one.
pub(super) const POOL: Options = &{
    let mut options = [("maxsources", Integer(1, 16)); SERVER.len() + 1];
    let mut at = 0;
    while at < SERVER.len() {
        options[at + 1] = SERVER[at];
        at += 1;
    }
    options
};

/// Of `peer`: those of `server` without what only a client does.
pub(super) const PEER: Options = &[
    ("minpoll", POLL),
    ("maxpoll", POLL),
    ("key", KEY),
    ("maxdelay", MAX_DELAY),
    ("maxdelayratio", POSITIVE),
    ("maxdelaydevratio", POSITIVE),
    ("maxdelayquant", Number(0.05, 0.95)),
    ("mindelay", MAX_DELAY),
    ("asymmetry", Number(-0.5, 0.5)),
    ("offset", ANY_NUMBER),
    ("minsamples", SAMPLES),
    ("maxsamples", SAMPLES),
    ("maxunreach", COUNT),
    ("filter", COUNT),
    ("offline", Nothing),
    ("auto_offline", Nothing),
    ("prefer", Nothing),
    ("noselect", Nothing),
    ("trust", Nothing),
    ("require", Nothing),
    ("xleave", Nothing),
    ("polltarget", COUNT),
    ("port", PORT),
    ("minstratum", Integer(0, 16)),
    ("version", Integer(1, 4)),
    ("extfield", Hexadecimal),
    ("ipv4", Nothing),
    ("ipv6", Nothing),
];

/// Of `refclock`, behind driver and parameter.
pub(super) const REFCLOCK: Options = &[
    ("poll", POLL),
    ("dpoll", POLL),
    ("refid", ReferenceId),
    ("lock", ReferenceId),
    ("rate", Integer(1, i32::MAX as i64)),
    ("maxlockage", COUNT),
    ("width", Number(0.0, 1.0)),
    ("pps", Nothing),
    ("offset", ANY_NUMBER),
    ("delay", MAX_DELAY),
    ("stratum", Integer(0, 15)),
    ("precision", Number(0.0, 1.0)),
    ("maxdispersion", POSITIVE),
    ("filter", COUNT),
    ("minsamples", SAMPLES),
    ("maxsamples", SAMPLES),
    ("maxunreach", COUNT),
    ("tai", Nothing),
    ("local", Nothing),
    ("prefer", Nothing),
    ("noselect", Nothing),
    ("trust", Nothing),
    ("require", Nothing),
];

/// Of `hwtimestamp`, behind the interface.
pub(super) const HWTIMESTAMP: Options = &[
    ("minpoll", Integer(-6, 20)),
    ("maxpoll", Integer(-6, 20)),
    ("minsamples", COUNT),
    ("maxsamples", COUNT),
    ("precision", Number(0.0, 1.0)),
    ("txcomp", ANY_NUMBER),
    ("rxcomp", ANY_NUMBER),
    ("nocrossts", Nothing),
    ("rxfilter", Value::OneOf(&["all", "ntp", "ptp", "none"])),
];

/// A host behind `server`, `pool`, `peer` or `initstepslew`.
pub(super) const HOST: Value = Word("a host name or an address");

/// log2 of seconds.
const POLL: Value = Integer(-7, 24);
const KEY: Value = Integer(1, u32::MAX as i64);
const CERTIFICATE_SET: Value = Integer(0, u32::MAX as i64);
/// Seconds.
const MAX_DELAY: Value = Number(0.0, 1000.0);
const SAMPLES: Value = Integer(0, 64);
const COUNT: Value = Integer(0, i32::MAX as i64);
const NTS: Value =
    Refused("maser cannot authenticate a source with NTS yet; use key ID with an AES128 key");
