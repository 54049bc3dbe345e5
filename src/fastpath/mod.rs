//! The second datapath (floor 4, cargo feature `xdp`): requests are answered and signed in XDP, where the network card's
//! driver hands them over, before a socket exists.
//!
//! The program (`respond.bpf.c`) decides what it can decide as [`Responder`](crate::server::Responder) would, and passes
//! everything else up to the sockets untouched. What it knows is in maps (`layout.rs`): a record that the timekeeper
//! publishes and that is valid for some seconds only, who may ask (`prefixes.rs`), keys. `load.rs` writes and reads them,
//! `attach.rs` puts the program at an interface.

#[cfg(not(feature = "xdp"))]
mod absent;
mod attach;
mod error;
#[cfg(feature = "xdp")]
mod layout;
#[cfg(feature = "xdp")]
mod load;
#[cfg(feature = "xdp")]
mod prefixes;
mod program;

#[cfg(not(feature = "xdp"))]
pub use absent::Program;
pub use attach::Attachment;
pub use error::FastPathError;
#[cfg(feature = "xdp")]
pub use load::{FrameVerdict, Program};
pub use program::{PASSED_REASONS, ProgramCounts, ProgramOptions, Terms};
