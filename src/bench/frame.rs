//! UDP datagrams as whole Ethernet frames: headers, checksums, addresses (RFC 791, 8200, 768).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHERNET_LEN: usize = 14;
const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
const UDP_LEN: usize = 8;
const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];
const UDP: u8 = 17;
const HOPS: u8 = 64;

/// What is the same in every frame to one server.
#[derive(Clone, Debug)]
pub(super) struct Framing {
    head: [u8; ETHERNET_LEN + V6_LEN + UDP_LEN],
    ip_len: usize,
    target: SocketAddr,
    /// Sum of the constant words that the UDP checksum covers: target address and port, protocol.
    udp_sum: u64,
    /// The same of the IPv4 header's own checksum.
    ip_sum: u64,
}

impl Framing {
    /// From one hardware address to another.
    pub(super) fn new(from: [u8; 6], to: [u8; 6], target: SocketAddr) -> Self {
        let mut head = [0; ETHERNET_LEN + V6_LEN + UDP_LEN];
        head[..6].copy_from_slice(&to);
        head[6..12].copy_from_slice(&from);
        let ip_len = match target {
            SocketAddr::V4(target) => {
                head[12..14].copy_from_slice(&ETHERTYPE_V4);
                let ip = &mut head[ETHERNET_LEN..];
                ip[0] = 0x45;
                ip[6] = 0x40; // Not to be fragmented.
                ip[8] = HOPS;
                ip[9] = UDP;
                ip[16..20].copy_from_slice(&target.ip().octets());
                V4_LEN
            }
            SocketAddr::V6(target) => {
                head[12..14].copy_from_slice(&ETHERTYPE_V6);
                let ip = &mut head[ETHERNET_LEN..];
                ip[0] = 0x60;
                ip[6] = UDP;
                ip[7] = HOPS;
                ip[24..40].copy_from_slice(&target.ip().octets());
                V6_LEN
            }
        };
        let udp = ETHERNET_LEN + ip_len;
        head[udp + 2..udp + 4].copy_from_slice(&target.port().to_be_bytes());
        let address = match target.ip() {
            IpAddr::V4(address) => sum(&address.octets()),
            IpAddr::V6(address) => sum(&address.octets()),
        };
        Self {
            ip_sum: sum(&head[ETHERNET_LEN..ETHERNET_LEN + V4_LEN]),
            udp_sum: address + u64::from(target.port()) + u64::from(UDP),
            head,
            ip_len,
            target,
        }
    }

    /// Writes a frame around `payload`; its length. The source has the family of the target, and the frame
    /// has room: for both the caller is answerable, and what does not fit is cut off.
    #[inline]
    pub(super) fn write(&self, frame: &mut [u8], source: (IpAddr, u16), payload: &[u8]) -> usize {
        let head_len = ETHERNET_LEN + self.ip_len + UDP_LEN;
        let payload = &payload[..payload.len().min(frame.len() - head_len)];
        let (head, body) = frame.split_at_mut(head_len);
        head.copy_from_slice(&self.head[..head_len]);
        body[..payload.len()].copy_from_slice(payload);
        let udp_len = sixteen(UDP_LEN + payload.len());
        let (ip, udp) = head[ETHERNET_LEN..].split_at_mut(self.ip_len);
        let source_sum = match source.0 {
            IpAddr::V4(address) => {
                let total = sixteen(V4_LEN) + udp_len;
                let source_sum = sum(&address.octets());
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[12..16].copy_from_slice(&address.octets());
                let checksum = !folded(self.ip_sum + source_sum + u64::from(total));
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
                source_sum
            }
            IpAddr::V6(address) => {
                ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
                ip[8..24].copy_from_slice(&address.octets());
                sum(&address.octets())
            }
        };
        udp[..2].copy_from_slice(&source.1.to_be_bytes());
        udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
        // The length counts twice: in the header and in the pseudo-header.
        let lengths_and_port = 2 * u64::from(udp_len) + u64::from(source.1);
        let checksum = !folded(self.udp_sum + source_sum + lengths_and_port + sum(payload));
        // Zero would say that there is no checksum.
        let checksum = if checksum == 0 { u16::MAX } else { checksum };
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        head_len + payload.len()
    }

    /// The payload of a frame that came from the target; `None` for every other frame.
    #[inline]
    pub(super) fn payload<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let (source, _, payload) = datagram(frame)?;
        (source == self.target).then_some(payload)
    }
}

/// Source, destination and payload of a UDP datagram in an Ethernet frame, without options or fragments.
/// The payload may be cut off by whoever captured it.
#[inline]
pub fn datagram(frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let (ethernet, ip) = frame.split_first_chunk::<ETHERNET_LEN>()?;
    let (source, destination, udp) = match [ethernet[12], ethernet[13]] {
        ETHERTYPE_V4 => {
            let (head, udp) = ip.split_first_chunk::<V4_LEN>()?;
            let is_udp = head[0] == 0x45 && head[9] == UDP && [head[6] & 0x3f, head[7]] == [0, 0];
            let at = |at: usize| {
                IpAddr::V4(Ipv4Addr::new(
                    head[at],
                    head[at + 1],
                    head[at + 2],
                    head[at + 3],
                ))
            };
            is_udp.then(|| (at(12), at(16), udp))?
        }
        ETHERTYPE_V6 => {
            let (head, udp) = ip.split_first_chunk::<V6_LEN>()?;
            let at = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&head[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            (head[0] >> 4 == 6 && head[6] == UDP).then(|| (at(8), at(24), udp))?
        }
        _ => return None,
    };
    let (head, rest) = udp.split_first_chunk::<UDP_LEN>()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let payload_len = usize::from(word(4)).checked_sub(UDP_LEN)?;
    Some((
        SocketAddr::new(source, word(0)),
        SocketAddr::new(destination, word(2)),
        &rest[..rest.len().min(payload_len)],
    ))
}

/// Turns a UDP datagram back to its sender: addresses and ports swapped, the payload rewritten in place, the
/// checksum kept right. `false`: it is no such datagram, and nothing was changed.
pub fn turn(frame: &mut [u8], rewrite: impl FnOnce(&mut [u8])) -> bool {
    let Some((source, _, payload)) = datagram(frame) else {
        return false;
    };
    let (ip_len, address_at, address_len) = match source {
        SocketAddr::V4(_) => (V4_LEN, ETHERNET_LEN + 12, 4),
        SocketAddr::V6(_) => (V6_LEN, ETHERNET_LEN + 8, 16),
    };
    let (udp, old_sum) = (ETHERNET_LEN + ip_len, sum(payload));
    let payload = udp + UDP_LEN..udp + UDP_LEN + payload.len();
    swap(frame, 0, 6);
    swap(frame, address_at, address_len);
    swap(frame, udp, 2);
    rewrite(&mut frame[payload.clone()]);
    let checksum = u16::from_be_bytes([frame[udp + 6], frame[udp + 7]]);
    if checksum != 0 {
        // RFC 1624: what the sum has gained is taken off the checksum. Swapping changes no sum.
        let rest = !folded(old_sum);
        let checksum = !folded(u64::from(!checksum) + u64::from(rest) + sum(&frame[payload]));
        let checksum = if checksum == 0 { u16::MAX } else { checksum };
        frame[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }
    true
}

/// Swaps two neighbouring fields of this length.
fn swap(frame: &mut [u8], at: usize, len: usize) {
    let (one, other) = frame[at..at + 2 * len].split_at_mut(len);
    one.swap_with_slice(other);
}

/// Sum of 16-bit words in network order (RFC 1071); an odd last byte counts as the upper half of a word.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let words = words.iter().map(|word| {
        let word = u32::from_be_bytes(*word);
        u64::from(word >> 16) + u64::from(word & 0xffff)
    });
    let (pairs, odd) = rest.as_chunks::<2>();
    let pairs = pairs
        .iter()
        .map(|pair| u64::from(u16::from_be_bytes(*pair)));
    let odd = odd.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.sum::<u64>() + pairs.sum::<u64>() + odd
}

/// A sum with its carries added back.
#[inline]
pub(super) const fn folded(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum.to_le_bytes()[0] as u16 | (sum.to_le_bytes()[1] as u16) << 8
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths below that of a frame"
)]
const fn sixteen(len: usize) -> u16 {
    len as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses() -> impl Strategy<Value = (SocketAddr, IpAddr)> {
        prop_oneof![
            any::<(u32, u32)>().prop_map(|(a, b)| (
                SocketAddr::new(IpAddr::V4(a.into()), 123),
                IpAddr::V4(b.into())
            )),
            any::<(u128, u128)>().prop_map(|(a, b)| (
                SocketAddr::new(IpAddr::V6(a.into()), 123),
                IpAddr::V6(b.into())
            )),
        ]
    }

    /// RFC 768: with the checksum in place, pseudo-header and datagram sum to all ones.
    fn udp_sum(frame: &[u8]) -> u16 {
        let ip_len = if frame[12..14] == ETHERTYPE_V4 {
            V4_LEN
        } else {
            V6_LEN
        };
        let (ip, udp) = frame[ETHERNET_LEN..].split_at(ip_len);
        let addresses = if ip_len == V4_LEN {
            &ip[12..20]
        } else {
            &ip[8..40]
        };
        folded(sum(addresses) + u64::from(UDP) + udp.len() as u64 + sum(udp))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_sums_up(
            (target, source) in addresses(),
            port in any::<u16>(),
            payload in prop::collection::vec(any::<u8>(), 0..=116),
        ) {
            let framing = Framing::new([1; 6], [2; 6], target);
            let mut frame = [0xaa; 256];
            let len = framing.write(&mut frame, (source, port), &payload);
            let frame = &frame[..len];
            let read = datagram(frame).expect("a datagram");
            prop_assert_eq!(read, (SocketAddr::new(source, port), target, &payload[..]));
            prop_assert_eq!(udp_sum(frame), 0xffff);
            if target.is_ipv4() {
                prop_assert_eq!(folded(sum(&frame[ETHERNET_LEN..ETHERNET_LEN + V4_LEN])), 0xffff);
            }
        }

        #[test]
        fn what_is_turned_goes_back_and_sums_up(
            (target, source) in addresses(),
            new in prop::collection::vec(any::<u8>(), 48),
        ) {
            let framing = Framing::new([1; 6], [2; 6], target);
            let mut frame = [0; 256];
            let len = framing.write(&mut frame, (source, 77), &[5; 48]);
            let turned = turn(&mut frame[..len], |payload| payload.copy_from_slice(&new));
            prop_assert!(turned);
            let read = datagram(&frame[..len]).expect("a datagram");
            prop_assert_eq!(read, (target, SocketAddr::new(source, 77), &new[..]));
            prop_assert_eq!((&frame[..6], &frame[6..12]), (&[1; 6][..], &[2; 6][..]));
            prop_assert_eq!(udp_sum(&frame[..len]), 0xffff);
        }

        #[test]
        fn any_bytes_are_a_datagram_or_none(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut turned = frame.clone();
            prop_assert_eq!(turn(&mut turned, |_| ()), datagram(&frame).is_some());
        }

        #[test]
        fn cut_frames_are_a_datagram_or_none((target, source) in addresses(), keep in 0usize..110) {
            let mut frame = [0; 256];
            let framing = Framing::new([1; 6], [2; 6], target);
            let len = framing.write(&mut frame, (source, 9), &[7; 48]);
            let cut = &frame[..keep.min(len)];
            if let Some((_, _, payload)) = datagram(cut) {
                prop_assert!(payload.len() <= 48);
            }
        }
    }

    #[test]
    fn a_known_header_has_its_known_checksum() {
        // The example of RFC 1071's readers: 45 00 00 73 00 00 40 00 40 11 b8 61 c0 a8 00 01 c0 a8 00 c7.
        let target = "192.168.0.199:123".parse().unwrap();
        let framing = Framing::new([0; 6], [0; 6], target);
        let mut frame = [0; 256];
        let payload = [0; 0x73 - V4_LEN - UDP_LEN];
        framing.write(&mut frame, ("192.168.0.1".parse().unwrap(), 1), &payload);
        assert_eq!(frame[24..26], [0xb8, 0x61]);
    }

    #[test]
    fn another_servers_datagram_is_no_reply() {
        let ours = Framing::new([0; 6], [0; 6], "10.0.0.1:123".parse().unwrap());
        let mut frame = [0; 256];
        let len = ours.write(&mut frame, ("10.0.0.2".parse().unwrap(), 123), &[1; 48]);
        assert_eq!(ours.payload(&frame[..len]), None);
    }
}
