//! chronyc's questions and orders: taken, judged, answered in the timekeeper's loop.

mod desk;
mod ports;
mod reports;

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

pub(super) use desk::{make_step, matches};
pub(super) use ports::CommandPorts;

use self::desk::{CommandCounts, Desk};
use self::ports::Sender;
use super::counters::WorkerCounters;
use super::system_process::SystemProcess;
use crate::config::Config;
use crate::control::{Requester, answer};
use crate::server::{AccessTable, Admit, Chance, ClientTable, RateLimiter};
use crate::sys::clock;
use crate::wire::SystemVariables;

/// All that commands need beside the clock.
pub(super) struct Commands {
    ports: CommandPorts,
    commanders: AccessTable,
    clients: AccessTable,
    limiter: Option<RateLimiter>,
    seen: ClientTable,
    chance: Chance,
    open: Vec<&'static str>,
    counters: Vec<Arc<WorkerCounters>>,
    counts: CommandCounts,
    ends: bool,
}

impl Commands {
    /// `seed` keeps strangers from guessing which of them share a place in the table of those who ask.
    pub(super) fn new(config: &Config, ports: CommandPorts, seed: [u8; 16]) -> Self {
        let command = &config.command;
        Self {
            ports,
            commanders: AccessTable::new(&command.access),
            clients: AccessTable::new(&config.server.access),
            limiter: command.rate_limit.map(RateLimiter::new),
            seen: ClientTable::new(SEEN_BYTES, seed),
            chance: Chance::new(u64::from_ne_bytes(*seed.first_chunk().unwrap_or(&[1; 8]))),
            open: command.open.clone(),
            counters: Vec::new(),
            counts: CommandCounts::default(),
            ends: false,
        }
    }

    /// Whose counters are told.
    pub(super) fn watch(&mut self, counters: Vec<Arc<WorkerCounters>>) {
        self.counters = counters;
    }

    /// What becomes readable when there is a request.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        self.ports.descriptors()
    }

    /// Whether `shutdown` was ordered.
    pub(super) const fn ends(&self) -> bool {
        self.ends
    }

    /// The port at a place has requests.
    pub(super) fn ready(
        &mut self,
        place: usize,
        mut process: Option<&mut SystemProcess>,
        variables: &SystemVariables,
    ) {
        let Self {
            ports,
            commanders,
            clients,
            limiter,
            seen,
            chance,
            open,
            counters,
            counts,
            ends,
        } = self;
        ports.ready(place, |request, sender| {
            counts.hits += 1;
            let from = match sender {
                Sender::Local => Requester::Local,
                Sender::Address(ip) => Requester::Address {
                    ip,
                    is_allowed: is_loopback(ip) || commanders.allows(ip),
                },
            };
            if let (Sender::Address(ip), Some(limiter)) = (sender, &limiter)
                && !is_loopback(ip)
            {
                let now_ns = clock::monotonic_ns();
                let client = seen.hit(ip, now_ns);
                if !matches!(limiter.admit(client, now_ns, chance), Admit::Answer) {
                    counts.drops += 1;
                    return None;
                }
            }
            let mut desk = Desk {
                process: process.as_deref_mut(),
                variables: *variables,
                counters,
                commands: *counts,
                open,
                clients,
                commanders,
                ends,
            };
            answer(request, from, &mut desk)
        });
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Room for some hundred who ask.
const SEEN_BYTES: usize = 1 << 15;
