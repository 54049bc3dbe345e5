//! Who may ask: chrony's `allow` and `deny` (and our `requireauth`) as one table of prefixes.
//!
//! The more specific prefix wins, whatever the order of the lines; of two lines for the same prefix the
//! later one wins; `all` also removes the rules beneath it. The rules are compiled into sorted, disjoint
//! ranges of addresses, each with its answer: a look-up is a binary search, and with no more than a
//! handful of rules all ranges lie in one cache line.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subnet {
    /// Every address of both families.
    Any,
    /// IPv4: an address whose bits behind the length are zero, and the length, 0 to 32.
    V4(Ipv4Addr, u8),
    /// IPv6: an address whose bits behind the length are zero, and the length, 0 to 128.
    V6(Ipv6Addr, u8),
}

impl Subnet {
    /// The subnet around `address`, whose bits behind the length are ignored.
    ///
    /// `None` when the length is more than the family has bits.
    #[expect(clippy::cast_possible_truncation, reason = "a mask of 32 bits")]
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) if length <= 32 => {
                let bits = v4.to_bits() & mask(length, 32) as u32;
                Some(Self::V4(Ipv4Addr::from_bits(bits), length))
            }
            IpAddr::V6(v6) if length <= 128 => {
                let bits = v6.to_bits() & mask(length, 128);
                Some(Self::V6(Ipv6Addr::from_bits(bits), length))
            }
            _ => None,
        }
    }
}

impl Subnet {
    /// Whether every address of the other is one of this.
    pub fn contains(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::V4(_, length), Self::V4(address, inner)) => {
                length <= inner && Self::new(address.into(), length) == Some(self)
            }
            (Self::V6(_, length), Self::V6(address, inner)) => {
                length <= inner && Self::new(address.into(), length) == Some(self)
            }
            _ => false,
        }
    }
}

/// The upper `length` of `width` bits set.
const fn mask(length: u8, width: u8) -> u128 {
    if length == 0 {
        return 0;
    }
    let ones = u128::MAX >> (128 - width as u32);
    ones & (ones << (width - length))
}

/// One `allow` or `deny` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it is about.
    pub subnet: Subnet,
    /// `allow`, or `deny`.
    pub allow: bool,
    /// The word `all`: it also removes every rule that came before and lies within the subnet.
    pub all: bool,
}

impl AccessRule {
    /// Puts a rule behind others. Those that it makes void go, so that a list does not grow by repetition.
    pub fn join(self, rules: &mut Vec<Self>) {
        rules.retain(|old| {
            let is_within = self.all && self.subnet.contains(old.subnet);
            old.subnet != self.subnet && !is_within
        });
        rules.push(self);
    }
}

/// Rules of one family, compiled: answer `i` holds from `starts[i]` to the address before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges<T> {
    starts: Box<[T]>,
    answers: Box<[bool]>,
}

impl<T: Copy + Ord> Ranges<T> {
    fn answer(&self, address: T) -> bool {
        // The first range begins at the lowest address, so at least one start is not above.
        let at = self.starts.partition_point(|start| *start <= address) - 1;
        self.answers[at]
    }
}

/// Compiled rules. Nothing matches until a rule says so: chrony denies by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTable {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl AccessTable {
    /// Compiles the rules in the order they stand in the configuration. Allocates; not for a worker.
    pub fn new(rules: &[AccessRule]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for rule in rules {
            match rule.subnet {
                Subnet::Any => {
                    apply(
                        &mut v4,
                        Prefix {
                            bits: 0,
                            length: 0,
                            width: 32,
                        },
                        *rule,
                    );
                    apply(
                        &mut v6,
                        Prefix {
                            bits: 0,
                            length: 0,
                            width: 128,
                        },
                        *rule,
                    );
                }
                Subnet::V4(address, length) => {
                    let bits = u128::from(address.to_bits());
                    apply(
                        &mut v4,
                        Prefix {
                            bits,
                            length,
                            width: 32,
                        },
                        *rule,
                    );
                }
                Subnet::V6(address, length) => {
                    let bits = address.to_bits();
                    apply(
                        &mut v6,
                        Prefix {
                            bits,
                            length,
                            width: 128,
                        },
                        *rule,
                    );
                }
            }
        }
        let (starts, answers) = compile(&v4, 32);
        #[expect(clippy::cast_possible_truncation, reason = "starts of 32-bit prefixes")]
        let starts = starts.iter().map(|start| *start as u32).collect();
        let v4 = Ranges { starts, answers };
        let (starts, answers) = compile(&v6, 128);
        Self {
            v4,
            v6: Ranges { starts, answers },
        }
    }

    /// Whether the most specific rule for this address says `allow`.
    #[inline]
    pub fn allows(&self, peer: IpAddr) -> bool {
        match peer {
            IpAddr::V4(v4) => self.v4.answer(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.answer(v6.to_bits()),
        }
    }

    /// Whether any address of the same family is allowed: if not, that family need not be served.
    pub fn allows_any_like(&self, address: IpAddr) -> bool {
        let answers = if address.is_ipv4() {
            &self.v4.answers
        } else {
            &self.v6.answers
        };
        answers.contains(&true)
    }

    /// The ranges of a family's addresses, ascending, by their first address; each ends where the next begins.
    pub fn ranges(&self, is_v6: bool) -> Vec<(u128, bool)> {
        if is_v6 {
            let starts = self.v6.starts.iter().copied();
            starts.zip(self.v6.answers.iter().copied()).collect()
        } else {
            let starts = self.v4.starts.iter().map(|start| u128::from(*start));
            starts.zip(self.v4.answers.iter().copied()).collect()
        }
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.v4.starts.len() * (size_of::<u32>() + 1)
            + self.v6.starts.len() * (size_of::<u128>() + 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Prefix {
    bits: u128,
    length: u8,
    width: u8,
}

impl Prefix {
    fn contains(self, other: Self) -> bool {
        self.length <= other.length && other.bits & mask(self.length, self.width) == self.bits
    }

    /// The last address of the prefix.
    fn last(self) -> u128 {
        self.bits | (mask(self.width, self.width) & !mask(self.length, self.width))
    }
}

fn apply(rules: &mut Vec<(Prefix, bool)>, prefix: Prefix, rule: AccessRule) {
    rules.retain(|(old, _)| *old != prefix && !(rule.all && prefix.contains(*old)));
    rules.push((prefix, rule.allow));
}

/// Flattens nested prefixes into ranges by walking them in the order of their starts, outermost first,
/// with the enclosing prefixes on a stack.
fn compile(rules: &[(Prefix, bool)], width: u8) -> (Box<[u128]>, Box<[bool]>) {
    let everything = Prefix {
        bits: 0,
        length: 0,
        width,
    };
    let mut sorted = rules.to_vec();
    if !sorted.iter().any(|(prefix, _)| *prefix == everything) {
        sorted.push((everything, false));
    }
    sorted.sort_by_key(|(prefix, _)| (prefix.bits, prefix.length));

    let mut ranges: Vec<(u128, bool)> = Vec::new();
    let mut begin = |start: u128, answer: bool| match ranges.last_mut() {
        Some(last) if last.0 == start => last.1 = answer,
        _ => ranges.push((start, answer)),
    };
    let mut enclosing: Vec<(Prefix, bool)> = Vec::new();
    let leave = |enclosing: &mut Vec<(Prefix, bool)>, begin: &mut dyn FnMut(u128, bool)| {
        if let Some((ended, _)) = enclosing.pop()
            && let Some((_, outer)) = enclosing.last()
            && ended.last() != mask(width, width)
        {
            begin(ended.last() + 1, *outer);
        }
    };
    for (prefix, answer) in sorted {
        while enclosing
            .last()
            .is_some_and(|(outer, _)| !outer.contains(prefix))
        {
            leave(&mut enclosing, &mut begin);
        }
        begin(prefix.bits, answer);
        enclosing.push((prefix, answer));
    }
    while !enclosing.is_empty() {
        leave(&mut enclosing, &mut begin);
    }
    ranges.dedup_by_key(|(_, answer)| *answer);
    let (starts, answers): (Vec<_>, Vec<_>) = ranges.into_iter().unzip();
    (starts.into(), answers.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(subnet: &str, allow: bool, all: bool) -> AccessRule {
        let subnet = match subnet.split_once('/') {
            _ if subnet.is_empty() => Subnet::Any,
            Some((address, length)) => {
                Subnet::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
            }
            None => panic!("a prefix, please"),
        };
        AccessRule { subnet, allow, all }
    }

    fn allows(table: &AccessTable, address: &str) -> bool {
        table.allows(address.parse().unwrap())
    }

    fn denies_everyone(table: &AccessTable) -> bool {
        !["0.0.0.0", "::"]
            .iter()
            .any(|any| table.allows_any_like(any.parse().unwrap()))
    }

    #[test]
    fn denies_by_default() {
        let table = AccessTable::new(&[]);
        assert!(denies_everyone(&table));
        assert!(!allows(&table, "127.0.0.1") && !allows(&table, "::1"));
    }

    #[test]
    fn the_more_specific_wins_in_any_order() {
        let rules = [
            rule("1.2.3.0/24", false, false),
            rule("1.2.0.0/16", true, false),
            rule("1.2.3.4/32", true, false),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let table = AccessTable::new(&order.map(|at| rules[at]));
            assert!(allows(&table, "1.2.2.255") && allows(&table, "1.2.4.0"));
            assert!(!allows(&table, "1.2.3.3") && !allows(&table, "1.2.3.5"));
            assert!(allows(&table, "1.2.3.4"));
            assert!(!allows(&table, "1.3.0.0") && !allows(&table, "::1"));
        }
    }

    #[test]
    fn all_removes_what_lies_beneath() {
        let table = AccessTable::new(&[
            rule("1.2.3.0/24", false, false),
            rule("1.2.0.0/16", true, true),
            rule("1.2.4.0/24", false, false),
        ]);
        assert!(allows(&table, "1.2.3.4"));
        assert!(!allows(&table, "1.2.4.4"));
    }

    #[test]
    fn any_is_both_families_and_the_later_line_wins() {
        let mut rules = vec![rule("", true, false)];
        assert!(allows(&AccessTable::new(&rules), "::1"));
        rules.push(rule("0.0.0.0/0", false, false));
        let table = AccessTable::new(&rules);
        assert!(!allows(&table, "9.9.9.9") && allows(&table, "2001:db8::1"));
        rules.push(rule("", false, true));
        assert!(denies_everyone(&AccessTable::new(&rules)));
    }

    #[test]
    fn ends_of_the_address_space() {
        let table = AccessTable::new(&[
            rule("255.255.255.255/32", true, false),
            rule("ff00::/8", true, false),
        ]);
        assert!(allows(&table, "255.255.255.255") && !allows(&table, "255.255.255.254"));
        assert!(
            allows(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") && !allows(&table, "fe80::1")
        );
    }

    /// The obvious way: all rules in order, the longest prefix kept.
    fn naive(rules: &[AccessRule], address: u32) -> bool {
        let mut kept: Vec<(u32, u8, bool)> = Vec::new();
        for rule in rules {
            let Subnet::V4(prefix, length) = rule.subnet else {
                continue;
            };
            let prefix = prefix.to_bits();
            kept.retain(|(old, old_length, _)| {
                let within = *old_length >= length
                    && u128::from(*old) & mask(length, 32) == u128::from(prefix);
                !(within && (rule.all || *old_length == length))
            });
            kept.push((prefix, length, rule.allow));
        }
        kept.iter()
            .filter(|(prefix, length, _)| {
                u128::from(address) & mask(*length, 32) == u128::from(*prefix)
            })
            .max_by_key(|(_, length, _)| *length)
            .is_some_and(|(.., allow)| *allow)
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_table(
            lines in prop::collection::vec((any::<u32>(), 0u8..=32, any::<bool>(), any::<bool>()), 0..20),
            probes in prop::collection::vec(any::<u32>(), 20),
        ) {
            // Few distinct upper bits, so that prefixes nest.
            let rules: Vec<_> = lines
                .iter()
                .map(|(bits, length, allow, all)| AccessRule {
                    subnet: Subnet::new(IpAddr::V4((bits & 0xc0c0_0303).into()), *length).unwrap(),
                    allow: *allow,
                    all: *all,
                })
                .collect();
            let table = AccessTable::new(&rules);
            let mut joined = Vec::new();
            for rule in &rules {
                rule.join(&mut joined);
            }
            prop_assert_eq!(AccessTable::new(&joined), table.clone());
            for probe in probes.iter().map(|bits| bits & 0xc0c0_0303) {
                prop_assert_eq!(table.allows(IpAddr::V4(probe.into())), naive(&rules, probe));
            }
        }
    }
}
