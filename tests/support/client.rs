//! Clients of the server under test: their sockets, their packets, what they read in a reply.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use super::node::Node;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket that asks one address of a node, and hears replies from that address and port only.
pub(crate) struct Client {
    socket: UdpSocket,
}

impl Client {
    /// From an address of loopback, any port, to 127.0.0.1 or ::1.
    pub(crate) fn new(node: &Node, source: &str) -> Self {
        let server = if source.contains(':') {
            "::1"
        } else {
            "127.0.0.1"
        };
        Self::between(node, (source, 0), server).expect("loopback")
    }

    /// From `source` to `server`; a port of 0 is any.
    pub(crate) fn between(node: &Node, source: (&str, u16), server: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(source)?;
        socket.connect(node.address(server))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// Sends without waiting.
    #[track_caller]
    pub(crate) fn send(&self, request: &[u8]) {
        self.socket.send(request).expect("loopback takes it");
    }

    /// The next reply; panics when none comes.
    #[track_caller]
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut reply = vec![0; 2000];
        match receive(&self.socket, &mut reply) {
            Ok(length) => reply.truncate(length),
            Err(error) => panic!("no reply: {error}"),
        }
        reply
    }

    /// Sends and waits for the reply, which must belong to the request.
    #[track_caller]
    pub(crate) fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.send(request);
        let reply = self.receive();
        assert!(reply.len() >= 48, "a reply of {} bytes", reply.len());
        assert!(reply.len() <= request.len(), "longer than its request");
        assert_eq!(
            reply[24..32],
            request[40..48],
            "origin is not the request's transmit"
        );
        reply
    }

    /// What has come until now. A request from elsewhere, answered after all that was sent before, shows
    /// that the server has come to the end of it.
    #[track_caller]
    pub(crate) fn replies_until_now(&self, node: &Node) -> Vec<Vec<u8>> {
        // Each time from another address, so that no rate limit knows it.
        static ASKED: AtomicU16 = AtomicU16::new(0);
        let [high, low] = ASKED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self::new(node, &format!("127.99.{high}.{low}")).ask(&request(4, 3, 0x5e47_14e1));
        self.socket.set_nonblocking(true).expect("a socket");
        let mut replies = Vec::new();
        let mut buffer = [0; 2000];
        while let Ok(length) = receive(&self.socket, &mut buffer) {
            replies.push(buffer[..length].to_vec());
        }
        self.socket.set_nonblocking(false).expect("a socket");
        replies
    }

    /// Sends, and sees that no reply comes.
    #[track_caller]
    pub(crate) fn assert_silent(&self, node: &Node, request: &[u8], what: &str) {
        self.send(request);
        let replies = self.replies_until_now(node);
        assert!(
            replies.is_empty(),
            "{what}: answered with {:02x?}",
            replies[0]
        );
    }
}

/// The next datagram. A wait with a time-out ends when the process is stopped and continued;
/// then it waits again.
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A request with nothing but its first byte and a transmit timestamp.
pub(crate) fn request(version: u8, mode: u8, transmit: u64) -> [u8; 48] {
    let mut packet = [0; 48];
    packet[0] = version << 3 | mode;
    packet[40..].copy_from_slice(&transmit.to_be_bytes());
    packet
}

/// An extension field of `length` bytes in all (RFC 7822 §7.5).
pub(crate) fn field(field_type: u16, length: u16) -> Vec<u8> {
    let mut bytes = vec![0xa5; usize::from(length)];
    bytes[..2].copy_from_slice(&field_type.to_be_bytes());
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// What a reply says, read byte by byte so that the code under test has no part in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) leap: u8,
    pub(crate) version: u8,
    pub(crate) mode: u8,
    pub(crate) stratum: u8,
    pub(crate) poll: i8,
    pub(crate) precision: i8,
    pub(crate) root_delay: u32,
    pub(crate) root_dispersion: u32,
    pub(crate) reference_id: [u8; 4],
    pub(crate) reference: u64,
    pub(crate) origin: u64,
    pub(crate) receive: u64,
    pub(crate) transmit: u64,
}

impl Said {
    /// Reads the header.
    #[track_caller]
    pub(crate) fn by(reply: &[u8]) -> Self {
        let word = |at: usize| u32::from_be_bytes(*reply[at..].first_chunk().expect("a header"));
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        Self {
            leap: reply[0] >> 6,
            version: reply[0] >> 3 & 7,
            mode: reply[0] & 7,
            stratum: reply[1],
            poll: reply[2].cast_signed(),
            precision: reply[3].cast_signed(),
            root_delay: word(4),
            root_dispersion: word(8),
            reference_id: word(12).to_be_bytes(),
            reference: long(16),
            origin: long(24),
            receive: long(32),
            transmit: long(40),
        }
    }
}
