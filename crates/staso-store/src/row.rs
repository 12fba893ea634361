//! Answers as plain data: the trace row of the lists and the whole trace.

use staso_model::{Annotation, Span, SpanId, SpanKind, SpanStatus, TraceId};

use crate::query::{Cursor, RunState};

/// One trace as a list shows it: a rollup of the newest version of each of its spans.
///
/// Dropped spans count nowhere; a trace of nothing else has no row. Sums over unknown parts are sums of the known ones and say so.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceRow {
    /// The tenant.
    pub workspace: String,
    /// The trace.
    pub trace_id: TraceId,
    /// The root span where it has arrived: the earliest span without a parent (ties: lowest id).
    pub root_span_id: Option<SpanId>,
    /// The root's name; the earliest span's while the root is missing.
    pub name: String,
    /// The root's kind, or the earliest span's.
    pub kind: SpanKind,
    /// Every kind present, sorted.
    pub kinds: Vec<SpanKind>,
    /// The root's status; while the root is missing or open, `Error` if any span failed, else
    /// `Ok`.
    pub status: SpanStatus,
    /// Whether it still runs, judged at the query's `now_ns`.
    pub state: RunState,
    /// The earliest start.
    pub start_ns: i64,
    /// The latest end; `None` while a span is open, and where no span has one.
    pub end_ns: Option<i64>,
    /// Spans.
    pub span_count: u64,
    /// Spans that ended in error or timeout.
    pub error_count: u64,
    /// Spans still open.
    pub open_count: u64,
    /// The root's environment, or the first one found in start order.
    pub environment: Option<String>,
    /// Likewise the service.
    pub service: Option<String>,
    /// Likewise the agent.
    pub agent_name: Option<String>,
    /// Likewise the agent's version.
    pub agent_version: Option<String>,
    /// Likewise the conversation.
    pub session_id: Option<String>,
    /// Likewise the user.
    pub user_id: Option<String>,
    /// Every agent name, sorted.
    pub agents: Vec<String>,
    /// Every agent version, sorted.
    pub agent_versions: Vec<String>,
    /// Every pair of an agent and its version that a span names, sorted: who took part as what.
    pub agent_pairs: Vec<(String, Option<String>)>,
    /// Every model, sorted.
    pub models: Vec<String>,
    /// Every tag, sorted.
    pub tags: Vec<String>,
    /// Input tokens of the spans that know them; `None` when none does.
    pub input_tokens: Option<i64>,
    /// Output tokens likewise.
    pub output_tokens: Option<i64>,
    /// All tokens likewise.
    pub total_tokens: Option<i64>,
    /// nano-USD of the spans with a known cost; `None` when none has one.
    pub cost_nano_usd: Option<i64>,
    /// Whether the cost of some span of kind `Llm` is unknown (it may still be open), so that
    /// `cost_nano_usd` is a lower bound.
    pub cost_incomplete: bool,
    /// The first 200 characters of the root's input.
    pub input_preview: Option<String>,
    /// The first 200 characters of the root's output.
    pub output_preview: Option<String>,
    /// The root's error message, or that of the earliest failed span that has one.
    pub error_message: Option<String>,
    /// Spans that were mended on arrival.
    pub repaired_count: u64,
    /// When the newest version in it was received.
    pub received_ns: i64,
    /// The root's sample rate: metrics weigh the trace by one over it. The counts and sums of the row
    /// itself are of what is stored.
    pub sample_rate: Option<f64>,
    /// The latest annotation per (span, name, source, author), oldest first.
    pub annotations: Vec<Annotation>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct TracePage {
    /// The rows.
    pub rows: Vec<TraceRow>,
    /// Where to continue; `None` when there is nothing after the last row.
    pub next: Option<Cursor>,
}

/// A whole trace in tree order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The rollup.
    pub row: TraceRow,
    /// Every span that was not dropped, pre-order: a parent stands before its children, siblings
    /// by (start, id).
    pub spans: Vec<TreeSpan>,
    /// Every annotation, oldest first.
    pub annotations: Vec<Annotation>,
}

/// A span with its place in the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeSpan {
    /// The span. Its `parent_span_id` is as sent, also where the parent was dropped.
    pub span: Span,
    /// See [`Place::parent_span_id`].
    pub parent_span_id: Option<SpanId>,
    /// 0 for a root.
    pub depth: u32,
    /// The index in [`Trace::spans`] of the span it hangs under: the parent, or the nearest
    /// ancestor that was not dropped.
    pub parent: Option<u32>,
    /// The index after the last of its descendants.
    pub subtree_end: u32,
    /// It names a parent that has not arrived (or is its own ancestor), and stands as a root.
    pub missing_parent: bool,
}

/// One span by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSpan {
    /// The span.
    pub span: Span,
    /// Where it stands; `None` for a dropped span, which stands nowhere.
    pub place: Option<Place>,
}

impl TreeSpan {
    /// What is said of the span alone when it is asked for by its id.
    #[must_use]
    pub fn place(&self) -> Place {
        let Self { parent_span_id, depth, missing_parent, .. } = *self;
        Place { parent_span_id, depth, missing_parent }
    }
}

/// Where one span stands in its trace's tree; the same as [`TreeSpan`] says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The nearest ancestor that was not dropped, whether it has arrived or not; `None` for a root, and
    /// where nobody but itself or a ring of dropped spans is named.
    pub parent_span_id: Option<SpanId>,
    /// See [`TreeSpan::depth`].
    pub depth: u32,
    /// See [`TreeSpan::missing_parent`].
    pub missing_parent: bool,
}

/// One workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Its name.
    pub slug: String,
    /// How many traces it has.
    pub traces: u64,
}
