//! What is said to the program, and what it says: the same whether or not it was built in.

use crate::config::PassedLimit;
use crate::server::{Outcome, RateLimit};
use crate::wire::RawTime;

/// How large its tables are, and what it does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramOptions {
    /// Clients that are remembered.
    pub clients: u32,
    /// Keys that there may ever be.
    pub keys: u32,
    /// Signs, where the kernel has ciphers for that (6.10).
    pub signs: bool,
    /// Chance, of the hash that finds a client.
    pub seed: [u64; 2],
}

/// What is published beside [`SystemVariables`](crate::wire::SystemVariables).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// A moment by the clock that never steps, and by the system clock.
    pub now: (u64, RawTime),
    /// By how much TAI is ahead of the clock that never steps.
    pub tai_ahead_ns: i64,
    /// By the clock that never steps: nothing is answered by the record afterwards.
    pub valid_until_ns: u64,
    /// How much later a reply is on the wire than the program and, as long again, the driver take.
    pub departure_ns: i64,
    /// `ratelimit`
    pub rate_limit: Option<RateLimit>,
    /// `fastpathlimit`
    pub passed: Option<PassedLimit>,
    /// `unsynchronised silent`
    pub silent_unsynchronised: bool,
    /// Clients are remembered: not with `noclientlog`.
    pub has_clients: bool,
    /// `dscp`
    pub dscp: u8,
    /// `port`
    pub port: u16,
}

/// What becomes of what is not decided here: by reason, in the order of `enum passed`.
pub const PASSED_REASONS: [&str; 4] = ["other_address", "for_sockets", "stale", "checksum"];

const OCTAVES: usize = 12;
const KINDS: usize = 128;

/// What the program has counted, all processors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramCounts {
    /// By [`Outcome::counter`].
    pub outcomes: [u64; Outcome::COUNTERS],
    /// What is left to the sockets, by [`PASSED_REASONS`].
    pub passed: [u64; PASSED_REASONS.len()],
    /// What was not, because of [`PassedLimit`].
    pub shed: u64,
    /// Decided datagrams: by the lower six bits of the first byte, those by IPv6 behind the others.
    pub kinds: [u64; KINDS],
    /// How long some of those that were answered have stayed: up to 2^10 ns, 2^11 ns …
    pub residence: [u64; OCTAVES],
    /// Nanoseconds of all together.
    pub residence_sum_ns: u64,
}

impl Default for ProgramCounts {
    fn default() -> Self {
        Self {
            outcomes: [0; Outcome::COUNTERS],
            passed: [0; PASSED_REASONS.len()],
            shed: 0,
            kinds: [0; KINDS],
            residence: [0; OCTAVES],
            residence_sum_ns: 0,
        }
    }
}

impl ProgramCounts {
    /// All that were decided.
    pub fn decided(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}
