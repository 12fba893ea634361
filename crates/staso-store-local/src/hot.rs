//! The hot set: the newest version of every span that is in no segment yet.
//!
//! A reader holds a view that never changes; the writer changes a copy, in which only the shards and
//! traces that change are copied, and publishes it together with the catalog's commit.

use std::collections::HashMap;
use std::sync::Arc;

use staso_model::{Span, SpanId, Version};

use crate::cache::TraceRef;

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
}

/// The hot spans of one trace.
pub(crate) type HotTrace = HashMap<SpanId, Arc<Span>>;

impl Hot {
    pub(crate) fn new() -> Self {
        Self { shards: vec![Arc::default(); SHARDS], bytes: 0, settled_bytes: 0 }
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
    let payload = |payload: &Option<staso_model::Payload>| {
        payload.as_ref().map_or(0, |payload| payload.text.len())
    };
    let events: usize = span.events.iter().map(|e| 128 + 64 * e.attributes.len()).sum();
    let attributes = 96 * span.attributes.len();
    size_of::<Span>() + payload(&span.input) + payload(&span.output) + events + attributes
}
