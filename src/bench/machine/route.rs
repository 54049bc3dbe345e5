//! By which interface this machine reaches an address, as far as its main routing table tells.

use std::net::IpAddr;
use std::path::Path;

use super::cpu::text;
use super::drops::parse_ip;

/// The interface over which this machine sends to `target`, by the namespace's main table (`route`,
/// `ipv6_route`); what rules send elsewhere is not looked at.
pub(in crate::bench) fn interface_towards(net: &Path, target: IpAddr) -> Option<String> {
    let route = match target {
        IpAddr::V4(_) => parse_routes(&text(net.join("route"))),
        IpAddr::V6(_) => parse_routes6(&text(net.join("ipv6_route"))),
    };
    let reaching = route.into_iter().filter(|route| route.reaches(target));
    // The longest prefix; among those the lowest metric.
    let best = reaching.max_by_key(|route| (route.prefix, u32::MAX - route.metric));
    best.map(|route| route.interface)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    to: u128,
    prefix: u32,
    /// Bits of an address of the family.
    bits: u32,
    metric: u32,
    interface: String,
}

impl Route {
    fn reaches(&self, target: IpAddr) -> bool {
        let target = match target {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let rest = self.bits.saturating_sub(self.prefix);
        let network = |address: u128| address.checked_shr(rest).unwrap_or(0);
        network(target) == network(self.to)
    }
}

/// A route that says *unreachable* (RTF_REJECT in include/uapi/linux/route.h).
const REJECT: u32 = 0x200;

/// `/proc/net/route`: interface, destination, gateway, flags, two counts, metric, mask, ….
fn parse_routes(text: &str) -> Vec<Route> {
    let route = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ip = |at: usize| match parse_ip(fields.get(at)?)? {
            IpAddr::V4(ip) => Some(ip.to_bits()),
            IpAddr::V6(_) => None,
        };
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        (flags & REJECT == 0).then_some(())?;
        Some(Route {
            to: ip(1)?.into(),
            prefix: ip(7)?.leading_ones(),
            bits: 32,
            metric: fields.get(6)?.parse().ok()?,
            interface: (*fields.first()?).to_owned(),
        })
    };
    text.lines().filter_map(route).collect()
}

/// `/proc/net/ipv6_route`: destination and prefix, source and prefix, next hop, metric, two counts, flags,
/// interface; numbers in hexadecimal, addresses in the order of the wire.
fn parse_routes6(text: &str) -> Vec<Route> {
    let route = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        (number(8)? & REJECT == 0).then_some(())?;
        Some(Route {
            to: u128::from_str_radix(fields.first()?, 16).ok()?,
            prefix: number(1)?.min(128),
            bits: 128,
            metric: number(5)?,
            interface: (*fields.get(9)?).to_owned(),
        })
    };
    text.lines().filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Folder;
    use super::*;

    const ROUTE: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
    eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
    wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
    veth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
    *\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0
    ";

    const ROUTE6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001    veth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
    ";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_nearest_route_leads_to_an_interface() {
        let folder = Folder::new("routes");
        folder.write("net/route", ROUTE);
        folder.write("net/ipv6_route", ROUTE6);
        let towards = |target: &str| {
            let target = target.parse().expect("an address");
            interface_towards(&folder.path().join("net"), target)
        };
        assert_eq!(towards("192.0.2.77").as_deref(), Some("veth1"));
        assert_eq!(towards("192.0.3.77").as_deref(), Some("eth0"));
        assert_eq!(towards("fd00::9").as_deref(), Some("veth1"));
        assert_eq!(towards("2001:db8::1").as_deref(), Some("eth0"));
        folder.write("net/route", "Iface\n");
        assert_eq!(towards("192.0.2.77"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|([0-9a-zA-Z]{0,33}[ \t\n:é]{1,2}){0,60}") {
            let _ = parse_routes(&text);
            let _ = parse_routes6(&text);
        }

        #[test]
        fn any_route_is_asked_without_a_panic(to: u128, prefix in 0u32..=128, target: [u8; 16]) {
            let route = Route { to, prefix, bits: 128, metric: 0, interface: String::new() };
            prop_assert_eq!(
                route.reaches(IpAddr::V6(target.into())),
                (to ^ u128::from_be_bytes(target)).leading_zeros() >= prefix
            );
        }
    }
}
