//! Sums of hours, days and buckets that nothing has changed since they were added up.
//!
//! A dashboard asks the same again and again, and of thirty days only the last hour is another than before. What
//! was added up for a part of the time stands here beside the number of the last change to that part
//! ([`crate::changes`]): a snapshot with the same number gets the same sums.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use staso_store::metrics::{AgentSums, BucketSums, GroupBy, Measure};

/// A part of the time: the first and the last start that is in it.
pub(crate) type Part = (i64, i64);

/// What sums of a bucket are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BucketKey {
    pub(super) ws: i64,
    pub(super) environment: Option<String>,
    pub(super) measures: Vec<Measure>,
    pub(super) group_by: Option<GroupBy>,
    pub(super) part: Part,
}

/// What sums of agents are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AgentsKey {
    pub(super) ws: i64,
    pub(super) environment: Option<String>,
    pub(super) part: Part,
}

/// Both sorts, each with half of the room.
pub(crate) struct Sums {
    pub(super) buckets: Kept<BucketKey, BucketSums>,
    pub(super) agents: Kept<AgentsKey, AgentSums>,
}

impl Sums {
    /// At most about so many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { buckets: Kept::new(max_bytes / 2), agents: Kept::new(max_bytes / 2) }
    }

    /// About how many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.buckets.lock().bytes + self.agents.lock().bytes
    }
}

/// The least lately used go first.
pub(super) struct Kept<K, V> {
    entries: Mutex<Entries<K, V>>,
    max_bytes: usize,
}

struct Entries<K, V> {
    by_key: LruCache<K, Entry<V>>,
    bytes: usize,
}

struct Entry<V> {
    last_change: u64,
    sums: Arc<V>,
    bytes: usize,
}

impl<K: Hash + Eq, V> Kept<K, V> {
    fn new(max_bytes: usize) -> Self {
        let entries = Entries { by_key: LruCache::new_unbounded(), bytes: 0 };
        Self { entries: Mutex::new(entries), max_bytes }
    }

    /// What is kept of this as of a snapshot.
    pub(super) fn get(&self, key: &K, last_change: u64) -> Option<Arc<V>> {
        let mut entries = self.lock();
        let entry = entries.by_key.get(key)?;
        (entry.last_change == last_change).then(|| Arc::clone(&entry.sums))
    }

    /// Keeps sums of `bytes` bytes, as of a snapshot.
    pub(super) fn put(&self, key: K, last_change: u64, sums: V, bytes: usize) {
        let bytes = bytes + size_of::<K>() + size_of::<Entry<V>>();
        let mut entries = self.lock();
        let entry = Entry { last_change, sums: Arc::new(sums), bytes };
        let before = entries.by_key.insert(key, entry);
        entries.bytes += bytes;
        entries.bytes -= before.map_or(0, |before| before.bytes);
        while entries.bytes > self.max_bytes
            && let Some((_, gone)) = entries.by_key.remove_lru()
        {
            entries.bytes -= gone.bytes;
        }
    }

    /// A panic cannot leave it half-changed in a way that matters: its counts are its own.
    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_changed_since_is_answered() {
        let kept = Kept::<u8, u8>::new(10_000);
        kept.put(1, 5, 50, 1);
        assert_eq!(kept.get(&1, 5).as_deref(), Some(&50));
        assert_eq!((kept.get(&1, 4), kept.get(&1, 6), kept.get(&2, 5)), (None, None, None));
        kept.put(1, 6, 60, 1);
        assert_eq!((kept.get(&1, 5), kept.get(&1, 6).as_deref()), (None, Some(&60)));
    }

    #[test]
    fn room_is_bounded_and_the_least_used_go() {
        let kept = Kept::<u8, u8>::new(10_000);
        (0..20).for_each(|key| {
            kept.put(key, 1, key, 2_000);
            assert!(kept.lock().bytes <= 10_000);
            assert_eq!(kept.get(&0, 1).as_deref(), Some(&0), "it is used again and again");
        });
        assert_eq!(kept.get(&1, 1), None);
        kept.put(99, 1, 99, 20_000);
        assert_eq!((kept.get(&99, 1), kept.lock().bytes), (None, 0));
    }
}
