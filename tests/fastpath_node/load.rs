//! Clients who ask all the time, whoever answers.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use maser::sys::clock;

use super::support::client::request;
use super::wire::Node;

/// One of many requests.
#[derive(Debug)]
pub(crate) struct Asked {
    /// By the clock that never steps.
    pub(crate) sent_ns: u64,
    /// What the flow said of it.
    pub(crate) mark: u64,
    /// All that came: one at the most.
    pub(crate) replies: Vec<Vec<u8>>,
}

impl Asked {
    pub(crate) const fn is_answered(&self) -> bool {
        !self.replies.is_empty()
    }
}

/// Makes a request of a header, and a mark to know it by.
type Dress = dyn Fn(&[u8]) -> (Vec<u8>, u64) + Send;

/// Requests from one socket, a thousand a second.
pub(crate) struct Flow {
    pub(crate) client: IpAddr,
    pub(crate) dress: Box<Dress>,
}

/// Flows that go on until they are stopped.
pub(crate) struct Load {
    stops: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Asked>>>,
}

impl Load {
    pub(crate) fn start(flows: Vec<Flow>) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let threads = flows.into_iter().map(|flow| {
            let stops = Arc::clone(&stops);
            thread::spawn(move || flow.run(&stops))
        });
        Self {
            threads: threads.collect(),
            stops,
        }
    }

    /// All that each flow has asked, in order.
    pub(crate) fn stop(self) -> Vec<Vec<Asked>> {
        self.stops.store(true, Ordering::Relaxed);
        let ended = self.threads.into_iter().map(JoinHandle::join);
        ended.map(|asked| asked.expect("it ends")).collect()
    }
}

impl Flow {
    fn run(&self, stops: &AtomicBool) -> Vec<Asked> {
        let socket = UdpSocket::bind((self.client, 0)).expect("our address");
        socket.set_nonblocking(true).expect("a socket");
        let mut asked = Vec::new();
        let mut by_origin = HashMap::new();
        while !stops.load(Ordering::Relaxed) {
            let transmit = clock::monotonic_ns();
            let (packet, mark) = (self.dress)(&request(4, 3, transmit));
            by_origin.insert(transmit.to_be_bytes(), asked.len());
            asked.push(Asked {
                sent_ns: clock::monotonic_ns(),
                mark,
                replies: Vec::new(),
            });
            let sent = socket.send_to(&packet, Node::address(self.client));
            sent.expect("the wire takes it");
            thread::sleep(Duration::from_millis(1));
            receive(&socket, &by_origin, &mut asked);
        }
        // What is still on its way.
        thread::sleep(Duration::from_millis(500));
        receive(&socket, &by_origin, &mut asked);
        asked
    }
}

fn receive(socket: &UdpSocket, by_origin: &HashMap<[u8; 8], usize>, asked: &mut [Asked]) {
    let mut buffer = [0; 512];
    while let Ok(length) = socket.recv(&mut buffer) {
        let origin: &[u8; 8] = buffer[24..].first_chunk().expect("a header");
        let number = *by_origin.get(origin).expect("asked for");
        asked[number].replies.push(buffer[..length].to_vec());
    }
}
