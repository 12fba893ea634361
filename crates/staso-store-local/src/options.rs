//! What whoever opens a store may choose.

use std::ops::Range;
use std::time::Duration;

/// Limits of a store. Each bounds something that would else grow.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many batches may wait to be written.
    pub queue_batches: usize,
    /// How many bytes of batches may wait to be written, about.
    pub queue_bytes: usize,
    /// How long an append waits for room in the queue before it answers `Busy`.
    pub queue_wait: Duration,
    /// How many reads run at once; further ones wait. Searches take half of them at most.
    pub readers: usize,
    /// How many bytes of spans that are not open may wait in memory and in the log before they are
    /// moved to segments, about. Three times as many are the bound, open ones included. The log is trimmed
    /// when it grew by as much, whatever is in it.
    pub hot_bytes: usize,
    /// How long such spans wait at most.
    pub flush_after: Duration,
    /// How many bytes of spans a compaction holds in memory, about; segments grow to a few times less.
    /// 0: none is compacted, and what is deleted is hidden but not gone.
    pub compact_bytes: usize,
    /// How long after a deletion its bytes are removed. Several deletions share the work.
    pub forget_after: Duration,
    /// Memory for the rollup inputs of busy traces, bytes.
    pub cache_bytes: usize,
    /// Memory for sums that metrics and agents were answered with, bytes: nothing is added up twice that did not
    /// change. 0: nothing is kept.
    pub sums_bytes: usize,
    /// How many receipts are kept, whatever their age.
    pub max_receipts: u64,
    /// The log and the catalog may each grow to this many bytes, then appends answer `DiskFull`; `None`: to the end
    /// of the disk.
    pub max_bytes: Option<u64>,
    /// For crash tests: the process ends itself, as if killed, at this step; each operation on a
    /// file has one before it and one after.
    pub die_at_step: Option<u64>,
    /// For tests: operations on files fail at these steps, which are counted in the same way.
    pub fail_at_steps: Option<Range<u64>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_batches: 256,
            queue_bytes: 64 << 20,
            queue_wait: Duration::from_secs(3),
            readers: 4,
            hot_bytes: 64 << 20,
            flush_after: Duration::from_secs(600),
            compact_bytes: 64 << 20,
            forget_after: Duration::from_secs(30),
            cache_bytes: 96 << 20,
            sums_bytes: 32 << 20,
            max_receipts: 1_000_000,
            max_bytes: None,
            die_at_step: None,
            fail_at_steps: None,
        }
    }
}
