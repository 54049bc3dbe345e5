//! Whom to ask and how: chronyc's options, as arguments of every report.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;

use super::Failure;
use super::names::Names;
use super::sheet::Form;
use crate::config::ChronydAddress;
use crate::control::SourceAddress;
use crate::node::ControlClient;

/// chronyc's options.
#[derive(Debug, clap::Args)]
pub(super) struct Ask {
    /// Ask this host, or the first of several that answers: names, addresses, or paths of sockets [default:
    /// /run/maser/maser.sock, then 127.0.0.1 and ::1, ports 323 and 11323].
    #[arg(short = 'h', long = "host", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Print comma-separated values, as chronyc -c does.
    #[arg(short = 'c', long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON: names in snake_case with their units; signs as with -c.
    #[arg(long)]
    json: bool,
    /// Print addresses; do not look up their names. Always so with -c and --json.
    #[arg(short = 'n', long)]
    numeric: bool,
    /// Print sources by the names they have in the configuration.
    #[arg(short = 'N', long)]
    source_names: bool,
    /// Wait so many milliseconds for the first reply, twice as long for the next.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
    /// Ask so many times more where no reply comes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(..=16))]
    retries: u16,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The port of hosts, by chronyc's letter.
#[derive(Debug, clap::Args)]
pub(super) struct Port {
    /// Ask at this UDP port [default: 323].
    #[arg(short = 'p', long)]
    port: Option<u16>,
}

impl Port {
    pub(super) const fn number(&self) -> Option<u16> {
        self.port
    }
}

impl Ask {
    pub(super) const fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            (false, false) => Form::Text,
        }
    }

    /// chronyc looks nothing up for programs.
    pub(super) fn names(&self) -> Names {
        let looks_up = !self.numeric && self.form() == Form::Text;
        Names::new(self.source_names, looks_up)
    }

    /// Who asks.
    ///
    /// # Errors
    /// None of the hosts has an address.
    pub(super) fn client(&self, port: Option<u16>) -> Result<ControlClient, Failure> {
        let addresses = if self.hosts.is_empty() {
            default_addresses(port)
        } else {
            self.named_addresses(port.unwrap_or(PORT))?
        };
        let patience = Duration::from_millis(self.timeout);
        Ok(ControlClient::new(addresses, patience, 1 + self.retries))
    }

    fn named_addresses(&self, port: u16) -> Result<Vec<ChronydAddress>, Failure> {
        let mut addresses = Vec::new();
        let mut unknown = Vec::new();
        for host in &self.hosts {
            if host.starts_with('/') {
                addresses.push(ChronydAddress::Unix(host.into()));
                continue;
            }
            match (host.as_str(), port).to_socket_addrs() {
                Ok(found) => addresses.extend(found.map(ChronydAddress::Udp)),
                Err(error) => unknown.push(format!("{host}: {error}")),
            }
        }
        if addresses.is_empty() {
            return Err(Failure::Argument(unknown.join("; ")));
        }
        Ok(addresses)
    }
}

/// The socket in the file system first, which may do all; then the port that needs a privilege, so that a stranger on
/// this machine who has opened the other one is not believed before it.
fn default_addresses(port: Option<u16>) -> Vec<ChronydAddress> {
    let ports = port.map_or_else(|| vec![PORT, EMBEDDED_PORT], |port| vec![port]);
    let socket = ChronydAddress::Unix(PathBuf::from(SOCKET));
    let hosts = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ];
    let udp = ports
        .into_iter()
        .flat_map(|port| hosts.map(|host| ChronydAddress::Udp(SocketAddr::new(host, port))));
    std::iter::once(socket).chain(udp).collect()
}

/// A source as it is typed: an address, `ID#` and a number, or a name that is looked up.
pub(super) fn source(typed: &str) -> Result<SourceAddress, Failure> {
    if let Ok(ip) = typed.parse() {
        return Ok(SourceAddress::Ip(ip));
    }
    if let Some(number) = typed.strip_prefix("ID#").and_then(|rest| rest.parse().ok()) {
        return Ok(SourceAddress::Unresolved(number));
    }
    let looked_up = (typed, 0).to_socket_addrs();
    let found = looked_up.map(|mut all| all.next());
    match found {
        Ok(Some(address)) => Ok(SourceAddress::Ip(address.ip())),
        Ok(None) => Err(Failure::Argument(format!("{typed}: no address"))),
        Err(error) => Err(Failure::Argument(format!("{typed}: {error}"))),
    }
}

const SOCKET: &str = "/run/maser/maser.sock";
/// chrony's (`cmdport`).
const PORT: u16 = 323;
/// That of a node without a configuration.
const EMBEDDED_PORT: u16 = 11323;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_by_default() {
        let udp = |address: &str| ChronydAddress::Udp(address.parse().expect("an address"));
        let asked = default_addresses(None);
        assert_eq!(asked[0], ChronydAddress::Unix(SOCKET.into()));
        assert_eq!(asked[1..3], [udp("127.0.0.1:323"), udp("[::1]:323")]);
        assert_eq!(asked[3..], [udp("127.0.0.1:11323"), udp("[::1]:11323")]);
        assert_eq!(default_addresses(Some(5)).len(), 3);
    }

    #[test]
    fn sources_as_they_are_typed() {
        let ip = |text: &str| SourceAddress::Ip(text.parse().expect("an address"));
        assert_eq!(source("::1").ok(), Some(ip("::1")));
        let unresolved = source("ID#0000000007").ok();
        assert_eq!(unresolved, Some(SourceAddress::Unresolved(7)));
        assert!(source("no.such.name.invalid").is_err());
    }
}
