//! What the node writes into the program's maps, byte for byte as `respond.h` lays it out.

use crate::server::{RateLimit, RateLimiter};
use crate::wire::{HEADER_LEN, SystemVariables};

/// What is published beside [`SystemVariables`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// By how much the kernel's TAI is ahead of its UTC, in nanoseconds.
    pub tai_ahead_ns: i64,
    /// By the clock that never steps: nothing is answered by the record afterwards.
    pub valid_until_ns: u64,
    /// How much later than the seal a reply is on the wire, in units of 2^-32 s.
    pub departure: u64,
    /// `ratelimit`
    pub rate_limit: Option<RateLimit>,
    /// `unsynchronised silent`
    pub silent_unsynchronised: bool,
    /// Clients are remembered: not with `noclientlog`.
    pub has_clients: bool,
    /// `dscp`
    pub dscp: u8,
    /// `port`
    pub port: u16,
}

/// Bytes of `struct record`.
pub const RECORD_LEN: usize = 48 + 12 * 8 + 8;

/// `struct record`
pub fn record(system: &SystemVariables, terms: &Terms) -> [u8; RECORD_LEN] {
    let mut bytes = [0; RECORD_LEN];
    let (header, rest) = bytes.split_at_mut(HEADER_LEN);
    header.copy_from_slice(&system.header_at(system.updated));
    let fuzz_bits = (32 + i32::from(system.precision)).clamp(0, 31);
    let limiter = terms.rate_limit.map(RateLimiter::new);
    let (interval_ns, tolerance_ns) = limiter.map_or((0, 0), |limiter| limiter.figures());
    let words: [u64; 12] = [
        system.root_dispersion.to_bits().cast_unsigned(),
        system.dispersion_rate.cast_unsigned(),
        system.updated.0.to_bits(),
        system.correction.epoch.0.to_bits(),
        system.correction.offset.to_bits().cast_unsigned(),
        system.correction.slope.cast_unsigned(),
        terms.tai_ahead_ns.cast_unsigned(),
        terms.valid_until_ns,
        terms.departure,
        (1 << fuzz_bits) - 1,
        interval_ns,
        tolerance_ns,
    ];
    let (numbers, small) = rest.split_at_mut(12 * 8);
    for (place, word) in numbers.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let limit = terms.rate_limit.unwrap_or_default();
    let poll_min = terms
        .rate_limit
        .map_or(i8::MIN, |limit| limit.interval_log2);
    let is_silent = terms.silent_unsynchronised && !system.is_synchronised();
    let [port_0, port_1] = terms.port.to_be_bytes();
    small.copy_from_slice(&[
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
