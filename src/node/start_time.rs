//! The system's clock at a start (`-s`): by the real-time clock, or by when the drift file was written last.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::real_time_clock::{Zone, advice, device, read_file};
use crate::config::Config;
use crate::discipline::{KernelClock, StartTime};
use crate::sys::clock;
use crate::sys::rtc::RtcDevice;
use crate::wire::NtpDuration;

/// Looks for the best time there is.
pub(super) fn find(config: &Config) -> Option<StartTime> {
    let drift_file = config.clock.drift_file.as_ref();
    let written_s = drift_file.and_then(|line| written_s(&line.path));
    StartTime::choose(rtc_s(config), written_s, now_s())
}

/// Steps the clock to it; by how much, in seconds.
///
/// # Errors
/// As the kernel gives them.
pub(super) fn set<K: KernelClock>(
    kernel: &mut K,
    start: StartTime,
    now_s: f64,
) -> Result<f64, K::Error> {
    let wanted = NtpDuration::from_seconds(start.seconds() - now_s);
    Ok(kernel.step(wanted)?.to_seconds())
}

/// Finds the best time and steps the clock to it. What was done is told.
///
/// # Errors
/// As the kernel gives them.
pub(super) fn apply(
    config: &Config,
    kernel: &mut impl KernelClock<Error = io::Error>,
) -> io::Result<()> {
    let Some(start) = find(config) else {
        log::warn!("-s: neither the real-time clock nor the drift file has a better time");
        return Ok(());
    };
    let by_s = set(kernel, start, now_s())?;
    let whence = match start {
        StartTime::Rtc(_) => "the real-time clock",
        StartTime::DriftFile(_) => "the drift file's last modification",
    };
    log::info!("the system clock was set by {whence}: stepped by {by_s:+.3} s");
    Ok(())
}

/// What the real-time clock shows, corrected by what the `rtcfile` knows of it.
fn rtc_s(config: &Config) -> Option<f64> {
    let config = &config.clock.rtc;
    let device = device(config);
    let time = RtcDevice::open(device)
        .and_then(|chip| chip.time())
        .inspect_err(|error| log::warn!("-s: {}", advice(device, error)))
        .ok()?;
    let Some(unix_s) = Zone::of(config).unix_s(&time) else {
        log::warn!("-s: {}: no date: {time:?}", device.display());
        return None;
    };
    // Somewhere in the second that it shows.
    let shown_s = seconds(unix_s) + 0.5;
    let known = config.file.as_deref().and_then(read_file);
    Some(known.map_or(shown_s, |known| known.time_s(shown_s)))
}

fn written_s(path: &Path) -> Option<f64> {
    let written = fs::metadata(path).and_then(|file| file.modified()).ok()?;
    Some(written.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

fn now_s() -> f64 {
    let now = clock::realtime();
    seconds(now.secs) + f64::from(now.nanos) * 1e-9
}

#[expect(clippy::cast_precision_loss, reason = "a time since 1970")]
const fn seconds(unix_s: i64) -> f64 {
    unix_s as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DriftFileLine, RtcConfig};
    use crate::discipline::SimulatedClock;

    #[test]
    fn a_clock_that_was_off_is_stepped() {
        let mut clock = SimulatedClock::new(-1000.0, 0.0);
        let Ok(by_s) = set(&mut clock, StartTime::Rtc(1.7e9), 1.7e9 - 1000.0);
        assert!((by_s - 1000.0).abs() < 1e-6);
        assert!(clock.error_s().abs() < 1e-6);
        assert_eq!(clock.steps(), 1);
    }

    /// Without a real-time clock there is the drift file, which is older than now.
    #[test]
    fn a_clock_that_is_ahead_of_the_drift_file_is_left() {
        let path = std::env::temp_dir().join(format!("maser-written-{}", std::process::id()));
        let mut config = Config::default();
        config.clock.rtc = RtcConfig {
            device: Some("/nonexistent/rtc".into()),
            ..RtcConfig::default()
        };
        config.clock.drift_file = Some(DriftFileLine {
            path: path.clone(),
            interval_s: 3600,
        });
        assert_eq!(written_s(&path), None);
        fs::write(&path, "0.0 1.0\n").unwrap();
        let behind_s = now_s() - written_s(&path).unwrap();
        assert!((-1.0..100.0).contains(&behind_s), "{behind_s}");
        assert_eq!(find(&config), None);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(UNIX_EPOCH + std::time::Duration::from_secs(10_000_000_000))
            .unwrap();
        assert_eq!(find(&config), Some(StartTime::DriftFile(1e10)));
        fs::remove_file(&path).unwrap();
    }
}
