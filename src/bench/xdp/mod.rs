//! The harness in XDP: programs in the kernel send what is due, and take and judge what comes back, a million and more
//! times a second from one core (cargo feature `xdp`).
//!
//! The kernel makes frames for a program to send (`BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18). What a thread of the harness
//! does at other rates, `load.bpf.c` does here, by the same schedule and the same names of requests; of what came, some is
//! kept whole and looked at here: checksums, and MACs.

#[cfg(feature = "xdp")]
mod course;
#[cfg(feature = "xdp")]
mod programs;

use std::io;

use super::driver::Moments;
use super::figures::Figures;
use super::plan::{Plan, Raw};

/// Time to load the programs and to sign requests beforehand, in nanoseconds.
pub(super) const PREPARATION_NS: u64 = 500_000_000;

/// What a step is made of.
#[cfg_attr(
    not(feature = "xdp"),
    expect(dead_code, reason = "there is nobody to tell")
)]
pub(super) struct XdpStep<'a> {
    pub(super) plan: &'a Plan,
    pub(super) raw: &'a Raw,
    pub(super) moments: Moments,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) seed: u64,
}

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// The program was built without it.
    #[error(
        "this maser was built without XDP; build it with `cargo build --release --features xdp`"
    )]
    NotBuilt,
    /// The interface has nothing at its other end.
    #[error("{0}: the interface is down, or nothing is at its other end")]
    Down(String),
    /// Somebody else's program is there.
    #[error(
        "{0}: another program is in XDP there, which `ip link show {0}` names: take it away first"
    )]
    Taken(String),
    /// Frames that programs make would vanish there.
    #[error(
        "{0}: the interface does not send frames that programs make; at the other end of a veth one must be \
         attached, such as the server's or `maser bench --echo`"
    )]
    SendsNone(String),
    /// The kernel, or libbpf.
    #[error("{doing}: {error}")]
    Kernel {
        /// What was being done.
        doing: String,
        /// Its reason.
        error: io::Error,
    },
}

impl From<XdpError> for io::Error {
    fn from(error: XdpError) -> Self {
        Self::other(error)
    }
}

/// Runs a step; its figures, and the bytes of tables.
#[cfg(feature = "xdp")]
pub(super) fn run(step: &XdpStep<'_>) -> Result<(Figures, usize), XdpError> {
    programs::Programs::load(step)?.run(step)
}

/// Nothing runs that is not there.
#[cfg(not(feature = "xdp"))]
pub(super) const fn run(_: &XdpStep<'_>) -> Result<(Figures, usize), XdpError> {
    Err(XdpError::NotBuilt)
}

/// A bare echo in XDP at an interface, as long as this lives: the ceiling of harness and kernel.
#[cfg(feature = "xdp")]
pub struct Echo {
    _links: programs::Link,
}

/// A bare echo in XDP, which is not there.
#[cfg(not(feature = "xdp"))]
pub enum Echo {}

impl Echo {
    /// Puts it there.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    #[cfg(feature = "xdp")]
    pub fn start(interface: &str) -> Result<Self, XdpError> {
        let links = programs::echo(interface)?;
        Ok(Self { _links: links })
    }

    /// Nothing starts that is not there.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "xdp"))]
    pub const fn start(_: &str) -> Result<Self, XdpError> {
        Err(XdpError::NotBuilt)
    }
}
