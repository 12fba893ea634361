//! A batch: a run of records with a key that is the same however often it is sent.
//!
//! The body is put together from the records' own bytes, grouped by trace, without parsing them.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use staso_model::{ProcessId, SpanId, TraceId};
use uuid::Uuid;

use crate::destination::Destination;
use crate::record::{Record, RecordKind, Stamp};
use crate::text;

/// Which of the two forms of the native wire a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm {
    /// JSON values, our additions, annotations in the batch: after `Staso-Capabilities`.
    Values,
    /// Payloads as JSON text and nothing that older servers do not know.
    Text,
}

/// How much goes into one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most records; at least 1.
    pub records: usize,
    /// The most bytes of records. One record that is larger goes alone.
    pub bytes: usize,
}

/// A run of records, in the order they were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The `Idempotency-Key`: UUIDv5 of the segment and the offsets of the first and last record.
    pub key: Uuid,
    /// The records.
    pub records: Vec<Record>,
    pub(crate) origin: Origin,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) end: u64,
}

/// What the traces of a batch belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) segment_id: Uuid,
    pub(crate) workspace: Option<String>,
    pub(crate) environment: Option<String>,
    /// What its spans have in common.
    pub(crate) stamp: Stamp,
}

impl Origin {
    pub(crate) fn new(segment_id: Uuid, destination: &Destination, stamp: &Stamp) -> Self {
        Self {
            stamp: stamp.clone(),
            segment_id,
            workspace: destination.workspace.clone(),
            environment: destination.environment.clone(),
        }
    }
}

/// What a process says of itself, beside its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessSign {
    /// It lives and has open spans; Unix nanoseconds.
    Alive(i64),
    /// It ends; spans that are still open will not be closed by it.
    Goodbye,
}

impl Batch {
    pub(crate) fn new(
        origin: Origin,
        records: Vec<Record>,
        (first, last, end): (u64, u64, u64),
    ) -> Self {
        Self { key: batch_key(origin.segment_id, first, last), records, origin, first, last, end }
    }

    /// A batch of records that were never in a file: `number` and those after it, of a queue with
    /// this id. `stamp` is what its spans have in common.
    #[must_use]
    pub fn from_memory(
        queue_id: Uuid,
        destination: &Destination,
        stamp: &Stamp,
        records: Vec<Record>,
        number: u64,
    ) -> Self {
        let count = records.len() as u64;
        let range = (number, number + count.saturating_sub(1), number + count);
        Self::new(Origin::new(queue_id, destination, stamp), records, range)
    }

    /// The segment, or the queue in memory, that it was cut from.
    #[must_use]
    pub fn segment_id(&self) -> Uuid {
        self.origin.segment_id
    }

    /// The annotations, for a server that takes them one by one.
    pub fn annotations(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.kind == RecordKind::Annotation)
    }

    /// How many traces the body holds in this form: what the server must accept.
    #[must_use]
    pub fn trace_count(&self, form: WireForm) -> usize {
        self.groups(form).len()
    }

    /// The body of the native ingest: `{"traces":[...]}`. The same batch in the same form is the
    /// same bytes.
    #[must_use]
    pub fn body(&self, form: WireForm) -> Vec<u8> {
        let stamp = &self.origin.stamp;
        let size: usize = self.records.iter().map(|record| record.json_len(stamp) + 64).sum();
        let mut out = Vec::with_capacity(size + 64);
        out.extend_from_slice(b"{\"traces\":[");
        for (at, group) in self.groups(form).iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.write_trace(&mut out, group, form);
        }
        out.extend_from_slice(b"]}");
        out
    }

    fn write_trace(&self, out: &mut Vec<u8>, group: &Group<'_>, form: WireForm) {
        // Writing to a Vec cannot fail, here and below.
        let _ = write!(out, "{{\"trace_id\":\"{}\"", group.trace_id.to_uuid_text());
        if let Some(start_ns) = group.spans.iter().filter_map(|span| span.start_ns()).min() {
            let _ = write!(out, ",\"timestamp\":\"{}\"", text::timestamp(start_ns));
        }
        for (name, value) in
            [("environment", &self.origin.environment), ("workspace_slug", &self.origin.workspace)]
        {
            if let Some(value) = value {
                let _ = write!(out, ",\"{name}\":");
                let _ = serde_json::to_writer(&mut *out, value);
            }
        }
        out.extend_from_slice(b",\"spans\":[");
        for (at, span) in group.spans.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match form {
                WireForm::Values => span.write_json(out, &self.origin.stamp),
                WireForm::Text => text::write_span(out, span, &self.origin.stamp),
            }
        }
        out.push(b']');
        if !group.annotations.is_empty() {
            out.extend_from_slice(b",\"annotations\":[");
            out.extend_from_slice(&group.annotations.join(&b','));
            out.push(b']');
        }
        out.push(b'}');
    }

    /// The records by trace, in order of first appearance. An announcement whose span has ended
    /// within the batch says nothing and is left out.
    fn groups(&self, form: WireForm) -> Vec<Group<'_>> {
        let ended: HashSet<(TraceId, SpanId)> = self
            .records
            .iter()
            .filter(|record| record.kind == RecordKind::Span)
            .map(|record| (record.trace_id, record.span_id))
            .collect();
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        for record in &self.records {
            let is_wanted = match (record.kind, form) {
                (RecordKind::Span, _) => true,
                (RecordKind::Provisional, _)
                    if ended.contains(&(record.trace_id, record.span_id)) =>
                {
                    false
                }
                (RecordKind::Provisional, WireForm::Values) => true,
                (RecordKind::Provisional, WireForm::Text) => text::is_root(record),
                (RecordKind::Annotation, form) => form == WireForm::Values,
            };
            if !is_wanted {
                continue;
            }
            let place = *places.entry(record.trace_id).or_insert_with(|| {
                groups.push(Group::new(record.trace_id));
                groups.len() - 1
            });
            match record.kind {
                RecordKind::Annotation => groups[place].annotations.push(&record.json),
                RecordKind::Span | RecordKind::Provisional => groups[place].spans.push(record),
            }
        }
        groups
    }
}

/// The records of one trace.
struct Group<'a> {
    trace_id: TraceId,
    spans: Vec<&'a Record>,
    annotations: Vec<&'a [u8]>,
}

impl Group<'_> {
    fn new(trace_id: TraceId) -> Self {
        Self { trace_id, spans: Vec::new(), annotations: Vec::new() }
    }
}

/// A body that carries no traces, only what a process says of itself.
#[must_use]
pub fn process_body(process_id: ProcessId, sign: ProcessSign) -> Vec<u8> {
    let id = process_id.to_uuid_text();
    match sign {
        ProcessSign::Alive(alive_ns) => {
            format!("{{\"traces\":[],\"processes\":[{{\"id\":\"{id}\",\"alive_ns\":{alive_ns}}}]}}")
        }
        ProcessSign::Goodbye => {
            format!("{{\"traces\":[],\"processes\":[{{\"id\":\"{id}\",\"goodbye\":true}}]}}")
        }
    }
    .into_bytes()
}

fn batch_key(segment_id: Uuid, first: u64, last: u64) -> Uuid {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&first.to_le_bytes());
    name[8..].copy_from_slice(&last.to_le_bytes());
    Uuid::new_v5(&segment_id, &name)
}
