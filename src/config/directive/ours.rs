//! maser's own directives. There are few, and none that chrony has.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::{Directive, Who, access};
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{ChronydAddress, Follow, Pace, Steer, Unsynchronised};
use crate::server::Subnet;
use crate::wire::ReferenceId;

type Read = Result<Directive, At>;

/// A line about what is seen of us over HTTP, as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum MonitoringLine {
    Metrics(SocketAddr),
    Readydistance(f64),
    Drain(u32),
}

pub(super) fn workers(arguments: &mut Arguments<'_>) -> Read {
    let expected = format!("auto or a whole number from 0 to {WORKERS_MAX}");
    arguments.take(&expected, |word| {
        if word.eq_ignore_ascii_case("auto") {
            return Some(Directive::Workers(None));
        }
        let workers = word
            .parse()
            .ok()
            .filter(|n| (0..=WORKERS_MAX).contains(n))?;
        Some(Directive::Workers(Some(workers)))
    })
}

pub(super) fn cpus(arguments: &mut Arguments<'_>) -> Read {
    let expected = format!("processors up to {CPU_MAX}, each once, such as 0,2-5");
    arguments.take(&expected, |word| cpu_list(word).map(Directive::Cpus))
}

/// `0,2-5`: numbers and ranges, in the order in which workers take them.
fn cpu_list(word: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in word.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > CPU_MAX {
            return None;
        }
        for cpu in first..=last {
            if cpus.contains(&cpu) {
                return None;
            }
            cpus.push(cpu);
        }
    }
    Some(cpus)
}

pub(super) fn burst(arguments: &mut Arguments<'_>) -> Read {
    arguments.integer(1..=1024).map(Directive::Burst)
}

pub(super) fn busypoll(arguments: &mut Arguments<'_>) -> Read {
    arguments.integer(0..=10_000).map(Directive::Busypoll)
}

pub(super) fn pace(arguments: &mut Arguments<'_>) -> Read {
    arguments.one_of(&PACES).map(Directive::Pace)
}

pub(super) fn steer(arguments: &mut Arguments<'_>) -> Read {
    arguments.one_of(&STEERS).map(Directive::Steer)
}

pub(super) fn requireauth(arguments: &mut Arguments<'_>) -> Read {
    arguments.take("all, a subnet or a host", |word| match word {
        "all" => Some(Directive::Requireauth(Who::Subnet(Subnet::Any))),
        _ => access::who(word).map(Directive::Requireauth),
    })
}

pub(super) fn unsynchronised(arguments: &mut Arguments<'_>) -> Read {
    arguments
        .one_of(&UNSYNCHRONISED)
        .map(Directive::Unsynchronised)
}

pub(super) fn follow(arguments: &mut Arguments<'_>) -> Read {
    let kernel = arguments.one_of(&[("kernel", true), ("chronyd", false)])?;
    let follow = if kernel {
        follow_kernel(arguments)?
    } else {
        follow_chronyd(arguments)?
    };
    Ok(Directive::Follow(follow))
}

fn follow_kernel(arguments: &mut Arguments<'_>) -> Result<Follow, At> {
    let mut stratum = 2;
    let mut id = ReferenceId::from_bytes(*b"KERN");
    while let Some(option) = arguments.option() {
        match option.as_str() {
            "stratum" => stratum = arguments.integer(1..=15)?,
            "refid" => {
                id = arguments.take(
                    "up to four ASCII characters or an IPv4 address",
                    reference_id,
                )?;
            }
            _ => return Err(arguments.no_such_option("stratum or refid")),
        }
    }
    Ok(Follow::Kernel {
        stratum,
        reference_id: id,
    })
}

/// No text of four characters is an IPv4 address, so the two forms cannot be confused.
fn reference_id(word: &str) -> Option<ReferenceId> {
    if word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_graphic()) {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word.as_bytes());
        return Some(ReferenceId::from_bytes(bytes));
    }
    let address: Ipv4Addr = word.parse().ok()?;
    Some(ReferenceId::from_bytes(address.octets()))
}

fn follow_chronyd(arguments: &mut Arguments<'_>) -> Result<Follow, At> {
    if arguments.is_empty() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, CHRONYD_PORT));
        return Ok(Follow::Chronyd(ChronydAddress::Udp(address)));
    }
    let expected = "ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or a path from /";
    arguments
        .take(expected, chronyd_address)
        .map(Follow::Chronyd)
}

fn chronyd_address(word: &str) -> Option<ChronydAddress> {
    if word.starts_with('/') {
        return Some(ChronydAddress::Unix(PathBuf::from(word)));
    }
    let bracketed = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'))
        .and_then(|word| word.parse::<Ipv6Addr>().ok())
        .map(IpAddr::V6);
    if let Some(address) = bracketed.or_else(|| word.parse().ok()) {
        return Some(ChronydAddress::Udp(SocketAddr::new(address, CHRONYD_PORT)));
    }
    let address: SocketAddr = word.parse().ok()?;
    (address.port() != 0).then_some(ChronydAddress::Udp(address))
}

pub(super) fn metrics(arguments: &mut Arguments<'_>) -> Read {
    arguments.take("ADDRESS:PORT or [ADDRESS]:PORT", |word| {
        let address: SocketAddr = word.parse().ok()?;
        (address.port() != 0).then_some(Directive::Monitoring(MonitoringLine::Metrics(address)))
    })
}

pub(super) fn readydistance(arguments: &mut Arguments<'_>) -> Read {
    let seconds = arguments.number(0.0..=f64::MAX)?;
    Ok(Directive::Monitoring(MonitoringLine::Readydistance(
        seconds,
    )))
}

pub(super) fn drain(arguments: &mut Arguments<'_>) -> Read {
    let seconds = arguments.integer(0..=DRAIN_S_MAX)?;
    Ok(Directive::Monitoring(MonitoringLine::Drain(seconds)))
}

/// The words of `pace`.
pub(in crate::config) const PACES: [(&str, Pace); 3] = [
    ("adaptive", Pace::Adaptive),
    ("spin", Pace::Spin),
    ("park", Pace::Park),
];

/// The words of `steer`.
pub(in crate::config) const STEERS: [(&str, Steer); 3] = [
    ("source", Steer::Source),
    ("cpu", Steer::Cpu),
    ("hash", Steer::Hash),
];

/// The words of `unsynchronised`.
pub(in crate::config) const UNSYNCHRONISED: [(&str, Unsynchronised); 2] = [
    ("answer", Unsynchronised::Answer),
    ("silent", Unsynchronised::Silent),
];

/// A worker is a thread on a core of its own.
const WORKERS_MAX: usize = 1024;
/// The last processor of Linux's fixed-size `cpu_set_t`.
const CPU_MAX: usize = 1023;
/// No balancer takes longer than this hour to turn to others.
const DRAIN_S_MAX: u32 = 3600;
/// Where chronyd takes commands.
const CHRONYD_PORT: u16 = 323;
