//! Programs in the kernel, as far as libbpf does not go: links of a program to an interface, made in a chosen mode, and
//! their names in the file system (bpf(2)).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::named;

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// The card's driver.
    Native,
    /// The kernel, once it has made its own buffer of the frame.
    Generic,
}

/// Links a program to an interface (Linux 5.9). It runs until the link, and every name of it, is gone.
///
/// # Errors
/// The kernel's: `EOPNOTSUPP`, the driver cannot; `EBUSY`, `EEXIST`: another program is there.
pub fn link_xdp(program: BorrowedFd<'_>, interface: u32, mode: XdpMode) -> io::Result<OwnedFd> {
    let mode = match mode {
        XdpMode::Generic => 1 << 1,
        XdpMode::Native => 1 << 2,
    };
    let mut attributes = [number(program.as_raw_fd()), interface, ATTACH_XDP, mode];
    let fd = bpf(LINK_CREATE, &mut attributes).map_err(named("BPF_LINK_CREATE"))?;
    Ok(owned(fd))
}

/// Puts another program in a link's place, between one frame and the next.
///
/// # Errors
/// The kernel's; `ENOLINK`: the interface is gone.
pub fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let (link, program) = (number(link.as_raw_fd()), number(program.as_raw_fd()));
    let mut attributes = [link, program, 0, 0];
    bpf(LINK_UPDATE, &mut attributes).map_err(named("BPF_LINK_UPDATE"))?;
    Ok(())
}

/// Ends what a link does, though it may have a name.
///
/// # Errors
/// The kernel's.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [number(link.as_raw_fd())];
    bpf(LINK_DETACH, &mut attributes).map_err(named("BPF_LINK_DETACH"))?;
    Ok(())
}

/// The interface of a link; 0: it is gone. An error where it is no link to an interface.
///
/// # Errors
/// The kernel's.
pub fn interface_of_link(link: BorrowedFd<'_>) -> io::Result<u32> {
    // `struct bpf_link_info`: type, number, program, padding, interface.
    let mut info = [0_u32; 16];
    let length = u32::try_from(size_of_val(&info)).unwrap_or(0);
    let [low, high] = halves(info.as_mut_ptr() as u64);
    let mut attributes = [number(link.as_raw_fd()), length, low, high];
    bpf(GET_INFO, &mut attributes).map_err(named("BPF_OBJ_GET_INFO_BY_FD"))?;
    if info[0] == LINK_TYPE_XDP {
        Ok(info[4])
    } else {
        Err(io::Error::from(io::ErrorKind::InvalidInput))
    }
}

/// Gives a link a name in a file system of type `bpf`: it stays when we end.
///
/// # Errors
/// The kernel's.
pub fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    let mut attributes = [low, high, number(link.as_raw_fd()), 0];
    bpf(OBJ_PIN, &mut attributes).map_err(named("BPF_OBJ_PIN"))?;
    Ok(())
}

/// What has this name.
///
/// # Errors
/// The kernel's.
pub fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    let mut attributes = [low, high, 0, 0];
    let fd = bpf(OBJ_GET, &mut attributes).map_err(named("BPF_OBJ_GET"))?;
    Ok(owned(fd))
}

/// Has a program see so many copies of a frame, as if they had come in at an interface, so many at a time; the kernel
/// does with each what the program says (Linux 5.18). Those that are sent leave after each `batch`.
///
/// # Errors
/// The kernel's; `EINTR`: a signal has ended it early.
pub fn send_frames(
    program: BorrowedFd<'_>,
    frame: &[u8],
    interface: u32,
    repeat: u32,
    batch: u32,
) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, length, 0, interface, 0, 0];
    let context_len = u32::try_from(size_of_val(&context)).map_err(io::Error::other)?;
    let [data, data_up] = halves(frame.as_ptr() as u64);
    let [place, place_up] = halves(context.as_ptr() as u64);
    let program = number(program.as_raw_fd());
    let head = [program, 0, length, 0, data, data_up, 0, 0, repeat, 0];
    let rest = [
        context_len,
        0,
        place,
        place_up,
        0,
        0,
        TEST_XDP_LIVE_FRAMES,
        0,
        batch,
        0,
    ];
    let mut attributes: Vec<u32> = head.into_iter().chain(rest).collect();
    bpf(PROG_TEST_RUN, &mut attributes).map_err(named("BPF_PROG_TEST_RUN"))?;
    Ok(())
}

/// The number of an interface of our network namespace.
///
/// # Errors
/// There is none of this name.
pub fn interface_number(name: &str) -> io::Result<u32> {
    let text = CString::new(name)?;
    // SAFETY: the text ends with a zero and lives until the call returns.
    let number = unsafe { libc::if_nametoindex(text.as_ptr()) };
    if number == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(number)
    }
}

/// The call. Attributes are the beginning of `union bpf_attr`; the rest of it counts as zero.
fn bpf(command: libc::c_int, attributes: &mut [u32]) -> io::Result<RawFd> {
    let length = size_of_val(attributes);
    // SAFETY: the kernel reads `length` bytes of the slice; the memory that pointers in it name belongs to the caller,
    // who holds it until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), length) };
    RawFd::try_from(result)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(io::Error::last_os_error)
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just given the descriptor to us alone.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A descriptor as attributes have it.
const fn number(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}

/// A number of 64 bits as two attributes.
fn halves(number: u64) -> [u32; 2] {
    let bytes = number.to_ne_bytes();
    let half = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
    [half(0), half(4)]
}

// linux/bpf.h
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const PROG_TEST_RUN: libc::c_int = 10;
const GET_INFO: libc::c_int = 15;
const LINK_CREATE: libc::c_int = 28;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;
const ATTACH_XDP: u32 = 37;
const TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const LINK_TYPE_XDP: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn interfaces_have_numbers() {
        assert_eq!(interface_number("lo").unwrap(), 1);
        assert!(interface_number("no-such-one").is_err());
    }

    #[test]
    fn what_is_no_link_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = detach_link(file.as_fd()).unwrap_err().to_string();
        assert!(error.contains("BPF_LINK_DETACH"), "{error}");
        assert!(interface_of_link(file.as_fd()).is_err());
        assert!(open_pinned(Path::new("/dev/null")).is_err());
    }
}
