//! The process: memory lock, priority, user.

use std::ffi::{CStr, CString};
use std::io;
use std::mem;

use super::{check, named};

/// Lifts the limit on locked memory (RLIMIT_MEMLOCK), which counts once root is gone.
///
/// # Errors
/// Needs CAP_SYS_RESOURCE, unless the limit was lifted already.
pub fn lift_memory_lock_limit() -> io::Result<()> {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel reads one local struct.
    check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) })
        .map_err(named("setrlimit"))?;
    Ok(())
}

/// Locks all memory, present and future, so that no page fault stalls a worker (`mlockall`).
///
/// # Errors
/// Needs CAP_IPC_LOCK or a large enough RLIMIT_MEMLOCK.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: the call takes flags only and touches no memory of ours.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) })
        .map_err(named("mlockall"))?;
    Ok(())
}

/// Lifts the number of open files this process may have to what it may lift it to (RLIMIT_NOFILE).
///
/// # Errors
/// The system's reason.
pub fn lift_open_files_limit() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one local struct.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })
        .map_err(named("getrlimit"))?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads one local struct.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
        .map_err(named("setrlimit"))?;
    Ok(())
}

/// Puts the calling thread, and threads it starts later, under the real-time scheduler `SCHED_FIFO`.
///
/// # Errors
/// Needs CAP_SYS_NICE or RLIMIT_RTPRIO.
pub fn set_fifo_priority(priority: u8) -> io::Result<()> {
    // The kernel's highest is 99; chrony takes 100 as well.
    let priority = priority.min(99);
    let parameters = libc::sched_param {
        sched_priority: libc::c_int::from(priority),
    };
    // SAFETY: the kernel reads one local struct. Process 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) })
        .map_err(named("sched_setscheduler"))?;
    Ok(())
}

/// CPU time of this process so far, all threads: user and system, in seconds (`getrusage`).
///
/// # Errors
/// None that the kernel documents for the process itself.
pub fn cpu_seconds() -> io::Result<(f64, f64)> {
    // SAFETY: an rusage is integers, for which all bits zero is a value.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes one local struct.
    check(unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) })
        .map_err(named("getrusage"))?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of CPU time are far below 2^53"
    )]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Ok((seconds(usage.ru_utime), seconds(usage.ru_stime)))
}

/// Whether the process runs as root.
pub fn is_root() -> bool {
    // SAFETY: the call takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    user == 0
}

/// A right that can be kept when root goes (capabilities(7)), by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Ports below 1024.
    NetBindService = 10,
    /// Setting the clock.
    SysTime = 25,
}

/// The id of a user.
///
/// # Errors
/// The user is unknown.
pub fn user_id(user: &str) -> io::Result<u32> {
    let name = CString::new(user).map_err(io::Error::other)?;
    look_up(&name).map(|(user_id, _)| user_id)
}

/// Becomes `user` for good: its groups, its group, its user id. All capabilities go with root, but those to `keep`.
///
/// Call it before threads are started: the C library changes all threads, but only the calling one keeps
/// what it should of the rest.
///
/// # Errors
/// The user is unknown, or the process may not change to it.
pub fn become_user(user: &str, keep: &[Capability]) -> io::Result<()> {
    let name = CString::new(user).map_err(io::Error::other)?;
    let (user_id, group_id) = look_up(&name)?;
    if !keep.is_empty() {
        let keeps: libc::c_ulong = 1;
        // SAFETY: the call takes numbers only.
        check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, keeps) }).map_err(named("prctl"))?;
    }
    // SAFETY: `name` is a C string that outlives the call.
    check(unsafe { libc::initgroups(name.as_ptr(), group_id) }).map_err(named("initgroups"))?;
    // SAFETY: the call takes numbers only.
    check(unsafe { libc::setresgid(group_id, group_id, group_id) }).map_err(named("setresgid"))?;
    // SAFETY: the call takes numbers only.
    check(unsafe { libc::setresuid(user_id, user_id, user_id) }).map_err(named("setresuid"))?;
    if keep.is_empty() {
        return Ok(());
    }
    set_capabilities(keep)
}

/// The calling thread has these capabilities from now on, and no others: what it never had it does not get.
///
/// # Errors
/// One of them is not to be had.
pub fn set_capabilities(keep: &[Capability]) -> io::Result<()> {
    let bits = keep
        .iter()
        .fold(0_u32, |bits, capability| bits | 1 << *capability as u32);
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let low = CapabilityData {
        effective: bits,
        permitted: bits,
        inheritable: 0,
    };
    let data = [low, CapabilityData::default()];
    // SAFETY: the kernel reads a header and, for this version of it, two sets, all of them local; process 0 is the
    // calling thread.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result < 0 {
        return Err(named("capset")(io::Error::last_os_error()));
    }
    Ok(())
}

/// `__user_cap_header_struct` (linux/capability.h).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

/// `__user_cap_data_struct`: 32 of the capabilities.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets of 64 capabilities.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

fn look_up(name: &CStr) -> io::Result<(libc::uid_t, libc::gid_t)> {
    let mut text = [0; 4096];
    // SAFETY: a passwd is integers and pointers, for which all bits zero is a value.
    let mut entry: libc::passwd = unsafe { mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: `name` is a C string; the entry's strings are written into `text`, whose length is passed;
    // both outlive every use of the entry.
    let status = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            &raw mut entry,
            text.as_mut_ptr(),
            text.len(),
            &raw mut found,
        )
    };
    if status != 0 {
        return Err(named("getpwnam_r")(io::Error::from_raw_os_error(status)));
    }
    if found.is_null() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such user"));
    }
    Ok((entry.pw_uid, entry.pw_gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nobody_else_invented() {
        assert_eq!(look_up(c"root").unwrap(), (0, 0));
        assert_eq!(
            look_up(c"no-such-user-here").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
