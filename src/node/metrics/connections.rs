//! Where HTTP is spoken: a TCP port, a socket in the file system, and who is connected. Nothing here waits.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::http::{REQUEST_LEN_MAX, Reading, Request, Response, Status, read};
use crate::node::command;

/// All that is open.
pub(super) struct Connections {
    poll: Poll,
    events: Events,
    tcp: Option<TcpListener>,
    local: Option<LocalListener>,
    open: BTreeMap<usize, Connection>,
    next_token: usize,
}

/// The socket in the file system; it goes with the program.
struct LocalListener {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Connections {
    /// None yet, nor a place where any can begin.
    ///
    /// # Errors
    /// The system gives no epoll.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            tcp: None,
            local: None,
            open: BTreeMap::new(),
            next_token: FIRST,
        })
    }

    /// Connections can begin at this address.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        self.watch(listener.as_raw_fd(), TCP, Interest::READABLE)?;
        self.tcp = Some(listener);
        Ok(())
    }

    /// Connections can begin at a socket in the file system, in a folder that is `owner`'s alone.
    ///
    /// # Errors
    /// The folder is not theirs alone; the system's reason.
    pub(super) fn listen_locally(&mut self, path: &Path, owner: u32) -> io::Result<()> {
        command::claim(path, owner)?;
        let listener = UnixListener::bind(path)?;
        let local = LocalListener {
            listener,
            path: path.to_owned(),
        };
        local.listener.set_nonblocking(true)?;
        command::open_to_all(path)?;
        self.watch(local.listener.as_raw_fd(), LOCAL, Interest::READABLE)?;
        self.local = Some(local);
        Ok(())
    }

    /// When something is to be done though nothing comes.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.open.values().map(|one| one.deadline_ns).min()
    }

    /// Answers what has come, and ends what takes too long. Whether there is more to do at once.
    pub(super) fn turn(
        &mut self,
        now_ns: u64,
        mut answer: impl FnMut(Result<Request<'_>, Status>) -> Response,
    ) -> bool {
        self.open.retain(|_, one| one.deadline_ns > now_ns);
        for _ in 0..ROUNDS {
            let polled = self.poll.poll(&mut self.events, Some(Duration::ZERO));
            if polled.is_err() || self.events.is_empty() {
                return false;
            }
            let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for token in tokens {
                match token {
                    TCP | LOCAL => self.accept(token, now_ns),
                    token => {
                        let goes_on = self.open.get_mut(&token).is_some_and(|one| {
                            // What a stranger's connection fails with is nothing to us.
                            one.advance(&mut answer).unwrap_or(false)
                        });
                        if !goes_on {
                            self.open.remove(&token);
                        }
                    }
                }
            }
        }
        true
    }

    fn accept(&mut self, at: usize, now_ns: u64) {
        while let Some(stream) = self.next_stream(at) {
            let token = self.next_token;
            self.next_token += 1;
            if self.open.len() >= CONNECTIONS_MAX {
                // Who came first has had the most time.
                self.open.pop_first();
            }
            let both = Interest::READABLE | Interest::WRITABLE;
            if self.watch(stream.as_raw_fd(), token, both).is_ok() {
                let connection = Connection::new(stream, now_ns.saturating_add(DEADLINE_NS));
                self.open.insert(token, connection);
            }
        }
    }

    fn next_stream(&self, at: usize) -> Option<Stream> {
        if at == TCP {
            let (stream, _) = self.tcp.as_ref()?.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            return Some(Stream::Tcp(stream));
        }
        let (stream, _) = self.local.as_ref()?.listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Stream::Local(stream))
    }

    fn watch(&self, fd: RawFd, token: usize, interest: Interest) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), Token(token), interest)
    }
}

impl AsRawFd for Connections {
    /// Readable while there is something to do.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

enum Stream {
    Tcp(TcpStream),
    Local(UnixStream),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Local(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Local(stream) => stream.write(bytes),
        }
    }

    fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Local(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Local(stream) => stream.as_raw_fd(),
        }
    }
}

/// One request, one reply, and then nothing but the other side's end.
struct Connection {
    stream: Stream,
    request: Vec<u8>,
    reply: Vec<u8>,
    written: usize,
    /// The other side has ended.
    is_ended: bool,
    deadline_ns: u64,
}

impl Connection {
    const fn new(stream: Stream, deadline_ns: u64) -> Self {
        Self {
            stream,
            request: Vec::new(),
            reply: Vec::new(),
            written: 0,
            is_ended: false,
            deadline_ns,
        }
    }

    /// Goes as far as it can without waiting; whether the connection goes on.
    ///
    /// # Errors
    /// The connection is of no use any more.
    fn advance(
        &mut self,
        answer: &mut impl FnMut(Result<Request<'_>, Status>) -> Response,
    ) -> io::Result<bool> {
        self.take()?;
        if self.reply.is_empty() {
            self.reply = match read(&self.request) {
                Reading::Partial => return Ok(!self.is_ended),
                Reading::Whole(request) => answer(Ok(request)).emit(request.is_head),
                Reading::Refused(status) => answer(Err(status)).emit(false),
            };
        }
        while self.written < self.reply.len() {
            match self.stream.write(&self.reply[self.written..]) {
                Ok(0) => return Ok(false),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == self.reply.len() {
                // To close while something comes would take the reply away from who has not read it yet.
                self.stream.end_writing()?;
            }
        }
        Ok(!self.is_ended)
    }

    /// Takes what has come, and forgets what is too much.
    fn take(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..READS {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.is_ended = true;
                    return Ok(());
                }
                Ok(len) => {
                    let room = REQUEST_LEN_MAX - self.request.len();
                    self.request.extend_from_slice(&buffer[..len.min(room)]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Nobody who means well sends so much.
        Err(ErrorKind::InvalidData.into())
    }
}

const TCP: usize = 0;
const LOCAL: usize = 1;
/// The first connection's token.
const FIRST: usize = 2;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
const EVENTS: usize = 64;
/// Looks for events in a turn: the clock must not wait for whoever asks.
const ROUNDS: usize = 4;
/// Reads of a connection in a turn.
const READS: usize = 16;
/// How long a connection may take, from its beginning to its end.
const DEADLINE_NS: u64 = 5_000_000_000;
