//! From the configuration to what the system process begins with.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::boot::{self, Fatal};
use super::drift_file::DriftFile;
use super::dump_files::DumpFiles;
use super::kernel_form::Kernel;
use super::leap_file::LeapFile;
use super::logs::{Logs, SourceName};
use super::refclock::OpenRefclock;
use super::source_port::SourcePortOptions;
use super::system_process::SystemStart;
use crate::auth::KeyStore;
use crate::client::{Role, SelectionOptions};
use crate::config::{
    ClockConfig, Config, RefclockSpec, RtcConfig, SourcesConfig, TempcompCurve, TempcompLine,
};
use crate::discipline::{
    Purpose, ServoOptions, SmoothingOptions, SourceSpec, SystemOptions, Tempcomp, TempcompPoints,
};
use crate::sys::clock;
use crate::sys::process::Capability;

/// Whether the configuration names anything to take the time from, so that the clock is kept here.
pub(super) fn keeps_clock(config: &Config) -> bool {
    let sources = &config.sources;
    // Sources may come later, and times be typed; but who follows another clock has that until then.
    let may_have = !sources.directories.is_empty() || config.clock.manual;
    !lines(sources).is_empty()
        || sources.initial.is_some()
        || !sources.refclocks.is_empty()
        || may_have && config.time.follow.is_none()
}

/// Whether it talks to peers, from the port at which we serve.
pub(super) fn has_peers(config: &Config) -> bool {
    let mut sources = lines(&config.sources).into_iter();
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
///
/// # Errors
/// A file without which the configuration cannot be followed.
pub(super) fn system(
    config: &Config,
    (purpose, reads_dumps): (Purpose, bool),
    kernel: Kernel,
    keys: &Arc<KeyStore>,
) -> Result<SystemStart, Fatal> {
    let clock = &config.clock;
    let drift_file = clock.drift_file.as_ref().map(|line| {
        let interval = Duration::from_secs(line.interval_s.into());
        DriftFile::new(line.path.clone(), interval, clock::monotonic_ns())
    });
    let leap_file = LeapFile::of(clock);
    let sources = &config.sources;
    let error_max = config.time.max_clock_error_ppm * PPM;
    let options = SystemOptions {
        sources: lines(sources),
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
        leap_table: leap_file.as_ref().and_then(LeapFile::read),
        manual: clock.manual,
        smoothing: clock.smoothing.map(|line| SmoothingOptions {
            frequency_max: line.frequency_max_ppm * PPM,
            wander_max: line.wander_max_ppm * PPM,
            leap_only: line.leap_only,
        }),
        tempcomp: clock.tempcomp.as_ref().map(tempcomp).transpose()?,
        log_change_s: config.records.log_change_s,
        drift: drift_file.as_ref().and_then(DriftFile::read),
        ..SystemOptions::default()
    };
    let rtc = RtcConfig {
        // Who leaves the one clock alone leaves the other too.
        autotrim_s: clock.rtc.autotrim_s.filter(|_| kernel.is_adjusted()),
        ..clock.rtc.clone()
    };
    Ok(SystemStart {
        options,
        kernel,
        keys: Arc::clone(keys),
        ports: SourcePortOptions {
            addresses: sources.bind_addresses.clone(),
            device: sources.bind_device.clone(),
            port: sources.acquisition_port,
            dscp: config.server.dscp,
            by_card: false,
        },
        serving_port: config.server.port,
        logs: logs(config),
        drift_file,
        dumps: config.records.dump_directory.clone().map(DumpFiles::new),
        reads_dumps,
        leap_file,
        refclocks: refclocks(&sources.refclocks)?,
        rtc,
        hardware: config.hardware.clone(),
        directories: sources.directories.clone(),
        sensor: clock.tempcomp.as_ref().map(|line| {
            (
                line.sensor.clone(),
                Duration::from_secs_f64(line.interval_s),
            )
        }),
    })
}

/// All lines that name sources, those of `sourcedir` behind the others.
fn lines(sources: &SourcesConfig) -> Vec<SourceSpec> {
    let found = sources.directories.iter();
    let found = found.flat_map(|found| &found.sources);
    sources.sources.iter().chain(found).cloned().collect()
}

/// Opens the reference clocks.
fn refclocks(specs: &[RefclockSpec]) -> Result<Vec<OpenRefclock>, Fatal> {
    let now_ns = clock::monotonic_ns();
    let open = specs.iter().map(|spec| {
        let name = SourceName::Refclock(spec.options.reference_id);
        OpenRefclock::open(spec, now_ns).map_err(boot::system(format!("refclock {name}")))
    });
    open.collect()
}

/// Directives about the clock that do nothing where nobody keeps it.
pub(super) fn without_effect(config: &Config) -> impl Iterator<Item = &'static str> {
    let clock = &config.clock;
    let given = [
        ("tempcomp", clock.tempcomp.is_some()),
        ("rtcfile", clock.rtc.file.is_some()),
    ];
    let is_kept = keeps_clock(config);
    let idle = given
        .into_iter()
        .filter(move |(_, is_given)| *is_given && !is_kept);
    idle.map(|(name, _)| name)
}

/// What of `hwtimestamp` is not done, said at the start.
pub(super) fn hardware_limits(config: &Config) -> &'static str {
    if keeps_clock(config) {
        "hwtimestamp: for exchanges with sources; clients get the kernel's timestamps"
    } else {
        "hwtimestamp: no effect: there is no server, pool or peer, and clients get the kernel's timestamps"
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

/// `tempcomp`, with its points read.
fn tempcomp(line: &TempcompLine) -> Result<Tempcomp, Fatal> {
    let path = match &line.curve {
        TempcompCurve::Coefficients { t0, k0, k1, k2 } => {
            return Ok(Tempcomp::Coefficients {
                t0: *t0,
                k0: *k0,
                k1: *k1,
                k2: *k2,
            });
        }
        TempcompCurve::Points(path) => path,
    };
    fs::read_to_string(path)
        .and_then(|text| TempcompPoints::parse(&text).map_err(io::Error::other))
        .map(Tempcomp::Points)
        .map_err(boot::system(format!("tempcomp {}", path.display())))
}

const PPM: f64 = 1e-6;
/// Ports below it are root's.
const LOW_PORTS: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_tempcomp_are_read_or_nothing_starts() {
        let path = std::env::temp_dir().join(format!("maser-points-{}", std::process::id()));
        let line = TempcompLine {
            sensor: "/sys/t".into(),
            interval_s: 30.0,
            curve: TempcompCurve::Points(path.clone()),
        };
        fs::write(&path, "20000 1.0\n30000 0.0\n").unwrap();
        let curve = tempcomp(&line).unwrap();
        assert_eq!(curve.compensation_ppm(25_000.0), Some(0.5));
        fs::write(&path, "20000 1.0\nwarm 0.0\n").unwrap();
        let said = tempcomp(&line).unwrap_err().to_string();
        assert!(
            said.contains("line 2") && said.contains("maser-points"),
            "{said}"
        );
        fs::remove_file(&path).unwrap();
        assert!(tempcomp(&line).is_err());
    }

    #[test]
    fn without_sources_the_clock_is_nobodys() {
        assert!(!keeps_clock(&Config::default()));
        assert!(hardware_limits(&Config::default()).contains("no effect"));
    }
}
