//! What chronyc's reports say: structs of numbers with their units, and their bytes.
//!
//! Offsets are positive where the source is ahead of us, that is where our clock is slow, and so are the frequencies
//! of sources against ours. Half of chrony's reports have the other sign; it is turned here, in the layouts
//! (`opposite`), and nowhere else. The frequency of our own clock is positive where it gains by itself, as in the
//! drift file and in chrony's reports.

mod clock;
mod server;
mod source;
mod tracking;

pub use clock::{ManualSample, ManualTimestamp, RtcReport, SmoothingReport};
pub use server::{Accesses, CLIENTS_PER_PAGE, ClientReport, ClientsPage, ServerStatsReport};
pub use source::{
    ActivityReport, AuthMode, AuthReport, NtpDataReport, SelectDataReport, SourceMode,
    SourceReport, SourceState, SourcestatsReport,
};
pub(super) use source::{options_bits, options_of};
pub use tracking::{TRACKING_REPLY_LEN, TRACKING_REQUEST_LEN, TrackingReport, tracking_request};
