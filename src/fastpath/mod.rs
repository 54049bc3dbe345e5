//! The second datapath (floor 4, cargo feature `xdp`): requests are answered and signed in XDP, where the network card's
//! driver hands them over, before a socket exists.
//!
//! The program (`respond.bpf.c`) decides what it can decide as [`Responder`](crate::server::Responder) would, and
//! passes everything else up to the sockets untouched.

mod layout;
mod load;

pub use layout::{RECORD_LEN, Terms, record};
pub use load::{FastPath, FastPathError, FrameVerdict};
