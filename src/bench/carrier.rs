//! How requests leave and replies come: by UDP sockets, or as whole frames (`raw.rs`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::clients::{Client, Order};
use super::plan::{Carriage, Plan};
use super::raw::RawCarrier;
use super::samples::SampleId;
use crate::sys::{Burst, LocalAddress, PortOptions, Timespec, UdpPort};

/// Datagrams per system call.
pub(super) const BURST: usize = 64;
/// Longest reply that is looked at; longer ones fill it and have the wrong length.
const SLOT_LEN: usize = 1144;
/// Receive and send queue of each port.
const BUFFER_BYTES: usize = 8 << 20;

/// A datagram that came from the server.
pub(super) struct Arrival<'a> {
    /// What it carries, as far as there was room.
    pub(super) payload: &'a [u8],
    /// How many bytes it had.
    pub(super) len: usize,
    /// When it arrived, by the kernel; `None`: the kernel did not say.
    pub(super) stamp: Option<Timespec>,
}

/// One of the two.
pub(super) enum Carrier {
    Udp(UdpCarrier),
    Raw(RawCarrier),
}

impl Carrier {
    /// Opens what a thread needs; `thread` is its number.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn open(plan: &Plan, thread: usize) -> io::Result<Self> {
        Ok(match &plan.carriage {
            Carriage::Udp => Self::Udp(UdpCarrier::open(plan)?),
            Carriage::Raw(raw) => Self::Raw(RawCarrier::open(plan, raw, thread)?),
            // It has no driver of ours.
            Carriage::Xdp(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Begins a burst.
    pub(super) fn begin(&mut self) {
        if let Self::Udp(carrier) = self {
            carrier.begin();
        }
    }

    /// Adds a request to the burst; `false`: there is no room for it now. With a sample's name the kernel
    /// is asked to stamp its departure.
    #[inline]
    pub(super) fn start(&mut self, client: Client, sample: SampleId, payload: &[u8]) -> bool {
        match self {
            Self::Udp(carrier) => carrier.start(client, sample, payload),
            Self::Raw(carrier) => carrier.start(client, payload),
        }
    }

    /// Adds a request that claims to come from an address of somebody else's.
    #[inline]
    pub(super) fn start_spoofed(&mut self, draw: u32, payload: &[u8]) -> bool {
        match self {
            Self::Udp(_) => false,
            Self::Raw(carrier) => carrier.start_spoofed(draw, payload),
        }
    }

    /// Sends the burst; how many requests the kernel refused.
    #[inline]
    pub(super) fn flush(&mut self) -> usize {
        match self {
            Self::Udp(carrier) => carrier.flush(),
            Self::Raw(carrier) => carrier.flush(),
        }
    }

    /// Takes what came, a burst at most, from whose turn it is; how many datagrams.
    #[inline]
    pub(super) fn receive(&mut self, take: impl FnMut(Option<Arrival<'_>>)) -> usize {
        match self {
            Self::Udp(carrier) => carrier.receive(take),
            Self::Raw(carrier) => carrier.receive(take),
        }
    }

    /// Takes the kernel's stamps of departures that came since.
    pub(super) fn take_departures(&mut self, take: impl FnMut(SampleId, Timespec)) {
        if let Self::Udp(carrier) = self {
            carrier.take_departures(take);
        }
    }

    /// Whether departures can be stamped at all.
    pub(super) const fn stamps_departures(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Replies that were dropped on our side, because our queues were full.
    pub(super) fn dropped(&self) -> u64 {
        match self {
            Self::Udp(carrier) => carrier.dropped(),
            Self::Raw(carrier) => carrier.dropped(),
        }
    }

    /// Bytes of buffers, but for the kernel's.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Udp(carrier) => carrier.burst.memory_bytes(),
            Self::Raw(carrier) => carrier.memory_bytes(),
        }
    }
}

/// A socket, and what the kernel was asked to stamp of what it sent.
struct Link {
    port: UdpPort,
    /// Names of the last samples, by the kernel's number of them.
    sampled: [SampleId; SAMPLED],
    /// The kernel's next number; `None` after a refusal, when it is not known any more.
    next_number: Option<u32>,
}

/// Samples of one socket whose stamp may still be in the error queue.
const SAMPLED: usize = 64;

/// Sockets that take turns, a burst each.
pub(super) struct UdpCarrier {
    target: SocketAddr,
    links: Vec<Link>,
    burst: Burst,
    /// Whose turn it is to send, and to be looked at.
    turn: usize,
    look: usize,
    /// Each client has a port of its own, as far as there are any: the burst ends where another's is due.
    by_client: bool,
    /// Length and source of all requests in the burst; `None`: they differ, or cannot be joined.
    alike: Option<(usize, Option<IpAddr>)>,
    refused: usize,
}

impl UdpCarrier {
    fn open(plan: &Plan) -> io::Result<Self> {
        let any = match plan.target {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let options = PortOptions {
            address: SocketAddr::new(any, 0),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: BUFFER_BYTES,
        };
        let link = |_| {
            Ok(Link {
                port: UdpPort::open(&options)?,
                sampled: [SampleId::NONE; SAMPLED],
                next_number: Some(0),
            })
        };
        Ok(Self {
            target: plan.target,
            links: (0..plan.ports.max(1))
                .map(link)
                .collect::<io::Result<_>>()?,
            burst: Burst::new(BURST, SLOT_LEN),
            turn: 0,
            look: 0,
            by_client: plan.order == Order::Storm,
            alike: None,
            refused: 0,
        })
    }

    fn begin(&mut self) {
        if !self.by_client {
            self.turn = (self.turn + 1) % self.links.len();
        }
    }

    #[inline]
    fn start(&mut self, client: Client, sample: SampleId, payload: &[u8]) -> bool {
        if self.by_client && client.port % self.links.len() != self.turn {
            self.refused += self.transmit();
            self.turn = client.port % self.links.len();
        }
        let place = self.burst.kept();
        if place == self.burst.capacity() {
            return false;
        }
        let link = &mut self.links[self.turn];
        let is_sampled = match link.next_number {
            Some(number) if sample != SampleId::NONE => {
                link.sampled[number as usize % SAMPLED] = sample;
                link.next_number = Some(number.wrapping_add(1));
                true
            }
            _ => false,
        };
        let local = match client.source {
            None => LocalAddress::Bound,
            Some(IpAddr::V4(address)) => LocalAddress::V4(address),
            Some(IpAddr::V6(address)) => LocalAddress::V6(address, 0),
        };
        let like = (!is_sampled).then_some((payload.len(), client.source));
        self.alike = if place == 0 || self.alike == like {
            like
        } else {
            None
        };
        self.burst
            .start(place, self.target, local, is_sampled, payload);
        true
    }

    fn flush(&mut self) -> usize {
        std::mem::take(&mut self.refused) + self.transmit()
    }

    /// Requests alike leave in one piece, which spares our side most of the kernel's work for each; the
    /// server's side gets them one by one.
    fn transmit(&mut self) -> usize {
        let kept = self.burst.kept();
        let link = &mut self.links[self.turn];
        let refused = match self.alike {
            Some((len, _)) if kept > 1 => {
                let len = u16::try_from(len).unwrap_or(u16::MAX);
                match link.port.transmit_joined(&mut self.burst, len) {
                    Ok(()) => 0,
                    Err(_) => kept,
                }
            }
            _ => kept - link.port.transmit(&mut self.burst).sent,
        };
        if refused > 0 {
            link.next_number = None;
        }
        refused
    }

    fn receive(&mut self, mut take: impl FnMut(Option<Arrival<'_>>)) -> usize {
        self.look = (self.look + 1) % self.links.len();
        let port = &self.links[self.look].port;
        // An error here is somebody's ICMP: nothing came.
        let received = port.receive(&mut self.burst).unwrap_or(0);
        for slot in 0..received {
            let datagram = self.burst.datagram(slot);
            let is_targets =
                datagram.peer == self.target.ip() && datagram.port == self.target.port();
            take(is_targets.then(|| Arrival {
                payload: self.burst.payload_mut(slot, datagram.len),
                len: datagram.len,
                stamp: datagram.stamp.software,
            }));
        }
        received
    }

    fn take_departures(&mut self, mut take: impl FnMut(SampleId, Timespec)) {
        for link in &mut self.links {
            let (Some(next), sampled) = (link.next_number, &link.sampled) else {
                continue;
            };
            let taken = link.port.take_transmit_stamps(&mut self.burst, |stamp| {
                let is_recent = next.wrapping_sub(stamp.number) as usize <= SAMPLED;
                if let (true, Some(at)) = (is_recent, stamp.software) {
                    take(sampled[stamp.number as usize % SAMPLED], at);
                }
            });
            if taken.is_err() {
                link.next_number = None;
            }
        }
    }

    fn dropped(&self) -> u64 {
        let dropped = self
            .links
            .iter()
            .map(|link| link.port.dropped().unwrap_or(0));
        dropped.map(u64::from).sum()
    }
}
