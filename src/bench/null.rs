//! A server that only swaps fields: what the harness and the kernel carry without one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::frame;
use crate::sys::steering::Family;
use crate::sys::{Burst, PacketOptions, PacketPort, PortOptions, UdpPort, clock};
use crate::wire::{HeaderMut, HeaderView, LeapIndicator, Mode, NtpTimestamp};

/// By which its CPU time is told apart from the harness's.
pub(super) const THREAD_NAME: &str = "maser-null";

/// Runs until it is dropped.
pub struct NullServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Datagrams a turn takes.
const BURST: usize = 64;
/// Frames of each ring.
const FRAMES: usize = 1 << 14;

impl NullServer {
    /// On a port of loopback that the kernel chooses, on this core.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start(cpu: Option<usize>) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), cpu)
    }

    /// At this address, for a harness that is another process or on another machine.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start_at(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let port = UdpPort::open(&PortOptions {
            address,
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 8 << 20,
        })?;
        Self::run(port.address(), cpu, move || {
            let mut burst = Burst::new(BURST, 1144);
            move || answer(&port, &mut burst)
        })
    }

    /// Of whole frames to `address` that come to an interface, whoever has the address.
    ///
    /// # Errors
    /// There is no such interface, or frames may not be taken from it (CAP_NET_RAW).
    pub fn start_raw(interface: &str, address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let mut port = PacketPort::open(&PacketOptions {
            interface,
            family: match address {
                SocketAddr::V4(_) => Family::V4,
                SocketAddr::V6(_) => Family::V6,
            },
            from_port: None,
            to_ports: address.port()..=address.port(),
            frames: FRAMES,
        })?;
        Self::run(address, cpu, move || move || answer_frames(&mut port))
    }

    /// `prepare` makes the responder's turn in its thread.
    fn run<Turn: FnMut()>(
        address: SocketAddr,
        cpu: Option<usize>,
        prepare: impl FnOnce() -> Turn + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(THREAD_NAME.into())
            .spawn(move || {
                if let Some(id) = cpu {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                let mut turn = prepare();
                while !stopped.load(Ordering::Relaxed) {
                    turn();
                }
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it answers.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that ended badly has nothing to say here.
            let _ = thread.join();
        }
    }
}

fn answer(port: &UdpPort, burst: &mut Burst) {
    let Ok(received @ 1..) = port.receive(burst) else {
        return;
    };
    let now = now();
    for slot in 0..received {
        let datagram = burst.datagram(slot);
        swap(burst.payload_mut(slot, datagram.len), now);
        burst.keep(slot, &datagram, datagram.len, false);
    }
    port.transmit(burst);
}

fn answer_frames(port: &mut PacketPort) {
    let mut read = None;
    let came = port.answer(BURST, |request, reply| {
        let room = reply.get_mut(..request.len())?;
        room.copy_from_slice(request);
        let now = *read.get_or_insert_with(now);
        frame::turn(room, |payload| swap(payload, now)).then_some(request.len())
    });
    if came > 0 {
        // What the driver refuses shows as lost.
        let _ = port.transmit();
    }
}

fn now() -> NtpTimestamp {
    let now = clock::realtime();
    NtpTimestamp::from_unix(now.secs, now.nanos)
}

/// Makes a reply of a request, as little as a client takes for one. What is no request stays as it is.
fn swap(packet: &mut [u8], now: NtpTimestamp) {
    let Some(header) = packet.first_chunk_mut() else {
        return;
    };
    let request = HeaderView::new(header);
    let (version, origin) = (request.version(), request.transmit_timestamp());
    let mut reply = HeaderMut::new(header);
    reply.set_first(LeapIndicator::NoWarning, version, Mode::Server);
    reply.set_stratum(1);
    reply.set_origin_timestamp(origin);
    reply.set_receive_timestamp(now);
    reply.set_transmit_timestamp(now);
}
