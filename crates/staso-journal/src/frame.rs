//! How a record lies in a segment: a framed, checksummed run of bytes, aligned to eight.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | CRC-32 of the payload, begun with a digest of the rest of the header |
//! | 8 | 1 | kind |
//! | 9 | 7 | marker |
//! | 16 | 16 | trace id |
//! | 32 | 16 | span id |
//! | 48 | n | payload, padded with zeros to a multiple of eight |
//!
//! The marker ends in a byte that JSON text never holds, so a reader that meets a torn frame finds
//! the next whole one by searching for it.

use memchr::memmem;
use staso_model::{SpanId, TraceId};

use crate::record::{Record, RecordKind};

/// Bytes before the payload.
pub(crate) const FRAME_HEADER: usize = 48;
const MARKER: &[u8; 7] = b"Stasor\x01";
const ALIGNMENT: usize = 8;

/// How many bytes a payload of this length takes, framed.
pub(crate) fn framed_len(payload: usize) -> usize {
    (FRAME_HEADER + payload).next_multiple_of(ALIGNMENT)
}

/// The 48 bytes that stand before this payload.
pub(crate) fn header(
    kind: RecordKind,
    trace_id: &TraceId,
    span_id: &SpanId,
    payload: &[u8],
) -> [u8; FRAME_HEADER] {
    let mut head = [0; FRAME_HEADER];
    // The caller has bounded the payload by a segment's capacity, which fits.
    head[..4].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[8] = kind as u8;
    head[9..16].copy_from_slice(MARKER);
    head[16..32].copy_from_slice(&trace_id.0);
    head[32..48].copy_from_slice(&span_id.0);
    let crc = checksum(&head, payload);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    head
}

/// The header enters as the state that the payload's CRC begins with: feeding it as bytes would cost more than
/// a small payload does.
fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(digest(head));
    hasher.update(payload);
    hasher.finalize()
}

fn digest(head: &[u8]) -> u32 {
    let (length, rest) = (&head[..4], &head[8..FRAME_HEADER]);
    let mut mixed = length.iter().fold(0, |mixed, byte| mixed << 8 | u64::from(*byte));
    for word in rest.as_chunks::<8>().0 {
        mixed =
            (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
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
    payload: &'a [u8],
}

impl Frame<'_> {
    /// The record, copied out; `None` for a kind of a later format.
    pub(crate) fn record(&self) -> Option<Record> {
        let id = |at: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&self.head[at..at + 16]);
            bytes
        };
        Some(Record {
            kind: RecordKind::from_byte(self.head[8])?,
            trace_id: TraceId(id(16)),
            span_id: SpanId(id(32)),
            json: self.payload.to_vec(),
        })
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
    let Some(payload) = run.get(start + FRAME_HEADER..start + FRAME_HEADER + length) else {
        return Some(Found::Beyond { start, length: FRAME_HEADER + length });
    };
    let stored = u32::from_le_bytes(head[4..8].try_into().ok()?);
    (stored == checksum(head, payload))
        .then(|| Found::Frame(Frame { start, end: start + framed_len(length), head, payload }))
}
