//! The other side: so many requests in flight at all times, every reply looked at.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use maser::sys::{Burst, PortOptions, UdpPort, clock};
use maser::wire::{
    HEADER_LEN, HeaderMut, HeaderView, LeapIndicator, Mode, NtpTimestamp, VERSION_MAX,
};

use crate::support::keys;

/// What is asked, and so what a right reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 48 bytes, that come back as they are.
    Echo,
    /// 48 bytes, answered with 48.
    Plain,
    /// 68 bytes with an AES-128-CMAC, answered with 68.
    Signed,
}

/// What came of a time of asking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Right replies.
    pub(crate) replies: u64,
    /// Requests that had no reply after [`LOST_NS`]; each was sent again.
    pub(crate) lost: u64,
    /// Replies to what had been given up.
    pub(crate) late: u64,
    /// Replies that were not what they should be.
    pub(crate) wrong: u64,
    pub(crate) seconds: f64,
    /// Share of the time spent looking where no reply was: at zero the generator is the limit.
    pub(crate) idle: f64,
}

/// Asks one server, from many ports of one thread.
pub(crate) struct Generator {
    kind: Kind,
    links: Vec<Link>,
    burst: Burst,
    /// All there is to ask, made and signed ahead: [`LINK_REQUESTS`] for each link.
    requests: Vec<Vec<u8>>,
    /// When each request was sent, in nanoseconds of the monotonic clock; 0: it is not in flight.
    sent_ns: Vec<u64>,
    tally: Tally,
}

/// One client of the server's: an address and a port.
struct Link {
    port: UdpPort,
    /// Its requests.
    own: Range<usize>,
    /// The one whose turn it is, unless it is still in flight.
    next: usize,
}

/// What a datagram that came to a link is.
enum Reply {
    Right(usize),
    Late,
    Wrong,
}

impl Generator {
    /// Opens the ports and makes the requests; asks nothing yet.
    pub(crate) fn new(server: SocketAddr, kind: Kind) -> Self {
        let links = (0..LINKS).map(|number| {
            // The server's table of clients shall see as many of them as there are ports.
            let host = Ipv4Addr::new(127, 0, 1, number);
            let port = UdpPort::open_plain(&PortOptions {
                address: SocketAddr::from((host, 0)),
                device: None,
                dscp: 0,
                shared: false,
                buffer_bytes: 1 << 20,
            });
            let port = port.expect("a port on loopback");
            port.connect(server).expect("loopback");
            let start = usize::from(number) * LINK_REQUESTS;
            Link {
                port,
                own: start..start + LINK_REQUESTS,
                next: start,
            }
        });
        let requests = (0..usize::from(LINKS) * LINK_REQUESTS).map(|at| request(at, kind));
        let requests: Vec<_> = requests.collect();
        Self {
            kind,
            links: links.collect(),
            burst: Burst::new(2 * LINK_IN_FLIGHT, 96),
            sent_ns: vec![0; requests.len()],
            requests,
            tally: Tally::default(),
        }
    }

    /// Asks for this long, and tells of this time alone. What is in flight stays so for the next.
    pub(crate) fn run(&mut self, duration: Duration) -> Tally {
        self.tally = Tally::default();
        let begin_ns = clock::monotonic_ns();
        let (mut now_ns, mut looked_ns, mut idle_ns) = (begin_ns, begin_ns, 0);
        (0..self.links.len()).for_each(|link| self.begin(link, now_ns));
        while u128::from(now_ns - begin_ns) < duration.as_nanos() {
            for link in 0..self.links.len() {
                let received = self.visit(link, now_ns);
                let later_ns = clock::monotonic_ns();
                if received == 0 {
                    idle_ns += later_ns - now_ns;
                }
                now_ns = later_ns;
            }
            if now_ns - looked_ns > LOST_NS / 4 {
                (0..self.links.len()).for_each(|link| self.repeat_lost(link, now_ns));
                looked_ns = now_ns;
            }
        }
        let seconds = |nanos| Duration::from_nanos(nanos).as_secs_f64();
        self.tally.seconds = seconds(now_ns - begin_ns);
        self.tally.idle = seconds(idle_ns) / self.tally.seconds;
        self.tally
    }

    /// Takes what came to a link, and asks as many times again. Answers how many datagrams came.
    fn visit(&mut self, link: usize, now_ns: u64) -> usize {
        // A port nobody serves any more answers with an error: then nothing comes, and all is lost.
        let port = &self.links[link].port;
        let received = port.receive(&mut self.burst).unwrap_or(0);
        for slot in 0..received {
            match self.look_at(link, slot) {
                Reply::Right(at) => {
                    self.sent_ns[at] = 0;
                    self.tally.replies += 1;
                    self.ask(link, slot, now_ns);
                }
                Reply::Late => self.tally.late += 1,
                Reply::Wrong => self.tally.wrong += 1,
            }
        }
        self.send(link);
        received
    }

    /// What is not sent will count as lost.
    fn send(&mut self, link: usize) {
        let len = u16::try_from(self.requests[0].len()).expect("a short packet");
        let _ = self.links[link].port.transmit_joined(&mut self.burst, len);
    }

    /// Asks what shall be in flight, where nothing is.
    fn begin(&mut self, link: usize, now_ns: u64) {
        if self.sent_ns[self.links[link].own.clone()] == [0; LINK_REQUESTS] {
            (0..LINK_IN_FLIGHT).for_each(|slot| self.ask(link, slot, now_ns));
            self.send(link);
        }
    }

    fn look_at(&mut self, link: usize, slot: usize) -> Reply {
        let len = self.burst.datagram(slot).len;
        let reply = self.burst.payload_mut(slot, len);
        if len != self.requests[0].len() {
            return Reply::Wrong;
        }
        let Some(header) = HeaderView::at_front(reply) else {
            return Reply::Wrong;
        };
        let asked = match self.kind {
            Kind::Echo => header.transmit_timestamp(),
            _ if header.mode() == Mode::Server => header.origin_timestamp(),
            _ => return Reply::Wrong,
        };
        let checked =
            self.kind == Kind::Signed && self.tally.replies.is_multiple_of(MACS_PER_CHECK);
        if checked && !keys::AES128.verifies(reply) {
            return Reply::Wrong;
        }
        let at = usize::try_from(asked.to_bits().wrapping_sub(FIRST_TIMESTAMP));
        match at {
            Ok(at) if !self.links[link].own.contains(&at) => Reply::Wrong,
            Ok(at) if self.sent_ns[at] == 0 => Reply::Late,
            Ok(at) => Reply::Right(at),
            Err(_) => Reply::Wrong,
        }
    }

    /// Puts the link's next request that is not in flight into a slot.
    fn ask(&mut self, link: usize, slot: usize, now_ns: u64) {
        let link = &mut self.links[link];
        loop {
            let at = link.next;
            link.next = if at + 1 == link.own.end {
                link.own.start
            } else {
                at + 1
            };
            // Far fewer are in flight than there are, so this ends.
            if self.sent_ns[at] == 0 {
                self.sent_ns[at] = now_ns;
                return self.burst.start_connected(slot, &self.requests[at]);
            }
        }
    }

    fn repeat_lost(&mut self, link: usize, now_ns: u64) {
        for at in self.links[link].own.clone() {
            let is_lost = self.sent_ns[at] != 0 && now_ns - self.sent_ns[at] > LOST_NS;
            if is_lost && self.burst.kept() < self.burst.capacity() {
                self.tally.lost += 1;
                self.sent_ns[at] = now_ns;
                let slot = self.burst.kept();
                self.burst.start_connected(slot, &self.requests[at]);
            }
        }
        self.send(link);
    }
}

/// A client's request, told from all others by its transmit timestamp.
fn request(number: usize, kind: Kind) -> Vec<u8> {
    let mut bytes = [0; HEADER_LEN];
    let mut header = HeaderMut::new(&mut bytes);
    header.set_first(LeapIndicator::NotSynchronised, VERSION_MAX, Mode::Client);
    header.set_poll(6);
    header.set_transmit_timestamp(NtpTimestamp::from_bits(FIRST_TIMESTAMP + number as u64));
    match kind {
        Kind::Echo | Kind::Plain => bytes.into(),
        Kind::Signed => keys::AES128.sign(&bytes),
    }
}

/// Requests in flight.
pub(crate) const IN_FLIGHT: usize = LINKS as usize * LINK_IN_FLIGHT;
/// Clients, each with an address of its own.
pub(crate) const LINKS: u8 = 16;
const LINK_IN_FLIGHT: usize = 8;
const LINK_REQUESTS: usize = 256;
const LOST_NS: u64 = 20_000_000;
/// One in so many replies has its MAC checked.
const MACS_PER_CHECK: u64 = 64;
const FIRST_TIMESTAMP: u64 = 0xeca1_b2c3_0000_0100;
