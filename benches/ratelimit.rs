//! What the table of clients and the rate limit cost per request: tables that fit the second and the third
//! level of cache, and one that fits neither; clients that ask equally often, and clients of whom one in
//! ten sends nine requests in ten.

mod harness;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use maser::server::{Chance, ClientTable, RateLimit, RateLimiter};

use harness::{Case, compare};

fn main() {
    // Elsewhere than in a bench only the shape counts, and filling the large table takes a while.
    let shrink = if harness::is_real() { 1 } else { 256 };
    for (title, bytes) in TABLES {
        let bytes = bytes / shrink;
        let mut cases = [
            Case::new("uniform", asking(bytes, uniform)),
            Case::new("skewed", asking(bytes, skewed)),
            Case::new("strangers only", asking(bytes, stranger)),
        ];
        compare(&format!("a client found and limited, {title}"), &mut cases);
    }
}

/// Requests of clients, as `choose` names them out of chance and the number of known ones. Two thirds
/// of the table are known ones.
fn asking(bytes: usize, choose: fn(u32, u32) -> u32) -> impl FnMut(u64) -> u64 {
    let mut table = ClientTable::new(bytes, [3; 16]);
    let limiter = RateLimiter::new(RateLimit::default());
    let mut chance = Chance::new(11);
    let known = u32::try_from(table.capacity() / 3 * 2).expect("fewer than addresses");
    let mut now_ns = 1_000_000_000;
    for client in 0..known {
        now_ns += INTERVAL_NS;
        table.hit(address(client), now_ns);
    }
    let mut choice = Chance::new(5);
    move |n| {
        let mut hash = 0u64;
        for _ in 0..n {
            now_ns += INTERVAL_NS;
            let peer = address(choose(choice.bits(), known));
            let client = table.hit(black_box(peer), now_ns);
            let admit = limiter.admit(client, now_ns, &mut chance);
            hash = mix(mix(hash, admit as u64), u64::from(client.hits));
        }
        hash
    }
}

/// The FNV-1a step, by words.
const fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0100_0000_01b3)
}

fn uniform(chance: u32, known: u32) -> u32 {
    share(chance, known)
}

/// Nine times in ten one of the first tenth. The share hangs on the highest digits, so the lowest is free.
fn skewed(chance: u32, known: u32) -> u32 {
    match chance % 10 {
        0 => share(chance, known),
        _ => share(chance, known / 10),
    }
}

/// Never one of those: somebody makes room.
fn stranger(chance: u32, known: u32) -> u32 {
    chance | known.next_power_of_two()
}

/// A number below `of`, in proportion.
fn share(chance: u32, of: u32) -> u32 {
    u32::try_from((u64::from(chance) * u64::from(of)) >> 32).unwrap_or(0)
}

/// Neighbours in number are not neighbours in the table: it hashes.
fn address(client: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(client))
}

/// A million requests per second.
const INTERVAL_NS: u64 = 1_000;
const TABLES: [(&str, usize); 3] = [
    ("256 KiB", 256 << 10),
    ("8 MiB", 8 << 20),
    ("128 MiB", 128 << 20),
];
