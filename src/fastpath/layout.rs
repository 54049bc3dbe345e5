//! What the node and the program say to each other, byte for byte as `respond.h` lays it out.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use super::{ProgramCounts, ProgramOptions, Terms};
use crate::config::PassedLimit;
use crate::server::{Client, Interval, RateLimiter};
use crate::wire::{HEADER_LEN, NtpDuration, RawTime, SystemVariables};

/// How many records there are.
pub(super) const RECORDS: u32 = 8;

/// Bytes of `struct record`.
pub(super) const RECORD_LEN: usize = HEADER_LEN + 13 * 8 + 24;

/// What is in force beside what is published.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InForce {
    /// The generation of keys.
    pub(super) keys: u32,
    /// The generation of addresses.
    pub(super) addresses: u32,
    /// What everybody may, by IPv4 and by IPv6; 0: that depends on the address.
    pub(super) everybody: [u8; 2],
    /// The generation of what anybody may, never 0.
    pub(super) rights: u16,
}

/// `struct record`
pub(super) fn record(
    system: &SystemVariables,
    terms: &Terms,
    in_force: &InForce,
) -> [u8; RECORD_LEN] {
    let mut bytes = [0; RECORD_LEN];
    let (header, rest) = bytes.split_at_mut(HEADER_LEN);
    header.copy_from_slice(&system.header_at(system.updated));
    let (now_ns, raw) = terms.now;
    // A little before, so that no moment the program has to do with is earlier.
    let base_ns = now_ns.saturating_sub(BEFORE_NS);
    let before = NtpDuration::from_nanos(BEFORE_NS.cast_signed());
    let base = RawTime(raw.0 + NtpDuration::from_bits(-before.to_bits()));
    let fuzz_bits = (32 + i32::from(system.precision)).clamp(0, 31);
    let limiter = terms.rate_limit.map(RateLimiter::new);
    let (interval_ns, tolerance_ns) = limiter.map_or((0, 0), |limiter| limiter.figures());
    let (passed_interval_ns, passed_tolerance_ns) = terms.passed.map_or((0, 0), spans);
    let words: [u64; 13] = [
        base_ns,
        system.correction.cook(base).0.to_bits(),
        system.correction.slope.cast_unsigned(),
        system.root_dispersion_at(base).to_bits().cast_unsigned(),
        system.dispersion_rate.cast_unsigned(),
        terms.tai_ahead_ns.cast_unsigned(),
        terms.valid_until_ns,
        terms.departure_ns.cast_unsigned(),
        (1 << fuzz_bits) - 1,
        interval_ns,
        tolerance_ns,
        passed_interval_ns,
        passed_tolerance_ns,
    ];
    let (numbers, small) = rest.split_at_mut(size_of_val(&words));
    for (place, word) in numbers.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let limit = terms.rate_limit.unwrap_or_default();
    let poll_min = terms
        .rate_limit
        .map_or(i8::MIN, |limit| limit.interval_log2);
    let is_silent = terms.silent_unsynchronised && !system.is_synchronised();
    let [port_0, port_1] = terms.port.to_be_bytes();
    small[..4].copy_from_slice(&in_force.keys.to_ne_bytes());
    small[4..8].copy_from_slice(&in_force.addresses.to_ne_bytes());
    small[16..18].copy_from_slice(&in_force.everybody);
    small[18..20].copy_from_slice(&in_force.rights.to_ne_bytes());
    small[8..16].copy_from_slice(&[
        limit.leak_log2,
        limit.kod_log2.unwrap_or(0),
        poll_min.to_ne_bytes()[0],
        u8::from(is_silent),
        u8::from(terms.has_clients),
        terms.dscp,
        port_0,
        port_1,
    ]);
    bytes
}

/// In nanoseconds: for each datagram, and how far ahead a processor may be for one more.
fn spans(limit: PassedLimit) -> (u64, u64) {
    let interval_ns = 1_000_000_000 / u64::from(limit.rate.max(1));
    let interval_ns = interval_ns.max(1);
    (interval_ns, interval_ns * u64::from(limit.burst.max(1) - 1))
}

/// An address as the maps have it.
pub(super) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Adds what one processor has counted (`struct counts`).
pub(super) fn add(counts: &mut ProgramCounts, bytes: &[u8]) {
    let (words, _) = bytes.as_chunks();
    let sums = counts
        .outcomes
        .iter_mut()
        .chain(&mut counts.passed)
        .chain(std::iter::once(&mut counts.shed))
        .chain(&mut counts.kinds)
        .chain(&mut counts.residence)
        .chain(std::iter::once(&mut counts.residence_sum_ns));
    for (sum, word) in sums.zip(words) {
        *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
    }
}

/// `struct options`
pub(super) fn options(options: &ProgramOptions, sets: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    let [one, other] = options.seed;
    bytes[..8].copy_from_slice(&one.to_ne_bytes());
    bytes[8..16].copy_from_slice(&other.to_ne_bytes());
    bytes[16..20].copy_from_slice(&(sets - 1).to_ne_bytes());
    bytes[20..].copy_from_slice(&u32::from(options.signs).to_ne_bytes());
    bytes
}

/// How many sets of clients there are: a power of two, at least as many as hold so many clients.
pub(super) const fn sets(clients: u32) -> u32 {
    let sets = clients.div_ceil(WAYS);
    let sets = if sets > SETS_MAX { SETS_MAX } else { sets };
    sets.next_power_of_two()
}

/// The set of an address, as `set_of` of the program finds it.
pub(super) fn set_of(address: IpAddr, seed: [u64; 2], sets: u32) -> u32 {
    let bytes = mapped(address);
    let word =
        |at: usize| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| bytes[at + byte]));
    let hash = (word(0) ^ seed[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = hash ^ hash >> 32 ^ word(8) ^ seed[1];
    let hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [_, _, _, _, upper @ ..] = hash.to_le_bytes();
    u32::from_le_bytes(upper) & (sets - 1)
}

/// The clients of a set (`struct client_set`), each with where its bytes begin.
pub(super) fn clients(set: &[u8]) -> impl Iterator<Item = (usize, Client)> {
    let places = (0..set.len() / CLIENT_LEN).map(|way| way * CLIENT_LEN);
    places.filter_map(|at| Some((at, client(set.get(at..at + CLIENT_LEN)?)?)))
}

/// `struct client`; `None`: nobody.
fn client(bytes: &[u8]) -> Option<Client> {
    let address = IpAddr::V6(Ipv6Addr::from(*bytes.first_chunk::<16>()?));
    let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let short = |at: usize| Some(i16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut client = Client::new(address);
    client.last_hit_ns = long(16)?;
    client.full_at_ns = long(24)?;
    client.hits = word(32)?;
    client.drops = word(36)?;
    client.interval = Interval::from_steps(short(40)?);
    client.interval_unanswered = Interval::from_steps(short(42)?);
    client.answered = *bytes.get(45)? & ANSWERED_LAST != 0;
    (client.last_hit_ns != 0).then_some(client)
}

/// Where hits and drops are in a client's bytes.
pub(super) const CLIENT_HITS: Range<usize> = 32..40;
/// Of a client's rights: its last request was not refused for coming too soon.
const ANSWERED_LAST: u8 = 4;
/// Bytes of `struct client`.
const CLIENT_LEN: usize = 48;
/// Of a set.
const WAYS: u32 = 4;
/// What the program's hash can tell apart, and what memory there may be.
const SETS_MAX: u32 = 1 << 22;
const BEFORE_NS: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Outcome;

    #[test]
    fn counts_of_processors_are_added() {
        let mut counts = ProgramCounts::default();
        let bytes: Vec<u8> = (0..200_u64).flat_map(u64::to_ne_bytes).collect();
        add(&mut counts, &bytes);
        add(&mut counts, &bytes);
        let outcomes = Outcome::COUNTERS as u64;
        assert_eq!(counts.outcomes[3], 6);
        assert_eq!(counts.passed[0], 2 * outcomes);
        assert_eq!(counts.shed, 2 * (outcomes + 4));
        assert_eq!(counts.residence_sum_ns, 2 * (outcomes + 5 + 128 + 12));
        assert_eq!(counts.decided(), outcomes * (outcomes - 1));
    }

    #[test]
    fn clients_of_a_set_are_read() {
        let mut set = [0; 4 * CLIENT_LEN];
        let bytes = &mut set[CLIENT_LEN..2 * CLIENT_LEN];
        bytes[..16].copy_from_slice(&mapped("192.0.2.1".parse().unwrap()));
        bytes[16..24].copy_from_slice(&77_u64.to_ne_bytes());
        bytes[32..36].copy_from_slice(&5_u32.to_ne_bytes());
        bytes[40..42].copy_from_slice(&(-512_i16).to_ne_bytes());
        let found: Vec<_> = clients(&set).collect();
        let [(at, client)] = found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(at, CLIENT_LEN);
        assert_eq!(client.address(), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!((client.last_hit_ns, client.hits), (77, 5));
        assert_eq!(client.interval.log2_s(), Some(-2));
        assert_eq!(clients(&set[..CLIENT_LEN - 1]).count(), 0);
    }

    #[test]
    fn sets_are_a_power_of_two() {
        assert_eq!([0, 1, 4, 5, 1000].map(sets), [1, 1, 1, 2, 256]);
        assert_eq!(sets(u32::MAX), SETS_MAX);
    }

    #[test]
    fn neighbours_are_not_of_one_set() {
        // 2048 addresses that differ in one byte or two among 512 sets: four in each in the mean.
        for at in 0..3 {
            let mut counts = [0; 512];
            for number in 0..2048_u32 {
                let [low, high, ..] = number.to_le_bytes();
                let mut v4 = [10, 1, 2, 3];
                (v4[at], v4[at + 1]) = (high, low);
                let mut v6 = Ipv6Addr::LOCALHOST.octets();
                (v6[5 * at], v6[5 * at + 1]) = (high, low);
                let address = if number % 2 == 0 {
                    IpAddr::from(v4)
                } else {
                    IpAddr::from(v6)
                };
                counts[set_of(address, [3, 4], 512) as usize] += 1;
            }
            let most = counts.iter().max();
            assert!(most < Some(&20), "byte {at}: {counts:?}");
        }
    }

    #[test]
    fn a_limit_is_an_interval_and_a_tolerance() {
        let limit = |rate, burst| spans(PassedLimit { rate, burst });
        assert_eq!(limit(1000, 10), (1_000_000, 9_000_000));
        assert_eq!(limit(u32::MAX, 1), (1, 0));
    }
}
