//! Asks a daemon as chronyc does: ours or a chronyd of any age.

use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::control_socket::ControlSocket;
use crate::config::ChronydAddress;
use crate::control::{BadReply, Edition, REQUEST_LEN_MAX, Reply, Request, Status, client};
use crate::sys::{clock, random};

/// Somebody who asks one daemon: the first of some addresses that answers.
#[derive(Debug)]
pub struct ControlClient {
    addresses: Vec<ChronydAddress>,
    patience: Duration,
    tries: u16,
    found: Option<(ChronydAddress, ControlSocket)>,
}

/// What a daemon said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// The version of chrony that brought this form of it: figures that are newer are not in it.
    pub edition: Edition,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody answers: each address, and what came of it.
    #[error("no answer from {}", Listed(.0))]
    Silent(Vec<(String, io::Error)>),
    /// Somebody answers, but will not do it.
    #[error("{address} refuses: {status}")]
    Refused {
        /// Who.
        address: String,
        /// Why.
        status: Status,
    },
    /// Somebody answers what we do not understand.
    #[error("{address} answers what is not understood: {why}")]
    Strange {
        /// Who.
        address: String,
        /// What is wrong with it.
        why: BadReply,
    },
    /// The request has no form.
    #[error("the request cannot be put into bytes")]
    Unspoken,
}

impl AskError {
    /// The refusal, if it is one.
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl ControlClient {
    /// It waits for the first reply so long, twice as long for each further of so many tries, as chronyc does.
    pub const fn new(addresses: Vec<ChronydAddress>, patience: Duration, tries: u16) -> Self {
        Self {
            addresses,
            patience,
            tries,
            found: None,
        }
    }

    /// Asks the daemon that answered before, or else the first that does.
    ///
    /// # Errors
    /// Nobody answers, or not to this. Where a daemon is older, the request is put in its words before that.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, AskError> {
        if self.found.is_some() {
            return self.ask_found(request);
        }
        let mut failures = Vec::new();
        for address in self.addresses.clone() {
            let socket = match ControlSocket::connect(&address) {
                Ok(socket) => socket,
                Err(error) => {
                    failures.push((spelled(&address), error));
                    continue;
                }
            };
            self.found = Some((address, socket));
            match self.ask_found(request) {
                Err(AskError::Silent(silent)) => {
                    failures.extend(silent);
                    self.found = None;
                }
                answered => return answered,
            }
        }
        Err(AskError::Silent(failures))
    }

    fn ask_found(&self, request: &Request) -> Result<Answer, AskError> {
        let (address, socket) = self.found.as_ref().ok_or(AskError::Unspoken)?;
        let address = spelled(address);
        let mut refused = None;
        let mut asked: Option<Vec<u8>> = None;
        for edition in EDITIONS {
            // What has the same form was refused already.
            let Some(form) = client::encode(request, edition, 0, 0) else {
                continue;
            };
            if asked.as_ref() == Some(&form) {
                continue;
            }
            asked = Some(form);
            match self.converse(socket, request, edition) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(BadReply::Refused(status @ (Status::BadLength | Status::Invalid)))) => {
                    refused.get_or_insert(status);
                }
                Ok(Err(BadReply::Refused(status))) => {
                    return Err(AskError::Refused { address, status });
                }
                Ok(Err(why)) => return Err(AskError::Strange { address, why }),
                Err(error) => return Err(AskError::Silent(vec![(address, error)])),
            }
        }
        let status = refused.ok_or(AskError::Unspoken)?;
        Err(AskError::Refused { address, status })
    }

    /// Sends the request until there is a reply.
    fn converse(
        &self,
        socket: &ControlSocket,
        request: &Request,
        edition: Edition,
    ) -> io::Result<Result<Answer, BadReply>> {
        let mut patience = self.patience;
        for attempt in 0..self.tries {
            let sequence = u32::from_ne_bytes(random::array()?);
            let packet = client::encode(request, edition, sequence, attempt)
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
            socket.send(&packet)?;
            if let Some(answer) = listen(socket, request, sequence, patience)? {
                return Ok(answer);
            }
            patience *= 2;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "silence"))
    }
}

/// Waits for the reply to a request; `None`: none has come in time.
fn listen(
    socket: &ControlSocket,
    request: &Request,
    sequence: u32,
    patience: Duration,
) -> io::Result<Option<Result<Answer, BadReply>>> {
    let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    let end_ns = clock::monotonic_ns().saturating_add(patience_ns);
    let mut packet = [0; REQUEST_LEN_MAX];
    loop {
        let left_ns = end_ns.saturating_sub(clock::monotonic_ns());
        if left_ns == 0 {
            return Ok(None);
        }
        socket.set_timeout(Duration::from_nanos(left_ns.max(MICROSECOND_NS)))?;
        let len = match socket.receive(&mut packet) {
            Ok(len) => len,
            Err(error) if is_timeout(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match client::decode(&packet[..len], request, sequence) {
            // A stray packet must not end the wait for the true one.
            Err(BadReply::Unasked | BadReply::Foreign) => {}
            Err(other) => return Ok(Some(Err(other))),
            Ok(reply) => {
                let edition = client::edition(&packet[..len]).unwrap_or(Edition::V3);
                return Ok(Some(Ok(Answer { reply, edition })));
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

/// An address as it is written after `-h`, with its port.
fn spelled(address: &ChronydAddress) -> String {
    match address {
        ChronydAddress::Udp(address) => address.to_string(),
        ChronydAddress::Unix(path) => path.display().to_string(),
    }
}

/// Addresses and what came of each, on one line.
struct Listed<'a>(&'a [(String, io::Error)]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (address, error)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{address} ({error})")?;
        }
        Ok(())
    }
}

/// Newest first: a daemon that is older says so by a refusal.
const EDITIONS: [Edition; 5] = [
    Edition::V4_6,
    Edition::V4_4,
    Edition::V4_2,
    Edition::V4_0,
    Edition::V3,
];
/// The least wait that the kernel takes for one.
const MICROSECOND_NS: u64 = 1000;
