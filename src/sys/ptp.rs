//! The clocks of network cards (<linux/ptp_clock.h>).

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Timespec, check, named};

/// A card's clock, `/dev/ptpN`.
#[derive(Debug)]
pub struct PtpDevice {
    file: File,
}

/// The card's clock between two readings of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtpReading {
    /// The system clock before.
    pub before: Timespec,
    /// The card's.
    pub clock: Timespec,
    /// The system clock after.
    pub after: Timespec,
}

/// Pulses at a card's pin that its clock is to stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseInput {
    /// The channel that stamps.
    pub channel: u32,
    /// The pin that is given this function; `None`: it has it for good.
    pub pin: Option<u32>,
    /// Falling edges in place of rising ones.
    pub falling: bool,
}

impl PtpDevice {
    /// Opens the clock; reading never waits. Pulses need one that may be written.
    ///
    /// # Errors
    /// There is none, or we may not.
    pub fn open(path: &Path, writes: bool) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(writes);
        let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Self { file })
    }

    /// Reads it some times, each between two readings of the system clock (PTP_SYS_OFFSET_EXTENDED).
    ///
    /// # Errors
    /// The driver or the kernel cannot.
    pub fn readings(&self) -> io::Result<Vec<PtpReading>> {
        // SAFETY: the struct is plain integers, for which all bits zero is a value.
        let mut request: libc::ptp_sys_offset_extended = unsafe { mem::zeroed() };
        request.n_samples = READINGS;
        // SAFETY: the kernel reads and writes the one local struct.
        check(unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                libc::PTP_SYS_OFFSET_EXTENDED,
                &raw mut request,
            )
        })
        .map_err(named("PTP_SYS_OFFSET_EXTENDED"))?;
        let taken = request.ts.iter().take(READINGS as usize);
        Ok(taken
            .map(|[before, clock, after]| PtpReading {
                before: timespec(before),
                clock: timespec(clock),
                after: timespec(after),
            })
            .collect())
    }

    /// The same by turns with the system clock, for older drivers (PTP_SYS_OFFSET).
    ///
    /// # Errors
    /// The driver cannot.
    pub fn readings_by_turns(&self) -> io::Result<Vec<PtpReading>> {
        // SAFETY: the struct is plain integers, for which all bits zero is a value.
        let mut request: libc::ptp_sys_offset = unsafe { mem::zeroed() };
        request.n_samples = READINGS;
        // SAFETY: the kernel reads and writes the one local struct.
        check(unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                libc::PTP_SYS_OFFSET,
                &raw mut request,
            )
        })
        .map_err(named("PTP_SYS_OFFSET"))?;
        // System, card, system, card, …, system.
        let turns = request.ts.windows(3).step_by(2).take(READINGS as usize);
        Ok(turns
            .map(|turn| PtpReading {
                before: timespec(&turn[0]),
                clock: timespec(&turn[1]),
                after: timespec(&turn[2]),
            })
            .collect())
    }

    /// Both clocks at one moment, where card and processor share a counter: the card's, the system's
    /// (PTP_SYS_OFFSET_PRECISE).
    ///
    /// # Errors
    /// They do not.
    pub fn crossed(&self) -> io::Result<(Timespec, Timespec)> {
        // SAFETY: the struct is plain integers, for which all bits zero is a value.
        let mut request: libc::ptp_sys_offset_precise = unsafe { mem::zeroed() };
        // SAFETY: the kernel reads and writes the one local struct.
        check(unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                libc::PTP_SYS_OFFSET_PRECISE,
                &raw mut request,
            )
        })
        .map_err(named("PTP_SYS_OFFSET_PRECISE"))?;
        Ok((timespec(&request.device), timespec(&request.sys_realtime)))
    }

    /// Has the clock stamp pulses.
    ///
    /// # Errors
    /// It cannot, or there is no such pin or channel.
    pub fn stamp_pulses(&self, input: &PulseInput) -> io::Result<()> {
        if let Some(pin) = input.pin {
            // SAFETY: the struct is plain integers, for which all bits zero is a value.
            let mut function: libc::ptp_pin_desc = unsafe { mem::zeroed() };
            function.index = pin;
            function.func = libc::PTP_PF_EXTTS;
            function.chan = input.channel;
            // SAFETY: the kernel reads the one local struct.
            check(unsafe {
                libc::ioctl(
                    self.file.as_raw_fd(),
                    libc::PTP_PIN_SETFUNC,
                    &raw mut function,
                )
            })
            .map_err(named("PTP_PIN_SETFUNC"))?;
        }
        let edge = if input.falling { FALLING } else { RISING };
        let mut request = libc::ptp_extts_request {
            index: input.channel,
            flags: ENABLE | edge,
            rsv: [0; 2],
        };
        // SAFETY: the kernel reads the one local struct.
        check(unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                libc::PTP_EXTTS_REQUEST,
                &raw mut request,
            )
        })
        .map_err(named("PTP_EXTTS_REQUEST"))?;
        Ok(())
    }

    /// A pulse that was stamped, by the card's clock, and its channel; `None`: there is none yet.
    ///
    /// # Errors
    /// The device is gone.
    pub fn pulse(&self) -> io::Result<Option<(Timespec, u32)>> {
        // struct ptp_extts_event: seconds (64 bits), nanoseconds, spare, channel, flags, two spare words.
        let mut event = [0; EVENT_LEN];
        match (&self.file).read(&mut event) {
            Ok(EVENT_LEN) => {
                let word = |at: usize| {
                    let bytes = event.get(at..at + 4).and_then(|b| b.try_into().ok());
                    u32::from_ne_bytes(bytes.unwrap_or_default())
                };
                let secs = event.first_chunk().copied().unwrap_or_default();
                let at = Timespec {
                    secs: i64::from_ne_bytes(secs),
                    nanos: word(8),
                };
                Ok(Some((at, word(16))))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const fn timespec(time: &libc::ptp_clock_time) -> Timespec {
    Timespec {
        secs: time.sec,
        nanos: time.nsec,
    }
}

/// Of one request: the kernel takes up to 25.
const READINGS: u32 = 10;
const EVENT_LEN: usize = 32;
const ENABLE: u32 = 1;
const RISING: u32 = 1 << 1;
const FALLING: u32 = 1 << 2;

const _: () = assert!(size_of::<libc::ptp_extts_event>() == EVENT_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_there_is_an_error() {
        let error = PtpDevice::open(Path::new("/nonexistent/ptp0"), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_such_clock_says_so() {
        let null = PtpDevice::open(Path::new("/dev/null"), false).unwrap();
        let error = null.readings().unwrap_err();
        assert!(error.to_string().starts_with("PTP_SYS_OFFSET_EXTENDED"));
        assert!(null.readings_by_turns().is_err() && null.crossed().is_err());
    }
}
