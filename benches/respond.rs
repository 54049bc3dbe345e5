//! What the server's decisions cost per datagram, without the kernel: `prepare`, and `seal` where there is
//! a reply. Once without a table of clients (`noclientlog`) and once with.

mod harness;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use maser::auth::{Key, KeyStore, KeyType};
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, DropReason, InterleavedTable, Outcome,
    Plan, RateLimit, RateLimiter, Responder, ResponderParts, Subnet,
};
use maser::wire::{
    HEADER_LEN, HeaderMut, KeyId, LeapIndicator, NtpTimestamp, RawTime, ReferenceId,
    SystemVariables,
};

use harness::{Case, compare};

fn main() {
    let tables = [
        (None, "without a table of clients"),
        (Some(CLIENT_BYTES), "with a table of clients"),
    ];
    for (client_bytes, title) in tables {
        let mut cases: Vec<Case> = by_outcome(client_bytes);
        if client_bytes.is_some() {
            cases.extend(by_rate(client_bytes));
        }
        compare(&format!("a datagram, {title}"), &mut cases);
    }
}

fn by_outcome(client_bytes: Option<usize>) -> Vec<Case<'static>> {
    let dropped = |reason| Outcome::Drop(reason).counter();
    // Behind the header: a field whose length is no number of whole words.
    let mut field = vec![0x23; HEADER_LEN + 28];
    field[HEADER_LEN + 2..HEADER_LEN + 4].copy_from_slice(&23u16.to_be_bytes());
    let requests = [
        ("basic", PEER, header(), ANSWERED),
        (
            "signed with AES128",
            PEER,
            with_mac(KEY, 0),
            ANSWERED_SIGNED,
        ),
        (
            "unknown key",
            PEER,
            with_mac(KEY + 1, 0),
            dropped(DropReason::UnknownKey),
        ),
        (
            "bad MAC",
            PEER,
            with_mac(KEY, 1),
            dropped(DropReason::BadMac),
        ),
        ("denied", STRANGER, header(), dropped(DropReason::Denied)),
        (
            "malformed",
            PEER,
            field,
            dropped(DropReason::MalformedExtension),
        ),
        (
            "bad length",
            PEER,
            vec![0x23; 47],
            dropped(DropReason::BadLength),
        ),
    ];
    let case = |(name, peer, request, counter)| {
        Case::new(
            name,
            answering(responder(client_bytes, None), peer, request, counter),
        )
    };
    requests.map(case).into()
}

fn by_rate(client_bytes: Option<usize>) -> Vec<Case<'static>> {
    let generous = RateLimit {
        interval_log2: -19,
        burst: 255,
        ..RateLimit::default()
    };
    let mean = RateLimit {
        interval_log2: 12,
        burst: 1,
        leak_log2: 4,
        kod_log2: None,
    };
    let limits = [
        ("within the rate limit", generous, ANSWERED),
        (
            "rate limited",
            mean,
            Outcome::Drop(DropReason::RateLimited).counter(),
        ),
    ];
    let case = |(name, limit, counter)| {
        let responder = responder(client_bytes, Some(limit));
        Case::new(name, answering(responder, PEER, header(), counter))
    };
    limits.map(case).into()
}

/// The same request from a few addresses by turns. Most of them must move the counter `expected`.
fn answering(
    mut responder: Responder,
    first_peer: Ipv4Addr,
    request: Vec<u8>,
    expected: usize,
) -> impl FnMut(u64) -> u64 {
    let mut packet = request.clone();
    let mut monotonic_ns = 1_000_000_000;
    move |n| {
        let (mut hash, mut as_expected) = (0u64, 0);
        for _ in 0..n {
            packet.copy_from_slice(black_box(&request));
            monotonic_ns += INTERVAL_NS;
            let client = u32::try_from(monotonic_ns / INTERVAL_NS % CLIENTS).unwrap_or(0);
            let arrival = Arrival {
                peer: IpAddr::V4(Ipv4Addr::from_bits(first_peer.to_bits() + client)),
                port: 40_000,
                received: NOW,
                waited_ns: 0,
                monotonic_ns,
            };
            let outcome = responder.prepare(&arrival, &mut packet);
            as_expected += u64::from(outcome.counter() == expected);
            hash = mix(hash, outcome.counter() as u64);
            if let Outcome::Answer(plan) = outcome {
                let reply = &mut packet[..plan.len];
                responder.seal(&plan, NOW, reply);
                let end = reply.last_chunk().map_or(0, |end| u64::from_be_bytes(*end));
                hash = mix(hash, end);
            }
        }
        assert!(
            2 * as_expected > n,
            "{as_expected} of {n} were counted as meant"
        );
        hash
    }
}

/// The FNV-1a step, by words.
const fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0100_0000_01b3)
}

fn responder(client_bytes: Option<usize>, limit: Option<RateLimit>) -> Responder {
    let rule = AccessRule {
        subnet: Subnet::new(PEER.into(), 8).expect("a prefix"),
        allow: true,
        all: false,
    };
    let mut responder = Responder::new(ResponderParts {
        access: AccessTable::new(&[rule]),
        require_auth: AccessTable::new(&[]),
        clients: client_bytes.map(|bytes| ClientTable::new(bytes, [7; 16])),
        interleaved: client_bytes.map(|bytes| InterleavedTable::new(bytes / 4)),
        limiter: limit.map(RateLimiter::new),
        poll_min: limit.map(|limit| limit.interval_log2),
        keys: Arc::new(KeyStore::new(&[key()]).0),
        silent_unsynchronised: false,
        chance: Chance::new(5),
    });
    let system = SystemVariables {
        leap: LeapIndicator::NoWarning,
        stratum: 1,
        reference_id: ReferenceId::LOCAL,
        ..SystemVariables::not_synchronised(-24)
    };
    responder.renew(&system, NOW);
    responder
}

fn header() -> Vec<u8> {
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = 0x23;
    let mut header = HeaderMut::new(&mut bytes);
    header.set_transmit_timestamp(NtpTimestamp::from_bits(0xeca1_b2c3_1234_5678));
    bytes.into()
}

/// A header signed with the server's key, but said to be by key `id`; `damage` changes the digest.
fn with_mac(id: u32, damage: u8) -> Vec<u8> {
    let (keys, _) = KeyStore::new(&[key()]);
    let at = keys.find(KeyId(KEY)).expect("our key");
    let mut packet = header();
    packet.resize(HEADER_LEN + keys.mac_len(at, 4), 0);
    keys.sign(at, 4, &mut packet, HEADER_LEN).expect("room");
    packet[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&id.to_be_bytes());
    packet[HEADER_LEN + 4] ^= damage;
    packet
}

fn key() -> Key {
    Key::new(KeyId(KEY), KeyType::Aes128, b"everybody's key.").expect("16 bytes")
}

const KEY: u32 = 7;
const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 0);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
const CLIENTS: u64 = 16;
const INTERVAL_NS: u64 = 2_000;
/// chrony's default.
const CLIENT_BYTES: usize = 512 << 10;
const NOW: RawTime = RawTime(NtpTimestamp::from_bits(0xeca1_b2c4_0000_0000));
const ANSWERED: usize = Outcome::Answer(Plan::UNSIGNED).counter();
/// Its counter stands behind that of unsigned replies.
const ANSWERED_SIGNED: usize = ANSWERED + 1;
