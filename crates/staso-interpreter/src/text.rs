//! The text of a `str`, as UTF-8 that the `str` keeps where that is little and that is let go where it is much.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Texts of more characters than this are long: UTF-8 that is asked of a `str` stays with it as long as it lives.
const LONG_CHARACTERS: ffi::Py_ssize_t = 4_096;

/// The text of an object that is a `str`, not a long one, and without lone surrogates, which UTF-8 cannot carry.
///
/// # Safety
/// The interpreter is attached, and the object is alive for as long as the text is used.
#[inline]
pub unsafe fn short_text<'a>(object: *mut ffi::PyObject) -> Option<&'a str> {
    // SAFETY: by the promise above.
    unsafe {
        let flags = ffi::PyType_GetFlags(ffi::Py_TYPE(object));
        let is_str = flags & ffi::Py_TPFLAGS_UNICODE_SUBCLASS != 0;
        if is_str && ffi::PyUnicode_GetLength(object) <= LONG_CHARACTERS {
            kept_text(object)
        } else {
            None
        }
    }
}

/// Shows `tell` the text of a `str`; false where it has lone surrogates.
#[inline]
pub fn with_text(text: &Bound<'_, PyString>, tell: impl FnOnce(&str)) -> bool {
    // SAFETY: a str, which the caller holds.
    let is_long = unsafe { ffi::PyUnicode_GetLength(text.as_ptr()) } > LONG_CHARACTERS;
    if is_long && !text.call_method0("isascii").is_ok_and(|is| is.is_truthy().unwrap_or(false)) {
        let bytes = text.encode_utf8();
        let text = bytes.as_ref().ok().and_then(|text| std::str::from_utf8(text.as_bytes()).ok());
        return text.map(tell).is_some();
    }
    // SAFETY: as above.
    unsafe { kept_text(text.as_ptr()) }.map(tell).is_some()
}

/// The UTF-8 that a `str` keeps, which is the `str` itself where it is ASCII.
#[inline]
unsafe fn kept_text<'a>(text: *mut ffi::PyObject) -> Option<&'a str> {
    let mut length = 0;
    // SAFETY: a live str, by those who call this. What the interpreter answers is UTF-8.
    unsafe {
        let bytes = ffi::PyUnicode_AsUTF8AndSize(text, &raw mut length);
        if bytes.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let bytes = std::slice::from_raw_parts(bytes.cast(), length.unsigned_abs());
        Some(std::str::from_utf8_unchecked(bytes))
    }
}
