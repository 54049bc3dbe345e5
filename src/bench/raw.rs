//! Requests as whole frames, past the kernel's network stack: many source addresses, high rates.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::carrier::{Arrival, BURST};
use super::clients::Client;
use super::frame::Framing;
use super::plan::{Plan, Raw};
use crate::sys::steering::Family;
use crate::sys::{PacketOptions, PacketPort};

/// Frames of each ring: at a million a second, a 60th of a second.
const FRAMES: usize = 1 << 14;
/// The first source port; each thread has the next so many.
const FIRST_PORT: u16 = 20_000;

/// A thread's rings.
pub(super) struct RawCarrier {
    port: PacketPort,
    framing: Framing,
    /// Asked from by clients for whom the kernel would choose the address.
    own: IpAddr,
    first_port: u16,
    ports: u16,
    spoofed: Box<[IpAddr]>,
}

impl RawCarrier {
    pub(super) fn open(plan: &Plan, raw: &Raw, thread: usize) -> io::Result<Self> {
        let room = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let ports = u16::try_from(plan.ports.max(1)).map_err(io::Error::other)?;
        let first_port = usize::from(ports) * thread + usize::from(FIRST_PORT);
        let first_port = u16::try_from(first_port).map_err(|_| room("too many ports"))?;
        let last_port = first_port
            .checked_add(ports - 1)
            .ok_or_else(|| room("too many ports"))?;
        let own = plan.sources.first().copied();
        let port = PacketPort::open(&PacketOptions {
            interface: &raw.interface,
            family: match plan.target {
                SocketAddr::V4(_) => Family::V4,
                SocketAddr::V6(_) => Family::V6,
            },
            from_port: Some(plan.target.port()),
            to_ports: first_port..=last_port,
            frames: FRAMES,
        })?;
        if raw.source.is_some() {
            port.hear_all()?;
        }
        Ok(Self {
            framing: Framing::new(
                raw.source.unwrap_or(port.hardware_address()),
                raw.destination,
                plan.target,
            ),
            port,
            own: own.ok_or_else(|| room("no source addresses"))?,
            first_port,
            ports,
            spoofed: raw.spoofed.clone().into(),
        })
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "taken modulo 16 bits")]
    pub(super) fn start(&mut self, client: Client, payload: &[u8]) -> bool {
        let port = self.first_port + client.port as u16 % self.ports;
        let source = (client.source.unwrap_or(self.own), port);
        let framing = &self.framing;
        self.port
            .start(|frame| framing.write(frame, source, payload))
    }

    #[inline]
    pub(super) fn start_spoofed(&mut self, draw: u32, payload: &[u8]) -> bool {
        let Some(source) = self.spoofed.get(draw as usize % self.spoofed.len().max(1)) else {
            return false;
        };
        // Any port above the privileged ones.
        let port = 1024 + (draw >> 16).to_le_bytes()[0] as u16 * 251;
        let (framing, source) = (&self.framing, (*source, port));
        self.port
            .start(|frame| framing.write(frame, source, payload))
    }

    #[inline]
    pub(super) fn flush(&mut self) -> usize {
        let mut refused = 0;
        while self.port.started() > 0 && refused < BURST {
            match self.port.transmit() {
                Ok(()) => break,
                // Its queue is full: what is left goes with the next call.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => refused += 1,
            }
        }
        refused
    }

    #[inline]
    pub(super) fn receive(&mut self, mut take: impl FnMut(Option<Arrival<'_>>)) -> usize {
        let framing = &self.framing;
        self.port.receive(BURST, |frame| {
            let payload = framing.payload(frame.bytes);
            take(payload.map(|payload| Arrival {
                payload,
                len: payload.len() + frame.wire_len.saturating_sub(frame.bytes.len()),
                stamp: Some(frame.stamp),
            }));
        })
    }

    pub(super) fn dropped(&self) -> u64 {
        u64::from(self.port.dropped().unwrap_or(0))
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        self.port.memory_bytes()
    }
}
