//! Spans to the native wire, in its values form.
//!
//! `decode_batch(encode_batch(spans))` gives the spans back in everything that wire can say. It has
//! no words for OTLP's resource, scope, tracestate, flags and dropped counts, for a price, for bytes
//! or NaN among attributes, and tells token buckets by the totals and the metadata they came from.

use super::text::push_json_string;
use super::value::{write, write_list, write_members};
use crate::annotation::{Annotation, AnnotationValue};
use crate::ids::TraceId;
use crate::span::{Event, Link, Payload, Span};
use crate::value::{Attributes, Value};

/// The body of one ingest request: neighbours of one trace and workspace share a trace element.
#[must_use]
pub fn encode_batch(spans: &[Span]) -> Vec<u8> {
    let mut out = String::from("{\"traces\":");
    let key = |span: &Span| (span.trace_id, span.workspace.clone());
    let traces: Vec<&[Span]> = spans.chunk_by(|a, b| key(a) == key(b)).collect();
    write_list(&traces, ['[', ']'], &mut out, |trace, out| write_trace(trace, out));
    out.push('}');
    out.into_bytes()
}

/// One trace, or a part of one, as an element of `traces`. The spans are of that trace and workspace.
#[must_use]
pub fn encode_trace(
    workspace: &str,
    trace_id: TraceId,
    spans: &[Span],
    annotations: &[Annotation],
) -> String {
    let mut out = String::new();
    let mut object = Object::open(&mut out);
    object.text("trace_id", &trace_id.to_uuid_text());
    object.text("workspace_slug", workspace);
    object.key("spans");
    write_list(spans, ['[', ']'], object.out, write_span);
    if !annotations.is_empty() {
        object.key("annotations");
        write_list(annotations, ['[', ']'], object.out, write_annotation);
    }
    object.close();
    out
}

fn write_trace(spans: &[Span], out: &mut String) {
    let Some(first) = spans.first() else { return };
    out.push_str(&encode_trace(&first.workspace, first.trace_id, spans, &[]));
}

fn write_annotation(annotation: &Annotation, out: &mut String) {
    let mut object = Object::open(out);
    object.text("id", &annotation.id.to_string());
    object.text("name", &annotation.name);
    object.text("data_type", annotation.value.data_type());
    match &annotation.value {
        AnnotationValue::Numeric(number) => object.value("value", &Value::Double(*number)),
        AnnotationValue::Categorical(label) => object.text("value", label),
        AnnotationValue::Boolean(yes) => object.value("value", &Value::Bool(*yes)),
    }
    object.label("span_id", annotation.span_id.map(|id| id.to_uuid_text()).as_ref());
    object.label("comment", annotation.comment.as_ref());
    object.text("source", annotation.source.as_str());
    object.label("author", annotation.author.as_ref());
    object.int("created_ns", Some(annotation.created_ns));
    object.close();
}

fn write_span(span: &Span, out: &mut String) {
    let mut object = Object::open(out);
    object.text("span_id", &span.span_id.to_uuid_text());
    object.label("parent_span_id", span.parent_span_id.map(|id| id.to_uuid_text()).as_ref());
    object.text("name", &span.name);
    object.text("kind", span.kind.as_str());
    object.int("start_ns", Some(span.start_ns));
    object.int("end_ns", span.end_ns);
    object.text("status", span.status.as_str());
    object.label("error_message", span.error_message.as_ref());
    object.flag("provisional", span.is_open());
    object.flag("dropped", span.dropped);
    object.int("version", i64::try_from(span.version.client).ok().filter(|n| *n != 0));
    object.payload(["input", "input_is_text"], span.input.as_ref());
    object.payload(["output", "output_is_text"], span.output.as_ref());
    object.attributes(&span.attributes);
    write_labels(span, &mut object);
    write_usage(span, &mut object);
    write_lists(span, &mut object);
    object.close();
}

fn write_labels(span: &Span, object: &mut Object<'_>) {
    object.label("environment", span.environment.as_ref());
    object.label("agent_name", span.agent_name.as_ref());
    object.label("agent_id", span.agent_id.as_ref());
    object.label("agent_version", span.agent_version.as_ref());
    object.label("session_id", span.session_id.as_ref());
    object.label("user_id", span.user_id.as_ref());
    object.label("provider", span.provider.as_ref());
    object.label("model", span.model.as_ref());
    object.label("requested_model", span.requested_model.as_ref());
    object.label("reasoning_effort", span.reasoning_effort.as_ref());
    object.label("process_id", span.process_id.map(|id| id.to_uuid_text()).as_ref());
}

fn write_usage(span: &Span, object: &mut Object<'_>) {
    if let Some(available) = span.usage.available {
        object.value("usage_available", &Value::Bool(available));
    }
    object.int("input_tokens", span.usage.sent.input);
    object.int("output_tokens", span.usage.sent.output);
    object.int("total_tokens", span.usage.sent.total);
}

fn write_lists(span: &Span, object: &mut Object<'_>) {
    if let Some(rate) = span.sample_rate {
        object.value("sample_rate", &Value::Double(rate));
    }
    object.key("tags");
    write_list(&span.tags, ['[', ']'], object.out, |tag, out| push_json_string(tag, out));
    if !span.events.is_empty() {
        object.key("events");
        write_list(&span.events, ['[', ']'], object.out, write_event);
    }
    if !span.links.is_empty() {
        object.key("links");
        write_list(&span.links, ['[', ']'], object.out, write_link);
    }
    if !span.capture.is_empty() {
        object.key("capture");
        write_list(&span.capture, ['{', '}'], object.out, |(category, is_captured), out| {
            push_json_string(category.as_str(), out);
            out.push_str(if *is_captured { ":\"captured\"" } else { ":\"suppressed\"" });
        });
    }
}

fn write_event(event: &Event, out: &mut String) {
    let mut object = Object::open(out);
    object.int("time_ns", Some(event.time_ns));
    object.text("name", &event.name);
    object.attributes(&event.attributes);
    object.count("dropped_attributes", event.dropped_attributes);
    object.close();
}

fn write_link(link: &Link, out: &mut String) {
    let mut object = Object::open(out);
    object.text("trace_id", &TraceId::to_uuid_text(&link.trace_id));
    object.text("span_id", &link.span_id.to_uuid_text());
    object.text("trace_state", &link.trace_state);
    object.attributes(&link.attributes);
    object.count("dropped_attributes", link.dropped_attributes);
    object.count("flags", link.flags);
    object.close();
}

/// An object being written.
struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn close(self) {
        self.out.push('}');
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        push_json_string(key, self.out);
        self.out.push(':');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_json_string(text, self.out);
    }

    fn value(&mut self, key: &str, value: &Value) {
        self.key(key);
        write(value, self.out);
    }

    fn label(&mut self, key: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn int(&mut self, key: &str, n: Option<i64>) {
        if let Some(n) = n {
            self.value(key, &Value::Int(n));
        }
    }

    fn count(&mut self, key: &str, n: u32) {
        if n != 0 {
            self.value(key, &Value::Int(i64::from(n)));
        }
    }

    fn flag(&mut self, key: &str, is_set: bool) {
        if is_set {
            self.value(key, &Value::Bool(true));
        }
    }

    fn attributes(&mut self, attributes: &Attributes) {
        self.key("attributes");
        write_members(attributes, self.out);
    }

    /// A payload: JSON as a value where the reader takes it for one, else as its text.
    fn payload(&mut self, [key, is_text]: [&str; 2], payload: Option<&Payload>) {
        let Some(payload) = payload else { return };
        if !payload.is_json {
            self.text(key, &payload.text);
            self.flag(is_text, true);
        } else if matches!(payload.text.trim_ascii().bytes().next(), Some(b'{' | b'[')) {
            self.key(key);
            self.out.push_str(payload.text.trim_ascii());
        } else {
            self.text(key, &payload.text);
        }
    }
}
