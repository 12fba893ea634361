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

/// A record's frame up to its JSON.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: [u8; FRAME_HEADER + SpanFront::BYTES],
    length: usize,
}

impl Head {
    /// What stands before this JSON: an object, or with a front the members that follow it.
    #[inline]
    pub(crate) fn new(
        kind: RecordKind,
        trace_id: &TraceId,
        span_id: &SpanId,
        front: Option<&SpanFront>,
        json: &[u8],
    ) -> Self {
        let mut bytes = [0; FRAME_HEADER + SpanFront::BYTES];
        let front_len = front.map_or(0, |_| SpanFront::BYTES);
        // The caller has bounded the payload by a segment's capacity, which fits.
        let payload = u32::try_from(front_len + json.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&payload.to_le_bytes());
        bytes[8] = match front {
            None => kind as u8,
            Some(front) => {
                if front.is_at_home {
                    AT_HOME
                } else {
                    IN_PARTS
                }
            }
        };
        bytes[9..16].copy_from_slice(MARKER);
        bytes[16..32].copy_from_slice(&trace_id.0);
        bytes[32..48].copy_from_slice(&span_id.0);
        if let Some(front) = front {
            bytes[FRAME_HEADER..].copy_from_slice(&front.encode());
        }
        let length = FRAME_HEADER + front_len;
        let crc = checksum(&bytes[..length], json);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        Self { bytes, length }
    }

    /// The bytes themselves.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// How many of them belong to the payload.
    pub(crate) fn front_len(&self) -> usize {
        self.length - FRAME_HEADER
    }
}

/// A digest of what stands before the JSON and of JSON that is short; it is what the CRC-32 of longer JSON
/// begins with. A CRC of few bytes costs more than the rest of a small record.
fn checksum(head: &[u8], json: &[u8]) -> u32 {
    let length = head[..4].iter().fold(0, |mixed, byte| mixed << 8 | u64::from(*byte));
    let mixed = digest(length, &head[8..]);
    if json.len() <= SHORT_JSON {
        return fold(digest(mixed, json));
    }
    let mut hasher = crc32fast::Hasher::new_with_initial(fold(mixed));
    hasher.update(json);
    hasher.finalize()
}

fn digest(mixed: u64, bytes: &[u8]) -> u64 {
    let mix = |mixed: u64, word: [u8; 8]| {
        (mixed ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(mixed, |mixed, word| mix(mixed, *word));
    if rest.is_empty() {
        return mixed;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mixed, last)
}

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
    /// The record, copied out; `None` for a form of a later format.
    pub(crate) fn record(&self) -> Option<Record> {
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
        Some(Record { kind, trace_id, span_id, front, json: self.json.to_vec() })
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
