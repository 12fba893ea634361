//! The parts of a span's JSON object on the wire that are the same for every record.
//!
//! `start_ns` comes first: the journal finds a record's time without parsing it.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smol_str::SmolStr;
use staso_journal::{Record, RecordKind, SpanFront};
use staso_model::{CaptureCategory, ProcessId, SpanId, SpanKind, TraceId};

use crate::config::CapturePolicy;
use crate::field::Field;
use crate::json::{write_f64, write_i64, write_str, write_uuid};
use crate::pen::bounded;

/// One record on its way to the journal, or to whatever stands in for it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// What it is.
    pub kind: RecordKind,
    /// The trace it belongs to.
    pub trace_id: &'e TraceId,
    /// The span it is, or speaks of; nil for an annotation of the whole trace.
    pub span_id: &'e SpanId,
    /// What a finished span says as numbers; `None` where `json` says everything.
    pub front: Option<SpanFront>,
    /// One JSON object; with a front, the members that follow it.
    pub json: &'e [u8],
}

impl<'e> Entry<'e> {
    /// A record that is one JSON object.
    #[must_use]
    pub fn whole(
        kind: RecordKind,
        trace_id: &'e TraceId,
        span_id: &'e SpanId,
        json: &'e [u8],
    ) -> Self {
        Self { kind, trace_id, span_id, front: None, json }
    }

    /// A copy that lasts.
    pub(crate) fn to_record(self) -> Record {
        let Self { kind, trace_id, span_id, front, json } = self;
        Record {
            kind,
            trace_id: *trace_id,
            span_id: *span_id,
            front,
            json: Bytes::copy_from_slice(json),
        }
    }
}

/// Who and what a span belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanContext {
    /// The agent's name.
    pub agent_name: Option<String>,
    /// The agent's id.
    pub agent_id: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The conversation.
    pub session_id: Option<String>,
    /// The end user.
    pub user_id: Option<String>,
}

/// A context as the spans in it share it: its part of their records is written once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What it says.
    pub context: SpanContext,
    json: Box<[u8]>,
}

impl Surroundings {
    /// Writes down a context. Texts beyond `value_bytes` are cut.
    #[must_use]
    pub fn new(context: SpanContext, value_bytes: usize) -> Self {
        let mut json = Vec::new();
        for field in Field::ALL {
            if let Some(text) = field.of_context(&context) {
                key(&mut json, field.as_str());
                write_str(&mut json, &bounded(Cow::Borrowed(text), value_bytes));
            }
        }
        Self { context, json: json.into_boxed_slice() }
    }

    /// The fields as they stand in a record, each after a comma.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }
}

/// The surroundings of one span. Most spans have those that their recorder began with, which nobody has to
/// count.
#[derive(Debug, Clone)]
pub enum Around {
    /// A recorder's.
    Recorder(&'static Surroundings),
    /// Those of an agent, a conversation or a user.
    Shared(Arc<Surroundings>),
}

impl Around {
    /// None at all.
    #[cold]
    pub(crate) fn none() -> Self {
        static NONE: OnceLock<Surroundings> = OnceLock::new();
        Self::Recorder(NONE.get_or_init(Surroundings::default))
    }

    /// Shares surroundings.
    #[must_use]
    pub fn shared(surroundings: Surroundings) -> Self {
        Self::Shared(Arc::new(surroundings))
    }
}

impl Deref for Around {
    type Target = Surroundings;

    #[inline]
    fn deref(&self) -> &Surroundings {
        match self {
            Self::Recorder(surroundings) => surroundings,
            Self::Shared(surroundings) => surroundings,
        }
    }
}

impl Default for Around {
    fn default() -> Self {
        Self::none()
    }
}

impl PartialEq for Around {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Around {}

/// What is known of a span when it begins: enough to show it while it runs.
///
/// The worker turns it into JSON only if the span is still open after one flush interval. Everything in
/// it has passed capture policy and redaction already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanHead {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// Its name.
    pub name: SmolStr,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began, Unix nanoseconds.
    pub start_ns: i64,
    /// Agent, conversation and user.
    pub surroundings: Around,
    /// Its input as JSON, where that is known at the start.
    pub input: Option<Arc<[u8]>>,
}

impl Default for SpanHead {
    fn default() -> Self {
        Self {
            trace_id: TraceId([0; 16]),
            span_id: SpanId::NIL,
            parent_span_id: None,
            name: SmolStr::default(),
            kind: SpanKind::Chain,
            start_ns: 0,
            surroundings: Around::default(),
            input: None,
        }
    }
}

impl SpanHead {
    /// Lets go of what is shared with others, or takes memory of its own.
    #[inline]
    pub(crate) fn forget(&mut self) {
        if self.name.is_heap_allocated() {
            self.name = SmolStr::default();
        }
        if let Around::Shared(_) = self.surroundings {
            self.surroundings = Around::none();
        }
        self.input = None;
    }
}

/// Appends the wire object of a span that is still open.
pub fn write_provisional(out: &mut Vec<u8>, head: &SpanHead, process_id: ProcessId) {
    write_times(out, head.start_ns, None);
    write_identity(out, &head.span_id, head.parent_span_id.as_ref());
    key(out, "name");
    write_str(out, &head.name);
    key(out, "kind");
    word(out, head.kind.as_str());
    out.extend_from_slice(b",\"provisional\":true,\"version\":1");
    key(out, "process_id");
    write_uuid(out, &process_id.0);
    out.extend_from_slice(head.surroundings.json());
    if let Some(input) = head.input.as_deref() {
        write_payload(out, "input", |out| out.extend_from_slice(input));
    }
    out.push(b'}');
}

/// Appends the wire object of a span the program discarded: its children move to its parent.
pub fn write_dropped(
    out: &mut Vec<u8>,
    span_id: &SpanId,
    parent: Option<&SpanId>,
    start_ns: i64,
    end_ns: i64,
) {
    write_times(out, start_ns, Some(end_ns));
    write_identity(out, span_id, parent);
    out.extend_from_slice(b",\"dropped\":true}");
}

/// What all spans of a client say besides themselves, each field after a comma: the process, the
/// share of traces kept (left out at 1, where no sampling has thinned them), the capture policy.
#[must_use]
pub fn stamp(process_id: ProcessId, sample_rate: f64, capture: CapturePolicy) -> String {
    let mut out = Vec::new();
    key(&mut out, "process_id");
    write_uuid(&mut out, &process_id.0);
    if sample_rate < 1.0 {
        key(&mut out, "sample_rate");
        write_f64(&mut out, sample_rate);
    }
    key(&mut out, "capture");
    for (at, category) in CaptureCategory::ALL.iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        word(&mut out, category.as_str());
        out.push(b':');
        word(&mut out, if capture.allows(*category) { "captured" } else { "suppressed" });
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes input or output by `write`. A payload that is a string is marked as that string: without
/// the mark the wire reads a string as JSON text, and `"123"` would come back as a number.
#[inline]
pub(crate) fn write_payload(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, name);
    let start = out.len();
    write(out);
    mark_text(out, name, start);
}

/// Marks the payload that begins at `start` where it is a string.
#[inline]
pub(crate) fn mark_text(out: &mut Vec<u8>, name: &str, start: usize) {
    if out.get(start) == Some(&b'"') {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"_is_text\":true");
    }
}

#[inline]
pub(crate) fn write_times(out: &mut Vec<u8>, start_ns: i64, end_ns: Option<i64>) {
    out.extend_from_slice(b"{\"start_ns\":");
    write_i64(out, start_ns);
    if let Some(end_ns) = end_ns {
        out.extend_from_slice(b",\"end_ns\":");
        write_i64(out, end_ns);
    }
}

#[inline]
pub(crate) fn write_identity(out: &mut Vec<u8>, span_id: &SpanId, parent: Option<&SpanId>) {
    out.extend_from_slice(b",\"span_id\":");
    write_uuid(out, &span_id.0);
    match parent {
        Some(parent) => {
            out.extend_from_slice(b",\"parent_span_id\":");
            write_uuid(out, &parent.0);
        }
        None => out.extend_from_slice(b",\"parent_span_id\":null"),
    }
}

/// `,"name":` of a name that needs no escapes.
#[inline]
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A string that needs no escapes.
#[inline]
pub(crate) fn word(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
