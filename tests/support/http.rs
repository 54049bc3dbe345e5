//! Who asks over HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let parts = text.split_once("\r\n\r\n");
        let (Some(code), Some((head, body))) = (code, parts) else {
            return Err(io::Error::other(format!("no reply: {text}")));
        };
        Ok(Self {
            code,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

/// `GET`
///
/// # Errors
/// Nobody answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    send(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
    )
}

/// Any bytes.
///
/// # Errors
/// Nobody answers.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, request)
}

/// `GET` by a socket in the file system.
///
/// # Errors
/// Nobody answers.
pub(crate) fn get_locally(socket: &Path, path: &str) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Answer::parse(&reply)
}

const PATIENCE: Duration = Duration::from_secs(10);
