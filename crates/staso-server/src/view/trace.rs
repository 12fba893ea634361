//! A trace as a list row, and the whole trace.

use serde::{Deserialize, Serialize};
use staso_store::row;
use utoipa::ToSchema;

use super::annotation::{self, Annotation};
use super::span::Span;
use super::{Int64, Kind, State, Status};

/// One page of traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceList {
    /// The rows, in the order asked for.
    pub traces: Vec<TraceRow>,
    /// What to send as `cursor` for the next page; null after the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// The server's clock, by which states were judged.
    pub now_ns: Int64,
}

/// One trace as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceRow {
    /// 32 hex digits.
    pub trace_id: String,
    /// The tenant.
    pub workspace: String,
    /// `production`, `staging`, ...
    #[schema(required = true)]
    pub environment: Option<String>,
    /// The service.
    #[schema(required = true)]
    pub service: Option<String>,
    /// The root span's name; the earliest span's while the root has not arrived.
    pub name: String,
    /// The kind of that span.
    pub kind: Kind,
    /// The root span, once it has arrived.
    #[schema(required = true)]
    pub root_span_id: Option<String>,
    /// The agent.
    #[schema(required = true)]
    pub agent_name: Option<String>,
    /// Its version.
    #[schema(required = true)]
    pub agent_version: Option<String>,
    /// How it ended, or fares.
    pub status: Status,
    /// Whether it still runs.
    pub state: State,
    /// The earliest start, Unix nanoseconds.
    pub start_ns: Int64,
    /// The latest end; null while a span is open.
    #[schema(required = true)]
    pub end_ns: Option<Int64>,
    /// `end_ns` less `start_ns`.
    #[schema(required = true)]
    pub duration_ns: Option<Int64>,
    /// Spans.
    pub span_count: u64,
    /// Spans that ended in error or timeout.
    pub error_count: u64,
    /// Spans still open.
    pub open_count: u64,
    /// Every model, sorted.
    pub models: Vec<String>,
    /// Input tokens; null when no span knows.
    #[schema(required = true)]
    pub input_tokens: Option<i64>,
    /// Output tokens; null when no span knows.
    #[schema(required = true)]
    pub output_tokens: Option<i64>,
    /// All tokens; null when no span knows.
    #[schema(required = true)]
    pub total_tokens: Option<i64>,
    /// Billionths of a US dollar; null when no span knows.
    #[schema(required = true)]
    pub cost_nano_usd: Option<Int64>,
    /// Whether a model call's cost is unknown, so that the cost is a lower bound.
    pub cost_incomplete: bool,
    /// The conversation.
    #[schema(required = true)]
    pub session_id: Option<String>,
    /// The end user.
    #[schema(required = true)]
    pub user_id: Option<String>,
    /// Every tag, sorted.
    pub tags: Vec<String>,
    /// The beginning of the root's input.
    #[schema(required = true)]
    pub input_preview: Option<String>,
    /// The beginning of the root's output.
    #[schema(required = true)]
    pub output_preview: Option<String>,
    /// What went wrong.
    #[schema(required = true)]
    pub error_message: Option<String>,
    /// The latest annotation per span, name, source and author.
    pub annotations: Vec<Annotation>,
    /// When the newest part of it was received.
    pub received_ns: Int64,
    /// Spans that were mended on arrival.
    pub repaired_count: u64,
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceAnswer {
    /// The rollup.
    pub trace: TraceRow,
    /// Every span, a parent before its children, siblings by start.
    pub spans: Vec<Span>,
    /// Every annotation, oldest first.
    pub annotations: Vec<Annotation>,
}

impl From<&row::TraceRow> for TraceRow {
    fn from(row: &row::TraceRow) -> Self {
        let duration = row.end_ns.map(|end| Int64(end.saturating_sub(row.start_ns).max(0)));
        Self {
            trace_id: row.trace_id.to_string(),
            workspace: row.workspace.clone(),
            environment: row.environment.clone(),
            service: row.service.clone(),
            name: row.name.clone(),
            kind: row.kind.into(),
            root_span_id: row.root_span_id.map(|id| id.to_string()),
            agent_name: row.agent_name.clone(),
            agent_version: row.agent_version.clone(),
            status: row.status.into(),
            state: row.state.into(),
            start_ns: Int64(row.start_ns),
            end_ns: row.end_ns.map(Int64),
            duration_ns: duration,
            span_count: row.span_count,
            error_count: row.error_count,
            open_count: row.open_count,
            models: row.models.clone(),
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            total_tokens: row.total_tokens,
            cost_nano_usd: row.cost_nano_usd.map(Int64),
            cost_incomplete: row.cost_incomplete,
            session_id: row.session_id.clone(),
            user_id: row.user_id.clone(),
            tags: row.tags.clone(),
            input_preview: row.input_preview.clone(),
            output_preview: row.output_preview.clone(),
            error_message: row.error_message.clone(),
            annotations: annotation::all(&row.annotations),
            received_ns: Int64(row.received_ns),
            repaired_count: row.repaired_count,
        }
    }
}

impl From<&row::Trace> for TraceAnswer {
    fn from(trace: &row::Trace) -> Self {
        let annotations = annotation::all(&trace.annotations);
        let mut spans: Vec<Span> = trace.spans.iter().map(Span::from).collect();
        attach(&mut spans, &annotations);
        Self { trace: (&trace.row).into(), spans, annotations }
    }
}

/// Gives each annotation to the span it speaks of.
fn attach(spans: &mut [Span], annotations: &[Annotation]) {
    let mut by_span = std::collections::HashMap::<&str, Vec<&Annotation>>::new();
    for note in annotations {
        if let Some(span_id) = &note.span_id {
            by_span.entry(span_id).or_default().push(note);
        }
    }
    for span in spans {
        if let Some(notes) = by_span.get(span.span_id.as_str()) {
            span.annotations = notes.iter().map(|note| (*note).clone()).collect();
        }
    }
}
