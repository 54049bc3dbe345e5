//! The responders as commands reach them: what is new is handed to each, what they remember is asked for.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::auth::KeyStore;
use crate::node::counters::{Counting, Counts, WorkerCounters};
use crate::node::fast_paths::FastPaths;
use crate::node::{Handover, HandoverSender, KeyUse, Worker};
use crate::server::{AccessTable, ClientsListing, InterleavedHeld};

/// One of them.
pub(in crate::node) struct Hand {
    /// Its core, if it has one of its own.
    pub(in crate::node) cpu: Option<usize>,
    /// What it counts.
    pub(in crate::node) counters: Arc<WorkerCounters>,
    /// By which things are handed to it.
    pub(in crate::node) sender: HandoverSender,
    /// The uses of its keys; of several stores while it was not seen to have taken the last.
    pub(in crate::node) key_use: Vec<Arc<KeyUse>>,
}

/// All of them, and the kernel where it answers for us.
#[derive(Default)]
pub(in crate::node) struct Crew {
    hands: Vec<Hand>,
    /// Uses of keys by those who have others now.
    former_key_use: BTreeMap<u32, u64>,
    /// Whether a port is open for IPv4, and for IPv6.
    families: [bool; 2],
    /// Where the kernel answers for us.
    pub(in crate::node) fast_paths: FastPaths,
}

impl Crew {
    /// As they were started.
    pub(in crate::node) const fn new(
        hands: Vec<Hand>,
        families: [bool; 2],
        fast_paths: FastPaths,
    ) -> Self {
        Self {
            fast_paths,
            hands,
            former_key_use: BTreeMap::new(),
            families,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.hands.len()
    }

    /// Whether a port is open for the family.
    pub(super) const fn serves(&self, is_v6: bool) -> bool {
        self.families[is_v6 as usize]
    }

    /// Everything that counts: workers by their number, then interfaces by their name.
    pub(in crate::node) fn counters(&self) -> Vec<(Counting, &WorkerCounters)> {
        let hands = self.hands.iter();
        let hands = hands.map(|hand| (Counting::Worker(hand.cpu), &*hand.counters));
        let fast_paths = self.fast_paths.counters();
        let fast_paths = fast_paths
            .map(|(interface, counters)| (Counting::Interface(interface.to_owned()), counters));
        hands.chain(fast_paths).collect()
    }

    /// What all have counted, in sum.
    pub(in crate::node) fn counts(&self) -> Counts {
        let counters = self.counters().into_iter();
        Counts::sum(counters.map(|(_, counters)| counters.snapshot()))
    }

    /// How often each key was used, by its identifier: those in force, and others if they were used before.
    pub(in crate::node) fn key_use(&self) -> BTreeMap<u32, u64> {
        let mut uses = self.former_key_use.clone();
        let stores = self.hands.iter().flat_map(|hand| &hand.key_use);
        let by_kernel = self.fast_paths.key_uses();
        let counts = stores.flat_map(|one| one.counts());
        for (key, count) in counts.chain(by_kernel) {
            *uses.entry(key.0).or_default() += count;
        }
        uses
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
        for hand in &self.hands {
            let message = Handover::Access(table.clone());
            hand.sender
                .exchange(message, || look(inline.as_deref_mut()))?;
        }
        Ok(())
    }

    /// Puts other keys in force.
    ///
    /// # Errors
    /// A worker does not answer.
    pub(super) fn rekey(
        &mut self,
        keys: &Arc<KeyStore>,
        mut inline: Option<&mut Worker>,
    ) -> io::Result<()> {
        for hand in &mut self.hands {
            let key_use = Arc::new(KeyUse::new(Arc::clone(keys)));
            // It may take them later than it is waited for.
            hand.key_use.push(Arc::clone(&key_use));
            let message = Handover::Keys(key_use);
            let answer = hand
                .sender
                .exchange(message, || look(inline.as_deref_mut()))?;
            let Handover::Keys(before) = answer else {
                continue;
            };
            hand.key_use.retain(|one| !Arc::ptr_eq(one, &before));
            for (key, count) in before.counts().filter(|(_, count)| *count > 0) {
                *self.former_key_use.entry(key.0).or_default() += count;
            }
        }
        Ok(())
    }

    /// What is kept for interleaved clients, in sum; of those workers that answer.
    pub(super) fn interleaved(&self, mut inline: Option<&mut Worker>) -> InterleavedHeld {
        let answers = self.hands.iter().filter_map(|hand| {
            let message = Handover::Interleaved(InterleavedHeld::default());
            let answer = hand
                .sender
                .exchange(message, || look(inline.as_deref_mut()));
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
        let answer = self.hands.get(worker).map(|hand| {
            hand.sender
                .exchange(message, || look(inline.as_deref_mut()))
        });
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
