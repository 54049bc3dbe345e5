//! chronyc's questions and orders: taken, judged, answered in the timekeeper's loop.

mod access;
mod clients;
mod crew;
mod desk;
mod lines;
mod new_source;
mod ports;
mod reports;

use std::net::IpAddr;
use std::os::fd::RawFd;

pub(super) use crew::{Crew, Hand};
pub(super) use desk::{Around, CommandCounts, make_step, matches};
pub(super) use new_source::source_spec;
pub(super) use ports::{CommandPorts, claim, open_to_all, owner};
pub(super) use reports::tracking;

use self::desk::{Clerk, Desk};
use self::ports::Sender;
use crate::config::Config;
use crate::control::{Requester, answer};
use crate::server::{Admit, Chance, RateLimiter};
use crate::sys::clock;

/// All that commands need beside the clock.
pub(super) struct Commands {
    ports: CommandPorts,
    limiter: Option<RateLimiter>,
    chance: Chance,
    desk: Desk,
    /// Ports that were left with requests: a bit for each place.
    behind: u32,
}

impl Commands {
    /// `seed` keeps strangers from guessing which of them share a place in the table of those who ask.
    pub(super) fn new(config: &Config, ports: CommandPorts, seed: [u8; 16]) -> Self {
        Self {
            ports,
            limiter: config.command.rate_limit.map(RateLimiter::new),
            chance: Chance::new(u64::from_ne_bytes(*seed.first_chunk().unwrap_or(&[1; 8]))),
            desk: Desk::new(config, seed),
            behind: 0,
        }
    }

    /// Those who serve have begun.
    pub(super) fn watch(&mut self, crew: Crew) {
        self.desk.crew = crew;
    }

    /// Those who serve.
    pub(super) const fn crew(&self) -> &Crew {
        &self.desk.crew
    }

    /// Those who serve.
    pub(super) const fn crew_mut(&mut self) -> &mut Crew {
        &mut self.desk.crew
    }

    /// Requests so far.
    pub(super) const fn counts(&self) -> CommandCounts {
        self.desk.counts
    }

    /// What becomes readable when there is a request.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        self.ports.descriptors()
    }

    /// Whether `shutdown` was ordered.
    pub(super) const fn ends(&self) -> bool {
        self.desk.ends
    }

    /// A port that had more requests than a turn allows, if any: it is to be called ready again.
    pub(super) const fn behind(&self) -> Option<usize> {
        if self.behind == 0 {
            None
        } else {
            Some(self.behind.trailing_zeros() as usize)
        }
    }

    /// The port at a place has requests.
    pub(super) fn ready(&mut self, place: usize, mut around: Around<'_>) {
        let Self {
            ports,
            limiter,
            chance,
            desk,
            behind,
        } = self;
        let has_more = ports.ready(place, |request, sender| {
            desk.counts.hits += 1;
            let from = match sender {
                Sender::Local => Requester::Local,
                Sender::Address(ip) => Requester::Address {
                    ip,
                    is_allowed: is_loopback(ip) || desk.commanders.allows(ip),
                },
            };
            if let Sender::Address(ip) = sender {
                let now_ns = clock::monotonic_ns();
                let client = desk.seen.hit(ip, now_ns);
                if let Some(limiter) = &limiter
                    && !is_loopback(ip)
                    && !matches!(limiter.admit(client, now_ns, chance), Admit::Answer)
                {
                    desk.counts.drops += 1;
                    return None;
                }
            }
            let mut clerk = Clerk {
                desk,
                around: around.lend(),
            };
            answer(request, from, &mut clerk)
        });
        *behind = *behind & !(1 << place) | u32::from(has_more) << place;
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
