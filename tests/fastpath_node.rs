//! A running node with its fast path at a veth: what the kernel answers, what sockets answer, and who does when either
//! comes or goes.
//!
//! Each test is run again by itself in the network namespace of the clients, so that its own sockets are theirs.

#![cfg(feature = "xdp")]

#[path = "fastpath_node/asker.rs"]
mod asker;
#[path = "fastpath_node/bench.rs"]
mod bench;
#[path = "fastpath_node/departure.rs"]
mod departure;
#[path = "fastpath_node/liars.rs"]
mod liars;
#[path = "fastpath_node/load.rs"]
mod load;
#[path = "fastpath_node/orders.rs"]
mod orders;
#[path = "fastpath_node/packets.rs"]
mod packets;
#[path = "fastpath_node/refusals.rs"]
mod refusals;
#[path = "fastpath_node/restart.rs"]
mod restart;
#[path = "fastpath_node/rotation.rs"]
mod rotation;
#[path = "fastpath_node/same.rs"]
mod same;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;
#[path = "fastpath_node/tags.rs"]
mod tags;
#[path = "fastpath_node/wire.rs"]
mod wire;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "fastpath/world.rs"]
mod world;

use support::keys;
