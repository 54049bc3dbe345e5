//! chronyc's protocol (floor 3): bytes to reports and back. No socket, no clock.
//!
//! A client sends a request padded to the length of the reply it wants, with a random sequence number
//! that the reply repeats; it asks again when none comes. The same types serve both ends: we ask a
//! chronyd beside us how its clock is doing, and answer the same question ourselves.

pub mod float;
mod packet;
mod report;

pub use packet::{
    BadReply, Command, PROTOCOL_VERSION, REPLY_HEADER_LEN, REQUEST_HEADER_LEN, Reply, ReplyHeader,
    RequestHeader, Status,
};
pub use report::{TRACKING_REPLY_LEN, TRACKING_REQUEST_LEN, TrackingReport, tracking_request};
