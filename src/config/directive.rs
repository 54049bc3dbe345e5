//! Directives: one table of all that are known, and the reading of one line by it.
//!
//! A row has a name, its arguments as a manual shows them, how they are read, and what becomes of
//! them ([`Support`]). A directive that maser acts on is read into a [`Directive`]; any other is
//! checked word by word, so that a slip is found whether or not the line has an effect.

mod access;
mod clock;
mod command;
mod fast_path;
mod form;
mod hardware;
mod ours;
mod refclock;
mod server;
mod source;
mod table;

use core::net::IpAddr;
use std::path::PathBuf;

use super::arguments::Arguments;
use super::error::{At, Fault};
use super::line::Word;
use super::{Follow, HardwareLine, Local, Pace, SourceDirectories, Steer, Unsynchronised};
use crate::server::RateLimit;

pub(super) use access::Who;
pub use access::subnet;
pub(super) use clock::{ClockLine, LEAP_MODES};
pub(super) use command::{CommandAddress, CommandLine};
pub(super) use fast_path::{FAST_PATH_MODES, FastPathWords};
pub(super) use hardware::RECEIVE_FILTERS;
pub(super) use ours::{MonitoringLine, PACES, STEERS, UNSYNCHRONISED};
pub(super) use source::{AUTH_SELECT_MODES, SourcesLine};

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what the manual says.
    Honoured,
    /// It is checked and kept, but what it governs is not there yet; that is what the text names.
    NotYet(&'static str),
    /// It has no effect here, for the reason given, and nobody is worse off.
    Accepted(&'static str),
    /// Accepting it would be a lie; the text says why, and what to do.
    Refused(&'static str),
}

/// A row of the table of directives.
#[derive(Debug)]
pub struct Row {
    /// The name in lower case; a file may have it in any case.
    pub name: &'static str,
    /// Its arguments, as a manual shows them.
    pub arguments: &'static str,
    /// What becomes of it.
    pub support: Support,
    grammar: Grammar,
}

/// How a row's arguments are read.
#[derive(Debug)]
enum Grammar {
    /// Into a directive.
    Read(fn(&mut Arguments<'_>) -> Result<Directive, At>),
    /// Checked only.
    Check(form::Form),
}

/// A line that maser acts on, as typed: chrony's names, nothing looked up and nothing compared yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Directive {
    /// `allow`, `deny`: which of them, and whether with the word `all`.
    Access {
        allow: bool,
        all: bool,
        who: Who,
    },
    Bindaddress(IpAddr),
    Binddevice(String),
    Burst(usize),
    Busypoll(u32),
    Clientloglimit(usize),
    Clock(ClockLine),
    Clockprecision(f64),
    Command(CommandLine),
    Confdir(Vec<PathBuf>),
    Cpus(Vec<usize>),
    Dscp(u8),
    FastPath(FastPathWords),
    Follow(Follow),
    Hwtimestamp(HardwareLine),
    Hwtstimeout(f64),
    Include(String),
    Keyfile(PathBuf),
    Local(Local),
    LockAll,
    Maxclockerror(f64),
    Monitoring(MonitoringLine),
    Noclientlog,
    Pace(Pace),
    Pidfile(PathBuf),
    Port(u16),
    Ratelimit(RateLimit),
    Requireauth(Who),
    SchedPriority(u8),
    Sourcedir(SourceDirectories),
    Sources(SourcesLine),
    Steer(Steer),
    Unsynchronised(Unsynchronised),
    User(String),
    /// `None` is `auto`.
    Workers(Option<usize>),
    /// Checked, not acted on.
    Checked,
}

/// All rows, group by group.
pub fn directives() -> impl Iterator<Item = &'static Row> {
    table::GROUPS.iter().copied().flatten()
}

/// The row of a name in any case.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    directives().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Reads a line of at least one word.
pub(super) fn parse(words: &[Word<'_>]) -> Result<(&'static Row, Directive), At> {
    let name = words[0];
    let refuse = |fault| At {
        column: name.column,
        fault,
    };
    let Some(row) = row(name.text) else {
        let nearest = nearest(name.text, directives().map(|row| row.name));
        return Err(refuse(Fault::Unknown { nearest }));
    };
    if let Support::Refused(why) = row.support {
        return Err(refuse(Fault::Refused(why)));
    }
    let mut arguments = Arguments::new(words);
    let directive = match row.grammar {
        Grammar::Read(read) => read(&mut arguments)?,
        Grammar::Check(form) => {
            form::check(form, &mut arguments)?;
            Directive::Checked
        }
    };
    arguments.end()?;
    Ok((row, directive))
}

/// The name that is at most two slips away from what was typed.
fn nearest(typed: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if typed.len() > NAME_LEN_MAX {
        return None;
    }
    let typed = typed.to_ascii_lowercase();
    names
        .map(|name| (distance(typed.as_bytes(), name.as_bytes()), name))
        .min()
        .filter(|(distance, near)| *distance <= 2 && *distance < near.len() / 2)
        .map(|(_, near)| near)
}

/// How many bytes must be put in, taken out or changed to make `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// No name of a directive is longer, with two slips in it.
const NAME_LEN_MAX: usize = 32;

#[cfg(test)]
mod tests;
