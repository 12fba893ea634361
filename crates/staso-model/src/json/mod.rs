//! The native wire: `POST /v1/traces/ingest` bodies to spans, and back.
//!
//! [`decode_batch`] takes whatever arrives and keeps all of it that can be kept. What is wrong is
//! mended and marked, on the span ([`Span::repairs`]) and in the batch's list, and the original of a
//! replaced value stays in the span's attributes as `staso.original.<field>`. Only a body that is not
//! JSON, or has no `traces` array, is refused ([`DecodeError`]).
//!
//! Cost: one pass of `scan` over the body, then walks over slices of it. Inputs and outputs stay
//! text; only attributes become values. Nothing recurses deeper than [`Limits::max_attribute_depth`].
//!
//! A span whose attributes say `staso.interrupted: true` was closed by somebody else because its process
//! was gone ([`Stage::Interrupted`](crate::Stage)), whoever sends it.
//!
//! `input` and `output` as a JSON string hold JSON *text* (that is what existing clients send);
//! other JSON values are the payload itself. A string that is not JSON text is kept as plain text. A
//! client that wants to keep a string such as `"123"` from being read as a number sends its JSON
//! text, quotes included, or sets `input_is_text` / `output_is_text`.

mod annotation;
mod encode;
mod error;
mod fields;
mod mender;
mod parts;
mod scan;
mod span;
mod text;
mod time;
mod tokens;
mod trace;
mod value;
mod walk;

pub use annotation::{AnnotationContext, decode_annotation};
pub use encode::{encode_batch, encode_trace};
pub use error::{AnnotationError, DecodeError};

use crate::annotation::Annotation;
use crate::ids::{ProcessId, SpanId, TraceId};
use crate::span::Span;
use crate::value::{Attributes, Value};

/// What the decoder is told from outside: it reads no clock and makes no random id.
#[derive(Debug, Clone, Copy)]
pub struct DecodeContext<'a> {
    /// The workspace of the key: every span goes there, whatever the body says.
    pub workspace_override: Option<&'a str>,
    /// The workspace of spans that name none.
    pub default_workspace: &'a str,
    /// When the body arrived, Unix nanoseconds; also the time of spans that have no readable one.
    pub received_ns: i64,
    /// The sequence of the first span; the others follow one by one.
    pub first_sequence: u64,
    /// The `Idempotency-Key`, or the receipt made for the request: missing ids are derived from it
    /// and the position, so that a resend of the batch meets the same spans.
    pub receipt_id: &'a str,
    /// How much one request may carry.
    pub limits: Limits,
}

/// How much one request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Spans in one request, and traces; above it the request is refused.
    pub max_spans: usize,
    /// Annotations, and process signs, in one request; above it the request is refused.
    pub max_annotations: usize,
    /// Nesting of an input or output; what lies deeper is kept as text.
    pub max_depth: usize,
    /// Nesting of an attribute; what lies deeper is kept as text. Attributes become trees, and OTLP
    /// readers stop at 100 nested messages, three of which make one level.
    pub max_attribute_depth: usize,
    /// Values that the attributes, events, links and tags of one request may make; what comes after
    /// is kept as text. A tree takes many times the memory of its text.
    pub max_values: usize,
    /// Bytes of a name, and of every other short text field; the rest is cut.
    pub max_name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_spans: 10_000,
            max_annotations: 10_000,
            max_depth: 512,
            max_attribute_depth: 30,
            max_values: 1_000_000,
            max_name_bytes: 1024,
        }
    }
}

/// One decoded request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodedBatch {
    /// How many elements `traces` has: the `accepted` of the answer.
    pub trace_count: usize,
    /// The spans, in the order they came.
    pub spans: Vec<Span>,
    /// The annotations of all traces, in the order they came.
    pub annotations: Vec<Annotation>,
    /// Heartbeats and goodbyes.
    pub processes: Vec<ProcessSign>,
    /// Everything that was mended.
    pub repairs: Vec<RepairReport>,
}

/// A sign of a process that records spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSign {
    /// The process.
    pub process_id: ProcessId,
    /// What it says.
    pub state: ProcessState,
}

/// What a process says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It lived at this time, Unix nanoseconds.
    Alive {
        /// When.
        at_ns: i64,
    },
    /// It ends; spans still open are interrupted.
    Goodbye,
}

/// One repair, as the answer's `repaired` list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// The trace; `None` where the trouble lies outside any.
    pub trace_id: Option<TraceId>,
    /// The span; `None` for an annotation of a whole trace, or a process sign.
    pub span_id: Option<SpanId>,
    /// The field, in the sender's spelling.
    pub field: String,
    /// What was wrong and what was done.
    pub problem: String,
}

/// Decodes one ingest body.
///
/// # Errors
/// [`DecodeError`] when the body is not JSON, has no `traces` array, or holds more than the limits
/// allow. Everything less is mended.
pub fn decode_batch(body: &[u8], ctx: &DecodeContext<'_>) -> Result<DecodedBatch, DecodeError> {
    // A byte order mark is not JSON, but some encoders write one.
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let summary = scan::scan(text).map_err(|mut fault| {
        fault.offset += body.len() - text.len();
        DecodeError::not_json(body, fault)
    })?;
    let is_clean = summary.is_clean(ctx.limits.max_depth);
    trace::decode_body(walk::trim(text), ctx, is_clean)
}

/// Attributes as a JSON object: bytes as base64 text, NaN and infinities as null, repeated keys
/// repeated. [`attributes_from_json`] gives back what [`says_json`] admits.
#[must_use]
pub fn attributes_to_json(attributes: &[(String, Value)]) -> String {
    let mut out = String::new();
    value::write_members(attributes, &mut out);
    out
}

/// Attributes from the text of [`attributes_to_json`]. Other text gives some attributes or none.
#[must_use]
pub fn attributes_from_json(text: &str) -> Attributes {
    value::read_members(text.as_bytes(), EXACT_DEPTH, &mut text::Mends::default())
}

/// How deep [`says_json`] looks.
const EXACT_DEPTH: usize = 64;

/// Whether JSON can say these attributes exactly: no bytes, no NaN, no great depth.
#[must_use]
pub fn says_json(attributes: &[(String, Value)]) -> bool {
    fn says(value: &Value, depth: usize) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) => true,
            Value::Double(x) => x.is_finite(),
            Value::Bytes(_) => false,
            Value::Array(items) => depth > 0 && items.iter().all(|item| says(item, depth - 1)),
            Value::Map(entries) => depth > 0 && entries.iter().all(|(_, v)| says(v, depth - 1)),
        }
    }
    attributes.iter().all(|(_, value)| says(value, EXACT_DEPTH - 1))
}

/// A value as JSON text.
pub(crate) fn value_to_json(value: &Value) -> String {
    let mut out = String::new();
    value::write(value, &mut out);
    out
}

/// Text that is JSON, unescaped; any other text comes back as the error.
pub(crate) fn plain_json_text(text: String) -> Result<String, String> {
    text::json_text(text, Limits::default().max_depth).map(|(json, _)| json)
}
