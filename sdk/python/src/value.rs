//! The walker: one Python object in, its JSON bytes out, in a single pass.
//!
//! Plain values (str, int, float, bool, None, dict, list, tuple) are read without calling any
//! Python code. Everything else is handed, a bounded number of times a span, to the describer in
//! `staso/_internal/values.py`, whose answer is walked in its place. Whatever goes wrong, a marker
//! stands where the value would have stood and the walk goes on: nothing here raises.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use staso_sdk::json;

use crate::leaf;
use crate::objects;
use crate::recorder::Recorder;

/// How deep values may nest: the server's limit of 512 less what stands around a value in a batch.
const DEPTH_LIMIT: usize = 500;

/// How many times one span may call into Python for values that are not plain.
const CALLS_PER_SPAN: u32 = 2_000;

/// What bounds the record of one span.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The most bytes one string or bytes leaf keeps.
    pub(crate) value_bytes: usize,
    /// The most bytes the whole record may take before the rest is cut.
    pub(crate) span_bytes: usize,
}

/// Writes values of one span, and remembers what the whole span has used up.
pub(crate) struct Walker<'a, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) limits: Limits,
    /// The containers open above the value being written: what cycles and depth are judged by.
    above: Vec<*mut ffi::PyObject>,
    calls_left: u32,
    redact: Option<&'a Py<PyAny>>,
    path: Vec<Py<PyAny>>,
    /// A KeyboardInterrupt that arrived while a value was described; given back at the end.
    interrupted: bool,
    /// How many values the redaction could not decide; each was replaced by a marker.
    pub(crate) redactions_failed: u64,
}

impl<'a, 'py> Walker<'a, 'py> {
    /// A walker that appends to `out`.
    pub(crate) fn new(
        py: Python<'py>,
        out: &'a mut Vec<u8>,
        limits: Limits,
        redact: Option<&'a Py<PyAny>>,
    ) -> Self {
        Self {
            py,
            out,
            limits,
            above: Vec::new(),
            calls_left: CALLS_PER_SPAN,
            redact,
            path: Vec::new(),
            interrupted: false,
            redactions_failed: 0,
        }
    }

    /// A walker for one record of `recorder`.
    pub(crate) fn of(py: Python<'py>, out: &'a mut Vec<u8>, recorder: &'a Recorder) -> Self {
        Self::new(py, out, recorder.limits, recorder.redact.as_ref())
    }

    /// Counts what the redaction left open.
    pub(crate) fn finish(self, recorder: &Recorder) {
        recorder.redactions_failed.fetch_add(self.redactions_failed, Ordering::Relaxed);
    }

    /// Whether a redaction has to see every value.
    pub(crate) fn is_redacting(&self) -> bool {
        self.redact.is_some()
    }

    /// Writes JSON as it is.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    /// Writes `value` as the field `field` of the record, which is also the start of its path.
    pub(crate) fn field(&mut self, field: &str, value: &Bound<'py, PyAny>) {
        if self.redact.is_some() {
            self.push_path(PyString::new(self.py, field).into_any().unbind());
            self.value(value.as_ptr());
            self.path.pop();
        } else {
            self.value(value.as_ptr());
        }
    }

    /// Writes a text as the field `field`.
    pub(crate) fn text_field(&mut self, field: &str, text: &str) {
        if self.redact.is_none() {
            return leaf::text(self.out, text, self.limits.value_bytes);
        }
        let text = PyString::new(self.py, text);
        self.field(field, text.as_any());
    }

    /// A text that is no part of a payload, after the redaction and the limit on its size.
    pub(crate) fn plain_field<'t>(&mut self, field: &str, text: Cow<'t, str>) -> Cow<'t, str> {
        let mut text = text;
        if self.redact.is_some() {
            self.enter_path(field);
            let value = PyString::new(self.py, &text);
            if let Some(kept) = self.redacted(value.as_ptr()) {
                text = Cow::Owned(crate::words::name_text(&kept).to_string_lossy().into_owned());
            }
            self.leave_path();
        }
        leaf::bounded(text, self.limits.value_bytes)
    }

    /// Writes a container of fields whose values the caller writes: metadata with additions.
    pub(crate) fn enter_path(&mut self, field: &str) {
        if self.redact.is_some() {
            self.push_path(PyString::new(self.py, field).into_any().unbind());
        }
    }

    /// Undoes [`Self::enter_path`].
    pub(crate) fn leave_path(&mut self) {
        if self.redact.is_some() {
            self.path.pop();
        }
    }

    /// Writes one value. The caller keeps it alive.
    fn value(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: `value` is a live object the caller holds, and the interpreter is attached; each
        // arm looks at the object only after its exact type was compared.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            if kind == &raw mut ffi::PyUnicode_Type {
                self.text(value);
            } else if kind == &raw mut ffi::PyDict_Type {
                self.dict(value);
            } else if kind == &raw mut ffi::PyLong_Type {
                self.scalar(value, Self::int);
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.scalar(value, Self::float);
            } else if value == ffi::Py_None() {
                self.out.extend_from_slice(b"null");
            } else if kind == &raw mut ffi::PyBool_Type {
                self.scalar(value, Self::boolean);
            } else if kind == &raw mut ffi::PyList_Type {
                self.sequence(value, ffi::PyList_Size, ffi::PyList_GetItem);
            } else if kind == &raw mut ffi::PyTuple_Type {
                self.sequence(value, ffi::PyTuple_Size, ffi::PyTuple_GetItem);
            } else {
                self.other(value);
            }
        }
    }

    /// Whatever is not exactly a plain type: what subclasses of those hold, read by the plain
    /// type's own functions; the rest by its description.
    fn other(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: as in `value`; the flags tell which plain type's layout the object has.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            let flags = ffi::PyType_GetFlags(kind);
            if flags & ffi::Py_TPFLAGS_UNICODE_SUBCLASS != 0 {
                return self.text(value);
            } else if flags & ffi::Py_TPFLAGS_LONG_SUBCLASS != 0 {
                return self.scalar(value, Self::int);
            } else if flags & ffi::Py_TPFLAGS_DICT_SUBCLASS != 0 {
                return self.dict(value);
            } else if flags & ffi::Py_TPFLAGS_LIST_SUBCLASS != 0 {
                return self.sequence(value, ffi::PyList_Size, ffi::PyList_GetItem);
            } else if flags & ffi::Py_TPFLAGS_BYTES_SUBCLASS != 0 {
                return self.scalar(value, Self::bytes);
            } else if ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFloat_Type) != 0 {
                return self.scalar(value, Self::float);
            }
        }
        if !self.enter(value) {
            return;
        }
        match self.describe(value) {
            Ok(described) => self.value(described.as_ptr()),
            Err(error) => self.failure(value, &error),
        }
        self.above.pop();
    }

    /// A plain object or text that stands for `value`.
    fn describe(&mut self, value: *mut ffi::PyObject) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        if self.calls_left == 0 {
            return Ok(leaf::type_only(&value).into_any());
        }
        self.calls_left -= 1;
        objects::describe(self.py)?.call1((value, self.limits.value_bytes))
    }

    /// The marker of a value whose description raised.
    fn failure(&mut self, value: *mut ffi::PyObject, error: &PyErr) {
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        self.interrupted |= error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(self.py);
        let marker = leaf::unreadable(&value, error);
        json::write_str(self.out, &marker);
    }

    /// Writes a scalar, after the redaction where there is one.
    fn scalar(
        &mut self,
        value: *mut ffi::PyObject,
        write: unsafe fn(&mut Self, *mut ffi::PyObject),
    ) {
        match self.redacted(value) {
            // SAFETY: the caller compared the exact type that `write` reads.
            None => unsafe { write(self, value) },
            Some(kept) => self.replacement(&kept),
        }
    }

    /// What the redaction wants written instead of `value`; `None` without one.
    fn redacted(&mut self, value: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        let redact = self.redact?;
        let path = PyTuple::new(self.py, self.path.iter().map(|part| part.clone_ref(self.py)));
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        let answer = path.and_then(|path| redact.bind(self.py).call1((path, value)));
        Some(answer.unwrap_or_else(|error| {
            self.interrupted |=
                error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(self.py);
            self.redactions_failed += 1;
            PyString::new(self.py, "[redaction failed]").into_any()
        }))
    }

    /// Writes what the redaction answered, which is not redacted again.
    fn replacement(&mut self, kept: &Bound<'py, PyAny>) {
        let redact = self.redact.take();
        self.value(kept.as_ptr());
        self.redact = redact;
    }

    /// # Safety
    /// `value` is exactly a `str`.
    unsafe fn text(&mut self, value: *mut ffi::PyObject) {
        self.scalar(value, Self::plain_text);
    }

    /// # Safety
    /// `value` is exactly a `str`.
    unsafe fn plain_text(&mut self, value: *mut ffi::PyObject) {
        let mut size: ffi::Py_ssize_t = 0;
        // SAFETY: a str; the bytes live as long as it does and are UTF-8 by the function's contract.
        let text = unsafe {
            let data = ffi::PyUnicode_AsUTF8AndSize(value, &raw mut size).cast::<u8>();
            if data.is_null() {
                ffi::PyErr_Clear();
                None
            } else {
                let bytes = std::slice::from_raw_parts(data, size.unsigned_abs());
                Some(std::str::from_utf8_unchecked(bytes))
            }
        };
        match text {
            Some(text) => leaf::text(self.out, text, self.limits.value_bytes),
            None => {
                // SAFETY: the caller holds `value`.
                let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
                leaf::text(self.out, &leaf::without_surrogates(&value), self.limits.value_bytes);
            }
        }
    }

    /// # Safety
    /// `value` is exactly an `int`.
    unsafe fn int(&mut self, value: *mut ffi::PyObject) {
        let mut overflow = 0;
        // SAFETY: an int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
        if overflow == 0 {
            json::write_i64(self.out, number);
        } else {
            // SAFETY: the caller holds `value`.
            let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
            leaf::text(self.out, &leaf::wide_int(&value), self.limits.value_bytes);
        }
    }

    /// # Safety
    /// `value` is exactly a `float`.
    unsafe fn float(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: a float.
        leaf::float(self.out, unsafe { ffi::PyFloat_AsDouble(value) });
    }

    /// # Safety
    /// `value` is a `bool`.
    unsafe fn boolean(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: `Py_True` is a singleton.
        let truth = value == unsafe { ffi::Py_True() };
        self.out.extend_from_slice(if truth { b"true" } else { b"false" });
    }

    /// # Safety
    /// `value` is exactly a `bytes`.
    unsafe fn bytes(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: a bytes object; it does not change while it lives.
        let bytes = unsafe {
            let data = ffi::PyBytes_AsString(value).cast::<u8>();
            std::slice::from_raw_parts(data, ffi::PyBytes_Size(value).unsigned_abs())
        };
        leaf::bytes(self.out, bytes, self.limits.value_bytes);
    }

    /// Opens a container or described object; false, with a marker written, for a cycle, too deep
    /// a nesting or a span that is full.
    fn enter(&mut self, value: *mut ffi::PyObject) -> bool {
        let refusal = if self.above.contains(&value) {
            "<cycle>"
        } else if self.above.len() >= DEPTH_LIMIT {
            "<nested too deeply>"
        } else if self.is_full() {
            "<span too large>"
        } else {
            self.above.push(value);
            return true;
        };
        json::write_str(self.out, refusal);
        false
    }

    /// Whether the record has reached its size limit.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= self.limits.span_bytes
    }

    /// Writes an array by size and item functions, both of which check their bounds.
    fn sequence(
        &mut self,
        list: *mut ffi::PyObject,
        size: unsafe extern "C" fn(*mut ffi::PyObject) -> ffi::Py_ssize_t,
        item: unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject,
    ) {
        if !self.enter(list) {
            return;
        }
        self.out.push(b'[');
        let mut index = 0;
        // SAFETY: `list` is of the type the functions take. It may shrink while items are described
        // in Python, so that its size is asked before each item and each item is held meanwhile.
        while index < unsafe { size(list) } {
            if index > 0 {
                self.out.push(b',');
            }
            if self.is_full() {
                // SAFETY: as above.
                let left = unsafe { size(list) } - index;
                json::write_str(self.out, &format!("<span too large: {left} more items>"));
                break;
            }
            // SAFETY: as above; the reference taken here is given back by `held`.
            let held = unsafe { Bound::from_borrowed_ptr(self.py, item(list, index)) };
            self.child(held.as_ptr(), index);
            index += 1;
        }
        self.out.push(b']');
        self.above.pop();
    }

    /// Writes one item of an array, its place noted on the path where somebody reads the path.
    fn child(&mut self, value: *mut ffi::PyObject, index: ffi::Py_ssize_t) {
        if self.redact.is_none() {
            return self.value(value);
        }
        let place = index.into_pyobject(self.py).map(|place| place.into_any().unbind());
        self.push_path(place.unwrap_or_else(|_| self.py.None()));
        self.value(value);
        self.path.pop();
    }

    fn push_path(&mut self, place: Py<PyAny>) {
        self.path.push(place);
    }

    /// Writes a dict as an object.
    fn dict(&mut self, dict: *mut ffi::PyObject) {
        if !self.enter(dict) {
            return;
        }
        self.out.push(b'{');
        self.dict_items(dict, true);
        self.out.push(b'}');
        self.above.pop();
    }

    /// Writes the items of a dict without its braces; answers whether nothing was written yet.
    pub(crate) fn dict_items(&mut self, dict: *mut ffi::PyObject, mut first: bool) -> bool {
        let mut position: ffi::Py_ssize_t = 0;
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a dict. Another thread may change it while a value is described; the function
        // reads the dict's present state at each call, so that this costs items, never memory.
        while unsafe { ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) }
            != 0
        {
            // SAFETY: both are live until the dict changes; the references are given back by drop.
            let (key, value) = unsafe {
                (Bound::from_borrowed_ptr(self.py, key), Bound::from_borrowed_ptr(self.py, value))
            };
            if self.is_full() {
                self.items(b"\"$cut\":\"<span too large: more items>\"", first);
                break;
            }
            self.member(&mut first, &key, &value);
        }
        first
    }

    /// Writes one member of an object, after a comma where it is not the first.
    pub(crate) fn member(
        &mut self,
        is_first: &mut bool,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
        if self.redact.is_some() {
            self.push_path(key.clone().unbind());
        }
        self.key(key);
        self.out.push(b':');
        self.value(value.as_ptr());
        if self.redact.is_some() {
            self.path.pop();
        }
    }

    /// Writes members that are JSON already; answers whether there is still none.
    pub(crate) fn items(&mut self, json: &[u8], is_first: bool) -> bool {
        if !json.is_empty() {
            if !is_first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(json);
        }
        is_first && json.is_empty()
    }

    /// Writes a key: text as it is, the JSON words for other scalars, a description for the rest.
    fn key(&mut self, key: &Bound<'py, PyAny>) {
        let start = self.out.len();
        self.value(key.as_ptr());
        if self.out.get(start) != Some(&b'"') {
            let written = String::from_utf8_lossy(&self.out[start..]).into_owned();
            self.out.truncate(start);
            json::write_str(self.out, &written);
        }
    }
}

impl Drop for Walker<'_, '_> {
    fn drop(&mut self) {
        if self.interrupted {
            INTERRUPTED.set(true);
        }
    }
}

thread_local! {
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// Stands in every function that reads values: a Ctrl-C that fell into our reading of one reaches
/// the user's code after all, once our own work is done.
pub(crate) struct GiveInterruptBack;

impl Drop for GiveInterruptBack {
    fn drop(&mut self) {
        if INTERRUPTED.take() {
            // SAFETY: this only marks a signal as arrived; the interpreter is attached.
            unsafe { ffi::PyErr_SetInterrupt() };
        }
    }
}
