//! What a look-up in the access table costs: 1, 10 and 10,000 subnets, both families, allowed or not,
//! addresses in an order that no cache foresees.

mod harness;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maser::server::{AccessRule, AccessTable, Subnet};

use harness::{Case, compare};

fn main() {
    for family in [Family::V4, Family::V6] {
        let tables = NUMBERS.map(|number| {
            let rules = (0..number).map(|at| family.rule(at, number));
            (number, AccessTable::new(&rules.collect::<Vec<_>>()))
        });
        let rows = tables
            .iter()
            .flat_map(|(number, table)| [(*number, table, true), (*number, table, false)]);
        let named: Vec<_> = rows
            .map(|(number, table, allowed)| {
                let answer = if allowed { "allowed" } else { "denied" };
                let name = format!("{number} of them, {answer}");
                (name, looking_up(table, family, number, allowed))
            })
            .collect();
        let (names, runs): (Vec<String>, Vec<_>) = named.into_iter().unzip();
        let cases = names
            .iter()
            .zip(runs)
            .map(|(name, run)| Case::new(name, run));
        compare(
            &format!("a look-up among subnets, {}", family.name()),
            &mut cases.collect::<Vec<_>>(),
        );
    }
}

/// Looks up addresses all over the subnets, or all over the gaps between them.
fn looking_up(
    table: &AccessTable,
    family: Family,
    number: u32,
    allowed: bool,
) -> impl FnMut(u64) -> u64 {
    move |n| {
        let mut state = 1u32;
        let mut agreed = 0;
        for _ in 0..n {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (u64::from(state) * u64::from(number)) >> 32;
            let at = u32::try_from(at).unwrap_or(0);
            let peer = family.address(at, number, allowed);
            agreed += u64::from(table.allows(black_box(peer)) == allowed);
        }
        assert_eq!(agreed, n);
        agreed
    }
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Subnet `at` of `number` that lie evenly over the address space: /24 or /48.
    fn rule(self, at: u32, number: u32) -> AccessRule {
        let length = match self {
            Self::V4 => 24,
            Self::V6 => 48,
        };
        AccessRule {
            subnet: Subnet::new(self.address(at, number, true), length).expect("a short prefix"),
            allow: true,
            all: false,
        }
    }

    /// An address in that subnet (every other one is free), or in the one behind it, which nobody allows.
    fn address(self, at: u32, number: u32, within: bool) -> IpAddr {
        match self {
            Self::V4 => {
                let step = (u32::MAX / number) & !0x1ff;
                let bits = at * step + 9;
                Ipv4Addr::from_bits(bits | u32::from(!within) << 8).into()
            }
            Self::V6 => {
                let step = (u128::MAX / u128::from(number)) >> 81 << 81;
                let bits = u128::from(at) * step + 9;
                Ipv6Addr::from_bits(bits | u128::from(!within) << 80).into()
            }
        }
    }
}

const NUMBERS: [u32; 3] = [1, 10, 10_000];
