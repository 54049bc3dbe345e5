//! What the timekeeper says of the clock, handed to the workers without a lock.
//!
//! A sequence lock over atomic words: one writer, any number of readers. The generation is odd while the
//! words change. A reader that meets a change in progress keeps its old copy for one more turn, so
//! reading never waits; and as every word is an atomic there is no data race to begin with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::apart::stands_apart;
use crate::wire::{SystemVariables, SystemWords};

/// The published record. Written by the timekeeper alone.
#[derive(Debug)]
#[repr(align(128))] // Away from anything that is written per packet, as `Apart` has it.
pub struct Published {
    generation: AtomicU64,
    words: [AtomicU64; size_of::<SystemWords>() / 8],
}

const _: () = assert!(stands_apart::<Published>());

impl Published {
    /// With a first record.
    pub fn new(system: &SystemVariables) -> Arc<Self> {
        Arc::new(Self {
            generation: AtomicU64::new(2),
            words: system.to_words().map(AtomicU64::new),
        })
    }

    /// Replaces the record. Only one thread may call this.
    pub fn publish(&self, system: &SystemVariables) {
        let generation = self.generation.load(Ordering::Relaxed);
        self.generation.store(generation + 1, Ordering::Relaxed);
        // No word below becomes visible before the odd generation.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(system.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.generation.store(generation + 2, Ordering::Release);
    }
}

/// A worker's copy of the record.
#[derive(Debug)]
pub struct Subscription {
    published: Arc<Published>,
    seen: u64,
    system: SystemVariables,
}

impl Subscription {
    /// Starts as not synchronised; the first [`refresh`](Self::refresh) brings the record.
    pub const fn new(published: Arc<Published>) -> Self {
        Self {
            published,
            seen: 0,
            system: SystemVariables::not_synchronised(0),
        }
    }

    /// Copies the record if it has changed since; whether it has. Never waits.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let generation = self.published.generation.load(Ordering::Acquire);
        if generation == self.seen || generation % 2 == 1 {
            return false;
        }
        let words = std::array::from_fn(|at| self.published.words[at].load(Ordering::Relaxed));
        // The words above are read before the generation is read again.
        fence(Ordering::Acquire);
        if self.published.generation.load(Ordering::Relaxed) != generation {
            return false;
        }
        self.seen = generation;
        self.system = SystemVariables::from_words(&words);
        true
    }

    /// The copy.
    pub const fn system(&self) -> &SystemVariables {
        &self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NtpDuration, NtpTimestamp};

    /// A record in which every field tells the same number.
    fn numbered(number: u32) -> SystemVariables {
        let mut system = SystemVariables::not_synchronised(0);
        system.reference_timestamp = NtpTimestamp::from_bits(number.into());
        system.root_delay = NtpDuration::from_bits(number.into());
        system.correction.slope = number.into();
        system
    }

    #[test]
    fn a_reader_sees_whole_records_in_order() {
        const RECORDS: u32 = 200_000;
        let published = Published::new(&numbered(0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut subscription = Subscription::new(Arc::clone(&published));
                std::thread::spawn(move || {
                    let mut last = 0;
                    while last < u64::from(RECORDS) {
                        if subscription.refresh() {
                            let system = subscription.system();
                            let number = system.reference_timestamp.to_bits();
                            assert_eq!(system.root_delay.to_bits().cast_unsigned(), number);
                            assert_eq!(system.correction.slope.cast_unsigned(), number);
                            assert!(number >= last);
                            last = number;
                        }
                    }
                })
            })
            .collect();
        for number in 1..=RECORDS {
            published.publish(&numbered(number));
        }
        for reader in readers {
            reader.join().unwrap();
        }
    }

    #[test]
    fn refresh_tells_whether_anything_changed() {
        let published = Published::new(&numbered(7));
        let mut subscription = Subscription::new(Arc::clone(&published));
        assert!(!subscription.system().is_synchronised());
        assert!(subscription.refresh());
        assert!(!subscription.refresh());
        published.publish(&numbered(8));
        assert!(subscription.refresh());
        assert_eq!(subscription.system(), &numbered(8));
    }
}
