//! One record of the journal: a finished span, an announcement of an open one, or an annotation.

use staso_model::{SpanId, TraceId};

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A span that has ended: the wire's span object.
    Span = 1,
    /// A span that is still open: the wire's span object with `provisional: true`.
    Provisional = 2,
    /// A score or label: the wire's annotation object.
    Annotation = 3,
}

impl RecordKind {
    /// The kind a stored byte stands for; `None` for one of a later format.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Span),
            2 => Some(Self::Provisional),
            3 => Some(Self::Annotation),
            _ => None,
        }
    }
}

/// One record, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// The span it is, or speaks of; nil for an annotation of the whole trace.
    pub span_id: SpanId,
    /// One JSON object. A span's begins with `{"start_ns":N` so that its time is found without
    /// parsing the rest.
    pub json: Vec<u8>,
}
