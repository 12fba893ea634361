//! The records of a batch by trace.
//!
//! Most batches are many traces of a span each, or few of many: a group is a chain through the records, so
//! that a trace costs no allocation of its own, and a record in the trace of the one before it no look-up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use staso_model::{SpanId, TraceId};

use crate::batch::WireForm;
use crate::record::{Record, RecordKind};
use crate::text;

/// The chain ends here.
const LAST: usize = usize::MAX;

/// Which records go into which trace, in order of first appearance.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) heads: Vec<Head>,
    /// For each record, the next one of its trace.
    next: Vec<usize>,
}

/// One trace.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) trace_id: TraceId,
    first: usize,
    last: usize,
}

impl Groups {
    /// Groups what goes out in this form. An announcement whose span has ended within the batch says nothing
    /// and is left out.
    pub(crate) fn of(records: &[Record], form: WireForm) -> Self {
        let ended = ended_if_any_is_open(records);
        let is_wanted = |record: &Record| match (record.kind, form) {
            (RecordKind::Span, _) => true,
            (RecordKind::Provisional, _) if ended.contains(&(record.trace_id, record.span_id)) => {
                false
            }
            (RecordKind::Provisional, WireForm::Values) => true,
            (RecordKind::Provisional, WireForm::Text) => text::is_root(record),
            (RecordKind::Annotation, form) => form == WireForm::Values,
        };
        let mut groups = Self { heads: Vec::new(), next: vec![LAST; records.len()] };
        let mut places = Places::default();
        for (at, record) in records.iter().enumerate().filter(|(_, record)| is_wanted(record)) {
            groups.add(at, record.trace_id, &mut places);
        }
        groups
    }

    fn add(&mut self, at: usize, trace_id: TraceId, places: &mut Places) {
        let place = places.of(trace_id, self.heads.len());
        match self.heads.get_mut(place) {
            Some(head) => self.next[std::mem::replace(&mut head.last, at)] = at,
            None => self.heads.push(Head { trace_id, first: at, last: at }),
        }
    }

    /// The records of one trace, in the order they were recorded.
    pub(crate) fn records<'r>(
        &'r self,
        head: &Head,
        records: &'r [Record],
    ) -> impl Iterator<Item = &'r Record> + Clone {
        let chain = std::iter::successors(Some(head.first), |at| {
            Some(self.next[*at]).filter(|next| *next != LAST)
        });
        chain.map(|at| &records[at])
    }
}

/// The spans that have ended; none where nothing was announced, since nobody asks then.
fn ended_if_any_is_open(records: &[Record]) -> HashSet<(TraceId, SpanId)> {
    let is = |kind| move |record: &&Record| record.kind == kind;
    if !records.iter().any(|record| record.kind == RecordKind::Provisional) {
        return HashSet::new();
    }
    let ended = records.iter().filter(is(RecordKind::Span));
    ended.map(|record| (record.trace_id, record.span_id)).collect()
}

/// Where the group of a trace stands.
#[derive(Default)]
struct Places {
    latest: Option<(TraceId, usize)>,
    known: HashMap<TraceId, usize, BuildHasherDefault<IdHasher>>,
}

impl Places {
    /// The place of a trace, which is `free` where it is seen for the first time.
    fn of(&mut self, trace_id: TraceId, free: usize) -> usize {
        if let Some((latest, place)) = self.latest
            && latest == trace_id
        {
            return place;
        }
        let place = *self.known.entry(trace_id).or_insert(free);
        self.latest = Some((trace_id, place));
        place
    }
}

/// A hash of ids, which are random already. Ids that somebody chose to meet here only make a batch of theirs
/// slow to group, by a bound that its size sets.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(32) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of an id says nothing.
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
