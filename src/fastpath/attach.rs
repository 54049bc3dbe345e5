//! The program at its interface: put there, handed on from one run of `maser` to the next, taken away.
//!
//! The link has a name in the file system of programs, so the program stays when we are killed: it answers as long as its
//! last record is valid, and then passes all up. The next run finds the link, and puts its own program there between two
//! frames.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use super::error::FastPathError;
use crate::config::FastPathMode;
use crate::sys::bpf::{self, XdpMode};

/// The program at an interface.
#[derive(Debug)]
pub struct Attachment {
    interface: String,
    link: OwnedFd,
    /// The link's name, if it has one.
    pin: Option<PathBuf>,
    /// Who is to run the program.
    asked: FastPathMode,
    /// `None`: as an earlier run has put it there.
    mode: Option<XdpMode>,
    /// The link still has the program of an earlier run.
    is_former: bool,
    /// It is to be taken away when this goes.
    ends: bool,
    /// Held while we are there.
    lock: Option<UnixDatagram>,
}

impl Attachment {
    /// Puts the program there; or, where an earlier run's is, finds that and leaves it until
    /// [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// There is no such interface, it is taken, or the kernel refuses.
    pub fn new(
        interface: &str,
        mode: FastPathMode,
        program: BorrowedFd<'_>,
    ) -> Result<Self, FastPathError> {
        let number = bpf::interface_number(interface)
            .map_err(|_| FastPathError::NoInterface(interface.to_owned()))?;
        let lock = lock(interface, number)?;
        let pin = pin_path(interface);
        if let Some(path) = &pin {
            if let Some(link) = former(path, number) {
                return Ok(Self {
                    interface: interface.to_owned(),
                    link,
                    pin,
                    asked: mode,
                    mode: None,
                    is_former: true,
                    ends: false,
                    lock: Some(lock),
                });
            }
            // A name without a link that does anything.
            let _ = fs::remove_file(path);
        }
        let (link, run_by) = attach(interface, number, mode, program)?;
        let pin = pin.filter(|path| match name(&link, path) {
            Ok(()) => true,
            Err(error) => {
                log::warn!(
                    "fastpath {interface}: {}: {error}: the fast path ends with this process",
                    path.display()
                );
                false
            }
        });
        Ok(Self {
            interface: interface.to_owned(),
            link,
            pin,
            asked: mode,
            mode: Some(run_by),
            is_former: false,
            ends: true,
            lock: Some(lock),
        })
    }

    /// Its interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Who runs it; `None`: whoever did for the earlier run.
    pub const fn mode(&self) -> Option<XdpMode> {
        self.mode
    }

    /// Whether the program of an earlier run is still there.
    pub const fn is_former(&self) -> bool {
        self.is_former
    }

    /// Puts our program in the place of the one of an earlier run.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take_over(&mut self, program: BorrowedFd<'_>) -> Result<(), FastPathError> {
        bpf::update_link(self.link.as_fd(), program)
            .map_err(|error| FastPathError::io(self.interface.clone(), error))?;
        self.is_former = false;
        self.ends = true;
        Ok(())
    }

    /// Whether the interface has gone, and the link with it: one of the same name may come again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_gone(&self) -> Result<bool, FastPathError> {
        let number = bpf::interface_of_link(self.link.as_fd());
        let number = number.map_err(|error| FastPathError::io(self.interface.clone(), error))?;
        Ok(number == 0)
    }

    /// Puts the program to the interface that has the name of the one that has gone.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn come_again(&mut self, program: BorrowedFd<'_>) -> Result<(), FastPathError> {
        // What it held is nobody's now, the name of the link too.
        self.lock = None;
        let again = Self::new(&self.interface, self.asked, program)?;
        self.ends = false;
        *self = again;
        Ok(())
    }

    /// Leaves it there, for the next run.
    pub const fn stay(&mut self) {
        self.ends = false;
    }

    /// Takes it away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn detach(&mut self) -> Result<(), FastPathError> {
        self.ends = false;
        if let Some(path) = &self.pin {
            // Not ours to remove any more where root has gone: then the next run does.
            let _ = fs::remove_file(path);
            // And its folder, which is of this namespace, unless others' links are there.
            let _ = path.parent().map(fs::remove_dir);
        }
        bpf::detach_link(self.link.as_fd())
            .map_err(|error| FastPathError::io(self.interface.clone(), error))
    }
}

impl Drop for Attachment {
    /// Where the node does not come to serve, nothing of it stays.
    fn drop(&mut self) {
        if self.ends
            && let Err(error) = self.detach()
        {
            log::error!("fastpath: {error}");
        }
    }
}

fn attach(
    interface: &str,
    number: u32,
    mode: FastPathMode,
    program: BorrowedFd<'_>,
) -> Result<(OwnedFd, XdpMode), FastPathError> {
    let refused = |error: io::Error| {
        if is_occupied(&error) {
            return FastPathError::Occupied(interface.to_owned());
        }
        FastPathError::NoDriver {
            interface: interface.to_owned(),
            error,
        }
    };
    let generic = || {
        let link = bpf::link_xdp(program, number, XdpMode::Generic);
        link.map_err(|error| {
            if is_occupied(&error) {
                return FastPathError::Occupied(interface.to_owned());
            }
            FastPathError::io(format!("{interface} generic"), error)
        })
    };
    match mode {
        FastPathMode::Generic => Ok((generic()?, XdpMode::Generic)),
        FastPathMode::Native | FastPathMode::Auto => {
            match bpf::link_xdp(program, number, XdpMode::Native).map_err(refused) {
                Ok(link) => Ok((link, XdpMode::Native)),
                Err(FastPathError::NoDriver { error, .. }) if mode == FastPathMode::Auto => {
                    log::warn!(
                        "fastpath {interface}: the driver cannot run it ({error}): the kernel does, which is slower"
                    );
                    Ok((generic()?, XdpMode::Generic))
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// Another program is there: run by the same, or by the other of driver and kernel.
fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists
    )
}

/// The link of an earlier run, if it still does anything at this interface.
fn former(path: &Path, number: u32) -> Option<OwnedFd> {
    let link = bpf::open_pinned(path).ok()?;
    let interface = bpf::interface_of_link(link.as_fd()).ok()?;
    (interface == number).then_some(link)
}

fn name(link: &OwnedFd, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    bpf::pin(link.as_fd(), path)
}

/// Interfaces of other network namespaces have the same names and numbers.
fn pin_path(interface: &str) -> Option<PathBuf> {
    let namespace = fs::metadata("/proc/self/ns/net").ok()?.ino();
    let folder = Path::new(FOLDER).join(namespace.to_string());
    Some(folder.join(interface))
}

/// An abstract name of a socket is one of our network namespace, and free again as soon as we end, however that is.
fn lock(interface: &str, number: u32) -> Result<UnixDatagram, FastPathError> {
    let bound = SocketAddr::from_abstract_name(format!("maser-fastpath-{number}"))
        .and_then(|address| UnixDatagram::bind_addr(&address));
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => FastPathError::Taken(interface.to_owned()),
        _ => FastPathError::io(format!("{interface}: its lock"), error),
    })
}

/// In the file system of programs.
const FOLDER: &str = "/sys/fs/bpf/maser";
