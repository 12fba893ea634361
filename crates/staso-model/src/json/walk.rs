//! Walking scanned JSON: members of objects, elements of arrays, each value as its raw bytes.
//!
//! These walkers trust that [`super::scan::scan`] accepted the bytes. On other bytes they end
//! early; they never panic and never run past the end.

use std::borrow::Cow;

use super::outline::LongEnds;
use super::scan::{skip_space, string_run};
use super::text::unescape;

/// One raw value: its bytes, with no white space around them.
pub(super) type Raw<'a> = &'a [u8];

/// The members of an object, in order; none for another value.
pub(super) fn members(raw: Raw<'_>) -> Members<'_> {
    members_with(raw, LongEnds::default())
}

/// The same, where the ends of some values are known.
pub(super) fn members_with<'a>(raw: Raw<'a>, ends: LongEnds<'a>) -> Members<'a> {
    let pos = if raw.first() == Some(&b'{') { 1 } else { raw.len() };
    Members { bytes: raw, pos, ends }
}

/// The elements of an array, in order; none for another value.
pub(super) fn elements(raw: Raw<'_>) -> Elements<'_> {
    elements_with(raw, LongEnds::default())
}

/// The same, where the ends of some values are known.
pub(super) fn elements_with<'a>(raw: Raw<'a>, ends: LongEnds<'a>) -> Elements<'a> {
    let pos = if raw.first() == Some(&b'[') { 1 } else { raw.len() };
    Elements { bytes: raw, pos, ends }
}

/// The value in `bytes`, without the white space around it.
pub(super) fn trim(bytes: &[u8]) -> Raw<'_> {
    bytes.trim_ascii()
}

/// Whether this is an object.
pub(super) fn is_object(raw: Raw<'_>) -> bool {
    raw.first() == Some(&b'{')
}

/// Whether this is an array.
pub(super) fn is_array(raw: Raw<'_>) -> bool {
    raw.first() == Some(&b'[')
}

/// Whether this is a string.
pub(super) fn is_string(raw: Raw<'_>) -> bool {
    raw.first() == Some(&b'"')
}

/// Whether this says nothing: null, or a number that JSON does not have.
pub(super) fn is_null(raw: Raw<'_>) -> bool {
    raw == b"null" || is_nonfinite(raw)
}

/// Whether this is a bare `NaN`, `Infinity` or `-Infinity`.
pub(super) fn is_nonfinite(raw: Raw<'_>) -> bool {
    matches!(raw, b"NaN" | b"Infinity" | b"-Infinity")
}

/// See [`members`].
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    pos: usize,
    ends: LongEnds<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = next_item(self.bytes, self.pos)?;
        let end = skip_value(self.bytes, start);
        let key = unescape(self.bytes.get(start..end)?).text;
        let colon = skip_space(self.bytes, end);
        let start = skip_space(self.bytes, colon + 1);
        self.pos = self.ends.of(start).unwrap_or_else(|| skip_value(self.bytes, start));
        Some((key, self.bytes.get(start..self.pos)?))
    }
}

/// See [`elements`].
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    pos: usize,
    ends: LongEnds<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = next_item(self.bytes, self.pos)?;
        self.pos = self.ends.of(start).unwrap_or_else(|| skip_value(self.bytes, start));
        self.bytes.get(start..self.pos)
    }
}

/// Where the next item of a container starts; `None` at its end.
fn next_item(bytes: &[u8], pos: usize) -> Option<usize> {
    let mut pos = skip_space(bytes, pos);
    if bytes.get(pos) == Some(&b',') {
        pos = skip_space(bytes, pos + 1);
    }
    match bytes.get(pos) {
        None | Some(b']' | b'}' | b',') => None,
        Some(_) => Some(pos),
    }
}

/// The offset after the value that starts at `pos`.
pub(super) fn skip_value(bytes: &[u8], mut pos: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(pos) {
        match byte {
            b'"' => pos = skip_string(bytes, pos),
            b'[' | b'{' => {
                depth += 1;
                pos += 1;
                continue;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                pos += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                pos += 1;
                continue;
            }
            _ => pos = skip_scalar(bytes, pos),
        }
        if depth == 0 {
            break;
        }
    }
    pos
}

/// The offset after the string that starts at `pos`.
pub(super) fn skip_string(bytes: &[u8], pos: usize) -> usize {
    let mut pos = pos + 1;
    loop {
        pos = string_run(bytes, pos);
        match bytes.get(pos) {
            None => return bytes.len(),
            Some(b'"') => return pos + 1,
            Some(b'\\') => pos += 2,
            Some(_) => pos += 1,
        }
    }
}

/// The offset after the number or word that starts at `pos`.
pub(super) fn skip_scalar(bytes: &[u8], pos: usize) -> usize {
    let is_end = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    let rest = bytes.get(pos..).unwrap_or_default();
    pos + rest.iter().position(is_end).unwrap_or(rest.len()).max(1)
}
