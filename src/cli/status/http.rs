//! Asks a node over HTTP/1.0: by the socket in the file system, or by an address.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The socket beside chronyc's.
    Socket(PathBuf),
    /// `HOST:PORT`
    Address(String),
}

impl Place {
    /// Of `http://HOST[:PORT][/]`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn of_url(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or("expected http://HOST:PORT")?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err("expected http://HOST:PORT, without a path".to_owned());
        }
        // The colons of an IPv6 address are within brackets.
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        if after_host.contains(':') {
            return Ok(Self::Address(authority.to_owned()));
        }
        Ok(Self::Address(format!("{authority}:80")))
    }

    /// Status and body of a path.
    ///
    /// # Errors
    /// Nobody answers in time, or not in HTTP.
    pub(super) fn get(&self, path: &str, patience: Duration) -> io::Result<(u16, String)> {
        match self {
            Self::Socket(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                converse(stream, path, "localhost")
            }
            Self::Address(authority) => {
                let mut failure = io::Error::from(io::ErrorKind::NotFound);
                for address in authority.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, patience) {
                        Ok(stream) => {
                            stream.set_read_timeout(Some(patience))?;
                            stream.set_write_timeout(Some(patience))?;
                            return converse(stream, path, authority);
                        }
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Address(authority) => write!(f, "http://{authority}"),
        }
    }
}

fn converse(mut stream: impl Read + Write, path: &str, host: &str) -> io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    stream.take(RESPONSE_MAX).read_to_end(&mut response)?;
    parse(&response).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "an answer that is not HTTP, or cut",
        )
    })
}

/// Status and body; `None` where it is no response, or shorter than it says.
fn parse(response: &[u8]) -> Option<(u16, String)> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&response[..end]).ok()?;
    let body = &response[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?;
    let status = status.split(' ').nth(1)?.parse().ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            let length: usize = value.trim().parse().ok()?;
            return Some((
                status,
                String::from_utf8(body.get(..length)?.to_vec()).ok()?,
            ));
        }
    }
    Some((status, String::from_utf8(body.to_vec()).ok()?))
}

/// No status is as long.
const RESPONSE_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_and_what_is_none() {
        let address = |text: &str| Ok(Place::Address(text.to_owned()));
        assert_eq!(Place::of_url("http://a:9123"), address("a:9123"));
        assert_eq!(Place::of_url("http://a/"), address("a:80"));
        assert_eq!(Place::of_url("http://[::1]:9"), address("[::1]:9"));
        assert_eq!(Place::of_url("http://[::1]"), address("[::1]:80"));
        for bad in [
            "a:9123",
            "https://a",
            "http://",
            "http://a/metrics",
            "http://u@a",
        ] {
            assert!(Place::of_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn responses_whole_and_cut() {
        let whole = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nno\n";
        assert_eq!(parse(whole), Some((503, "no\n".to_owned())));
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), None, "{len}");
        }
        let unmeasured = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it";
        assert_eq!(parse(unmeasured), Some((200, "all of it".to_owned())));
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
