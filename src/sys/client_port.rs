//! A UDP port of one who asks: connected to one peer, with a stamp for each datagram that leaves or arrives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::burst::{Burst, Datagram, TransmitStamp};
use super::named;
use super::udp::{PortOptions, STAMPS, UdpPort};

/// How a port is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPortOptions {
    /// Who is asked.
    pub peer: SocketAddr,
    /// The address to ask from; `None`: the kernel chooses. Of the peer's family.
    pub local: Option<IpAddr>,
    /// The port to ask from; 0: a random one.
    pub port: u16,
    /// Through this interface only.
    pub device: Option<String>,
    /// Differentiated services code point of what is sent, 0 to 63.
    pub dscp: u8,
    /// Ask for the network card's stamps beside the kernel's.
    pub hardware: bool,
}

/// One socket, which does not wait.
#[derive(Debug)]
pub struct ClientPort {
    port: UdpPort,
}

impl ClientPort {
    /// Opens a port and connects it: nobody but the peer is heard.
    ///
    /// A kernel that stamps nothing (some sandboxes) is no error. A port that was asked for may be open already, to
    /// another peer or as a server's: datagrams go to the one that is connected to who sent them.
    ///
    /// # Errors
    /// The failed call and the system's reason.
    pub fn open(options: &ClientPortOptions) -> io::Result<Self> {
        let local = options.local.unwrap_or(match options.peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let is_fixed = options.port != 0;
        let mut port = UdpPort::unbound(&PortOptions {
            address: SocketAddr::new(local, options.port),
            device: options.device.clone(),
            dscp: options.dscp,
            shared: is_fixed,
            buffer_bytes: QUEUE_BYTES,
        })?;
        let mut stamps =
            STAMPS | libc::SOF_TIMESTAMPING_OPT_ID | libc::SOF_TIMESTAMPING_TX_SOFTWARE;
        if options.hardware {
            // Without the second flag the card's stamp would be instead of the kernel's.
            stamps |= libc::SOF_TIMESTAMPING_TX_HARDWARE | libc::SOF_TIMESTAMPING_OPT_TX_SWHW;
        }
        // Whoever asks falls back on its own reading of the clock.
        let _ = port.set_timestamping(stamps);
        if is_fixed {
            port.socket()
                .set_reuse_address(true)
                .map_err(named("SO_REUSEADDR"))?;
        }
        if is_fixed || options.local.is_some() {
            port.bind()?;
        }
        port.connect(options.peer)?;
        Ok(Self { port })
    }

    /// The address it asks from.
    ///
    /// # Errors
    /// The system's reason.
    pub fn local(&self) -> io::Result<SocketAddr> {
        let address = self
            .port
            .socket()
            .local_addr()
            .map_err(named("getsockname"))?;
        address
            .as_socket()
            .ok_or_else(|| io::Error::other("neither IPv4 nor IPv6"))
    }

    /// Sends to the peer.
    ///
    /// # Errors
    /// The system's reason; among them, once, what came of an earlier datagram (refused, unreachable).
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.port.socket().send(datagram) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes one datagram of the peer's into the first slot of `burst`, which has one; `None`: none waits.
    ///
    /// # Errors
    /// The system's reason; among them, once, what came of an earlier datagram of ours (refused, unreachable). Only
    /// that datagram has failed: the port can be used on.
    pub fn receive(&self, burst: &mut Burst) -> io::Result<Option<Datagram>> {
        let received = self.port.receive(burst)?;
        Ok((received > 0).then(|| burst.datagram(0)))
    }

    /// Takes one stamp of a departure out of the error queue; `None`: none is there. `burst` is scratch.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn departure(&self, burst: &mut Burst) -> io::Result<Option<TransmitStamp>> {
        loop {
            let mut found = None;
            let taken = self
                .port
                .take_transmit_stamps(burst, |stamp| found = Some(stamp))?;
            if found.is_some() || taken == 0 {
                return Ok(found);
            }
        }
    }
}

impl AsFd for ClientPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.socket().as_fd()
    }
}

impl AsRawFd for ClientPort {
    fn as_raw_fd(&self) -> RawFd {
        self.port.as_raw_fd()
    }
}

/// A few replies: who sends more is not answering.
const QUEUE_BYTES: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    fn asking(peer: &UdpSocket) -> ClientPortOptions {
        ClientPortOptions {
            peer: peer.local_addr().unwrap(),
            local: None,
            port: 0,
            device: None,
            dscp: 46,
            hardware: true,
        }
    }

    fn server(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket
    }

    /// What the server got, and from whom; it answers the same.
    fn echo(server: &UdpSocket) -> SocketAddr {
        let mut packet = [0; 100];
        let (len, from) = server.recv_from(&mut packet).unwrap();
        server.send_to(&packet[..len], from).unwrap();
        from
    }

    #[test]
    fn only_the_peer_is_heard_from_another_port_each_time() {
        let peer = server("127.0.0.1:0");
        let mut burst = Burst::new(1, 100);
        let port = ClientPort::open(&asking(&peer)).unwrap();
        let stranger = server("127.0.0.1:0");
        stranger.send_to(b"forged", port.local().unwrap()).unwrap();
        assert_eq!(port.receive(&mut burst).unwrap(), None);
        port.send(b"request").unwrap();
        assert_eq!(echo(&peer), port.local().unwrap());
        let datagram = port.receive(&mut burst).unwrap().unwrap();
        assert_eq!(
            (datagram.len, datagram.port),
            (7, peer.local_addr().unwrap().port())
        );
        let ports: std::collections::BTreeSet<_> = (0..8)
            .map(|_| {
                ClientPort::open(&asking(&peer))
                    .unwrap()
                    .local()
                    .unwrap()
                    .port()
            })
            .collect();
        assert!(ports.len() > 1, "{ports:?}");
    }

    /// `acquisitionport` with several sources at a time, and where the server has the port, too.
    #[test]
    fn a_fixed_port_is_shared_and_each_hears_its_own_peer() {
        let served = UdpPort::open(&PortOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            device: None,
            dscp: 0,
            shared: true,
            buffer_bytes: 1 << 16,
        })
        .unwrap();
        let peers = [server("127.0.0.1:0"), server("127.0.0.1:0")];
        let ports = peers.each_ref().map(|peer| {
            let options = ClientPortOptions {
                local: Some(served.address().ip()),
                port: served.address().port(),
                ..asking(peer)
            };
            ClientPort::open(&options).unwrap()
        });
        let mut burst = Burst::new(1, 100);
        for _ in 0..20 {
            for (port, peer) in ports.iter().zip(&peers) {
                port.send(b"request").unwrap();
                assert_eq!(echo(peer), served.address());
                assert!(port.receive(&mut burst).unwrap().is_some());
            }
            let client = server("127.0.0.1:0");
            client.send_to(b"request", served.address()).unwrap();
            assert_eq!(served.receive(&mut burst).unwrap(), 1);
            let heard = ports
                .each_ref()
                .map(|port| port.receive(&mut burst).unwrap());
            assert_eq!(heard, [None, None]);
        }
    }
}
