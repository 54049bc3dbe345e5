//! The other side: requests that follow upon replies, a fixed number in flight.

use std::net::SocketAddr;
use std::time::Duration;

use maser::auth::KeyStore;
use maser::sys::{Burst, LocalAddress, PortOptions, UdpPort, clock};
use maser::wire::{HEADER_LEN, HeaderView, KEY_ID_LEN, KeyId, Mode, NtpTimestamp};

use crate::servers;

/// Source ports: as many clients.
const PORTS: usize = 16;
/// Requests of a lane, each with a transmit timestamp of its own, used in turn.
const VARIANTS: usize = 8;
/// A reply that has not come by then is lost.
const PATIENCE_NS: u64 = 20_000_000;
const WARM_UP: Duration = Duration::from_millis(200);
/// Of the signed replies one in this many has its MAC checked, so that the generator is not the limit.
const VERIFIED_ONE_IN: u64 = 64;

/// What the server sends back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The request.
    Echo,
    /// The time.
    Time,
}

/// What was measured, after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) replies: u64,
    pub(crate) lost: u64,
    pub(crate) seconds: f64,
}

/// A port and its lanes: each lane has one request in flight.
struct Client {
    port: UdpPort,
    lanes: Vec<Lane>,
}

struct Lane {
    requests: Vec<Vec<u8>>,
    /// Which of them is in flight.
    current: usize,
    sent_ns: u64,
}

/// Keeps requests in flight.
pub(crate) struct Generator {
    server: SocketAddr,
    clients: Vec<Client>,
    burst: Burst,
    keys: KeyStore,
    replies: u64,
    lost: u64,
}

impl Generator {
    /// Makes all requests beforehand, signed or not.
    pub(crate) fn new(server: SocketAddr, in_flight: usize, signed: bool) -> Self {
        let keys = servers::keys();
        let clients = (0..PORTS)
            .map(|client| {
                let port = UdpPort::open(&PortOptions {
                    address: SocketAddr::new(server.ip(), 0),
                    device: None,
                    dscp: 0,
                    shared: false,
                    buffer_bytes: 1 << 20,
                });
                let lanes = (0..in_flight / PORTS).map(|lane| Lane {
                    requests: (0..VARIANTS)
                        .map(|variant| request(&keys, number(client, lane, variant), signed))
                        .collect(),
                    current: 0,
                    sent_ns: clock::monotonic_ns(),
                });
                Client {
                    lanes: lanes.collect(),
                    port: port.expect("a port of loopback"),
                }
            })
            .collect();
        Self {
            server,
            clients,
            burst: Burst::new(64, 128),
            keys,
            replies: 0,
            lost: 0,
        }
    }

    /// Warms up, then measures for so long.
    pub(crate) fn run(&mut self, length: Duration, answer: &Answer) -> Round {
        for client in &mut self.clients {
            for (slot, lane) in client.lanes.iter_mut().enumerate() {
                self.burst.start(
                    slot,
                    self.server,
                    LocalAddress::Bound,
                    &lane.requests[lane.current],
                );
                lane.sent_ns = clock::monotonic_ns();
            }
            client.port.transmit(&mut self.burst);
        }
        self.drive(WARM_UP, answer);
        let (replies, lost) = (self.replies, self.lost);
        let seconds = self.drive(length, answer);
        Round {
            replies: self.replies - replies,
            lost: self.lost - lost,
            seconds,
        }
    }

    /// Replies since the beginning, warm-up included.
    pub(crate) const fn replies_in_all(&self) -> u64 {
        self.replies
    }

    fn drive(&mut self, length: Duration, answer: &Answer) -> f64 {
        let start_ns = clock::monotonic_ns();
        loop {
            let now_ns = clock::monotonic_ns();
            let elapsed = Duration::from_nanos(now_ns - start_ns);
            if elapsed >= length {
                return elapsed.as_secs_f64();
            }
            for client in 0..self.clients.len() {
                self.follow(client, now_ns, answer);
            }
        }
    }

    /// Takes the replies of a client and sends the requests that follow upon them.
    fn follow(&mut self, client: usize, now_ns: u64, answer: &Answer) {
        let Self {
            clients,
            burst,
            keys,
            replies,
            lost,
            server,
        } = self;
        let Client { port, lanes } = &mut clients[client];
        let received = port.receive(burst).expect("loopback");
        for slot in 0..received {
            let datagram = burst.datagram(slot);
            let reply = burst.payload_mut(slot, datagram.len);
            let Some(lane) = lane_answered(reply, client, lanes, answer) else {
                continue;
            };
            *replies += 1;
            let lane = &mut lanes[lane];
            let request = &lane.requests[lane.current];
            assert_eq!(reply.len(), request.len(), "the reply's length");
            if reply.len() > HEADER_LEN && replies.is_multiple_of(VERIFIED_ONE_IN) {
                verify(keys, reply);
            }
            lane.current = (lane.current + 1) % VARIANTS;
            lane.sent_ns = now_ns;
            let request = &lane.requests[lane.current];
            burst
                .payload_mut(slot, request.len())
                .copy_from_slice(request);
            burst.keep(slot, &datagram, request.len(), false);
        }
        if burst.kept() > 0 {
            port.transmit(burst);
        }
        if received == 0 {
            for (slot, lane) in lanes.iter_mut().enumerate() {
                if now_ns.saturating_sub(lane.sent_ns) > PATIENCE_NS {
                    *lost += 1;
                    lane.sent_ns = now_ns;
                    burst.start(
                        slot,
                        *server,
                        LocalAddress::Bound,
                        &lane.requests[lane.current],
                    );
                }
            }
            if burst.kept() > 0 {
                port.transmit(burst);
            }
        }
    }
}

/// The lane whose request this is the reply to; `None` for a late or foreign one.
fn lane_answered(reply: &[u8], client: usize, lanes: &[Lane], answer: &Answer) -> Option<usize> {
    let header = HeaderView::at_front(reply).expect("at least a header");
    let asked = match answer {
        Answer::Echo => header.transmit_timestamp(),
        Answer::Time => {
            assert_eq!((header.mode(), header.version()), (Mode::Server, 4));
            assert!(header.stratum() > 0, "a kiss, or not synchronised");
            header.origin_timestamp()
        }
    };
    let lane = usize::try_from(asked.to_bits() >> 8 & 0xff).ok()?;
    let current = lanes.get(lane)?.current;
    (asked == number(client, lane, current)).then_some(lane)
}

fn verify(keys: &KeyStore, reply: &[u8]) {
    let key = keys.find(KeyId(1)).expect("our key");
    let (message, mac) = reply.split_at(HEADER_LEN);
    let verdict = keys.verify(key, 4, message, &mac[KEY_ID_LEN..]);
    assert_eq!(verdict, maser::auth::Verdict::Good, "a reply's MAC");
}

/// A transmit timestamp that says whose it is.
fn number(client: usize, lane: usize, variant: usize) -> NtpTimestamp {
    let number =
        0x0b5e_55ed_0000_0000 | (client as u64) << 16 | (lane as u64) << 8 | variant as u64;
    NtpTimestamp::from_bits(number)
}

fn request(keys: &KeyStore, transmit: NtpTimestamp, signed: bool) -> Vec<u8> {
    let mut packet = vec![0; HEADER_LEN];
    packet[0] = 0x23;
    packet[40..].copy_from_slice(&transmit.to_be_bytes());
    if signed {
        let key = keys.find(KeyId(1)).expect("our key");
        packet.resize(HEADER_LEN + keys.mac_len(key, 4), 0);
        keys.sign(key, 4, &mut packet, HEADER_LEN).expect("room");
    }
    packet
}
