//! Reading the kernel's clocks and its opinion of them. Nothing here sets a clock.

use std::io;
use std::mem;

/// A kernel time: seconds since its clock's epoch, and nanoseconds below 10^9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timespec {
    /// Whole seconds.
    pub secs: i64,
    /// The rest.
    pub nanos: u32,
}

impl Timespec {
    /// `self - other` in nanoseconds; saturates at 292 years.
    pub const fn nanos_since(self, other: Self) -> i64 {
        let secs = self
            .secs
            .saturating_sub(other.secs)
            .saturating_mul(1_000_000_000);
        secs.saturating_add(self.nanos as i64 - other.nanos as i64)
    }
}

fn read(clock: libc::clockid_t) -> Timespec {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec into a local variable. The call fails only for a clock that
    // does not exist, and the two asked for exist since Linux 2.6.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // The kernel keeps nanoseconds in 0..10^9.
    Timespec {
        secs: now.tv_sec,
        nanos: u32::try_from(now.tv_nsec).unwrap_or(0),
    }
}

/// The system clock (`CLOCK_REALTIME`), since 1970. In the vDSO: no system call.
#[inline]
pub fn realtime() -> Timespec {
    read(libc::CLOCK_REALTIME)
}

/// Nanoseconds since boot on a clock that never steps (`CLOCK_MONOTONIC`).
#[inline]
pub fn monotonic_ns() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC);
    now.secs.cast_unsigned() * 1_000_000_000 + u64::from(now.nanos)
}

/// What the kernel says of its clock (`adjtimex` with nothing to set).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelClock {
    /// Whoever keeps the clock has said that it is synchronised (`STA_UNSYNC` is clear).
    pub synchronised: bool,
    /// A second will be inserted (1) or deleted (-1) at the end of the UTC day, or neither.
    pub leap: i8,
    /// The largest error, in microseconds; the kernel lets it grow by 500 ppm between updates.
    pub max_error_us: i64,
    /// The error to be expected, in microseconds.
    pub estimated_error_us: i64,
}

/// Asks the kernel for the state of its clock. Needs no privilege, changes nothing.
///
/// # Errors
/// What `adjtimex` answers; a sandbox may forbid it.
pub fn kernel_clock() -> io::Result<KernelClock> {
    // SAFETY: `timex` is plain integers, for which all bits zero is a value; `modes` zero sets nothing.
    let mut timex: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: the kernel reads and writes the one local struct. `modes` is zero, so nothing is set.
    let state = super::check(unsafe { libc::adjtimex(&raw mut timex) })
        .map_err(super::named("adjtimex"))?;
    let leap = match timex.status & (libc::STA_INS | libc::STA_DEL) {
        libc::STA_INS => 1,
        libc::STA_DEL => -1,
        _ => 0,
    };
    Ok(KernelClock {
        synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        leap,
        max_error_us: timex.maxerror,
        estimated_error_us: timex.esterror,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_move_forward() {
        let (real, monotonic) = (realtime(), monotonic_ns());
        assert!(real.secs > 1_700_000_000 && real.nanos < 1_000_000_000);
        assert!(monotonic_ns() >= monotonic);
    }

    #[test]
    fn nanos_since_borrows_from_the_seconds() {
        let (early, late) = (
            Timespec {
                secs: 1,
                nanos: 900_000_000,
            },
            Timespec { secs: 3, nanos: 0 },
        );
        assert_eq!(late.nanos_since(early), 1_100_000_000);
        assert_eq!(early.nanos_since(late), -1_100_000_000);
    }

    #[test]
    fn the_kernel_tells_of_its_clock() {
        let state = kernel_clock().unwrap();
        assert!(state.max_error_us >= 0 && (-1..=1).contains(&state.leap));
    }
}
