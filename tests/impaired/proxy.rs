//! A relay of datagrams that delays, loses, doubles, repeats and overtakes them.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use maser::server::Chance;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

/// What the relay does, each way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    /// Of each way, there and back.
    pub(crate) delay: [Duration; 2],
    /// On top of it, evenly between nothing and this.
    pub(crate) jitter: [Duration; 2],
    /// Share of the datagrams that are lost, of each way.
    pub(crate) loss: f64,
    /// Share of the datagrams that come twice.
    pub(crate) doubled: f64,
    /// Share of the replies after which an older one comes once more.
    pub(crate) replayed: f64,
    /// Nothing goes through.
    pub(crate) is_silent: bool,
}

/// A running relay; it ends with the value.
pub(crate) struct Proxy {
    address: SocketAddr,
    impairment: Arc<Mutex<Impairment>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Relays what comes to an address of its own to `server`, for ten minutes at most.
    pub(crate) fn start(server: SocketAddr, impairment: Impairment, seed: u64) -> Self {
        let any = SocketAddr::new(server.ip(), 0);
        let front = UdpSocket::bind(any).expect("a port");
        let address = front.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(impairment));
        let stop = Arc::new(AtomicBool::new(false));
        let mut relay = Relay {
            poll: Poll::new().expect("epoll"),
            server,
            front,
            clients: HashMap::new(),
            ports: VecDeque::new(),
            next_token: 1,
            waiting: BinaryHeap::new(),
            serial: 0,
            old: Vec::new(),
            chance: Chance::new(seed),
            impairment: Arc::clone(&shared),
        };
        let ends = Arc::clone(&stop);
        let thread = std::thread::spawn(move || relay.run(&ends));
        Self {
            address,
            impairment: shared,
            stop,
            thread: Some(thread),
        }
    }

    /// Where clients ask.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Impairment)) {
        change(&mut self.impairment.lock().expect("nobody panics with it"));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay works");
        }
    }
}

struct Relay {
    poll: Poll,
    server: SocketAddr,
    front: UdpSocket,
    /// A client has a port of its own towards the server.
    clients: HashMap<SocketAddr, Token>,
    ports: VecDeque<(Token, SocketAddr, UdpSocket)>,
    next_token: usize,
    waiting: BinaryHeap<Waiting>,
    serial: u64,
    /// Replies that went through.
    old: Vec<Vec<u8>>,
    chance: Chance,
    impairment: Arc<Mutex<Impairment>>,
}

/// A datagram on its way. The one that is due first is the greatest.
#[derive(PartialEq, Eq)]
struct Waiting {
    due: Instant,
    serial: u64,
    client: SocketAddr,
    is_reply: bool,
    bytes: Vec<u8>,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_time = other.due.cmp(&self.due);
        by_time.then(other.serial.cmp(&self.serial))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Relay {
    #[expect(clippy::disallowed_methods, reason = "it works in real time")]
    fn run(&mut self, stop: &AtomicBool) {
        let start = Instant::now();
        self.poll
            .registry()
            .register(&mut self.front, FRONT, Interest::READABLE)
            .expect("epoll");
        let mut events = Events::with_capacity(64);
        while !stop.load(Ordering::Relaxed) && start.elapsed() < LIFE_MAX {
            let now = Instant::now();
            let wait = self.waiting.peek().map_or(GLANCE, |next| {
                let left = next.due.saturating_duration_since(now);
                left.saturating_sub(SPIN).min(GLANCE)
            });
            let polled = self.poll.poll(&mut events, Some(wait));
            assert!(polled.is_ok_and(|()| true) || stop.load(Ordering::Relaxed));
            self.take_requests();
            self.take_replies();
            self.send_due();
        }
    }

    fn take_requests(&mut self) {
        let mut bytes = [0; 2048];
        while let Ok((len, client)) = self.front.recv_from(&mut bytes) {
            if self.port_of(client).is_ok() {
                self.delay(client, false, bytes[..len].to_vec());
            }
        }
    }

    fn take_replies(&mut self) {
        let mut bytes = [0; 2048];
        let mut came = Vec::new();
        for (_, client, port) in &self.ports {
            // A server that is not there answers with an error, which is no reply.
            while let Ok(len) = port.recv(&mut bytes) {
                came.push((*client, bytes[..len].to_vec()));
            }
        }
        for (client, bytes) in came {
            let replayed = self.impairment().replayed;
            if self.happens(replayed) && !self.old.is_empty() {
                let at = self.chance.bits() as usize % self.old.len();
                let again = self.old[at].clone();
                self.delay(client, true, again);
            }
            if self.old.len() < OLD_MAX {
                self.old.push(bytes.clone());
            }
            self.delay(client, true, bytes);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it works in real time")]
    fn delay(&mut self, client: SocketAddr, is_reply: bool, bytes: Vec<u8>) {
        let impairment = self.impairment();
        if impairment.is_silent || self.happens(impairment.loss) {
            return;
        }
        let way = usize::from(is_reply);
        let copies = 1 + u32::from(self.happens(impairment.doubled));
        for _ in 0..copies {
            let share = f64::from(self.chance.bits()) / f64::from(u32::MAX);
            let delay = impairment.delay[way] + impairment.jitter[way].mul_f64(share);
            self.serial += 1;
            self.waiting.push(Waiting {
                due: Instant::now() + delay,
                serial: self.serial,
                client,
                is_reply,
                bytes: bytes.clone(),
            });
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it works in real time")]
    fn send_due(&mut self) {
        while let Some(next) = self.waiting.peek() {
            let left = next.due.saturating_duration_since(Instant::now());
            if left > SPIN {
                return;
            }
            if !left.is_zero() {
                std::hint::spin_loop();
                continue;
            }
            let Some(next) = self.waiting.pop() else {
                return;
            };
            // A datagram may be lost here too.
            let _ = if next.is_reply {
                self.front.send_to(&next.bytes, next.client)
            } else {
                let port = self
                    .ports
                    .iter()
                    .find(|(_, client, _)| *client == next.client);
                port.map_or(Ok(0), |(_, _, port)| port.send(&next.bytes))
            };
        }
    }

    fn port_of(&mut self, client: SocketAddr) -> io::Result<()> {
        if self.clients.contains_key(&client) {
            return Ok(());
        }
        if self.ports.len() >= PORTS_MAX
            && let Some((_, oldest, _)) = self.ports.pop_front()
        {
            self.clients.remove(&oldest);
        }
        let mut port = UdpSocket::bind(SocketAddr::new(self.server.ip(), 0))?;
        port.connect(self.server)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        self.poll
            .registry()
            .register(&mut port, token, Interest::READABLE)?;
        self.clients.insert(client, token);
        self.ports.push_back((token, client, port));
        Ok(())
    }

    fn impairment(&self) -> Impairment {
        *self.impairment.lock().expect("nobody panics with it")
    }

    fn happens(&mut self, share: f64) -> bool {
        f64::from(self.chance.bits()) < share * f64::from(u32::MAX)
    }
}

const FRONT: Token = Token(0);
const LIFE_MAX: Duration = Duration::from_secs(600);
const GLANCE: Duration = Duration::from_millis(5);
/// The last part of a delay is waited for awake, so that no scheduler adds to it.
const SPIN: Duration = Duration::from_micros(300);
const PORTS_MAX: usize = 64;
const OLD_MAX: usize = 64;
