//! A span on disk, in two records: the head, which every reader needs, and the payloads, which
//! lists and rollups never touch.
//!
//! Field names are the format. A missing field has its default; an unknown one is ignored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use staso_model::{
    CaptureCategory, DroppedCounts, EntityRef, Event, Link, Payload, ProcessId, Repair, Resource,
    Scope, SentTotals, Span, SpanId, SpanKind, SpanStatus, Stage, TraceId, Usage, UsageBasis,
    Version,
};

use crate::tokens::{self, Bytes, Token};

/// Everything of a span but its identity, its version, and its payloads.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeadRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Bytes>,
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) otel_kind: i32,
    pub(crate) start: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<i64>,
    pub(crate) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) dropped: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attrs: Vec<Token>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<LinkRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<UsageRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cost: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_rate: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) capture: Vec<(String, bool)>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) trace_state: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) flags: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) cut: (u32, u32, u32),
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<ResourceRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<ScopeRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) repairs: Vec<(String, String)>,
}

/// Inputs, outputs and events.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PayloadRecord {
    /// (is JSON, text).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<(bool, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<(bool, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<EventRecord>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EventRecord {
    time: i64,
    name: String,
    attrs: Vec<Token>,
    cut: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LinkRecord {
    trace: Bytes,
    span: Bytes,
    state: String,
    attrs: Vec<Token>,
    cut: u32,
    flags: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ResourceRecord {
    attrs: Vec<Token>,
    cut: u32,
    schema: String,
    entities: Vec<(String, String, Vec<String>, Vec<String>)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ScopeRecord {
    name: String,
    version: String,
    attrs: Vec<Token>,
    cut: u32,
    schema: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UsageRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_uncached: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_5m: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_1h: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_output: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    sent: (Option<i64>, Option<i64>, Option<i64>),
    /// 0 unknown, 1 inclusive, 2 exclusive, 3 assumed.
    #[serde(skip_serializing_if = "is_default")]
    basis: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raw: Vec<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contradiction: Option<String>,
    /// The totals are the trace's own.
    #[serde(skip_serializing_if = "is_default")]
    of_trace: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const BASES: [UsageBasis; 4] =
    [UsageBasis::Unknown, UsageBasis::Inclusive, UsageBasis::Exclusive, UsageBasis::Assumed];

impl HeadRecord {
    pub(crate) fn of(span: &Span) -> Self {
        Self {
            parent: span.parent_span_id.map(|id| Bytes(id.0.to_vec())),
            name: span.name.clone(),
            kind: span.kind.as_str().to_owned(),
            otel_kind: span.otel_kind,
            start: span.start_ns,
            end: span.end_ns,
            status: span.status.as_str().to_owned(),
            error: span.error_message.clone(),
            dropped: span.dropped,
            attrs: tokens::of_attributes(&span.attributes),
            links: span.links.iter().map(LinkRecord::of).collect(),
            tags: span.tags.clone(),
            env: span.environment.clone(),
            service: span.service.clone(),
            agent: span.agent_name.clone(),
            agent_id: span.agent_id.clone(),
            agent_version: span.agent_version.clone(),
            session: span.session_id.clone(),
            user: span.user_id.clone(),
            provider: span.provider.clone(),
            model: span.model.clone(),
            asked_model: span.requested_model.clone(),
            effort: span.reasoning_effort.clone(),
            usage: (span.usage != Usage::default()).then(|| UsageRecord::of(&span.usage)),
            cost: span.cost_nano_usd,
            client_cost: span.client_cost_nano_usd,
            process: span.process_id.map(|id| Bytes(id.0.to_vec())),
            sample_rate: span.sample_rate,
            capture: span.capture.iter().map(|(c, on)| (c.as_str().to_owned(), *on)).collect(),
            trace_state: span.trace_state.clone(),
            flags: span.flags,
            cut: {
                let DroppedCounts { attributes, events, links } = span.dropped_counts;
                (attributes, events, links)
            },
            resource: (*span.resource != Resource::default())
                .then(|| ResourceRecord::of(&span.resource)),
            scope: (*span.scope != Scope::default()).then(|| ScopeRecord::of(&span.scope)),
            repairs: span.repairs.iter().map(|r| (r.field.clone(), r.problem.clone())).collect(),
        }
    }

    /// The span; `None` where the record contradicts itself.
    pub(crate) fn into_span(
        self,
        workspace: &str,
        trace_id: TraceId,
        span_id: SpanId,
        version: Version,
    ) -> Option<Span> {
        let id = |bytes: Option<Bytes>| match bytes {
            Some(bytes) => bytes.id().map(Some),
            None => Some(None),
        };
        let capture =
            |(word, on): (String, bool)| CaptureCategory::parse(&word).map(|word| (word, on));
        let (attributes, events, links) = self.cut;
        Some(Span {
            parent_span_id: id(self.parent)?.map(SpanId),
            version,
            name: self.name,
            kind: SpanKind::parse(&self.kind)?,
            otel_kind: self.otel_kind,
            start_ns: self.start,
            end_ns: self.end,
            status: SpanStatus::parse(&self.status)?,
            error_message: self.error,
            dropped: self.dropped,
            attributes: tokens::to_attributes(self.attrs)?,
            links: self.links.into_iter().map(LinkRecord::into_link).collect::<Option<_>>()?,
            tags: self.tags,
            environment: self.env,
            service: self.service,
            agent_name: self.agent,
            agent_id: self.agent_id,
            agent_version: self.agent_version,
            session_id: self.session,
            user_id: self.user,
            provider: self.provider,
            model: self.model,
            requested_model: self.asked_model,
            reasoning_effort: self.effort,
            usage: self.usage.map_or_else(|| Some(Usage::default()), UsageRecord::into_usage)?,
            cost_nano_usd: self.cost,
            client_cost_nano_usd: self.client_cost,
            process_id: id(self.process)?.map(ProcessId),
            sample_rate: self.sample_rate,
            capture: self.capture.into_iter().map(capture).collect::<Option<_>>()?,
            trace_state: self.trace_state,
            flags: self.flags,
            dropped_counts: DroppedCounts { attributes, events, links },
            resource: Arc::new(self.resource.unwrap_or_default().into_resource()?),
            scope: Arc::new(self.scope.unwrap_or_default().into_scope()?),
            repairs: self
                .repairs
                .into_iter()
                .map(|(field, problem)| Repair { field, problem })
                .collect(),
            ..Span::new(workspace, trace_id, span_id)
        })
    }
}

impl PayloadRecord {
    /// `None` where a span has no payload of any sort.
    pub(crate) fn of(span: &Span) -> Option<Self> {
        let text = |payload: &Option<Payload>| {
            payload.as_ref().map(|payload| (payload.is_json, payload.text.clone()))
        };
        if span.input.is_none() && span.output.is_none() && span.events.is_empty() {
            return None;
        }
        Some(Self {
            input: text(&span.input),
            output: text(&span.output),
            events: span.events.iter().map(EventRecord::of).collect(),
        })
    }

    /// Puts the payloads into their span; `None` where the record contradicts itself.
    pub(crate) fn fill(self, span: &mut Span) -> Option<()> {
        let payload = |(is_json, text)| Payload { is_json, text };
        span.input = self.input.map(payload);
        span.output = self.output.map(payload);
        span.events =
            self.events.into_iter().map(EventRecord::into_event).collect::<Option<_>>()?;
        Some(())
    }
}

impl EventRecord {
    fn of(event: &Event) -> Self {
        Self {
            time: event.time_ns,
            name: event.name.clone(),
            attrs: tokens::of_attributes(&event.attributes),
            cut: event.dropped_attributes,
        }
    }

    fn into_event(self) -> Option<Event> {
        Some(Event {
            time_ns: self.time,
            name: self.name,
            attributes: tokens::to_attributes(self.attrs)?,
            dropped_attributes: self.cut,
        })
    }
}

impl LinkRecord {
    fn of(link: &Link) -> Self {
        Self {
            trace: Bytes(link.trace_id.0.to_vec()),
            span: Bytes(link.span_id.0.to_vec()),
            state: link.trace_state.clone(),
            attrs: tokens::of_attributes(&link.attributes),
            cut: link.dropped_attributes,
            flags: link.flags,
        }
    }

    fn into_link(self) -> Option<Link> {
        Some(Link {
            trace_id: TraceId(self.trace.id()?),
            span_id: SpanId(self.span.id()?),
            trace_state: self.state,
            attributes: tokens::to_attributes(self.attrs)?,
            dropped_attributes: self.cut,
            flags: self.flags,
        })
    }
}

impl ResourceRecord {
    fn of(resource: &Resource) -> Self {
        let entity = |e: &EntityRef| {
            (e.schema_url.clone(), e.kind.clone(), e.id_keys.clone(), e.description_keys.clone())
        };
        Self {
            attrs: tokens::of_attributes(&resource.attributes),
            cut: resource.dropped_attributes,
            schema: resource.schema_url.clone(),
            entities: resource.entity_refs.iter().map(entity).collect(),
        }
    }

    fn into_resource(self) -> Option<Resource> {
        let entity = |(schema_url, kind, id_keys, description_keys)| EntityRef {
            schema_url,
            kind,
            id_keys,
            description_keys,
        };
        Some(Resource {
            attributes: tokens::to_attributes(self.attrs)?,
            dropped_attributes: self.cut,
            schema_url: self.schema,
            entity_refs: self.entities.into_iter().map(entity).collect(),
        })
    }
}

impl ScopeRecord {
    fn of(scope: &Scope) -> Self {
        Self {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attrs: tokens::of_attributes(&scope.attributes),
            cut: scope.dropped_attributes,
            schema: scope.schema_url.clone(),
        }
    }

    fn into_scope(self) -> Option<Scope> {
        Some(Scope {
            name: self.name,
            version: self.version,
            attributes: tokens::to_attributes(self.attrs)?,
            dropped_attributes: self.cut,
            schema_url: self.schema,
        })
    }
}

impl UsageRecord {
    fn of(usage: &Usage) -> Self {
        let basis = BASES.iter().position(|basis| *basis == usage.basis).unwrap_or_default();
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
            sent: (usage.sent.input, usage.sent.output, usage.sent.total),
            basis: u8::try_from(basis).unwrap_or_default(),
            raw: usage.raw.as_ref().map(tokens::of_value).unwrap_or_default(),
            contradiction: usage.contradiction.clone(),
            of_trace: usage.is_of_trace,
        }
    }

    fn into_usage(self) -> Option<Usage> {
        let (input, output, total) = self.sent;
        let raw = if self.raw.is_empty() { None } else { Some(tokens::to_value(self.raw)?) };
        Some(Usage {
            available: self.available,
            input_uncached: self.input_uncached,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            output: self.output,
            reasoning: self.reasoning,
            audio_input: self.audio_input,
            audio_output: self.audio_output,
            sent: SentTotals { input, output, total },
            basis: *BASES.get(usize::from(self.basis))?,
            raw,
            contradiction: self.contradiction,
            is_of_trace: self.of_trace,
        })
    }
}

/// The first byte of a version, by stage. The first two are as format 1 had them, which knew no
/// other; so the bytes of versions do not sort as versions do.
const STAGES: [Stage; 3] = [Stage::Open, Stage::Ended, Stage::Interrupted];

/// A version as bytes.
pub(crate) fn version_key(version: &Version) -> [u8; 25] {
    let mut key = [0; 25];
    let stage = STAGES.iter().position(|stage| *stage == version.stage);
    key[0] = stage.and_then(|place| u8::try_from(place).ok()).unwrap_or_default();
    key[1..9].copy_from_slice(&version.client.to_be_bytes());
    // The sign bit is flipped so that negative times sort before positive ones.
    let received = version.received_ns.cast_unsigned() ^ (1 << 63);
    key[9..17].copy_from_slice(&received.to_be_bytes());
    key[17..].copy_from_slice(&version.sequence.to_be_bytes());
    key
}

/// The version of its bytes; `None` for another length or an unknown stage.
pub(crate) fn to_version(key: &[u8]) -> Option<Version> {
    let (stage, rest) = key.split_first()?;
    let number = |at: usize| Some(u64::from_be_bytes(rest.get(at..at + 8)?.try_into().ok()?));
    Some(Version {
        stage: *STAGES.get(usize::from(*stage))?,
        client: number(0)?,
        received_ns: (number(8)? ^ (1 << 63)).cast_signed(),
        sequence: number(16)?,
    })
}
