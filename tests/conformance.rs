//! What a server must do with each kind of request: one test per rule, over real sockets on loopback.
//!
//! Rules of RFC 5905, 7822 and 8573, and chrony's where they leave it open. With
//! `MASER_CONFORMANCE_SERVER=chronyd` the same rules are tried on chronyd: then counters, and what only
//! our server has, are left out.

#[path = "conformance/interleaved.rs"]
mod interleaved;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/reply.rs"]
mod reply;
#[path = "conformance/request.rs"]
mod request;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;
#[path = "conformance/trailer.rs"]
mod trailer;

const CLIENT: u8 = 3;
/// A departure time in 2021, as a device says it that has just started.
const T1: u64 = 0xe395_2300_4a6b_17c3;

/// The node, or the end of a test that has none to ask.
macro_rules! some {
    ($node:expr) => {
        match $node {
            Some(node) => node,
            None => return,
        }
    };
}

pub(crate) use some;

/// A request signed by the key that devices use.
fn signed(packet: &[u8]) -> Vec<u8> {
    support::keys::AES128.sign(packet)
}
