//! What a server does with a datagram: decisions, no I/O, no clock (floor 2).

pub mod access;
mod ratelimit;

pub use access::{AccessRule, AccessTable, Subnet};
pub use ratelimit::RateLimit;
