//! A socket that talks to one source.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use crate::sys::{Burst, LocalAddress, PortOptions, ReceiveStamp, TransmitStamp, UdpPort};
use crate::wire::PACKET_LEN_MAX;

/// Where requests are sent from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourcePortOptions {
    /// `bindacqaddress`, of either family.
    pub(super) addresses: Vec<IpAddr>,
    /// `bindacqdevice`
    pub(super) device: Option<String>,
    /// `acquisitionport`; 0: one that nobody can guess, another for each request (RFC 9109).
    pub(super) port: u16,
    /// `dscp`
    pub(super) dscp: u8,
    /// Cards stamp too.
    pub(super) by_card: bool,
}

/// One packet that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) packet: &'a [u8],
    /// By the kernel, and by the card.
    pub(super) stamp: ReceiveStamp,
}

/// Connected to a source: nobody else is heard.
pub(super) struct SourcePort {
    udp: UdpPort,
    peer: SocketAddr,
}

impl SourcePort {
    /// A port for a request, from an address and port as `options` have it.
    pub(super) fn open(peer: SocketAddr, options: &SourcePortOptions) -> io::Result<Self> {
        let same_family = |address: &&IpAddr| address.is_ipv6() == peer.is_ipv6();
        let any = unspecified(peer);
        let address = options.addresses.iter().find(same_family).unwrap_or(&any);
        Self::connect(peer, SocketAddr::new(*address, options.port), options)
    }

    /// Whether there is a way to the peer.
    pub(super) fn leads_to(peer: SocketAddr, options: &SourcePortOptions) -> bool {
        // From a port of its own: nothing must come to it.
        let options = SourcePortOptions {
            port: 0,
            ..options.clone()
        };
        Self::open(peer, &options).is_ok()
    }

    /// A port that shares the one at which we serve: a peer's packets come and go there, and those of its address come
    /// here instead of to a worker.
    pub(super) fn open_serving(
        peer: SocketAddr,
        port: u16,
        options: &SourcePortOptions,
    ) -> io::Result<Self> {
        Self::connect(peer, SocketAddr::new(unspecified(peer), port), options)
    }

    fn connect(
        peer: SocketAddr,
        address: SocketAddr,
        options: &SourcePortOptions,
    ) -> io::Result<Self> {
        let mut udp = UdpPort::open(&PortOptions {
            address,
            device: options.device.clone(),
            dscp: options.dscp,
            shared: address.port() != 0,
            buffer_bytes: BUFFER_BYTES,
        })?;
        if options.by_card {
            // An old kernel cannot; then there are the kernel's own.
            let _ = udp.ask_for_card_stamps();
        }
        udp.connect(peer)?;
        Ok(Self { udp, peer })
    }

    /// Sends a request, whose departure the kernel will stamp. Whether the kernel took it.
    pub(super) fn send(&self, request: &[u8], burst: &mut Burst) -> bool {
        burst.discard();
        burst.start(0, self.peer, LocalAddress::Bound, true, request);
        self.udp.transmit(burst).sent == 1
    }

    /// Hands on what came. An error that a stranger caused (an ICMP message) is passed over.
    pub(super) fn receive(&self, burst: &mut Burst, mut sink: impl FnMut(Received<'_>)) {
        for _ in 0..PACKETS_MAX {
            match self.udp.receive(burst) {
                Ok(0) => return,
                Ok(received) => {
                    for slot in 0..received {
                        let datagram = burst.datagram(slot);
                        if SocketAddr::new(datagram.peer, datagram.port) != self.peer {
                            continue; // It came between bind and connect.
                        }
                        sink(Received {
                            packet: burst.payload_mut(slot, datagram.len),
                            stamp: datagram.stamp,
                        });
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// Hands on when the last request left, as the kernel or the card has noted that.
    pub(super) fn departures(&self, burst: &mut Burst, sink: impl FnMut(TransmitStamp)) {
        // What fails here is a stamp that is not there.
        let _ = self.udp.take_transmit_stamps(burst, sink);
    }

    /// Our address on the way to the source.
    pub(super) fn own_address(&self) -> Option<IpAddr> {
        self.udp.local_address().ok().map(|address| address.ip())
    }

    /// The source's.
    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl AsRawFd for SourcePort {
    fn as_raw_fd(&self) -> RawFd {
        self.udp.as_raw_fd()
    }
}

/// Buffers for the traffic of sources: a packet or two at a time.
pub(super) fn source_burst() -> Burst {
    Burst::new(4, PACKET_LEN_MAX + 4)
}

fn unspecified(peer: SocketAddr) -> IpAddr {
    if peer.is_ipv6() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
}

/// A source that sends without end has its turn end.
const PACKETS_MAX: usize = 16;
const BUFFER_BYTES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    #[expect(clippy::disallowed_methods, reason = "a test waits on the real clock")]
    fn await_that(mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(5), "nothing came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn departures_and_arrivals_are_the_kernels() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = server.local_addr().unwrap();
        let port = SourcePort::open(peer, &SourcePortOptions::default()).unwrap();
        assert_eq!(port.own_address(), Some(IpAddr::from([127, 0, 0, 1])));
        let mut burst = source_burst();
        assert!(port.send(b"a request", &mut burst));
        let mut bytes = [0; 64];
        let (len, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"a request");
        server.send_to(b"a reply", from).unwrap();
        // A stranger is not heard.
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"a lie", from).unwrap();
        let (mut left, mut came) = (None, Vec::new());
        await_that(|| {
            port.departures(&mut burst, |stamp| left = stamp.software.or(left));
            port.receive(&mut burst, |received| {
                came.push((received.packet.to_vec(), received.stamp.software));
            });
            left.is_some() && !came.is_empty()
        });
        let [(packet, Some(arrived))] = &came[..] else {
            panic!("{came:?}");
        };
        assert_eq!(packet, b"a reply");
        let away_ns = arrived.nanos_since(left.unwrap());
        assert!((0..5_000_000_000).contains(&away_ns), "{away_ns}");
    }

    #[test]
    fn an_answer_that_nobody_is_there_does_not_close_it() {
        let gone = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let port = SourcePort::open(gone, &SourcePortOptions::default()).unwrap();
        let mut burst = source_burst();
        assert!(port.send(b"first", &mut burst));
        std::thread::sleep(Duration::from_millis(20));
        port.receive(&mut burst, |_| panic!("nothing came"));
        port.departures(&mut burst, |_| {});
        // The error of the first may be told with the second; the third goes.
        let _ = port.send(b"second", &mut burst);
        assert!(port.send(b"third", &mut burst) || port.send(b"fourth", &mut burst));
    }
}
