//! The real-time clock's device (rtc(4)): a chip that counts seconds while the machine is off.
//!
//! What it shows is a date without a time zone, so the local zone's rules (mktime(3)) are here too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{check, named};

/// A date and time as the chip shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RtcTime {
    /// Of the Gregorian calendar.
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 60.
    pub second: i32,
}

/// The chip's device, opened; nobody else can then open it.
#[derive(Debug)]
pub struct RtcDevice(File);

/// `struct rtc_time` (linux/rtc.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct KernelTime {
    second: libc::c_int,
    minute: libc::c_int,
    hour: libc::c_int,
    day: libc::c_int,
    /// From 0.
    month: libc::c_int,
    /// From 1900.
    year: libc::c_int,
    week_day: libc::c_int,
    year_day: libc::c_int,
    is_dst: libc::c_int,
}

impl RtcDevice {
    /// Opens the device. Nothing is set by that.
    ///
    /// # Errors
    /// There is none, another program has it, or the user may not.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        options.open(path).map(Self)
    }

    /// What it shows.
    ///
    /// # Errors
    /// As the driver gives them; a chip whose battery was empty shows nothing valid.
    pub fn time(&self) -> io::Result<RtcTime> {
        let mut time = KernelTime::default();
        // SAFETY: the kernel writes one `rtc_time`, which is what the structure is laid out as, into a local variable.
        check(unsafe { libc::ioctl(self.as_raw_fd(), RTC_RD_TIME, &raw mut time) })
            .map_err(named("RTC_RD_TIME"))?;
        Ok(RtcTime {
            year: time.year + 1900,
            month: time.month + 1,
            day: time.day,
            hour: time.hour,
            minute: time.minute,
            second: time.second,
        })
    }

    /// Sets it.
    ///
    /// # Errors
    /// As the driver gives them; it takes `CAP_SYS_TIME`.
    pub fn set_time(&self, time: &RtcTime) -> io::Result<()> {
        let time = KernelTime {
            second: time.second,
            minute: time.minute,
            hour: time.hour,
            day: time.day,
            month: time.month - 1,
            year: time.year - 1900,
            ..KernelTime::default()
        };
        // SAFETY: the kernel reads one `rtc_time`, which is what the structure is laid out as.
        check(unsafe { libc::ioctl(self.as_raw_fd(), RTC_SET_TIME, &raw const time) })
            .map_err(named("RTC_SET_TIME"))?;
        Ok(())
    }

    /// Has the device become readable at the beginning of each second, or no longer.
    ///
    /// # Errors
    /// As the driver gives them; not every chip can.
    pub fn update_interrupts(&self, on: bool) -> io::Result<()> {
        let (request, name) = if on {
            (RTC_UIE_ON, "RTC_UIE_ON")
        } else {
            (RTC_UIE_OFF, "RTC_UIE_OFF")
        };
        // SAFETY: these requests take no argument.
        check(unsafe { libc::ioctl(self.as_raw_fd(), request, 0) }).map_err(named(name))?;
        Ok(())
    }

    /// Whether a second has begun since this was asked last, or since interrupts were switched on.
    ///
    /// # Errors
    /// As the driver gives them.
    pub fn take_interrupt(&mut self) -> io::Result<bool> {
        let mut word = [0; size_of::<libc::c_ulong>()];
        match self.0.read(&mut word) {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsRawFd for RtcDevice {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Seconds since 1970 of a date in the local time zone; `None` where the system knows none.
pub fn unix_of_local(time: &RtcTime) -> Option<i64> {
    // SAFETY: `tm` is integers and a pointer, for which all bits zero is a value.
    let mut date: libc::tm = unsafe { mem::zeroed() };
    date.tm_year = time.year - 1900;
    date.tm_mon = time.month - 1;
    date.tm_mday = time.day;
    date.tm_hour = time.hour;
    date.tm_min = time.minute;
    date.tm_sec = time.second;
    date.tm_isdst = -1;
    // SAFETY: the call reads and writes the one local structure.
    let unix_s = unsafe { libc::mktime(&raw mut date) };
    (unix_s != -1).then_some(unix_s)
}

/// The date in the local time zone.
pub fn local_of_unix(unix_s: i64) -> Option<RtcTime> {
    // SAFETY: `tm` is integers and a pointer, for which all bits zero is a value.
    let mut date: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: the call reads one local variable and writes the other.
    let written = unsafe { libc::localtime_r(&raw const unix_s, &raw mut date) };
    (!written.is_null()).then_some(RtcTime {
        year: date.tm_year + 1900,
        month: date.tm_mon + 1,
        day: date.tm_mday,
        hour: date.tm_hour,
        minute: date.tm_min,
        second: date.tm_sec,
    })
}

/// linux/rtc.h; `p` is the letter of these requests.
const RTC_LETTER: u32 = b'p' as u32;
const RTC_UIE_ON: libc::Ioctl = libc::_IO(RTC_LETTER, 0x03);
const RTC_UIE_OFF: libc::Ioctl = libc::_IO(RTC_LETTER, 0x04);
const RTC_RD_TIME: libc::Ioctl = libc::_IOR::<KernelTime>(RTC_LETTER, 0x09);
const RTC_SET_TIME: libc::Ioctl = libc::_IOW::<KernelTime>(RTC_LETTER, 0x0a);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        let error = RtcDevice::open(Path::new("/nonexistent/rtc")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    /// linux/rtc.h on all architectures but those with other letters for directions.
    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn requests_are_the_kernels() {
        assert_eq!(
            [RTC_UIE_ON, RTC_UIE_OFF, RTC_RD_TIME, RTC_SET_TIME],
            [0x7003, 0x7004, 0x8024_7009, 0x4024_700a]
        );
    }

    #[test]
    fn local_dates_there_and_back() {
        for unix_s in [0, 1_700_000_000, 1_719_792_000] {
            let date = local_of_unix(unix_s).unwrap();
            assert_eq!(unix_of_local(&date), Some(unix_s), "{date:?}");
        }
    }
}
