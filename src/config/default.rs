//! What holds where a configuration says nothing, and the configuration where there is none.

use super::{
    Config, Families, Pace, RuntimeConfig, ServerConfig, Steer, TimeConfig, Unsynchronised,
};

impl Default for Config {
    /// What an empty file says: chrony's defaults, and nobody is allowed to ask.
    fn default() -> Self {
        Self {
            server: ServerConfig {
                port: 123,
                bind_addresses: Vec::new(),
                bind_device: None,
                families: Families::Both,
                dscp: 0,
                access: Vec::new(),
                require_auth: Vec::new(),
                rate_limit: None,
                client_log_bytes: Some(CLIENT_LOG_BYTES),
                unsynchronised: Unsynchronised::Answer,
            },
            time: TimeConfig {
                local: None,
                follow: None,
                clock_precision_s: None,
                max_clock_error_ppm: 1.0,
            },
            runtime: RuntimeConfig {
                workers: None,
                cpus: Vec::new(),
                burst: 64,
                busy_poll_us: 0,
                pace: Pace::Adaptive,
                steer: Steer::Source,
                user: None,
                pid_file: None,
                sched_priority: 0,
                lock_all: false,
            },
            key_file: None,
        }
    }
}

/// The configuration where neither a file nor a directive is given: loopback, no privilege, no file.
pub(super) const EMBEDDED: &str = "\
port 11123
bindaddress 127.0.0.1
bindaddress ::1
allow 127.0.0.0/8
allow ::1
local stratum 10
";

/// chrony's `clientloglimit`.
const CLIENT_LOG_BYTES: usize = 524_288;
