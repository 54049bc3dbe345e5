//! How often each key was used by one worker: beside the keys, and handed over together with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Apart;
use crate::auth::{KeyIndex, KeyStore};
use crate::wire::KeyId;

/// Keys of a pair of cache lines.
const LINE: usize = 16;

/// Counters for one worker's keys, one each, written by it alone, read by anybody.
///
/// A place means nothing to another store, so another store comes with counters of its own.
#[derive(Debug)]
pub struct KeyUse {
    keys: Arc<KeyStore>,
    lines: Box<[Apart<[AtomicU64; LINE]>]>,
}

impl KeyUse {
    /// Nothing counted.
    pub fn new(keys: Arc<KeyStore>) -> Self {
        let line = |_| Apart(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            lines: (0..keys.len().div_ceil(LINE)).map(line).collect(),
            keys,
        }
    }

    /// The keys that are counted.
    pub const fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// A request was signed with this key.
    #[inline]
    pub fn count(&self, key: KeyIndex) {
        let place = key.place();
        if let Some(line) = self.lines.get(place / LINE) {
            let counter = &line.0[place % LINE];
            let count = counter.load(Ordering::Relaxed).wrapping_add(1);
            counter.store(count, Ordering::Relaxed);
        }
    }

    /// Each key's identifier and count, ascending by identifier.
    pub fn counts(&self) -> impl Iterator<Item = (KeyId, u64)> {
        let counters = self.lines.iter().flat_map(|line| &line.0);
        let counts = counters.map(|counter| counter.load(Ordering::Relaxed));
        self.keys.identifiers().zip(counts)
    }

    /// Bytes on the heap of the counters for so many keys.
    pub const fn bytes_for(keys: usize) -> usize {
        keys.div_ceil(LINE) * size_of::<Apart<[AtomicU64; LINE]>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Key, KeyType};

    #[test]
    fn each_key_has_its_own_counter() {
        let key = |id| Key::new(KeyId(id), KeyType::Aes128, &[1; 16]).unwrap();
        let keys: Vec<_> = (0..40).map(|n| key(1000 - n)).collect();
        let uses = KeyUse::new(Arc::new(KeyStore::new(&keys).0));
        for (times, id) in [(1, 961), (2, 977), (3, 1000)] {
            let place = uses.keys().find(KeyId(id)).unwrap();
            (0..times).for_each(|_| uses.count(place));
        }
        assert_eq!(uses.counts().count(), 40);
        let used: Vec<_> = uses.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(used, [(KeyId(961), 1), (KeyId(977), 2), (KeyId(1000), 3)]);
        assert_eq!(KeyUse::bytes_for(40), 3 * 128);
    }
}
