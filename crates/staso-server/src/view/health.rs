//! Whether the server works, what it holds, and what it took in and refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Int64;

/// Whether the server works, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `stopping` while it shuts down.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// When it started, Unix nanoseconds.
    pub started_ns: Int64,
    /// What the store holds.
    pub store: StoreHealth,
    /// Counters of this run.
    pub ingest: IngestHealth,
    /// The server's clock, Unix nanoseconds.
    pub time_ns: Int64,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreHealth {
    /// The engine: `local`.
    pub engine: String,
    /// Spans, newest versions only.
    pub spans: Int64,
    /// Traces.
    pub traces: Int64,
    /// Bytes on disk.
    pub bytes: Int64,
}

/// What this run of the server took in, and what it refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestHealth {
    /// Batches accepted, repeats not counted.
    pub batches: Int64,
    /// Spans accepted.
    pub spans: Int64,
    /// Batches that arrived again and were answered from their receipt.
    pub repeated: Int64,
    /// Batches whose idempotency key was seen before with another body.
    pub key_reused: Int64,
    /// Batches refused as too large.
    pub too_large: Int64,
    /// Batches put off because the server had too much to do.
    pub busy: Int64,
    /// Batches refused as unreadable.
    pub malformed: Int64,
    /// Spans that were mended on arrival.
    pub repaired: Int64,
    /// Batches taken from the journal.
    pub journal_batches: Int64,
    /// Batches and segments of the journal that were set aside because nobody can read them.
    pub journal_damaged: Int64,
}

/// That the server can be used now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// `ready`.
    pub status: String,
    /// `ok`, or `disk_full` where the last batch found no room on the disk.
    pub writes: String,
}
