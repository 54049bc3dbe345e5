//! Frames, and a program that knows what to answer.

use std::net::IpAddr;

use maser::auth::{Key, KeyType};
use maser::fastpath::{Program, ProgramOptions, Terms};
use maser::server::{AccessRule, AccessTable, Subnet};
use maser::sys::clock;
use maser::wire::{KeyId, LeapIndicator, NtpTimestamp, RawTime, ReferenceId, SystemVariables};

use super::keys;

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
    let monotonic_ns = clock::monotonic_ns();
    let real = clock::realtime();
    let real_ns = real.secs * 1_000_000_000 + i64::from(real.nanos);
    Terms {
        now: (monotonic_ns, raw_now()),
        tai_ahead_ns: real_ns + tai_ahead_ns() - monotonic_ns.cast_signed(),
        valid_until_ns: clock::monotonic_ns() + 600_000_000_000,
        departure_ns: 0,
        rate_limit: None,
        passed: None,
        silent_unsynchronised: false,
        has_clients: true,
        dscp: 0,
        port: PORT,
    }
}

fn tai_ahead_ns() -> i64 {
    let mut timex = maser::sys::adjtimex::Timex::default();
    maser::sys::adjtimex::adjtimex(&mut timex).expect("read");
    i64::from(timex.tai_s) * 1_000_000_000
}

/// Without a subnet: everybody.
pub(crate) fn table(subnets: &[Subnet]) -> AccessTable {
    let rules = subnets.iter().map(|subnet| AccessRule {
        subnet: *subnet,
        allow: true,
        all: false,
    });
    AccessTable::new(&rules.collect::<Vec<_>>())
}

/// A program that serves the other end of each way, and lets those at its beginning ask.
pub(crate) fn loaded(ways: &[Way]) -> Program {
    let mut program = Program::load(ProgramOptions {
        clients: 1 << 16,
        keys: 16,
        signs: true,
        seed: [5, 6],
    })
    .expect("the kernel takes it");
    program.publish(&system(), &terms()).expect("published");
    let ours: Vec<IpAddr> = ways.iter().map(|way| way.to).collect();
    program.serve(&ours).expect("served");
    let around = |way: &Way| Subnet::new(way.from, if way.from.is_ipv4() { 24 } else { 64 });
    let subnets: Vec<Subnet> = ways.iter().filter_map(around).collect();
    program
        .admit(&table(&subnets), &table(&[]))
        .expect("allowed");
    program
}

/// The key of the tests, as a key file would have it.
pub(crate) fn key(known: keys::Key) -> Key {
    let digit = |at: usize| u8::from_str_radix(&known.hex[at..at + 2], 16).expect("hexadecimal");
    let secret: Vec<u8> = (0..known.hex.len()).step_by(2).map(digit).collect();
    let key_type = if secret.len() == 16 {
        KeyType::Aes128
    } else {
        KeyType::Aes256
    };
    Key::new(KeyId(known.id), key_type, &secret).expect("a key")
}

/// Puts keys in force.
pub(crate) fn give_keys(program: &mut Program, keys: &[Key]) {
    let ciphers: Vec<_> = keys.iter().filter_map(Key::cipher).collect();
    assert_eq!(program.rekey(&ciphers).expect("keys"), 0);
    program.publish(&system(), &terms()).expect("published");
}
