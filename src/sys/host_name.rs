//! What a host's address is called.

use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr};

use socket2::SockAddr;

/// The name of an address, as the system's resolver has it (`getnameinfo`). It may ask a server, and wait.
///
/// `None` where it has none.
pub fn of(ip: IpAddr) -> Option<String> {
    let address = SockAddr::from(SocketAddr::new(ip, 0));
    let mut name: [libc::c_char; NAME_LEN] = [0; NAME_LEN];
    #[expect(clippy::cast_possible_truncation, reason = "NAME_LEN is 1025")]
    let name_len = NAME_LEN as libc::socklen_t;
    // SAFETY: the address and its length are those of a `SockAddr` that outlives the call, the name's pointer and
    // length those of an array borrowed exclusively for it; no service is asked for, so its pointer may be null.
    let code = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr(),
            name_len,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if code != 0 {
        return None;
    }
    let bytes = name.map(|c| c.to_ne_bytes()[0]);
    let name = CStr::from_bytes_until_nul(&bytes).ok()?;
    name.to_str().ok().map(str::to_owned)
}

/// `NI_MAXHOST`: no name is longer.
const NAME_LEN: usize = 1025;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_name() {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let mut lines = hosts.lines().map(str::split_whitespace);
        let Some(mut line) = lines.find(|line| line.clone().next() == Some("127.0.0.1")) else {
            return;
        };
        assert_eq!(of(IpAddr::from([127, 0, 0, 1])).as_deref(), line.nth(1));
    }

    #[test]
    fn an_address_without_a_name() {
        // No name is given back rather than the digits: 240.0.0.0/4 is nobody's (RFC 1112 §4).
        assert_eq!(of(IpAddr::from([240, 0, 0, 1])), None);
    }
}
