//! The live tail: which traces changed, as it happens.
//!
//! Ingest only marks a trace as changed, in a set, under a lock that no I/O holds: it never waits
//! for a listener. One task empties the set a few times a second into a ring of numbered changes,
//! so that however often a trace changes, a listener hears of it at most at that pace. Listeners
//! read the ring at their own pace; one that falls behind the ring's end is told `reset` and
//! loads its list anew. Nothing here grows with the number or slowness of listeners.

mod states;
pub(crate) mod stream;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use staso_model::TraceId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use states::watch_states;
pub(crate) use stream::live;

/// How many changes a listener may be behind.
const RING_CAPACITY: usize = 8_192;

/// How many traces may be waiting to be announced; beyond it every listener is reset.
const PENDING_CAPACITY: usize = 8_192;

/// The pace of announcements of one trace.
const COALESCE: Duration = Duration::from_millis(250);

/// A trace that changed: its workspace and its id.
pub(crate) type Changed = (String, TraceId);

/// One numbered change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) changed: Changed,
}

/// What a listener gets when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Catch {
    /// The changes since its position, the newest of each trace only, and its new position.
    Entries(Vec<Entry>, u64),
    /// It was too far behind; its new position.
    Reset(u64),
}

/// The ring, and who is waiting for it.
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    wake: Notify,
    newest: watch::Sender<u64>,
    /// How many listeners each workspace has.
    audience: Mutex<HashMap<String, usize>>,
}

struct Inner {
    /// The number of the newest entry, or the start number.
    sequence: u64,
    /// The number of the newest entry that is no longer in the ring.
    forgotten: u64,
    ring: VecDeque<Entry>,
    pending: HashSet<Changed>,
    has_overflowed: bool,
}

impl Hub {
    /// A hub whose numbers begin after `start`. A start that grows from run to run (the time in
    /// microseconds does) makes a number of an earlier run too old instead of wrong.
    pub(crate) fn new(start: u64) -> Self {
        let inner = Inner {
            sequence: start,
            forgotten: start,
            ring: VecDeque::new(),
            pending: HashSet::new(),
            has_overflowed: false,
        };
        Self {
            inner: Mutex::new(inner),
            wake: Notify::new(),
            newest: watch::Sender::new(start),
            audience: Mutex::default(),
        }
    }

    /// Marks traces as changed. Never waits.
    pub(crate) fn mark(&self, changed: impl IntoIterator<Item = Changed>) {
        let mut inner = self.lock();
        for item in changed {
            if inner.pending.len() >= PENDING_CAPACITY {
                inner.pending.clear();
                inner.has_overflowed = true;
            }
            inner.pending.insert(item);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Numbers what is marked, makes it visible to listeners, and says whether there was any.
    fn announce(&self) -> bool {
        let mut inner = self.lock();
        if inner.pending.is_empty() && !inner.has_overflowed {
            return false;
        }
        if std::mem::take(&mut inner.has_overflowed) {
            inner.sequence += 1;
            inner.forgotten = inner.sequence;
            inner.ring.clear();
        }
        for changed in std::mem::take(&mut inner.pending) {
            inner.sequence += 1;
            let sequence = inner.sequence;
            inner.ring.push_back(Entry { sequence, changed });
            if inner.ring.len() > RING_CAPACITY {
                inner.forgotten = inner.ring.pop_front().map_or(sequence, |entry| entry.sequence);
            }
        }
        let newest = inner.sequence;
        drop(inner);
        self.newest.send_replace(newest);
        true
    }

    /// What happened in a workspace since `position`.
    pub(crate) fn catch_up(&self, position: u64, workspace: &str) -> Catch {
        let inner = self.lock();
        if position < inner.forgotten || position > inner.sequence {
            return Catch::Reset(inner.sequence);
        }
        let mut seen = HashSet::new();
        let mut entries: Vec<Entry> = inner
            .ring
            .iter()
            .rev()
            .take_while(|entry| entry.sequence > position)
            .filter(|entry| entry.changed.0 == workspace && seen.insert(entry.changed.1))
            .cloned()
            .collect();
        entries.reverse();
        Catch::Entries(entries, inner.sequence)
    }

    /// The number of the newest change.
    pub(crate) fn position(&self) -> u64 {
        self.lock().sequence
    }

    /// Tells when there is something newer.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Somebody listens to this workspace now.
    fn enter(&self, workspace: &str) {
        *self.audience().entry(workspace.to_owned()).or_default() += 1;
    }

    /// One listener of this workspace has gone.
    fn leave(&self, workspace: &str) {
        let mut audience = self.audience();
        if let Some(count) = audience.get_mut(workspace) {
            *count -= 1;
            if *count == 0 {
                audience.remove(workspace);
            }
        }
    }

    /// The workspaces that somebody listens to.
    pub(crate) fn listened(&self) -> Vec<String> {
        self.audience().keys().cloned().collect()
    }

    fn audience(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The announcing task: at once after a quiet time, then at the pace of [`COALESCE`].
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
            }
            if self.announce() {
                tokio::time::sleep(COALESCE).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(n: u128) -> Changed {
        ("w".to_owned(), TraceId(n.to_be_bytes()))
    }

    fn ids(catch: Catch) -> Vec<u128> {
        match catch {
            Catch::Entries(entries, _) => {
                entries.iter().map(|e| u128::from_be_bytes(e.changed.1.0)).collect()
            }
            Catch::Reset(_) => panic!("reset"),
        }
    }

    #[test]
    fn a_trace_that_changes_often_is_announced_once() {
        let hub = Hub::new(10);
        for _ in 0..1000 {
            hub.mark([changed(1), changed(2)]);
        }
        assert_eq!(ids(hub.catch_up(10, "w")).len(), 0, "nothing before the announcement");
        assert!(hub.announce());
        assert!(!hub.announce());
        assert_eq!(ids(hub.catch_up(10, "w")).len(), 2);
        assert_eq!(hub.position(), 12);
        hub.mark([changed(1)]);
        hub.announce();
        assert_eq!(ids(hub.catch_up(10, "w")), [2, 1], "only the newest change of a trace");
        assert_eq!(ids(hub.catch_up(12, "w")), [1]);
        assert_eq!(ids(hub.catch_up(13, "w")), []);
        assert_eq!(ids(hub.catch_up(10, "other")), []);
    }

    #[test]
    fn who_is_too_far_behind_or_from_another_run_is_reset() {
        let hub = Hub::new(10);
        assert_eq!(hub.catch_up(9, "w"), Catch::Reset(10));
        assert_eq!(hub.catch_up(11, "w"), Catch::Reset(10));
        for n in 0..=RING_CAPACITY as u128 {
            hub.mark([changed(n)]);
            hub.announce();
        }
        assert_eq!(hub.catch_up(10, "w"), Catch::Reset(hub.position()));
        assert_eq!(ids(hub.catch_up(11, "w")).len(), RING_CAPACITY);
    }

    #[test]
    fn a_workspace_is_listened_to_until_its_last_listener_leaves() {
        let hub = Hub::new(0);
        hub.enter("w");
        hub.enter("w");
        hub.leave("w");
        assert_eq!(hub.listened(), ["w"]);
        hub.leave("w");
        assert!(hub.listened().is_empty());
    }

    #[test]
    fn a_flood_between_two_announcements_resets_instead_of_growing() {
        let hub = Hub::new(0);
        hub.mark((0..=PENDING_CAPACITY as u128).map(changed));
        hub.announce();
        assert_eq!(hub.catch_up(0, "w"), Catch::Reset(hub.position()));
        assert!(hub.lock().ring.len() <= RING_CAPACITY);
    }
}
