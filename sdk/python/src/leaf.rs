//! Leaves: how one scalar is written, cut where it is too long, and marked where it cannot be kept.
//!
//! Markers are text between angle brackets, so that a person sees at once that the program's own
//! value is not what stands there. What is cut keeps its head and tail, its size and its hash.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};
use sha2::{Digest, Sha256};
use staso_sdk::json;

/// Ints of more bits than this are written in base 16: decimal takes quadratic time.
const DECIMAL_BITS: usize = 4_096;

/// Writes text; beyond `limit` bytes its head and tail around a marker.
#[inline]
pub(crate) fn text(out: &mut Vec<u8>, text: &str, limit: usize) {
    if text.len() > limit {
        return json::write_str(out, &bounded(Cow::Borrowed(text), limit));
    }
    json::write_str(out, text);
}

/// The text itself, or beyond `limit` bytes its head and tail around a marker.
#[inline]
pub(crate) fn bounded(text: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit { text } else { cut(&text, limit) }
}

#[cold]
fn cut(text: &str, limit: usize) -> Cow<'static, str> {
    let head = &text[..floor_char(text, limit / 2)];
    let tail = &text[ceil_char(text, text.len() - limit / 2)..];
    let cut = text.len() - head.len() - tail.len();
    let hash = hash(text.as_bytes());
    Cow::Owned(format!("{head}<{cut} of {} bytes cut, sha256 {hash}>{tail}", text.len()))
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes bytes as `{"$bytes": base64}`; beyond `limit` head and tail with the size and hash.
pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let fits = bytes.len() <= limit;
    let head = if fits { bytes } else { &bytes[..limit / 2] };
    out.extend_from_slice(b"{\"$bytes\":");
    json::write_str(out, &BASE64.encode(head));
    if !fits {
        out.extend_from_slice(b",\"$tail\":");
        json::write_str(out, &BASE64.encode(&bytes[bytes.len() - limit / 2..]));
        out.extend_from_slice(b",\"length\":");
        json::write_i64(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        out.extend_from_slice(b",\"sha256\":");
        json::write_str(out, &hash(bytes));
    }
    out.push(b'}');
}

/// Writes a float; JSON has no words for what is not finite, so those become text.
pub(crate) fn float(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        json::write_f64(out, number);
    } else if number.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if number > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

/// The digits of an int that does not fit 64 bits.
pub(crate) fn wide_int(value: &Bound<'_, PyAny>) -> String {
    let int = value.py().get_type::<PyInt>();
    let bits = int.call_method1("bit_length", (value,)).and_then(|bits| bits.extract::<usize>());
    let base = if bits.is_ok_and(|bits| bits <= DECIMAL_BITS) { 10 } else { 16 };
    // SAFETY: the caller has an int, and the interpreter is attached.
    let digits = unsafe {
        Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_ToBase(value.as_ptr(), base))
    };
    match digits {
        Ok(digits) => digits.to_string(),
        Err(error) => unreadable(value, &error),
    }
}

/// The text of a str that holds lone surrogates, each replaced by U+FFFD.
pub(crate) fn without_surrogates(value: &Bound<'_, PyAny>) -> String {
    value.cast::<PyString>().map_or_else(
        |_| type_name(value),
        |text| match text.call_method1("encode", ("utf-8", "surrogatepass")) {
            Ok(bytes) => bytes
                .cast::<PyBytes>()
                .map_or_else(|_| type_name(value), |raw| replace_surrogates(raw.as_bytes())),
            Err(error) => unreadable(value, &error),
        },
    )
}

/// Surrogates stand in the bytes as ED A0..BF xx, which is the only ill-formed thing in them.
fn replace_surrogates(bytes: &[u8]) -> String {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == 0xED && after.first().is_some_and(|next| *next >= 0xA0) {
            clean.extend_from_slice("\u{FFFD}".as_bytes());
            rest = after.get(2..).unwrap_or_default();
        } else {
            clean.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&clean).into_owned()
}

/// The marker of a value whose reading raised `error`.
pub(crate) fn unreadable(value: &Bound<'_, PyAny>, error: &PyErr) -> String {
    format!("<unreadable {}: {}>", type_name(value), type_name(error.value(value.py())))
}

/// The marker of a value after the span used up its calls into Python.
pub(crate) fn type_only<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyString> {
    PyString::new(value.py(), &format!("<{}>", type_name(value)))
}

/// The name of a value's real type, which no `__class__` of its own can disguise.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().qualname();
    name.map_or_else(|_| String::from("object"), |name| name.to_string_lossy().into_owned())
}
