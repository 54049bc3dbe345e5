//! A client who asks and waits.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use super::support::client::{receive, request};
use super::wire::Node;

pub(crate) struct Asker {
    socket: UdpSocket,
    asked: u64,
}

impl Asker {
    /// From this address to the node's of its family.
    pub(crate) fn new(address: IpAddr) -> Self {
        Self::to(address, Node::address(address).ip())
    }

    pub(crate) fn to(address: IpAddr, server: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("our address");
        let whom = (server, Node::address(address).port());
        socket.connect(whom).expect("a way");
        let patience = Duration::from_millis(500);
        socket.set_read_timeout(Some(patience)).expect("not zero");
        Self { socket, asked: 0 }
    }

    /// Asks with a header that was `dressed`; the reply, if there is one.
    pub(crate) fn ask(&mut self, dressed: impl Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
        self.asked += 1;
        let packet = dressed(&request(4, 3, self.asked));
        self.socket.send(&packet).expect("the wire takes it");
        let mut reply = vec![0; 200];
        let length = receive(&self.socket, &mut reply).ok()?;
        reply.truncate(length);
        assert!(length >= 48 && reply[24..32] == self.asked.to_be_bytes());
        Some(reply)
    }

    /// Whether it is answered, with this behind the header.
    pub(crate) fn has_answer(&mut self, more: &[u8]) -> bool {
        self.ask(|header| [header, more].concat()).is_some()
    }

    #[track_caller]
    pub(crate) fn is_answered(&mut self, times: usize, more: &[u8]) {
        for _ in 0..times {
            assert!(self.has_answer(more), "{:?}", self.socket);
        }
    }
}
