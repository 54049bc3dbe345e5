//! `maser tracking`, `sources`, …: chronyc's reports in chronyc's layout (chronyc(1)), of maser or of a chronyd.
//!
//! With `-c` the lines that `chronyc -c` prints; with `--json` the same figures by name. They have the sign that `-c`
//! gives them, which is not the same in every report: chrony's manual says where positive is fast.

mod ask;
mod clients;
mod clock;
pub(super) mod figures;
mod json;
mod names;
mod ntpdata;
mod order;
mod server;
mod session;
mod sheet;
mod sources;
mod waitsync;

use clap::Subcommand;

pub(super) use order::Order;

use self::ask::{Ask, Port};
use self::session::Session;
use super::Exit;
use crate::node::AskError;

/// The reports.
#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// How the clock is doing, and what it follows.
    #[command(disable_help_flag = true)]
    Tracking(Plain),
    /// The sources, and what they measured last.
    #[command(disable_help_flag = true)]
    Sources(Listing),
    /// How each source's clock runs against ours.
    #[command(disable_help_flag = true)]
    Sourcestats(Listing),
    /// The name that a source has in the configuration.
    #[command(disable_help_flag = true)]
    Sourcename(OfSource),
    /// How many sources are asked, and how many not.
    #[command(disable_help_flag = true)]
    Activity(Plain),
    /// What a server has answered and dropped.
    #[command(disable_help_flag = true)]
    Serverstats(Plain),
    /// Who asked, and how often.
    #[command(disable_help_flag = true)]
    Clients(clients::Clients),
    /// The last reply of each source, or of one, field by field.
    #[command(disable_help_flag = true)]
    Ntpdata(OfSources),
    /// What each source came to in the last selection.
    #[command(disable_help_flag = true)]
    Selectdata(Listing),
    /// How each source's packets are authenticated.
    #[command(disable_help_flag = true)]
    Authdata(Listing),
    /// The real-time clock against the system's.
    #[command(disable_help_flag = true)]
    Rtcdata(Plain),
    /// By what served time differs from the clock.
    #[command(disable_help_flag = true)]
    Smoothing(Plain),
    /// The times that were entered by hand.
    #[command(disable_help_flag = true)]
    ManualList(Plain),
    /// Wait until the clock is synchronised.
    #[command(disable_help_flag = true)]
    Waitsync(waitsync::Waitsync),
}

/// A report without arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Plain {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

/// A report of a line for each source.
#[derive(Debug, clap::Args)]
pub(super) struct Listing {
    /// Sources too whose names have no address yet.
    #[arg(short = 'a', long)]
    all: bool,
    /// Explain the columns.
    #[arg(short = 'v', long)]
    verbose: bool,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

/// A report of one source.
#[derive(Debug, clap::Args)]
pub(super) struct OfSource {
    /// The source's address.
    address: String,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

/// A report of one source, or of all.
#[derive(Debug, clap::Args)]
pub(super) struct OfSources {
    /// The source's address or name [default: all of them].
    address: Option<String>,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

impl Report {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Tracking(plain) => plain.run("tracking", clock::tracking),
            Self::Sources(listing) => listing.run("sources", sources::sources),
            Self::Sourcestats(listing) => listing.run("sourcestats", sources::sourcestats),
            Self::Sourcename(one) => {
                session::run("sourcename", &one.ask, one.port.number(), |session| {
                    let source = ask::source(&one.address)?;
                    sources::sourcename(session, source)
                })
            }
            Self::Activity(plain) => plain.run("activity", sources::activity),
            Self::Serverstats(plain) => plain.run("serverstats", server::serverstats),
            Self::Clients(clients) => clients.run(),
            Self::Ntpdata(one) => session::run("ntpdata", &one.ask, one.port.number(), |session| {
                let source = one.address.as_deref().map(ask::source).transpose()?;
                ntpdata::ntpdata(session, source)
            }),
            Self::Selectdata(listing) => listing.run("selectdata", sources::selectdata),
            Self::Authdata(listing) => listing.run("authdata", sources::authdata),
            Self::Rtcdata(plain) => plain.run("rtcdata", clock::rtcdata),
            Self::Smoothing(plain) => plain.run("smoothing", clock::smoothing),
            Self::ManualList(plain) => plain.run("manual-list", clock::manual_list),
            Self::Waitsync(waitsync) => waitsync.run(),
        }
    }
}

impl Plain {
    fn run(self, name: &'static str, report: fn(&mut Session) -> Result<(), Failure>) -> Exit {
        session::run(name, &self.ask, self.port.number(), report)
    }
}

impl Listing {
    fn run(
        self,
        name: &'static str,
        report: fn(&mut Session, sources::Wanted) -> Result<(), Failure>,
    ) -> Exit {
        let wanted = sources::Wanted {
            all: self.all,
            verbose: self.verbose,
        };
        session::run(name, &self.ask, self.port.number(), |session| {
            report(session, wanted)
        })
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The daemon does not say it.
    #[error(transparent)]
    Unanswered(#[from] AskError),
    /// An argument that cannot be.
    #[error("{0}")]
    Argument(String),
    /// The reply is to another question.
    #[error("the daemon answers another question")]
    Astray,
    /// It was waited for in vain.
    #[error("not synchronised after {0} tries")]
    Unsynchronised(u64),
}
