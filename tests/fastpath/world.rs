//! Frames, and a program that knows what to answer.

use std::net::IpAddr;

use maser::fastpath::{FastPath, Terms, record};
use maser::sys::clock;
use maser::wire::{LeapIndicator, NtpTimestamp, RawTime, ReferenceId, SystemVariables};

/// The port at which requests are taken.
pub(crate) const PORT: u16 = 123;

/// Where a frame comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) port: u16,
    /// So many tags of virtual networks.
    pub(crate) tags: usize,
    /// IPv4 may do without.
    pub(crate) has_checksum: bool,
}

pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks(2);
    pairs
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

pub(crate) fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The network header and what the datagram's checksum covers of it.
fn network(way: &Way, length: u16) -> (Vec<u8>, u32) {
    let (from, to) = (octets(way.from), octets(way.to));
    let pseudo = sum(&from) + sum(&to) + 17 + u32::from(length);
    let mut header = if way.from.is_ipv4() {
        let mut header = vec![0x45, 0];
        header.extend((20 + length).to_be_bytes());
        header.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        header
    } else {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(length.to_be_bytes());
        header.extend([17, 64]);
        header
    };
    header.extend(from);
    header.extend(to);
    if way.from.is_ipv4() {
        let check = !folded(sum(&header));
        header[10..12].copy_from_slice(&check.to_be_bytes());
    }
    (header, pseudo)
}

/// Bytes before the payload.
pub(crate) fn payload_at(way: &Way) -> usize {
    14 + 4 * way.tags + if way.from.is_ipv4() { 20 } else { 40 } + 8
}

/// A whole frame around a payload.
pub(crate) fn frame(way: &Way, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("short");
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for tag in 0..way.tags {
        let kind: u16 = if tag + 1 < way.tags { 0x88a8 } else { 0x8100 };
        frame.extend(kind.to_be_bytes());
        frame.extend([0, 7]);
    }
    let protocol: u16 = if way.from.is_ipv4() { 0x0800 } else { 0x86dd };
    frame.extend(protocol.to_be_bytes());
    let (header, pseudo) = network(way, length);
    let mut udp = Vec::new();
    udp.extend(way.port.to_be_bytes());
    udp.extend(PORT.to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    if way.has_checksum {
        let check = !folded(sum(&udp) + pseudo);
        let check = if check == 0 { 0xffff } else { check };
        udp[6..8].copy_from_slice(&check.to_be_bytes());
    }
    frame.extend(header);
    frame.extend(udp);
    frame
}

/// The payload of an answer, which is a whole frame that goes the other way.
pub(crate) fn answer<'a>(way: &Way, reply: &'a [u8]) -> &'a [u8] {
    let at = payload_at(way);
    let length = u16::try_from(reply.len() - at + 8).expect("short");
    let back = Way {
        from: way.to,
        to: way.from,
        ..*way
    };
    let (header, pseudo) = network(&back, length);
    let found = &reply[at - 8 - header.len()..at - 8];
    // All but the number of an IPv4 packet is as the stack would write it.
    assert_eq!(found, header, "the network header");
    assert_eq!(reply[at - 6..at - 4], way.port.to_be_bytes());
    let is_bare = reply[at - 2..at] == [0, 0];
    assert_eq!(is_bare, !way.has_checksum, "a checksum where there was one");
    if way.has_checksum {
        assert_eq!(folded(sum(&reply[at - 8..]) + pseudo), 0xffff, "checksum");
    }
    &reply[at..]
}

pub(crate) fn raw_now() -> RawTime {
    let now = clock::realtime();
    RawTime(NtpTimestamp::from_unix(now.secs, now.nanos))
}

/// A synchronised server's state, of this moment.
pub(crate) fn system() -> SystemVariables {
    let mut system = SystemVariables::not_synchronised(-24);
    system.leap = LeapIndicator::NoWarning;
    system.stratum = 2;
    system.reference_id = ReferenceId::from_bytes([10, 0, 0, 1]);
    system.updated = raw_now();
    system.correction.epoch = raw_now();
    system
}

pub(crate) fn terms() -> Terms {
    Terms {
        tai_ahead_ns: 0,
        valid_until_ns: clock::monotonic_ns() + 600_000_000_000,
        departure: 0,
        rate_limit: None,
        silent_unsynchronised: false,
        has_clients: true,
        dscp: 0,
        port: PORT,
    }
}

/// A program that serves the other end of `way`, and lets its network ask.
pub(crate) fn fast_path(ways: &[Way]) -> FastPath {
    let mut path = FastPath::load().expect("the kernel takes it");
    path.publish(&record(&system(), &terms()))
        .expect("published");
    for way in ways {
        path.serve(way.to).expect("served");
        let length = if way.from.is_ipv4() { 96 + 24 } else { 64 };
        path.admit(way.from, length, 1).expect("allowed");
    }
    path
}
