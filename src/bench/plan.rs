//! What is to be done, resolved from the command line.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::clients::Order;
use super::mix::Mix;
use crate::auth::{KeyIndex, KeyStore};
use crate::wire::KeyId;

/// A run against one server.
#[derive(Clone)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// Open or closed loop.
    pub load: Load,
    /// Which rates, in which order.
    pub course: Course,
    /// What is sent.
    pub mix: Mix,
    /// The key of signed requests.
    pub signature: Option<Signature>,
    /// NTP version, 1 to 4.
    pub version: u8,
    /// How long a step is measured.
    pub duration: Duration,
    /// How long it runs before that; what is sent then is in no figure.
    pub warm_up: Duration,
    /// How long a reply is waited for.
    pub patience: Duration,
    /// A request that could not leave so long after its moment does not leave at all.
    pub lateness_max: Duration,
    /// Requests of an open loop whose moments lie no farther apart leave together, at the end of that span:
    /// as a network card hands over what came in while it held its interrupt back.
    pub gather: Duration,
    /// The core of each thread; as many threads.
    pub cpus: Vec<Option<usize>>,
    /// Source ports of each thread.
    pub ports: usize,
    /// Source addresses, shared by all threads; none: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// In which order they ask.
    pub order: Order,
    /// How many interleaved clients each thread plays.
    pub associations: usize,
    /// How requests leave.
    pub carriage: Carriage,
    /// What the way from one clock to the other takes that is nobody's error, in nanoseconds; taken off
    /// the errors of both timestamps.
    pub correction_ns: i64,
    /// Processes of the server, whose CPU time and drops are told; none: whoever has the target's socket on
    /// this machine.
    pub server_pids: Vec<u32>,
}

/// How requests leave and replies come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// By UDP sockets.
    Udp,
    /// As whole frames, past the kernel's network stack.
    Raw(Raw),
    /// As frames that the kernel makes and a program in XDP writes and takes back (cargo feature `xdp`).
    Xdp(Raw),
}

/// Where whole frames go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The interface they leave by.
    pub interface: String,
    /// The hardware address they come from; `None`: the interface's own.
    pub source: Option<[u8; 6]>,
    /// The hardware address of the server or of the router before it.
    pub destination: [u8; 6],
    /// The addresses that spoofed requests claim to come from.
    pub spoofed: Vec<IpAddr>,
}

/// Whether requests wait for replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// They leave on a schedule; with `exponential`, as independent clients ask.
    Open {
        /// Exponential gaps.
        exponential: bool,
    },
    /// This many are in flight, in all threads together; each reply makes room for the next.
    Closed {
        /// How many.
        in_flight: usize,
    },
}

/// Which rates, in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// One step.
    One(f64),
    /// From the first to the last, each `factor` times the one before.
    Ladder(Ladder),
    /// The highest rate whose loss stays within the bound.
    Knee(Ladder),
}

/// Rungs, and when one is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ladder {
    /// Lowest rate.
    pub from: f64,
    /// Highest rate.
    pub to: f64,
    /// Ratio of a rung to the one below.
    pub factor: f64,
}

/// A key both sides have.
#[derive(Clone)]
pub struct Signature {
    /// Where it is.
    pub keys: Arc<KeyStore>,
    /// Its place there.
    pub key: KeyIndex,
    /// Its number.
    pub id: KeyId,
}

impl Signature {
    /// Bytes of its MAC, key identifier included.
    pub fn mac_len(&self, version: u8) -> usize {
        self.keys.mac_len(self.key, version)
    }
}
