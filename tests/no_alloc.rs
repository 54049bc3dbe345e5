//! A worker allocates nothing after start: a million mixed packets through its turns, counted.
//!
//! The allocator counts per thread; worker and sender share this test's thread, and only what happens
//! inside a turn is counted. `scripts/check` runs it in release as well.

#![expect(unsafe_code, reason = "a counting allocator is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use maser::auth::{Key, KeyStore, KeyType};
use maser::config::Pace as PaceConfig;
use maser::node::counters::{Event, WorkerCounters};
use maser::node::{
    Handover, HandoverReceiver, HandoverSender, KeyUse, Pace, Published, Subscription, Worker,
    WorkerParts,
};
use maser::server::{
    AccessRule, AccessTable, Chance, ClientTable, ClientsAsked, ClientsListing, InterleavedTable,
    RateLimit, RateLimiter, Responder, ResponderParts, Subnet,
};
use maser::sys::{PortOptions, UdpPort};
use maser::wire::{KeyId, LeapIndicator, SystemVariables};

const PACKETS: usize = 1_000_000;
const BURST: usize = 64;
const INTERLEAVED: [u8; 8] = [9; 8];

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the count touches only a cell of this
// thread that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn rule(network: [u8; 4], allow: bool) -> AccessRule {
    let subnet = Subnet::new(Ipv4Addr::from(network).into(), 24).expect("a prefix");
    AccessRule {
        subnet,
        allow,
        all: false,
    }
}

fn keys() -> KeyStore {
    let secrets = [
        (1, KeyType::Aes128, &[1; 16][..]),
        (2, KeyType::Aes256, &[2; 32]),
        (3, KeyType::Sha1, b"three"),
        (4, KeyType::Md5, b"four"),
        (5, KeyType::Sha512, b"five"),
    ];
    let keys = secrets.map(|(id, kind, secret)| Key::new(KeyId(id), kind, secret).expect("a key"));
    KeyStore::new(&keys).0
}

fn access() -> AccessTable {
    let everybody = AccessRule {
        subnet: Subnet::Any,
        allow: true,
        all: false,
    };
    AccessTable::new(&[everybody, rule([127, 0, 9, 0], false)])
}

fn worker(
    published: &Arc<Published>,
    counters: &Arc<WorkerCounters>,
    handovers: HandoverReceiver,
) -> (Worker, SocketAddr) {
    let port = UdpPort::open(&PortOptions {
        address: "0.0.0.0:0".parse().expect("an address"),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: 4 << 20,
    })
    .expect("a port");
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.address().port());
    let limit = RateLimit {
        interval_log2: -8,
        burst: 4,
        leak_log2: 1,
        kod_log2: Some(1),
    };
    let keys = Arc::new(keys());
    let responder = Responder::new(ResponderParts {
        access: access(),
        require_auth: AccessTable::new(&[rule([127, 0, 8, 0], true)]),
        // Small, so that strangers push each other out.
        clients: Some(ClientTable::new(4096, [3; 16])),
        interleaved: Some(InterleavedTable::new(4096)),
        limiter: Some(RateLimiter::new(limit)),
        poll_min: Some(-8),
        keys: Arc::clone(&keys),
        silent_unsynchronised: false,
        chance: Chance::new(1),
    });
    let worker = Worker::new(WorkerParts {
        ports: vec![port],
        responder,
        subscription: Subscription::new(Arc::clone(published)),
        counters: Arc::clone(counters),
        key_use: Arc::new(KeyUse::new(keys)),
        pace: Pace::new(PaceConfig::Spin),
        poll: mio::Poll::new().expect("epoll"),
        burst_slots: BURST,
        handovers,
    });
    (worker.expect("a worker"), address)
}

/// Every kind of packet there is an outcome for.
fn packets() -> Vec<Vec<u8>> {
    let keys = keys();
    let plain = |first: u8| {
        let mut packet = vec![0; 48];
        packet[0] = first;
        packet[40..].copy_from_slice(&[7; 8]);
        packet
    };
    let signed = |id: u32, first: u8| {
        let key = keys.find(KeyId(id)).expect("known");
        let version = first >> 3 & 7;
        let mut packet = plain(first);
        packet.resize(48 + keys.mac_len(key, version), 0);
        keys.sign(key, version, &mut packet, 48).expect("room");
        packet
    };
    let with = |at: usize, value: u8, mut packet: Vec<u8>| {
        packet[at] = value;
        packet
    };
    let mut packets = vec![
        plain(0x23),
        plain(0x1b),
        plain(0x13),
        plain(0x08),
        plain(0x19),
    ];
    packets[0][40..].copy_from_slice(&INTERLEAVED);
    packets.extend((1..=5).flat_map(|id| [signed(id, 0x23), signed(id, 0x1b)]));
    packets.extend([
        Vec::new(),
        plain(0x23)[..44].to_vec(),
        vec![0x23; 1400],
        plain(0x03),
        plain(0x24),
        [&plain(0x23)[..], &[1; 28]].concat(),
        [&plain(0x23)[..], &[0; 4]].concat(),
        signed(1, 0x23)[..64].to_vec(),
        with(67, 0, signed(1, 0x23)),
        with(51, 99, signed(1, 0x23)),
        [&plain(0x1b)[..], &[0, 0, 0, 1], &[0; 16]].concat(),
    ]);
    packets
}

#[test]
fn a_million_mixed_packets_allocate_nothing() {
    let mut system = SystemVariables::not_synchronised(-24);
    system.leap = LeapIndicator::NoWarning;
    system.stratum = 3;
    let published = Published::new(&system);
    let counters = Arc::new(WorkerCounters::default());
    let (sender, handovers) = HandoverSender::new(None);
    let (mut worker, server) = worker(&published, &counters, handovers);
    let mut packets = packets();
    let senders: Vec<_> = (0..50u8)
        .map(|number| {
            let host = Ipv4Addr::new(127, 0, 6 + number % 4, 1 + number);
            let sender = UdpSocket::bind((host, 0)).expect("loopback");
            sender.connect(server).expect("loopback");
            sender.set_nonblocking(true).expect("a flag");
            sender
        })
        .collect();

    let (mut sent, mut received, mut allocated) = (0, 0, 0);
    while received < PACKETS {
        // A client in interleaved mode, which builds on a reply that nobody remembers, or on one that was.
        let origin = last_reply(&senders).unwrap_or((2 * sent as u64 + 1).to_be_bytes());
        packets[0][24..32].copy_from_slice(&origin);
        for _ in 0..BURST {
            // 26 kinds of packet and 50 senders share a factor of 2 only: all pairs of a parity meet.
            let sender = &senders[(sent + sent / packets.len()) % senders.len()];
            sender
                .send(&packets[sent % packets.len()])
                .expect("loopback takes it");
            sent += 1;
        }
        if sent % (BURST * 100) == 0 {
            published.publish(&system);
            let before = CALLS.get();
            let made = hand_over(&sender, &mut worker);
            allocated += CALLS.get() - before - made;
        }
        let mut empty_turns = 0;
        while received < sent {
            let before = CALLS.get();
            let taken = worker.turn();
            allocated += CALLS.get() - before;
            received += taken;
            empty_turns = if taken == 0 { empty_turns + 1 } else { 0 };
            assert!(
                empty_turns < 1_000_000,
                "the kernel lost {}",
                sent - received
            );
        }
    }
    let (taken, calls) = flood(&mut worker, &counters, &senders[0], &packets[1]);
    received += taken;
    allocated += calls;
    assert_eq!(allocated, 0, "allocations in {received} packets");

    // The mix was one: each outcome was met, and each packet had one.
    let counts = counters.snapshot();
    assert_eq!(counts.received(), received as u64);
    let expected_never = [
        "unsynchronised",
        "receive_errors",
        "send_refused",
        "send_no_room",
        "parked",
        "timestamps_daemon",
        "clock_stepped",
    ];
    for (name, value) in counts.named() {
        assert!(
            value > 0 || expected_never.contains(&name),
            "{name} was never met: {counts:?}"
        );
    }
}

/// The receive timestamp of a reply to the client in interleaved mode, which alone has this transmit timestamp.
fn last_reply(senders: &[UdpSocket]) -> Option<[u8; 8]> {
    let mut found = None;
    let mut reply = [0; 100];
    for sender in senders {
        while let Ok(len) = sender.recv(&mut reply) {
            if len == 48 && reply[24..32] == INTERLEAVED {
                found = reply[32..40].try_into().ok();
            }
        }
    }
    found
}

/// New tables for the worker, and a listing of its clients; how often the timekeeper's end allocates for it.
fn hand_over(sender: &HandoverSender, worker: &mut Worker) -> u64 {
    let calls = CALLS.get();
    let mut inside = 0;
    let messages = [
        Handover::Access(access()),
        Handover::Keys(Arc::new(KeyUse::new(Arc::new(keys())))),
        Handover::Clients(Box::new(ClientsListing::new(ClientsAsked::From(0), 8))),
    ];
    for message in messages {
        let look = || {
            let before = CALLS.get();
            worker.take_handovers();
            inside += CALLS.get() - before;
        };
        let back = sender.exchange(message, look).expect("it looks");
        if let Handover::Clients(listing) = back {
            assert_eq!(listing.found.len(), 8);
        }
    }
    CALLS.get() - calls - inside
}

/// Requests that wait too long, then a queue that never empties, so that it is made smaller; how many the worker
/// took in, and how often it allocated.
fn flood(
    worker: &mut Worker,
    counters: &WorkerCounters,
    sender: &UdpSocket,
    packet: &[u8],
) -> (usize, u64) {
    // So many that each waits for more than 100 ms.
    const WAITING: usize = 6000;
    let send = |many| {
        for _ in 0..many {
            sender.send(packet).expect("loopback takes it");
        }
    };
    let (mut taken, mut allocated) = (0, 0);
    let mut turn = |taken: &mut usize| {
        let before = CALLS.get();
        let now = worker.turn();
        allocated += CALLS.get() - before;
        *taken += now;
        now
    };
    send(BURST);
    sleep(Duration::from_millis(1100));
    send(WAITING);
    for _ in 0..1000 {
        sleep(Duration::from_millis(5));
        send(turn(&mut taken));
        if counters.snapshot().event(Event::QueueResized) > 0 {
            break;
        }
    }
    while turn(&mut taken) > 0 {}
    (taken, allocated)
}

#[test]
fn the_allocator_counts() {
    let before = CALLS.get();
    drop(std::hint::black_box(Box::new(5)));
    assert_eq!(CALLS.get() - before, 2);
}
