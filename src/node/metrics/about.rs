//! What does not change while the node runs.

use std::net::SocketAddr;

use crate::config::Config;
use crate::sys::clock;

/// The node.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// When it began, in seconds since 1970 by the system's clock at that moment.
    pub(super) start_unix_s: f64,
    start_ns: u64,
    /// Where it serves.
    pub(super) addresses: Vec<SocketAddr>,
    /// `readydistance`
    pub(super) ready_distance_s: f64,
}

impl About {
    /// It begins now, and serves nowhere yet.
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    pub(super) fn new(config: &Config) -> Self {
        let now = clock::realtime();
        Self {
            start_unix_s: now.secs as f64 + f64::from(now.nanos) / 1e9,
            start_ns: clock::monotonic_ns(),
            addresses: Vec::new(),
            ready_distance_s: config.monitoring.ready_distance_s,
        }
    }

    /// Seconds from the beginning to a moment of the clock that never steps.
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    pub(super) fn uptime_s(&self, now_ns: u64) -> f64 {
        now_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }

    /// The version of the program.
    pub(super) const VERSION: &'static str = env!("CARGO_PKG_VERSION");
}
