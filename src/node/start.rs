//! From the configuration to what the system process begins with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::drift_file::DriftFile;
use super::dump_files::DumpFiles;
use super::kernel_form::Kernel;
use super::logs::Logs;
use super::source_port::SourcePortOptions;
use super::system_process::SystemStart;
use crate::auth::KeyStore;
use crate::client::{Role, SelectionOptions};
use crate::config::{ClockConfig, Config};
use crate::discipline::{LeapTable, Purpose, ServoOptions, SmoothingOptions, SystemOptions};
use crate::sys::clock;
use crate::sys::process::Capability;

/// Whether the configuration names anything to take the time from, so that the clock is kept here.
pub(super) fn keeps_clock(config: &Config) -> bool {
    !config.sources.sources.is_empty() || config.sources.initial.is_some()
}

/// Whether it talks to peers, from the port at which we serve.
pub(super) fn has_peers(config: &Config) -> bool {
    let mut sources = config.sources.sources.iter();
    config.server.port != 0 && sources.any(|spec| spec.role == Role::Peer)
}

/// What the process has to keep of root's rights to keep the clock.
pub(super) fn capabilities(config: &Config, controls_clock: bool) -> Vec<Capability> {
    let mut all = Vec::new();
    if keeps_clock(config) && controls_clock {
        all.push(Capability::SysTime);
    }
    let is_low = |port: u16| (1..LOW_PORTS).contains(&port);
    if has_peers(config) && is_low(config.server.port) || is_low(config.sources.acquisition_port) {
        all.push(Capability::NetBindService);
    }
    all
}

/// What the system process begins with. `kernel` is the clock it is given.
pub(super) fn system(
    config: &Config,
    (purpose, reads_dumps): (Purpose, bool),
    kernel: Kernel,
    keys: &Arc<KeyStore>,
) -> SystemStart {
    let clock = &config.clock;
    let drift_file = clock.drift_file.as_ref().map(|line| {
        let interval = Duration::from_secs(line.interval_s.into());
        DriftFile::new(line.path.clone(), interval, clock::monotonic_ns())
    });
    let sources = &config.sources;
    let error_max = config.time.max_clock_error_ppm * PPM;
    let options = SystemOptions {
        sources: sources.sources.clone(),
        purpose,
        initial: sources.initial.clone(),
        selection: SelectionOptions {
            clock_error_max: error_max,
            ..sources.selection
        },
        auth_select: sources.auth_select,
        servo: servo(clock, error_max),
        slew_rate_max: clock.slew_rate_max_ppm * PPM,
        frequency_max: clock.drift_max_ppm * PPM,
        samples_min: sources.samples_min,
        samples_max: sources.samples_max,
        refresh_s: sources.refresh_s,
        local: config.time.local,
        leap_mode: clock.leap_mode,
        leap_table: leap_table(clock),
        smoothing: clock.smoothing.map(|line| SmoothingOptions {
            frequency_max: line.frequency_max_ppm * PPM,
            wander_max: line.wander_max_ppm * PPM,
            leap_only: line.leap_only,
        }),
        log_change_s: config.records.log_change_s,
        drift: drift_file.as_ref().and_then(DriftFile::read),
        ..SystemOptions::default()
    };
    SystemStart {
        options,
        kernel,
        keys: Arc::clone(keys),
        ports: SourcePortOptions {
            addresses: sources.bind_addresses.clone(),
            device: sources.bind_device.clone(),
            port: sources.acquisition_port,
            dscp: config.server.dscp,
        },
        serving_port: config.server.port,
        logs: logs(config),
        drift_file,
        dumps: config.records.dump_directory.clone().map(DumpFiles::new),
        reads_dumps,
    }
}

fn servo(clock: &ClockConfig, clock_error_max: f64) -> ServoOptions {
    ServoOptions {
        correction_time_ratio: clock.correction_time_ratio,
        skew_max: clock.update_skew_max_ppm * PPM,
        clock_error_max,
        make_step: clock.make_step,
        max_change: clock.max_change,
        fallback_drift: clock.fallback_drift,
    }
}

/// The files of `log`; chrony writes none without `logdir`.
fn logs(config: &Config) -> Logs {
    let records = &config.records;
    match &records.directory {
        Some(directory) => Logs::new(directory, &records.logs, records.banner_lines),
        None => {
            if !records.logs.is_empty() {
                log::warn!("log: nothing is written without logdir");
            }
            Logs::new(Path::new("/"), &[], 0)
        }
    }
}

/// The table of `leapseclist`, or of `leapsectz`. What cannot be read is told.
pub(super) fn leap_table(clock: &ClockConfig) -> Option<LeapTable> {
    let (path, table) = match (&clock.leap_list, &clock.leap_zone) {
        (Some(path), _) => (path.clone(), leap_list(path)),
        (None, Some(zone)) => {
            let path = zone_path(zone);
            let table = leap_zone(&path);
            (path, table)
        }
        (None, None) => return None,
    };
    table
        .inspect_err(|error| log::warn!("leap seconds: {}: {error}", path.display()))
        .ok()
}

fn leap_list(path: &Path) -> io::Result<LeapTable> {
    LeapTable::parse_list(&fs::read_to_string(path)?).map_err(io::Error::other)
}

fn leap_zone(path: &Path) -> io::Result<LeapTable> {
    LeapTable::parse_tzif(&fs::read(path)?).map_err(io::Error::other)
}

/// Where the system keeps its time zones.
fn zone_path(zone: &str) -> PathBuf {
    Path::new("/usr/share/zoneinfo").join(zone)
}

const PPM: f64 = 1e-6;
/// Ports below it are root's.
const LOW_PORTS: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_tables_are_read() {
        let zone = ClockConfig {
            leap_zone: Some("right/UTC".to_owned()),
            ..Config::default().clock
        };
        if zone_path("right/UTC").exists() {
            let table = leap_table(&zone).unwrap();
            // 2017-01-01 began with 37 s.
            assert_eq!(
                table.day(1_483_300_000).map(|day| day.tai_offset_s),
                Some(37)
            );
        }
        let missing = ClockConfig {
            leap_list: Some("/nonexistent/leap-seconds.list".into()),
            ..zone
        };
        assert_eq!(leap_table(&missing), None);
    }

    #[test]
    fn without_sources_the_clock_is_nobodys() {
        assert!(!keeps_clock(&Config::default()));
    }
}
