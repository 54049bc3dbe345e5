//! The real-time clock as a reference: whole seconds, read when they begin.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use super::{Driver, raw_time, seconds};
use crate::client::Shows;
use crate::discipline::RawReading;
use crate::node::real_time_clock::Zone;
use crate::sys::rtc::{RtcDevice, RtcTime};
use crate::sys::{Timespec, clock};
use crate::wire::LeapIndicator;

/// The chip.
pub(super) struct Rtc {
    device: RtcDevice,
    zone: Zone,
}

impl Rtc {
    /// Opens it, and has it tell of its seconds.
    pub(super) fn open(path: &Path, is_utc: bool) -> io::Result<Self> {
        let device = RtcDevice::open(path)?;
        device.update_interrupts(true)?;
        let zone = if is_utc { Zone::Utc } else { Zone::Local };
        Ok(Self { device, zone })
    }
}

impl Drop for Rtc {
    fn drop(&mut self) {
        let _ = self.device.update_interrupts(false);
    }
}

impl Driver for Rtc {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        if self.device.take_interrupt()? {
            let at = clock::realtime();
            found.extend(reading(at, &self.device.time()?, self.zone));
        }
        Ok(())
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.device.as_raw_fd())
    }
}

/// The second that begins at `at`.
fn reading(at: Timespec, shows: &RtcTime, zone: Zone) -> Option<RawReading> {
    let secs = zone.unix_s(shows)?;
    let clock = Timespec { secs, nanos: 0 };
    Some(RawReading {
        at: raw_time(at),
        shows: Shows::Time(seconds(clock.nanos_since(at))),
        leap: LeapIndicator::NoWarning,
        dispersion_s: INTERRUPT_S,
    })
}

/// From the beginning of its second to our reading of the clock, an interrupt and a wake-up.
const INTERRUPT_S: f64 = 50e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_that_begins_is_read() {
        let at = Timespec {
            secs: 1_700_000_000,
            nanos: 250_000_000,
        };
        // 2023-11-14T22:13:21Z
        let shows = RtcTime {
            year: 2023,
            month: 11,
            day: 14,
            hour: 22,
            minute: 13,
            second: 21,
        };
        let found = reading(at, &shows, Zone::Utc).unwrap();
        let Shows::Time(offset_s) = found.shows else {
            panic!("{found:?}")
        };
        assert!((offset_s - 0.75).abs() < 1e-12, "{offset_s}");
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert!(Rtc::open(Path::new("/nonexistent/rtc"), true).is_err());
    }
}
