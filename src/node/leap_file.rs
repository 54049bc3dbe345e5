//! The file that a table of leap seconds is read from (`leapseclist`, `leapsectz`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::ClockConfig;
use crate::discipline::LeapTable;

/// Where the table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeapFile {
    /// `leapseclist`: a list as NIST and IERS give it out.
    List(PathBuf),
    /// `leapsectz`: a compiled time zone that knows of leap seconds.
    Zone(PathBuf),
}

impl LeapFile {
    /// The file of `leapseclist`, or of `leapsectz`.
    pub(super) fn of(clock: &ClockConfig) -> Option<Self> {
        match (&clock.leap_list, &clock.leap_zone) {
            (Some(path), _) => Some(Self::List(path.clone())),
            (None, Some(zone)) => Some(Self::Zone(zone_path(zone))),
            (None, None) => None,
        }
    }

    /// Reads it. What cannot be read is told.
    pub(super) fn read(&self) -> Option<LeapTable> {
        let (path, table) = match self {
            Self::List(path) => (path, list(path)),
            Self::Zone(path) => (path, zone(path)),
        };
        table
            .inspect_err(|error| log::warn!("leap seconds: {}: {error}", path.display()))
            .ok()
    }
}

fn list(path: &Path) -> io::Result<LeapTable> {
    LeapTable::parse_list(&fs::read_to_string(path)?).map_err(io::Error::other)
}

fn zone(path: &Path) -> io::Result<LeapTable> {
    LeapTable::parse_tzif(&fs::read(path)?).map_err(io::Error::other)
}

/// Where the system keeps its time zones.
fn zone_path(zone: &str) -> PathBuf {
    Path::new("/usr/share/zoneinfo").join(zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_systems_own_tables_are_read() {
        let zone = ClockConfig {
            leap_zone: Some("right/UTC".to_owned()),
            ..Config::default().clock
        };
        if zone_path("right/UTC").exists() {
            let table = LeapFile::of(&zone).unwrap().read().unwrap();
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
        assert_eq!(LeapFile::of(&missing).unwrap().read(), None);
        assert_eq!(LeapFile::of(&Config::default().clock), None);
    }
}
