//! One record of the journal: a finished span, an announcement of an open one, or an annotation.
//!
//! A finished span is kept in parts: what every span says in the same few words ([`SpanFront`]) as plain
//! numbers, what all spans of a process say once in the head of the segment (its stamp), and only the rest
//! as JSON. Printing and copying those words would cost the recording thread more than the rest of a
//! small span; whoever ships the record prints them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
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

/// What a finished span says before everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanFront {
    /// When it began, Unix nanoseconds.
    pub start_ns: i64,
    /// When it ended, Unix nanoseconds.
    pub end_ns: i64,
    /// The span it hangs under; `None` for a root.
    pub parent_id: Option<SpanId>,
    /// Whether it belongs to what its recorder began with, which the segment says once.
    pub is_at_home: bool,
}

/// What spans that are kept in parts have in common: JSON members with a comma before each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamp {
    /// What every one says of its process.
    pub process: String,
    /// What those say that are at home: the agent and conversation their recorder began with.
    pub home: String,
}

impl SpanFront {
    /// How many bytes it takes in a record.
    pub(crate) const BYTES: usize = 32;

    /// The front that these bytes are.
    pub(crate) fn decode(bytes: &[u8], is_at_home: bool) -> Option<Self> {
        let front: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        Some(Self {
            start_ns: i64::from_le_bytes(front[..8].try_into().ok()?),
            end_ns: i64::from_le_bytes(front[8..16].try_into().ok()?),
            parent_id: Some(SpanId(front[16..].try_into().ok()?)).filter(|id| !id.is_nil()),
            is_at_home,
        })
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
    /// What was kept as numbers; `None` where `json` says all of it.
    pub front: Option<SpanFront>,
    /// One JSON object, an announcement's beginning with `{"start_ns":N`. With a front: the members that
    /// follow it, with commas between them and none before the first.
    pub json: Bytes,
}

impl Record {
    /// When the span began, Unix nanoseconds.
    #[must_use]
    pub fn start_ns(&self) -> Option<i64> {
        self.front.map(|front| front.start_ns).or_else(|| start_ns(&self.json))
    }

    /// About how long its JSON object is.
    pub(crate) fn json_len(&self, stamp: &Stamp) -> usize {
        /// What the words and numbers of a front take as JSON, at most.
        const FRONT_JSON: usize = 176;
        let shared = FRONT_JSON + stamp.process.len() + stamp.home.len();
        self.json.len() + self.front.map_or(0, |_| shared)
    }

    /// Appends the whole JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>, stamp: &Stamp) {
        match &self.front {
            Some(front) => write_span(out, &self.span_id, front, &self.json, stamp),
            None => out.extend_from_slice(&self.json),
        }
    }

    /// The whole JSON object.
    pub(crate) fn whole_json(&self, stamp: &Stamp) -> Cow<'_, [u8]> {
        if self.front.is_none() {
            return Cow::Borrowed(&self.json);
        }
        let mut whole = Vec::with_capacity(self.json_len(stamp));
        self.write_json(&mut whole, stamp);
        Cow::Owned(whole)
    }
}

/// Appends the wire object of a finished span: its front, its own `members` (commas between them, none
/// before the first), and what it shares with others.
fn write_span(
    out: &mut Vec<u8>,
    span_id: &SpanId,
    front: &SpanFront,
    members: &[u8],
    stamp: &Stamp,
) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"{\"start_ns\":");
    out.extend_from_slice(digits.format(front.start_ns).as_bytes());
    out.extend_from_slice(b",\"end_ns\":");
    out.extend_from_slice(digits.format(front.end_ns).as_bytes());
    out.extend_from_slice(b",\"span_id\":");
    write_id(out, &span_id.0);
    out.extend_from_slice(b",\"parent_span_id\":");
    match &front.parent_id {
        Some(parent) => write_id(out, &parent.0),
        None => out.extend_from_slice(b"null"),
    }
    if !members.is_empty() {
        out.push(b',');
        out.extend_from_slice(members);
    }
    if front.is_at_home {
        out.extend_from_slice(stamp.home.as_bytes());
    }
    out.extend_from_slice(stamp.process.as_bytes());
    out.push(b'}');
}

/// Appends an id as UUID text in quotes.
pub(crate) fn write_id(out: &mut Vec<u8>, id: &[u8; 16]) {
    let mut text = [b'"'; 38];
    uuid::Uuid::from_bytes_ref(id).hyphenated().encode_lower(&mut text[1..37]);
    out.extend_from_slice(&text);
}

/// The start that an announcement begins with.
fn start_ns(json: &[u8]) -> Option<i64> {
    let rest = json.strip_prefix(b"{\"start_ns\":")?;
    let end = rest.iter().position(|b| !(b.is_ascii_digit() || *b == b'-'))?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}
