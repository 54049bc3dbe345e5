//! Where chronyc finds us: UDP ports, and a socket in the file system whose folder says who may.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::config::{CommandConfig, Config, Follow};
use crate::control::REQUEST_LEN_MAX;
use crate::sys::{Burst, PortOptions, UdpPort, process};

/// All of them, opened.
pub(in crate::node) struct CommandPorts {
    udp: Vec<UdpPort>,
    local: Option<LocalPort>,
    burst: Burst,
}

/// The socket in the file system; it goes with the program.
struct LocalPort {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who has sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Sender {
    /// By the socket in the file system.
    Local,
    /// By UDP.
    Address(IpAddr),
}

impl CommandPorts {
    /// Opens what can be opened; what cannot is told, and the node goes on without.
    pub(in crate::node) fn open(config: &Config) -> Self {
        let command = &config.command;
        let mut udp = Vec::new();
        for address in addresses(config) {
            let options = PortOptions {
                address,
                device: command.device.clone(),
                dscp: 0,
                shared: false,
                buffer_bytes: BUFFER_BYTES,
            };
            match UdpPort::open(&options) {
                Ok(port) => udp.push(port),
                Err(error) => log::warn!(
                    "commands: {address}: {error}: chronyc does not find us there; `cmdport` and `bindcmdaddress` choose \
                     another place"
                ),
            }
        }
        Self {
            udp,
            local: command.path.as_deref().and_then(|path| local(path, config)),
            burst: Burst::new(PACKETS, REQUEST_LEN_MAX + 4),
        }
    }

    /// None, for a program that ends soon.
    pub(in crate::node) fn none() -> Self {
        Self {
            udp: Vec::new(),
            local: None,
            burst: Burst::new(1, 1),
        }
    }

    /// What becomes readable when there is a request; their order is that of [`ready`](Self::ready).
    pub(in crate::node) fn descriptors(&self) -> Vec<RawFd> {
        let udp = self.udp.iter().map(AsRawFd::as_raw_fd);
        let local = self.local.iter().map(|local| local.socket.as_raw_fd());
        udp.chain(local).collect()
    }

    /// Takes the requests of the port at a place, as many as one turn allows, and sends what `answer` makes of each.
    /// Whether there may be more: of those nothing becomes readable again.
    pub(in crate::node) fn ready(
        &mut self,
        place: usize,
        mut answer: impl FnMut(&[u8], Sender) -> Option<Vec<u8>>,
    ) -> bool {
        if let Some(port) = self.udp.get(place) {
            (0..TURNS).all(|_| serve_udp(port, &mut self.burst, &mut answer))
        } else if let Some(local) = &self.local {
            (0..TURNS * PACKETS).all(|_| local.serve(&mut answer))
        } else {
            false
        }
    }
}

/// Whether there may be more.
fn serve_udp(
    port: &UdpPort,
    burst: &mut Burst,
    answer: &mut impl FnMut(&[u8], Sender) -> Option<Vec<u8>>,
) -> bool {
    burst.discard();
    let Ok(received) = port.receive(burst) else {
        return true; // An error that a stranger caused; the next one may be a request.
    };
    for slot in 0..received {
        let datagram = burst.datagram(slot);
        let request = burst.payload_mut(slot, datagram.len);
        let Some(reply) = answer(request, Sender::Address(datagram.peer)) else {
            continue;
        };
        burst.payload_mut(slot, reply.len()).copy_from_slice(&reply);
        burst.keep(slot, &datagram, reply.len(), false);
    }
    if burst.kept() > 0 {
        port.transmit(burst);
    }
    received > 0
}

impl LocalPort {
    fn serve(&self, answer: &mut impl FnMut(&[u8], Sender) -> Option<Vec<u8>>) -> bool {
        let mut request = [0; REQUEST_LEN_MAX + 4];
        let Ok((len, from)) = self.socket.recv_from(&mut request) else {
            return false;
        };
        let reply = request
            .get(..len)
            .and_then(|request| answer(request, Sender::Local));
        if let (Some(reply), Some(_)) = (reply, from.as_pathname()) {
            // Whoever is gone gets no answer.
            let _ = self.socket.send_to_addr(&reply, &from);
        }
        true
    }
}

fn addresses(config: &Config) -> Vec<SocketAddr> {
    let command = &config.command;
    // A chronyd beside us has the port.
    let is_beside = matches!(config.time.follow, Some(Follow::Chronyd(_)));
    let usual = if is_beside { 0 } else { PORT };
    let port = command.port.unwrap_or(usual);
    if port == 0 {
        return Vec::new();
    }
    let has_v6 = UdpPort::ipv6_exists();
    let all = command.addresses.iter();
    let all = all.filter(|address| address.is_ipv4() || has_v6);
    all.map(|address| SocketAddr::new(*address, port)).collect()
}

/// The socket in the file system. Its folder must be ours and nobody else's, or others could take its place.
fn local(path: &Path, config: &Config) -> Option<LocalPort> {
    let is_usual = config.command.path == CommandConfig::default().path;
    let opened = owner(config).and_then(|owner| bind(path, owner));
    match opened {
        Ok(local) => Some(local),
        // Not everybody has a folder for it.
        Err(error) if is_usual => {
            log::debug!("commands: {}: {error}", path.display());
            None
        }
        Err(error) => {
            log::warn!("commands: {}: {error}", path.display());
            None
        }
    }
}

/// Who we are once we have become `user`.
///
/// # Errors
/// There is no such user; the system's reason.
pub(in crate::node) fn owner(config: &Config) -> io::Result<u32> {
    match &config.runtime.user {
        Some(user) if process::is_root() => process::user_id(user),
        _ => Ok(std::fs::metadata("/proc/self")?.uid()),
    }
}

/// Makes sure that a socket can be bound here and nobody can take its place: the folder is `owner`'s, closed to others,
/// and no socket of an earlier run is left in it.
///
/// # Errors
/// The folder is not so; the system's reason.
pub(in crate::node) fn claim(path: &Path, owner: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let found = std::fs::metadata(folder)?;
    if found.uid() != owner || found.mode() & OTHERS != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} must belong to the user that maser runs as and be closed to others (mode 0770 or less)",
                folder.display()
            ),
        ));
    }
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Who may walk into the folder may write to the socket.
///
/// # Errors
/// The system's reason.
pub(in crate::node) fn open_to_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

fn bind(path: &Path, owner: u32) -> io::Result<LocalPort> {
    claim(path, owner)?;
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    open_to_all(path)?;
    Ok(LocalPort {
        socket,
        path: path.to_owned(),
    })
}

/// chronyd's.
const PORT: u16 = 323;
const OTHERS: u32 = 0o007;
const PACKETS: usize = 8;
/// Bursts of one turn: the clock must not wait for whoever asks.
const TURNS: usize = 4;
const BUFFER_BYTES: usize = 1 << 17;
