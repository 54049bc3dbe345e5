//! What a configuration takes of this machine's memory, for `maser serve -p`.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::SocketAddr;

use super::counters::WorkerCounters;
use super::placement::{Placement, PlacementError};
use super::ports::{BUFFER_BYTES, addresses};
use super::tables::STACK_BYTES;
use super::{ClientLog, KeyUse, Worker, keys};
use crate::auth::KeyStore;
use crate::config::Config;
use crate::server::{AccessTable, ClientTable, InterleavedTable};
use crate::sys::{PortOptions, UdpPort};

/// Bytes by what they are for. Displayed as comment lines of a configuration.
#[derive(Debug)]
pub struct Memory {
    placement: Result<Placement, PlacementError>,
    workers: usize,
    worker: WorkerMemory,
    /// Keys, and bytes of all together.
    keys: (usize, usize),
    /// Sockets of a worker.
    sockets: usize,
    /// What the kernel lets the queues of one socket grow to, in and out.
    queues: io::Result<(usize, usize)>,
}

/// A worker's, without its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WorkerMemory {
    bursts: usize,
    ports: usize,
    clients: usize,
    interleaved: usize,
    access: usize,
    counters: usize,
    key_use: usize,
}

impl Memory {
    /// Of `config` on this machine. Nothing of it is allocated for this, but the keys are read, and one
    /// socket is opened on loopback to see how large a queue may be.
    pub fn of(config: &Config) -> Self {
        let placement = Placement::here(config);
        let (server, runtime) = (&config.server, &config.runtime);
        let workers = match &placement {
            Ok(placement) => placement.cores.len(),
            Err(_) => runtime.workers.unwrap_or(runtime.cpus.len()),
        };
        let sockets = addresses(server).len();
        let log = ClientLog::share(server, workers);
        let access = [&server.access, &server.require_auth];
        let access = access.map(|rules| AccessTable::new(rules).memory_bytes());
        let keys = config.key_file.as_deref().map(keys::load);
        let keys = keys.map_or_else(KeyStore::default, |(keys, _)| KeyStore::new(&keys).0);
        Self {
            placement,
            workers,
            worker: WorkerMemory {
                bursts: Worker::burst_bytes(runtime.burst),
                ports: Worker::port_bytes(sockets),
                clients: log.map_or(0, |log| ClientTable::bytes_for(log.clients)),
                interleaved: log.map_or(0, |log| InterleavedTable::bytes_for(log.interleaved)),
                access: access.iter().sum(),
                counters: size_of::<WorkerCounters>(),
                key_use: KeyUse::bytes_for(keys.len()),
            },
            keys: (keys.len(), keys.memory_bytes()),
            sockets,
            queues: queues(),
        }
    }

    /// Bytes of one worker: what it allocates before it serves, after which it allocates nothing. Its stack
    /// and the kernel's queues are not in it.
    pub const fn worker_bytes(&self) -> usize {
        let WorkerMemory {
            bursts,
            ports,
            clients,
            interleaved,
            access,
            counters,
            key_use,
        } = self.worker;
        bursts + ports + clients + interleaved + access + counters + key_use
    }

    /// Bytes of all workers and the keys.
    pub const fn total_bytes(&self) -> usize {
        self.workers * self.worker_bytes() + self.keys.1
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let worker = &self.worker;
        writeln!(f, "# On this machine:")?;
        match &self.placement {
            Ok(placement) => writeln!(f, "#   {placement}")?,
            Err(error) => writeln!(f, "#   it does not start: {error}")?,
        }
        writeln!(f, "# Memory in bytes:")?;
        let line = |f: &mut Formatter<'_>, what: &str, bytes: usize, of: &str| {
            let gap = if of.is_empty() { "" } else { "  " };
            writeln!(f, "#   {what:<18} {bytes:>12}{gap}{of}")
        };
        let (client, reply) = (ClientTable::CLIENT_BYTES, InterleavedTable::REPLY_BYTES);
        let held = format!("a worker remembers {}", worker.clients / client);
        line(f, "client", client, &held)?;
        let held = format!("a worker remembers {}", worker.interleaved / reply);
        line(f, "interleaved reply", reply, &held)?;
        let beside = "and a hash's secret, or the round keys of AES256";
        line(f, "key", KeyStore::KEY_BYTES, beside)?;
        let of = format!(
            "bursts {}, ports {}, clients {}, interleaved {}, access {}, counters {}, keys' {}",
            worker.bursts,
            worker.ports,
            worker.clients,
            worker.interleaved,
            worker.access,
            worker.counters,
            worker.key_use
        );
        line(f, "worker", self.worker_bytes(), &of)?;
        let used = "taken as far as it is used; with lock_all, whole";
        line(f, "worker's stack", STACK_BYTES, used)?;
        let (keys, bytes) = self.keys;
        line(
            f,
            "all keys",
            bytes,
            &format!("keys: {keys}, shared by all workers"),
        )?;
        let of = format!("workers: {}; and the keys", self.workers);
        line(f, "in sum", self.total_bytes(), &of)?;
        match &self.queues {
            Ok((receive, send)) => {
                let sockets = self.workers * self.sockets;
                let of = format!(
                    "the kernel's, when full; sockets: {sockets}, each {receive} in and {send} out"
                );
                line(f, "sockets' queues", sockets * (receive + send), &of)
            }
            Err(error) => writeln!(f, "#   sockets' queues: not known: {error}"),
        }
    }
}

/// What a socket like those of the workers may hold, in and out.
fn queues() -> io::Result<(usize, usize)> {
    let port = UdpPort::open_plain(&PortOptions {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: BUFFER_BYTES,
    })?;
    port.queue_bytes()
}
