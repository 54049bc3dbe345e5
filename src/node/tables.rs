//! What one worker is given to remember with: its share of the memory, its secrets, its tables.

use std::io;
use std::sync::Arc;

use crate::auth::KeyStore;
use crate::config::{ServerConfig, Unsynchronised};
use crate::server::{
    AccessTable, Chance, ClientTable, InterleavedTable, RateLimiter, Responder, ResponderParts,
};
use crate::sys::random;

/// Memory of a worker's thread for its stack, in bytes. It is reserved, and taken as far as it is used; with
/// `lock_all`, whole.
pub(super) const STACK_BYTES: usize = 2 << 20;

/// A worker's share of `clientloglimit`, in bytes. Clients of one worker are none of another's, so each has
/// tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLog {
    /// For the table of clients.
    pub clients: usize,
    /// For replies to interleaved clients: as chrony, as many of them as of clients.
    pub interleaved: usize,
}

impl ClientLog {
    /// The share of one of `workers`; `None` with `noclientlog`.
    pub fn share(server: &ServerConfig, workers: usize) -> Option<Self> {
        let bytes = server.client_log_bytes?.min(ClientTable::MEMORY_BYTES_MAX) / workers.max(1);
        let both = ClientTable::CLIENT_BYTES + InterleavedTable::REPLY_BYTES;
        let interleaved = bytes / both * InterleavedTable::REPLY_BYTES;
        Some(Self {
            clients: bytes - interleaved,
            interleaved,
        })
    }
}

/// Secrets of one worker's tables.
pub struct Seeds {
    clients: [u8; 16],
    chance: u64,
}

impl Seeds {
    /// New ones.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn draw() -> io::Result<Self> {
        Ok(Self {
            clients: random::array()?,
            chance: u64::from_ne_bytes(random::array()?),
        })
    }
}

/// Who may ask a worker, and how: read on its path, and written by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `allow` and `deny`
    pub access: AccessTable,
    /// `requireauth`
    pub require_auth: AccessTable,
}

impl Rules {
    /// As they are configured.
    pub fn of(server: &ServerConfig) -> Self {
        Self {
            access: AccessTable::new(&server.access),
            require_auth: AccessTable::new(&server.require_auth),
        }
    }
}

/// Allocates a worker's tables, on the thread that will use them: so they lie in the memory of its node.
pub fn responder(
    server: &ServerConfig,
    rules: Rules,
    client_log: Option<ClientLog>,
    keys: Arc<KeyStore>,
    seeds: &Seeds,
) -> Responder {
    Responder::new(ResponderParts {
        access: rules.access,
        require_auth: rules.require_auth,
        clients: client_log.map(|log| ClientTable::new(log.clients, seeds.clients)),
        interleaved: client_log.map(|log| InterleavedTable::new(log.interleaved)),
        limiter: server.rate_limit.map(RateLimiter::new),
        poll_min: server.rate_limit.map(|limit| limit.interval_log2),
        keys,
        silent_unsynchronised: server.unsynchronised == Unsynchronised::Silent,
        chance: Chance::new(seeds.chance),
    })
}
