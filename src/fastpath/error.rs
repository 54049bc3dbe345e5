//! Why there is no fast path.

use std::io;

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
pub enum FastPathError {
    /// The program was built without it.
    #[error(
        "this maser was built without the fast path; build it with `cargo build --release --features xdp`"
    )]
    NotBuilt,
    /// An interface that is not there.
    #[error("there is no interface {0}")]
    NoInterface(String),
    /// Somebody else's program.
    #[error(
        "{0} has another program in XDP, which `ip link show {0}` names: take it away, or let xdp-loader (package \
         xdp-tools) load it, beside which there is room"
    )]
    Occupied(String),
    /// Another of us.
    #[error("another maser has its fast path on {0}")]
    Taken(String),
    /// The driver runs no programs, and nothing else was asked for.
    #[error(
        "the driver of {interface} cannot run it ({error}): write `fastpath {interface} generic`, or `auto`, for the \
         kernel's own, slower way"
    )]
    NoDriver {
        /// Where.
        interface: String,
        /// The kernel's reason.
        error: io::Error,
    },
    /// Anything else that the kernel refuses.
    #[error("{doing}: {error}")]
    Kernel {
        /// What was being done.
        doing: String,
        /// Its reason.
        error: io::Error,
    },
}

impl FastPathError {
    /// What was being done, and the system's reason.
    pub const fn io(doing: String, error: io::Error) -> Self {
        Self::Kernel { doing, error }
    }

    #[cfg(feature = "xdp")]
    pub(super) fn kernel(doing: String, error: &libbpf_rs::Error) -> Self {
        let kind = match error.kind() {
            libbpf_rs::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        let text = if kind == io::ErrorKind::PermissionDenied {
            format!("{error}: it takes root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")
        } else {
            error.to_string()
        };
        Self::io(doing, io::Error::new(kind, text))
    }

    /// Whether we may not, whatever the kernel can.
    pub fn is_lack_of_rights(&self) -> bool {
        match self {
            Self::Kernel { error, .. } => error.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}
