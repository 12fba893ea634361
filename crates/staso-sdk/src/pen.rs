//! The pen: writes the values of one record as JSON, within the bounds a span has.
//!
//! A binding walks its language's objects and says what it finds; how a scalar is written, cut where
//! it is too long, and marked where it cannot be kept is decided here, once for all languages. Markers
//! are text between angle brackets, so that a person sees at once that the program's own value is not
//! what stands there. What is cut keeps its head and tail, its size and its hash.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

pub use crate::call::{Call, after_writing, tell_strands_apart};
use crate::recorder::Recorder;
use crate::redaction::{self, Ruled, Rules};
use crate::{call, json};

/// How deep values may nest: the server's limit of 512 less what stands around a value in a batch.
const DEPTH_LIMIT: usize = 500;

/// How many times one span may call into the program for values that are not plain.
const CALLS_PER_SPAN: u32 = 2_000;

/// A thread keeps its buffer from span to span, unless a huge span has grown it past this.
const KEPT_BYTES: usize = 1 << 20;

/// What bounds the record of one span, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most one string or bytes leaf keeps.
    pub value_bytes: usize,
    /// The most the whole record may take before the rest is cut.
    pub span_bytes: usize,
}

/// Writes one record.
#[derive(Debug)]
pub struct Pen {
    /// What is written so far.
    pub out: Vec<u8>,
    /// The bounds in force.
    pub limits: Limits,
    /// The containers open above the value being written: what cycles and depth are judged by.
    above: Vec<usize>,
    calls_left: u32,
    /// Texts of this many bytes or more are not simply copied: they are cut, or pass the rules.
    odd_bytes: usize,
    /// Nor are whole numbers of this size or more.
    odd_number: u64,
    /// Nor are containers simply opened this deep: they are refused, or pass the rules.
    odd_depth: usize,
    ruled: Option<Ruled>,
}

/// The buffers of a thread, between two records.
#[derive(Default)]
struct Kept {
    out: Vec<u8>,
    above: Vec<usize>,
}

impl Kept {
    /// The buffers of this thread, emptied, where nobody has them.
    fn take() -> Option<Self> {
        let take = |kept: &RefCell<Self>| {
            let mut kept = kept.try_borrow_mut().ok()?;
            kept.out.clear();
            Some(std::mem::take(&mut *kept))
        };
        KEPT.try_with(take).ok()?
    }
}

thread_local! {
    static KEPT: RefCell<Kept> =
        const { RefCell::new(Kept { out: Vec::new(), above: Vec::new() }) };
    static IN_USE: Cell<u32> = const { Cell::new(0) };
}

/// Lends the thread's buffer, empty, to a record for which no code of the program is called. It is run once.
#[inline]
pub(crate) fn with_buffer<T>(mut write: impl FnMut(&mut Vec<u8>) -> T) -> T {
    let lent = KEPT.try_with(|kept| {
        // It is lent already where the sink of our messages records spans.
        let mut kept = kept.try_borrow_mut().ok()?;
        let written = write(&mut kept.out);
        kept.out.clear();
        Some(written)
    });
    // At the end of a thread there may be nobody to borrow it of.
    lent.ok().flatten().unwrap_or_else(|| write(&mut Vec::new()))
}

/// Whether we are inside the writing of a record. Code of the program that is called meanwhile, to
/// describe a value or to redact it, records no spans: they would call it again, for ever.
#[inline]
#[must_use]
pub fn is_writing() -> bool {
    IN_USE.get() > 0 && call::is_ours()
}

/// A key as JSON, with its colon, for those who write it often.
#[must_use]
pub fn key_json(text: &str) -> Box<[u8]> {
    let mut json = Vec::with_capacity(text.len() + 4);
    json::write_key(&mut json, text, true);
    json.into()
}

impl Pen {
    /// An empty record. The buffer is the thread's, where that is free.
    #[inline]
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        IN_USE.with(|depth| depth.set(depth.get() + 1));
        let Kept { out, above } = Kept::take().unwrap_or_default();
        let odd_bytes = limits.value_bytes.saturating_add(1);
        let (calls_left, odd_number, odd_depth) = (CALLS_PER_SPAN, u64::MAX, DEPTH_LIMIT);
        Self { out, limits, above, calls_left, odd_bytes, odd_number, odd_depth, ruled: None }
    }

    /// Lets everything pass these rules; what they could not decide is counted by `recorder`.
    pub fn apply(&mut self, rules: &'static Rules, recorder: &'static Recorder) {
        (self.odd_bytes, self.odd_number, self.odd_depth) = (0, 0, 0);
        self.ruled = Some(Ruled::new(rules, recorder));
    }

    /// What the rules leave of a text that stands nowhere in a value.
    pub(crate) fn kept<'t>(&mut self, text: Cow<'t, str>) -> Cow<'t, str> {
        match &mut self.ruled {
            Some(ruled) => ruled.text(None, &text).map_or(text, Cow::Owned),
            None => text,
        }
    }

    /// Forgets what is written: another record begins.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
        if let Some(ruled) = &mut self.ruled {
            ruled.forget();
        }
    }

    /// Writes JSON as it is.
    #[inline]
    pub fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    /// Writes text; beyond the limit its head and tail around a marker.
    #[inline]
    pub fn text(&mut self, text: &str) {
        if text.len() >= self.odd_bytes {
            return self.odd_text(text);
        }
        json::write_str(&mut self.out, text);
    }

    #[cold]
    fn odd_text(&mut self, text: &str) {
        let at = self.out.len();
        let kept = self.ruled.as_mut().and_then(|ruled| ruled.text(Some(at), text));
        let kept = kept.map_or(Cow::Borrowed(text), Cow::Owned);
        json::write_str(&mut self.out, &bounded(kept, self.limits.value_bytes));
    }

    /// Writes a marker, or another text that needs no bound.
    pub fn marker(&mut self, text: &str) {
        json::write_str(&mut self.out, text);
    }

    /// Writes what stands for so many items of an array that the span has no room for.
    #[cold]
    pub fn leave_out(&mut self, items: isize) {
        self.marker(&format!("<span too large: {items} more items>"));
    }

    /// Writes bytes as `{"$bytes": base64}`; beyond the limit head and tail with the size and hash.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let at = self.out.len();
        if let Some(ruled) = &mut self.ruled {
            if ruled.is_secret(at) {
                return self.marker(redaction::HIDDEN);
            }
            ruled.judge_bytes(at, bytes);
        }
        let kept = self.ruled.as_ref().and_then(|ruled| ruled.bytes(bytes));
        let bytes = kept.as_deref().unwrap_or(bytes);
        let (out, limit) = (&mut self.out, self.limits.value_bytes);
        let fits = bytes.len() <= limit;
        let head = if fits { bytes } else { &bytes[..limit / 2] };
        out.extend_from_slice(b"{\"$bytes\":");
        json::write_str(out, &BASE64.encode(head));
        if !fits {
            out.extend_from_slice(b",\"$tail\":");
            json::write_str(out, &BASE64.encode(&bytes[bytes.len() - limit / 2..]));
            out.extend_from_slice(b",\"length\":");
            json::write_u64(out, bytes.len() as u64);
            out.extend_from_slice(b",\"sha256\":");
            json::write_str(out, &hash(bytes));
        }
        out.push(b'}');
    }

    /// Writes a whole number.
    #[inline]
    pub fn int(&mut self, number: i64) {
        if number.unsigned_abs() >= self.odd_number {
            return self.odd_int(number);
        }
        json::write_i64(&mut self.out, number);
    }

    #[cold]
    fn odd_int(&mut self, number: i64) {
        let at = self.out.len();
        match self.ruled.as_mut().and_then(|ruled| ruled.whole(at, number)) {
            Some(kept) => json::write_str(&mut self.out, &kept),
            None => json::write_i64(&mut self.out, number),
        }
    }

    /// Writes a float; JSON has no words for what is not finite, so those become text.
    pub fn float(&mut self, number: f64) {
        let at = self.out.len();
        if let Some(kept) = self.ruled.as_mut().and_then(|ruled| ruled.float(at, number)) {
            self.marker(&kept);
        } else if number.is_finite() {
            json::write_f64(&mut self.out, number);
        } else if number.is_nan() {
            self.raw(b"\"NaN\"");
        } else {
            self.raw(if number > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        }
    }

    /// Writes yes or no.
    #[inline]
    pub fn boolean(&mut self, truth: bool) {
        json::write_bool(&mut self.out, truth);
    }

    /// Opens a container or a described object by a number that tells it from all others; false, with
    /// a marker written, for a cycle, too deep a nesting, a span that is full, or a secret.
    #[inline]
    pub fn enter(&mut self, identity: usize) -> bool {
        let refusal = if self.above.contains(&identity) {
            Some("<cycle>")
        } else if self.above.len() >= self.odd_depth || self.is_full() {
            self.refusal()
        } else {
            None
        };
        match refusal {
            Some(refusal) => self.marker(refusal),
            None => self.above.push(identity),
        }
        refusal.is_none()
    }

    /// What is written instead of a container; `None` where it may be opened.
    #[cold]
    fn refusal(&mut self) -> Option<&'static str> {
        let at = self.out.len();
        if self.ruled.as_mut().is_some_and(|ruled| ruled.is_secret(at)) {
            Some(redaction::HIDDEN)
        } else if self.above.len() >= DEPTH_LIMIT {
            Some("<nested too deeply>")
        } else {
            self.is_full().then_some("<span too large>")
        }
    }

    /// Closes what was entered last.
    #[inline]
    pub fn leave(&mut self) {
        self.above.pop();
    }

    /// Whether the record has reached its size limit.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.out.len() >= self.limits.span_bytes
    }

    /// Whether the record would pass its size limit by this much more.
    #[must_use]
    pub fn is_full_with(&self, bytes: usize) -> bool {
        self.out.len().saturating_add(bytes) > self.limits.span_bytes
    }

    /// Takes one of the span's calls into the program; none when they are used up, or the program ends.
    pub fn take_call(&mut self) -> Option<Call> {
        self.calls_left = self.calls_left.checked_sub(1)?;
        Call::begin()
    }

    /// A comma where this is not the first of its container.
    #[inline]
    pub fn comma(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
    }

    /// Writes members that are JSON already.
    pub fn members(&mut self, json: &[u8], is_first: &mut bool) {
        if !json.is_empty() {
            self.comma(is_first);
            self.raw(json);
        }
    }

    /// Writes a key that is text, with a comma before it where it is not the first; false, with nothing written, where
    /// it is not simply copied, but is for `comma` and `end_key`.
    #[inline]
    pub fn plain_key(&mut self, text: &str, is_first: &mut bool) -> bool {
        let is_plain = text.len() < self.odd_bytes;
        if is_plain {
            json::write_key(&mut self.out, text, std::mem::take(is_first));
        }
        is_plain
    }

    /// As above, for a key that [`key_json`] has made.
    #[inline]
    pub fn known_key(&mut self, json: &[u8], is_first: &mut bool) -> bool {
        let is_plain = json.len() < self.odd_bytes;
        if is_plain {
            self.comma(is_first);
            self.raw(json);
        }
        is_plain
    }

    /// Makes what was written since `start` a key: text as it is, any other JSON in quotes.
    #[inline]
    pub fn end_key(&mut self, start: usize) {
        if self.out.get(start) != Some(&b'"') {
            self.quote(start);
        }
        self.out.push(b':');
        if let Some(ruled) = &mut self.ruled {
            ruled.end_key(start, self.out.len());
        }
    }

    #[cold]
    fn quote(&mut self, start: usize) {
        let written = String::from_utf8_lossy(&self.out[start..]).into_owned();
        self.out.truncate(start);
        json::write_str(&mut self.out, &written);
    }

    /// What is written next is what a redaction of the program's own made of this text, which as a key tells
    /// what stands under it.
    pub fn comes_from(&mut self, text: &str) {
        if let Some(ruled) = &mut self.ruled {
            ruled.judge(self.out.len(), text);
        }
    }
}

impl Drop for Pen {
    /// Gives the buffer back to the thread.
    fn drop(&mut self) {
        IN_USE.with(|depth| depth.set(depth.get().saturating_sub(1)));
        if self.out.capacity() <= KEPT_BYTES {
            self.out.clear();
            self.above.clear();
            let (out, above) = (std::mem::take(&mut self.out), std::mem::take(&mut self.above));
            // At the end of a thread there may be nobody to give it back to.
            let _ = KEPT
                .try_with(|kept| kept.try_borrow_mut().map(|mut kept| *kept = Kept { out, above }));
        }
        call::deliver_owed();
    }
}

/// The text itself, or beyond `limit` bytes its head and tail around a marker.
#[inline]
#[must_use]
pub fn bounded(text: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit { text } else { Cow::Owned(cut(&text, limit)) }
}

#[cold]
fn cut(text: &str, limit: usize) -> String {
    let head = &text[..text.floor_char_boundary(limit / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - limit / 2)..];
    let cut = text.len() - head.len() - tail.len();
    let hash = hash(text.as_bytes());
    format!("{head}<{cut} of {} bytes cut, sha256 {hash}>{tail}", text.len())
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A float as the whole number it is; `None` where it has a fraction, or is beyond what floats count
/// exactly.
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pen() -> Pen {
        Pen::new(Limits { value_bytes: 64, span_bytes: 1024 })
    }

    fn value(pen: &Pen) -> serde_json::Value {
        serde_json::from_slice(&pen.out).unwrap()
    }

    #[test]
    fn long_text_keeps_its_ends_on_whole_characters() {
        let mut pen = pen();
        pen.text(&"é😀".repeat(50));
        let text = value(&pen);
        let text = text.as_str().unwrap();
        assert!(text.starts_with("é😀") && text.ends_with("é😀"), "{text}");
        assert!(text.contains("of 300 bytes cut, sha256 "), "{text}");
    }

    #[test]
    fn long_bytes_keep_their_ends_size_and_hash() {
        let mut pen = pen();
        pen.bytes(&[7; 100]);
        let found = value(&pen);
        assert_eq!(found["length"], 100);
        assert_eq!(found["$bytes"], BASE64.encode([7; 32]));
        assert_eq!(found["$tail"], BASE64.encode([7; 32]));
        assert_eq!(found["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn cycles_depth_and_size_are_marked() {
        let mut full = pen();
        assert!(full.enter(1) && !full.enter(1));
        assert_eq!(full.out, b"\"<cycle>\"");
        let mut deep = pen();
        assert!((0..DEPTH_LIMIT).all(|level| deep.enter(level)));
        assert!(!deep.enter(DEPTH_LIMIT));
        deep.leave();
        assert!(deep.enter(DEPTH_LIMIT));
        full.raw(&[b' '; 1024]);
        assert!(full.is_full() && !full.enter(2));
    }

    #[test]
    fn a_key_that_is_no_text_becomes_text() {
        let mut pen = pen();
        for write in [|pen: &mut Pen| pen.int(5), |pen: &mut Pen| pen.text("a")] {
            let start = pen.out.len();
            write(&mut pen);
            pen.end_key(start);
        }
        assert_eq!(pen.out, b"\"5\":\"a\":");
    }

    #[test]
    fn only_whole_floats_count() {
        assert_eq!((whole(3.0), whole(-0.0), whole(2.5)), (Some(3), Some(0), None));
        assert_eq!((whole(f64::NAN), whole(f64::INFINITY), whole(1e300)), (None, None, None));
    }
}
