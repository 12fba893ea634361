//! Counts of this run: every queue and limit says what it let through and what it refused.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use staso_store::StoreError;

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
    pub(crate) retention_traces: Count,
    pub(crate) retention_spans: Count,
    pub(crate) retention_bytes: Count,
    /// Whether the last batch found the disk full.
    disk_full: AtomicBool,
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

    fn told(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl Counters {
    /// Notes how a batch fared at the store.
    pub(crate) fn note_append<T>(&self, appended: &Result<T, StoreError>) {
        match appended {
            Ok(_) => self.disk_full.store(false, Ordering::Relaxed),
            Err(StoreError::DiskFull) => self.disk_full.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }

    /// Whether the last batch that came to an end found the disk full.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed)
    }

    /// The counts by name, with what each counts.
    pub(crate) fn told(&self) -> Vec<(&'static str, &'static str, u64)> {
        let told = |name, help, count: &Count| (name, help, count.told());
        vec![
            told("ingest_batches", "Batches accepted, repeats not counted", &self.batches),
            told("ingest_spans", "Spans accepted", &self.spans),
            told("ingest_repeated_batches", "Batches answered from their receipt", &self.repeated),
            told(
                "ingest_reused_keys",
                "Batches whose idempotency key was seen before with another body",
                &self.key_reused,
            ),
            told("ingest_too_large_batches", "Batches refused as too large", &self.too_large),
            told("ingest_busy_batches", "Batches asked to come again", &self.busy),
            told("ingest_malformed_batches", "Batches refused as unreadable", &self.malformed),
            told("ingest_repaired_spans", "Spans mended on arrival", &self.repaired),
            told("journal_batches", "Batches taken from the journal", &self.journal_batches),
            told(
                "journal_damaged_batches",
                "Batches and segments of the journal that nobody can read",
                &self.journal_damaged,
            ),
            told(
                "retention_traces",
                "Traces that went for their age or for want of room",
                &self.retention_traces,
            ),
            told("retention_spans", "Spans of these traces", &self.retention_spans),
            told(
                "retention_bytes",
                "Bytes of files that went with them as a whole, about",
                &self.retention_bytes,
            ),
        ]
    }

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
