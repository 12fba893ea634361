//! The small answers: errors, health, workspaces, facets, the ingest receipt.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Int64;

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The next step; empty where there is none.
    pub hint: String,
}

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
    /// Journal segments set aside because they were damaged.
    pub journal_damaged: Int64,
}

/// The workspaces that hold something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceList {
    /// By name.
    pub workspaces: Vec<Workspace>,
}

/// One workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    /// Its name.
    pub slug: String,
    /// How many traces it has.
    pub traces: u64,
}

/// The values of one field and how often they occur.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetList {
    /// The most frequent first.
    pub values: Vec<FacetValue>,
}

/// One value and the number of traces that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// How many traces.
    pub count: u64,
}

/// The answer to an accepted batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestAnswer {
    /// Traces accepted: always as many as were sent.
    pub accepted: u64,
    /// Always 0: what can be repaired is not rejected.
    pub rejected: u64,
    /// Always 0: no span of an accepted batch is dropped.
    pub spans_dropped: u64,
    /// The `Idempotency-Key`, or one that the server made.
    pub receipt_id: String,
    /// Spans accepted.
    pub spans: u64,
    /// What was mended.
    pub repaired: Vec<Repaired>,
}

/// One mended field of one span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Repaired {
    /// The trace.
    pub trace_id: String,
    /// The span; empty where the problem is the trace's or the body's.
    pub span_id: String,
    /// The field, as it was sent.
    pub field: String,
    /// What was wrong and what was done.
    pub problem: String,
}

/// What a client asks before it sends: whether its key and workspace work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetupAnswer {
    /// `ok`
    pub status: String,
    /// `active`: a server of one's own has no plan to run out.
    pub plan_status: String,
    /// Whether the store takes data.
    pub backend_ready: bool,
    /// Whether guard evaluation is available.
    pub guard_available: bool,
    /// What the sender may do.
    pub capabilities: Vec<String>,
    /// The workspace asked about.
    pub workspace_slug: String,
    /// When the newest trace was received, ISO-8601; null before the first.
    #[schema(required = true)]
    pub last_ingestion_at: Option<String>,
}

/// The data of a live `trace` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveChange {
    /// The trace.
    pub trace_id: String,
    /// Its workspace.
    pub workspace: String,
    /// What happened to it.
    pub change: ChangeKind,
}

/// What happened to a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new or has changed.
    Upsert,
    /// It is gone.
    Delete,
}
