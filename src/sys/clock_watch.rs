//! Being told at once when somebody sets the system clock.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::{check, named};

/// A descriptor that becomes readable when the system clock is set (`TFD_TIMER_CANCEL_ON_SET`, timerfd_create(2)).
#[derive(Debug)]
pub struct ClockWatch(OwnedFd);

impl ClockWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) })
            .map_err(named("timerfd_create"))?;
        // SAFETY: the kernel has just given the descriptor to us alone.
        let watch = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        watch.arm()?;
        Ok(watch)
    }

    /// Whether the clock was set since the last look.
    pub fn was_set(&self) -> bool {
        let mut expirations = [0_u8; 8];
        let len = expirations.len();
        // SAFETY: the kernel writes at most `len` bytes into a local array of that length.
        let read = unsafe { libc::read(self.0.as_raw_fd(), expirations.as_mut_ptr().cast(), len) };
        // A timer that was armed stays armed; ECANCELED is how the kernel tells that the clock was set.
        read < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ECANCELED)
    }

    /// The moment of the timer is far beyond what anybody waits for: only the cancelling matters.
    fn arm(&self) -> io::Result<()> {
        const NEVER_S: libc::time_t = i32::MAX as libc::time_t * 64;
        let moment = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: NEVER_S,
                tv_nsec: 0,
            },
        };
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        // SAFETY: the kernel reads one local struct; where the old value would go is null, which it allows.
        check(unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                flags,
                &raw const moment,
                std::ptr::null_mut(),
            )
        })
        .map_err(named("timerfd_settime"))?;
        Ok(())
    }
}

impl AsRawFd for ClockWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_sets_is_silent() {
        let watch = ClockWatch::new().unwrap();
        assert!(!watch.was_set());
        assert!(!watch.was_set());
    }
}
