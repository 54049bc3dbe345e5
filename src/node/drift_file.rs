//! The drift file: the frequency that is kept over a restart (`driftfile`).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::atomic_file;
use crate::discipline::Drift;

/// `driftfile FILE [interval SECONDS]`
#[derive(Debug)]
pub struct DriftFile {
    path: PathBuf,
    interval_ns: u64,
    written_ns: u64,
    /// It was told that writing fails.
    has_failed: bool,
}

impl DriftFile {
    /// How often it is written, where the directive says nothing.
    pub const INTERVAL: Duration = Duration::from_hours(1);

    /// A file that is written no sooner than `interval` from now, and then no more often. `now_ns` is of a clock that
    /// never steps.
    pub fn new(path: PathBuf, interval: Duration, now_ns: u64) -> Self {
        Self {
            path,
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            written_ns: now_ns,
            has_failed: false,
        }
    }

    /// What an earlier run has left; `None` where there is nothing, and where it cannot be used, which is told.
    pub fn read(&self) -> Option<Drift> {
        let path = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                log::warn!("driftfile {path}: {error}");
                return None;
            }
        };
        let drift = Drift::parse(&text);
        match &drift {
            Some(drift) => log::info!(
                "Frequency {:.3} +/- {:.3} ppm read from {path}",
                drift.frequency_ppm,
                drift.skew_ppm
            ),
            None => log::warn!("driftfile {path} has no valid frequency and skew"),
        }
        drift
    }

    /// Writes if it is time for it; whether it was.
    pub fn offer(&mut self, drift: &Drift, now_ns: u64) -> bool {
        let is_due = now_ns.saturating_sub(self.written_ns) >= self.interval_ns;
        if is_due {
            self.written_ns = now_ns;
            self.write(drift);
        }
        is_due
    }

    /// Writes, as at the end. That it cannot be written is told once.
    pub fn write(&mut self, drift: &Drift) {
        let written = atomic_file::replace(&self.path, &drift.format());
        if let Err(error) = &written
            && !self.has_failed
        {
            log::warn!("driftfile {}: {error}", self.path.display());
        }
        self.has_failed = written.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: Drift = Drift {
        frequency_ppm: -12.345_678,
        skew_ppm: 0.025,
    };
    const S: u64 = 1_000_000_000;

    fn path(name: &str) -> PathBuf {
        let name = format!("maser-drift-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn it_is_written_once_in_an_interval_and_at_the_end() {
        let path = path("interval");
        let mut file = DriftFile::new(path.clone(), DriftFile::INTERVAL, 5 * S);
        assert_eq!(file.read(), None);
        assert!(!file.offer(&DRIFT, 3604 * S));
        assert!(!path.exists());
        assert!(file.offer(&DRIFT, 3605 * S));
        assert_eq!(file.read(), Some(DRIFT));
        let other = Drift {
            frequency_ppm: 1.0,
            ..DRIFT
        };
        assert!(!file.offer(&other, 7204 * S));
        assert_eq!(file.read(), Some(DRIFT));
        file.write(&other);
        assert_eq!(file.read(), Some(other));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_drift_is_not_used() {
        let path = path("bad");
        let file = DriftFile::new(path.clone(), DriftFile::INTERVAL, 0);
        for text in ["", "x\n", "1.0\n", "0.0 0.0\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.read(), None, "{text}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(file.read(), None);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_stops_nobody() {
        let path = path("absent").join("drift");
        let mut file = DriftFile::new(path, Duration::ZERO, 0);
        assert!(file.offer(&DRIFT, 0));
        assert!(file.has_failed);
        assert!(file.offer(&DRIFT, 1));
        assert_eq!(file.read(), None);
    }
}
