//! What the node and the program say to each other, byte for byte as `respond.h` lays it out.

use std::net::{IpAddr, Ipv6Addr};

use super::{ProgramCounts, Terms};
use crate::config::PassedLimit;
use crate::server::{Client, Interval, RateLimiter};
use crate::wire::{HEADER_LEN, SystemVariables};

/// How many records there are.
pub(super) const RECORDS: u32 = 8;

/// Bytes of `struct record`.
pub(super) const RECORD_LEN: usize = 48 + 15 * 8 + 16;

/// `struct record`; keys of this generation are in force.
pub(super) fn record(system: &SystemVariables, terms: &Terms, generation: u32) -> [u8; RECORD_LEN] {
    let mut bytes = [0; RECORD_LEN];
    let (header, rest) = bytes.split_at_mut(HEADER_LEN);
    header.copy_from_slice(&system.header_at(system.updated));
    let fuzz_bits = (32 + i32::from(system.precision)).clamp(0, 31);
    let limiter = terms.rate_limit.map(RateLimiter::new);
    let (interval_ns, tolerance_ns) = limiter.map_or((0, 0), |limiter| limiter.figures());
    let (passed_interval_ns, passed_tolerance_ns) = terms.passed.map_or((0, 0), spans);
    let words: [u64; 15] = [
        system.root_dispersion.to_bits().cast_unsigned(),
        system.dispersion_rate.cast_unsigned(),
        system.updated.0.to_bits(),
        system.correction.epoch.0.to_bits(),
        system.correction.offset.to_bits().cast_unsigned(),
        system.correction.slope.cast_unsigned(),
        terms.tai_ahead_ns.cast_unsigned(),
        terms.tai_monotonic_ns.cast_unsigned(),
        terms.valid_until_ns,
        terms.departure,
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
    let (in_force, small) = small.split_at_mut(4);
    in_force.copy_from_slice(&generation.to_ne_bytes());
    small[..8].copy_from_slice(&[
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

/// A client, from its key and `struct client`; `None` of too few bytes.
pub(super) fn client(address: &[u8], bytes: &[u8]) -> Option<Client> {
    let address = IpAddr::V6(Ipv6Addr::from(*address.first_chunk::<16>()?));
    let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let short = |at: usize| Some(i16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut client = Client::new(address);
    client.last_hit_ns = long(0)?;
    client.full_at_ns = long(8)?;
    client.hits = word(16)?;
    client.drops = word(20)?;
    client.interval = Interval::from_steps(short(24)?);
    client.interval_unanswered = Interval::from_steps(short(26)?);
    client.answered = word(28)? != 0;
    Some(client)
}

/// Where [`client`]'s hits and drops are: eight bytes.
pub(super) const CLIENT_HITS: std::ops::Range<usize> = 16..24;

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
    fn a_client_is_read() {
        let address = mapped("192.0.2.1".parse().unwrap());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&77_u64.to_ne_bytes());
        bytes[16..20].copy_from_slice(&5_u32.to_ne_bytes());
        bytes[24..26].copy_from_slice(&(-512_i16).to_ne_bytes());
        let client = client(&address, &bytes).unwrap();
        assert_eq!(client.address(), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!((client.last_hit_ns, client.hits), (77, 5));
        assert_eq!(client.interval.log2_s(), Some(-2));
        assert!(super::client(&address, &bytes[..20]).is_none());
    }

    #[test]
    fn a_limit_is_an_interval_and_a_tolerance() {
        let limit = |rate, burst| spans(PassedLimit { rate, burst });
        assert_eq!(limit(1000, 10), (1_000_000, 9_000_000));
        assert_eq!(limit(u32::MAX, 1), (1, 0));
    }
}
