//! What the kernel says of programs in XDP at an interface, by netlink (rtnetlink(7); Documentation/netlink/specs/netdev.yaml).
//! Nothing is set.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::bpf::{XdpMode, interface_number};
use super::{check, named};

/// What an interface's driver can do with programs in XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs them by itself, and sends back what they have made an answer of (`basic`).
    pub native: bool,
    /// It sends frames that a program made elsewhere, at this moment (`ndo-xmit`): some drivers do once a program is
    /// attached, and a veth once its other end would take them, having a program or `gro` on.
    pub sends: bool,
    /// It tells them the card's stamp of a frame's receipt (`timestamp`).
    pub receive_stamp: bool,
}

/// A program in XDP at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's number of it; `None` where there are several.
    pub id: Option<u32>,
    /// Who runs it; `None`: the card itself, or several do.
    pub mode: Option<XdpMode>,
}

/// Asks for the abilities of an interface's driver (Linux 6.3).
///
/// # Errors
/// The kernel's: there is no such interface, or an older kernel that cannot be asked.
pub fn xdp_features(interface: &str) -> io::Result<XdpFeatures> {
    let (features, metadata) = abilities(interface)?;
    Ok(XdpFeatures {
        native: features & NETDEV_XDP_ACT_BASIC != 0,
        sends: features & NETDEV_XDP_ACT_NDO_XMIT != 0,
        receive_stamp: metadata & NETDEV_XDP_RX_METADATA_TIMESTAMP != 0,
    })
}

/// Whether an interface sends frames that a program made elsewhere: [`XdpFeatures::sends`] alone.
///
/// # Errors
/// As of [`xdp_features`].
pub fn xdp_sends(interface: &str) -> io::Result<bool> {
    Ok(xdp_features(interface)?.sends)
}

/// Whether an interface is up, and something at its other end: `IFF_RUNNING`.
///
/// # Errors
/// The kernel's: there is no such interface.
pub fn is_running(interface: &str) -> io::Result<bool> {
    let answer = link(interface)?;
    let flags = answer.get(LINK_FLAGS_AT..).and_then(number_of::<4>);
    let flags = u32::from_ne_bytes(flags.ok_or(io::ErrorKind::InvalidData)?);
    Ok(flags & libc::IFF_RUNNING.cast_unsigned() != 0)
}

/// Bits of what a driver can do with programs, and of what it tells them.
fn abilities(interface: &str) -> io::Result<(u64, u64)> {
    let number = interface_number(interface)?;
    let socket = open(libc::NETLINK_GENERIC)?;
    let family = generic_family(&socket, "netdev")?;
    let mut body = vec![NETDEV_CMD_DEV_GET, 1, 0, 0];
    put(&mut body, NETDEV_A_DEV_IFINDEX, &number.to_ne_bytes());
    let answer = ask(&socket, family, &body)?;
    let answer = answer.get(GENERIC_HEADER_LEN..).unwrap_or_default();
    let bits = |kind| attribute(answer, kind).and_then(number_of::<8>);
    let features = bits(NETDEV_A_DEV_XDP_FEATURES).map(u64::from_ne_bytes);
    let metadata = bits(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES).map_or(0, u64::from_ne_bytes);
    Ok((features.ok_or(io::ErrorKind::Unsupported)?, metadata))
}

/// Asks for the program at an interface.
///
/// # Errors
/// The kernel's: there is no such interface.
pub fn xdp_program(interface: &str) -> io::Result<Option<XdpProgram>> {
    let answer = link(interface)?;
    let attributes = answer.get(LINK_HEADER_LEN..).unwrap_or_default();
    let Some(xdp) = attribute(attributes, libc::IFLA_XDP) else {
        return Ok(None);
    };
    let attached = attribute(xdp, IFLA_XDP_ATTACHED).and_then(|data| data.first().copied());
    let mode = match attached {
        None | Some(0) => return Ok(None),
        Some(1) => Some(XdpMode::Native),
        Some(2) => Some(XdpMode::Generic),
        Some(_) => None,
    };
    let id = attribute(xdp, IFLA_XDP_PROG_ID).and_then(number_of::<4>);
    Ok(Some(XdpProgram {
        id: id.map(u32::from_ne_bytes),
        mode,
    }))
}

/// What the kernel says of an interface: `struct ifinfomsg`, and attributes.
fn link(interface: &str) -> io::Result<Vec<u8>> {
    let number = interface_number(interface)?;
    let socket = open(libc::NETLINK_ROUTE)?;
    // The number of the interface is the second word.
    let mut body = vec![0; LINK_HEADER_LEN];
    body[4..8].copy_from_slice(&number.to_ne_bytes());
    ask(&socket, libc::RTM_GETLINK, &body)
}

fn open(protocol: libc::c_int) -> io::Result<Socket> {
    let kind = Type::RAW.cloexec();
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        kind,
        Some(Protocol::from(protocol)),
    );
    let socket = socket.map_err(named("socket"))?;
    // The kernel answers before the call that asks returns; this is for one that does not answer at all.
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The number that this kernel has given to a family of generic netlink.
fn generic_family(socket: &Socket, name: &str) -> io::Result<u16> {
    let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    put(
        &mut body,
        CTRL_ATTR_FAMILY_NAME,
        &[name.as_bytes(), &[0]].concat(),
    );
    let answer = ask(socket, GENL_ID_CTRL, &body)?;
    let answer = answer.get(GENERIC_HEADER_LEN..).unwrap_or_default();
    let number = attribute(answer, CTRL_ATTR_FAMILY_ID).and_then(number_of::<2>);
    Ok(u16::from_ne_bytes(
        number.ok_or(io::ErrorKind::Unsupported)?,
    ))
}

/// Sends one request, and reads the one message that answers it: what is behind its header.
fn ask(socket: &Socket, kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(HEADER_LEN + body.len()).map_err(io::Error::other)?;
    let mut request = Vec::with_capacity(HEADER_LEN + body.len());
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend(SEQUENCE.to_ne_bytes());
    request.extend([0; 4]);
    request.extend(body);
    socket.send(&request).map_err(named("netlink"))?;
    let mut answer = vec![0; ANSWER_LEN_MAX];
    // SAFETY: the kernel writes at most as many bytes as the vector has, which lives until the call returns.
    let got = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            answer.as_mut_ptr().cast(),
            answer.len(),
            0,
        )
    };
    let got = check(libc::c_int::try_from(got).unwrap_or(-1)).map_err(named("netlink"))?;
    answer.truncate(usize::try_from(got).unwrap_or(0));
    message(&answer)
}

/// What is behind the header of a message, or the error that it is.
fn message(answer: &[u8]) -> io::Result<Vec<u8>> {
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    let length = answer.get(..4).and_then(number_of::<4>);
    let length = u32::from_ne_bytes(length.ok_or_else(strange)?) as usize;
    let kind = answer.get(4..6).and_then(number_of::<2>);
    let kind = u16::from_ne_bytes(kind.ok_or_else(strange)?);
    let body = answer.get(HEADER_LEN..length).ok_or_else(strange)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let code = number_of::<4>(body).ok_or_else(strange)?;
        return Err(named("netlink")(io::Error::from_raw_os_error(
            i32::from_ne_bytes(code).wrapping_neg(),
        )));
    }
    Ok(body.to_vec())
}

/// Appends an attribute, and the bytes that bring the next to its place.
fn put(to: &mut Vec<u8>, kind: u16, data: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER_LEN + data.len()).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(data);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The data of the first attribute of a kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(number_of::<2>(rest)?));
        let kind = u16::from_ne_bytes(number_of::<2>(rest.get(2..)?)?);
        let data = rest.get(ATTRIBUTE_HEADER_LEN..length)?;
        if kind & KIND == wanted {
            return Some(data);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn number_of<const N: usize>(data: &[u8]) -> Option<[u8; N]> {
    data.first_chunk().copied()
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// `struct nlmsghdr`, `struct genlmsghdr`, `struct ifinfomsg`, `struct nlattr`
const HEADER_LEN: usize = 16;
const GENERIC_HEADER_LEN: usize = 4;
const LINK_HEADER_LEN: usize = 16;
const LINK_FLAGS_AT: usize = 8;
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// The kernel tells of one interface in a few kilobytes.
const ANSWER_LEN_MAX: usize = 64 << 10;
const SEQUENCE: u32 = 1;
const NLM_F_REQUEST: u16 = 1;
/// Without the bits for nested ones and for the order of bytes.
const KIND: u16 = 0x3fff;
// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
// linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES: u16 = 5;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;
const NETDEV_XDP_RX_METADATA_TIMESTAMP: u64 = 1;
// linux/if_link.h
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The loopback has no driver that could run programs; on a kernel before 6.3 it cannot be told.
    #[test]
    fn the_loopback_runs_none_by_itself() {
        if let Ok(features) = xdp_features("lo") {
            assert_eq!(features, XdpFeatures::default());
            assert!(!xdp_sends("lo").unwrap());
        }
        assert_eq!(xdp_program("lo").unwrap(), None);
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        for name in ["no-such-card", "a\0b", ""] {
            assert!(xdp_features(name).is_err() && xdp_program(name).is_err());
            assert!(xdp_sends(name).is_err() && is_running(name).is_err());
        }
        let socket = open(libc::NETLINK_GENERIC).unwrap();
        assert!(generic_family(&socket, "no-such-family").is_err());
    }

    #[test]
    fn attributes_are_found_behind_others() {
        let mut all = Vec::new();
        put(&mut all, 1, &[7]);
        put(&mut all, 0x8002, &[1, 2, 3, 4, 5]);
        put(&mut all, 3, &[]);
        assert_eq!(all.len(), 8 + 12 + 4);
        assert_eq!(attribute(&all, 1), Some(&[7][..]));
        assert_eq!(attribute(&all, 2), Some(&[1, 2, 3, 4, 5][..]));
        assert_eq!(attribute(&all, 3), Some(&[][..]));
        assert_eq!(attribute(&all, 4), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = message(&bytes);
            let _ = attribute(&bytes, 3);
        }
    }
}
