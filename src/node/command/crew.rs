//! The responders as commands reach them: what is new is handed to each, what they remember is asked for.

use std::io;
use std::sync::Arc;

use crate::auth::KeyStore;
use crate::node::counters::{Counts, WorkerCounters};
use crate::node::{Handover, HandoverSender, Worker};
use crate::server::{AccessTable, ClientsListing, InterleavedHeld};

/// All of them.
#[derive(Default)]
pub(in crate::node) struct Crew {
    counters: Vec<Arc<WorkerCounters>>,
    senders: Vec<HandoverSender>,
    /// Whether a port is open for IPv4, and for IPv6.
    families: [bool; 2],
}

impl Crew {
    /// As they were started.
    pub(in crate::node) const fn new(
        counters: Vec<Arc<WorkerCounters>>,
        senders: Vec<HandoverSender>,
        families: [bool; 2],
    ) -> Self {
        Self {
            counters,
            senders,
            families,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.senders.len()
    }

    /// Whether a port is open for the family.
    pub(super) const fn serves(&self, is_v6: bool) -> bool {
        self.families[is_v6 as usize]
    }

    /// What they have counted, in sum.
    pub(super) fn counts(&self) -> Counts {
        Counts::sum(self.counters.iter().map(|one| one.snapshot()))
    }

    /// Puts another table of `allow` and `deny` in force.
    ///
    /// # Errors
    /// A worker does not answer.
    pub(super) fn admit(
        &self,
        table: &AccessTable,
        mut inline: Option<&mut Worker>,
    ) -> io::Result<()> {
        for sender in &self.senders {
            let message = Handover::Access(table.clone());
            sender.exchange(message, || look(inline.as_deref_mut()))?;
        }
        Ok(())
    }

    /// Puts other keys in force.
    ///
    /// # Errors
    /// A worker does not answer.
    pub(super) fn rekey(
        &self,
        keys: &Arc<KeyStore>,
        mut inline: Option<&mut Worker>,
    ) -> io::Result<()> {
        for sender in &self.senders {
            let message = Handover::Keys(Arc::clone(keys));
            sender.exchange(message, || look(inline.as_deref_mut()))?;
        }
        Ok(())
    }

    /// What is kept for interleaved clients, in sum; of those workers that answer.
    pub(super) fn interleaved(&self, mut inline: Option<&mut Worker>) -> InterleavedHeld {
        let answers = self.senders.iter().filter_map(|sender| {
            let message = Handover::Interleaved(InterleavedHeld::default());
            let answer = sender.exchange(message, || look(inline.as_deref_mut()));
            match answer {
                Ok(Handover::Interleaved(held)) => Some(held),
                _ => None,
            }
        });
        answers.fold(InterleavedHeld::default(), joined)
    }

    /// Lets one fill in a listing of its clients.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) fn list(
        &self,
        worker: usize,
        listing: ClientsListing,
        mut inline: Option<&mut Worker>,
    ) -> io::Result<ClientsListing> {
        let message = Handover::Clients(Box::new(listing));
        let answer = self
            .senders
            .get(worker)
            .map(|sender| sender.exchange(message, || look(inline.as_deref_mut())));
        match answer {
            Some(Ok(Handover::Clients(listing))) => Ok(*listing),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

/// Several tables' holdings as one.
fn joined(one: InterleavedHeld, other: InterleavedHeld) -> InterleavedHeld {
    let range = match (one.range, other.range) {
        (Some(one), Some(other)) => {
            let oldest = if one.0.is_before(other.0) {
                one.0
            } else {
                other.0
            };
            let newest = if one.1.is_before(other.1) {
                other.1
            } else {
                one.1
            };
            Some((oldest, newest))
        }
        (one, other) => one.or(other),
    };
    InterleavedHeld {
        replies: one.replies + other.replies,
        range,
    }
}

/// A responder without a thread of its own has its turn here.
fn look(inline: Option<&mut Worker>) {
    if let Some(worker) = inline {
        worker.take_handovers();
    }
}
