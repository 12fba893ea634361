//! The fields that OTLP has no place for, carried as `staso.*` attributes.
//!
//! One table says how each is read and written. What is carried is found by comparison: a field goes
//! along only where decoding the rest would give another value. So nothing is said twice, nothing is
//! missed, and a rule added to [`crate::semconv`] cannot break the round trip.

use std::borrow::Cow;

use super::span::{bare, whole_id};
use crate::ids::ProcessId;
use crate::kind::{CaptureCategory, SpanKind, SpanStatus};
use crate::semconv;
use crate::span::{Payload, Repair, Span, Stage};
use crate::usage::{SentTotals, Usage, UsageBasis};
use crate::value::{Attributes, Value, get};

/// Counts the carried attributes before it.
const MARKER: &str = "staso.carried";
/// Before the field of each repair.
const REPAIRED: &str = "staso.repaired.";

/// One carried field. `write` leaves the span as it is where the value is not of the field's form.
struct Field {
    key: &'static str,
    read: fn(&Span) -> Value,
    write: fn(&mut Span, &Value),
}

macro_rules! text_fields {
    ($($key:literal => $field:ident),* $(,)?) => {
        [$(Field {
            key: $key,
            read: |span| text(span.$field.as_deref()),
            write: |span, value| write_text(&mut span.$field, value),
        }),*]
    };
}

static TEXTS: [Field; 12] = text_fields! {
    "staso.environment" => environment,
    "staso.service" => service,
    "staso.agent_name" => agent_name,
    "staso.agent_id" => agent_id,
    "staso.agent_version" => agent_version,
    "staso.session_id" => session_id,
    "staso.user_id" => user_id,
    "staso.provider" => provider,
    "staso.model" => model,
    "staso.requested_model" => requested_model,
    "staso.reasoning_effort" => reasoning_effort,
    "staso.error_message" => error_message,
};

static OTHERS: [Field; 16] = [
    Field { key: "staso.span_id", read: |s| whole(Some(&s.span_id)), write: write_span_id },
    Field {
        key: "staso.parent_span_id",
        read: |s| whole(s.parent_span_id.as_ref()),
        write: write_parent_id,
    },
    Field {
        key: "staso.kind",
        read: |s| text(Some(s.kind.as_str())),
        write: |s, v| set(&mut s.kind, v.as_str().and_then(SpanKind::parse)),
    },
    Field {
        key: "staso.status",
        read: |s| text(Some(s.status.as_str())),
        write: |s, v| set(&mut s.status, v.as_str().and_then(SpanStatus::parse)),
    },
    Field {
        key: "staso.end_ns",
        read: |s| int(s.end_ns),
        write: |s, v| write_int(&mut s.end_ns, v),
    },
    Field {
        key: "staso.provisional",
        read: |s| Value::Bool(s.is_open()),
        write: |s, v| {
            let stage = boolean(v).map(|is_open| Stage::of(is_open, &s.attributes));
            set(&mut s.version.stage, stage);
        },
    },
    Field {
        key: "staso.version",
        read: |s| Value::Int(s.version.client.cast_signed()),
        write: |s, v| set(&mut s.version.client, integer(v).map(i64::cast_unsigned)),
    },
    Field {
        key: "staso.dropped",
        read: |s| Value::Bool(s.dropped),
        write: |s, v| set(&mut s.dropped, boolean(v)),
    },
    Field {
        key: "staso.input",
        read: |s| payload(s.input.as_ref()),
        write: |s, v| write_payload(&mut s.input, v),
    },
    Field {
        key: "staso.output",
        read: |s| payload(s.output.as_ref()),
        write: |s, v| write_payload(&mut s.output, v),
    },
    Field {
        key: "staso.tags",
        read: |s| Value::Array(s.tags.iter().cloned().map(Value::String).collect()),
        write: write_tags,
    },
    Field {
        key: "staso.usage",
        read: |s| Value::Map(usage_entries(&s.usage)),
        write: |s, v| set(&mut s.usage, usage(v)),
    },
    Field {
        key: "staso.cost_nano_usd",
        read: |s| int(s.cost_nano_usd),
        write: |s, v| write_int(&mut s.cost_nano_usd, v),
    },
    Field {
        key: "staso.client_cost_nano_usd",
        read: |s| int(s.client_cost_nano_usd),
        write: |s, v| write_int(&mut s.client_cost_nano_usd, v),
    },
    Field {
        key: "staso.sample_rate",
        read: |s| s.sample_rate.map_or(Value::Null, Value::Double),
        write: write_sample_rate,
    },
    Field { key: "staso.process_id", read: process_id, write: write_process_id },
];

static CAPTURE: Field = Field { key: "staso.capture", read: capture, write: write_capture };

fn fields() -> impl Iterator<Item = &'static Field> {
    OTHERS.iter().chain(&TEXTS).chain(std::iter::once(&CAPTURE))
}

/// Fills the fields that OTLP has no place for: derived from the attributes, then taken from the
/// carried ones, which leave the attributes.
pub(super) fn derive_and_restore(span: &mut Span) {
    let carried = take_carried(&mut span.attributes);
    derive(span);
    for (key, value) in &carried {
        if let Some(field) = key.strip_prefix(REPAIRED) {
            let problem = value.as_str().unwrap_or_default().to_owned();
            span.repairs.push(Repair { field: field.to_owned(), problem });
        } else if let Some(field) = fields().find(|field| field.key == key) {
            (field.write)(span, value);
        }
    }
}

/// The attributes to append so that the way back gives this span again.
pub(super) fn carried(span: &Span) -> Attributes {
    let mut plain = bare(span);
    derive(&mut plain);
    let mut carried: Attributes = fields()
        .filter_map(|field| {
            let value = (field.read)(span);
            (value != (field.read)(&plain)).then(|| (field.key.to_owned(), value))
        })
        .collect();
    carried.extend(span.repairs.iter().map(|repair| {
        (format!("{REPAIRED}{}", repair.field), Value::String(repair.problem.clone()))
    }));
    // A sender's own marker must not be taken for ours, so then ours stands behind it.
    if !carried.is_empty() || get(&span.attributes, MARKER).is_some() {
        carried.push((MARKER.to_owned(), int(i64::try_from(carried.len()).ok())));
    }
    carried
}

/// Derives fields from attributes; `staso.*` attributes that stand there plainly win.
fn derive(span: &mut Span) {
    semconv::derive(span);
    let attributes = std::mem::take(&mut span.attributes);
    for (key, value) in attributes.iter().filter(|(key, _)| key.starts_with("staso.")) {
        if let Some(field) = fields().find(|field| field.key == key) {
            (field.write)(span, value);
        }
    }
    span.attributes = attributes;
    // Its field was written while the attributes were away.
    span.version.stage = Stage::of(span.is_open(), &span.attributes);
}

/// Takes the carried attributes and their marker out. Attributes that a collector appended behind
/// the marker stay.
fn take_carried(attributes: &mut Attributes) -> Attributes {
    let Some(at) = attributes.iter().rposition(|(key, _)| key == MARKER) else {
        return Vec::new();
    };
    let count = integer(&attributes[at].1).and_then(|n| usize::try_from(n).ok());
    let Some(first) = count.and_then(|n| at.checked_sub(n)) else { return Vec::new() };
    let is_ours = |(key, _): &(String, Value)| key.starts_with("staso.") && key != MARKER;
    if !attributes[first..at].iter().all(is_ours) {
        return Vec::new();
    }
    let mut carried: Attributes = attributes.drain(first..=at).collect();
    carried.pop();
    carried
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn int(n: Option<i64>) -> Value {
    n.map_or(Value::Null, Value::Int)
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::Int(n) = value { Some(*n) } else { None }
}

fn boolean(value: &Value) -> Option<bool> {
    if let Value::Bool(b) = value { Some(*b) } else { None }
}

fn write_text(field: &mut Option<String>, value: &Value) {
    match value {
        Value::Null => *field = None,
        Value::String(text) => *field = Some(text.clone()),
        _ => {}
    }
}

fn write_int(field: &mut Option<i64>, value: &Value) {
    match value {
        Value::Null => *field = None,
        Value::Int(n) => *field = Some(*n),
        _ => {}
    }
}

/// A whole id, where it is more than OTLP's 8 bytes.
fn whole(id: Option<&crate::ids::SpanId>) -> Value {
    let whole = id.filter(|id| id.to_w3c().is_none());
    whole.map_or(Value::Null, |id| Value::String(id.to_string()))
}

fn write_span_id(span: &mut Span, value: &Value) {
    let whole = value.as_str().and_then(|text| whole_id(text, &span.span_id));
    set(&mut span.span_id, whole);
}

fn write_parent_id(span: &mut Span, value: &Value) {
    let whole = value.as_str().zip(span.parent_span_id);
    if let Some(whole) = whole.and_then(|(text, short)| whole_id(text, &short)) {
        span.parent_span_id = Some(whole);
    }
}

/// JSON as text; plain text within a map, so that the two stay apart.
fn payload(payload: Option<&Payload>) -> Value {
    match payload {
        None => Value::Null,
        Some(Payload { is_json: true, text }) => Value::String(text.clone()),
        Some(Payload { is_json: false, text }) => {
            Value::Map(vec![("text".to_owned(), Value::String(text.clone()))])
        }
    }
}

fn write_payload(field: &mut Option<Payload>, value: &Value) {
    match value {
        Value::Null => *field = None,
        Value::String(text) => *field = Some(semconv::payload_of_text(Cow::Borrowed(text))),
        Value::Map(entries) => {
            if let Some(Value::String(text)) = get(entries, "text") {
                *field = Some(Payload::text(text.clone()));
            }
        }
        _ => {}
    }
}

fn write_tags(span: &mut Span, value: &Value) {
    if let Value::Array(items) = value {
        span.tags = items.iter().filter_map(|tag| Some(tag.as_str()?.to_owned())).collect();
    }
}

fn write_sample_rate(span: &mut Span, value: &Value) {
    match value {
        Value::Null => span.sample_rate = None,
        Value::Double(rate) if *rate > 0.0 && *rate <= 1.0 => span.sample_rate = Some(*rate),
        _ => {}
    }
}

fn process_id(span: &Span) -> Value {
    span.process_id.map_or(Value::Null, |id| Value::String(id.to_string()))
}

fn write_process_id(span: &mut Span, value: &Value) {
    match value {
        Value::Null => span.process_id = None,
        Value::String(text) => {
            if let Ok(id) = text.parse::<ProcessId>() {
                span.process_id = Some(id);
            }
        }
        _ => {}
    }
}

fn capture(span: &Span) -> Value {
    let entry = |(category, is_captured): &(CaptureCategory, bool)| {
        (category.as_str().to_owned(), Value::Bool(*is_captured))
    };
    Value::Map(span.capture.iter().map(entry).collect())
}

fn write_capture(span: &mut Span, value: &Value) {
    if let Value::Map(entries) = value {
        let entry =
            |(key, value): &(String, Value)| Some((CaptureCategory::parse(key)?, boolean(value)?));
        span.capture = entries.iter().filter_map(entry).collect();
    }
}

fn usage_entries(usage: &Usage) -> Attributes {
    let basis = match usage.basis {
        UsageBasis::Unknown => Value::Null,
        UsageBasis::Inclusive => Value::from("inclusive"),
        UsageBasis::Exclusive => Value::from("exclusive"),
        UsageBasis::Assumed => Value::from("assumed"),
    };
    let all = [
        ("available", usage.available.map_or(Value::Null, Value::Bool)),
        ("input_uncached", int(usage.input_uncached)),
        ("cache_read", int(usage.cache_read)),
        ("cache_write_5m", int(usage.cache_write_5m)),
        ("cache_write_1h", int(usage.cache_write_1h)),
        ("output", int(usage.output)),
        ("reasoning", int(usage.reasoning)),
        ("audio_input", int(usage.audio_input)),
        ("audio_output", int(usage.audio_output)),
        ("sent_input", int(usage.sent.input)),
        ("sent_output", int(usage.sent.output)),
        ("sent_total", int(usage.sent.total)),
        ("basis", basis),
        ("contradiction", text(usage.contradiction.as_deref())),
        ("is_of_trace", if usage.is_of_trace { Value::Bool(true) } else { Value::Null }),
    ];
    let said = all.into_iter().filter(|(_, value)| *value != Value::Null);
    // Raw comes as a list of one, so that a raw null differs from none.
    let raw = usage.raw.iter().map(|raw| ("raw", Value::Array(vec![raw.clone()])));
    said.chain(raw).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn usage(value: &Value) -> Option<Usage> {
    let Value::Map(entries) = value else { return None };
    let count = |key| get(entries, key).and_then(integer);
    let word = |key| get(entries, key).and_then(Value::as_str);
    let raw = match get(entries, "raw") {
        Some(Value::Array(items)) => items.first().cloned(),
        _ => None,
    };
    Some(Usage {
        available: get(entries, "available").and_then(boolean),
        input_uncached: count("input_uncached"),
        cache_read: count("cache_read"),
        cache_write_5m: count("cache_write_5m"),
        cache_write_1h: count("cache_write_1h"),
        output: count("output"),
        reasoning: count("reasoning"),
        audio_input: count("audio_input"),
        audio_output: count("audio_output"),
        sent: SentTotals {
            input: count("sent_input"),
            output: count("sent_output"),
            total: count("sent_total"),
        },
        basis: match word("basis") {
            Some("inclusive") => UsageBasis::Inclusive,
            Some("exclusive") => UsageBasis::Exclusive,
            Some("assumed") => UsageBasis::Assumed,
            _ => UsageBasis::Unknown,
        },
        raw,
        contradiction: word("contradiction").map(str::to_owned),
        is_of_trace: get(entries, "is_of_trace").and_then(boolean) == Some(true),
    })
}
