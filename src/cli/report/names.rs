//! What sources and clients are called.

use std::collections::HashMap;
use std::net::IpAddr;

use super::figures::letters;
use crate::control::{Question, Reply, Request, SourceAddress};
use crate::node::{ControlClient, host_name};

/// How addresses become names.
#[derive(Debug)]
pub(super) struct Names {
    /// Sources by their names in the configuration.
    has_source_names: bool,
    /// Others by the names that the resolver has for their addresses.
    looks_up: bool,
    /// Looking an address up may take seconds.
    known: HashMap<IpAddr, String>,
}

impl Names {
    pub(super) fn new(has_source_names: bool, looks_up: bool) -> Self {
        Self {
            has_source_names,
            looks_up,
            known: HashMap::new(),
        }
    }

    /// A source's.
    pub(super) fn source(&mut self, client: &mut ControlClient, source: SourceAddress) -> Name {
        let has_line = matches!(source, SourceAddress::Ip(_) | SourceAddress::Unresolved(_));
        if self.has_source_names && has_line {
            let request = Request::Ask(Question::SourceName(source));
            // A source that has gone away since has its address.
            if let Ok(Reply::SourceName(name)) = client.ask(&request).map(|answer| answer.reply) {
                return Name::whole(name);
            }
        }
        match source {
            SourceAddress::Ip(ip) => self.host(ip),
            other => Name::whole(digits(other)),
        }
    }

    /// A host's that is no source.
    pub(super) fn host(&mut self, ip: IpAddr) -> Name {
        if !self.looks_up {
            return Name::whole(ip.to_string());
        }
        let known = self.known.entry(ip);
        let text = known.or_insert_with(|| host_name::of(ip).unwrap_or_else(|| ip.to_string()));
        Name {
            text: text.clone(),
            is_looked_up: true,
        }
    }
}

/// What something is called.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    is_looked_up: bool,
}

impl Name {
    pub(super) const fn whole(text: String) -> Self {
        Self {
            text,
            is_looked_up: false,
        }
    }

    /// In so many columns. As with chronyc, what the resolver says is cut where it is long, and ends in `>`.
    pub(super) fn column(&self, width: usize) -> String {
        let text = &self.text;
        if self.is_looked_up && text.chars().count() > LOOKED_UP_MAX {
            let kept: String = text.chars().take(LOOKED_UP_MAX - 1).collect();
            return format!("{:width$}", kept + ">");
        }
        format!("{text:width$}")
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

/// Columns that a name of the resolver's may take.
const LOOKED_UP_MAX: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_resolver_alone_are_cut() {
        let name = |text: &str, is_looked_up| Name {
            text: text.to_owned(),
            is_looked_up,
        };
        let long = "a.name.of.26.columns.examp";
        assert_eq!(
            name(&long[1..], true).column(27),
            format!("{}  ", &long[1..])
        );
        assert_eq!(name(long, true).column(25), "a.name.of.26.columns.exa>");
        assert_eq!(name(long, true).column(27), "a.name.of.26.columns.exa>  ");
        assert_eq!(name(long, false).column(25), long);
    }
}
