//! Datagrams by the burst: buffers and headers wired once, re-armed before each use.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use super::clock::Timespec;
use super::cmsg::{self, ControlMessages};
use super::fixed::FixedArray;

/// Room for a `sockaddr_in6`, the longer of the two.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; NAME_LEN]);

const NAME_LEN: usize = 32;
const _: () = assert!(NAME_LEN >= size_of::<libc::sockaddr_in6>());

/// Bytes of `scm_timestamping`: three timespecs (software, a retired one, hardware).
const TIMESTAMPING_LEN: usize = 3 * size_of::<libc::timespec>();
/// Bytes of `scm_ts_pktinfo`.
const FRAME_LEN: usize = 16;
const PKTINFO_LEN: usize = size_of::<libc::in_pktinfo>();
const PKTINFO_V6_LEN: usize = size_of::<libc::in6_pktinfo>();
/// `sock_extended_err` and the address behind it.
const EXTENDED_ERROR_LEN: usize =
    size_of::<libc::sock_extended_err>() + size_of::<libc::sockaddr_in6>();

/// What the kernel may put beside a datagram, or beside a stamp out of the error queue.
const RECEIVE_CONTROL_LEN: usize = cmsg::space(TIMESTAMPING_LEN)
    + cmsg::space(FRAME_LEN)
    + cmsg::space(PKTINFO_V6_LEN)
    + cmsg::space(EXTENDED_ERROR_LEN);
/// What we put beside a reply: the address it leaves from, and the wish for a stamp.
const TRANSMIT_CONTROL_LEN: usize = cmsg::space(PKTINFO_V6_LEN) + cmsg::space(size_of::<u32>());

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control<const LEN: usize>([u8; LEN]);

/// When a datagram arrived, as far as the kernel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReceiveStamp {
    /// System time, when the driver handed the datagram up.
    pub software: Option<Timespec>,
    /// The network card's own clock.
    pub hardware: Option<Timespec>,
    /// Where the port asks for the card's stamps: the card's interface, and the bytes of the frame; else 0.
    pub interface: u32,
    /// As above.
    pub frame_len: u32,
}

/// The address of ours that a datagram was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LocalAddress {
    /// The kernel did not say, because the socket is bound to one address.
    #[default]
    Bound,
    /// IPv4
    V4(Ipv4Addr),
    /// IPv6, and the interface, which a link-local reply needs.
    V6(Ipv6Addr, u32),
}

/// One received datagram, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source address.
    pub peer: IpAddr,
    /// Source port.
    pub port: u16,
    /// Bytes received; what did not fit the slot is cut off, so a full slot may have been longer.
    pub len: usize,
    /// Where it was sent to.
    pub local: LocalAddress,
    /// When it arrived.
    pub stamp: ReceiveStamp,
}

/// A transmit stamp out of a socket's error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitStamp {
    /// Which of the socket's stamped datagrams: they are numbered from 0 in the order they were sent.
    pub number: u32,
    /// System time, when the datagram was handed to the driver.
    pub software: Option<Timespec>,
    /// The network card's own clock.
    pub hardware: Option<Timespec>,
}

/// Buffers for a burst of datagrams and the replies that take their places, or for a burst of our own.
///
/// A reply stands in its request's payload and goes to its request's address; only its header, vector and
/// control data are separate, since the kernel wants the replies' headers packed.
pub struct Burst {
    headers: FixedArray<libc::mmsghdr>,
    vectors: FixedArray<libc::iovec>,
    names: FixedArray<Name>,
    controls: FixedArray<Control<RECEIVE_CONTROL_LEN>>,
    payloads: FixedArray<u8>,
    stride: usize,
    received: usize,

    reply_headers: FixedArray<libc::mmsghdr>,
    reply_vectors: FixedArray<libc::iovec>,
    reply_controls: FixedArray<Control<TRANSMIT_CONTROL_LEN>>,
    kept: usize,
}

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

impl Burst {
    /// Room for `slots` datagrams of up to `payload_len` bytes.
    pub fn new(slots: usize, payload_len: usize) -> Self {
        let stride = stride(payload_len);
        let mut burst = Self {
            headers: FixedArray::new(slots, &empty_header()),
            vectors: FixedArray::new(slots, &EMPTY_VECTOR),
            names: FixedArray::new(slots, &Name([0; NAME_LEN])),
            controls: FixedArray::new(slots, &Control([0; RECEIVE_CONTROL_LEN])),
            payloads: FixedArray::new(slots * stride, &0),
            stride,
            received: slots,
            reply_headers: FixedArray::new(slots, &empty_header()),
            reply_vectors: FixedArray::new(slots, &EMPTY_VECTOR),
            reply_controls: FixedArray::new(slots, &Control([0; TRANSMIT_CONTROL_LEN])),
            kept: 0,
        };
        for slot in 0..slots {
            burst.vectors[slot].iov_base = burst.payloads.at(slot * stride).cast();
            burst.vectors[slot].iov_len = payload_len;
            let (name, vector) = (burst.names.at(slot), burst.vectors.at(slot));
            let control = burst.controls.at(slot);
            let header = &mut burst.headers[slot].msg_hdr;
            header.msg_name = name.cast();
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.cast();

            let vector = burst.reply_vectors.at(slot);
            let header = &mut burst.reply_headers[slot].msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
        }
        burst.rearm();
        burst
    }

    /// Slots.
    pub fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        Self::bytes_for(self.capacity(), self.stride)
    }

    /// Bytes on the heap of a burst with `slots` slots of `payload_len` bytes.
    pub const fn bytes_for(slots: usize, payload_len: usize) -> usize {
        let per_slot = 2 * (size_of::<libc::mmsghdr>() + size_of::<libc::iovec>())
            + size_of::<Name>()
            + size_of::<Control<RECEIVE_CONTROL_LEN>>()
            + size_of::<Control<TRANSMIT_CONTROL_LEN>>()
            + stride(payload_len);
        slots * per_slot
    }

    /// The datagram in `slot`, which is below what the last receive answered.
    #[inline]
    pub fn datagram(&self, slot: usize) -> Datagram {
        let header = &self.headers[slot];
        let (peer, port) = source(&self.names[slot]);
        let mut datagram = Datagram {
            peer,
            port,
            len: (header.msg_len as usize).min(self.vectors[slot].iov_len),
            local: LocalAddress::Bound,
            stamp: ReceiveStamp::default(),
        };
        for message in self.control_messages(slot) {
            match (message.level, message.kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
                    let (software, hardware) = stamps(message.data);
                    datagram.stamp.software = software;
                    datagram.stamp.hardware = hardware;
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING_PKTINFO) => {
                    // scm_ts_pktinfo: interface, length of the frame, two spare words.
                    let word = |at| chunk::<4>(message.data, at).map_or(0, u32::from_ne_bytes);
                    datagram.stamp.interface = word(0);
                    datagram.stamp.frame_len = word(4);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // in_pktinfo: interface, the address to answer from, the address in the header.
                    if let Some(address) = chunk::<4>(message.data, 4) {
                        datagram.local = LocalAddress::V4(Ipv4Addr::from(address));
                    }
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // in6_pktinfo: the address, the interface.
                    if let (Some(address), Some(interface)) =
                        (chunk::<16>(message.data, 0), chunk::<4>(message.data, 16))
                    {
                        let interface = u32::from_ne_bytes(interface);
                        datagram.local = LocalAddress::V6(Ipv6Addr::from(address), interface);
                    }
                }
                _ => {}
            }
        }
        datagram
    }

    /// The first `len` bytes of a slot's payload.
    #[inline]
    pub fn payload_mut(&mut self, slot: usize, len: usize) -> &mut [u8] {
        let start = slot * self.stride;
        &mut self.payloads[start..start + len.min(self.stride)]
    }

    /// Keeps the first `len` bytes of a slot as a reply to the sender of `request`, which was in that
    /// slot. It leaves from the address the request came to. With `stamped`, the kernel will put a
    /// transmit stamp into the socket's error queue.
    #[inline]
    pub fn keep(&mut self, slot: usize, request: &Datagram, len: usize, stamped: bool) {
        let control_len = self.write_control(self.kept, request, stamped);
        let name_len = self.headers[slot].msg_hdr.msg_namelen;
        self.pack(slot, name_len, control_len, len);
    }

    /// Keeps a datagram of our own in a slot: `payload`, as far as the slot has room, from `local` (which
    /// a port bound to a wildcard may choose) to `peer`. With `stamped`, the kernel will put a transmit
    /// stamp into the socket's error queue.
    #[inline]
    pub fn start(
        &mut self,
        slot: usize,
        peer: SocketAddr,
        local: LocalAddress,
        stamped: bool,
        payload: &[u8],
    ) {
        let to = Datagram {
            peer: peer.ip(),
            port: peer.port(),
            len: payload.len(),
            local,
            stamp: ReceiveStamp::default(),
        };
        let name_len = write_name(&mut self.names[slot], peer);
        let control_len = self.write_control(self.kept, &to, stamped);
        self.start_packed(slot, name_len, control_len, payload);
    }

    /// The same for the peer that the port is connected to: the kernel looks no route up.
    #[inline]
    pub fn start_connected(&mut self, slot: usize, payload: &[u8]) {
        self.start_packed(slot, 0, 0, payload);
    }

    /// Forgets the datagrams that are kept.
    pub const fn discard(&mut self) {
        self.kept = 0;
    }

    /// Datagrams that are kept.
    pub const fn kept(&self) -> usize {
        self.kept
    }

    #[inline]
    fn start_packed(
        &mut self,
        slot: usize,
        name_len: libc::socklen_t,
        control_len: usize,
        payload: &[u8],
    ) {
        let len = payload.len().min(self.stride);
        self.payload_mut(slot, len).copy_from_slice(&payload[..len]);
        self.pack(slot, name_len, control_len, len);
    }

    /// Packs the first `len` bytes of a slot behind the datagrams kept so far. The other lengths are those
    /// of what stands in the slot's name, where zero is none, and in the next control data.
    #[inline]
    fn pack(&mut self, slot: usize, name_len: libc::socklen_t, control_len: usize, len: usize) {
        let place = self.kept;
        let name = self.names.at(slot);
        let control = self.reply_controls.at(place);
        let payload = self.payloads.at(slot * self.stride);
        self.reply_vectors[place] = libc::iovec {
            iov_base: payload.cast(),
            iov_len: len.min(self.stride),
        };
        let header = &mut self.reply_headers[place].msg_hdr;
        header.msg_name = name.cast();
        header.msg_namelen = name_len;
        header.msg_control = control.cast();
        header.msg_controllen = control_len;
        self.kept += 1;
    }

    fn control_messages(&self, slot: usize) -> ControlMessages<'_> {
        let len = self.headers[slot].msg_hdr.msg_controllen;
        ControlMessages::new(self.controls[slot].0.get(..len).unwrap_or_default())
    }

    #[inline]
    fn write_control(&mut self, reply: usize, request: &Datagram, stamped: bool) -> usize {
        let control = &mut self.reply_controls[reply].0;
        let mut at = 0;
        match request.local {
            LocalAddress::Bound => {}
            LocalAddress::V4(address) => {
                // No interface: the reply takes the route the kernel chooses.
                let mut info = [0; PKTINFO_LEN];
                info[4..8].copy_from_slice(&address.octets());
                at = cmsg::append(control, at, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
            }
            LocalAddress::V6(address, interface) => {
                let mut info = [0; PKTINFO_V6_LEN];
                info[..16].copy_from_slice(&address.octets());
                if matches!(request.peer, IpAddr::V6(peer) if peer.is_unicast_link_local()) {
                    info[16..].copy_from_slice(&interface.to_ne_bytes());
                }
                at = cmsg::append(control, at, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
            }
        }
        if stamped {
            let wish = (libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_TX_HARDWARE)
                .to_ne_bytes();
            at = cmsg::append(control, at, (libc::SOL_SOCKET, libc::SO_TIMESTAMPING), wish);
        }
        at
    }

    /// Restores the lengths that the kernel overwrote: without this a slot that once came without control
    /// data would never get any again.
    #[inline]
    fn rearm(&mut self) {
        for slot in 0..self.received {
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_namelen = super::socklen::<Name>();
            header.msg_controllen = RECEIVE_CONTROL_LEN;
            header.msg_flags = 0;
        }
        self.received = 0;
    }

    /// Re-armed headers for a receiving call, which says how many it has filled.
    #[inline]
    pub(super) fn receive_with(
        &mut self,
        call: impl FnOnce(&mut [libc::mmsghdr]) -> usize,
    ) -> usize {
        self.rearm();
        self.kept = 0;
        self.received = call(&mut self.headers).min(self.headers.len());
        self.received
    }

    /// Headers of the datagrams kept at these places for a sending call. They stay kept.
    #[inline]
    pub(super) fn transmit_with<R>(
        &mut self,
        places: Range<usize>,
        call: impl FnOnce(&mut [libc::mmsghdr]) -> R,
    ) -> R {
        let to = places.end.min(self.kept);
        call(&mut self.reply_headers[places.start.min(to)..to])
    }

    /// The kept datagrams of our own as one message for a sending call, with the wish that the kernel cut
    /// it up every `segment_len` bytes. Afterwards none is kept.
    #[inline]
    pub(super) fn transmit_joined_with<R>(
        &mut self,
        segment_len: u16,
        call: impl FnOnce(&libc::msghdr) -> R,
    ) -> R {
        let kept = mem::take(&mut self.kept);
        let control = &mut self.reply_controls[0].0;
        let header = &mut self.reply_headers[0].msg_hdr;
        // Behind the address the first leaves from, which is that of all.
        let at = header.msg_controllen;
        let kind = (libc::SOL_UDP, libc::UDP_SEGMENT);
        let control_len = cmsg::append(control, at, kind, segment_len.to_ne_bytes());
        header.msg_iovlen = kept as _;
        header.msg_controllen = control_len;
        let result = call(header);
        header.msg_iovlen = 1;
        result
    }

    /// The transmit stamp in a slot filled from the error queue; `None` for any other error.
    pub(super) fn transmit_stamp(&self, slot: usize) -> Option<TransmitStamp> {
        let mut stamp = None;
        let mut number = None;
        for message in self.control_messages(slot) {
            match (message.level, message.kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => stamp = Some(stamps(message.data)),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    number = stamped_number(message.data);
                }
                _ => {}
            }
        }
        let ((software, hardware), number) = (stamp?, number?);
        Some(TransmitStamp {
            number,
            software,
            hardware,
        })
    }
}

/// Bytes from one payload to the next: each begins on a cache line, as far as the first does.
const fn stride(payload_len: usize) -> usize {
    payload_len.next_multiple_of(64)
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and raw pointers, for which all bits zero is a value.
    unsafe { mem::zeroed() }
}

/// A received source address. Only IPv4 and IPv6 sockets are made here, so there is no third family.
#[inline]
fn source(name: &Name) -> (IpAddr, u16) {
    // Both families: 2 bytes family, 2 bytes port in network order; IPv4: 4 bytes address; IPv6: 4 bytes
    // flow information, 16 bytes address.
    let family = u16::from_ne_bytes([name.0[0], name.0[1]]);
    let port = u16::from_be_bytes([name.0[2], name.0[3]]);
    let mut v6 = [0; 16];
    if i32::from(family) == libc::AF_INET6 {
        v6.copy_from_slice(&name.0[8..24]);
        (IpAddr::V6(Ipv6Addr::from(v6)), port)
    } else {
        (
            IpAddr::V4(Ipv4Addr::new(name.0[4], name.0[5], name.0[6], name.0[7])),
            port,
        )
    }
}

/// Writes a destination address; its length.
#[inline]
fn write_name(name: &mut Name, peer: SocketAddr) -> libc::socklen_t {
    name.0[2..4].copy_from_slice(&peer.port().to_be_bytes());
    match peer {
        SocketAddr::V4(peer) => {
            name.0[..2].copy_from_slice(&family(libc::AF_INET));
            name.0[4..8].copy_from_slice(&peer.ip().octets());
            super::socklen::<libc::sockaddr_in>()
        }
        SocketAddr::V6(peer) => {
            name.0[..2].copy_from_slice(&family(libc::AF_INET6));
            name.0[4..8].fill(0);
            name.0[8..24].copy_from_slice(&peer.ip().octets());
            name.0[24..28].copy_from_slice(&peer.scope_id().to_ne_bytes());
            super::socklen::<libc::sockaddr_in6>()
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "families are small numbers"
)]
const fn family(family: libc::c_int) -> [u8; 2] {
    (family as libc::sa_family_t).to_ne_bytes()
}

fn chunk<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

/// Software and hardware stamp of an `scm_timestamping`; a stamp that was not taken is zero.
#[inline]
fn stamps(data: &[u8]) -> (Option<Timespec>, Option<Timespec>) {
    let stamp = |at| {
        let secs = i64::from_ne_bytes(chunk(data, at)?);
        let nanos = u32::try_from(i64::from_ne_bytes(chunk(data, at + 8)?)).ok()?;
        (secs != 0 || nanos != 0).then_some(Timespec { secs, nanos })
    };
    (stamp(0), stamp(2 * size_of::<libc::timespec>()))
}

/// The number in a `sock_extended_err` that stands beside a transmit stamp.
fn stamped_number(data: &[u8]) -> Option<u32> {
    // errno u32, origin u8, type u8, code u8, pad u8, info u32, data u32.
    let errno = u32::from_ne_bytes(chunk(data, 0)?);
    let [origin] = chunk(data, 4)?;
    let number = u32::from_ne_bytes(chunk(data, 12)?);
    (errno == libc::ENOMSG.cast_unsigned() && origin == libc::SO_EE_ORIGIN_TIMESTAMPING)
        .then_some(number)
}
