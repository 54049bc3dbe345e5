//! Linux (floor 0): the only `unsafe` and the only `libc` of this crate.
//!
//! The rules of this folder:
//!
//! - A function is one kernel operation with Rust types in and out. No policy, no NTP, no logging.
//! - One unsafe operation per block; above it the sentence that makes it sound: who owns the memory, how
//!   long, who wrote the length.
//! - [`Burst`], [`PacketPort`] and [`SharedTime`] alone hold memory that others read and write too: allocated or mapped
//!   once, never moved; of a burst no header is handed out, of a ring no frame that is the kernel's. Control messages are read and written as plain bytes, without pointers ([`cmsg`]).
//! - `EINTR` is retried inside; `EAGAIN` is nothing received. An error that a stranger can provoke never
//!   closes a socket.
//! - Kernel time leaves as [`Timespec`], seconds and nanoseconds; what NTP makes of it is not known here.

#![allow(unsafe_code)]

pub mod adjtimex;
pub mod bpf;
mod burst;
mod busy_poll;
pub mod clock;
mod clock_watch;
pub mod cmsg;
pub mod ethtool;
mod filter;
mod fixed;
pub mod host_name;
pub mod hwtstamp;
pub mod netlink;
mod packet;
pub mod process;
mod ptp;
mod pulse;
pub mod random;
pub mod rtc;
mod shared_memory;
pub mod steering;
mod udp;

pub use burst::{Burst, Datagram, LocalAddress, ReceiveStamp, TransmitStamp};
pub use busy_poll::busy_poll_epoll;
pub use clock::Timespec;
pub use clock_watch::ClockWatch;
pub use packet::{Frame, PACKET_LEN_MAX, PacketOptions, PacketPort};
pub use ptp::{PtpDevice, PtpReading, PulseInput};
pub use pulse::{Edge, Pulse, PulseDevice};
pub use shared_memory::{KEY_OF_UNIT_0, SharedTime, ShmTime};
pub use udp::{PortOptions, Transmitted, UdpPort};

use std::io;
use std::os::fd::AsRawFd;

/// The result of a call that answers -1 and sets `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Adds the name of the call to an error.
fn named(call: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{call}: {error}"))
}

/// The length of a `T`, as socket calls take it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no structure of the kernel's is 4 GiB"
)]
const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

fn set_option<T>(socket: &impl AsRawFd, (level, option): (i32, i32), value: &T) -> io::Result<()> {
    let len = socklen::<T>();
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the kernel reads `len` bytes of a value that outlives the call; each caller passes the type
    // that the option takes.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) })?;
    Ok(())
}

/// Attaches a classic BPF program to a socket, or to the group it is in.
fn attach_program(
    socket: &impl AsRawFd,
    level: (i32, i32),
    instructions: &[libc::sock_filter],
) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(io::Error::other)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    // The kernel copies the program during the call and only reads it.
    set_option(socket, level, &program)
}
