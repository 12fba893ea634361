//! How a record lies in a segment: a framed, checksummed run of bytes, aligned to eight.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | checksum of everything but itself |
//! | 8 | 1 | form: 1 a span, 2 an announcement, 3 an annotation, each as a JSON object; 4 a span in parts, 5 one that is at home |
//! | 9 | 7 | marker |
//! | 16 | 16 | trace id |
//! | 32 | 16 | span id |
//! | 48 | n | payload, padded with zeros to a multiple of eight |
//!
//! The payload of a span in parts is its start and end (8 bytes each), its parent's id (16, zeros for a root)
//! and its other members as JSON text. The marker ends in a byte that JSON text never holds, so a reader that
//! meets a torn frame finds the next whole one by searching for it.

use bytes::Bytes;
use memchr::memmem;
use staso_model::{SpanId, TraceId};

use crate::record::{Record, RecordKind, SpanFront};

/// Bytes before the payload.
pub(crate) const FRAME_HEADER: usize = 48;
const MARKER: &[u8; 7] = b"Stasor\x01";
const ALIGNMENT: usize = 8;
/// The forms of spans in parts; the others are the kinds' own numbers.
const IN_PARTS: u8 = 4;
const AT_HOME: u8 = 5;
/// JSON of at most this many bytes enters the checksum in words, as what stands before it.
const SHORT_JSON: usize = 128;

/// How many bytes a payload of this length takes, framed.
pub(crate) fn framed_len(payload: usize) -> usize {
    (FRAME_HEADER + payload).next_multiple_of(ALIGNMENT)
}

/// How many words of eight bytes stand before the JSON of a record that is one object, and of a span in parts.
pub(crate) const WHOLE: usize = FRAME_HEADER / 8;
pub(crate) const PARTS: usize = WHOLE + SpanFront::BYTES / 8;

/// A record's frame up to its JSON, in words: each is computed once and stored as it is, without being put
/// together in memory first.
#[derive(Debug)]
pub(crate) struct Head<const WORDS: usize>([u64; WORDS]);

impl Head<WHOLE> {
    /// What stands before a JSON object.
    #[inline]
    pub(crate) fn whole(
        kind: RecordKind,
        trace_id: &TraceId,
        span_id: &SpanId,
        json: &[u8],
    ) -> Self {
        let ([t0, t1], [s0, s1]) = (words(&trace_id.0), words(&span_id.0));
        Self([payload(json.len()), form(kind as u8), t0, t1, s0, s1]).sealed(json)
    }
}

impl Head<PARTS> {
    /// What stands before the members that follow this front.
    #[inline]
    pub(crate) fn parts(
        trace_id: &TraceId,
        span_id: &SpanId,
        front: &SpanFront,
        json: &[u8],
    ) -> Self {
        let ([t0, t1], [s0, s1]) = (words(&trace_id.0), words(&span_id.0));
        let [p0, p1] = words(&front.parent_id.unwrap_or(SpanId::NIL).0);
        let form = form(if front.is_at_home { AT_HOME } else { IN_PARTS });
        let (start, end) = (front.start_ns.cast_unsigned(), front.end_ns.cast_unsigned());
        let payload = payload(SpanFront::BYTES + json.len());
        Self([payload, form, t0, t1, s0, s1, start, end, p0, p1]).sealed(json)
    }
}

impl<const WORDS: usize> Head<WORDS> {
    /// How many of its bytes belong to the payload.
    pub(crate) const FRONT: usize = WORDS * 8 - FRAME_HEADER;

    #[inline]
    fn sealed(mut self, json: &[u8]) -> Self {
        let mixed =
            self.0[1..].iter().fold(seed(self.0[0] as u32), |mixed, word| mix(mixed, *word));
        self.0[0] |= u64::from(finished(mixed, json)) << 32;
        self
    }

    /// The words, each to be stored with its lowest byte first.
    #[inline]
    pub(crate) fn words(&self) -> &[u64; WORDS] {
        &self.0
    }
}

/// The first word before its checksum. The caller has bounded the payload by a segment's capacity, which fits.
#[inline]
fn payload(bytes: usize) -> u64 {
    u64::from(u32::try_from(bytes).unwrap_or(u32::MAX))
}

#[inline]
fn form(form: u8) -> u64 {
    let [a, b, c, d, e, f, g] = *MARKER;
    u64::from_le_bytes([form, a, b, c, d, e, f, g])
}

#[inline]
fn words(id: &[u8; 16]) -> [u64; 2] {
    let id = u128::from_le_bytes(*id);
    [id as u64, (id >> 64) as u64]
}

/// A digest of what stands before the JSON and of JSON that is short; it is what the CRC-32 of longer JSON
/// begins with. A CRC of few bytes costs more than the rest of a small record.
fn checksum(head: &[u8], json: &[u8]) -> u32 {
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    finished(digest(seed(length), &head[8..]), json)
}

/// What the length of the payload begins the digest with.
#[inline]
fn seed(length: u32) -> u64 {
    u64::from(length.swap_bytes())
}

#[inline]
fn finished(mixed: u64, json: &[u8]) -> u32 {
    if json.len() <= SHORT_JSON {
        return fold(digest(mixed, json));
    }
    let mut hasher = crc32fast::Hasher::new_with_initial(fold(mixed));
    hasher.update(json);
    hasher.finalize()
}

#[inline]
fn mix(mixed: u64, word: u64) -> u64 {
    (mixed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[inline]
fn digest(mixed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(mixed, |mixed, word| mix(mixed, u64::from_le_bytes(*word)));
    if rest.is_empty() {
        return mixed;
    }
    // The rest, followed by zeros: read with what stands before it, where that is long enough.
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(mixed, last)
}

#[inline]
fn fold(mixed: u64) -> u32 {
    (mixed ^ mixed >> 32) as u32
}

/// A frame found in a run of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Where it begins in the run.
    pub(crate) start: usize,
    /// Where the next may begin.
    pub(crate) end: usize,
    head: &'a [u8],
    json: &'a [u8],
}

impl Frame<'_> {
    /// The record, a part of the `run` it was found in; `None` for a form of a later format.
    pub(crate) fn record(&self, run: &Bytes) -> Option<Record> {
        let id = |at: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&self.head[at..at + 16]);
            bytes
        };
        let front = SpanFront::decode(&self.head[FRAME_HEADER..], self.head[8] == AT_HOME);
        let kind = match front {
            Some(_) => RecordKind::Span,
            None => RecordKind::from_byte(self.head[8])?,
        };
        let (trace_id, span_id) = (TraceId(id(16)), SpanId(id(32)));
        Some(Record { kind, trace_id, span_id, front, json: run.slice_ref(self.json) })
    }
}

/// What stands at an offset of a run of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole frame, there or after a torn one.
    Frame(Frame<'a>),
    /// Possibly a frame that goes on beyond the run.
    Beyond {
        /// Where it begins in the run.
        start: usize,
        /// How long it says it is, without padding.
        length: usize,
    },
    /// No frame from here on.
    Nothing,
}

/// The first whole frame at or after `from`. Torn and overwritten bytes are passed over.
pub(crate) fn find(run: &[u8], from: usize) -> Found<'_> {
    if let Some(found) = at(run, from) {
        return found;
    }
    let mut search = from;
    while let Some(hit) = run.get(search..).and_then(|rest| memmem::find(rest, MARKER)) {
        let marker = search + hit;
        search = marker + 1;
        let Some(start) = marker.checked_sub(9).filter(|s| *s >= from) else { continue };
        if start.is_multiple_of(ALIGNMENT)
            && let Some(found) = at(run, start)
        {
            return found;
        }
    }
    Found::Nothing
}

/// The frame that begins exactly at `start`, if one does.
fn at(run: &[u8], start: usize) -> Option<Found<'_>> {
    let head = run.get(start..start + FRAME_HEADER)?;
    if &head[9..16] != MARKER {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(head[..4].try_into().ok()?)).ok()?;
    let Some(frame) = run.get(start..start + FRAME_HEADER + length) else {
        return Some(Found::Beyond { start, length: FRAME_HEADER + length });
    };
    let is_in_parts = [IN_PARTS, AT_HOME].contains(&head[8]);
    let front_len = if is_in_parts { SpanFront::BYTES } else { 0 };
    let stored = u32::from_le_bytes(head[4..8].try_into().ok()?);
    let (head, json) = frame.split_at_checked(FRAME_HEADER + front_len)?;
    (stored == checksum(head, json))
        .then(|| Found::Frame(Frame { start, end: start + framed_len(length), head, json }))
}
