//! The lists of a span: events, links, tags, capture, and the small numbers beside them.

use super::fields::{RawEvent, RawLink, RawSpan};
use super::mender::{Mender, TOO_MANY};
use super::span::{attributes, timestamp};
use super::text::unescape;
use super::walk::{Raw, elements, is_array, is_object, is_string, members};
use crate::ids::{ProcessId, SpanId, TraceId};
use crate::kind::CaptureCategory;
use crate::span::{Event, Link, Span};
use crate::value::{Value, get};

/// Reads the lists and the rest.
pub(super) fn read(raw: &RawSpan<'_>, received_ns: i64, span: &mut Span, mender: &mut Mender) {
    span.events = list("events", raw.events, mender, |raw, m| event(raw, received_ns, m));
    span.links = list("links", raw.links, mender, link);
    span.tags = tags(raw.tags, span, mender);
    span.capture = capture(raw.capture, mender);
    span.process_id = process_id("process_id", raw.process_id, mender);
    span.sample_rate = sample_rate(raw.sample_rate, mender);
}

/// The items of an array member that can be read; an item that cannot is kept as original.
fn list<T>(
    field: &str,
    raw: Option<Raw<'_>>,
    mender: &mut Mender,
    mut read: impl FnMut(Raw<'_>, &mut Mender) -> Option<T>,
) -> Vec<T> {
    let Some(raw) = mender.present(field, raw) else { return Vec::new() };
    if !is_array(raw) {
        mender.replace(field, raw, "not an array: kept as an attribute");
        return Vec::new();
    }
    if !mender.affords(raw) {
        mender.replace(field, raw, TOO_MANY);
        return Vec::new();
    }
    mender.within_list(field, raw, |mender| {
        let mut items = Vec::new();
        for element in elements(raw) {
            match read(element, mender) {
                Some(item) => items.push(item),
                None => {
                    let problem = "some items could not be read: the list is kept as an attribute";
                    mender.replace(field, raw, problem);
                }
            }
        }
        items
    })
}

fn event(raw: Raw<'_>, received_ns: i64, mender: &mut Mender) -> Option<Event> {
    if !is_object(raw) {
        return None;
    }
    let event = RawEvent::read(members(raw));
    let time_ns = mender
        .integer("events.time_ns", event.time_ns)
        .unwrap_or_else(|| timestamp("events.timestamp", event.timestamp, received_ns, mender));
    Some(Event {
        time_ns,
        name: mender.name("events.name", event.name).unwrap_or_default(),
        attributes: attributes("events.attributes", event.attributes, mender),
        dropped_attributes: mender.count_u32("events.dropped_attributes", event.dropped_attributes),
    })
}

fn link(raw: Raw<'_>, mender: &mut Mender) -> Option<Link> {
    let link = is_object(raw).then(|| RawLink::read(members(raw)))?;
    let trace_text = mender.label("links.trace_id", link.trace_id)?;
    let span_text = mender.label("links.span_id", link.span_id)?;
    let trace_id = trace_text.parse().unwrap_or_else(|_| TraceId::from_foreign_text(&trace_text));
    let span_id =
        span_text.parse().unwrap_or_else(|_| SpanId::from_foreign_text(&trace_id, &span_text));
    Some(Link {
        trace_id,
        span_id,
        trace_state: mender.name("links.trace_state", link.trace_state).unwrap_or_default(),
        attributes: attributes("links.attributes", link.attributes, mender),
        dropped_attributes: mender.count_u32("links.dropped_attributes", link.dropped_attributes),
        flags: mender.count_u32("links.flags", link.flags),
    })
}

/// The tags; without the member, the metadata `tags` that existing decorators write.
fn tags(raw: Option<Raw<'_>>, span: &Span, mender: &mut Mender) -> Vec<String> {
    if raw.is_some() {
        return list("tags", raw, mender, |raw, m| {
            let is_scalar = !is_object(raw) && !is_array(raw);
            if is_scalar { m.label("tags", Some(raw)) } else { None }
        });
    }
    match get(&span.attributes, "tags") {
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

fn capture(raw: Option<Raw<'_>>, mender: &mut Mender) -> Vec<(CaptureCategory, bool)> {
    let Some(raw) = mender.present("capture", raw) else { return Vec::new() };
    let mut categories = Vec::new();
    let mut is_whole = is_object(raw);
    for (key, value) in members(raw) {
        let word = is_string(value).then(|| unescape(value).text);
        let is_captured = match word.as_deref() {
            Some("captured") => Some(true),
            Some("suppressed") => Some(false),
            _ => None,
        };
        match (CaptureCategory::parse(&key), is_captured) {
            (Some(category), Some(is_captured)) => {
                categories.retain(|(known, _)| *known != category);
                categories.push((category, is_captured));
            }
            _ => is_whole = false,
        }
    }
    if !is_whole {
        mender.replace("capture", raw, "unknown category or word: kept as an attribute");
    }
    categories
}

/// The id of a process; other text is hashed into one.
pub(super) fn process_id(
    field: &str,
    raw: Option<Raw<'_>>,
    mender: &mut Mender,
) -> Option<ProcessId> {
    let text = mender.label(field, raw)?;
    Some(text.parse().unwrap_or_else(|_| {
        mender.replace(field, raw.unwrap_or_default(), "not an id: hashed into one");
        ProcessId(TraceId::from_foreign_text(&text).0)
    }))
}

fn sample_rate(raw: Option<Raw<'_>>, mender: &mut Mender) -> Option<f64> {
    let raw = mender.present("sample_rate", raw)?;
    let rate = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
    let rate = rate.filter(|rate| *rate > 0.0 && *rate <= 1.0);
    if rate.is_none() {
        mender.replace("sample_rate", raw, "not between 0 and 1: ignored");
    }
    rate
}
