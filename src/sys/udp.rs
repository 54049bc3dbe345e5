//! A UDP port of a server: one non-blocking socket with stamps, destination addresses, large buffers.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::burst::{Burst, TransmitStamp};
use super::{attach_program, check, named, set_option};

/// How a port is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOptions {
    /// Address and port to bind.
    pub address: SocketAddr,
    /// Bind to this interface only.
    pub device: Option<String>,
    /// Differentiated services code point of what is sent, 0 to 63.
    pub dscp: u8,
    /// Share the address with the other ports of one group.
    pub shared: bool,
    /// Bytes of queue wanted in each direction; the kernel may give less without the privilege.
    pub buffer_bytes: usize,
}

/// One socket.
#[derive(Debug)]
pub struct UdpPort {
    socket: Socket,
    address: SocketAddr,
    stamped: bool,
    /// The card's stamps are asked for too.
    by_card: bool,
    wanted_queue_bytes: usize,
    /// The queues are larger than the system's limit, by privilege.
    forced: bool,
}

/// What became of a burst of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Transmitted {
    /// Handed to the kernel.
    pub sent: usize,
    /// The kernel refused this destination: no route, a firewall, a bad address.
    pub refused: usize,
    /// The send queue was full.
    pub no_room: usize,
}

impl UdpPort {
    /// Opens and binds a port.
    ///
    /// # Errors
    /// The failed call and the system's reason.
    pub fn open(options: &PortOptions) -> io::Result<Self> {
        let mut port = Self::unbound(options)?;
        if options.address.ip().is_unspecified() {
            port.ask_for_destination(options.address.is_ipv6())?;
        }
        // A kernel that has none (some sandboxes) leaves the clock: a datagram then comes without a stamp.
        port.stamped = port.ask_for_stamps().is_ok();
        port.bind()?;
        Ok(port)
    }

    /// The same without stamps and destination addresses, each of which costs the kernel time: a port of
    /// one who asks.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_plain(options: &PortOptions) -> io::Result<Self> {
        let mut port = Self::unbound(options)?;
        port.bind()?;
        Ok(port)
    }

    /// Talks to `peer` only: nobody else is heard, and what is filled in without a destination goes
    /// there.
    ///
    /// # Errors
    /// The system's reason.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(&peer.into()).map_err(named("connect"))
    }

    fn unbound(options: &PortOptions) -> io::Result<Self> {
        let domain = Domain::for_address(options.address);
        let socket = Socket::new(
            domain,
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        )
        .map_err(named("socket"))?;
        let is_v6 = options.address.is_ipv6();
        if is_v6 {
            socket.set_only_v6(true).map_err(named("IPV6_V6ONLY"))?;
        }
        if options.shared {
            socket.set_reuse_port(true).map_err(named("SO_REUSEPORT"))?;
        }
        if let Some(device) = &options.device {
            socket
                .bind_device(Some(device.as_bytes()))
                .map_err(named("SO_BINDTODEVICE"))?;
        }
        if options.dscp != 0 {
            let byte = u32::from(options.dscp) << 2;
            let set = if is_v6 {
                socket.set_tclass_v6(byte)
            } else {
                socket.set_tos_v4(byte)
            };
            set.map_err(named("IP_TOS"))?;
        }
        if !options.address.ip().is_unspecified() {
            // The address may come later (VRRP, DHCP); chrony binds so as well.
            let set = if is_v6 {
                socket.set_freebind_v6(true)
            } else {
                socket.set_freebind_v4(true)
            };
            set.map_err(named("IP_FREEBIND"))?;
        }
        let mut port = Self {
            socket,
            address: options.address,
            stamped: false,
            by_card: false,
            wanted_queue_bytes: options.buffer_bytes,
            forced: false,
        };
        port.enlarge_buffers()?;
        Ok(port)
    }

    fn bind(&mut self) -> io::Result<()> {
        self.socket
            .bind(&self.address.into())
            .map_err(named("bind"))?;
        let bound = self.socket.local_addr().map_err(named("getsockname"))?;
        if let Some(address) = bound.as_socket() {
            self.address = address;
        }
        Ok(())
    }

    /// Whether the kernel stamps arrivals here.
    pub const fn has_stamps(&self) -> bool {
        self.stamped
    }

    /// Whether the kernel has IPv6 at all.
    pub fn ipv6_exists() -> bool {
        Socket::new(Domain::IPV6, Type::DGRAM, None).is_ok()
    }

    /// The address it is bound to, with the port the kernel chose where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that is used now: of a connected port the one that its datagrams leave from.
    ///
    /// # Errors
    /// The system's reason.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr().map_err(named("getsockname"))?;
        address
            .as_socket()
            .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Datagrams the kernel dropped because the receive queue was full, since the socket was made.
    ///
    /// # Errors
    /// The system's reason; kernels before 4.12 cannot tell.
    pub fn dropped(&self) -> io::Result<u32> {
        let mut info = [0u32; MEMINFO_WORDS];
        let mut len = super::socklen::<[u32; MEMINFO_WORDS]>();
        let level = (libc::SOL_SOCKET, libc::SO_MEMINFO);
        // SAFETY: the kernel writes at most `len` bytes, the size of the local array, and sets `len`.
        check(unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                level.0,
                level.1,
                (&raw mut info).cast(),
                &raw mut len,
            )
        })
        .map_err(named("SO_MEMINFO"))?;
        Ok(info[MEMINFO_DROPS])
    }

    /// Bytes that the kernel lets the receive queue and the send queue grow to, its own overhead included.
    ///
    /// # Errors
    /// The system's reason.
    pub fn queue_bytes(&self) -> io::Result<(usize, usize)> {
        Ok((
            self.socket.recv_buffer_size()?,
            self.socket.send_buffer_size()?,
        ))
    }

    /// The socket belongs to this user from now on: only a socket of the same owner may share its address.
    ///
    /// # Errors
    /// The system's reason; it needs root.
    pub fn give_to(&self, user_id: u32) -> io::Result<()> {
        std::os::unix::fs::fchown(&self.socket, Some(user_id), None)
    }

    /// A second descriptor of the same socket.
    ///
    /// # Errors
    /// The system's reason.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            address: self.address,
            stamped: self.stamped,
            by_card: self.by_card,
            wanted_queue_bytes: self.wanted_queue_bytes,
            forced: self.forced,
        })
    }

    /// Takes what waits, up to the burst's capacity. Zero: nothing waited.
    ///
    /// # Errors
    /// An error of the socket itself. Waiting and interruption are none.
    #[inline]
    pub fn receive(&self, burst: &mut Burst) -> io::Result<usize> {
        self.receive_from_queue(burst, 0)
    }

    /// Sends the kept datagrams; afterwards none is kept. A destination the kernel refuses is skipped, and the rest
    /// goes on.
    #[inline]
    pub fn transmit(&self, burst: &mut Burst) -> Transmitted {
        let transmitted = self.transmit_part(burst, 0..burst.kept());
        burst.discard();
        transmitted
    }

    /// Sends the datagrams kept at these places likewise; they stay kept.
    #[inline]
    pub fn transmit_part(&self, burst: &mut Burst, places: Range<usize>) -> Transmitted {
        burst.transmit_with(places, |headers| {
            let mut result = Transmitted::default();
            let mut rest = headers;
            while !rest.is_empty() {
                match self.send_some(rest) {
                    Ok(sent) => {
                        result.sent += sent;
                        rest = &mut rest[sent..];
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_full(&error) => {
                        result.no_room += rest.len();
                        break;
                    }
                    // The error is the first reply's: those before it have been sent.
                    Err(_) => {
                        result.refused += 1;
                        rest = &mut rest[1..];
                    }
                }
            }
            result
        })
    }

    /// Sends the kept datagrams of our own, all of `len` bytes and for one peer, in one piece that the
    /// kernel cuts up where it arrives or leaves: they go through its layers once. Up to 64 of them.
    ///
    /// # Errors
    /// The system's reason; then nothing was sent. Kernels before 4.18 cannot do it.
    pub fn transmit_joined(&self, burst: &mut Burst, len: u16) -> io::Result<()> {
        if burst.kept() == 0 {
            return Ok(());
        }
        burst.transmit_joined_with(len, |header| {
            loop {
                // SAFETY: the header is borrowed, and points to the name, vectors, control and payloads
                // of its burst with lengths that were written by `pack`; the burst outlives the call.
                let sent = unsafe { libc::sendmsg(self.as_raw_fd(), header, libc::MSG_DONTWAIT) };
                match usize::try_from(sent).map_err(|_| io::Error::last_os_error()) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// Takes transmit stamps out of the error queue and hands each to `sink`; answers how many entries
    /// the queue gave, stamps or not. `burst` is scratch: what it held is lost.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn take_transmit_stamps(
        &self,
        burst: &mut Burst,
        mut sink: impl FnMut(TransmitStamp),
    ) -> io::Result<usize> {
        let taken = self.receive_from_queue(burst, libc::MSG_ERRQUEUE)?;
        for slot in 0..taken {
            if let Some(stamp) = burst.transmit_stamp(slot) {
                sink(stamp);
            }
        }
        Ok(taken)
    }

    /// Lets `program` choose the socket for each datagram, for the whole group this port is in.
    ///
    /// # Errors
    /// The system's reason.
    pub fn steer(&self, program: &super::steering::Program) -> io::Result<()> {
        let level = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
        attach_program(self, level, program.instructions())
            .map_err(named("SO_ATTACH_REUSEPORT_CBPF"))
    }

    #[inline]
    fn receive_from_queue(&self, burst: &mut Burst, flags: libc::c_int) -> io::Result<usize> {
        let fd = self.as_raw_fd();
        let mut failed = None;
        let received = burst.receive_with(|headers| {
            loop {
                let len = count(headers);
                // SAFETY: `len` headers are borrowed exclusively, and each points to the name, vector,
                // control and payload memory of its slot with their true lengths, which live as long as
                // the burst. No timeout is passed.
                let got = unsafe {
                    libc::recvmmsg(
                        fd,
                        headers.as_mut_ptr(),
                        len,
                        (libc::MSG_DONTWAIT | flags) as _,
                        std::ptr::null_mut(),
                    )
                };
                if let Ok(got) = usize::try_from(got) {
                    return got;
                }
                match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error if error.kind() == io::ErrorKind::WouldBlock => return 0,
                    error => {
                        failed = Some(error);
                        return 0;
                    }
                }
            }
        });
        failed.map_or(Ok(received), Err)
    }

    #[inline]
    fn send_some(&self, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
        let (start, len) = (headers.as_mut_ptr(), count(headers));
        // SAFETY: `len` headers are borrowed exclusively, and each points to a name, vector, control and
        // payload of its burst with lengths that were written by `pack`; the burst outlives the call.
        let sent = unsafe { libc::sendmmsg(self.as_raw_fd(), start, len, libc::MSG_DONTWAIT as _) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Bytes that were wanted for each queue when the port was opened.
    pub const fn wanted_queue_bytes(&self) -> usize {
        self.wanted_queue_bytes
    }

    /// Gives the receive queue another size, in bytes. What waits beyond it stays; what comes is dropped until
    /// there is room.
    ///
    /// # Errors
    /// The system's reason: the process has lost the privilege by which the queue was made larger than the
    /// system's limit.
    pub fn resize_queue(&self, bytes: usize) -> io::Result<()> {
        let option = if self.forced {
            libc::SO_RCVBUFFORCE
        } else {
            libc::SO_RCVBUF
        };
        let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        set_option(self, (libc::SOL_SOCKET, option), &wanted).map_err(named("SO_RCVBUF"))
    }

    fn enlarge_buffers(&mut self) -> io::Result<()> {
        let wanted = libc::c_int::try_from(self.wanted_queue_bytes).unwrap_or(libc::c_int::MAX);
        // The forced form needs CAP_NET_ADMIN and goes beyond net.core.rmem_max; the plain one is capped.
        self.forced = true;
        if self.resize_queue(self.wanted_queue_bytes).is_err() {
            self.forced = false;
            self.resize_queue(self.wanted_queue_bytes)?;
        }
        if set_option(self, (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE), &wanted).is_err() {
            set_option(self, (libc::SOL_SOCKET, libc::SO_SNDBUF), &wanted)
                .map_err(named("SO_SNDBUF"))?;
        }
        Ok(())
    }

    fn ask_for_destination(&self, is_v6: bool) -> io::Result<()> {
        let option = if is_v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
        } else {
            (libc::IPPROTO_IP, libc::IP_PKTINFO)
        };
        set_option(self, option, &(1 as libc::c_int)).map_err(named("IP_PKTINFO"))
    }

    /// Where a card stamps by its own clock, its stamps come beside the kernel's, those of departures after them, and
    /// with an arrival which card it was.
    ///
    /// # Errors
    /// The system's reason; kernels before 4.13 cannot do it.
    pub fn ask_for_card_stamps(&mut self) -> io::Result<()> {
        self.by_card = true;
        self.ask_for_stamps().inspect_err(|_| self.by_card = false)
    }

    fn ask_for_stamps(&self) -> io::Result<()> {
        let by_card = if self.by_card { CARD_STAMPS } else { 0 };
        self.set_timestamping(STAMPS | libc::SOF_TIMESTAMPING_OPT_ID | by_card)
    }

    /// Lets the kernel number transmit stamps from 0 again. Stamps that it still has keep their numbers: take
    /// them first.
    ///
    /// # Errors
    /// The system's reason.
    pub fn renumber_stamps(&self) -> io::Result<()> {
        // The count begins anew when numbering is switched on, not while it is.
        self.set_timestamping(STAMPS)?;
        self.ask_for_stamps()
    }

    fn set_timestamping(&self, flags: libc::c_uint) -> io::Result<()> {
        set_option(self, (libc::SOL_SOCKET, libc::SO_TIMESTAMPING), &flags)
            .map_err(named("SO_TIMESTAMPING"))
    }
}

/// Receive stamps on each datagram; transmit stamps, without the datagram, only where one is asked for beside
/// it. The hardware's are reported where the card has been told to take them.
const STAMPS: libc::c_uint = libc::SOF_TIMESTAMPING_RX_SOFTWARE
    | libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_RX_HARDWARE
    | libc::SOF_TIMESTAMPING_RAW_HARDWARE
    | libc::SOF_TIMESTAMPING_OPT_CMSG
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// What is asked for beside them where a card stamps.
const CARD_STAMPS: libc::c_uint =
    libc::SOF_TIMESTAMPING_OPT_PKTINFO | libc::SOF_TIMESTAMPING_OPT_TX_SWHW;

impl AsRawFd for UdpPort {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// `SO_MEMINFO` answers an array of nine; the last is the drops (linux/sock_diag.h).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// Headers of a slice, as the calls take it.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel takes 1024 at most"
)]
const fn count(headers: &[libc::mmsghdr]) -> libc::c_uint {
    headers.len() as libc::c_uint
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(test)]
mod tests;
