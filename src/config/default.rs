//! What holds where a configuration says nothing, and the configuration where there is none.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::{
    ClockConfig, CommandConfig, Config, Families, FastPathConfig, HardwareConfig, MonitoringConfig,
    Pace, RecordsConfig, RtcConfig, RuntimeConfig, ServerConfig, SourcesConfig, Steer, TimeConfig,
    Unsynchronised,
};
use crate::client::SelectionOptions;
use crate::discipline::{AuthSelectMode, LeapMode};

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
            sources: SourcesConfig {
                sources: Vec::new(),
                directories: Vec::new(),
                refclocks: Vec::new(),
                initial: None,
                selection: SelectionOptions::default(),
                auth_select: AuthSelectMode::Mix,
                samples_min: 6,
                samples_max: 0,
                refresh_s: 1_209_600,
                acquisition_port: 0,
                bind_addresses: Vec::new(),
                bind_device: None,
            },
            clock: clock(),
            hardware: HardwareConfig::default(),
            command: CommandConfig::default(),
            records: RecordsConfig {
                directory: None,
                logs: Vec::new(),
                banner_lines: 32,
                log_change_s: 1.0,
                dump_directory: None,
            },
            monitoring: MonitoringConfig {
                address: None,
                ready_distance_s: 0.1,
                drain_s: 0,
            },
            fast_path: FastPathConfig::default(),
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

/// What is done with the clock.
fn clock() -> ClockConfig {
    ClockConfig {
        make_step: None,
        drift_file: None,
        update_skew_max_ppm: 1000.0,
        manual: false,
        rtc_sync: false,
        correction_time_ratio: 3.0,
        drift_max_ppm: 100_000.0,
        slew_rate_max_ppm: 83_333.333,
        max_change: None,
        fallback_drift: None,
        leap_mode: LeapMode::System,
        leap_zone: None,
        leap_list: None,
        smoothing: None,
        tempcomp: None,
        rtc: RtcConfig::default(),
    }
}

impl Default for CommandConfig {
    /// This machine alone, and what chronyd lets everybody ask.
    fn default() -> Self {
        Self {
            port: None,
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            path: Some(PathBuf::from(COMMAND_SOCKET)),
            device: None,
            access: Vec::new(),
            rate_limit: None,
            open: OPEN_COMMANDS.to_vec(),
        }
    }
}

impl Default for HardwareConfig {
    /// No interface.
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            timeout_s: 0.001,
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
cmdport 11323
";

/// Where `chronyc -h` finds us without a port.
const COMMAND_SOCKET: &str = "/run/maser/maser.sock";
/// chrony's `clientloglimit`.
const CLIENT_LOG_BYTES: usize = 524_288;
/// What everybody may ask over UDP who may ask at all (chrony 4.7).
const OPEN_COMMANDS: [&str; 8] = [
    "activity",
    "manual",
    "rtcdata",
    "smoothing",
    "sourcename",
    "sources",
    "sourcestats",
    "tracking",
];
