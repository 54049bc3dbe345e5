//! A network card's clock (/dev/ptpN), read together with the system's (linux/ptp_clock.h). Nothing is set.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::{Timespec, check, named};

/// The card's clock, opened.
#[derive(Debug)]
pub struct CardClock(File);

/// The card's clock between two readings of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardReading {
    /// The system's clock before.
    pub before: Timespec,
    /// The card's.
    pub card: Timespec,
    /// The system's clock after.
    pub after: Timespec,
}

impl CardClock {
    /// Opens clock `number`.
    ///
    /// # Errors
    /// There is none, or the user may not.
    pub fn open(number: u32) -> io::Result<Self> {
        File::open(Path::new("/dev").join(format!("ptp{number}"))).map(Self)
    }

    /// Reads it [`READINGS`] times in a row; on drivers before Linux 5.0 with less exact moments of the system's clock.
    ///
    /// # Errors
    /// As the driver gives them.
    pub fn readings(&self) -> io::Result<Vec<CardReading>> {
        self.extended().or_else(|_| self.by_turns())
    }

    fn extended(&self) -> io::Result<Vec<CardReading>> {
        // SAFETY: the structure is integers, for which all bits zero is a value.
        let mut offset: libc::ptp_sys_offset_extended = unsafe { mem::zeroed() };
        offset.n_samples = READINGS;
        // SAFETY: the kernel reads and writes the one local structure, of the type that the request is made for.
        check(unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::PTP_SYS_OFFSET_EXTENDED,
                &raw mut offset,
            )
        })
        .map_err(named("PTP_SYS_OFFSET_EXTENDED"))?;
        let all = offset.ts.iter().take(READINGS as usize);
        Ok(all
            .map(|[before, card, after]| CardReading {
                before: timespec(before),
                card: timespec(card),
                after: timespec(after),
            })
            .collect())
    }

    fn by_turns(&self) -> io::Result<Vec<CardReading>> {
        // SAFETY: the structure is integers, for which all bits zero is a value.
        let mut offset: libc::ptp_sys_offset = unsafe { mem::zeroed() };
        offset.n_samples = READINGS;
        // SAFETY: the kernel reads and writes the one local structure, of the type that the request is made for.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::PTP_SYS_OFFSET, &raw mut offset) })
            .map_err(named("PTP_SYS_OFFSET"))?;
        // System, card, system, card, …, system.
        let turns = &offset.ts[..=2 * READINGS as usize];
        let all = turns.windows(3).step_by(2);
        Ok(all
            .map(|turn| CardReading {
                before: timespec(&turn[0]),
                card: timespec(&turn[1]),
                after: timespec(&turn[2]),
            })
            .collect())
    }

    /// Both clocks at one moment, as hardware compares them.
    ///
    /// # Errors
    /// Most cards cannot.
    pub fn crossed(&self) -> io::Result<CardReading> {
        // SAFETY: the structure is integers, for which all bits zero is a value.
        let mut offset: libc::ptp_sys_offset_precise = unsafe { mem::zeroed() };
        // SAFETY: the kernel reads and writes the one local structure, of the type that the request is made for.
        check(unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::PTP_SYS_OFFSET_PRECISE,
                &raw mut offset,
            )
        })
        .map_err(named("PTP_SYS_OFFSET_PRECISE"))?;
        let system = timespec(&offset.sys_realtime);
        Ok(CardReading {
            before: system,
            card: timespec(&offset.device),
            after: system,
        })
    }
}

const fn timespec(at: &libc::ptp_clock_time) -> Timespec {
    Timespec {
        secs: at.sec,
        nanos: at.nsec,
    }
}

/// The kernel's most.
const READINGS: u32 = libc::PTP_MAX_SAMPLES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_there_is_an_error() {
        let error = CardClock::open(4_000_000_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_such_clock_says_so() {
        let null = CardClock(File::open("/dev/null").unwrap());
        assert!(null.readings().is_err() && null.crossed().is_err());
    }
}
