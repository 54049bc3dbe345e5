//! A socket to the port where a daemon takes chronyc's requests.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ChronydAddress;

/// UDP, or unix datagrams, for which we need a path of our own beside the daemon's.
#[derive(Debug)]
pub(super) enum ControlSocket {
    Udp(UdpSocket),
    Unix(UnixDatagram, PathBuf),
}

impl ControlSocket {
    pub(super) fn connect(address: &ChronydAddress) -> io::Result<Self> {
        match address {
            ChronydAddress::Udp(peer) => {
                let any = if peer.is_ipv6() {
                    "[::]:0"
                } else {
                    "0.0.0.0:0"
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(peer)?;
                Ok(Self::Udp(socket))
            }
            ChronydAddress::Unix(path) => {
                // Without the daemon's there is no reason to leave one of ours there, and the error says more.
                fs::metadata(path)?;
                let own = path.with_file_name(format!("maser.{}.sock", std::process::id()));
                let _ = fs::remove_file(&own);
                let socket = UnixDatagram::bind(&own)?;
                let connected = Self::Unix(socket, own.clone());
                if let Self::Unix(socket, _) = &connected {
                    // The daemon answers to this path as its own user.
                    fs::set_permissions(&own, fs::Permissions::from_mode(0o666))?;
                    socket.connect(path)?;
                }
                Ok(connected)
            }
        }
    }

    /// Receiving returns at once where nothing waits.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket, _) => socket.set_nonblocking(true),
        }
    }

    /// Receiving waits so long at most; not zero.
    pub(super) fn set_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_read_timeout(Some(wait)),
            Self::Unix(socket, _) => socket.set_read_timeout(Some(wait)),
        }
    }

    pub(super) fn send(&self, request: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(request),
            Self::Unix(socket, _) => socket.send(request),
        }
        .map(|_| ())
    }

    pub(super) fn receive(&self, reply: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(reply),
            Self::Unix(socket, _) => socket.recv(reply),
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Self::Unix(_, own) = self {
            let _ = fs::remove_file(own);
        }
    }
}
