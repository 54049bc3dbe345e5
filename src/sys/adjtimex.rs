//! The kernel's way to set and steer its clock (adjtimex(2)).

use std::io;
use std::mem;

use super::{check, named};

/// What is asked, and what the kernel answers: the fields of `struct timex` that are used, in its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timex {
    /// What is set: of [`MODE_OFFSET`] and its like.
    pub modes: u32,
    /// What the kernel's own loop has still to slew in.
    pub offset: i64,
    /// Frequency in 2^-16 parts per million.
    pub frequency: i64,
    /// Largest error, in microseconds.
    pub error_max_us: i64,
    /// Likely error, in microseconds.
    pub error_estimated_us: i64,
    /// Bits of [`STATUS_PLL`] and its like.
    pub status: i32,
    /// The loop's time constant, or with [`MODE_TAI`] atomic time less UTC in seconds.
    pub constant: i64,
    /// Length of a tick, in microseconds.
    pub tick_us: i64,
    /// With [`MODE_SET_OFFSET`]: what is added to the clock.
    pub time_secs: i64,
    /// The rest of it: nanoseconds with [`MODE_NANO`], never negative.
    pub time_nanos: i64,
    /// Atomic time less UTC, in seconds, as the kernel has it.
    pub tai_s: i32,
}

/// Sets what `modes` name, and reads all.
///
/// # Errors
/// Setting anything needs CAP_SYS_TIME; a value may be out of range.
pub fn adjtimex(timex: &mut Timex) -> io::Result<()> {
    // SAFETY: `timex` is plain integers, for which all bits zero is a value.
    let mut raw: libc::timex = unsafe { mem::zeroed() };
    raw.modes = timex.modes;
    raw.offset = timex.offset;
    raw.freq = timex.frequency;
    raw.maxerror = timex.error_max_us;
    raw.esterror = timex.error_estimated_us;
    raw.status = timex.status;
    raw.constant = timex.constant;
    raw.tick = timex.tick_us;
    raw.time.tv_sec = timex.time_secs;
    raw.time.tv_usec = timex.time_nanos;
    // SAFETY: the kernel reads and writes the one local struct.
    check(unsafe { libc::adjtimex(&raw mut raw) }).map_err(named("adjtimex"))?;
    *timex = Timex {
        modes: timex.modes,
        offset: raw.offset,
        frequency: raw.freq,
        error_max_us: raw.maxerror,
        error_estimated_us: raw.esterror,
        status: raw.status,
        constant: raw.constant,
        tick_us: raw.tick,
        time_secs: raw.time.tv_sec,
        time_nanos: raw.time.tv_usec,
        tai_s: raw.tai,
    };
    Ok(())
}

/// Whether this process may set the clock (CAP_SYS_TIME in its effective set, capabilities(7)).
pub fn may_set_clock() -> bool {
    const CAP_SYS_TIME: u32 = 25;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> CAP_SYS_TIME & 1 == 1)
}

/// Ticks in a second, in which the length of a tick is told (sysconf(3), `_SC_CLK_TCK`).
pub fn ticks_per_second() -> i64 {
    // SAFETY: the call takes a number and touches no memory of ours.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) }
}

/// Sets [`Timex::offset`].
pub const MODE_OFFSET: u32 = libc::ADJ_OFFSET;
/// Sets [`Timex::frequency`].
pub const MODE_FREQUENCY: u32 = libc::ADJ_FREQUENCY;
/// Sets [`Timex::error_max_us`].
pub const MODE_ERROR_MAX: u32 = libc::ADJ_MAXERROR;
/// Sets [`Timex::error_estimated_us`].
pub const MODE_ERROR_ESTIMATED: u32 = libc::ADJ_ESTERROR;
/// Sets [`Timex::status`].
pub const MODE_STATUS: u32 = libc::ADJ_STATUS;
/// Sets atomic time less UTC by [`Timex::constant`].
pub const MODE_TAI: u32 = libc::ADJ_TAI;
/// Adds [`Timex::time_secs`] and [`Timex::time_nanos`] to the clock.
pub const MODE_SET_OFFSET: u32 = libc::ADJ_SETOFFSET;
/// Times are nanoseconds.
pub const MODE_NANO: u32 = libc::ADJ_NANO;
/// Sets [`Timex::tick_us`].
pub const MODE_TICK: u32 = libc::ADJ_TICK;
/// The old adjtime(3): with [`Timex::offset`] zero what it has left is dropped.
pub const MODE_SINGLE_SHOT: u32 = libc::ADJ_OFFSET_SINGLESHOT;
/// The kernel's own loop is at work.
pub const STATUS_PLL: i32 = libc::STA_PLL;
/// A second is inserted at the end of the day.
pub const STATUS_INSERT: i32 = libc::STA_INS;
/// A second is deleted at the end of the day.
pub const STATUS_DELETE: i32 = libc::STA_DEL;
/// The clock follows no source.
pub const STATUS_UNSYNCHRONISED: i32 = libc::STA_UNSYNC;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_sets_nothing_and_tells_of_the_tick() {
        let mut timex = Timex::default();
        adjtimex(&mut timex).unwrap();
        let usual_us = 1_000_000 / ticks_per_second();
        let range = usual_us * 9 / 10..=usual_us * 11 / 10;
        assert!(range.contains(&timex.tick_us), "{timex:?}");
    }
}
