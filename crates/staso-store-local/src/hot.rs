//! The hot set: the newest version of every span that is in no segment yet.
//!
//! A reader holds a view that never changes; the writer changes a copy, in which only the shards and
//! traces that change are copied, and publishes it together with the catalog's commit.

use std::collections::HashMap;
use std::sync::Arc;

use staso_model::{Payload, Span, SpanId, Value, Version};

use crate::cache::TraceRef;
use crate::changes::Changes;

/// More shards: less is copied per change, more per view.
const SHARDS: usize = 512;

type Traces = HashMap<TraceRef, Arc<HotTrace>>;

/// A view of the hot set.
#[derive(Clone)]
pub(crate) struct Hot {
    shards: Vec<Arc<Traces>>,
    bytes: usize,
    /// Of those spans that may go to a segment.
    settled_bytes: usize,
    /// Not of the hot spans alone: of everything that the snapshot shows to which this belongs.
    pub(crate) changes: Changes,
}

/// The hot spans of one trace.
pub(crate) type HotTrace = HashMap<SpanId, Arc<Span>>;

impl Hot {
    pub(crate) fn new() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            bytes: 0,
            settled_bytes: 0,
            changes: Changes::default(),
        }
    }

    /// About how much memory the spans hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// About how much memory those hold that are not open.
    pub(crate) fn settled_bytes(&self) -> usize {
        self.settled_bytes
    }

    /// The hot spans of a trace.
    pub(crate) fn trace(&self, trace: &TraceRef) -> Option<&HotTrace> {
        self.shards[shard(trace)].get(trace).map(|spans| &**spans)
    }

    /// One span.
    pub(crate) fn find(&self, trace: &TraceRef, span_id: &SpanId) -> Option<&Arc<Span>> {
        self.trace(trace)?.get(span_id)
    }

    /// Every span.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (i64, &Arc<Span>)> {
        let traces = self.shards.iter().flat_map(|shard| shard.iter());
        traces.flat_map(|((ws, _), spans)| spans.values().map(|span| (*ws, span)))
    }

    /// Takes a span in unless it has a newer version.
    pub(crate) fn put(&mut self, ws: i64, span: Arc<Span>) {
        let trace = (ws, span.trace_id);
        let spans =
            Arc::make_mut(Arc::make_mut(&mut self.shards[shard(&trace)]).entry(trace).or_default());
        if spans.get(&span.span_id).is_some_and(|held| held.version > span.version) {
            return;
        }
        let (is_open, bytes) = (span.is_open(), span_bytes(&span));
        let before = spans.insert(span.span_id, span);
        self.bytes += bytes;
        self.settled_bytes += if is_open { 0 } else { bytes };
        if let Some(before) = before {
            self.forget_bytes(&before);
        }
    }

    /// Lets a span go, if this is still its version.
    pub(crate) fn remove(&mut self, trace: &TraceRef, span_id: &SpanId, version: &Version) -> bool {
        if self.find(trace, span_id).is_none_or(|held| held.version != *version) {
            return false;
        }
        let traces = Arc::make_mut(&mut self.shards[shard(trace)]);
        let Some(spans) = traces.get_mut(trace) else { return false };
        let Some(gone) = Arc::make_mut(spans).remove(span_id) else { return false };
        if spans.is_empty() {
            traces.remove(trace);
        }
        self.forget_bytes(&gone);
        true
    }

    /// Lets every span of a trace go.
    pub(crate) fn remove_trace(&mut self, trace: &TraceRef) {
        if self.trace(trace).is_none() {
            return;
        }
        let gone = Arc::make_mut(&mut self.shards[shard(trace)]).remove(trace);
        for span in gone.iter().flat_map(|spans| spans.values()) {
            self.forget_bytes(span);
        }
    }

    fn forget_bytes(&mut self, span: &Span) {
        let bytes = span_bytes(span);
        self.bytes -= bytes;
        self.settled_bytes -= if span.is_open() { 0 } else { bytes };
    }
}

fn shard((ws, trace_id): &TraceRef) -> usize {
    // Ids come from strangers: all bytes count, so that no choice of them is cheap to crowd.
    let [a, b] = [&trace_id.0[..8], &trace_id.0[8..]]
        .map(|half| half.iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte)));
    let mixed = (a ^ b.rotate_left(32) ^ ws.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 40).unwrap_or_default() % SHARDS
}

/// About how much memory a span holds.
pub(crate) fn span_bytes(span: &Span) -> usize {
    let payload = |payload: &Option<Payload>| payload.as_ref().map_or(0, |it| it.text.len());
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let event = |e: &staso_model::Event| 128 + e.name.len() + attribute_bytes(&e.attributes);
    let events: usize = span.events.iter().map(event).sum();
    let links: usize =
        span.links.iter().map(|l| 128 + l.trace_state.len() + attribute_bytes(&l.attributes)).sum();
    let tags: usize = span.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum();
    size_of::<Span>()
        + span.workspace.len()
        + span.name.len()
        + words(span)
        + span.trace_state.len()
        + span.repairs.iter().map(|r| 48 + r.field.len() + r.problem.len()).sum::<usize>()
        + text(&span.usage.contradiction)
        + span.usage.raw.as_ref().map_or(0, value_bytes)
        + sender_bytes(span)
        + payload(&span.input)
        + payload(&span.output)
        + events
        + links
        + tags
        + attribute_bytes(&span.attributes)
}

fn words(span: &Span) -> usize {
    let words = [
        &span.error_message,
        &span.environment,
        &span.service,
        &span.agent_name,
        &span.agent_id,
        &span.agent_version,
        &span.session_id,
        &span.user_id,
        &span.provider,
        &span.model,
        &span.requested_model,
        &span.reasoning_effort,
    ];
    words.iter().map(|word| word.as_ref().map_or(0, String::len)).sum()
}

/// Resource and scope. Spans of a batch share them, but log and segments say them of each, and so does
/// memory after the log was read.
fn sender_bytes(span: &Span) -> usize {
    let (resource, scope) = (&span.resource, &span.scope);
    let keys =
        |keys: &[String]| keys.iter().map(|key| size_of::<String>() + key.len()).sum::<usize>();
    let entity = |e: &staso_model::EntityRef| {
        e.schema_url.len() + e.kind.len() + keys(&e.id_keys) + keys(&e.description_keys)
    };
    attribute_bytes(&resource.attributes)
        + resource.schema_url.len()
        + resource.entity_refs.iter().map(entity).sum::<usize>()
        + attribute_bytes(&scope.attributes)
        + scope.name.len()
        + scope.version.len()
        + scope.schema_url.len()
}

fn attribute_bytes(attributes: &[(String, Value)]) -> usize {
    attributes.iter().map(|(key, value)| size_of::<String>() + key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let held = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) => values.iter().map(value_bytes).sum(),
        Value::Map(attributes) => attribute_bytes(attributes),
    };
    size_of::<Value>() + held
}

#[cfg(test)]
mod tests {
    use staso_model::{Event, Repair, Resource, TraceId};

    use super::*;

    /// Wherever a client puts a megabyte, the bound on memory sees it.
    #[test]
    fn all_text_of_a_span_counts() {
        let text = || "x".repeat(1 << 20);
        let value =
            || Value::Array(vec![Value::Map(vec![("k".to_owned(), text().as_str().into())])]);
        let fill: [fn(&mut Span, String, Value); 12] = [
            |span, text, _| span.session_id = Some(text),
            |span, text, _| span.trace_state = text,
            |span, _, value| span.usage.raw = Some(value),
            |span, text, _| span.repairs = vec![Repair { field: text, problem: String::new() }],
            |span, _, value| {
                let attributes = vec![("key".to_owned(), value)];
                span.resource = Arc::new(Resource { attributes, ..Resource::default() });
            },
            |span, _, value| span.attributes = vec![("key".to_owned(), value)],
            |span, text, _| span.attributes = vec![(text, Value::Null)],
            |span, text, _| span.attributes = vec![("b".to_owned(), Value::Bytes(text.into()))],
            |span, _, value| {
                let attributes = vec![("key".to_owned(), value)];
                span.events = vec![Event {
                    time_ns: 0,
                    name: String::new(),
                    attributes,
                    dropped_attributes: 0,
                }];
            },
            |span, text, _| span.error_message = Some(text),
            |span, text, _| span.tags = vec![text],
            |span, text, _| span.input = Some(Payload::text(text)),
        ];
        for (i, fill) in fill.into_iter().enumerate() {
            let mut span = Span::new("w", TraceId([1; 16]), SpanId([0; 16]));
            let before = span_bytes(&span);
            fill(&mut span, text(), value());
            assert!(span_bytes(&span) >= before + (1 << 20), "case {i}");
            let mut hot = Hot::new();
            let version = span.version;
            hot.put(1, Arc::new(span));
            assert!(hot.bytes() > 1 << 20 && hot.settled_bytes() <= hot.bytes());
            assert!(hot.remove(&(1, TraceId([1; 16])), &SpanId([0; 16]), &version));
            assert_eq!((hot.bytes(), hot.settled_bytes()), (0, 0));
        }
    }
}
