//! Requests of all kinds, and what looks like them.

use maser::wire::HEADER_LEN;

use super::support::client::field;
use super::support::keys::{self, Key};

/// Chance that is the same in each run (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 8).expect("64 bits") % end
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// Any request. `previous` is what a reply to the same client said of when its request came: an interleaved request asks
/// about that.
pub(crate) fn packet(random: &mut Random, previous: u64) -> Vec<u8> {
    match random.below(20) {
        0..=7 => header(random),
        8..=11 => signed(random),
        12 | 13 => extended(random),
        14 => refused_mac(random),
        15 | 16 => interleaved(random, previous),
        17 => {
            let mut odd = header(random);
            odd[0] = random.bytes(1)[0];
            odd
        }
        _ => {
            let length = random.below(201);
            let mut any = random.bytes(length);
            if length > 0 && random.below(4) > 0 {
                any[0] = first(random);
            }
            any
        }
    }
}

/// Leap, a version and a mode that may be answered.
fn first(random: &mut Random) -> u8 {
    let leap = random.of(&[0, 0xc0]);
    leap | random.of(&[1, 2, 3, 4, 4, 4]) << 3 | random.of(&[3, 3, 3, 3, 1])
}

fn header(random: &mut Random) -> Vec<u8> {
    let mut packet = random.bytes(HEADER_LEN);
    packet[0] = first(random);
    match random.below(4) {
        // Nothing but when it was sent, as most ask.
        0 | 1 => packet[1..40].fill(0),
        // Not interleaved, though the origin looks as if.
        2 => packet.copy_within(40..48, 32),
        _ => {}
    }
    packet
}

fn signed(random: &mut Random) -> Vec<u8> {
    let key = random.of(&[
        keys::AES128,
        keys::AES128,
        keys::AES128,
        keys::AES256,
        keys::AES256,
        keys::MD5,
        keys::SHA1,
        keys::SHA256,
        keys::UNKNOWN,
        keys::WRONG,
    ]);
    let mut packet = key.sign(&header(random));
    match random.below(10) {
        0 => {
            let at = random.below(packet.len());
            packet[at] ^= 1 << random.below(8);
        }
        1 => packet.truncate(HEADER_LEN + 4 * random.below(6)),
        2 => packet.extend(random.bytes(4)),
        _ => {}
    }
    packet
}

fn extended(random: &mut Random) -> Vec<u8> {
    let mut packet = header(random);
    packet[0] = packet[0] & 0xc7 | random.of(&[4, 4, 4, 3]) << 3;
    for _ in 0..=random.below(3) {
        let field_type = random.of(&[0x0104, 0x0204, 0xf323, 0x2005, 0]);
        packet.extend(field(field_type, random.of(&[16, 20, 24, 28, 32, 64])));
    }
    if random.below(8) == 0 {
        // Longer or shorter than it says.
        let at = HEADER_LEN + 3;
        packet[at] = random.bytes(1)[0];
    }
    match random.below(3) {
        0 => random.of(&keys::ALL).sign(&packet),
        _ => packet,
    }
}

/// What ends as no MAC that could be right: no key, or none but its number as domain members of Windows ask.
fn refused_mac(random: &mut Random) -> Vec<u8> {
    let mut packet = header(random);
    match random.below(3) {
        0 => packet.extend([0; 4]),
        1 => {
            packet.extend(random.bytes(4));
            packet.extend([0; 16]);
        }
        _ => {
            packet.extend(random.bytes(4));
            packet.extend([0; 68]);
        }
    }
    packet
}

fn interleaved(random: &mut Random, previous: u64) -> Vec<u8> {
    let mut packet = header(random);
    packet[0] = 0x23;
    packet[24..32].copy_from_slice(&previous.to_be_bytes());
    let received = random.next().to_be_bytes();
    packet[32..40].copy_from_slice(&received);
    match random.below(3) {
        0 => random.of(&keys::ALL).sign(&packet),
        _ => packet,
    }
}

/// The key that a reply names; `None`: it is not signed.
pub(crate) fn key_of(reply: &[u8]) -> Option<Key> {
    let id = u32::from_be_bytes(*reply.get(HEADER_LEN..)?.first_chunk()?);
    keys::ALL.into_iter().find(|key| key.id == id)
}
