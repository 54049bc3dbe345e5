//! chronyc's access to us (chrony.conf(5), "Command and monitoring access").

use core::net::IpAddr;
use std::path::{Path, PathBuf};

use super::Directive;
use super::access::{self, Who};
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::server::RateLimit;

type Read = Result<Directive, At>;

/// A line about commands, as typed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum CommandLine {
    Cmdport(u16),
    Bindcmdaddress(CommandAddress),
    Bindcmddevice(String),
    /// `cmdallow`, `cmddeny`: which of them, and whether with the word `all`.
    Access {
        allow: bool,
        all: bool,
        who: Who,
    },
    Cmdratelimit(RateLimit),
    Opencommands(Vec<&'static str>),
}

/// Where commands are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum CommandAddress {
    Ip(IpAddr),
    /// A socket in the file system; `/`: none.
    Path(PathBuf),
}

pub(super) fn cmdport(arguments: &mut Arguments<'_>) -> Read {
    line(CommandLine::Cmdport(arguments.integer(0..=u16::MAX)?))
}

pub(super) fn bindcmdaddress(arguments: &mut Arguments<'_>) -> Read {
    let address = arguments.take("an IP address or a path from /", |word| {
        let path = Path::new(word);
        match word.parse() {
            Ok(ip) => Some(CommandAddress::Ip(ip)),
            Err(_) => path
                .is_absolute()
                .then(|| CommandAddress::Path(path.to_owned())),
        }
    })?;
    line(CommandLine::Bindcmdaddress(address))
}

pub(super) fn bindcmddevice(arguments: &mut Arguments<'_>) -> Read {
    let device = arguments.word("an interface")?;
    line(CommandLine::Bindcmddevice(device.to_owned()))
}

pub(super) fn cmdallow(arguments: &mut Arguments<'_>) -> Read {
    access(arguments, true)
}

pub(super) fn cmddeny(arguments: &mut Arguments<'_>) -> Read {
    access(arguments, false)
}

fn access(arguments: &mut Arguments<'_>, allow: bool) -> Read {
    let (all, who) = access::line(arguments)?;
    line(CommandLine::Access { allow, all, who })
}

pub(super) fn cmdratelimit(arguments: &mut Arguments<'_>) -> Read {
    let mut limit = COMMAND_RATE_LIMIT;
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "interval" => limit.interval_log2 = arguments.integer(-12..=12)?,
            "burst" => limit.burst = arguments.integer(1..=255)?,
            "leak" => limit.leak_log2 = arguments.integer(1..=4)?,
            _ => return Err(arguments.no_such_option("interval, burst or leak")),
        }
    }
    line(CommandLine::Cmdratelimit(limit))
}

pub(super) fn opencommands(arguments: &mut Arguments<'_>) -> Read {
    let mut open = Vec::new();
    while !arguments.is_empty() {
        let expected = "a command that only asks, as tracking or serverstats";
        open.push(arguments.take(expected, |word| {
            QUESTIONS.into_iter().find(|known| *known == word)
        })?);
    }
    line(CommandLine::Opencommands(open))
}

#[expect(clippy::unnecessary_wraps, reason = "what a reader answers")]
const fn line(line: CommandLine) -> Read {
    Ok(Directive::Command(line))
}

/// chrony's `cmdratelimit` where the line says nothing more.
const COMMAND_RATE_LIMIT: RateLimit = RateLimit {
    interval_log2: -4,
    burst: 8,
    leak_log2: 2,
    kod_log2: None,
};

/// What chronyc may ask over UDP where `opencommands` says so (chrony.conf(5)).
pub(in crate::config) const QUESTIONS: [&str; 13] = [
    "activity",
    "authdata",
    "clients",
    "manual",
    "ntpdata",
    "rtcdata",
    "selectdata",
    "serverstats",
    "smoothing",
    "sourcename",
    "sources",
    "sourcestats",
    "tracking",
];
