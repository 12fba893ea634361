//! The narrow part of a span that a trace row is made of.
//!
//! An engine keeps summaries of busy traces in memory and never reads payloads to refresh a row.

use staso_model::{
    INTERRUPTED_ATTRIBUTE, Payload, ProcessId, Span, SpanId, SpanKind, SpanStatus, Stage, Value,
    Version,
};

/// How many characters of an input or output a list shows.
pub const PREVIEW_CHARS: usize = 200;

/// What one span contributes to its trace's row.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSummary {
    /// The span.
    pub span_id: SpanId,
    /// Whether it names a parent.
    pub has_parent: bool,
    /// Whether the client discarded it; it then counts nowhere.
    pub dropped: bool,
    /// Which report of it this is.
    pub version: Version,
    /// Its kind.
    pub kind: SpanKind,
    /// Its status as sent.
    pub status: SpanStatus,
    /// Its start, Unix nanoseconds.
    pub start_ns: i64,
    /// Its end; `None` while open or where the sender gave none.
    pub end_ns: Option<i64>,
    /// Its name.
    pub name: String,
    /// What went wrong.
    pub error_message: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// The agent.
    pub agent_name: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The conversation.
    pub session_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// All input tokens.
    pub input_tokens: Option<i64>,
    /// All output tokens.
    pub output_tokens: Option<i64>,
    /// All tokens.
    pub total_tokens: Option<i64>,
    /// Whether these tokens are the trace's own totals; see [`staso_model::Usage::is_of_trace`].
    pub tokens_are_of_trace: bool,
    /// nano-USD.
    pub cost_nano_usd: Option<i64>,
    /// Whether the server mended it.
    pub repaired: bool,
    /// Whether somebody else closed it because its process was gone.
    pub interrupted: bool,
    /// The process that recorded it.
    pub process_id: Option<ProcessId>,
    /// The probability it was kept with.
    pub sample_rate: Option<f64>,
    /// The start of its input; only kept for spans that can be a root.
    pub input_preview: Option<String>,
    /// The start of its output; likewise.
    pub output_preview: Option<String>,
}

impl SpanSummary {
    /// The summary of a whole span.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let is_root = span.parent_span_id.is_none();
        let preview_of = |payload: &Option<Payload>| {
            payload.as_ref().filter(|_| is_root).map(|payload| preview(&payload.text))
        };
        let mut summary = Self::of_head(span);
        summary.input_preview = preview_of(&span.input);
        summary.output_preview = preview_of(&span.output);
        summary
    }

    /// The summary of a span whose payloads were not loaded: as [`of`](Self::of), without previews.
    #[must_use]
    pub fn of_head(span: &Span) -> Self {
        Self {
            span_id: span.span_id,
            has_parent: span.parent_span_id.is_some(),
            dropped: span.dropped,
            version: span.version,
            kind: span.kind,
            status: span.status,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            name: span.name.clone(),
            error_message: span.error_message.clone(),
            environment: span.environment.clone(),
            service: span.service.clone(),
            agent_name: span.agent_name.clone(),
            agent_version: span.agent_version.clone(),
            session_id: span.session_id.clone(),
            user_id: span.user_id.clone(),
            model: span.model.clone(),
            tags: span.tags.clone(),
            input_tokens: span.usage.input_total(),
            output_tokens: span.usage.output,
            total_tokens: span.usage.total(),
            tokens_are_of_trace: span.usage.is_of_trace,
            cost_nano_usd: span.cost_nano_usd,
            repaired: !span.repairs.is_empty(),
            interrupted: matches!(span.attribute(INTERRUPTED_ATTRIBUTE), Some(Value::Bool(true))),
            process_id: span.process_id,
            sample_rate: span.sample_rate,
            input_preview: None,
            output_preview: None,
        }
    }

    /// Whether it is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.version.stage == Stage::Open
    }

    /// About how many bytes of memory it holds, for caches that are bounded by bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let texts = [
            &self.error_message,
            &self.environment,
            &self.service,
            &self.agent_name,
            &self.agent_version,
            &self.session_id,
            &self.user_id,
            &self.model,
            &self.input_preview,
            &self.output_preview,
        ];
        let heap: usize = texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        size_of::<Self>() + self.name.len() + heap + tags
    }
}

/// The first [`PREVIEW_CHARS`] characters of a text.
#[must_use]
pub fn preview(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}
