//! The same requests to a node with a fast path and to one without: the same answers, the same silence, the same figures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use super::packets::{Random, key_of, packet};
use super::support::client::{field, request};
use super::support::exposition::{Exposition, Labels};
use super::support::seen::within;
use super::wire::{CLIENT_V4, CLIENT_V6, Node, Wire, on_wire};

/// A request, and what came of it.
struct Asked {
    packet: Vec<u8>,
    reply: Option<Vec<u8>>,
}

/// What a reply says but for moments and chance.
#[derive(Debug, PartialEq, Eq)]
struct Gist {
    length: usize,
    /// Leap, version, mode, stratum, poll.
    begin: [u8; 3],
    /// Root delay.
    delay: [u8; 4],
    reference_id: [u8; 4],
    is_interleaved: bool,
    /// The lowest bits of when it came and when it left.
    low: [u8; 2],
    /// The key's number, and whether the digest is right.
    key: Option<(u32, bool)>,
}

impl Asked {
    fn gist(&self) -> Option<Gist> {
        let reply = self.reply.as_ref()?;
        let key = key_of(reply);
        Some(Gist {
            length: reply.len(),
            begin: *reply.first_chunk()?,
            delay: *reply[4..].first_chunk()?,
            reference_id: *reply[12..].first_chunk()?,
            is_interleaved: reply[24..32] != self.packet[40..48],
            low: [reply[39] & 1, reply[47] & 1],
            key: key.map(|key| (key.id, key.verifies(reply))),
        })
    }
}

/// Clients who ask at random, a hundred requests at a time.
struct Clients {
    sockets: Vec<UdpSocket>,
    /// What the last reply said of when its request came.
    previous: Vec<u64>,
    asked: Vec<Asked>,
    /// Whose each request was, by what its reply may name as the origin.
    by_origin: HashMap<[u8; 8], (usize, usize)>,
}

impl Clients {
    fn new(addresses: &[IpAddr]) -> Self {
        let socket = |address: &IpAddr| {
            let socket = UdpSocket::bind((*address, 0)).expect("our address");
            socket.set_nonblocking(true).expect("a socket");
            socket
        };
        Self {
            sockets: addresses.iter().map(socket).collect(),
            previous: vec![1; addresses.len()],
            asked: Vec::new(),
            by_origin: HashMap::new(),
        }
    }

    fn send(&mut self, client: usize, packet: Vec<u8>) {
        let socket = &self.sockets[client];
        let ours = socket.local_addr().expect("bound").ip();
        // Somebody must have told an earlier one that nobody is there.
        let sent = socket.send_to(&packet, Node::address(ours));
        sent.expect("the wire takes it");
        for at in [32, 40] {
            if let Some(origin) = packet.get(at..).and_then(<[u8]>::first_chunk) {
                self.by_origin.insert(*origin, (client, self.asked.len()));
            }
        }
        self.asked.push(Asked {
            packet,
            reply: None,
        });
    }

    /// Takes in all that has come.
    fn receive(&mut self) {
        let mut buffer = [0; 512];
        for client in 0..self.sockets.len() {
            while let Ok(length) = self.sockets[client].recv(&mut buffer) {
                let reply = &buffer[..length];
                let origin = reply[24..].first_chunk().expect("a header");
                let (whose, number) = self.by_origin.get(origin).copied().expect("asked for");
                assert_eq!(whose, client, "the client gets it");
                let asked = &mut self.asked[number];
                assert!(
                    asked.reply.is_none(),
                    "answered twice: {:02x?}",
                    asked.packet
                );
                asked.reply = Some(reply.to_vec());
            }
        }
    }

    /// What interleaved requests are about: of the replies so far the last to each.
    fn look_back(&mut self, from: usize) {
        for asked in &self.asked[from..] {
            if let (Some(reply), Some(origin)) = (&asked.reply, asked.packet.get(40..48)) {
                let (client, _) = self.by_origin[origin];
                let received = reply[32..].first_chunk().expect("a header");
                self.previous[client] = u64::from_be_bytes(*received);
            }
        }
    }

    /// Asks with what the sockets alone answer, in both families, and waits for that: who was asked before has answered.
    fn wait(&mut self, random: &mut Random) {
        let begin = self.asked.len();
        for client in 0..2 {
            let plain = request(4, 3, random.next());
            self.send(client, [&plain[..], &field(0x0104, 28)].concat());
        }
        within(Duration::from_secs(10), "all are answered", || {
            self.receive();
            self.asked[begin..]
                .iter()
                .all(|asked| asked.reply.is_some())
        });
    }
}

/// What a node is asked, by how many packets, and whether it answers anybody.
struct Trial<'a> {
    lines: &'a [&'a str],
    clients: &'a [IpAddr],
    packets: usize,
    is_silent: bool,
}

impl Trial<'_> {
    /// All that was asked of one node, by how much its figures have grown, and how many the fast path decided.
    fn run(&self, wire: &Wire, more: &[&str]) -> (Vec<Asked>, Figures, u64) {
        let node = wire.start(&[self.lines, more].concat());
        let (mut clients, mut random) = (Clients::new(self.clients), Random(0x9e37_79b9_7f4a_7c15));
        if !self.is_silent {
            clients.wait(&mut random);
        }
        let before = node.figures();
        let begin = clients.asked.len();
        while clients.asked.len() < begin + self.packets {
            let from = clients.asked.len();
            for _ in 0..100 {
                let client = random.below(clients.sockets.len());
                let packet = packet(&mut random, clients.previous[client]);
                clients.send(client, packet);
            }
            if self.is_silent {
                sleep(Duration::from_millis(5));
                clients.receive();
            } else {
                clients.wait(&mut random);
            }
            clients.look_back(from);
        }
        let sent = u64::try_from(clients.asked.len() - begin).expect("few");
        let received = |of: &Exposition| of.count("maser_received_total", &[]);
        let mut after = node.figures();
        within(Duration::from_secs(10), "all are counted", || {
            after = node.figures();
            received(&after) >= received(&before) + sent
        });
        clients.receive();
        assert_eq!(received(&after), received(&before) + sent);
        let decided = |of: &Exposition| of.count("maser_requests_total", &[("cpu", "xdp")]);
        let by_kernel = decided(&after) - decided(&before);
        // Each node measures its clock's precision anew, and tells everybody the same.
        let replies = clients.asked.iter().filter_map(|one| one.reply.as_ref());
        let precisions: BTreeSet<u8> = replies.map(|reply| reply[3]).collect();
        assert!(precisions.len() < 2, "{precisions:?}");
        assert!(node.end("-TERM").0, "it ends well");
        (clients.asked, grown(&before, &after), by_kernel)
    }

    /// With and without: how much the fast path decided.
    #[track_caller]
    fn compare(&self, wire: &Wire) -> u64 {
        let (ours, figures, by_kernel) = self.run(wire, &["fastpath wire native"]);
        let (theirs, expected, nothing) = self.run(wire, &[]);
        assert_eq!(nothing, 0, "there is no fast path");
        assert_eq!(ours.len(), theirs.len());
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let (found, wanted) = (ours.gist(), theirs.gist());
            assert_eq!(found, wanted, "{number}: {:02x?}", ours.packet);
            let key = found.and_then(|gist| gist.key);
            assert!(
                key.is_none_or(|(_, is_right)| is_right),
                "{number}: {key:?}"
            );
        }
        for (name, wanted) in &expected {
            assert_eq!(figures.get(name), Some(wanted), "{name:?}");
        }
        assert_eq!(figures.len(), expected.len());
        by_kernel
    }
}

/// By how much counters have grown, whoever has counted.
type Figures = BTreeMap<(String, Labels), i64>;

#[expect(clippy::cast_possible_truncation, reason = "counts of some thousands")]
fn grown(before: &Exposition, after: &Exposition) -> Figures {
    let mut figures = Figures::new();
    for (of, sign) in [(after, 1), (before, -1)] {
        for family in FAMILIES {
            for (_, labels, value) in &of.0[family].samples {
                let mut labels = labels.clone();
                labels.remove("worker");
                labels.remove("cpu");
                let sum = figures.entry((family.to_owned(), labels)).or_default();
                *sum += sign * (*value as i64);
            }
        }
    }
    figures
}

const FAMILIES: [&str; 8] = [
    "maser_requests_total",
    "maser_drops_total",
    "maser_requests_by_authentication_total",
    "maser_requests_by_kind_total",
    "maser_received_total",
    "maser_replies_total",
    "maser_interleaved_replies_total",
    "maser_key_requests_total",
];

/// The clients' addresses that end so.
fn addresses(ends: &[&str]) -> Vec<IpAddr> {
    let whole = ends.iter().map(|end| end.parse().expect("an address"));
    [CLIENT_V4, CLIENT_V6].into_iter().chain(whole).collect()
}

#[test]
fn twenty_thousand_packets_get_the_same() {
    on_wire("same::twenty_thousand_packets_get_the_same", |wire| {
        let trial = Trial {
            lines: &["allow", "local stratum 3"],
            clients: &[CLIENT_V4, CLIENT_V6],
            packets: 20_000,
            is_silent: false,
        };
        let by_kernel = trial.compare(wire);
        assert!((6_000..14_000).contains(&by_kernel), "{by_kernel} by XDP");
    });
}

#[test]
fn whoever_may_not_ask_gets_the_same() {
    on_wire("same::whoever_may_not_ask_gets_the_same", |wire| {
        let clients = addresses(&[
            "10.9.0.3",
            "10.9.0.20",
            "10.9.0.130",
            "10.9.0.131",
            "10.9.1.2",
            "fd09::3",
            "fd09::20",
            "fd09:1::2",
        ]);
        wire.add_clients(&clients[2..]);
        let lines = [
            "local stratum 3",
            "allow 10.9.0.0/24",
            "deny 10.9.0.3",
            "deny 10.9.0.128/25",
            "allow 10.9.0.130",
            "requireauth 10.9.0.16/28",
            "allow fd09::/64",
            "deny fd09::3",
            "requireauth fd09::20/124",
        ];
        let trial = Trial {
            lines: &lines,
            clients: &clients,
            packets: 10_000,
            is_silent: false,
        };
        let by_kernel = trial.compare(wire);
        assert!((3_000..7_000).contains(&by_kernel), "{by_kernel} by XDP");
    });
}

#[test]
fn who_knows_no_time_is_as_silent() {
    on_wire("same::who_knows_no_time_is_as_silent", |wire| {
        let trial = Trial {
            lines: &["allow", "unsynchronised silent"],
            clients: &[CLIENT_V4, CLIENT_V6],
            packets: 5_000,
            is_silent: true,
        };
        let by_kernel = trial.compare(wire);
        assert!((1_500..3_500).contains(&by_kernel), "{by_kernel} by XDP");
    });
}
