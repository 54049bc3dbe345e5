//! Associations against a server and against each other, over links that lose, delay, double, reorder and forge.
//!
//! Time is virtual and chance is seeded: a failure names its seed and comes again.

#[path = "exchange/link.rs"]
mod link;
#[path = "exchange/peers.rs"]
mod peers;
#[path = "exchange/server.rs"]
mod server;
