//! A span as the wire's JSON object: written once, at its end, straight into a buffer.
//!
//! `start_ns` comes first: the journal finds a record's time without parsing it.

use std::sync::Arc;

use staso_model::{CaptureCategory, ProcessId, SpanId, SpanKind, SpanStatus, TraceId};

use crate::config::CapturePolicy;
use crate::json::{write_bool, write_f64, write_i64, write_str, write_u64, write_uuid};

/// Who and what a span belongs to; shared by the spans of one context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanContext {
    /// The agent's name.
    pub agent_name: Option<String>,
    /// The agent's id.
    pub agent_id: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The conversation.
    pub session_id: Option<String>,
    /// The end user.
    pub user_id: Option<String>,
}

/// What is known of a span when it begins: enough to show it while it runs.
///
/// Cheap to make and to share: the worker turns it into JSON only if the span is still open after
/// one flush interval. Everything in it has passed capture policy and redaction already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanHead {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began, Unix nanoseconds.
    pub start_ns: i64,
    /// Agent, conversation and user.
    pub context: Arc<SpanContext>,
    /// Its input as JSON, where that is known at the start.
    pub input: Option<Arc<[u8]>>,
    /// Its attributes as a JSON object, where they are known at the start.
    pub attributes: Option<Arc<[u8]>>,
}

/// A finished span. Raw fields are JSON that the caller has serialised.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the wire's field of the same name")]
pub struct SpanFields<'a> {
    pub span_id: SpanId,
    pub parent_span_id: Option<SpanId>,
    pub name: &'a str,
    pub kind: SpanKind,
    pub start_ns: i64,
    pub end_ns: i64,
    pub status: SpanStatus,
    pub error_message: Option<&'a str>,
    pub model: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub requested_model: Option<&'a str>,
    pub reasoning_effort: Option<&'a str>,
    pub usage_available: Option<bool>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub total_tokens: Option<i64>,
    pub agent_name: Option<&'a str>,
    pub agent_id: Option<&'a str>,
    pub agent_version: Option<&'a str>,
    pub session_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub process_id: ProcessId,
    /// Left out at 1, which every span is that no sampling has thinned.
    pub sample_rate: f64,
    pub capture: CapturePolicy,
    /// A JSON value.
    pub input: Option<&'a [u8]>,
    /// A JSON value.
    pub output: Option<&'a [u8]>,
    /// A JSON object.
    pub attributes: Option<&'a [u8]>,
    /// A JSON array of `{name, time_ns, attributes}`.
    pub events: Option<&'a [u8]>,
    /// A JSON array of `{trace_id, span_id, attributes}`.
    pub links: Option<&'a [u8]>,
    /// A JSON array of strings.
    pub tags: Option<&'a [u8]>,
}

impl Default for SpanFields<'_> {
    fn default() -> Self {
        Self {
            span_id: SpanId::NIL,
            parent_span_id: None,
            name: "",
            kind: SpanKind::Chain,
            start_ns: 0,
            end_ns: 0,
            status: SpanStatus::Ok,
            error_message: None,
            model: None,
            provider: None,
            requested_model: None,
            reasoning_effort: None,
            usage_available: None,
            input_tokens: None,
            output_tokens: None,
            total_tokens: None,
            agent_name: None,
            agent_id: None,
            agent_version: None,
            session_id: None,
            user_id: None,
            process_id: ProcessId::NIL,
            sample_rate: 1.0,
            capture: CapturePolicy::ALL,
            input: None,
            output: None,
            attributes: None,
            events: None,
            links: None,
            tags: None,
        }
    }
}

/// Appends the wire object of a finished span.
pub fn write_span(out: &mut Vec<u8>, span: &SpanFields<'_>) {
    write_times(out, span.start_ns, Some(span.end_ns));
    write_identity(out, &span.span_id, span.parent_span_id.as_ref(), span.name, span.kind);
    key(out, "status");
    word(out, span.status.as_str());
    key(out, "process_id");
    write_uuid(out, &span.process_id.0);
    texts(
        out,
        &[
            ("error_message", span.error_message),
            ("model", span.model),
            ("provider", span.provider),
            ("requested_model", span.requested_model),
            ("reasoning_effort", span.reasoning_effort),
            ("agent_name", span.agent_name),
            ("agent_id", span.agent_id),
            ("agent_version", span.agent_version),
            ("session_id", span.session_id),
            ("user_id", span.user_id),
        ],
    );
    if let Some(value) = span.usage_available {
        key(out, "usage_available");
        write_bool(out, value);
    }
    for (name, count) in [
        ("input_tokens", span.input_tokens),
        ("output_tokens", span.output_tokens),
        ("total_tokens", span.total_tokens),
    ] {
        if let Some(count) = count {
            key(out, name);
            write_i64(out, count);
        }
    }
    if span.sample_rate < 1.0 {
        key(out, "sample_rate");
        write_f64(out, span.sample_rate);
    }
    write_capture(out, span.capture);
    mark_texts(out, span.input, span.output);
    raws(
        out,
        &[
            ("input", span.input),
            ("output", span.output),
            ("attributes", span.attributes),
            ("events", span.events),
            ("links", span.links),
            ("tags", span.tags),
        ],
    );
    out.push(b'}');
}

/// Appends the wire object of a span that is still open. `version` grows with each announcement.
pub fn write_provisional(out: &mut Vec<u8>, head: &SpanHead, process_id: ProcessId, version: u64) {
    write_times(out, head.start_ns, None);
    write_identity(out, &head.span_id, head.parent_span_id.as_ref(), &head.name, head.kind);
    out.extend_from_slice(b",\"provisional\":true,\"version\":");
    write_u64(out, version);
    key(out, "process_id");
    write_uuid(out, &process_id.0);
    let context = &*head.context;
    texts(
        out,
        &[
            ("agent_name", context.agent_name.as_deref()),
            ("agent_id", context.agent_id.as_deref()),
            ("agent_version", context.agent_version.as_deref()),
            ("session_id", context.session_id.as_deref()),
            ("user_id", context.user_id.as_deref()),
        ],
    );
    mark_texts(out, head.input.as_deref(), None);
    raws(out, &[("input", head.input.as_deref()), ("attributes", head.attributes.as_deref())]);
    out.push(b'}');
}

/// Says of a payload that is a string that it is that string: without the mark the wire reads a string
/// as JSON text, and `"123"` would come back as a number.
fn mark_texts(out: &mut Vec<u8>, input: Option<&[u8]>, output: Option<&[u8]>) {
    for (name, payload) in [("input_is_text", input), ("output_is_text", output)] {
        if payload.is_some_and(|payload| payload.first() == Some(&b'"')) {
            key(out, name);
            write_bool(out, true);
        }
    }
}

/// Appends the wire object of a span the program discarded: its children move to its parent.
pub fn write_dropped(
    out: &mut Vec<u8>,
    span_id: SpanId,
    parent: Option<SpanId>,
    start_ns: i64,
    end_ns: i64,
) {
    write_times(out, start_ns, Some(end_ns));
    key(out, "span_id");
    write_uuid(out, &span_id.0);
    write_parent(out, parent.as_ref());
    out.extend_from_slice(b",\"dropped\":true}");
}

fn write_times(out: &mut Vec<u8>, start_ns: i64, end_ns: Option<i64>) {
    out.extend_from_slice(b"{\"start_ns\":");
    write_i64(out, start_ns);
    if let Some(end_ns) = end_ns {
        key(out, "end_ns");
        write_i64(out, end_ns);
    }
}

fn write_identity(
    out: &mut Vec<u8>,
    span_id: &SpanId,
    parent: Option<&SpanId>,
    name: &str,
    kind: SpanKind,
) {
    key(out, "span_id");
    write_uuid(out, &span_id.0);
    write_parent(out, parent);
    key(out, "name");
    write_str(out, name);
    key(out, "kind");
    word(out, kind.as_str());
}

fn write_parent(out: &mut Vec<u8>, parent: Option<&SpanId>) {
    key(out, "parent_span_id");
    match parent {
        Some(parent) => write_uuid(out, &parent.0),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_capture(out: &mut Vec<u8>, capture: CapturePolicy) {
    if capture.allows_all() {
        return out.extend_from_slice(
            b",\"capture\":{\"request\":\"captured\",\"system_prompt\":\"captured\",\
              \"tool_schema\":\"captured\",\"tool_arguments\":\"captured\",\
              \"output\":\"captured\"}",
        );
    }
    out.extend_from_slice(b",\"capture\":{");
    for (at, category) in CaptureCategory::ALL.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        word(out, category.as_str());
        out.push(b':');
        word(out, if capture.allows(*category) { "captured" } else { "suppressed" });
    }
    out.push(b'}');
}

fn texts(out: &mut Vec<u8>, fields: &[(&str, Option<&str>)]) {
    for (name, value) in fields {
        if let Some(value) = value {
            key(out, name);
            write_str(out, value);
        }
    }
}

fn raws(out: &mut Vec<u8>, fields: &[(&str, Option<&[u8]>)]) {
    for (name, value) in fields {
        if let Some(value) = value.filter(|raw| !raw.is_empty()) {
            key(out, name);
            out.extend_from_slice(value);
        }
    }
}

/// `,"name":` of a name that needs no escapes.
#[inline]
fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A string that needs no escapes.
#[inline]
fn word(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
