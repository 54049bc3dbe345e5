//! The program in XDP, run by the kernel frame by frame without an interface: the answers are the responder's.

#![cfg(feature = "xdp")]

#[path = "fastpath/answers.rs"]
mod answers;
#[path = "fastpath/differential.rs"]
mod differential;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "support/keys.rs"]
mod keys;
#[path = "fastpath/policies.rs"]
mod policies;
#[path = "fastpath/world.rs"]
mod world;
