//! Time sources, and the choice among them (chrony.conf(5), "Time sources", "Source selection").

use core::net::IpAddr;

use super::Directive;
use super::form::Value;
use super::form::Value::Word;
use crate::client::{Family, POLL_MAX, POLL_MIN, PoolSize, Role, SourceOptions};
use crate::config::RefclockSpec;
use crate::config::arguments::Arguments;
use crate::config::error::{At, Fault};
use crate::discipline::{AuthSelectMode, InitialStep, SourceSpec};
use crate::wire::KeyId;

type Read = Result<Directive, At>;

/// A line about sources or selection, as typed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum SourcesLine {
    Source(SourceSpec),
    Refclock(RefclockSpec),
    Initstepslew(InitialStep),
    Acquisitionport(u16),
    Bindacqaddress(IpAddr),
    Bindacqdevice(String),
    Refresh(u64),
    Authselectmode(AuthSelectMode),
    Combinelimit(f64),
    Maxdistance(f64),
    Maxjitter(f64),
    Maxstratum(u8),
    Minstratum(u8),
    Minsources(usize),
    Reselectdist(f64),
    Stratumweight(f64),
    Minsamples(usize),
    Maxsamples(usize),
}

pub(super) fn server(arguments: &mut Arguments<'_>) -> Read {
    source(arguments, Kind::Server)
}

pub(super) fn pool(arguments: &mut Arguments<'_>) -> Read {
    source(arguments, Kind::Pool)
}

pub(super) fn peer(arguments: &mut Arguments<'_>) -> Read {
    source(arguments, Kind::Peer)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    Pool,
    Peer,
}

fn source(arguments: &mut Arguments<'_>, kind: Kind) -> Read {
    let host = arguments.word(HOST_EXPECTED)?.to_owned();
    let mut options = SourceOptions::default();
    let mut sources_max = POOL_SOURCES;
    while let Some(name) = arguments.option() {
        match name.as_str() {
            "maxsources" if kind == Kind::Pool => sources_max = arguments.integer(1..=16)?,
            "iburst" if kind != Kind::Peer => options.iburst = true,
            "burst" if kind != Kind::Peer => options.burst = true,
            "presend" if kind != Kind::Peer => options.presend = Some(poll(arguments)?),
            "copy" if kind != Kind::Peer => options.copy = true,
            name => option(name, &mut options, arguments)?,
        }
    }
    let (role, size) = match kind {
        Kind::Server => (Role::Client, PoolSize::One),
        Kind::Pool => (Role::Client, PoolSize::AtMost(sources_max)),
        Kind::Peer => (Role::Peer, PoolSize::One),
    };
    Ok(Directive::Sources(SourcesLine::Source(SourceSpec {
        host,
        role,
        size,
        options,
    })))
}

/// An option that servers, pools and peers have.
fn option(
    name: &str,
    options: &mut SourceOptions,
    arguments: &mut Arguments<'_>,
) -> Result<(), At> {
    match name {
        "minpoll" => options.min_poll = Some(poll(arguments)?),
        "maxpoll" => options.max_poll = Some(poll(arguments)?),
        "key" => options.key = Some(KeyId(arguments.integer(1..=u32::MAX)?)),
        "maxdelay" => options.max_delay_s = arguments.number(0.0..=DELAY_MAX_S)?,
        "maxdelayratio" => options.max_delay_ratio = Some(arguments.number(0.0..=f64::MAX)?),
        "maxdelaydevratio" => options.max_delay_dev_ratio = arguments.number(0.0..=f64::MAX)?,
        "maxdelayquant" => options.max_delay_quantile = Some(arguments.number(0.05..=0.95)?),
        "mindelay" => options.min_delay_s = Some(arguments.number(0.0..=DELAY_MAX_S)?),
        "asymmetry" => options.asymmetry = Some(arguments.number(-0.5..=0.5)?),
        "offset" => options.offset_s = arguments.number(f64::MIN..=f64::MAX)?,
        "minsamples" => options.min_samples = Some(arguments.integer(0..=64)?),
        "maxsamples" => options.max_samples = Some(arguments.integer(0..=64)?),
        "maxunreach" => options.max_unreach = arguments.integer(0..=COUNT_MAX)?,
        "filter" => options.filter = arguments.integer(0..=FILTER_MAX)?,
        "polltarget" => options.poll_target = arguments.integer(1..=COUNT_MAX)?,
        "port" => options.port = arguments.integer(0..=u16::MAX)?,
        "minstratum" => options.min_stratum = arguments.integer(0..=16)?,
        "version" => options.version = Some(arguments.integer(1..=4)?),
        "offline" => options.offline = true,
        "auto_offline" => options.auto_offline = true,
        "prefer" => options.prefer = true,
        "noselect" => options.noselect = true,
        "trust" => options.trust = true,
        "require" => options.require = true,
        "xleave" => options.xleave = true,
        "ipv4" => options.family = Some(Family::V4),
        "ipv6" => options.family = Some(Family::V6),
        "nts" => return Err(arguments.at_option(Fault::Refused(NTS))),
        // Without NTS they have no effect, with chrony neither.
        "ntsport" => _ = arguments.integer(0..=u16::MAX)?,
        "certset" => _ = arguments.integer(0..=u32::MAX)?,
        // What both ends must want: we do not, and the source does without.
        "extfield" => arguments.take("hexadecimal digits", |word| {
            u32::from_str_radix(word, 16).ok().map(drop)
        })?,
        _ => {
            let near = super::nearest(name, OPTIONS.into_iter());
            let expected = near.unwrap_or("an option that chrony.conf(5) has for it");
            return Err(arguments.no_such_option(expected));
        }
    }
    Ok(())
}

fn poll(arguments: &mut Arguments<'_>) -> Result<i8, At> {
    arguments.integer(POLL_MIN..=POLL_MAX)
}

pub(super) fn initstepslew(arguments: &mut Arguments<'_>) -> Read {
    let threshold_s = arguments.number(0.0..=f64::MAX)?;
    let mut hosts = Vec::new();
    while !arguments.is_empty() {
        hosts.push(SourceSpec {
            host: arguments.word(HOST_EXPECTED)?.to_owned(),
            role: Role::Client,
            size: PoolSize::One,
            options: SourceOptions::default(),
        });
    }
    line(SourcesLine::Initstepslew(InitialStep {
        threshold_s,
        hosts,
    }))
}

pub(super) fn acquisitionport(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Acquisitionport(
        arguments.integer(0..=u16::MAX)?,
    ))
}

pub(super) fn bindacqaddress(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Bindacqaddress(arguments.address()?))
}

pub(super) fn bindacqdevice(arguments: &mut Arguments<'_>) -> Read {
    let device = arguments.word("an interface")?.to_owned();
    line(SourcesLine::Bindacqdevice(device))
}

pub(super) fn refresh(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Refresh(
        arguments.integer(0..=COUNT_MAX.into())?,
    ))
}

pub(super) fn authselectmode(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Authselectmode(
        arguments.one_of(&AUTH_SELECT_MODES)?,
    ))
}

pub(super) fn combinelimit(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Combinelimit(positive(arguments)?))
}

pub(super) fn maxdistance(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Maxdistance(positive(arguments)?))
}

pub(super) fn maxjitter(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Maxjitter(positive(arguments)?))
}

pub(super) fn maxstratum(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Maxstratum(arguments.integer(0..=16)?))
}

pub(super) fn minstratum(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Minstratum(arguments.integer(0..=16)?))
}

pub(super) fn minsources(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Minsources(arguments.integer(0..=SOURCES_MAX)?))
}

pub(super) fn reselectdist(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Reselectdist(positive(arguments)?))
}

pub(super) fn stratumweight(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Stratumweight(positive(arguments)?))
}

pub(super) fn minsamples(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Minsamples(arguments.integer(0..=64)?))
}

pub(super) fn maxsamples(arguments: &mut Arguments<'_>) -> Read {
    line(SourcesLine::Maxsamples(arguments.integer(0..=64)?))
}

fn positive(arguments: &mut Arguments<'_>) -> Result<f64, At> {
    arguments.number(0.0..=f64::MAX)
}

#[expect(clippy::unnecessary_wraps, reason = "what a reader answers")]
const fn line(line: SourcesLine) -> Read {
    Ok(Directive::Sources(line))
}

/// The words of `authselectmode`.
pub(in crate::config) const AUTH_SELECT_MODES: [(&str, AuthSelectMode); 4] = [
    ("require", AuthSelectMode::Require),
    ("prefer", AuthSelectMode::Prefer),
    ("mix", AuthSelectMode::Mix),
    ("ignore", AuthSelectMode::Ignore),
];

/// All that servers and pools know, for the one that comes near a slip.
const OPTIONS: [&str; 34] = [
    "maxsources",
    "iburst",
    "burst",
    "presend",
    "copy",
    "minpoll",
    "maxpoll",
    "key",
    "maxdelay",
    "maxdelayratio",
    "maxdelaydevratio",
    "maxdelayquant",
    "mindelay",
    "asymmetry",
    "offset",
    "minsamples",
    "maxsamples",
    "maxunreach",
    "filter",
    "polltarget",
    "port",
    "minstratum",
    "version",
    "offline",
    "auto_offline",
    "prefer",
    "noselect",
    "trust",
    "require",
    "xleave",
    "ipv4",
    "ipv6",
    "nts",
    "extfield",
];

/// A host behind a directive that is checked only.
pub(super) const HOST: Value = Word(HOST_EXPECTED);
const HOST_EXPECTED: &str = "a host name or an address";
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();
/// More samples than a register has in all its history would be none.
const FILTER_MAX: usize = 10_000;
const SOURCES_MAX: usize = 1_000_000;
/// chrony's limit for delays.
const DELAY_MAX_S: f64 = 1000.0;
/// `maxsources`, by default.
const POOL_SOURCES: usize = 4;
const NTS: &str = "maser cannot authenticate a source with NTS yet; use key ID with an AES128 key";
