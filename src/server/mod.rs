//! What a server does with a datagram: decisions, no I/O, no clock, no allocation after start (floor 2).
//!
//! The path of a request, in [`Responder::prepare`]: length and version; the split into header,
//! extension fields and MAC; the access table; the mode; our own policies (silent while unsynchronised,
//! authentication required); the client table and the rate limit; the MAC. Each test that fails is one
//! [`DropReason`] and one counter. What passes is overwritten by its reply, which [`Responder::seal`]
//! stamps and signs as late as can be. A reply is never longer than its request.

mod access;
mod chance;
mod clients;
mod interleaved;
mod outcome;
mod ratelimit;
mod responder;

pub use access::{AccessRule, AccessTable, Subnet};
pub use chance::Chance;
pub use clients::{Client, ClientTable, ClientsAsked, ClientsListing, Interval};
pub use interleaved::{InterleavedHeld, InterleavedTable};
pub use outcome::{DropReason, Exchange, Outcome, Plan};
pub use ratelimit::{Admit, RateLimit, RateLimiter};
pub use responder::{Arrival, Responder, ResponderParts};
