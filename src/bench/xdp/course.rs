//! `struct course`: what the programs are to do, byte for byte as `load.h` lays it out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::XdpStep;
use crate::bench::plan::Load;
use crate::sys::clock;

/// Bytes of `struct course`.
pub(super) const COURSE_LEN: usize = 208;
/// Places of the ring: all requests that are waited for, and of signed ones all that there are.
const RING_LEN_MIN: u32 = 1 << 12;
const FLIGHT_LEN_MIN: u32 = 1 << 10;
const RING_LEN: u32 = 1 << 18;
const RING_LEN_MAX: u32 = 1 << 22;
/// Replies that are kept whole.
pub(super) const SAMPLES: u32 = 4096;
/// Frames that the kernel makes at a time.
const BATCH_MIN: u32 = 8;
const BATCH_MAX: u32 = 64;
const BATCH_PER_S: f64 = 4e6;
const FIRST_PORT: u16 = 20_000;
const UDP: u8 = 17;
const HOPS: u8 = 64;
const PORTS_MAX: usize = 40_000;

/// How many places the ring has.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive, and what is too large is bounded"
)]
pub(super) fn ring_len(step: &XdpStep<'_>) -> u32 {
    let open = 2.0 * step.rate * step.plan.patience.as_secs_f64();
    match (step.plan.load, &step.plan.signature) {
        (Load::Open { .. }, None) => (open as u32)
            .clamp(RING_LEN_MIN, RING_LEN_MAX)
            .next_power_of_two(),
        (Load::Open { .. }, Some(_)) => (open as u32)
            .clamp(RING_LEN_MIN, RING_LEN)
            .next_power_of_two(),
        // A ring that leaves the processor's caches alone: what is measured is the server.
        (Load::Closed { in_flight }, None) => rooms(in_flight).clamp(FLIGHT_LEN_MIN, RING_LEN_MAX),
        (Load::Closed { in_flight }, Some(_)) => rooms(in_flight).clamp(RING_LEN_MIN, RING_LEN),
    }
}

/// How many frames the kernel makes at a time. What it sends of them leaves, and arrives, when it has made the last: at a
/// rate that is not the ceiling, one at a time should.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive, and what is too large is bounded"
)]
pub(super) fn batch(step: &XdpStep<'_>) -> u32 {
    match step.plan.load {
        Load::Open { .. } => ((BATCH_PER_S / step.rate) as u32).clamp(BATCH_MIN, BATCH_MAX),
        Load::Closed { .. } => BATCH_MAX,
    }
}

/// Room for so many in flight, and for the next ones while some are lost.
fn rooms(in_flight: usize) -> u32 {
    let rooms = in_flight.saturating_mul(4).checked_next_power_of_two();
    rooms.map_or(u32::MAX, |rooms| u32::try_from(rooms).unwrap_or(u32::MAX))
}

/// Bytes of a frame.
pub(super) const fn frame_len(step: &XdpStep<'_>) -> usize {
    let ip_len = if step.plan.target.is_ipv4() { 20 } else { 40 };
    let mac_len = if step.plan.signature.is_some() { 20 } else { 0 };
    14 + ip_len + 8 + 48 + mac_len
}

/// An address as the programs have it.
pub(super) fn address(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes = v6.octets(),
    }
    bytes
}

/// The whole.
pub(super) fn course(step: &XdpStep<'_>, from: [u8; 6]) -> [u8; COURSE_LEN] {
    let XdpStep { plan, moments, .. } = step;
    let mut bytes = [0; COURSE_LEN];
    let head = head(plan.target, from, step.raw.destination);
    bytes[..64].copy_from_slice(&head);
    bytes[64..80].copy_from_slice(&address(plan.target.ip()));
    let in_flight = match plan.load {
        Load::Open { .. } => 0,
        Load::Closed { in_flight } => in_flight as u64,
    };
    let interval = match plan.load {
        Load::Open { .. } => interval(step.rate),
        Load::Closed { .. } => 0,
    };
    let port = plan.target.port().to_be_bytes();
    let target_len = if plan.target.is_ipv4() { 4 } else { 16 };
    let udp_sum = sum(&address(plan.target.ip())[..target_len]) + sum(&port) + sum(&[0, UDP]);
    let words: [u64; 11] = [
        moments.start_ns,
        moments.measured_from_ns,
        moments.end_ns,
        interval,
        in_flight,
        nanos(plan.lateness_max),
        nanos(plan.patience),
        step.seed,
        (utc_ahead_ns() - plan.correction_ns).cast_unsigned(),
        udp_sum,
        sum(&head[14..34]),
    ];
    for (place, word) in bytes[80..168].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let key = plan.signature.as_ref().map_or(0, |one| one.id.0);
    let numbers: [u32; 6] = [
        u32::try_from(plan.sources.len()).unwrap_or(u32::MAX),
        ring_len(step) - 1,
        sample_every(step),
        u32::from(plan.target.is_ipv6()),
        u32::from(plan.signature.is_some()),
        u32::from_ne_bytes(key.to_be_bytes()),
    ];
    for (place, number) in bytes[168..192].chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    let ports = u16::try_from(plan.ports.clamp(1, PORTS_MAX)).unwrap_or(1);
    bytes[192..194].copy_from_slice(&port);
    bytes[194..196].copy_from_slice(&FIRST_PORT.to_ne_bytes());
    bytes[196..198].copy_from_slice(&ports.to_ne_bytes());
    bytes[198] = plan.version;
    bytes
}

/// Of each frame what is the same in all, as far as UDP's header.
fn head(target: SocketAddr, from: [u8; 6], to: [u8; 6]) -> [u8; 64] {
    let mut head = [0; 64];
    head[..6].copy_from_slice(&to);
    head[6..12].copy_from_slice(&from);
    let udp = match target {
        SocketAddr::V4(target) => {
            head[12..14].copy_from_slice(&[0x08, 0x00]);
            head[14] = 0x45;
            head[20] = 0x40; // Not to be fragmented.
            head[22..24].copy_from_slice(&[HOPS, UDP]);
            head[30..34].copy_from_slice(&target.ip().octets());
            34
        }
        SocketAddr::V6(target) => {
            head[12..14].copy_from_slice(&[0x86, 0xdd]);
            head[14] = 0x60;
            head[20..22].copy_from_slice(&[UDP, HOPS]);
            head[38..54].copy_from_slice(&target.ip().octets());
            54
        }
    };
    head[udp + 2..udp + 4].copy_from_slice(&target.port().to_be_bytes());
    head
}

/// The sum of 16-bit words as this machine reads them: a checksum's sum may be made in either order of bytes.
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks();
    let words = words.iter().map(|word| u16::from_ne_bytes(*word));
    words.map(u64::from).sum()
}

/// From one request to the next, in units of 2^-16 ns.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and at most 10^8"
)]
fn interval(rate: f64) -> u64 {
    ((1e9 * 65_536.0 / rate) as u64).max(1)
}

/// So that the samples are spread over the whole step.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive, and what is too large is bounded"
)]
fn sample_every(step: &XdpStep<'_>) -> u32 {
    let rate = match step.plan.load {
        Load::Open { .. } => step.rate,
        Load::Closed { .. } => 2e6,
    };
    let replies = rate * step.plan.duration.as_secs_f64();
    (replies / f64::from(SAMPLES)).ceil().max(1.0) as u32
}

/// By how much the system clock is ahead of the clock that never steps: of some readings the one that took the shortest.
fn utc_ahead_ns() -> i64 {
    let readings = (0..100).map(|_| {
        let before_ns = clock::monotonic_ns();
        let real = clock::realtime();
        let taken_ns = clock::monotonic_ns() - before_ns;
        let real_ns = real.secs * 1_000_000_000 + i64::from(real.nanos);
        let middle_ns = before_ns + taken_ns / 2;
        (taken_ns, real_ns - middle_ns.cast_signed())
    });
    readings.min().map_or(0, |(_, ahead_ns)| ahead_ns)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_all_but_what_differs() {
        let head = head("192.0.2.1:123".parse().unwrap(), [1; 6], [2; 6]);
        assert_eq!(head[..6], [2; 6]);
        assert_eq!(head[30..34], [192, 0, 2, 1]);
        assert_eq!(head[36..38], [0, 123]);
        assert_eq!(head[42..], [0; 22]);
        let head = super::head("[2001:db8::1]:1123".parse().unwrap(), [1; 6], [2; 6]);
        assert_eq!((head[38], head[53], head[57]), (0x20, 1, 99));
        assert_eq!((head[20], head[21]), (UDP, HOPS));
    }

    #[test]
    fn intervals_add_up_to_rates() {
        for rate in [1.0, 1e3, 1.8e6, 1e8] {
            let per_s = 1e9 * 65_536.0 / interval(rate).to_string().parse::<f64>().unwrap();
            assert!((per_s / rate - 1.0).abs() < 1e-4, "{rate}: {per_s}");
        }
    }
}
