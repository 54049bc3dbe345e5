//! The real-time clock at work (`rtcfile`, `rtcautotrim`): measured at the beginning of one of its seconds now and then,
//! and set where it has gone too far.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use super::atomic_file;
use super::calendar;
use crate::config::RtcConfig;
use crate::discipline::RtcCoefficients;
use crate::sys::rtc::{self, RtcDevice, RtcTime};
use crate::wire::RawTime;

/// The chip; tests have one of their own.
pub(super) trait Chip {
    /// What it shows.
    fn time(&self) -> io::Result<RtcTime>;
    /// Sets it.
    fn set_time(&mut self, time: &RtcTime) -> io::Result<()>;
    /// Has it tell of the beginning of each second, or no longer.
    fn update_interrupts(&mut self, on: bool) -> io::Result<()>;
    /// Whether a second has begun since this was asked last.
    fn take_interrupt(&mut self) -> io::Result<bool>;
}

impl Chip for RtcDevice {
    fn time(&self) -> io::Result<RtcTime> {
        Self::time(self)
    }

    fn set_time(&mut self, time: &RtcTime) -> io::Result<()> {
        Self::set_time(self, time)
    }

    fn update_interrupts(&mut self, on: bool) -> io::Result<()> {
        Self::update_interrupts(self, on)
    }

    fn take_interrupt(&mut self) -> io::Result<bool> {
        Self::take_interrupt(self)
    }
}

/// What the chip's date is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    Utc,
    Local,
}

impl Zone {
    /// What `hwclockfile` says, or `rtconutc`.
    pub(super) fn of(config: &RtcConfig) -> Self {
        let file = config.hwclock_file.as_deref();
        let text = fs::read_to_string(file.unwrap_or(Path::new(HWCLOCK_FILE)));
        let said = text.ok().and_then(|text| Self::parse(&text));
        said.unwrap_or(if config.on_utc {
            Self::Utc
        } else {
            Self::Local
        })
    }

    /// The third line of hwclock's file.
    fn parse(text: &str) -> Option<Self> {
        match text.lines().nth(2)?.trim() {
            "UTC" => Some(Self::Utc),
            "LOCAL" => Some(Self::Local),
            _ => None,
        }
    }

    /// Seconds since 1970.
    pub(super) fn unix_s(self, time: &RtcTime) -> Option<i64> {
        let date = (time.year.into(), time.month.into(), time.day.into());
        let second = i64::from(time.hour) * 3600 + i64::from(time.minute * 60 + time.second);
        match self {
            Self::Utc => Some(calendar::unix_of(date, second)),
            Self::Local => rtc::unix_of_local(time),
        }
    }

    fn date(self, unix_s: i64) -> Option<RtcTime> {
        if self == Self::Local {
            return rtc::local_of_unix(unix_s);
        }
        let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
        let (year, month, day) = calendar::civil(days);
        let small = |number: i64| i32::try_from(number).ok();
        Some(RtcTime {
            year: small(year)?,
            month: small(month)?,
            day: small(day)?,
            hour: small(second / 3600)?,
            minute: small(second / 60 % 60)?,
            second: small(second % 60)?,
        })
    }
}

/// A clock that is measured.
pub(super) struct RealTimeClock<C> {
    chip: C,
    zone: Zone,
    /// `rtcautotrim` in seconds.
    trim_s: Option<f64>,
    file: PathBuf,
    stage: Stage,
    has_failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Until the next measurement.
    Resting { until_ns: u64 },
    /// A second is to begin. The first that is told of may have begun before.
    Awaiting { until_ns: u64, is_first: bool },
    /// It is set when a second of ours is half over.
    Setting { at_ns: u64 },
}

/// A second of the clock has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// Which, in seconds since 1970.
    pub(super) rtc_unix_s: i64,
    /// When.
    pub(super) at: RawTime,
}

impl<C: Chip> RealTimeClock<C> {
    /// It is measured at once. `now_ns` is of a clock that never steps.
    pub(super) fn new(
        chip: C,
        zone: Zone,
        (file, trim_s): (PathBuf, Option<f64>),
        now_ns: u64,
    ) -> Self {
        Self {
            chip,
            zone,
            trim_s,
            file,
            stage: Stage::Resting { until_ns: now_ns },
            has_failed: false,
        }
    }

    /// When [`turn`](Self::turn) is to be called next.
    pub(super) const fn next_deadline(&self) -> u64 {
        match self.stage {
            Stage::Resting { until_ns } | Stage::Awaiting { until_ns, .. } => until_ns,
            Stage::Setting { at_ns } => at_ns,
        }
    }

    /// Does what is due: begins a measurement, gives one up, or sets the clock to `unix`, the time now in seconds and
    /// nanoseconds since 1970. Whether it was set.
    pub(super) fn turn(&mut self, now_ns: u64, unix: (i64, u32)) -> bool {
        if now_ns < self.next_deadline() {
            return false;
        }
        match self.stage {
            Stage::Resting { .. } => match self.chip.update_interrupts(true) {
                Ok(()) => {
                    self.stage = Stage::Awaiting {
                        until_ns: now_ns + PATIENCE_NS,
                        is_first: true,
                    };
                }
                Err(error) => self.failed(&error, now_ns),
            },
            Stage::Awaiting { .. } => {
                // That it cannot be switched off is no worse.
                let _ = self.chip.update_interrupts(false);
                self.failed(&io::ErrorKind::TimedOut.into(), now_ns);
            }
            Stage::Setting { .. } => return self.set(now_ns, unix),
        }
        false
    }

    /// The device has something: a second, if it is one that is waited for. It is read `at`; the next measurement comes
    /// `interval_s` later.
    pub(super) fn ready(&mut self, at: RawTime, now_ns: u64, interval_s: u32) -> Option<Tick> {
        let took = self.chip.take_interrupt();
        let Stage::Awaiting { until_ns, is_first } = self.stage else {
            return None;
        };
        match took {
            Ok(true) if is_first => {
                self.stage = Stage::Awaiting {
                    until_ns,
                    is_first: false,
                };
                None
            }
            Ok(true) => {
                let time = self.chip.time();
                let _ = self.chip.update_interrupts(false);
                let found = time.and_then(|time| {
                    let unix_s = self.zone.unix_s(&time);
                    unix_s.ok_or_else(|| io::Error::other(format!("no date: {time:?}")))
                });
                match found {
                    Ok(rtc_unix_s) => {
                        self.has_failed = false;
                        let until_ns = now_ns + u64::from(interval_s) * NANOS_PER_S;
                        self.stage = Stage::Resting { until_ns };
                        return Some(Tick { rtc_unix_s, at });
                    }
                    Err(error) => self.failed(&error, now_ns),
                }
                None
            }
            Ok(false) => None,
            Err(error) => {
                self.failed(&error, now_ns);
                None
            }
        }
    }

    /// By how much the clock is ahead: beyond `rtcautotrim` it will be set. `unix_nanos` is the fraction of our second.
    pub(super) fn offer(&mut self, ahead_s: f64, now_ns: u64, unix_nanos: u32) {
        if self
            .trim_s
            .is_some_and(|limit_s| ahead_s.abs() > limit_s.max(TRIM_MIN_S))
            && matches!(self.stage, Stage::Resting { .. })
        {
            log::info!("the real-time clock is {ahead_s:+.3} s ahead: it is set");
            self.trim(now_ns, unix_nanos);
        }
    }

    /// Sets the clock as soon as our second is half over: the chip begins its next half a second after it is set.
    pub(super) fn trim(&mut self, now_ns: u64, unix_nanos: u32) {
        let _ = self.chip.update_interrupts(false);
        let wait_ns = (HALF_NS + NANOS_PER_S - u64::from(unix_nanos)) % NANOS_PER_S;
        self.stage = Stage::Setting {
            at_ns: now_ns + wait_ns,
        };
    }

    fn set(&mut self, now_ns: u64, (unix_s, unix_nanos): (i64, u32)) -> bool {
        if u64::from(unix_nanos).abs_diff(HALF_NS) > LATE_NS {
            self.trim(now_ns, unix_nanos);
            return false;
        }
        let date = self.zone.date(unix_s);
        let set = date
            .ok_or_else(|| io::Error::other("no date"))
            .and_then(|date| self.chip.set_time(&date));
        match set {
            Ok(()) => {
                self.stage = Stage::Resting {
                    until_ns: now_ns + NANOS_PER_S,
                };
                true
            }
            Err(error) => {
                self.failed(&error, now_ns);
                false
            }
        }
    }

    /// Writes the `rtcfile`.
    pub(super) fn write(&self, found: &RtcCoefficients) {
        if let Err(error) = atomic_file::replace(&self.file, &found.format()) {
            log::warn!("rtcfile {}: {error}", self.file.display());
        }
    }

    /// Told once; it is tried again later.
    fn failed(&mut self, error: &io::Error, now_ns: u64) {
        if !std::mem::replace(&mut self.has_failed, true) {
            log::warn!("the real-time clock cannot be measured or set: {error}");
        }
        self.stage = Stage::Resting {
            until_ns: now_ns + RETRY_NS,
        };
    }
}

impl<C: AsRawFd> AsRawFd for RealTimeClock<C> {
    fn as_raw_fd(&self) -> RawFd {
        self.chip.as_raw_fd()
    }
}

/// Opens the clock of `rtcfile`, if there is such a line. That it is not there is told, and what to do.
pub(super) fn open(config: &RtcConfig, now_ns: u64) -> Option<RealTimeClock<RtcDevice>> {
    let file = config.file.clone()?;
    let device = device(config);
    let chip = RtcDevice::open(device)
        .inspect_err(|error| log::warn!("rtcfile: {}", advice(device, error)))
        .ok()?;
    let kept = (file, config.autotrim_s);
    Some(RealTimeClock::new(chip, Zone::of(config), kept, now_ns))
}

/// What an earlier run has kept.
pub(super) fn read_file(path: &Path) -> Option<RtcCoefficients> {
    let text = fs::read_to_string(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("rtcfile {}: {error}", path.display());
            }
        })
        .ok()?;
    RtcCoefficients::parse(&text)
}

/// `rtcdevice`
pub(super) fn device(config: &RtcConfig) -> &Path {
    config.device.as_deref().unwrap_or(Path::new(DEVICE))
}

/// Why a device cannot be opened, and what to do.
pub(super) fn advice(device: &Path, error: &io::Error) -> String {
    let device = device.display();
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "name the real-time clock with rtcdevice, if there is one",
        io::ErrorKind::PermissionDenied => "start as root, or let this user read the device",
        io::ErrorKind::ResourceBusy => "another program has it open: only one can",
        _ => "is it a real-time clock?",
    };
    format!("{device}: {error}: {advice}")
}

const NANOS_PER_S: u64 = 1_000_000_000;
const HALF_NS: u64 = NANOS_PER_S / 2;
/// How far from the half of a second the clock may still be set.
const LATE_NS: u64 = 20_000_000;
/// A chip that begins no second for as long does not tell of them.
const PATIENCE_NS: u64 = 5 * NANOS_PER_S;
const RETRY_NS: u64 = 60 * NANOS_PER_S;
/// It is set to whole seconds, so a smaller limit would have no end.
const TRIM_MIN_S: f64 = 1.0;
const DEVICE: &str = "/dev/rtc";
const HWCLOCK_FILE: &str = "/etc/adjtime";

#[cfg(test)]
mod tests;
