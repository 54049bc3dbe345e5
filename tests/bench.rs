//! The load harness against servers that lie: it must tell exactly what they do.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use maser::auth::{Key, KeyIndex, KeyStore, KeyType};
use maser::bench::{Carriage, Course, Ended, Kind, Load, Mix, Order, Plan, Signature, Step, run};
use maser::wire::KeyId;

/// A harness's thread never sleeps: two of them beside each other's server would be what is measured.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the lying server did.
#[derive(Default)]
struct Deeds {
    seen: AtomicU64,
    dropped: AtomicU64,
    doubled: AtomicU64,
    forged: AtomicU64,
}

/// What a lying server does with its n-th request.
type Lie = fn(u64) -> Deed;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Answer,
    Drop,
    Double,
    Forge,
    Stall,
    Kiss,
    WrongVersion,
    Shorten,
}

struct Server {
    address: SocketAddr,
    deeds: Arc<Deeds>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn keys() -> KeyStore {
    KeyStore::new(&[Key::new(KeyId(5), KeyType::Aes128, &[9; 16]).expect("a key")]).0
}

impl Server {
    fn start(lie: Lie) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("not zero");
        let address = socket.local_addr().expect("bound");
        let (deeds, stop) = (Arc::new(Deeds::default()), Arc::new(AtomicBool::new(false)));
        let (did, stopped) = (Arc::clone(&deeds), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let keys = keys();
            let key = keys.find(KeyId(5)).expect("ours");
            let mut packet = [0; 200];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, peer)) = socket.recv_from(&mut packet) else {
                    continue;
                };
                let deed = lie(did.seen.fetch_add(1, Ordering::Relaxed));
                let counter = match deed {
                    Deed::Drop => {
                        did.dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Deed::Double => &did.doubled,
                    _ => &did.forged,
                };
                if deed == Deed::Stall {
                    std::thread::sleep(Duration::from_millis(100));
                }
                let len = reply(&mut packet, len, deed, &keys, key);
                if !matches!(deed, Deed::Answer | Deed::Stall) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                for _ in 0..1 + u64::from(deed == Deed::Double) {
                    socket.send_to(&packet[..len], peer).expect("loopback");
                }
            }
        });
        Self {
            address,
            deeds,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

/// Turns the request into a reply; its length.
fn reply(packet: &mut [u8], len: usize, deed: Deed, keys: &KeyStore, key: KeyIndex) -> usize {
    let transmit: [u8; 8] = packet[40..48].try_into().expect("eight");
    packet[0] = if deed == Deed::WrongVersion {
        0x1c
    } else {
        0x24
    };
    packet[1] = u8::from(deed != Deed::Kiss);
    packet[12..16].copy_from_slice(b"RATE");
    packet[24..32].copy_from_slice(&transmit);
    packet[32..48].fill(1);
    if len > 48 {
        keys.sign(key, 4, packet, 48).expect("room");
    }
    if deed == Deed::Forge {
        packet[len - 1] ^= 1;
    }
    if deed == Deed::Shorten { 48 } else { len }
}

fn plan(target: SocketAddr, load: Load, rate: f64, seconds: f64) -> Plan {
    let keys = Arc::new(keys());
    let key = keys.find(KeyId(5)).expect("ours");
    Plan {
        target,
        load,
        course: Course::One(rate),
        mix: Mix::only(Kind::Signed),
        signature: Some(Signature {
            keys,
            key,
            id: KeyId(5),
        }),
        version: 4,
        duration: Duration::from_secs_f64(seconds),
        warm_up: Duration::ZERO,
        patience: Duration::from_millis(1000),
        gather: Duration::ZERO,
        // A slow machine may be late; here it is the server that is looked at.
        lateness_max: Duration::from_secs(10),
        cpus: vec![None],
        ports: 2,
        sources: Vec::new(),
        order: Order::Turns,
        associations: 16,
        carriage: Carriage::Udp,
        correction_ns: 0,
        server_pids: Vec::new(),
    }
}

fn one_step(plan: &Plan) -> Step {
    let mut steps = Vec::new();
    let ended = run(plan, None, &mut |step: &Step| steps.push(step.clone())).expect("it runs");
    assert_eq!(ended, Ended::Held);
    steps.pop().expect("one step")
}

const OPEN: Load = Load::Open { exponential: false };

#[test]
fn a_lying_servers_deeds_are_told_exactly() {
    let _alone = alone();
    let server = Server::start(|number| match number % 1000 {
        n if n % 100 == 99 => Deed::Drop,
        500 => Deed::Double,
        250 => Deed::Forge,
        _ => Deed::Answer,
    });
    let step = one_step(&plan(server.address, OPEN, 5_000.0, 4.0));
    let counts = step.counts;
    let did = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let deeds = &server.deeds;
    assert!((19_999..=20_000).contains(&counts.sent), "{counts:?}");
    assert_eq!(did(&deeds.seen), counts.sent);
    assert_eq!(counts.lost, did(&deeds.dropped));
    assert_eq!(counts.duplicates, did(&deeds.doubled));
    assert_eq!(counts.forged, did(&deeds.forged));
    assert!(
        counts.lost >= 199 && counts.duplicates >= 19 && counts.forged >= 19,
        "{counts:?}"
    );
    assert_eq!(counts.good, counts.sent - counts.lost - counts.forged);
    assert_eq!((counts.late, counts.stale, counts.not_sent), (0, 0, 0));
}

#[test]
fn other_lies_have_counters_of_their_own() {
    let _alone = alone();
    let server = Server::start(|number| match number % 10 {
        1 => Deed::Kiss,
        2 => Deed::WrongVersion,
        3 => Deed::Shorten,
        _ => Deed::Answer,
    });
    let counts = one_step(&plan(server.address, OPEN, 1_000.0, 1.0)).counts;
    assert!(
        counts.kiss_rate >= 99 && counts.bad_version >= 99 && counts.bad_length >= 99,
        "{counts:?}"
    );
    assert_eq!(counts.good + counts.kiss_rate + counts.wrong(), counts.sent);
}

/// Once a second the server sleeps for 100 ms. On a schedule that shows as what clients feel; in a closed
/// loop one request waits and all others are told as quick: that is coordinated omission.
#[test]
fn a_stall_is_seen_by_the_open_loop_and_hidden_by_the_closed_one() {
    let _alone = alone();
    static NEXT_STALL_NS: AtomicU64 = AtomicU64::new(0);
    let server = Server::start(|_| {
        let now = maser::sys::clock::monotonic_ns();
        let due = NEXT_STALL_NS.load(Ordering::Relaxed);
        if now >= due {
            NEXT_STALL_NS.store(now + 1_000_000_000, Ordering::Relaxed);
            return Deed::Stall;
        }
        Deed::Answer
    });
    let open = one_step(&plan(server.address, OPEN, 2_000.0, 3.0));
    let closed = one_step(&plan(
        server.address,
        Load::Closed { in_flight: 1 },
        1.0,
        3.0,
    ));
    assert!(
        open.latency.p99_9 >= 90_000_000,
        "open loop: {:?}",
        open.latency
    );
    assert!(
        closed.latency.p99_9 < 50_000_000,
        "closed loop: {:?}",
        closed.latency
    );
    assert!(
        closed.latency.max >= 90_000_000,
        "closed loop: {:?}",
        closed.latency
    );
}

#[test]
fn a_server_that_is_not_there_loses_everything() {
    let _alone = alone();
    let gone = UdpSocket::bind("127.0.0.1:0")
        .expect("loopback")
        .local_addr()
        .expect("bound");
    let step = one_step(&plan(gone, OPEN, 1_000.0, 0.3));
    assert_eq!((step.counts.good, step.counts.lost), (0, step.counts.sent));
    assert!((step.loss() - 1.0).abs() < 1e-9);
}
