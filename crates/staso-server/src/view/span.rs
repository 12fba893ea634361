//! One span, whole, as the span panel shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use staso_model::INTERRUPTED_ATTRIBUTE;
use staso_store::row::{FoundSpan, Place, TreeSpan};
use utoipa::ToSchema;

use super::annotation::Annotation;
use super::{Int64, Kind, Status, attributes};

/// One span. What nobody said is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits, or 32 where the id is not a 64-bit one.
    pub span_id: String,
    /// The span it hangs under, whether that has arrived or not: its parent, or where that was
    /// discarded, the nearest ancestor that was not. Null for a root.
    #[schema(required = true)]
    pub parent_span_id: Option<String>,
    /// What the work is called.
    pub name: String,
    /// What sort of work it is.
    pub kind: Kind,
    /// How it ended.
    pub status: Status,
    /// Whether it has not ended.
    pub open: bool,
    /// Whether its process died before it ended.
    pub interrupted: bool,
    /// When it began, Unix nanoseconds.
    pub start_ns: Int64,
    /// When it ended.
    #[schema(required = true)]
    pub end_ns: Option<Int64>,
    /// How long it took.
    #[schema(required = true)]
    pub duration_ns: Option<Int64>,
    /// What went wrong.
    #[schema(required = true)]
    pub error_message: Option<String>,
    /// What went in.
    #[schema(required = true)]
    pub input: Option<Payload>,
    /// What came out.
    #[schema(required = true)]
    pub output: Option<Payload>,
    /// The span's attributes.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Json>,
    /// Things that happened at one instant.
    pub events: Vec<Event>,
    /// Other spans this one belongs with.
    pub links: Vec<Link>,
    /// Free labels.
    pub tags: Vec<String>,
    /// `production`, `staging`, ...
    #[schema(required = true)]
    pub environment: Option<String>,
    /// The service.
    #[schema(required = true)]
    pub service: Option<String>,
    /// The agent.
    #[schema(required = true)]
    pub agent_name: Option<String>,
    /// Its stable id.
    #[schema(required = true)]
    pub agent_id: Option<String>,
    /// Its version.
    #[schema(required = true)]
    pub agent_version: Option<String>,
    /// The conversation.
    #[schema(required = true)]
    pub session_id: Option<String>,
    /// The end user.
    #[schema(required = true)]
    pub user_id: Option<String>,
    /// Who served the model.
    #[schema(required = true)]
    pub provider: Option<String>,
    /// The model that answered.
    #[schema(required = true)]
    pub model: Option<String>,
    /// The model that was asked for.
    #[schema(required = true)]
    pub requested_model: Option<String>,
    /// How hard it was asked to think.
    #[schema(required = true)]
    pub reasoning_effort: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Billionths of a US dollar, by our prices.
    #[schema(required = true)]
    pub cost_nano_usd: Option<Int64>,
    /// The price the client sent.
    #[schema(required = true)]
    pub client_cost_nano_usd: Option<Int64>,
    /// The process that recorded it.
    #[schema(required = true)]
    pub process_id: Option<String>,
    /// The probability it was kept with.
    #[schema(required = true)]
    pub sample_rate: Option<f64>,
    /// Content categories, each `captured` or `suppressed`.
    pub capture: BTreeMap<String, String>,
    /// W3C tracestate.
    pub trace_state: String,
    /// OTLP span flags.
    pub flags: u32,
    /// OpenTelemetry's own kind, as its number.
    pub otel_kind: i32,
    /// The attributes of the thing that sent it.
    #[schema(value_type = Object)]
    pub resource: Map<String, Json>,
    /// The library that made it.
    pub scope: Scope,
    /// How much the sender cut.
    pub dropped_counts: DroppedCounts,
    /// What was mended on arrival.
    pub repairs: Vec<Repair>,
    /// When this version was received.
    pub received_ns: Int64,
    /// The client's own version number; 0 when it sends none.
    pub version: u64,
    /// The annotations of this span.
    pub annotations: Vec<Annotation>,
    /// 0 for a root; null for a dropped span, which stands nowhere.
    #[schema(required = true)]
    pub depth: Option<u32>,
    /// Whether its parent has not arrived; null for a dropped span.
    #[schema(required = true)]
    pub missing_parent: Option<bool>,
}

/// An input or output: text, never taken apart by the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payload {
    /// Whether `text` is JSON.
    pub format: PayloadFormat,
    /// The text.
    pub text: String,
}

/// How to read a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadFormat {
    /// JSON text.
    Json,
    /// Any other text.
    Text,
}

/// Something that happened at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Unix nanoseconds.
    pub time_ns: Int64,
    /// `exception`, ...
    pub name: String,
    /// Its attributes.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Json>,
}

/// A reference to another span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The other trace.
    pub trace_id: String,
    /// The other span.
    pub span_id: String,
    /// Why they belong together.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Json>,
}

/// Tokens in buckets that never overlap, except that `reasoning` is part of `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Whether the client says that usage was measured.
    #[schema(required = true)]
    pub available: Option<bool>,
    /// Input, neither read from nor written to a cache.
    #[schema(required = true)]
    pub input_uncached: Option<i64>,
    /// Input read from a cache.
    #[schema(required = true)]
    pub cache_read: Option<i64>,
    /// Input written to a five-minute cache.
    #[schema(required = true)]
    pub cache_write_5m: Option<i64>,
    /// Input written to a one-hour cache.
    #[schema(required = true)]
    pub cache_write_1h: Option<i64>,
    /// Output, reasoning included.
    #[schema(required = true)]
    pub output: Option<i64>,
    /// Output spent on reasoning.
    #[schema(required = true)]
    pub reasoning: Option<i64>,
    /// Audio input.
    #[schema(required = true)]
    pub audio_input: Option<i64>,
    /// Audio output.
    #[schema(required = true)]
    pub audio_output: Option<i64>,
    /// All input.
    #[schema(required = true)]
    pub input_total: Option<i64>,
    /// Input and output.
    #[schema(required = true)]
    pub total: Option<i64>,
    /// Whether the sent input total included cached tokens.
    pub basis: UsageBasis,
    /// What contradicts itself in what was sent.
    #[schema(required = true)]
    pub contradiction: Option<String>,
}

/// Whether the sent input total included cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBasis {
    /// Nothing was sent.
    Unknown,
    /// It did.
    Inclusive,
    /// It did not.
    Exclusive,
    /// Not known; taken as inclusive.
    Assumed,
}

/// The library that made a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How much the sender cut, by list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DroppedCounts {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

/// Something that was mended on arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Repair {
    /// The field, as it was sent.
    pub field: String,
    /// What was wrong and what was done.
    pub problem: String,
}

impl Span {
    /// A span and where it stands in its trace, where it stands anywhere.
    fn of(span: &staso_model::Span, place: Option<Place>) -> Self {
        Self {
            trace_id: span.trace_id.to_string(),
            span_id: span.span_id.to_string(),
            // A discarded span stands nowhere; of it the parent is shown as it was sent.
            parent_span_id: place
                .map_or(span.parent_span_id, |place| place.parent_span_id)
                .map(|id| id.to_string()),
            name: span.name.clone(),
            kind: span.kind.into(),
            status: span.status.into(),
            open: span.is_open(),
            interrupted: is_interrupted(span),
            start_ns: Int64(span.start_ns),
            end_ns: span.end_ns.map(Int64),
            duration_ns: span.duration_ns().map(Int64),
            error_message: span.error_message.clone(),
            input: span.input.as_ref().map(Payload::from),
            output: span.output.as_ref().map(Payload::from),
            metadata: attributes::object(&span.attributes),
            events: span.events.iter().map(Event::from).collect(),
            links: span.links.iter().map(Link::from).collect(),
            tags: span.tags.clone(),
            environment: span.environment.clone(),
            service: span.service.clone(),
            agent_name: span.agent_name.clone(),
            agent_id: span.agent_id.clone(),
            agent_version: span.agent_version.clone(),
            session_id: span.session_id.clone(),
            user_id: span.user_id.clone(),
            provider: span.provider.clone(),
            model: span.model.clone(),
            requested_model: span.requested_model.clone(),
            reasoning_effort: span.reasoning_effort.clone(),
            usage: (&span.usage).into(),
            cost_nano_usd: span.cost_nano_usd.map(Int64),
            client_cost_nano_usd: span.client_cost_nano_usd.map(Int64),
            process_id: span.process_id.map(|id| id.to_string()),
            sample_rate: span.sample_rate,
            capture: capture(span),
            trace_state: span.trace_state.clone(),
            flags: span.flags,
            otel_kind: span.otel_kind,
            resource: attributes::object(&span.resource.attributes),
            scope: Scope { name: span.scope.name.clone(), version: span.scope.version.clone() },
            dropped_counts: DroppedCounts {
                attributes: span.dropped_counts.attributes,
                events: span.dropped_counts.events,
                links: span.dropped_counts.links,
            },
            repairs: span.repairs.iter().map(Repair::from).collect(),
            received_ns: Int64(span.version.received_ns),
            version: span.version.client,
            annotations: Vec::new(),
            depth: place.map(|place| place.depth),
            missing_parent: place.map(|place| place.missing_parent),
        }
    }
}

impl From<&TreeSpan> for Span {
    fn from(tree: &TreeSpan) -> Self {
        Self::of(&tree.span, Some(tree.place()))
    }
}

impl From<&FoundSpan> for Span {
    fn from(found: &FoundSpan) -> Self {
        Self::of(&found.span, found.place)
    }
}

/// Whether its process died before it ended: it was closed in its process's stead and marked so.
pub(crate) fn is_interrupted(span: &staso_model::Span) -> bool {
    matches!(span.attribute(INTERRUPTED_ATTRIBUTE), Some(staso_model::Value::Bool(true)))
}

fn capture(span: &staso_model::Span) -> BTreeMap<String, String> {
    let word = |captured: bool| if captured { "captured" } else { "suppressed" };
    span.capture
        .iter()
        .map(|(category, captured)| (category.as_str().to_owned(), word(*captured).to_owned()))
        .collect()
}

impl From<&staso_model::Payload> for Payload {
    fn from(payload: &staso_model::Payload) -> Self {
        let format = if payload.is_json { PayloadFormat::Json } else { PayloadFormat::Text };
        Self { format, text: payload.text.clone() }
    }
}

impl From<&staso_model::Event> for Event {
    fn from(event: &staso_model::Event) -> Self {
        Self {
            time_ns: Int64(event.time_ns),
            name: event.name.clone(),
            attributes: attributes::object(&event.attributes),
        }
    }
}

impl From<&staso_model::Link> for Link {
    fn from(link: &staso_model::Link) -> Self {
        Self {
            trace_id: link.trace_id.to_string(),
            span_id: link.span_id.to_string(),
            attributes: attributes::object(&link.attributes),
        }
    }
}

impl From<&staso_model::Repair> for Repair {
    fn from(repair: &staso_model::Repair) -> Self {
        Self { field: repair.field.clone(), problem: repair.problem.clone() }
    }
}

impl From<&staso_model::Usage> for Usage {
    fn from(usage: &staso_model::Usage) -> Self {
        Self {
            available: usage.available,
            input_uncached: usage.input_uncached,
            cache_read: usage.cache_read,
            cache_write_5m: usage.cache_write_5m,
            cache_write_1h: usage.cache_write_1h,
            output: usage.output,
            reasoning: usage.reasoning,
            audio_input: usage.audio_input,
            audio_output: usage.audio_output,
            input_total: usage.input_total(),
            total: usage.total(),
            basis: usage.basis.into(),
            contradiction: usage.contradiction.clone(),
        }
    }
}

impl From<staso_model::UsageBasis> for UsageBasis {
    fn from(basis: staso_model::UsageBasis) -> Self {
        match basis {
            staso_model::UsageBasis::Unknown => Self::Unknown,
            staso_model::UsageBasis::Inclusive => Self::Inclusive,
            staso_model::UsageBasis::Exclusive => Self::Exclusive,
            staso_model::UsageBasis::Assumed => Self::Assumed,
        }
    }
}
