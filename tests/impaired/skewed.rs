//! A server whose clock is off from this machine's by a known line.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use maser::auth::KeyStore;
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, InterleavedTable, Outcome, Responder,
    ResponderParts, Subnet,
};
use maser::sys::{Burst, PortOptions, Timespec, UdpPort, clock};
use maser::wire::{
    Correction, LeapIndicator, NtpDuration, NtpTimestamp, PACKET_LEN_MAX, RawTime, ReferenceId,
    SystemVariables,
};

/// What the clock is off by, and what the server says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skew {
    /// Seconds ahead of this machine's clock, when the server began.
    pub(crate) offset_s: f64,
    /// How much faster it runs, as a fraction.
    pub(crate) frequency: f64,
    pub(crate) stratum: u8,
    pub(crate) leap: LeapIndicator,
    pub(crate) root_delay_s: f64,
    pub(crate) root_dispersion_s: f64,
    /// It does not answer.
    pub(crate) is_silent: bool,
}

impl Default for Skew {
    fn default() -> Self {
        Self {
            offset_s: 0.0,
            frequency: 0.0,
            stratum: 1,
            leap: LeapIndicator::NoWarning,
            root_delay_s: 0.0,
            root_dispersion_s: 10e-6,
            is_silent: false,
        }
    }
}

/// A running server; it ends with the value.
pub(crate) struct SkewedServer {
    address: SocketAddr,
    began: RawTime,
    skew: Arc<Mutex<Skew>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SkewedServer {
    /// Serves at a port of `ip`; 0: one that is free.
    pub(crate) fn start(ip: IpAddr, port: u16, skew: Skew, keys: KeyStore) -> Self {
        let port = UdpPort::open(&PortOptions {
            address: SocketAddr::new(ip, port),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 1 << 20,
        })
        .expect("a port");
        let address = port.address();
        let shared = Arc::new(Mutex::new(skew));
        let stop = Arc::new(AtomicBool::new(false));
        let began = raw(clock::realtime());
        let (seen, ends) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut serving = Serving {
                port,
                burst: Burst::new(8, PACKET_LEN_MAX + 4),
                responder: responder(keys),
                skew: seen,
                began,
            };
            while !ends.load(Ordering::Relaxed) {
                if serving.turn() == 0 {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
        });
        Self {
            address,
            began,
            skew: shared,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// By how much its clock is ahead of this machine's at a moment of that.
    pub(crate) fn ahead_s(&self, at: RawTime) -> f64 {
        let skew = self.skew.lock().expect("nobody panics with it");
        let elapsed_s = (at.0 - self.began.0).to_seconds();
        elapsed_s.mul_add(skew.frequency, skew.offset_s)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Skew)) {
        change(&mut self.skew.lock().expect("nobody panics with it"));
    }
}

impl Drop for SkewedServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server works");
        }
    }
}

struct Serving {
    port: UdpPort,
    burst: Burst,
    responder: Responder,
    skew: Arc<Mutex<Skew>>,
    began: RawTime,
}

impl Serving {
    fn turn(&mut self) -> usize {
        let received = self.port.receive(&mut self.burst).expect("its own socket");
        if received == 0 {
            return 0;
        }
        let skew = *self.skew.lock().expect("nobody panics with it");
        let now = clock::realtime();
        self.responder.renew(&self.variables(&skew, now), raw(now));
        for slot in 0..received {
            let datagram = self.burst.datagram(slot);
            let arrival = Arrival {
                peer: datagram.peer,
                port: datagram.port,
                received: raw(datagram.stamp.software.unwrap_or(now)),
                waited_ns: 0,
                monotonic_ns: clock::monotonic_ns(),
            };
            let packet = self.burst.payload_mut(slot, datagram.len);
            let Outcome::Answer(plan) = self.responder.prepare(&arrival, packet) else {
                continue;
            };
            if skew.is_silent {
                continue;
            }
            let reply = self.burst.payload_mut(slot, plan.len);
            self.responder.seal(&plan, raw(clock::realtime()), reply);
            self.burst.keep(slot, &datagram, plan.len, false);
            self.port.transmit(&mut self.burst);
        }
        received
    }

    fn variables(&self, skew: &Skew, now: Timespec) -> SystemVariables {
        let correction = Correction {
            epoch: self.began,
            offset: NtpDuration::from_seconds(skew.offset_s),
            slope: NtpDuration::from_seconds(skew.frequency).to_bits(),
        };
        SystemVariables {
            leap: skew.leap,
            stratum: skew.stratum,
            reference_id: ReferenceId::from_bytes(*b"SKEW"),
            reference_timestamp: correction.cook(raw(now)).0,
            root_delay: NtpDuration::from_seconds(skew.root_delay_s),
            root_dispersion: NtpDuration::from_seconds(skew.root_dispersion_s),
            correction,
            ..SystemVariables::not_synchronised(-23)
        }
    }
}

fn responder(keys: KeyStore) -> Responder {
    let everybody = |allow| {
        AccessTable::new(&[AccessRule {
            subnet: Subnet::Any,
            allow,
            all: false,
        }])
    };
    Responder::new(ResponderParts {
        access: everybody(true),
        require_auth: everybody(false),
        clients: Some(ClientTable::new(1 << 12, [3; 16])),
        interleaved: Some(InterleavedTable::new(1 << 12)),
        limiter: None,
        poll_min: None,
        keys: Arc::new(keys),
        silent_unsynchronised: false,
        chance: Chance::new(77),
    })
}

fn raw(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}
