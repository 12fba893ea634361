//! From everybody's attributes to our fields. The rows are data, in [`table`].
//!
//! Deriving only reads: every attribute stays as sent. It is a pure function of the attributes, events
//! and resource of a span, so the way back to OTLP can tell which fields need not be said again.

mod content;
mod table;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub(crate) use content::payload_of_text;
use table::Keys;

use crate::kind::SpanKind;
use crate::span::Span;
use crate::usage::{CacheParts, SentTotals, Usage};
use crate::value::{Attributes, Value};

/// Fills the fields of a fresh span from its attributes, events and resource.
pub(crate) fn derive(span: &mut Span) {
    let attributes = std::mem::take(&mut span.attributes);
    let found = Found::new(&attributes);
    let of_resource = Found::new(&span.resource.attributes);
    span.environment = of_resource.text(table::ENVIRONMENT);
    span.service = of_resource.text(table::SERVICE);
    let service_version = of_resource.text(table::SERVICE_VERSION);
    span.provider = found.text(table::PROVIDER).map(current_provider);
    span.requested_model = found.text(table::REQUESTED_MODEL);
    span.model = found.text(table::MODEL).or_else(|| span.requested_model.clone());
    span.reasoning_effort = found.text(table::REASONING_EFFORT);
    span.kind = kind(&found, span.model.is_some());
    span.session_id = found.text(table::SESSION_ID);
    span.user_id = found.text(table::USER_ID);
    span.agent_id = found.text(table::AGENT_ID);
    span.agent_version = found.text(table::AGENT_VERSION).or(service_version);
    let entity = || found.text(table::AGENT_ENTITY).filter(|_| span.kind == SpanKind::Agent);
    span.agent_name =
        found.text(table::AGENT_NAME).or_else(entity).or_else(|| span.service.clone());
    span.tags = found.list(table::TAGS);
    span.client_cost_nano_usd = found.first(table::CLIENT_COST).and_then(nano_usd);
    if !is_outer(&found) {
        span.usage = usage(&found);
    }
    span.input = content::input(&found, &attributes, &span.events);
    span.output = content::output(&found, &attributes, &span.events);
    span.attributes = attributes;
}

/// The attributes that some row of the table reads: of a repeated key the last.
struct Found<'a>(HashMap<&'static str, &'a Value>);

impl<'a> Found<'a> {
    fn new(attributes: &'a [(String, Value)]) -> Self {
        static KNOWN: LazyLock<HashSet<&'static str>> =
            LazyLock::new(|| table::known_keys().collect());
        let known = attributes.iter().filter_map(|(key, value)| {
            let is_empty = matches!(value, Value::Null) || value.as_str() == Some("");
            Some((*KNOWN.get(key.as_str())?, value)).filter(|_| !is_empty)
        });
        Self(known.collect())
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).copied()
    }

    fn first(&self, keys: Keys) -> Option<&'a Value> {
        keys.iter().find_map(|key| self.get(key))
    }

    fn text(&self, keys: Keys) -> Option<String> {
        keys.iter().find_map(|key| match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Int(n) => Some(n.to_string()),
            _ => None,
        })
    }

    fn count(&self, keys: Keys) -> Option<i64> {
        keys.iter().find_map(|key| count(self.get(key)?))
    }

    fn list(&self, keys: Keys) -> Vec<String> {
        match self.first(keys) {
            Some(Value::Array(items)) => {
                items.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
            }
            Some(Value::String(tag)) => vec![tag.clone()],
            _ => Vec::new(),
        }
    }
}

/// A token count, however the dialect types it.
fn count(value: &Value) -> Option<i64> {
    let count = match value {
        Value::Int(n) => *n,
        Value::String(text) => text.parse().ok()?,
        #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^53")]
        Value::Double(x) if x.fract() == 0.0 && x.abs() < 1e15 => *x as i64,
        _ => return None,
    };
    Some(count).filter(|n| *n >= 0)
}

fn nano_usd(value: &Value) -> Option<i64> {
    let dollars = match value {
        Value::Double(x) => *x,
        Value::Int(n) => return n.checked_mul(1_000_000_000),
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let nano = (dollars * 1e9).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked to be far within 64 bits")]
    (nano.abs() < 9e18).then_some(nano as i64)
}

fn current_provider(name: String) -> String {
    let renamed = table::PROVIDER_NAMES.iter().find(|(old, _)| *old == name);
    renamed.map_or(name, |(_, new)| (*new).to_owned())
}

fn kind(found: &Found<'_>, has_model: bool) -> SpanKind {
    let by_word = table::KINDS.iter().find_map(|(key, words)| {
        let word = found.get(key)?.as_str()?;
        Some(words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word))?.1)
    });
    let by_operation = || {
        let word = operation(found)?;
        Some(table::OPERATION_KINDS.iter().find(|(prefix, _)| word.starts_with(prefix))?.1)
    };
    let by_sign = || found.first(table::TOOL_SIGNS).map(|_| SpanKind::Tool);
    let by_model = || has_model.then_some(SpanKind::Llm);
    by_word.or_else(by_operation).or_else(by_sign).or_else(by_model).unwrap_or(SpanKind::Chain)
}

/// The operation without the function name that may follow it.
fn operation<'a>(found: &Found<'a>) -> Option<&'a str> {
    found.first(table::OPERATION)?.as_str()?.split_whitespace().next()
}

/// Whether this span stands around a model call and repeats its tokens.
fn is_outer(found: &Found<'_>) -> bool {
    operation(found).is_some_and(|word| table::OUTER_OPERATIONS.contains(&word))
}

fn usage(found: &Found<'_>) -> Usage {
    let input = table::INPUT_TOKENS
        .iter()
        .find_map(|(key, dialect)| Some((count(found.get(key)?)?, *dialect)));
    let sent = SentTotals {
        input: input.map(|(n, _)| n),
        output: found.count(table::OUTPUT_TOKENS),
        total: found.count(table::TOTAL_TOKENS),
    };
    let parts = parts(found);
    // These dialects leave out what they do not know, so a zero is a zero.
    let is_measured = sent != SentTotals::default() || parts != CacheParts::default();
    Usage::from_sent(is_measured.then_some(true), sent, parts, input.and_then(|(_, d)| d))
}

/// The token counters beside the totals, from the attributes of either wire.
pub(crate) fn cache_parts(attributes: &Attributes) -> CacheParts {
    parts(&Found::new(attributes))
}

fn parts(found: &Found<'_>) -> CacheParts {
    let write_1h = found.count(table::CACHE_WRITE_1H);
    // The undivided counter is the sum of both; what the one-hour part leaves of it is the
    // five-minute part, which is also the cache that providers write by default.
    let write_rest =
        || found.count(table::CACHE_WRITE).map(|all| (all - write_1h.unwrap_or(0)).max(0));
    CacheParts {
        read: found.count(table::CACHE_READ),
        write_5m: found.count(table::CACHE_WRITE_5M).or_else(write_rest),
        write_1h,
        reasoning: found.count(table::REASONING),
        audio_input: found.count(table::AUDIO_INPUT),
        audio_output: found.count(table::AUDIO_OUTPUT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SpanId, TraceId};

    fn derived(key: &str, value: Value) -> Span {
        let mut span = Span::new("w", TraceId([1; 16]), SpanId([1; 16]));
        span.attributes = vec![(key.to_owned(), value)];
        derive(&mut span);
        span
    }

    #[test]
    fn every_text_row_is_read() {
        type Field = fn(&Span) -> Option<&str>;
        let rows: [(Keys, Field); 9] = [
            (table::PROVIDER, |s| s.provider.as_deref()),
            (table::REQUESTED_MODEL, |s| s.requested_model.as_deref()),
            (table::MODEL, |s| s.model.as_deref()),
            (table::SESSION_ID, |s| s.session_id.as_deref()),
            (table::USER_ID, |s| s.user_id.as_deref()),
            (table::AGENT_NAME, |s| s.agent_name.as_deref()),
            (table::AGENT_ID, |s| s.agent_id.as_deref()),
            (table::AGENT_VERSION, |s| s.agent_version.as_deref()),
            (table::REASONING_EFFORT, |s| s.reasoning_effort.as_deref()),
        ];
        for (keys, field) in rows {
            for key in keys {
                assert_eq!(field(&derived(key, Value::from("x"))), Some("x"), "{key}");
            }
        }
    }

    #[test]
    fn every_count_row_is_read() {
        type Field = fn(&Usage) -> Option<i64>;
        let rows: [(Keys, Field); 9] = [
            (table::OUTPUT_TOKENS, |u| u.output),
            (table::TOTAL_TOKENS, |u| u.sent.total),
            (table::CACHE_READ, |u| u.cache_read),
            (table::CACHE_WRITE, |u| u.cache_write_5m),
            (table::CACHE_WRITE_5M, |u| u.cache_write_5m),
            (table::CACHE_WRITE_1H, |u| u.cache_write_1h),
            (table::REASONING, |u| u.reasoning),
            (table::AUDIO_INPUT, |u| u.audio_input),
            (table::AUDIO_OUTPUT, |u| u.audio_output),
        ];
        for (keys, field) in rows {
            for key in keys {
                assert_eq!(field(&derived(key, Value::Int(3)).usage), Some(3), "{key}");
            }
        }
        for (key, _) in table::INPUT_TOKENS {
            assert_eq!(derived(key, Value::Int(3)).usage.input_uncached, Some(3), "{key}");
        }
    }

    #[test]
    fn every_other_row_is_read() {
        for (key, words) in table::KINDS {
            for (word, kind) in *words {
                assert_eq!(derived(key, Value::from(*word)).kind, *kind, "{key}={word}");
            }
        }
        for key in table::TAGS {
            assert_eq!(derived(key, Value::from("x")).tags, ["x"], "{key}");
        }
        for key in table::CLIENT_COST {
            let span = derived(key, Value::Double(0.25));
            assert_eq!(span.client_cost_nano_usd, Some(250_000_000), "{key}");
        }
        for key in table::TOOL_SIGNS {
            assert_eq!(derived(key, Value::from("x")).kind, SpanKind::Tool, "{key}");
        }
    }

    #[test]
    fn every_content_row_is_read() {
        type Field = fn(Span) -> Option<crate::span::Payload>;
        let sides: [(&[table::Source], Field); 2] =
            [(table::INPUT, |s| s.input), (table::OUTPUT, |s| s.output)];
        for (sources, field) in sides {
            for source in sources {
                match source {
                    table::Source::Key(key) => {
                        let payload = field(derived(key, Value::from("[1]")));
                        assert_eq!(payload.map(|p| p.text).as_deref(), Some("[1]"), "{key}");
                    }
                    table::Source::Prefix(prefix) => {
                        let span = derived(&format!("{prefix}0.a"), Value::Int(1));
                        let text = field(span).map(|p| p.text);
                        assert_eq!(text.as_deref(), Some(r#"[{"a":1}]"#), "{prefix}");
                    }
                    table::Source::Events(names) => {
                        for (name, role) in *names {
                            let mut span = Span::new("w", TraceId::NIL, SpanId::NIL);
                            span.events.push(event(name));
                            derive(&mut span);
                            let text = field(span).map(|p| p.text);
                            let expected = format!(r#"[{{"role":"{role}","content":"hi"}}]"#);
                            assert_eq!(text, Some(expected), "{name}");
                        }
                    }
                }
            }
        }
    }

    fn event(name: &str) -> crate::span::Event {
        crate::span::Event {
            time_ns: 0,
            name: name.to_owned(),
            attributes: vec![("content".to_owned(), Value::from("hi"))],
            dropped_attributes: 0,
        }
    }
}
