//! What requests of chronyc are about: the system process, the workers' counters, the program itself.

use std::sync::Arc;

use super::reports;
use crate::control::{
    Matching, Order, Question, Reply, ServerStatsReport, SourceAddress, State, Status, Whom,
};
use crate::discipline::{MakeStep, SourceReport};
use crate::node::counters::{Counts, WorkerCounters};
use crate::node::system_process::{SystemProcess, now};
use crate::server::AccessTable;
use crate::wire::SystemVariables;

/// Requests of chronyc so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::node) struct CommandCounts {
    pub(super) hits: u64,
    pub(super) drops: u64,
}

/// Everything that can be asked, for the time of one request.
pub(super) struct Desk<'a> {
    /// `None`: the time comes from elsewhere, and there are no sources.
    pub(super) process: Option<&'a mut SystemProcess>,
    pub(super) variables: SystemVariables,
    pub(super) counters: &'a [Arc<WorkerCounters>],
    pub(super) commands: CommandCounts,
    pub(super) open: &'a [&'static str],
    pub(super) clients: &'a AccessTable,
    pub(super) commanders: &'a AccessTable,
    /// `shutdown` was ordered.
    pub(super) ends: &'a mut bool,
}

impl State for Desk<'_> {
    fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
        match question {
            Question::Tracking => Ok(Reply::Tracking(reports::tracking(
                self.process.as_deref(),
                &self.variables,
            ))),
            Question::SourceCount => Ok(Reply::SourceCount(count(self.sources().len()))),
            Question::Source(place) => self
                .source(*place)
                .map(|source| Reply::Source(reports::source(&source))),
            Question::Sourcestats(place) => self
                .source(*place)
                .map(|source| Reply::Sourcestats(reports::sourcestats(&source))),
            Question::SelectData(place) => self
                .source(*place)
                .map(|source| Reply::SelectData(reports::selectdata(&source))),
            Question::SourceName(address) => self.named(*address).map(|source| {
                let name = source.host.unwrap_or_else(|| source.name.to_string());
                Reply::SourceName(name)
            }),
            Question::NtpData(address) => {
                let source = self.named(*address)?;
                let report = reports::ntpdata(&source).ok_or(Status::NoSuchSource)?;
                Ok(Reply::NtpData(report))
            }
            Question::Auth(address) => {
                let source = self.named(*address)?;
                let process = self.process.as_deref().ok_or(Status::NoSuchSource)?;
                let report = reports::authdata(&source, process.keys());
                Ok(Reply::Auth(report.ok_or(Status::NoSuchSource)?))
            }
            Question::Activity => Ok(Reply::Activity(reports::activity(
                &self.sources(),
                self.process
                    .as_deref()
                    .map_or(0, |process| process.system().unresolved()),
            ))),
            Question::ServerStats => Ok(Reply::ServerStats(self.server_stats())),
            Question::Rtc => {
                let process = self.process.as_deref().ok_or(Status::NoRtc)?;
                let report = reports::rtc(process).ok_or(Status::NoRtc)?;
                Ok(Reply::Rtc(report))
            }
            Question::Smoothing => {
                let process = self.process.as_deref().ok_or(Status::NotEnabled)?;
                let report = reports::smoothing(process).ok_or(Status::NotEnabled)?;
                Ok(Reply::Smoothing(report))
            }
            Question::Access(whom, address) => {
                let ip = address.ip().ok_or(Status::BadFamily)?;
                let allows = match whom {
                    Whom::Ntp => self.clients.allows(ip),
                    Whom::Command => ip.is_loopback() || self.commanders.allows(ip),
                };
                Ok(Reply::Access(allows))
            }
            Question::ManualList | Question::Clients(_) => Err(Status::NotEnabled),
        }
    }

    fn order(&mut self, order: &Order) -> Result<Reply, Status> {
        if *order == Order::Shutdown {
            *self.ends = true;
            return Ok(Reply::Done);
        }
        let process = self.process.as_deref_mut().ok_or(Status::NotEnabled)?;
        let done = process.order(order)?;
        if done {
            Ok(Reply::Done)
        } else {
            Err(Status::NoSuchSource)
        }
    }

    fn is_open(&self, word: &str) -> bool {
        self.open.contains(&word)
    }
}

impl Desk<'_> {
    fn sources(&self) -> Vec<SourceReport> {
        let process = self.process.as_deref();
        process.map_or_else(Vec::new, |process| process.system().sources(now()))
    }

    fn source(&self, place: u32) -> Result<SourceReport, Status> {
        let place = usize::try_from(place).map_err(|_| Status::NoSuchSource)?;
        let mut all = self.sources();
        if place < all.len() {
            Ok(all.swap_remove(place))
        } else {
            Err(Status::NoSuchSource)
        }
    }

    fn named(&self, address: SourceAddress) -> Result<SourceReport, Status> {
        let mut all = self.sources().into_iter();
        all.find(|source| reports::address(source.name) == address)
            .ok_or(Status::NoSuchSource)
    }

    fn server_stats(&self) -> ServerStatsReport {
        let counts = Counts::sum(self.counters.iter().map(|one| one.snapshot()));
        reports::server_stats(&counts, self.commands.hits, self.commands.drops)
    }
}

/// Whether a source's address is one of those that are meant.
pub(in crate::node) fn matches(matching: Matching) -> impl Fn(std::net::IpAddr) -> bool {
    move |ip| matching.includes(SourceAddress::Ip(ip))
}

/// `makestep`, as chronyc types it: no steps at all with a limit of 0.
pub(in crate::node) fn make_step(limit: i32, threshold_s: f64) -> Option<MakeStep> {
    (limit != 0 && threshold_s > 0.0).then(|| MakeStep {
        threshold_s,
        updates: u32::try_from(limit).ok(),
    })
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
