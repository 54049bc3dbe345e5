//! chronyc's protocol (floor 3): bytes to reports and back. No socket, no clock.
//!
//! A client sends a request padded to the length of the reply it wants, with a random sequence number
//! that the reply repeats; it asks again when none comes. The same types serve both ends: we ask a
//! chronyd beside us how its clock is doing ([`client`]), and answer chronyc ourselves ([`answer`]).
//!
//! Each request has a row in one table ([`REQUESTS`]): its code, who may ask, how long it must be.

mod address;
pub mod client;
mod dispatch;
mod edition;
mod fields;
pub mod float;
mod packet;
mod reply;
mod report;
mod request;
mod status;

pub use address::{Matching, SourceAddress};
pub use dispatch::{Requester, State, answer};
pub use edition::Edition;
pub use packet::{
    BadReply, PROTOCOL_VERSION, REPLY_HEADER_LEN, REQUEST_HEADER_LEN, REQUEST_LEN_MAX, ReplyHeader,
    RequestHeader,
};
pub use reply::Reply;
pub use report::{
    Accesses, ActivityReport, AuthMode, AuthReport, CLIENTS_PER_PAGE, ClientReport, ClientsPage,
    ManualSample, ManualTimestamp, NtpDataReport, RtcReport, SelectDataReport, ServerStatsReport,
    SmoothingReport, SourceMode, SourceReport, SourceState, SourcestatsReport, TRACKING_REPLY_LEN,
    TRACKING_REQUEST_LEN, TrackingReport, tracking_request,
};
pub use request::{
    AccessOrder, ClientsQuestion, LocalOrder, May, NewSource, Order, Question, REQUESTS, Request,
    RequestRow, SOURCE_FLAGS, Whom,
};
pub use status::Status;
