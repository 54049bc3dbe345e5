//! What requests of chronyc are about: the system process, the workers, the program itself.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use super::access::{Access, is_of};
use super::clients::Remembered;
use super::crew::Crew;
use super::lines::Line;
use super::reports;
use crate::auth::KeyStore;
use crate::config::Config;
use crate::control::{
    AccessOrder, ClientsPage, ClientsQuestion, LocalOrder, Matching, Order, Question, Reply,
    ServerStatsReport, SourceAddress, State, Status, Whom,
};
use crate::discipline::{Local, LocalReference, MakeStep};
use crate::node::system_process::{SystemProcess, now};
use crate::node::{Worker, keys};
use crate::server::ClientTable;
use crate::sys::clock;
use crate::wire::SystemVariables;

/// Requests of chronyc so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::node) struct CommandCounts {
    /// All.
    pub(in crate::node) hits: u64,
    /// Those that were not answered because of `cmdratelimit`.
    pub(in crate::node) drops: u64,
}

/// What is kept for those who ask.
pub(super) struct Desk {
    pub(super) clients: Access,
    pub(super) commanders: Access,
    /// Who has asked, by UDP.
    pub(super) seen: ClientTable,
    pub(super) crew: Crew,
    pub(super) counts: CommandCounts,
    /// `shutdown` was ordered.
    pub(super) ends: bool,
    open: Vec<&'static str>,
    key_file: Option<PathBuf>,
}

impl Desk {
    pub(super) fn new(config: &Config, seed: [u8; 16]) -> Self {
        Self {
            clients: Access::new(&config.server.access),
            commanders: Access::new(&config.command.access),
            seen: ClientTable::new(SEEN_BYTES, seed),
            crew: Crew::default(),
            counts: CommandCounts::default(),
            ends: false,
            open: config.command.open.clone(),
            key_file: config.key_file.clone(),
        }
    }
}

/// What the timekeeper lends for the time of one request.
pub(in crate::node) struct Around<'a> {
    /// `None`: the time comes from elsewhere, and there are no sources.
    pub(in crate::node) process: Option<&'a mut SystemProcess>,
    /// `local`, where there is no system process.
    pub(in crate::node) local: &'a mut Option<LocalReference>,
    /// A responder without a thread of its own.
    pub(in crate::node) inline: Option<&'a mut Worker>,
    pub(in crate::node) variables: SystemVariables,
}

impl Around<'_> {
    /// The same for a shorter time.
    pub(super) fn lend(&mut self) -> Around<'_> {
        Around {
            process: self.process.as_deref_mut(),
            local: self.local,
            inline: self.inline.as_deref_mut(),
            variables: self.variables,
        }
    }
}

/// Who answers one request.
pub(super) struct Clerk<'a> {
    pub(super) desk: &'a mut Desk,
    pub(super) around: Around<'a>,
}

impl State for Clerk<'_> {
    fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
        match question {
            Question::Tracking => Ok(Reply::Tracking(reports::tracking(
                self.around.process.as_deref(),
                &self.around.variables,
            ))),
            Question::SourceCount => Ok(Reply::SourceCount(count(self.lines().len()))),
            Question::Source(place) => self.line(*place).map(|line| Reply::Source(line.source())),
            Question::Sourcestats(place) => self
                .line(*place)
                .map(|line| Reply::Sourcestats(line.sourcestats())),
            Question::SelectData(place) => self
                .line(*place)
                .map(|line| Reply::SelectData(line.selectdata())),
            Question::SourceName(address) => self
                .named(*address)
                .map(|line| Reply::SourceName(line.host())),
            Question::NtpData(address) => {
                let report = self.named(*address)?.ntpdata();
                Ok(Reply::NtpData(report.ok_or(Status::NoSuchSource)?))
            }
            Question::Auth(address) => {
                let line = self.named(*address)?;
                let process = self.around.process.as_deref().ok_or(Status::NoSuchSource)?;
                let report = line.authdata(process.keys());
                Ok(Reply::Auth(report.ok_or(Status::NoSuchSource)?))
            }
            Question::Activity => Ok(Reply::Activity(reports::activity(&self.lines()))),
            Question::ServerStats => Ok(Reply::ServerStats(self.server_stats())),
            Question::Rtc => {
                let process = self.around.process.as_deref().ok_or(Status::NoRtc)?;
                let report = reports::rtc(process).ok_or(Status::NoRtc)?;
                Ok(Reply::Rtc(report))
            }
            Question::Smoothing => {
                let process = self.around.process.as_deref().ok_or(Status::NotEnabled)?;
                let report = reports::smoothing(process).ok_or(Status::NotEnabled)?;
                Ok(Reply::Smoothing(report))
            }
            Question::Access(whom, address) => {
                let ip = address.ip().ok_or(Status::BadFamily)?;
                let allows = match whom {
                    Whom::Ntp => self.desk.clients.allows(ip),
                    Whom::Command => ip.is_loopback() || self.desk.commanders.allows(ip),
                };
                Ok(Reply::Access(allows))
            }
            Question::ManualList => {
                let process = self.around.process.as_deref();
                let process = process.ok_or(Status::NotEnabled)?;
                Ok(Reply::ManualList(reports::manual_list(process)))
            }
            Question::Clients(question) => self.page(question).map(Reply::Clients),
        }
    }

    fn order(&mut self, order: &Order) -> Result<Reply, Status> {
        let done = match order {
            Order::Shutdown => {
                self.desk.ends = true;
                true
            }
            Order::Access(order) => self.change_access(order)?,
            Order::Rekey => self.rekey()?,
            Order::Local(order) => self.change_local(order)?,
            Order::SetTime(typed) => {
                let process = self.around.process.as_deref_mut();
                let done = process.ok_or(Status::NotEnabled)?.set_time(*typed)?;
                return Ok(Reply::ManualTimestamp(done));
            }
            order => {
                let process = self.around.process.as_deref_mut();
                process.ok_or(Status::NotEnabled)?.order(order)?
            }
        };
        if done {
            Ok(Reply::Done)
        } else {
            Err(Status::NoSuchSource)
        }
    }

    fn is_open(&self, word: &str) -> bool {
        self.desk.open.contains(&word)
    }
}

impl Clerk<'_> {
    /// All sources; those without an address last.
    fn lines(&self) -> Vec<Line> {
        let Some(process) = self.around.process.as_deref() else {
            return Vec::new();
        };
        let system = process.system();
        let known = system.sources(now()).into_iter();
        let unresolved = system.unresolved_sources().into_iter();
        known
            .map(|source| Line::Known(Box::new(source)))
            .chain(unresolved.map(Line::Unresolved))
            .collect()
    }

    fn line(&self, place: u32) -> Result<Line, Status> {
        let place = usize::try_from(place).map_err(|_| Status::NoSuchSource)?;
        let mut all = self.lines();
        if place < all.len() {
            Ok(all.swap_remove(place))
        } else {
            Err(Status::NoSuchSource)
        }
    }

    fn named(&self, address: SourceAddress) -> Result<Line, Status> {
        let mut all = self.lines().into_iter();
        all.find(|line| line.address() == address)
            .ok_or(Status::NoSuchSource)
    }

    fn server_stats(&mut self) -> ServerStatsReport {
        let crew = &self.desk.crew;
        let held = crew.interleaved(self.around.inline.as_deref_mut());
        reports::server_stats(&crew.counts(), &held, self.desk.counts)
    }

    fn page(&mut self, question: &ClientsQuestion) -> Result<ClientsPage, Status> {
        let mut remembered = Remembered {
            commanders: &mut self.desk.seen,
            crew: &self.desk.crew,
            inline: self.around.inline.as_deref_mut(),
            now_ns: clock::monotonic_ns(),
        };
        remembered.page(question)
    }

    /// `allow`, `deny` and their like.
    fn change_access(&mut self, order: &AccessOrder) -> Result<bool, Status> {
        if order.whom == Whom::Command {
            self.desk.commanders.change(order);
            return Ok(true);
        }
        let crew = &self.desk.crew;
        let families = [false, true].into_iter();
        let mut families = families.filter(|is_v6| is_of(order.subnet, *is_v6));
        if order.allow && !families.any(|is_v6| crew.serves(is_v6)) {
            log::warn!(
                "allow: no port is open for this family: ports are opened at the start, for families that `allow` names \
                 in the configuration"
            );
            return Err(Status::Failed);
        }
        self.desk.clients.change(order);
        let table = self.desk.clients.table();
        crew.admit(table, self.around.inline.as_deref_mut())
            .map_err(failed("a worker"))?;
        let fast_paths = &mut self.desk.crew.fast_paths;
        fast_paths.admit(table).map_err(failed("fastpath"))?;
        Ok(true)
    }

    /// `rekey`
    fn rekey(&mut self) -> Result<bool, Status> {
        let Some(file) = &self.desk.key_file else {
            return Ok(true); // chronyd says so too.
        };
        let keys = keys::load_and_tell(file);
        let fast_paths = &mut self.desk.crew.fast_paths;
        let by_kernel = fast_paths.rekey(&keys);
        let keys = Arc::new(KeyStore::new(&keys).0);
        if let Some(process) = self.around.process.as_deref_mut() {
            process.rekey(&keys);
        }
        self.desk
            .crew
            .rekey(&keys, self.around.inline.as_deref_mut())
            .map_err(failed("a worker"))?;
        by_kernel.map_err(failed("fastpath"))?;
        Ok(true)
    }

    /// `local`
    fn change_local(&mut self, order: &LocalOrder) -> Result<bool, Status> {
        let local = order.on.then(|| local(order)).transpose()?;
        match self.around.process.as_deref_mut() {
            Some(process) => process.change_local(local),
            None => *self.around.local = local.map(LocalReference::new),
        }
        Ok(true)
    }
}

fn local(order: &LocalOrder) -> Result<Local, Status> {
    let stratum = u8::try_from(order.stratum).ok();
    let stratum = stratum.filter(|stratum| (1..=15).contains(stratum));
    Ok(Local {
        stratum: stratum.ok_or(Status::Invalid)?,
        orphan: order.orphan,
        distance_s: order.distance_s,
        activate_s: order.activate_s,
        wait_synced_s: order.wait_synced_s,
        wait_unsynced_s: order.wait_unsynced_s,
    })
}

fn failed<E: Display>(who: &str) -> impl FnOnce(E) -> Status {
    move |error| {
        log::error!("a command failed: {who}: {error}");
        Status::Failed
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

/// Room for some hundred who ask.
const SEEN_BYTES: usize = 1 << 15;
