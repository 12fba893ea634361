//! The span: one record of one piece of work, with everything every protocol can say about it.
//!
//! This is the domain type. The native wire ([`crate::json`]), OTLP ([`crate::otlp`]), the disk
//! and the REST answers each own structs of their own and convert at their edge.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{ProcessId, SpanId, TraceId};
use crate::kind::{CaptureCategory, SpanKind, SpanStatus};
use crate::usage::Usage;
use crate::value::{Attributes, Value};

/// One span, in the version that one message reported.
///
/// Identity is (workspace, trace id, span id). Of several versions the greatest [`Version`] wins
/// and replaces the whole row; nothing is merged or summed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The tenant this span belongs to.
    pub workspace: String,
    /// The trace.
    pub trace_id: TraceId,
    /// The span within the trace.
    pub span_id: SpanId,
    /// The parent span; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// Which report of this span this is.
    pub version: Version,

    /// What the work is called.
    pub name: String,
    /// What sort of work it is.
    pub kind: SpanKind,
    /// OpenTelemetry's own kind as sent (0 unspecified … 5 consumer; others are kept as they came).
    pub otel_kind: i32,
    /// When it began, Unix nanoseconds.
    pub start_ns: i64,
    /// When it ended, Unix nanoseconds; `None` while it is open.
    pub end_ns: Option<i64>,
    /// How it ended.
    pub status: SpanStatus,
    /// What went wrong, in one message (OTLP: the status message).
    pub error_message: Option<String>,
    /// The client discarded this span; its children are shown under its parent.
    pub dropped: bool,

    /// What went in.
    pub input: Option<Payload>,
    /// What came out.
    pub output: Option<Payload>,
    /// Metadata of the native wire, span attributes of OTLP.
    pub attributes: Attributes,
    /// Things that happened at one instant: exceptions, stream chunks.
    pub events: Vec<Event>,
    /// Other spans this one belongs with.
    pub links: Vec<Link>,
    /// Free labels.
    pub tags: Vec<String>,

    /// `production`, `staging`, ...
    pub environment: Option<String>,
    /// The OpenTelemetry service name.
    pub service: Option<String>,
    /// The agent's name.
    pub agent_name: Option<String>,
    /// The agent's stable id.
    pub agent_id: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The conversation.
    pub session_id: Option<String>,
    /// The end user.
    pub user_id: Option<String>,

    /// Who served the model.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The model that was asked for.
    pub requested_model: Option<String>,
    /// `low`, `high`, ... as the provider names it.
    pub reasoning_effort: Option<String>,
    /// Tokens, in disjoint buckets.
    pub usage: Usage,
    /// Our own price, nano-USD; `None` when unknown, which is never zero.
    pub cost_nano_usd: Option<i64>,
    /// The price the client sent, nano-USD, kept beside ours.
    pub client_cost_nano_usd: Option<i64>,

    /// The process that recorded it, where the client says.
    pub process_id: Option<ProcessId>,
    /// The probability this trace was kept with, 0 < rate ≤ 1; `None` when not sampled.
    pub sample_rate: Option<f64>,
    /// Which content categories the client kept to itself (`true` = captured).
    pub capture: Vec<(CaptureCategory, bool)>,

    /// W3C tracestate as sent.
    pub trace_state: String,
    /// OTLP span flags: the low 8 bits are the W3C trace flags.
    pub flags: u32,
    /// What the sender cut.
    pub dropped_counts: DroppedCounts,
    /// The sender's resource; shared by the spans of a batch.
    pub resource: Arc<Resource>,
    /// The instrumentation scope; shared by the spans of a batch.
    pub scope: Arc<Scope>,

    /// What the server mended on arrival.
    pub repairs: Vec<Repair>,
}

/// The attribute that marks a span somebody else closed because its process was gone.
pub const INTERRUPTED_ATTRIBUTE: &str = "staso.interrupted";

/// The attribute by which existing clients say that a root is still open.
pub const PROVISIONAL_ATTRIBUTE: &str = "staso.provisional_root";

/// How far a report says its span has come. A later stage beats an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has not ended.
    Open,
    /// Somebody else closed it because its process was gone ([`INTERRUPTED_ATTRIBUTE`] says so). The
    /// word of its own process, should one turn up after all, counts more.
    Interrupted,
    /// It has ended, and its own process says so.
    Ended,
}

impl Stage {
    /// The stage of a report that says whether its span is open, and has these attributes.
    #[must_use]
    pub fn of(is_open: bool, attributes: &Attributes) -> Self {
        let mark = crate::value::get(attributes, INTERRUPTED_ATTRIBUTE);
        match mark {
            _ if is_open => Self::Open,
            Some(Value::Bool(true)) => Self::Interrupted,
            _ => Self::Ended,
        }
    }
}

/// The order of versions: a report of a later stage beats one of an earlier, then the client's own
/// number, then the time of receipt, then the sequence of receipt. The greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// How far the span had come when this was sent.
    pub stage: Stage,
    /// The client's own version number; 0 when it sends none.
    pub client: u64,
    /// When the server received it, Unix nanoseconds.
    pub received_ns: i64,
    /// The server's count of received spans, which breaks ties.
    pub sequence: u64,
}

/// An input or output as it came: JSON text that parses, or other text.
///
/// JSON is kept as text, unescaped UTF-8, never as a tree: it is stored, searched and shown far
/// more often than it is taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Whether `text` is valid JSON.
    pub is_json: bool,
    /// The text.
    pub text: String,
}

impl Payload {
    /// A payload of JSON text. The caller has checked that it parses.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Self {
        Self { is_json: true, text: text.into() }
    }

    /// A payload of plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { is_json: false, text: text.into() }
    }
}

/// Something that happened at one instant within a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unix nanoseconds.
    pub time_ns: i64,
    /// `exception`, `gen_ai.choice`, ...
    pub name: String,
    /// Its attributes; an exception's are `exception.type`, `.message`, `.stacktrace`.
    pub attributes: Attributes,
    /// How many attributes the sender cut.
    pub dropped_attributes: u32,
}

/// A reference to another span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The other trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// W3C tracestate of the other span.
    pub trace_state: String,
    /// Why they belong together.
    pub attributes: Attributes,
    /// How many attributes the sender cut.
    pub dropped_attributes: u32,
    /// OTLP link flags.
    pub flags: u32,
}

/// How much the sender cut, by list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DroppedCounts {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

/// The thing that produced telemetry: a service, a host, an SDK.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// `service.name`, `telemetry.sdk.language`, ...
    pub attributes: Attributes,
    /// How many attributes the sender cut.
    pub dropped_attributes: u32,
    /// The schema of the resource's attributes.
    pub schema_url: String,
    /// OTLP entity references.
    pub entity_refs: Vec<EntityRef>,
}

/// An OTLP entity reference: which resource attributes identify which entity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EntityRef {
    /// The schema of the entity.
    pub schema_url: String,
    /// `service`, `host`, ...
    pub kind: String,
    /// Keys of the attributes that identify it.
    pub id_keys: Vec<String>,
    /// Keys of the attributes that describe it.
    pub description_keys: Vec<String>,
}

/// The library that made the span.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// The library's name.
    pub name: String,
    /// The library's version.
    pub version: String,
    /// The scope's attributes.
    pub attributes: Attributes,
    /// How many attributes the sender cut.
    pub dropped_attributes: u32,
    /// The schema of the spans of this scope.
    pub schema_url: String,
}

/// Something that was wrong with a span on arrival, and was mended instead of refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The field, in the sender's spelling.
    pub field: String,
    /// What was wrong and what was done, in a few words.
    pub problem: String,
}

impl Span {
    /// A span with the given identity and every other field empty: the base that decoders and
    /// tests fill in.
    #[must_use]
    pub fn new(workspace: impl Into<String>, trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            workspace: workspace.into(),
            trace_id,
            span_id,
            parent_span_id: None,
            version: Version { stage: Stage::Ended, client: 0, received_ns: 0, sequence: 0 },
            name: String::new(),
            kind: SpanKind::Chain,
            otel_kind: 0,
            start_ns: 0,
            end_ns: None,
            status: SpanStatus::Unset,
            error_message: None,
            dropped: false,
            input: None,
            output: None,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            tags: Vec::new(),
            environment: None,
            service: None,
            agent_name: None,
            agent_id: None,
            agent_version: None,
            session_id: None,
            user_id: None,
            provider: None,
            model: None,
            requested_model: None,
            reasoning_effort: None,
            usage: Usage::default(),
            cost_nano_usd: None,
            client_cost_nano_usd: None,
            process_id: None,
            sample_rate: None,
            capture: Vec::new(),
            trace_state: String::new(),
            flags: 0,
            dropped_counts: DroppedCounts::default(),
            resource: Arc::default(),
            scope: Arc::default(),
            repairs: Vec::new(),
        }
    }

    /// Whether this version says that the span is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.version.stage == Stage::Open
    }

    /// How long it took, nanoseconds; `None` while open. Never negative.
    #[must_use]
    pub fn duration_ns(&self) -> Option<i64> {
        self.end_ns.map(|end| end.saturating_sub(self.start_ns).max(0))
    }

    /// The value of one attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        crate::value::get(&self.attributes, key)
    }
}
