//! Frames with tags of virtual networks, run by the driver and by the kernel. The frames are made here: not every kernel
//! has such networks.

use std::io::{ErrorKind, Read as _};
use std::net::IpAddr;
use std::time::Duration;

use maser::sys::steering::Family;
use maser::sys::{PacketOptions, PacketPort};
use socket2::{Domain, Protocol, Socket, Type};

use super::support::client::request;
use super::support::keys::AES128;
use super::support::seen::within;
use super::wire::{CLIENT_V4, CLIENT_V6, INTERFACE, Node, on_wire};
use super::world::{Way, answer, frame};

/// Sends frames, and sees all that come.
struct Card {
    sends: PacketPort,
    hears: Socket,
}

impl Card {
    fn open() -> Self {
        let sends = PacketPort::open(&PacketOptions {
            interface: INTERFACE,
            family: Family::V4,
            from_port: None,
            to_ports: 1..=1,
            frames: 1,
        });
        // In network order.
        let all = i32::from(ETH_P_ALL.to_be());
        let hears = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(all)));
        let hears = hears.expect("root may");
        hears.set_nonblocking(true).expect("a socket");
        Self {
            sends: sends.expect("root may"),
            hears,
        }
    }

    /// The payload of the answer. The kernel takes the first tag off before we see the frame.
    #[track_caller]
    fn ask(&mut self, way: &Way, packet: &[u8]) -> Vec<u8> {
        let frame = frame(way, packet);
        let has_room = self.sends.start(|room| {
            room[..frame.len()].copy_from_slice(&frame);
            frame.len()
        });
        assert!(has_room, "a ring");
        self.sends.transmit().expect("the wire takes it");
        let back = Way {
            tags: way.tags.saturating_sub(1),
            ..*way
        };
        let (length, mut payload) = (frame.len() - 4 * (way.tags - back.tags), Vec::new());
        within(Duration::from_secs(5), "an answer", || {
            let mut heard = [0; 2000];
            match self.hears.read(&mut heard) {
                // To us, from whom we have asked.
                Ok(heard_len) if heard_len == length && heard[..6] == frame[6..12] => {
                    payload = answer(&back, &heard[..length]).to_vec();
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => {}
            }
            !payload.is_empty()
        });
        payload
    }
}

#[test]
fn tagged_frames_are_answered() {
    on_wire("tags::tagged_frames_are_answered", |wire| {
        for mode in ["native", "generic"] {
            let line = format!("fastpath {INTERFACE} {mode}");
            let node = wire.start(&["allow", "local stratum 3", &line]);
            let shown = wire.ip(&format!("link show {INTERFACE}"));
            assert_eq!(shown.contains("xdpgeneric"), mode == "generic", "{shown}");
            let mut asked = 0;
            for tags in 0..=2 {
                for from in [CLIENT_V4, CLIENT_V6] {
                    ask_both(&mut Card::open(), from, tags);
                    asked += 2;
                }
            }
            let by_kernel = node
                .figures()
                .count("maser_requests_total", &[("cpu", "xdp")]);
            assert_eq!(by_kernel, asked, "{mode}");
            assert!(node.end("-TERM").0);
        }
    });
}

/// Unsigned and signed.
#[track_caller]
fn ask_both(card: &mut Card, from: IpAddr, tags: usize) {
    let way = Way {
        from,
        to: Node::address(from).ip(),
        port: 40_000,
        tags,
        has_checksum: true,
    };
    let plain = request(4, 3, 0x0123_4567_89ab_cdef);
    let reply = card.ask(&way, &plain);
    assert_eq!(reply.len(), 48);
    assert_eq!(reply[24..32], plain[40..48]);
    let reply = card.ask(&way, &AES128.sign(&plain));
    assert!(AES128.verifies(&reply), "{reply:02x?}");
    assert_eq!(reply[24..32], plain[40..48]);
}

/// linux/if_ether.h
const ETH_P_ALL: u16 = 3;
