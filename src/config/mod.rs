//! chrony's configuration, read and resolved (floor 3): text in, [`Config`] or every mistake out.
//!
//! Two stages: `directive` turns each line into what was typed, with its place; `resolve` sees all of
//! them and answers with a [`Config`], or with every mistake at once. Files and names are reached only
//! through the trait the caller hands in, [`Outside`].

mod arguments;
mod default;
mod directive;
mod error;
mod glob;
pub mod keyfile;
mod line;
mod print;
mod read;
mod resolve;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use directive::{Row, Support, directives};
pub use error::{ConfigError, ConfigErrors, Fault, Notice, Place};
pub use print::{CpuList, print};

pub use crate::discipline::Local;

use crate::server::{AccessRule, RateLimit};
use crate::wire::ReferenceId;

/// What a configuration can lead to outside of its own text.
pub trait Outside {
    /// The bytes of a file.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;
    /// The paths of all that lies directly in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// The addresses of a host; at least one, or an error.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Where a configuration is typed.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// In a file.
    File(&'a Path),
    /// As arguments, each of which is one line.
    Arguments(&'a [String]),
    /// Nowhere: maser's own, which serves loopback on an unprivileged port.
    EmbeddedDefault,
}

/// A configuration without a mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What the operator should hear of, once.
    pub notices: Vec<Notice>,
    /// The lines whose directives are [`NotYet`](Support::NotYet), as typed but for blanks.
    pub not_in_force: Vec<String>,
}

/// Reads a configuration and all it includes.
///
/// # Errors
///
/// Every mistake there is, in the order of the lines.
pub fn load(origin: Origin<'_>, outside: &dyn Outside) -> Result<Loaded, ConfigErrors> {
    let read = read::read(origin, outside);
    resolve::resolve(read, outside)
}

/// All that a configuration says, resolved, one part per consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// For the responder and its sockets.
    pub server: ServerConfig,
    /// For the timekeeper.
    pub time: TimeConfig,
    /// For the process and its threads.
    pub runtime: RuntimeConfig,
    /// `keyfile`
    pub key_file: Option<PathBuf>,
}

/// Sockets, access and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// `port`, 123; 0 opens no server socket.
    pub port: u16,
    /// `bindaddress`, several; empty is every address of [`families`](Self::families).
    pub bind_addresses: Vec<IpAddr>,
    /// `binddevice`
    pub bind_device: Option<String>,
    /// `-4`, `-6`
    pub families: Families,
    /// `dscp`, 0 to 63.
    pub dscp: u8,
    /// `allow` and `deny`, in order.
    pub access: Vec<AccessRule>,
    /// `requireauth`, in order; a rule's `allow` says that authentication is required there.
    pub require_auth: Vec<AccessRule>,
    /// `ratelimit`
    pub rate_limit: Option<RateLimit>,
    /// `clientloglimit` in bytes, for all workers together; `None` with `noclientlog`.
    pub client_log_bytes: Option<usize>,
    /// `unsynchronised`
    pub unsynchronised: Unsynchronised,
}

/// Which families are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Families {
    /// Both.
    #[default]
    Both,
    /// `-4`
    V4,
    /// `-6`
    V6,
}

/// What a client gets while our clock is not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsynchronised {
    /// A reply that says so (leap 3, stratum 0), as chrony.
    #[default]
    Answer,
    /// Nothing, so that a balancer or the client's next server takes over.
    Silent,
}

/// Where the time comes from, and what is known of the clock.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeConfig {
    /// `local`
    pub local: Option<Local>,
    /// `follow`
    pub follow: Option<Follow>,
    /// `clockprecision` in seconds; `None`: measured at start.
    pub clock_precision_s: Option<f64>,
    /// `maxclockerror` in parts per million.
    pub max_clock_error_ppm: f64,
}

/// `follow`: another program keeps the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The kernel's state becomes what we say of ourselves.
    Kernel {
        /// `stratum`, 1 to 15.
        stratum: u8,
        /// `refid`
        reference_id: ReferenceId,
    },
    /// A chronyd's `tracking` becomes what we say of ourselves.
    Chronyd(ChronydAddress),
}

/// Where a chronyd takes commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChronydAddress {
    /// UDP; chrony's own port is 323.
    Udp(SocketAddr),
    /// Its unix datagram socket.
    Unix(PathBuf),
}

/// Threads, cores, privileges, files of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// `workers`; `None` is `auto`: one per allowed core, or as many as receive with `steer cpu`.
    pub workers: Option<usize>,
    /// `cpus`; empty: all allowed cores.
    pub cpus: Vec<usize>,
    /// `burst`: datagrams per system call.
    pub burst: usize,
    /// `busypoll`: microseconds; 0 is off.
    pub busy_poll_us: u32,
    /// `pace`
    pub pace: Pace,
    /// `steer`
    pub steer: Steer,
    /// `user`, `-u`
    pub user: Option<String>,
    /// `pidfile`; `None` where it is `/`.
    pub pid_file: Option<PathBuf>,
    /// `sched_priority`, `-P`; 0 is none.
    pub sched_priority: u8,
    /// `lock_all`, `-m`
    pub lock_all: bool,
}

/// How a worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// Spin a bounded time after the last packet, then park.
    #[default]
    Adaptive,
    /// Never park.
    Spin,
    /// Park as soon as nothing waits.
    Park,
}

/// Which worker gets a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Steer {
    /// By a keyed hash of the source address: a client always meets the same worker.
    #[default]
    Source,
    /// By the core that received it.
    Cpu,
    /// By the kernel's hash of addresses and ports.
    Hash,
}
