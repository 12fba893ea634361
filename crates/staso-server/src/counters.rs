//! Counts of this run: every queue and limit says what it let through and what it refused.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::view::Int64;
use crate::view::health::IngestHealth;

/// What was taken in and what was refused since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: Count,
    pub(crate) spans: Count,
    pub(crate) repeated: Count,
    pub(crate) key_reused: Count,
    pub(crate) too_large: Count,
    pub(crate) busy: Count,
    pub(crate) malformed: Count,
    pub(crate) repaired: Count,
    pub(crate) journal_batches: Count,
    pub(crate) journal_damaged: Count,
}

/// One count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicI64);

impl Count {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(i64::try_from(n).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn shown(&self) -> Int64 {
        Int64(self.0.load(Ordering::Relaxed))
    }
}

impl Counters {
    /// The counts as the health page shows them.
    pub(crate) fn shown(&self) -> IngestHealth {
        IngestHealth {
            batches: self.batches.shown(),
            spans: self.spans.shown(),
            repeated: self.repeated.shown(),
            key_reused: self.key_reused.shown(),
            too_large: self.too_large.shown(),
            busy: self.busy.shown(),
            malformed: self.malformed.shown(),
            repaired: self.repaired.shown(),
            journal_batches: self.journal_batches.shown(),
            journal_damaged: self.journal_damaged.shown(),
        }
    }
}
