//! The older form of a span: payloads as ASCII-escaped JSON text, times as text and milliseconds,
//! and none of our additions, which servers that speak only the base contract may refuse.

use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::{Record, RecordKind, Stamp};

macro_rules! parts {
    ($($same:ident),*) => {
        /// A journalled span, its values untouched. The last fields both forms spell alike.
        #[derive(Deserialize, Default)]
        struct Parts<'a> {
            #[serde(default)]
            start_ns: i64,
            end_ns: Option<i64>,
            #[serde(borrow)]
            parent_span_id: Option<&'a RawValue>,
            #[serde(borrow)]
            input: Option<&'a RawValue>,
            #[serde(borrow)]
            output: Option<&'a RawValue>,
            #[serde(borrow)]
            attributes: Option<&'a RawValue>,
            $(#[serde(borrow)] $same: Option<&'a RawValue>),*
        }

        impl Parts<'_> {
            fn write_same(&self, out: &mut Vec<u8>) {
                $(if let Some(value) = self.$same {
                    out.extend_from_slice(concat!(",\"", stringify!($same), "\":").as_bytes());
                    write_ascii(out, value.get());
                })*
            }
        }
    };
}

parts!(
    span_id,
    name,
    kind,
    status,
    model,
    provider,
    requested_model,
    usage_available,
    reasoning_effort,
    input_tokens,
    output_tokens,
    total_tokens,
    error_message,
    session_id,
    agent_name,
    agent_id,
    agent_version,
    user_id,
    capture
);

/// Whether an announcement is of a span without a parent.
pub(crate) fn is_root(record: &Record) -> bool {
    parse(&record.json).is_some_and(|parts| parts.parent_span_id.is_none())
}

/// Appends the older form of a span. What is not the JSON this SDK writes is left out by the
/// caller's choice of records, so a span that does not parse becomes an empty object.
pub(crate) fn write_span(out: &mut Vec<u8>, record: &Record, stamp: &Stamp) {
    let json = record.whole_json(stamp);
    let parts = parse(&json).unwrap_or_default();
    let is_open = record.kind == RecordKind::Provisional;
    let duration_ns = parts.end_ns.map_or(0, |end| end.saturating_sub(parts.start_ns).max(0));
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{{\"timestamp\":\"{}\",\"duration_ms\":{}",
        timestamp(parts.start_ns),
        duration_ns as f64 / 1e6
    );
    out.extend_from_slice(b",\"parent_span_id\":");
    write_ascii(out, parts.parent_span_id.map_or("null", RawValue::get));
    parts.write_same(out);
    out.extend_from_slice(b",\"input\":");
    write_text(out, parts.input.map_or("", RawValue::get));
    out.extend_from_slice(b",\"output\":");
    write_text(out, parts.output.map_or("", RawValue::get));
    out.extend_from_slice(b",\"attributes\":");
    let attributes = parts.attributes.map_or("{}", RawValue::get);
    if is_open {
        write_text(out, &with_open_mark(attributes))
    } else {
        write_text(out, attributes)
    }
    out.push(b'}');
}

fn parse(json: &[u8]) -> Option<Parts<'_>> {
    serde_json::from_slice(json).ok()
}

/// The attributes object with the mark by which older servers know an open root.
fn with_open_mark(attributes: &str) -> String {
    let inner = attributes.trim().trim_start_matches('{').trim_start();
    let comma = if inner.starts_with('}') { "" } else { "," };
    format!("{{\"staso.provisional_root\":true{comma}{inner}")
}

/// JSON text inside a JSON string, ASCII throughout.
fn write_text(out: &mut Vec<u8>, json: &str) {
    let mut ascii = Vec::with_capacity(json.len());
    write_ascii(&mut ascii, json);
    out.push(b'"');
    for &byte in &ascii {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// JSON with every character beyond ASCII as `\uXXXX`. Such characters stand only inside strings.
fn write_ascii(out: &mut Vec<u8>, json: &str) {
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character as u8);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// ISO 8601 in UTC. A time that no calendar holds is the epoch.
pub(crate) fn timestamp(unix_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default().to_string()
}
