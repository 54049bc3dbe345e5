//! What stands between the wire and the socket: connection tracking, the reverse-path filter.

use std::net::{IpAddr, Ipv6Addr};

use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::nic::Card;

const AREA: &str = "firewall";

/// Connection tracking and packets dropped by where they came from.
#[derive(Debug)]
pub(super) struct Firewall {
    /// Connections tracked in this network namespace, and how many may be.
    tracked: Fact<u64>,
    tracked_max: Fact<u64>,
    /// Of these, requests from elsewhere to the port served.
    of_port: Fact<u64>,
    /// Packets dropped because the table was full, since boot.
    table_full: u64,
    /// net.ipv4.conf.all.rp_filter: 0 off, 1 strict, 2 loose.
    reverse_path: Fact<u8>,
    /// Packets dropped by it since boot.
    reverse_path_drops: Fact<u64>,
}

impl Firewall {
    pub(super) fn read(root: &Root, port: u16) -> Self {
        let netstat = "proc/net/netstat";
        Self {
            tracked: root.number("proc/sys/net/netfilter/nf_conntrack_count"),
            tracked_max: root.number("proc/sys/net/netfilter/nf_conntrack_max"),
            of_port: tracked_requests(root, port),
            table_full: root
                .text("proc/net/stat/nf_conntrack")
                .map_or(0, |text| table_full(&text)),
            reverse_path: root.number("proc/sys/net/ipv4/conf/all/rp_filter"),
            reverse_path_drops: root.text(netstat).and_then(|text| {
                reverse_path_drops(&text).ok_or_else(|| Unknown::strange(netstat, &text))
            }),
        }
    }

    pub(super) fn findings(&self, port: u16, cards: &[Card]) -> Vec<Finding> {
        vec![self.tracking(port), self.reverse_path(cards)]
    }

    fn tracking(&self, port: u16) -> Finding {
        let name = "connection tracking";
        let (tracked, most) = match (&self.tracked, &self.tracked_max) {
            (Err(why), _) if why.is_missing() => {
                return Finding::ok(AREA, name, "not in this kernel");
            }
            (Ok(tracked), Ok(most)) => (*tracked, *most),
            (Err(why), _) | (_, Err(why)) => return Finding::unknown(AREA, name, why),
        };
        let finding = Finding::ok(
            AREA,
            name,
            format!("{tracked} of at most {most} connections"),
        );
        let untracked = format!("none of UDP port {port}");
        let cured = |finding: Finding| {
            finding.wanting(untracked.clone()).cured_by(format!(
                "nft 'add table inet maser_notrack; \
                 add chain inet maser_notrack in {{ type filter hook prerouting priority raw; }}; \
                 add rule inet maser_notrack in udp dport {port} notrack; \
                 add chain inet maser_notrack out {{ type filter hook output priority raw; }}; \
                 add rule inet maser_notrack out udp sport {port} notrack'"
            ))
        };
        let costs = "each packet costs some 350 ns more (4.8 million a second and core without it, 1.8 with it, in \
                     the XDP paper of 2018), and a full table drops new clients";
        match &self.of_port {
            _ if tracked == 0 => finding,
            Ok(0) => finding.because(untracked),
            Ok(ours) => {
                let nearly_full = tracked.saturating_mul(10) >= most.saturating_mul(9);
                let (severity, lost) = match self.table_full {
                    0 if nearly_full => (Severity::Broken, String::new()),
                    0 => (Severity::Slow, String::new()),
                    lost => (
                        Severity::Broken,
                        format!("; it dropped {lost} packets since boot"),
                    ),
                };
                cured(
                    finding
                        .judged(severity)
                        .because(format!("{ours} of them are requests to it: {costs}{lost}")),
                )
            }
            Err(why) => cured(finding.judged(Severity::Note).because(format!(
                "cannot tell whether requests to it are among them, because {why}; if so, {costs}"
            ))),
        }
    }

    fn reverse_path(&self, cards: &[Card]) -> Finding {
        let name = "net.ipv4.conf.all.rp_filter";
        let mode = match &self.reverse_path {
            Ok(mode) => *mode,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        // The kernel takes the larger of this one and the interface's.
        let strict: Vec<_> = cards
            .iter()
            .filter(|card| mode.max(card.reverse_path) == 1)
            .map(|card| card.name.as_str())
            .collect();
        let found = match mode {
            0 => "0 (off)".to_owned(),
            1 => "1 (strict)".to_owned(),
            2 => "2 (loose)".to_owned(),
            other => other.to_string(),
        };
        if strict.is_empty() {
            return Finding::ok(AREA, name, found);
        }
        let finding = Finding::ok(
            AREA,
            name,
            format!("{found}; strict on {}", strict.join(", ")),
        )
        .wanting("2 (loose)")
        .cured_by(format!("sysctl --write {name}=2"))
        .or_script("tuning/sysctl apply --really --loose");
        let rule =
            "a request is dropped unless its answer would leave by the interface it came in by";
        match &self.reverse_path_drops {
            Ok(0) => finding
                .judged(Severity::Note)
                .because(format!("{rule}; none was dropped so far")),
            Ok(drops) => finding.judged(Severity::Note).because(format!(
                "{rule}: {drops} packets since boot, forged ones among them"
            )),
            Err(why) => finding.judged(Severity::Note).because(format!(
                "{rule}; how many were cannot be told, because {why}"
            )),
        }
    }
}

/// Requests of other machines among the connections. What this one asks of others goes to the port as well.
fn tracked_requests(root: &Root, port: u16) -> Fact<u64> {
    let table = root.text("proc/net/nf_conntrack")?;
    let mut local = local_ipv4(&root.text("proc/net/fib_trie")?);
    match root.text("proc/net/if_inet6") {
        Ok(text) => local.extend(local_ipv6(&text)),
        Err(why) if why.is_missing() => {}
        Err(why) => return Err(why),
    }
    Ok(requests(&table, port, &local))
}

/// Connections of UDP whose first packet came from elsewhere to `port`. The first address and port of a kind
/// on a line are those of the first packet, the second ones those of the answers.
fn requests(table: &str, port: u16, local: &[IpAddr]) -> u64 {
    let is_request = |line: &&str| {
        let field = |name: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(name))
        };
        let from_here = field("src=")
            .and_then(|source| source.parse().ok())
            .is_none_or(|source| local.contains(&source));
        let udp = line.split_whitespace().nth(2) == Some("udp");
        udp && !from_here && field("dport=").and_then(|to| to.parse().ok()) == Some(port)
    };
    table.lines().filter(is_request).count() as u64
}

/// `|-- 192.0.2.1` and behind it `/32 host LOCAL`.
fn local_ipv4(trie: &str) -> Vec<IpAddr> {
    let pairs = trie.lines().zip(trie.lines().skip(1));
    let local = pairs.filter(|(_, below)| below.trim() == "/32 host LOCAL");
    local
        .filter_map(|(address, _)| address.trim().strip_prefix("|-- ")?.parse().ok())
        .collect()
}

/// An address a line, 32 digits first.
fn local_ipv6(text: &str) -> Vec<IpAddr> {
    let addresses = text.lines().filter_map(|line| {
        let digits = line.split_whitespace().next()?;
        let bits = u128::from_str_radix(digits, 16).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    });
    addresses.collect()
}

/// The column `drop` of all cores: a line of names, then a line a core, hexadecimal.
fn table_full(text: &str) -> u64 {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    let Some(at) = names.split_whitespace().position(|name| name == "drop") else {
        return 0;
    };
    let drops =
        lines.filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(at)?, 16).ok());
    drops.fold(0, u64::saturating_add)
}

/// `IPReversePathFilter` of the two lines that begin with `TcpExt:`.
fn reverse_path_drops(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(name, _)| *name == "IPReversePathFilter")?;
    value.parse().ok()
}
