//! Rollup inputs of the traces that were written to lately.
//!
//! A trace of many spans arrives in many batches. Its row is recomputed at each commit, but only
//! from the blocks of spans that changed: the others keep their partial sums. What is not here is
//! read back from the hot set and the heads of the trace's rows in segments.

use std::collections::HashMap;

use staso_model::{ProcessId, SpanId, TraceId, Version};
use staso_store::rollup::{Rollup, SpanSummary};

/// A trace of a workspace, by the workspace's number.
pub(crate) type TraceRef = (i64, TraceId);

/// Spans per partial sum.
const BLOCK: usize = 256;

/// One trace's spans, narrow.
#[derive(Debug, Default)]
pub(crate) struct CachedTrace {
    places: HashMap<SpanId, usize>,
    slots: Vec<Slot>,
    /// `None`: to be computed anew.
    blocks: Vec<Option<Rollup>>,
    bytes: usize,
    used_at: u64,
    /// The starts of all spans that are or were here, and whether one is not known.
    starts: Option<(i64, i64)>,
    has_unknown_start: bool,
    /// Whether the trace stands in the list.
    pub(crate) has_row: bool,
    /// The processes that the catalog knows to hold an open span of it.
    pub(crate) open_processes: Vec<ProcessId>,
}

/// Where a span's newest version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Hot,
    Segment { segment: i64, row: u64 },
}

/// A stored span.
#[derive(Debug)]
struct Slot {
    place: Place,
    version: Version,
    /// `None`: its head is damaged, so that it counts nowhere.
    summary: Option<SpanSummary>,
}

impl CachedTrace {
    /// Whether no span of it is stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many spans of it are stored, damaged ones included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When the last of its spans was received.
    pub(crate) fn last_received_ns(&self) -> Option<i64> {
        self.slots.iter().map(|slot| slot.version.received_ns).max()
    }

    /// The place and version of a span.
    pub(crate) fn find(&self, span_id: &SpanId) -> Option<(Place, Version)> {
        let slot = &self.slots[*self.places.get(span_id)?];
        Some((slot.place, slot.version))
    }

    /// The spans that a process holds open, dropped ones left out.
    pub(crate) fn held_open_by(&self, process_id: ProcessId) -> Vec<SpanId> {
        let summaries = self.slots.iter().filter_map(|slot| slot.summary.as_ref());
        let held = |s: &&SpanSummary| s.is_open() && !s.dropped && s.process_id == Some(process_id);
        summaries.filter(held).map(|summary| summary.span_id).collect()
    }

    /// Takes in a span's newest version.
    pub(crate) fn put(
        &mut self,
        span_id: SpanId,
        place: Place,
        version: Version,
        summary: Option<SpanSummary>,
    ) {
        let bytes_of = |summary: &Option<SpanSummary>| {
            size_of::<Slot>() + summary.as_ref().map_or(0, SpanSummary::memory_bytes)
        };
        self.bytes += bytes_of(&summary);
        match &summary {
            Some(SpanSummary { start_ns, .. }) => {
                let (first, last) = self.starts.unwrap_or((*start_ns, *start_ns));
                self.starts = Some((first.min(*start_ns), last.max(*start_ns)));
            }
            None => self.has_unknown_start = true,
        }
        let slot = Slot { place, version, summary };
        if let Some(at) = self.places.get(&span_id) {
            self.bytes -= bytes_of(&self.slots[*at].summary);
            self.slots[*at] = slot;
            self.blocks[at / BLOCK] = None;
            return;
        }
        let at = self.slots.len();
        if at.is_multiple_of(BLOCK) {
            self.blocks.push(Some(Rollup::default()));
        }
        if let (Some(Some(block)), Some(summary)) = (self.blocks.last_mut(), &slot.summary) {
            block.add(summary);
        }
        self.places.insert(span_id, at);
        self.slots.push(slot);
    }

    /// The earliest and the latest start that a span of it has or had, as far as this knows; all times where a
    /// start cannot be told, `None` of no spans.
    pub(crate) fn reach(&self) -> Option<(i64, i64)> {
        if self.has_unknown_start { Some((i64::MIN, i64::MAX)) } else { self.starts }
    }

    /// Says where a version went, if it is still the newest.
    pub(crate) fn moved(&mut self, span_id: &SpanId, version: &Version, to: Place) {
        let at = self.places.get(span_id).copied();
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at))
            && slot.version == *version
        {
            slot.place = to;
        }
    }

    /// The sum of all spans.
    pub(crate) fn rollup(&mut self) -> Rollup {
        let mut whole = Rollup::default();
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let slots = &self.slots[i * BLOCK..self.slots.len().min((i + 1) * BLOCK)];
            whole.merge(block.get_or_insert_with(|| sum(slots)));
        }
        whole
    }
}

fn sum(slots: &[Slot]) -> Rollup {
    let mut rollup = Rollup::default();
    slots.iter().filter_map(|slot| slot.summary.as_ref()).for_each(|s| rollup.add(s));
    rollup
}

/// Cached traces, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    traces: HashMap<TraceRef, CachedTrace>,
    max_bytes: usize,
    clock: u64,
}

impl Cache {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { traces: HashMap::new(), max_bytes, clock: 0 }
    }

    /// The trace where it is cached, marked as just used.
    pub(crate) fn get(&mut self, trace: &TraceRef) -> Option<&mut CachedTrace> {
        self.clock += 1;
        let cached = self.traces.get_mut(trace)?;
        cached.used_at = self.clock;
        Some(cached)
    }

    pub(crate) fn insert(&mut self, trace: TraceRef, cached: CachedTrace) {
        self.traces.insert(trace, cached);
    }

    /// Forgets everything: after a rollback nothing here can be trusted.
    pub(crate) fn clear(&mut self) {
        self.traces.clear();
    }

    /// Drops the longest unused traces until a quarter of the room is free again. Called between
    /// transactions only, so that no trace vanishes while it is being written.
    pub(crate) fn shrink(&mut self) {
        let overhead = size_of::<CachedTrace>() + 64;
        let mut bytes: usize = self.traces.values().map(|trace| trace.bytes + overhead).sum();
        if bytes <= self.max_bytes {
            return;
        }
        let mut by_age: Vec<_> =
            self.traces.iter().map(|(key, trace)| (trace.used_at, *key, trace.bytes)).collect();
        by_age.sort_unstable();
        for (_, key, trace_bytes) in by_age {
            if bytes <= self.max_bytes / 4 * 3 {
                break;
            }
            bytes -= trace_bytes + overhead;
            self.traces.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use staso_model::Span;

    use super::*;

    fn id(n: usize) -> SpanId {
        SpanId::from_w3c((n as u64 + 1).to_be_bytes())
    }

    fn put(trace: &mut CachedTrace, n: usize, start_ns: i64) {
        let mut span = Span::new("w", TraceId([1; 16]), id(n));
        span.start_ns = start_ns;
        trace.put(id(n), Place::Hot, span.version, Some(SpanSummary::of(&span)));
    }

    #[test]
    fn partial_sums_follow_replacements() {
        let mut trace = CachedTrace::default();
        (0..1000).for_each(|n| put(&mut trace, n, 100));
        put(&mut trace, 300, 7);
        let row = |trace: &mut CachedTrace| {
            let rollup = trace.rollup();
            rollup.row("w", TraceId([1; 16]), &[], staso_store::query::RunState::Done).unwrap()
        };
        assert_eq!((row(&mut trace).span_count, row(&mut trace).start_ns), (1000, 7));
        put(&mut trace, 300, 100);
        assert_eq!(row(&mut trace).start_ns, 100);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut cache = Cache::new(20_000);
        for n in 0..100 {
            let mut trace = CachedTrace::default();
            put(&mut trace, n, 0);
            cache.insert((1, TraceId([u8::try_from(n).unwrap(); 16])), trace);
            cache.get(&(1, TraceId([u8::try_from(n).unwrap(); 16])));
        }
        cache.shrink();
        assert!(cache.get(&(1, TraceId([0; 16]))).is_none());
        assert!(cache.get(&(1, TraceId([99; 16]))).is_some());
    }
}
