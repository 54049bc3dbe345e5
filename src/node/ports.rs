//! Which sockets are opened: one group per address served, one socket of it per worker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{Families, ServerConfig, Steer};
use crate::server::AccessTable;
use crate::sys::steering::{Family, Program};
use crate::sys::{PortOptions, UdpPort};

/// Receive and send queue of each socket. At half a kilobyte to a kilobyte of kernel memory for a datagram
/// this holds some ten thousand: 20 ms at 500,000 requests a second.
pub(super) const BUFFER_BYTES: usize = 8 << 20;

/// An address could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else has it.
    #[error(
        "{address}: in use by another program (is a chronyd or another maser running?): stop it, or choose \
         another address or port"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1024 are root's.
    #[error(
        "{address}: not permitted: start as root or with CAP_NET_BIND_SERVICE, or choose a port above 1023"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("{address}: {error}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
}

impl PortError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            _ => Self::Other { address, error },
        }
    }
}

/// The sockets of all workers.
#[derive(Debug)]
pub(super) struct Ports {
    /// The addresses served.
    pub(super) addresses: Vec<SocketAddr>,
    /// `by_worker[w]` has a socket for each address.
    pub(super) by_worker: Vec<Vec<UdpPort>>,
}

impl Ports {
    /// Opens every socket and attaches the steering programs. `cpus[w]` is the core of worker `w`. Peers are talked to
    /// from the same port.
    ///
    /// # Errors
    /// The first address that cannot be opened.
    pub(super) fn open(
        config: &ServerConfig,
        steer: Steer,
        (cpus, has_peers): (&[usize], bool),
        key: &[u8; 40],
    ) -> Result<Self, PortError> {
        let addresses = addresses(config);
        let mut by_worker: Vec<Vec<UdpPort>> = cpus.iter().map(|_| Vec::new()).collect();
        for address in &addresses {
            let fail = |error| PortError::new(*address, error);
            let mut options = PortOptions {
                address: *address,
                device: config.bind_device.clone(),
                dscp: config.dscp,
                shared: false,
                buffer_bytes: BUFFER_BYTES,
            };
            // Sockets that share an address may be another program's too (chronyd shares): then half of
            // the requests would go there. One that does not share tells.
            drop(UdpPort::open(&options).map_err(fail)?);
            options.shared = cpus.len() > 1 || has_peers;
            for ports in &mut by_worker {
                ports.push(UdpPort::open(&options).map_err(fail)?);
            }
            let first = by_worker.first().and_then(|ports| ports.last());
            if let (Some(program), Some(port)) = (program(steer, *address, cpus, key), first) {
                port.steer(&program).map_err(fail)?;
            }
        }
        Ok(Self {
            addresses,
            by_worker,
        })
    }
}

impl Ports {
    /// All sockets belong to this user from now on.
    ///
    /// # Errors
    /// The first that cannot be given away.
    pub(super) fn give_to(&self, user_id: u32) -> io::Result<()> {
        let mut all = self.by_worker.iter().flatten();
        all.try_for_each(|port| port.give_to(user_id))
    }

    /// Has every socket look at its network card's queue itself, for `micros` microseconds.
    ///
    /// # Errors
    /// The first socket's that cannot.
    pub(super) fn busy_poll(&self, micros: u32) -> io::Result<()> {
        self.by_worker
            .iter()
            .flatten()
            .try_for_each(|port| port.busy_poll(micros))
    }
}

/// The steering program of a group, where there is something to steer.
fn program(steer: Steer, address: SocketAddr, cpus: &[usize], key: &[u8; 40]) -> Option<Program> {
    if cpus.len() < 2 {
        return None;
    }
    match steer {
        Steer::Hash => None,
        Steer::Cpu => {
            let cpus: Vec<_> = cpus
                .iter()
                .map(|cpu| u32::try_from(*cpu).unwrap_or(u32::MAX))
                .collect();
            Some(Program::receiving_cpu(&cpus))
        }
        Steer::Source => {
            let family = if address.is_ipv6() {
                Family::V6
            } else {
                Family::V4
            };
            let sockets = u32::try_from(cpus.len()).unwrap_or(u32::MAX);
            Some(Program::source_address(family, key, sockets))
        }
    }
}

/// The addresses to serve: those configured, or every address of a family; only families in which
/// somebody is allowed; none with `port 0`.
pub(super) fn addresses(config: &ServerConfig) -> Vec<SocketAddr> {
    let access = AccessTable::new(&config.access);
    let any = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let ipv6 = UdpPort::ipv6_exists();
    if !ipv6 && config.bind_addresses.iter().any(IpAddr::is_ipv6) {
        log::warn!("bindaddress: this kernel has no IPv6, so only IPv4 is served");
    }
    let wanted = if config.bind_addresses.is_empty() {
        &any[..]
    } else {
        &config.bind_addresses
    };
    wanted
        .iter()
        .filter(|address| config.port != 0 && access.allows_any_like(**address))
        .filter(|address| ipv6 || address.is_ipv4())
        .filter(|address| match config.families {
            Families::Both => true,
            Families::V4 => address.is_ipv4(),
            Families::V6 => address.is_ipv6(),
        })
        .map(|address| SocketAddr::new(*address, config.port))
        .collect()
}
