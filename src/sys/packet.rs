//! Whole frames of one interface (`packet(7)`): a ring of frames to send and a ring of frames that came,
//! both shared with the kernel.
//!
//! A frame of a ring belongs to the kernel or to us by its status word, which is read with acquire and
//! written with release ordering; nothing else in a frame is touched while it is the kernel's.

use std::ffi::CString;
use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::clock::Timespec;
use super::filter::Filter;
use super::steering::Family;
use super::{attach_program, check, named, set_option};

/// Bytes of a frame in a ring, the kernel's header of it included: room for an IPv6 datagram with the
/// longest MAC of NTP.
const FRAME_LEN: usize = 256;
/// Frames are allocated in blocks of this many bytes.
const BLOCK_LEN: usize = 1 << 16;
/// Where our bytes begin in a frame to send (`TPACKET2_HDRLEN` less the address that is not there).
const SEND_AT: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
/// `virtio_net_hdr`: flags, segmentation, header length, segment length, checksum's start and place.
const VNET_LEN: usize = 10;
const VNET_HEADER_LEN_AT: usize = 2;
/// Bytes of a frame on the wire that a ring has room for.
pub const PACKET_LEN_MAX: usize = FRAME_LEN - SEND_AT - VNET_LEN;

const _: () = assert!(BLOCK_LEN.is_multiple_of(FRAME_LEN) && FRAME_LEN.is_multiple_of(16));

/// Which frames are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOptions<'a> {
    /// The interface.
    pub interface: &'a str,
    /// UDP over IPv4 or over IPv6.
    pub family: Family,
    /// The source port of what is taken; `None`: any.
    pub from_port: Option<u16>,
    /// The destination ports of what is taken.
    pub to_ports: RangeInclusive<u16>,
    /// Frames of each ring, rounded up to a multiple of 256.
    pub frames: usize,
}

/// A frame that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its bytes from the Ethernet header on, as far as the ring had room.
    pub bytes: &'a [u8],
    /// How many it had on the wire.
    pub wire_len: usize,
    /// When the driver handed it up, by the system clock.
    pub stamp: Timespec,
}

/// Sends and receives frames of one interface.
pub struct PacketPort {
    sending: Ring,
    receiving: Ring,
    interface: libc::c_int,
    hardware_address: [u8; 6],
    /// Frames written since the last call that took all.
    started: usize,
}

impl PacketPort {
    /// Opens both rings.
    ///
    /// # Errors
    /// There is no such interface, CAP_NET_RAW is missing, or the system's reason.
    pub fn open(options: &PacketOptions<'_>) -> io::Result<Self> {
        let frames = options
            .frames
            .max(1)
            .next_multiple_of(BLOCK_LEN / FRAME_LEN);
        let index = interface_index(options.interface)?;
        let socket = packet_socket()?;
        let filter = Filter::udp(options.family, options.from_port, options.to_ports.clone());
        let attach = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        attach_program(&socket, attach, filter.instructions())
            .map_err(named("SO_ATTACH_FILTER"))?;
        // Without this the kernel stamps frames when they are copied, not when they arrive.
        let stamps = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        set_option(&socket, (libc::SOL_SOCKET, libc::SO_TIMESTAMPING), &stamps)
            .map_err(named("SO_TIMESTAMPING"))?;
        set_option(
            &socket,
            (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING),
            &1,
        )
        .map_err(named("PACKET_IGNORE_OUTGOING"))?;
        let receiving = Ring::new(socket, libc::PACKET_RX_RING, frames)?;
        // Of all protocols, since such a socket hears a frame before the interface's ingress filters, which
        // may then keep it from the network stack, to whom it says nothing.
        bind(&receiving.socket, index, libc::ETH_P_ALL)?;

        let socket = packet_socket()?;
        // The kernel copies as many bytes of a frame as the header of its segments is said to have. With
        // all of them copied nothing of the ring is shared with whoever receives on this machine, who
        // may look at it after the frame has come back to us.
        set_option(&socket, (libc::SOL_PACKET, libc::PACKET_VNET_HDR), &1)
            .map_err(named("PACKET_VNET_HDR"))?;
        set_option(&socket, (libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS), &1)
            .map_err(named("PACKET_QDISC_BYPASS"))?;
        socket
            .set_send_buffer_size(SEND_BUFFER)
            .map_err(named("SO_SNDBUF"))?;
        let sending = Ring::new(socket, libc::PACKET_TX_RING, frames)?;
        // No protocol: this socket hears nothing.
        let hardware_address = bind(&sending.socket, index, 0)?;
        Ok(Self {
            sending,
            receiving,
            interface: index,
            hardware_address,
            started: 0,
        })
    }

    /// The interface's own address.
    pub const fn hardware_address(&self) -> [u8; 6] {
        self.hardware_address
    }

    /// Has the interface take frames for other hardware addresses too, as long as this port lives.
    ///
    /// # Errors
    /// The system's reason.
    pub fn hear_all(&self) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: self.interface,
            mr_type: sixteen_of(libc::PACKET_MR_PROMISC)?,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let level = (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP);
        set_option(&self.receiving.socket, level, &membership)
            .map_err(named("PACKET_ADD_MEMBERSHIP"))
    }

    /// Frames written since the last [`transmit`](Self::transmit) that took all.
    pub const fn started(&self) -> usize {
        self.started
    }

    /// Lets `write` fill the next frame to send, from the Ethernet header on, and answer its length.
    /// `false`: the kernel still has all frames of the ring, and nothing was written.
    #[inline]
    pub fn start(&mut self, write: impl FnOnce(&mut [u8; PACKET_LEN_MAX]) -> usize) -> bool {
        let has_started = self.sending.start(write);
        self.started += usize::from(has_started);
        has_started
    }

    /// Hands what came to `answer`, `most` frames at most, each with room for a frame to send; it answers
    /// that one's length, or nothing. How many came.
    #[inline]
    pub fn answer(
        &mut self,
        most: usize,
        mut answer: impl FnMut(&[u8], &mut [u8; PACKET_LEN_MAX]) -> Option<usize>,
    ) -> usize {
        let Self {
            sending,
            receiving,
            started,
            ..
        } = self;
        receiving.receive(most, |frame| {
            let mut reply = [0; PACKET_LEN_MAX];
            if let Some(len) = answer(frame.bytes, &mut reply) {
                *started += usize::from(sending.start(|room| {
                    room[..len].copy_from_slice(&reply[..len]);
                    len
                }));
            }
        })
    }

    /// Hands the frames written so far to the driver.
    ///
    /// # Errors
    /// The system's reason. Would it block, all that is left goes with the next call; else the frame it was
    /// about is lost, and those behind it go with the next call.
    pub fn transmit(&mut self) -> io::Result<()> {
        loop {
            // SAFETY: no buffer is passed; the kernel reads the ring, which lives as long as the socket.
            let sent = unsafe {
                libc::sendto(
                    self.sending.fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            match usize::try_from(sent).map_err(|_| io::Error::last_os_error()) {
                Ok(_) => {
                    self.started = 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands what came to `take`, `most` frames at most; how many it were.
    #[inline]
    pub fn receive(&mut self, most: usize, take: impl FnMut(Frame<'_>)) -> usize {
        self.receiving.receive(most, take)
    }

    /// Frames dropped because the ring was full, since this was last asked.
    ///
    /// # Errors
    /// The system's reason.
    pub fn dropped(&self) -> io::Result<u32> {
        let mut statistics = [0u32; 2]; // tpacket_stats: packets, drops
        let mut len = super::socklen::<[u32; 2]>();
        // SAFETY: the kernel writes at most `len` bytes, the size of the local array, and sets `len`.
        check(unsafe {
            libc::getsockopt(
                self.receiving.fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut len,
            )
        })
        .map_err(named("PACKET_STATISTICS"))?;
        Ok(statistics[1])
    }

    /// Bytes of both rings.
    pub const fn memory_bytes(&self) -> usize {
        self.sending.len() + self.receiving.len()
    }
}

/// Offsets in a `tpacket2_hdr`: status, length, captured length (u32 each), start of the frame, start of
/// the network header (u16 each), seconds, nanoseconds (u32 each), and more.
const LENGTH_AT: usize = mem::offset_of!(libc::tpacket2_hdr, tp_len);
const CAPTURED_AT: usize = mem::offset_of!(libc::tpacket2_hdr, tp_snaplen);
const MAC_AT: usize = mem::offset_of!(libc::tpacket2_hdr, tp_mac);
const SECONDS_AT: usize = mem::offset_of!(libc::tpacket2_hdr, tp_sec);
const NANOS_AT: usize = mem::offset_of!(libc::tpacket2_hdr, tp_nsec);
/// Send queue in bytes, as far as the kernel gives it.
const SEND_BUFFER: usize = 8 << 20;

/// Memory shared with the kernel: frames in a circle, and the one whose turn it is.
struct Ring {
    /// Closed after the memory has gone, which the kernel does not mind in either order.
    socket: Socket,
    start: NonNull<u8>,
    frames: usize,
    turn: usize,
}

// SAFETY: the memory belongs to the ring alone; the kernel's side of it is not bound to a thread.
unsafe impl Send for Ring {}

struct RingFrame<'a> {
    start: NonNull<u8>,
    ring: std::marker::PhantomData<&'a mut Ring>,
}

impl RingFrame<'_> {
    const fn status(&self) -> &AtomicU32 {
        // SAFETY: a frame begins with its status word, is aligned to 16 bytes, and lies in the ring, which
        // `self` borrows; both sides use the word atomically only.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().cast()) }
    }
}

impl Ring {
    fn new(socket: Socket, which: libc::c_int, frames: usize) -> io::Result<Self> {
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(&socket, (libc::SOL_PACKET, libc::PACKET_VERSION), &version)
            .map_err(named("PACKET_VERSION"))?;
        let number = |count: usize| libc::c_uint::try_from(count).map_err(io::Error::other);
        let request = libc::tpacket_req {
            tp_block_size: number(BLOCK_LEN)?,
            tp_block_nr: number(frames * FRAME_LEN / BLOCK_LEN)?,
            tp_frame_size: number(FRAME_LEN)?,
            tp_frame_nr: number(frames)?,
        };
        set_option(&socket, (libc::SOL_PACKET, which), &request)
            .map_err(named("PACKET_RX_RING or _TX_RING"))?;
        // SAFETY: no address is asked for; the length is that of the ring just made. The memory is
        // unmapped in `drop` only.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                frames * FRAME_LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(named("mmap")(io::Error::last_os_error()));
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            socket,
            start,
            frames,
            turn: 0,
        })
    }

    #[inline]
    fn start(&mut self, write: impl FnOnce(&mut [u8; PACKET_LEN_MAX]) -> usize) -> bool {
        let frame = self.current();
        if frame.status().load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
            return false;
        }
        // SAFETY: the status says that the frame is ours, and `frame` borrows the ring exclusively. The
        // status word itself is not touched through these bytes.
        let bytes = unsafe { &mut *frame.start.as_ptr().cast::<[u8; FRAME_LEN]>() };
        let (header, bytes) = bytes.split_at_mut(SEND_AT);
        let Some((vnet, packet)) = bytes.split_first_chunk_mut::<VNET_LEN>() else {
            return false;
        };
        let Some(packet) = packet.first_chunk_mut() else {
            return false;
        };
        let len = sixteen(write(packet).min(PACKET_LEN_MAX));
        *vnet = [0; VNET_LEN];
        vnet[VNET_HEADER_LEN_AT..VNET_HEADER_LEN_AT + 2].copy_from_slice(&len.to_ne_bytes());
        let in_all = u32::from(len) + u32::from(sixteen(VNET_LEN));
        header[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&in_all.to_ne_bytes());
        frame
            .status()
            .store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        self.advance();
        true
    }

    #[inline]
    fn receive(&mut self, most: usize, mut take: impl FnMut(Frame<'_>)) -> usize {
        for taken in 0..most {
            let frame = self.current();
            if frame.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return taken;
            }
            // SAFETY: the status says that the frame is ours, and `frame` borrows the ring exclusively. The
            // kernel does not write to it before the status says that it is the kernel's again.
            let bytes = unsafe { &*frame.start.as_ptr().cast::<[u8; FRAME_LEN]>() };
            let word = |at: usize| {
                u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            };
            let start = usize::from(u16::from_ne_bytes([bytes[MAC_AT], bytes[MAC_AT + 1]]));
            let end = start + word(CAPTURED_AT) as usize;
            take(Frame {
                bytes: bytes.get(start..end).unwrap_or_default(),
                wire_len: word(LENGTH_AT) as usize,
                stamp: Timespec {
                    secs: i64::from(word(SECONDS_AT)),
                    nanos: word(NANOS_AT),
                },
            });
            frame
                .status()
                .store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.advance();
        }
        most
    }

    const fn len(&self) -> usize {
        self.frames * FRAME_LEN
    }

    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    #[inline]
    const fn current(&mut self) -> RingFrame<'_> {
        // SAFETY: `turn` is below `frames`, so the frame lies within the mapping.
        let start = unsafe { self.start.add(self.turn * FRAME_LEN) };
        RingFrame {
            start,
            ring: std::marker::PhantomData,
        }
    }

    #[inline]
    const fn advance(&mut self) {
        self.turn += 1;
        if self.turn == self.frames {
            self.turn = 0;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this length, and nothing borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len()) };
    }
}

fn packet_socket() -> io::Result<Socket> {
    // Protocol 0: nothing is heard before `bind` says what.
    Socket::new(
        Domain::PACKET,
        Type::RAW.nonblocking().cloexec(),
        Some(Protocol::from(0)),
    )
    .map_err(named("socket(AF_PACKET)"))
}

fn interface_index(name: &str) -> io::Result<libc::c_int> {
    let name = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(named("if_nametoindex")(io::Error::last_os_error()));
    }
    libc::c_int::try_from(index).map_err(io::Error::other)
}

/// Binds to an interface and a protocol; the interface's hardware address.
fn bind(socket: &Socket, index: libc::c_int, protocol: libc::c_int) -> io::Result<[u8; 6]> {
    // SAFETY: a sockaddr_ll is integers, for which all bits zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = sixteen_of(libc::AF_PACKET)?;
    address.sll_protocol = sixteen_of(protocol)?.to_be();
    address.sll_ifindex = index;
    let mut len = super::socklen::<libc::sockaddr_ll>();
    // SAFETY: the kernel reads `len` bytes of a local struct of that length.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })
        .map_err(named("bind"))?;
    // SAFETY: the kernel writes at most `len` bytes, the size of the local struct, and sets `len`.
    check(unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
    })
    .map_err(named("getsockname"))?;
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    Ok([a, b, c, d, e, f])
}

fn sixteen_of(number: libc::c_int) -> io::Result<u16> {
    u16::try_from(number).map_err(io::Error::other)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths below that of a frame"
)]
const fn sixteen(len: usize) -> u16 {
    len as u16
}
