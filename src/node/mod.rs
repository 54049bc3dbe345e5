//! The node's surface as the command line calls it.

mod files;

use std::path::PathBuf;

pub use files::Files;

use crate::config::{Config, Notice};
// For `maser keygen`: floor 5 does not reach `sys`.
pub use crate::sys::random;

/// What the command line says beside the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where log lines go.
    pub log: LogOptions,
    /// Whether neither a file nor a directive was given.
    pub embedded_default: bool,
}

/// Where log lines go, and which.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// `-l`; `None` is stderr.
    pub file: Option<PathBuf>,
    /// `-L`: -1 debug, 0 information, 1 warning, 2 error, 3 fatal.
    pub level: i8,
}

/// Why the node cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("this build has no workers: {0} notices unsaid")]
pub struct Fatal(usize);

/// Serves until told to end.
///
/// # Errors
/// Always: this build has the command line only.
pub fn serve(_: Config, notices: Vec<Notice>, _: Options) -> Result<(), Fatal> {
    Err(Fatal(notices.len()))
}
