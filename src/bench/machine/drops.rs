//! Where the kernel dropped packets: queues of sockets, UDP, interfaces, the backlog of each core.
//!
//! Counters of a network namespace are read by way of a process that is in it: `/proc/PID/net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::cpu::text;

/// A socket of the server's and what the kernel dropped at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketDrops {
    /// The kernel's number for it.
    pub inode: u64,
    /// Where it is bound.
    pub address: SocketAddr,
    /// Datagrams that found its queue full, or had a bad checksum.
    pub dropped: u32,
}

/// Errors of UDP in one namespace and one family (RFC 4113 §3, and Linux's own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpErrors {
    /// Datagrams that could not be delivered, for whichever of the reasons.
    pub in_errors: u64,
    /// … because a socket's queue was full.
    pub receive_buffer: u64,
    /// Datagrams that were not sent because a queue was full.
    pub send_buffer: u64,
    /// Datagrams with a bad checksum.
    pub checksum: u64,
}

impl UdpErrors {
    const fn since(&self, before: &Self) -> Self {
        Self {
            in_errors: self.in_errors.saturating_sub(before.in_errors),
            receive_buffer: self.receive_buffer.saturating_sub(before.receive_buffer),
            send_buffer: self.send_buffer.saturating_sub(before.send_buffer),
            checksum: self.checksum.saturating_sub(before.checksum),
        }
    }
}

/// What an interface carried and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceDrops {
    /// Its name.
    pub name: String,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Received packets that were dropped, before any socket was looked for.
    pub rx_dropped: u64,
    /// Packets that were dropped instead of sent.
    pub tx_dropped: u64,
}

/// Whose network a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The harness's; the server is elsewhere, or it is not known where.
    Harness,
    /// The server's, which is not the harness's, or not known to be.
    Server,
    /// Both are in it.
    Both,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Who is in it.
    pub whose: Whose,
    /// UDP over IPv4.
    pub udp: UdpErrors,
    /// UDP over IPv6.
    pub udp6: UdpErrors,
    /// Interfaces that carried or dropped anything.
    pub interfaces: Vec<InterfaceDrops>,
}

/// Queues between an interface and UDP, of all cores together and for all namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softnet {
    /// Packets that found a core's backlog full (net.core.netdev_max_backlog).
    pub dropped: u64,
    /// How often a core had to stop with packets left (net.core.netdev_budget).
    pub squeezed: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The server's sockets on the port that was asked; empty where they cannot be seen.
    pub sockets: Vec<SocketDrops>,
    /// The namespaces of harness and server.
    pub networks: Vec<Network>,
    /// Backlogs.
    pub softnet: Softnet,
}

impl Drops {
    /// Reads the namespaces at `networks` (folders as `/proc/PID/net`), and in the last of them, unless that is
    /// the harness's alone, the sockets that hear `target`.
    pub(super) fn read(networks: &[(Whose, PathBuf)], target: SocketAddr) -> Self {
        let sockets = match networks.last() {
            Some((Whose::Server | Whose::Both, net)) => hearing(net, target),
            _ => Vec::new(),
        };
        let backlog = networks
            .first()
            .map(|(_, net)| text(net.join("softnet_stat")));
        Self {
            sockets,
            networks: networks
                .iter()
                .map(|(whose, net)| network(*whose, net))
                .collect(),
            softnet: parse_softnet(&backlog.unwrap_or_default()),
        }
    }

    /// What was dropped since an earlier reading.
    pub(super) fn since(&self, before: &Self) -> Self {
        let sockets = self.sockets.iter().map(|socket| {
            let earlier = before.sockets.iter().find(|old| old.inode == socket.inode);
            SocketDrops {
                // The kernel's counter has 32 bits and goes round.
                dropped: socket
                    .dropped
                    .wrapping_sub(earlier.map_or(0, |old| old.dropped)),
                ..*socket
            }
        });
        let networks = self.networks.iter().zip(&before.networks);
        Self {
            sockets: sockets.collect(),
            networks: networks
                .map(|(after, before)| after.since(before))
                .collect(),
            softnet: Softnet {
                dropped: self.softnet.dropped.saturating_sub(before.softnet.dropped),
                squeezed: self
                    .softnet
                    .squeezed
                    .saturating_sub(before.softnet.squeezed),
            },
        }
    }

    /// Datagrams dropped at the server's sockets, together.
    pub fn at_server(&self) -> u64 {
        self.sockets
            .iter()
            .map(|socket| u64::from(socket.dropped))
            .sum()
    }
}

impl Network {
    fn since(&self, before: &Self) -> Self {
        let interfaces = self.interfaces.iter().map(|after| {
            let earlier = before
                .interfaces
                .iter()
                .find(|interface| interface.name == after.name);
            let none = InterfaceDrops::default();
            let earlier = earlier.unwrap_or(&none);
            InterfaceDrops {
                name: after.name.clone(),
                rx_packets: after.rx_packets.saturating_sub(earlier.rx_packets),
                tx_packets: after.tx_packets.saturating_sub(earlier.tx_packets),
                rx_dropped: after.rx_dropped.saturating_sub(earlier.rx_dropped),
                tx_dropped: after.tx_dropped.saturating_sub(earlier.tx_dropped),
            }
        });
        Self {
            whose: self.whose,
            udp: self.udp.since(&before.udp),
            udp6: self.udp6.since(&before.udp6),
            interfaces: interfaces
                .filter(|i| i.rx_packets + i.tx_packets + i.rx_dropped + i.tx_dropped > 0)
                .collect(),
        }
    }
}

fn network(whose: Whose, net: &Path) -> Network {
    Network {
        whose,
        udp: parse_snmp(&text(net.join("snmp"))),
        udp6: parse_snmp6(&text(net.join("snmp6"))),
        interfaces: parse_interfaces(&text(net.join("dev"))),
    }
}

/// The sockets of a namespace that hear what is sent to `target`: those bound to that very address where
/// there are any, or else to all addresses. An IPv6 socket may hear IPv4 too.
pub(super) fn hearing(net: &Path, target: SocketAddr) -> Vec<SocketDrops> {
    let v6 = || parse_sockets(&text(net.join("udp6")));
    if target.is_ipv6() {
        return nearest(v6(), target);
    }
    let found = nearest(parse_sockets(&text(net.join("udp"))), target);
    if found.is_empty() {
        nearest(v6(), target)
    } else {
        found
    }
}

fn nearest(sockets: Vec<SocketDrops>, target: SocketAddr) -> Vec<SocketDrops> {
    let on_port = |socket: &&SocketDrops| socket.address.port() == target.port();
    let those = |ip: &dyn Fn(IpAddr) -> bool| {
        let sockets = sockets.iter().filter(on_port);
        let found = sockets.filter(|socket| ip(socket.address.ip().to_canonical()));
        found.copied().collect::<Vec<_>>()
    };
    let exact = those(&|ip| ip == target.ip());
    if exact.is_empty() {
        those(&|ip| ip.is_unspecified())
    } else {
        exact
    }
}

/// `/proc/net/udp` and `udp6`: sockets that hear everybody. Connected ones hear one peer, and serve nobody.
fn parse_sockets(text: &str) -> Vec<SocketDrops> {
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, remote) = (
            parse_address(fields.get(1)?)?,
            parse_address(fields.get(2)?)?,
        );
        (remote.port() == 0).then_some(())?;
        Some(SocketDrops {
            inode: fields.get(9)?.parse().ok()?,
            address: local,
            dropped: fields.get(12)?.parse().ok()?,
        })
    };
    text.lines().filter_map(socket).collect()
}

/// `0100007F:007B`: words of four bytes, each written as this machine's number, and the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    Some(SocketAddr::new(
        parse_ip(ip)?,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

/// An address of either family, without a port, as `parse_address` has it.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(IpAddr::V6(Ipv6Addr::from(
                <[u8; 16]>::try_from(bytes).ok()?,
            )))
        }
        _ => None,
    }
}

/// `/proc/net/snmp`: a line of names and a line of values.
fn parse_snmp(text: &str) -> UdpErrors {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    udp_errors(pairs)
}

/// `/proc/net/snmp6`: a name and a value on each line.
fn parse_snmp6(text: &str) -> UdpErrors {
    let pairs = text
        .lines()
        .filter_map(|line| line.strip_prefix("Udp6")?.split_once(char::is_whitespace));
    udp_errors(pairs)
}

fn udp_errors<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> UdpErrors {
    let mut errors = UdpErrors::default();
    for (name, value) in pairs {
        let counter = match name {
            "InErrors" => &mut errors.in_errors,
            "RcvbufErrors" => &mut errors.receive_buffer,
            "SndbufErrors" => &mut errors.send_buffer,
            "InCsumErrors" => &mut errors.checksum,
            _ => continue,
        };
        *counter = value.trim().parse().unwrap_or(0);
    }
    errors
}

/// `/proc/net/dev`: a name, eight numbers of what came, eight of what went.
fn parse_interfaces(text: &str) -> Vec<InterfaceDrops> {
    let interface = |line: &str| {
        let (name, numbers) = line.rsplit_once(':')?;
        let numbers: Vec<u64> = numbers
            .split_whitespace()
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        // bytes packets errs drop fifo frame compressed multicast | bytes packets errs drop …
        Some(InterfaceDrops {
            name: name.trim().to_owned(),
            rx_packets: *numbers.get(1)?,
            rx_dropped: *numbers.get(3)?,
            tx_packets: *numbers.get(9)?,
            tx_dropped: *numbers.get(11)?,
        })
    };
    text.lines().filter_map(interface).collect()
}

/// `/proc/net/softnet_stat`: a line for each core; packets, dropped, squeezed, … in hexadecimal.
fn parse_softnet(text: &str) -> Softnet {
    let mut sum = Softnet::default();
    for line in text.lines() {
        let mut numbers = line
            .split_whitespace()
            .map(|word| u64::from_str_radix(word, 16).unwrap_or(0));
        sum.dropped = sum.dropped.wrapping_add(numbers.nth(1).unwrap_or(0));
        sum.squeezed = sum.squeezed.wrapping_add(numbers.next().unwrap_or(0));
    }
    sum
}

#[cfg(test)]
mod tests;
