//! What the engine says of its own queues and buffers, each beside its bound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::ClockId;
use staso_store::Gauge;
use tokio::sync::Semaphore;

use crate::LocalStore;

impl LocalStore {
    /// Takes no lock that a write or a sync holds.
    pub(crate) fn levels(&self) -> Vec<Gauge> {
        let bounds = &self.bounds;
        let used =
            |all: usize, free: &Semaphore| all.saturating_sub(free.available_permits()) as u64;
        let gauge = |name, help, value| Gauge { name, help, value };
        let hot = self.shared.hot();
        vec![
            gauge(
                "store_queue_batches",
                "Batches that wait to be written; at the limit senders are asked to come again",
                used(bounds.queue_batches, &self.room),
            ),
            gauge(
                "store_queue_limit_batches",
                "Batches that may wait to be written",
                bounds.queue_batches as u64,
            ),
            gauge(
                "store_queue_bytes",
                "Bytes of batches that wait to be written, about",
                used(self.queue_kib as usize, &self.room_kib) * 1024,
            ),
            gauge(
                "store_queue_limit_bytes",
                "Bytes of batches that may wait to be written, about",
                u64::from(self.queue_kib) * 1024,
            ),
            gauge(
                "store_reads",
                "Reads under way; at the limit further ones wait",
                self.pool.busy(),
            ),
            gauge("store_reads_limit", "Reads that may be under way", self.pool.all()),
            gauge(
                "store_hot_bytes",
                "Bytes of spans in memory that are in the log and in no segment yet",
                hot.bytes() as u64,
            ),
            gauge(
                "store_hot_settled_bytes",
                "Those of them that are not open and wait for the next flush",
                hot.settled_bytes() as u64,
            ),
            gauge(
                "store_hot_limit_bytes",
                "Bytes of spans in memory beyond which batches wait",
                3 * bounds.hot_bytes as u64,
            ),
            gauge(
                "store_sums_bytes",
                "Bytes of sums of metrics and agents that are kept for the next question, about",
                self.sums.bytes() as u64,
            ),
            gauge(
                "store_sums_limit_bytes",
                "Bytes of them that may be kept",
                bounds.sums_bytes as u64,
            ),
            gauge(
                "store_compaction_cpu_milliseconds",
                "Processor time of compactions since the start",
                self.shared.compacted.cpu_ms(),
            ),
            gauge(
                "store_compaction_written_bytes",
                "Bytes of segments that compactions wrote since the start",
                self.shared.compacted.bytes(),
            ),
        ]
    }
}

/// What the levels are measured against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) queue_batches: usize,
    pub(crate) hot_bytes: usize,
    pub(crate) sums_bytes: usize,
}

/// What compactions took since the directory was opened.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    cpu_us: AtomicU64,
    bytes: AtomicU64,
}

impl Spent {
    /// The calling thread did nothing but one compaction, which wrote so many bytes.
    pub(crate) fn note(&self, bytes: u64) {
        let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        let cpu = Duration::try_from(now).unwrap_or_default();
        let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        self.cpu_us.fetch_add(cpu_us, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn cpu_ms(&self) -> u64 {
        self.cpu_us.load(Ordering::Relaxed) / 1_000
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
