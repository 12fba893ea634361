//! Inputs and outputs from the many places where instrumentations put them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Found;
use super::table::{self, Source};
use crate::json;
use crate::span::{Event, Payload};
use crate::value::{Attributes, Value};

/// Segments of a flattened key that become nesting; the rest stays one key.
const MAX_SEGMENTS: usize = 12;

pub(super) fn input(found: &Found<'_>, all: &Attributes, events: &[Event]) -> Option<Payload> {
    let input = first(table::INPUT, found, all, events);
    let Some(system) = found.get(table::SYSTEM_INSTRUCTIONS) else { return input };
    let system = as_json(payload_of(system));
    let messages = input.map_or_else(|| "null".to_owned(), as_json);
    Some(Payload::json(format!(r#"{{"system_instructions":{system},"messages":{messages}}}"#)))
}

pub(super) fn output(found: &Found<'_>, all: &Attributes, events: &[Event]) -> Option<Payload> {
    first(table::OUTPUT, found, all, events)
}

fn first(
    sources: &[Source],
    found: &Found<'_>,
    all: &Attributes,
    events: &[Event],
) -> Option<Payload> {
    sources.iter().find_map(|source| match source {
        Source::Key(key) => found.get(key).map(payload_of),
        Source::Prefix(prefix) => rebuild(prefix, all),
        Source::Events(names) => messages(names, events),
    })
}

/// Text as JSON where it is JSON, else as text.
pub(crate) fn payload_of_text(text: Cow<'_, str>) -> Payload {
    match json::plain_json_text(text.into_owned()) {
        Ok(json) => Payload::json(json),
        Err(text) => Payload::text(text),
    }
}

fn payload_of(value: &Value) -> Payload {
    match value {
        Value::String(text) => payload_of_text(Cow::Borrowed(text)),
        other => Payload::json(json::value_to_json(other)),
    }
}

fn as_json(payload: Payload) -> String {
    if payload.is_json { payload.text } else { json::value_to_json(&Value::String(payload.text)) }
}

/// The tree of the attributes under `prefix`.
fn rebuild(prefix: &str, all: &Attributes) -> Option<Payload> {
    let under: Vec<(&str, &Value)> =
        all.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value))).collect();
    // Only lists are flattened so: `gen_ai.prompt.0.role`, not `gen_ai.prompt.name`.
    let is_list = under.iter().any(|(rest, _)| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_list.then(|| Payload::json(json::value_to_json(&nest(&under, MAX_SEGMENTS))))
}

fn nest(entries: &[(&str, &Value)], depth: usize) -> Value {
    let mut groups: Vec<(&str, Vec<(&str, &Value)>)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (path, value) in entries {
        let (head, rest) = match path.split_once('.') {
            Some(split) if depth > 0 => split,
            _ => (*path, ""),
        };
        let at = *index.entry(head).or_insert(groups.len());
        if at == groups.len() {
            groups.push((head, Vec::new()));
        }
        groups[at].1.push((rest, *value));
    }
    let mut values: Vec<(&str, Value)> = groups
        .into_iter()
        .map(|(head, group)| match &group[..] {
            [.., ("", last)] => (head, (*last).clone()),
            _ => (head, nest(&group, depth.saturating_sub(1))),
        })
        .collect();
    let number = |head: &str| head.parse::<u32>().ok();
    if values.iter().all(|(head, _)| number(head).is_some()) {
        values.sort_by_key(|(head, _)| number(head));
        return Value::Array(values.into_iter().map(|(_, value)| value).collect());
    }
    Value::Map(values.into_iter().map(|(head, value)| (head.to_owned(), value)).collect())
}

/// The events that carry messages, as a list.
fn messages(names: &[(&str, &str)], events: &[Event]) -> Option<Payload> {
    let list: Vec<Value> = events
        .iter()
        .filter_map(|event| {
            let (_, role) = names.iter().find(|(name, _)| *name == event.name)?;
            let mut message = vec![("role".to_owned(), Value::from(*role))];
            message.extend(event.attributes.iter().cloned());
            Some(Value::Map(message))
        })
        .collect();
    (!list.is_empty()).then(|| Payload::json(json::value_to_json(&Value::Array(list))))
}
