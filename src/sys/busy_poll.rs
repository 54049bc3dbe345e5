//! Busy polling: whoever asks a socket or waits in an epoll looks at the network card's queue itself, and the card's
//! interrupts stay off meanwhile (the kernel's documentation of NAPI).

use std::io;
use std::os::fd::AsRawFd;

use super::{UdpPort, check, named, set_option};

/// Packets that one look takes in at most. More than the kernel's own weight, 64, takes a privilege.
const BUDGET: u16 = 64;

impl UdpPort {
    /// A receiving call that finds nothing looks at the queue of the card that the last datagram came from, once,
    /// since the port does not wait.
    ///
    /// # Errors
    /// The system's reason: it takes CAP_NET_ADMIN, and Linux 5.11.
    pub fn busy_poll(&self, micros: u32) -> io::Result<()> {
        let micros = libc::c_int::try_from(micros).unwrap_or(libc::c_int::MAX);
        let level = libc::SOL_SOCKET;
        set_option(self, (level, libc::SO_BUSY_POLL), &micros).map_err(named("SO_BUSY_POLL"))?;
        let on: libc::c_int = 1;
        set_option(self, (level, libc::SO_PREFER_BUSY_POLL), &on)
            .map_err(named("SO_PREFER_BUSY_POLL"))?;
        let budget = libc::c_int::from(BUDGET);
        set_option(self, (level, libc::SO_BUSY_POLL_BUDGET), &budget)
            .map_err(named("SO_BUSY_POLL_BUDGET"))
    }
}

/// Waiting in this epoll begins with looking at the card's queue for `micros`. Where the card's
/// `irq_suspend_timeout` is set, its interrupts stay off for as long as that finds packets.
///
/// # Errors
/// The system's reason: it takes Linux 6.9, and for what is preferred CAP_NET_ADMIN.
pub fn busy_poll_epoll(epoll: &impl AsRawFd, micros: u32) -> io::Result<()> {
    let parameters = libc::epoll_params {
        busy_poll_usecs: micros,
        busy_poll_budget: BUDGET,
        prefer_busy_poll: 1,
        __pad: 0,
    };
    // SAFETY: the kernel reads one `epoll_params`, which this call passes by a pointer to a local one.
    check(unsafe { libc::ioctl(epoll.as_raw_fd(), libc::EPIOCSPARAMS, &raw const parameters) })
        .map_err(named("EPIOCSPARAMS"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd, OwnedFd};

    use super::*;
    use crate::sys::PortOptions;

    /// 0 is allowed to everybody; more only to who may administer the network.
    #[test]
    fn the_kernel_takes_it_or_names_the_call() {
        let port = UdpPort::open_plain(&PortOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 1 << 16,
        })
        .unwrap();
        if let Err(error) = port.busy_poll(50) {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().starts_with("SO_"), "{error}");
        }
        // SAFETY: the call takes no memory.
        let epoll = check(unsafe { libc::epoll_create1(0) }).unwrap();
        // SAFETY: the descriptor is new, so nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        if let Err(error) = busy_poll_epoll(&epoll, 50) {
            assert!(error.to_string().starts_with("EPIOCSPARAMS"), "{error}");
        }
        assert!(busy_poll_epoll(&port, 50).is_err());
    }
}
