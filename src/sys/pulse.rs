//! Pulses that the kernel stamps (RFC 2783, <linux/pps.h>).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::{Timespec, check, named};

/// A device that pulses come in at.
#[derive(Debug)]
pub struct PulseDevice {
    file: File,
}

/// One edge of the pulses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The rising one.
    Assert,
    /// The falling one.
    Clear,
}

/// The last pulse that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Pulses so far.
    pub sequence: u32,
    /// When it came, by the system clock.
    pub at: Timespec,
}

impl PulseDevice {
    /// Opens a device and has it stamp one edge.
    ///
    /// # Errors
    /// There is no such device, it is not one for pulses, or it cannot stamp that edge.
    pub fn open(path: &Path, edge: Edge) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let device = Self { file };
        let wanted = match edge {
            Edge::Assert => CAPTURE_ASSERT,
            Edge::Clear => CAPTURE_CLEAR,
        };
        let mut can: libc::c_int = 0;
        // SAFETY: the kernel writes one int into a local variable.
        check(unsafe { libc::ioctl(device.file.as_raw_fd(), GET_CAP, &raw mut can) })
            .map_err(named("PPS_GETCAP"))?;
        if can & wanted == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the device does not stamp this edge",
            ));
        }
        let mut parameters = Parameters::default();
        // SAFETY: the kernel writes one such struct into a local variable.
        check(unsafe { libc::ioctl(device.file.as_raw_fd(), GET_PARAMS, &raw mut parameters) })
            .map_err(named("PPS_GETPARAMS"))?;
        parameters.mode |= wanted | TIME_AS_TIMESPEC;
        // SAFETY: the kernel reads one such struct from a local variable.
        check(unsafe { libc::ioctl(device.file.as_raw_fd(), SET_PARAMS, &raw const parameters) })
            .map_err(named("PPS_SETPARAMS"))?;
        Ok(device)
    }

    /// The last pulse, without waiting for one.
    ///
    /// # Errors
    /// The device is gone.
    pub fn last(&self, edge: Edge) -> io::Result<Pulse> {
        let mut data = FetchData::default();
        // SAFETY: the kernel reads and writes one such struct in a local variable; with a timeout of 0 it returns at once.
        check(unsafe { libc::ioctl(self.file.as_raw_fd(), FETCH, &raw mut data) })
            .map_err(named("PPS_FETCH"))?;
        let (sequence, at) = match edge {
            Edge::Assert => (data.assert_sequence, data.assert),
            Edge::Clear => (data.clear_sequence, data.clear),
        };
        Ok(Pulse {
            sequence,
            at: Timespec {
                secs: at.secs,
                nanos: u32::try_from(at.nanos).unwrap_or(0),
            },
        })
    }
}

/// struct pps_ktime
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct KernelTime {
    secs: i64,
    nanos: i32,
    flags: u32,
}

/// struct pps_kparams
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Parameters {
    version: i32,
    mode: i32,
    assert_offset: KernelTime,
    clear_offset: KernelTime,
}

/// struct pps_fdata
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct FetchData {
    assert_sequence: u32,
    clear_sequence: u32,
    assert: KernelTime,
    clear: KernelTime,
    mode: i32,
    timeout: KernelTime,
}

const CAPTURE_ASSERT: i32 = 0x01;
const CAPTURE_CLEAR: i32 = 0x02;
const TIME_AS_TIMESPEC: i32 = 0x1000;
const TYPE: u32 = b'p' as u32;
// The header gives the type of a pointer where it means that of what it points to.
const GET_PARAMS: libc::Ioctl = libc::_IOR::<*mut Parameters>(TYPE, 0xa1);
const SET_PARAMS: libc::Ioctl = libc::_IOW::<*mut Parameters>(TYPE, 0xa2);
const GET_CAP: libc::Ioctl = libc::_IOR::<*mut libc::c_int>(TYPE, 0xa3);
const FETCH: libc::Ioctl = libc::_IOWR::<*mut FetchData>(TYPE, 0xa4);
