//! chrony's directives that maser honours: server, clock, process (chrony.conf(5)).

use std::path::PathBuf;

use super::{Directive, access};
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{Local, SourceDirectories};
use crate::server::RateLimit;

type Read = Result<Directive, At>;

pub(super) fn allow(arguments: &mut Arguments<'_>) -> Read {
    let (all, who) = access::line(arguments)?;
    let allow = true;
    Ok(Directive::Access { allow, all, who })
}

pub(super) fn deny(arguments: &mut Arguments<'_>) -> Read {
    let (all, who) = access::line(arguments)?;
    let allow = false;
    Ok(Directive::Access { allow, all, who })
}

pub(super) fn bindaddress(arguments: &mut Arguments<'_>) -> Read {
    arguments.address().map(Directive::Bindaddress)
}

pub(super) fn binddevice(arguments: &mut Arguments<'_>) -> Read {
    let expected = "the name of a network interface, of at most 15 bytes";
    arguments.take(expected, |word| {
        (word.len() < INTERFACE_NAME_SIZE).then(|| Directive::Binddevice(word.to_owned()))
    })
}

pub(super) fn clientloglimit(arguments: &mut Arguments<'_>) -> Read {
    let bytes = arguments.integer(0..=usize::MAX)?;
    Ok(Directive::Clientloglimit(bytes))
}

pub(super) fn clockprecision(arguments: &mut Arguments<'_>) -> Read {
    let seconds = arguments.number(PRECISION_MIN_S..=1.0)?;
    Ok(Directive::Clockprecision(seconds))
}

pub(super) fn confdir(arguments: &mut Arguments<'_>) -> Read {
    directories(arguments).map(Directive::Confdir)
}

pub(super) fn dscp(arguments: &mut Arguments<'_>) -> Read {
    arguments.integer(0..=63).map(Directive::Dscp)
}

pub(super) fn include(arguments: &mut Arguments<'_>) -> Read {
    let pattern = arguments.word("a file or a pattern of files")?;
    Ok(Directive::Include(pattern.to_owned()))
}

pub(super) fn keyfile(arguments: &mut Arguments<'_>) -> Read {
    path(arguments).map(Directive::Keyfile)
}

pub(super) fn local(arguments: &mut Arguments<'_>) -> Read {
    let mut local = Local {
        stratum: 10,
        orphan: false,
        distance_s: 1.0,
        activate_s: 0.0,
        wait_synced_s: 0.0,
        wait_unsynced_s: 0.0,
    };
    let mut wait_unsynced_s = None;
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "stratum" => local.stratum = arguments.integer(1..=15)?,
            "orphan" => local.orphan = true,
            "distance" => local.distance_s = seconds(arguments)?,
            "activate" => local.activate_s = seconds(arguments)?,
            "waitsynced" => local.wait_synced_s = seconds(arguments)?,
            "waitunsynced" => wait_unsynced_s = Some(seconds(arguments)?),
            _ => {
                let expected = "stratum, orphan, distance, activate, waitsynced or waitunsynced";
                return Err(arguments.no_such_option(expected));
            }
        }
    }
    // An orphan must hear of the others before it takes over.
    let default_s = if local.orphan { ORPHAN_WAIT_S } else { 0.0 };
    local.wait_unsynced_s = wait_unsynced_s.unwrap_or(default_s);
    Ok(Directive::Local(local))
}

pub(super) fn lock_all(_: &mut Arguments<'_>) -> Read {
    Ok(Directive::LockAll)
}

pub(super) fn maxclockerror(arguments: &mut Arguments<'_>) -> Read {
    let ppm = arguments.number(0.0..=1e6)?;
    Ok(Directive::Maxclockerror(ppm))
}

pub(super) fn noclientlog(_: &mut Arguments<'_>) -> Read {
    Ok(Directive::Noclientlog)
}

pub(super) fn pidfile(arguments: &mut Arguments<'_>) -> Read {
    path(arguments).map(Directive::Pidfile)
}

pub(super) fn port(arguments: &mut Arguments<'_>) -> Read {
    arguments.integer(0..=u16::MAX).map(Directive::Port)
}

pub(super) fn ratelimit(arguments: &mut Arguments<'_>) -> Read {
    let mut limit = RateLimit::default();
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "interval" => limit.interval_log2 = arguments.integer(-19..=12)?,
            "burst" => limit.burst = arguments.integer(1..=255)?,
            "leak" => limit.leak_log2 = arguments.integer(1..=4)?,
            "kod" => limit.kod_log2 = Some(arguments.integer(0..=4)?).filter(|kod| *kod > 0),
            _ => return Err(arguments.no_such_option("interval, burst, leak or kod")),
        }
    }
    Ok(Directive::Ratelimit(limit))
}

pub(super) fn sched_priority(arguments: &mut Arguments<'_>) -> Read {
    arguments.integer(0..=100).map(Directive::SchedPriority)
}

pub(super) fn sourcedir(arguments: &mut Arguments<'_>) -> Read {
    let directories = directories(arguments)?;
    Ok(Directive::Sourcedir(SourceDirectories {
        directories,
        sources: Vec::new(),
    }))
}

pub(super) fn user(arguments: &mut Arguments<'_>) -> Read {
    let name = arguments.word("the name of a user")?;
    Ok(Directive::User(name.to_owned()))
}

fn path(arguments: &mut Arguments<'_>) -> Result<PathBuf, At> {
    arguments.word("a path").map(PathBuf::from)
}

fn directories(arguments: &mut Arguments<'_>) -> Result<Vec<PathBuf>, At> {
    let mut directories = vec![arguments.word("a directory").map(PathBuf::from)?];
    while !arguments.is_empty() && directories.len() < DIRECTORIES_MAX {
        directories.push(arguments.word("a directory")?.into());
    }
    Ok(directories)
}

fn seconds(arguments: &mut Arguments<'_>) -> Result<f64, At> {
    arguments.number(0.0..=SECONDS_MAX)
}

/// Linux's `IFNAMSIZ`, which counts the closing zero.
const INTERFACE_NAME_SIZE: usize = 16;
/// No clock is read more finely.
const PRECISION_MIN_S: f64 = 1e-9;
/// `waitunsynced` of an orphan.
const ORPHAN_WAIT_S: f64 = 300.0;
/// About 31 years, beyond any wait or distance that has a meaning.
const SECONDS_MAX: f64 = 1e9;
/// chrony's limit for `confdir` and `sourcedir`.
const DIRECTORIES_MAX: usize = 10;
