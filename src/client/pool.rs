//! A name and the sources behind it: which of its addresses are used, and when the name is looked up (again).

use core::net::IpAddr;

use super::poll::{Reach, share};

/// How many sources a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolSize {
    /// `server` and `peer`: one.
    One,
    /// `pool`: `maxsources`, 1 to 16. At first twice as many are asked, and those that answer first are kept.
    AtMost(usize),
}

/// One of a pool's sources, whatever its address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId(pub usize);

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// No address.
    Empty,
    /// An address that has not answered well yet.
    Tentative(IpAddr),
    /// A source that is kept.
    Settled(IpAddr),
}

impl SlotState {
    /// The address, if there is one.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Empty => None,
            Self::Tentative(address) | Self::Settled(address) => Some(address),
        }
    }
}

/// What the caller is to do with its associations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A source begins.
    Add {
        /// Which.
        slot: SlotId,
        /// Its address.
        address: IpAddr,
    },
    /// A source goes on at another address; what was learnt of the old one is of no use.
    Replace {
        /// Which.
        slot: SlotId,
        /// The address that is left.
        old: IpAddr,
        /// The address that it has now.
        new: IpAddr,
    },
    /// A source is not needed.
    Remove {
        /// Which.
        slot: SlotId,
        /// The address that is left.
        address: IpAddr,
    },
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: SlotState,
    /// Times in a row that its samples were not usable.
    bad_updates: u32,
    /// Another address is wanted.
    is_bad: bool,
    /// If the name has this address no more, another is wanted.
    to_check: bool,
}

const EMPTY: Slot = Slot {
    state: SlotState::Empty,
    bad_updates: 0,
    is_bad: false,
    to_check: false,
};

/// The sources behind one name.
///
/// Names are looked up by the caller: when [`timeout`](Self::timeout) says so it starts, and tells the outcome by
/// [`resolved`](Self::resolved).
#[derive(Debug)]
pub struct Pool {
    slots: Vec<Slot>,
    sources_max: usize,
    /// The next look-up; `None` while one runs or nothing is missing.
    resolve_at_ns: Option<u64>,
    is_resolving: bool,
    /// Look-ups in a row that did not bring all that was missing.
    fruitless: u32,
    /// No bad source is replaced before that.
    replace_from_ns: u64,
    refresh_interval_ns: u64,
    refresh_at_ns: u64,
    /// The slot to be checked by the next refresh.
    refresh_next: usize,
}

impl Pool {
    /// Nothing is known yet, and the name is to be looked up now. `refresh_interval_ns` is `refresh`, 0 for never.
    pub fn new(size: PoolSize, refresh_interval_ns: u64, now_ns: u64) -> Self {
        let (sources_max, slots) = match size {
            PoolSize::One => (1, 1),
            PoolSize::AtMost(most) => {
                let most = most.clamp(1, SLOTS_MAX);
                (most, (2 * most).min(SLOTS_MAX))
            }
        };
        Self {
            slots: vec![EMPTY; slots],
            sources_max,
            resolve_at_ns: Some(now_ns),
            is_resolving: false,
            fruitless: 0,
            replace_from_ns: 0,
            refresh_interval_ns,
            refresh_at_ns: now_ns.saturating_add(refresh_interval_ns),
            refresh_next: 0,
        }
    }

    /// When [`timeout`](Self::timeout) is to be called next, if ever.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.is_resolving {
            return None;
        }
        let refresh_at_ns = (self.refresh_interval_ns > 0).then_some(self.refresh_at_ns);
        [self.resolve_at_ns, refresh_at_ns]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the name is to be looked up now.
    pub fn timeout(&mut self, now_ns: u64) -> bool {
        if self.next_deadline().is_none_or(|at_ns| now_ns < at_ns) {
            return false;
        }
        if self.refresh_interval_ns > 0 && self.refresh_at_ns <= now_ns {
            self.refresh_at_ns = now_ns.saturating_add(self.refresh_interval_ns);
            // One at a time, so that a name whose answers vary does not change all its sources at once.
            let next = self.refresh_next % self.slots.len().max(1);
            if let Some(slot) = self.slots.get_mut(next) {
                slot.to_check = true;
            }
            self.refresh_next = next + 1;
        }
        self.resolve_at_ns = None;
        self.is_resolving = true;
        true
    }

    /// A look-up has ended: these are the name's addresses, none if it failed. `taken` are those of all sources
    /// there are; none gets a second time what another has. `random` is 64 bits of chance.
    pub fn resolved(
        &mut self,
        addresses: &[IpAddr],
        taken: &[IpAddr],
        now_ns: u64,
        random: u64,
    ) -> Vec<Change> {
        self.is_resolving = false;
        let mut fresh: Vec<IpAddr> = Vec::new();
        for address in addresses {
            let has = |slot: &Slot| slot.state.address() == Some(*address);
            if !taken.contains(address) && !fresh.contains(address) && !self.slots.iter().any(has) {
                fresh.push(*address);
            }
        }
        let mut changes = Vec::new();
        if !addresses.is_empty() {
            self.replace_departed(addresses, &mut fresh, random, &mut changes);
            self.replace_bad(&mut fresh, now_ns, random, &mut changes);
            self.fill(fresh, &mut changes);
        }
        self.plan(now_ns);
        changes
    }

    /// A source's reply was good. When enough have answered, the others are not needed.
    pub fn answered(&mut self, slot: SlotId) -> Vec<Change> {
        if let Some(slot) = self.slots.get_mut(slot.0)
            && let SlotState::Tentative(address) = slot.state
        {
            slot.state = SlotState::Settled(address);
        }
        if self.settled() < self.sources_max {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if let SlotState::Tentative(address) = slot.state {
                *slot = EMPTY;
                let slot = SlotId(at);
                changes.push(Change::Remove { slot, address });
            }
        }
        changes
    }

    /// What selection has made of a source after a sample of it. Four times in a row a falseticker, jittery, too
    /// distant or unsynchronised, and it is to be replaced.
    pub fn judged(&mut self, slot: SlotId, is_usable: bool, now_ns: u64) {
        let Some(state) = self.slots.get_mut(slot.0) else {
            return;
        };
        state.bad_updates = if is_usable { 0 } else { state.bad_updates + 1 };
        if state.bad_updates >= BAD_UPDATES_MAX {
            self.gone_bad(slot, now_ns);
        }
    }

    /// A source has not answered for so many polls in a row ([`Reach::missed`]). After eight it is to be replaced.
    pub fn unanswered(&mut self, slot: SlotId, missed: u32, now_ns: u64) {
        if missed >= Reach::POLLS {
            self.gone_bad(slot, now_ns);
        }
    }

    /// A source cannot be used: it is replaced as soon as the name has another address and not too many were
    /// replaced of late. Also for one that refuses us.
    pub fn gone_bad(&mut self, slot: SlotId, now_ns: u64) {
        let Some(slot) = self.slots.get_mut(slot.0) else {
            return;
        };
        if slot.state == SlotState::Empty || slot.is_bad {
            return;
        }
        slot.is_bad = true;
        self.resolve_from(now_ns.max(self.replace_from_ns));
    }

    /// chronyc's `refresh`: look the name up, and replace what it has no more.
    pub fn refresh(&mut self, now_ns: u64) {
        for slot in &mut self.slots {
            slot.to_check = true;
        }
        self.resolve_from(now_ns);
    }

    /// A source is removed for good, and nothing takes its place; whether the name is good for others.
    pub fn remove(&mut self, slot: SlotId) -> bool {
        if let Some(slot) = self.slots.get_mut(slot.0) {
            *slot = EMPTY;
        }
        self.sources_max = self.sources_max.saturating_sub(1);
        self.sources_max > 0
    }

    /// The slots, in their order.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, SlotState)> {
        let states = self.slots.iter().map(|slot| slot.state);
        states.enumerate().map(|(at, state)| (SlotId(at), state))
    }

    fn settled(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.state, SlotState::Settled(_)))
            .count()
    }

    /// A look-up at that moment, if none is earlier. One that runs decides by itself when the next is.
    fn resolve_from(&mut self, at_ns: u64) {
        if !self.is_resolving {
            let at_ns = self
                .resolve_at_ns
                .map_or(at_ns, |planned| planned.min(at_ns));
            self.resolve_at_ns = Some(at_ns);
        }
    }

    fn replace_departed(
        &mut self,
        addresses: &[IpAddr],
        fresh: &mut Vec<IpAddr>,
        random: u64,
        changes: &mut Vec<Change>,
    ) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let is_checked = core::mem::take(&mut slot.to_check);
            let Some(old) = slot.state.address() else {
                continue;
            };
            if is_checked && !addresses.contains(&old) {
                changes.extend(slot.replace(SlotId(at), old, fresh, random));
            }
        }
    }

    /// The first bad source gets another address. Where the name has none to offer it goes on, and is judged anew.
    fn replace_bad(
        &mut self,
        fresh: &mut Vec<IpAddr>,
        now_ns: u64,
        random: u64,
        changes: &mut Vec<Change>,
    ) {
        if now_ns < self.replace_from_ns {
            return;
        }
        let mut bad = self.slots.iter_mut().enumerate();
        let Some((at, slot)) = bad.find(|(_, slot)| slot.is_bad) else {
            return;
        };
        slot.is_bad = false;
        slot.bad_updates = 0;
        if let Some(old) = slot.state.address() {
            changes.extend(slot.replace(SlotId(at), old, fresh, random));
        }
        self.replace_from_ns = now_ns.saturating_add(share(REPLACE_INTERVAL_NS, random));
    }

    fn fill(&mut self, fresh: Vec<IpAddr>, changes: &mut Vec<Change>) {
        if self.settled() >= self.sources_max {
            return;
        }
        let is_one = self.slots.len() == 1;
        let empty = self.slots.iter_mut().enumerate();
        let empty = empty.filter(|(_, slot)| slot.state == SlotState::Empty);
        for ((at, slot), address) in empty.zip(fresh) {
            *slot = EMPTY;
            slot.state = if is_one {
                SlotState::Settled(address)
            } else {
                SlotState::Tentative(address)
            };
            let slot = SlotId(at);
            changes.push(Change::Add { slot, address });
        }
    }

    /// After a look-up: the next.
    fn plan(&mut self, now_ns: u64) {
        let filled = self
            .slots
            .iter()
            .filter(|slot| slot.state != SlotState::Empty);
        if filled.count() < self.sources_max {
            let doublings = (self.fruitless + RETRY_LOG2_MIN).min(RETRY_LOG2_MAX);
            self.fruitless = self.fruitless.saturating_add(1);
            self.resolve_from(now_ns.saturating_add(RETRY_NS << doublings));
        } else {
            self.fruitless = 0;
        }
        if self.slots.iter().any(|slot| slot.is_bad) {
            self.resolve_from(self.replace_from_ns.max(now_ns.saturating_add(RETRY_NS)));
        }
    }
}

impl Slot {
    fn replace(
        &mut self,
        slot: SlotId,
        old: IpAddr,
        fresh: &mut Vec<IpAddr>,
        random: u64,
    ) -> Option<Change> {
        let count = u64::try_from(fresh.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(random.checked_rem(count)?).ok()?;
        let new = fresh.swap_remove(at);
        let state = match self.state {
            SlotState::Settled(_) => SlotState::Settled(new),
            SlotState::Tentative(_) | SlotState::Empty => SlotState::Tentative(new),
        };
        *self = Self { state, ..EMPTY };
        Some(Change::Replace { slot, old, new })
    }
}

/// As many sources as one name may have.
const SLOTS_MAX: usize = 16;
/// So often in a row a source may be unusable.
const BAD_UPDATES_MAX: u32 = 4;
/// Between two look-ups of a name that does not bring enough: 7 s, 2^2 to 2^9 times.
const RETRY_NS: u64 = 7_000_000_000;
const RETRY_LOG2_MIN: u32 = 2;
const RETRY_LOG2_MAX: u32 = 9;
/// Between two replacements, at most.
const REPLACE_INTERVAL_NS: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests;
