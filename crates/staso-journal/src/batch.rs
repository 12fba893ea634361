//! A batch: a run of records with a key that is the same however often it is sent.
//!
//! The body is put together from the records' own bytes, grouped by trace, without parsing them.

use std::io::Write;
use std::sync::Arc;

use staso_model::{ProcessId, TraceId};
use uuid::Uuid;

use crate::destination::Destination;
use crate::groups::Groups;
use crate::record::{Record, RecordKind, Stamp, write_id};
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
    pub(crate) origin: Arc<Origin>,
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
        origin: Arc<Origin>,
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
        let origin = Arc::new(Origin::new(queue_id, destination, stamp));
        Self::new(origin, records, range)
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
        Groups::of(&self.records, form).heads.len()
    }

    /// The body of the native ingest: `{"traces":[...]}`. The same batch in the same form is the
    /// same bytes.
    #[must_use]
    pub fn body(&self, form: WireForm) -> Vec<u8> {
        self.counted_body(form).0
    }

    /// As [`Batch::body`], with how many traces it holds.
    #[must_use]
    pub fn counted_body(&self, form: WireForm) -> (Vec<u8>, usize) {
        let groups = Groups::of(&self.records, form);
        let trace = TraceWriter::new(&self.origin, form);
        let stamp = &self.origin.stamp;
        let spans: usize = self.records.iter().map(|record| record.json_len(stamp) + 1).sum();
        let mut out = Vec::with_capacity(spans + groups.heads.len() * trace.len() + 16);
        out.extend_from_slice(b"{\"traces\":[");
        let mut second = text::Second::default();
        for (at, head) in groups.heads.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let records = groups.records(head, &self.records);
            trace.write(&mut out, &head.trace_id, &mut second, records);
        }
        out.extend_from_slice(b"]}");
        (out, groups.heads.len())
    }
}

/// Writes the traces of one batch, which differ in little besides their spans.
struct TraceWriter<'o> {
    stamp: &'o Stamp,
    form: WireForm,
    /// What every trace says between its time and its spans.
    shared: Vec<u8>,
}

impl<'o> TraceWriter<'o> {
    fn new(origin: &'o Origin, form: WireForm) -> Self {
        let mut shared = Vec::new();
        for (name, value) in
            [("environment", &origin.environment), ("workspace_slug", &origin.workspace)]
        {
            if let Some(value) = value {
                // Writing to a Vec cannot fail.
                let _ = write!(shared, ",\"{name}\":");
                let _ = serde_json::to_writer(&mut shared, value);
            }
        }
        shared.extend_from_slice(b",\"spans\":[");
        Self { stamp: &origin.stamp, form, shared }
    }

    /// About how long a trace is without its records.
    fn len(&self) -> usize {
        128 + self.shared.len()
    }

    fn write<'r>(
        &self,
        out: &mut Vec<u8>,
        trace_id: &TraceId,
        second: &mut text::Second,
        records: impl Iterator<Item = &'r Record> + Clone,
    ) {
        let is_annotation = |record: &&Record| record.kind == RecordKind::Annotation;
        let spans = records.clone().filter(|record| !is_annotation(record));
        out.extend_from_slice(b"{\"trace_id\":");
        write_id(out, &trace_id.0);
        if let Some(start_ns) = spans.clone().filter_map(Record::start_ns).min() {
            out.extend_from_slice(b",\"timestamp\":\"");
            second.write_timestamp(out, start_ns);
            out.push(b'"');
        }
        out.extend_from_slice(&self.shared);
        for (at, span) in spans.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match self.form {
                WireForm::Values => span.write_json(out, self.stamp),
                WireForm::Text => text::write_span(out, span, self.stamp),
            }
        }
        for (at, annotation) in records.filter(is_annotation).enumerate() {
            out.extend_from_slice(if at == 0 { b"],\"annotations\":[" } else { b"," });
            out.extend_from_slice(&annotation.json);
        }
        out.extend_from_slice(b"]}");
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
