//! What sources and clients are called.

use std::collections::HashMap;
use std::net::IpAddr;

use super::figures::letters;
use crate::control::{Question, Reply, Request, SourceAddress};
use crate::node::{ControlClient, host_name};

/// How addresses become names.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) way: Naming,
    /// Looking an address up may take seconds.
    known: HashMap<IpAddr, String>,
}

/// Where a name is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The resolver, asked for the name of the address.
    Resolver,
    /// Nowhere: addresses are printed.
    Numeric,
    /// For sources the daemon's configuration, else as [`Numeric`](Self::Numeric) or
    /// [`Resolver`](Self::Resolver).
    Configuration { is_numeric: bool },
}

impl Names {
    pub(super) fn new(way: Naming) -> Self {
        Self {
            way,
            known: HashMap::new(),
        }
    }

    /// A source's.
    pub(super) fn source(&mut self, client: &mut ControlClient, source: SourceAddress) -> String {
        if let (Naming::Configuration { .. }, SourceAddress::Ip(_) | SourceAddress::Unresolved(_)) =
            (self.way, source)
        {
            let request = Request::Ask(Question::SourceName(source));
            return match client.ask(&request).map(|answer| answer.reply) {
                Ok(Reply::SourceName(name)) => name,
                _ => "?".to_owned(),
            };
        }
        match source {
            SourceAddress::Refclock(id) => letters(id),
            SourceAddress::Ip(ip) => self.host(ip),
            other => digits(other),
        }
    }

    /// A host's that is no source.
    pub(super) fn host(&mut self, ip: IpAddr) -> String {
        let is_numeric = !matches!(
            self.way,
            Naming::Resolver | Naming::Configuration { is_numeric: false }
        );
        if is_numeric {
            return ip.to_string();
        }
        let named = self.known.entry(ip);
        let name = named.or_insert_with(|| host_name::of(ip).unwrap_or_else(|| ip.to_string()));
        name.clone()
    }
}

/// An address without a name. A source that has no address yet has a number.
pub(super) fn digits(source: SourceAddress) -> String {
    match source {
        SourceAddress::Unspecified => "[UNSPEC]".to_owned(),
        SourceAddress::Ip(ip) => ip.to_string(),
        SourceAddress::Unresolved(number) => format!("ID#{number:010}"),
        SourceAddress::Refclock(id) => letters(id),
    }
}

/// A name in so many columns; what is cut off is marked.
pub(super) fn column(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return format!("{name:width$}");
    }
    let kept: String = name.chars().take(width - 1).collect();
    kept + ">"
}
