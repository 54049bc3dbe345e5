//! `allow`, `deny` and `requireauth` as the program looks them up: prefixes, of which the longest counts.

use std::collections::BTreeMap;

use crate::server::AccessTable;

/// May ask.
const MAY_ASK: u8 = 1;
/// And only signed.
const MUST_SIGN: u8 = 2;

/// A prefix of IPv6 addresses, or of IPv4 addresses in them (::ffff:0:0/96): the first address, and bits.
pub(super) type Prefix = (u128, u32);

/// What each prefix may; who is not in any may nothing. Of one family none lies within another; all of IPv4 is there, so
/// that what holds IPv6's addresses around it says nothing of it.
pub(super) fn prefixes(access: &AccessTable, require_auth: &AccessTable) -> BTreeMap<Prefix, u8> {
    let mut all = BTreeMap::new();
    for is_v6 in [false, true] {
        let (allowed, signed) = (access.ranges(is_v6), require_auth.ranges(is_v6));
        let mut starts: Vec<u128> = [&allowed, &signed]
            .into_iter()
            .flatten()
            .map(|(start, _)| *start)
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let (base, last) = if is_v6 {
            (0, u128::MAX)
        } else {
            (V4, u128::from(u32::MAX))
        };
        for (at, start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).map_or(last, |next| next - 1);
            let may = match (answer(&allowed, *start), answer(&signed, *start)) {
                (false, _) if is_v6 => continue,
                (false, _) => 0,
                (true, true) => MAY_ASK | MUST_SIGN,
                (true, false) => MAY_ASK,
            };
            cover(base + start, base + end, |prefix| {
                // No packet of IPv6 comes from there.
                if !is_v6 || !is_v4(prefix) {
                    all.insert(prefix, may);
                }
            });
        }
    }
    all
}

/// What everybody may, by IPv4 and by IPv6; 0: that depends on the address, or is nothing.
pub(super) fn everybody(all: &BTreeMap<Prefix, u8>) -> [u8; 2] {
    [(V4, 96), (0, 0)].map(|whole| all.get(&whole).copied().unwrap_or(0))
}

/// What the range says that an address is in.
fn answer(ranges: &[(u128, bool)], address: u128) -> bool {
    let at = ranges.partition_point(|(start, _)| *start <= address);
    at.checked_sub(1).is_some_and(|at| ranges[at].1)
}

/// Names the fewest prefixes that hold all addresses from the first to the last, and no others.
fn cover(mut first: u128, last: u128, mut take: impl FnMut(Prefix)) {
    loop {
        // As large as the address is round, and as there is room.
        let mut free = first.trailing_zeros().min(128);
        while free > 0 && (free == 128 && first != 0 || first | ones(free) > last) {
            free -= 1;
        }
        take((first, 128 - free));
        let end = first | ones(free);
        if end >= last {
            return;
        }
        first = end + 1;
    }
}

fn is_v4((first, length): Prefix) -> bool {
    length >= 96 && first >> 32 == V4 >> 32
}

/// So many bits from the lowest.
const fn ones(count: u32) -> u128 {
    if count == 0 {
        0
    } else {
        u128::MAX >> (128 - count)
    }
}

/// Where IPv4 addresses begin among those of IPv6.
const V4: u128 = 0xffff_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{AccessRule, Subnet};
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn may(all: &BTreeMap<Prefix, u8>, address: IpAddr) -> u8 {
        let bits = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let holding = all.iter().filter(|((first, length), _)| {
            let free = ones(128 - length);
            bits | free == first | free
        });
        let found: Vec<u8> = holding.map(|(_, may)| *may).collect();
        assert!(found.len() < 2, "{address} is in two prefixes");
        found.first().copied().unwrap_or(0)
    }

    fn table(lines: &[(u32, u8, bool, bool)]) -> AccessTable {
        let rules = lines.iter().map(|(bits, length, allow, is_v6)| {
            let address = if *is_v6 {
                IpAddr::V6((u128::from(*bits) << 96 | u128::from(*bits)).into())
            } else {
                IpAddr::V4((*bits).into())
            };
            let length = if *is_v6 { length * 4 } else { *length };
            AccessRule {
                subnet: Subnet::new(address, length).unwrap(),
                allow: *allow,
                all: false,
            }
        });
        AccessTable::new(&rules.collect::<Vec<_>>())
    }

    #[test]
    fn everybody_is_two_prefixes() {
        let open = AccessTable::new(&[AccessRule {
            subnet: Subnet::Any,
            allow: true,
            all: false,
        }]);
        let nobody = AccessTable::new(&[]);
        let found = prefixes(&open, &nobody);
        assert_eq!(found, BTreeMap::from([((0, 0), 1), ((V4, 96), 1)]));
        assert_eq!(everybody(&found), [1, 1]);
        let found = prefixes(&nobody, &open);
        assert_eq!(found, BTreeMap::from([((V4, 96), 0)]));
        assert_eq!(everybody(&found), [0, 0]);
    }

    proptest! {
        #[test]
        fn they_say_what_the_tables_say(
            allow in prop::collection::vec((any::<u32>(), 0u8..=32, any::<bool>(), any::<bool>()), 0..12),
            sign in prop::collection::vec((any::<u32>(), 0u8..=32, any::<bool>(), any::<bool>()), 0..6),
            probes in prop::collection::vec(any::<u32>(), 12),
        ) {
            // Few distinct bits, so that prefixes nest.
            let few = |lines: &[(u32, u8, bool, bool)]| -> Vec<_> {
                lines.iter().map(|(bits, length, a, b)| (bits & 0xc0c0_0303, *length, *a, *b)).collect()
            };
            let (access, require_auth) = (table(&few(&allow)), table(&few(&sign)));
            let all = prefixes(&access, &require_auth);
            for probe in probes.iter().map(|bits| bits & 0xc0c0_0303) {
                let addresses = [
                    IpAddr::V4(probe.into()),
                    IpAddr::V6((u128::from(probe) << 96 | u128::from(probe)).into()),
                ];
                for address in addresses {
                    let expected = match (access.allows(address), require_auth.allows(address)) {
                        (false, _) => 0,
                        (true, signed) => MAY_ASK | if signed { MUST_SIGN } else { 0 },
                    };
                    // The whole of IPv6 holds IPv4's addresses too, which nobody has in IPv6.
                    let found = all.clone().into_iter();
                    let found = found.filter(|(prefix, _)| is_v4(*prefix) == address.is_ipv4());
                    prop_assert_eq!(may(&found.collect(), address), expected);
                }
            }
        }
    }
}
