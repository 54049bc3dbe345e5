//! The client (floor 2): what is asked of a source, what its replies are worth, which sources are believed.
//!
//! No socket, no clock, no randomness: moments, bytes and random bits come as arguments.

mod sample;

pub use sample::Sample;
