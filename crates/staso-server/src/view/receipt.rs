//! What a sender of spans is told: before it sends, and once its batch is safe.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
