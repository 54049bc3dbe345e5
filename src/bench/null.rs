//! A server that only swaps fields: what the harness and the kernel carry without one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::sys::{Burst, PortOptions, UdpPort, clock};
use crate::wire::{HeaderMut, HeaderView, LeapIndicator, Mode, NtpTimestamp};

/// Runs until it is dropped.
pub struct NullServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// On a port of loopback that the kernel chooses, on this core.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start(cpu: Option<usize>) -> io::Result<Self> {
        let port = UdpPort::open(&PortOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 8 << 20,
        })?;
        let address = port.address();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("maser-null".into())
            .spawn(move || {
                if let Some(id) = cpu {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                let mut burst = Burst::new(64, 1144);
                while !stopped.load(Ordering::Relaxed) {
                    answer(&port, &mut burst);
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
    let now = clock::realtime();
    let now = NtpTimestamp::from_unix(now.secs, now.nanos);
    for slot in 0..received {
        let datagram = burst.datagram(slot);
        let Some(header) = burst.payload_mut(slot, datagram.len).first_chunk_mut() else {
            continue;
        };
        let request = HeaderView::new(header);
        let (version, origin) = (request.version(), request.transmit_timestamp());
        let mut reply = HeaderMut::new(header);
        reply.set_first(LeapIndicator::NoWarning, version, Mode::Server);
        reply.set_stratum(1);
        reply.set_origin_timestamp(origin);
        reply.set_receive_timestamp(now);
        reply.set_transmit_timestamp(now);
        burst.keep(slot, &datagram, datagram.len, false);
    }
    port.transmit(burst);
}
