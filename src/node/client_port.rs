//! The socket of one request to a source, and when request and reply left and arrived.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::client::StampSource;
use crate::sys::{self, Burst, ClientPortOptions, Timespec, clock};
use crate::wire::{NtpTimestamp, PACKET_LEN_MAX, RawTime};

/// A socket that is connected to one source.
///
/// Registered with mio it is edge-triggered, as all are: after an event, [`receive`](Self::receive) and
/// [`departure`](Self::departure) are to be called until both have nothing.
pub struct ClientPort {
    port: sys::ClientPort,
    burst: Burst,
    /// The clock before each of the last requests left, by their number.
    sent: [RawTime; SENT_KEPT],
    requests: u32,
}

/// When a packet left or arrived, by each that noted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The program: before it sent, after it received.
    pub daemon: RawTime,
    /// The kernel, by the same clock.
    pub kernel: Option<RawTime>,
    /// The network card, by its own clock.
    pub hardware: Option<Timespec>,
}

impl Noted {
    /// The most exact by the system's clock.
    pub fn best(&self) -> (RawTime, StampSource) {
        match self.kernel {
            Some(kernel) => (kernel, StampSource::Kernel),
            None => (self.daemon, StampSource::Daemon),
        }
    }

    fn new(daemon: RawTime, software: Option<Timespec>, hardware: Option<Timespec>) -> Self {
        // One that is far off was taken before the clock was stepped, or by another clock.
        let is_near = |kernel: &RawTime| (kernel.0 - daemon.0).to_nanos().abs() <= APART_MAX_NS;
        Self {
            daemon,
            kernel: software.map(raw).filter(is_near),
            hardware,
        }
    }
}

/// What has come of a request.
#[derive(Debug)]
pub enum ClientEvent {
    /// A datagram of the source: its length, as far as the buffer has room, and its arrival.
    Packet(usize, Noted),
    /// The request was refused on its way (no such port, no route). The reply to another may still come.
    Refused(io::Error),
}

impl ClientPort {
    /// Opens a socket and connects it.
    ///
    /// # Errors
    /// The failed call and the system's reason, as no route to the address.
    pub fn open(options: &ClientPortOptions) -> io::Result<Self> {
        Ok(Self {
            port: sys::ClientPort::open(options)?,
            burst: Burst::new(1, PACKET_LEN_MAX + 1),
            sent: [RawTime::default(); SENT_KEPT],
            requests: 0,
        })
    }

    /// The address it asks from: our reference id towards this source is made of it.
    ///
    /// # Errors
    /// The system's reason.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.port.local()
    }

    /// Sends a request; the clock just before.
    ///
    /// # Errors
    /// The system's reason. Then nothing was sent.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<RawTime> {
        let before = raw(clock::realtime());
        if self.port.send(packet).is_err() {
            // What came of an earlier request may have been told instead of sending this one.
            self.port.send(packet)?;
        }
        self.sent[self.requests as usize % SENT_KEPT] = before;
        self.requests = self.requests.wrapping_add(1);
        Ok(before)
    }

    /// What has come, if anything has.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<ClientEvent> {
        let received = self.port.receive(&mut self.burst);
        let now = raw(clock::realtime());
        match received {
            Ok(datagram) => datagram.map(|datagram| {
                let payload = self.burst.payload_mut(0, datagram.len);
                let len = payload.len().min(buffer.len());
                buffer[..len].copy_from_slice(&payload[..len]);
                let stamp = datagram.stamp;
                let noted = Noted::new(now, stamp.software, stamp.hardware);
                ClientEvent::Packet(len, noted)
            }),
            Err(error) => Some(ClientEvent::Refused(error)),
        }
    }

    /// The departure of a request as the kernel, or the card, noted it, if that has come: the number of the request on
    /// this socket, from 0, and the moments. With hardware stamps it comes twice, once from each.
    pub fn departure(&mut self) -> Option<(u32, Noted)> {
        // An error here is one of a request, which `receive` tells of.
        while let Ok(Some(stamp)) = self.port.departure(&mut self.burst) {
            let age = self.requests.wrapping_sub(stamp.number) as usize;
            if (1..=SENT_KEPT).contains(&age) {
                let daemon = self.sent[stamp.number as usize % SENT_KEPT];
                let noted = Noted::new(daemon, stamp.software, stamp.hardware);
                return Some((stamp.number, noted));
            }
        }
        None
    }
}

impl AsFd for ClientPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}

impl AsRawFd for ClientPort {
    fn as_raw_fd(&self) -> RawFd {
        self.port.as_raw_fd()
    }
}

impl Source for ClientPort {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).register(to, token, interest)
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).reregister(to, token, interest)
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).deregister(from)
    }
}

fn raw(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}

/// Requests on one socket whose departures may be waited for at a time.
const SENT_KEPT: usize = 4;
/// The kernel's stamp and the program's reading are one moment.
const APART_MAX_NS: i64 = 1_000_000_000;

#[cfg(test)]
mod tests;
