//! The walker: one Python object in, its JSON bytes out, in a single pass.
//!
//! Plain values (str, int, float, bool, None, dict, list, tuple) are read without calling any
//! Python code. Everything else is handed, a bounded number of times a span, to the describer in
//! `staso/_internal/values.py`, whose answer is walked in its place. Whatever goes wrong, a marker
//! stands where the value would have stood and the walk goes on: nothing here raises.

use std::sync::atomic::Ordering;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use staso_sdk::pen::{Pen, replace_surrogates};
use staso_sdk::{Described, Host, Object, Recorder};

use crate::objects;

/// Ints of more bits than this are written in base 16: decimal takes quadratic time.
const DECIMAL_BITS: usize = 4_096;

/// A Python object that a span holds.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) Py<PyAny>);

/// The program's redaction: `(path, value) -> value`.
pub(crate) struct Redaction(pub(crate) Py<PyAny>);

/// Writes the values of one record.
pub(crate) struct Walker<'py> {
    py: Python<'py>,
    pen: Pen,
    recorder: &'static Recorder,
    redaction: Option<&'static Redaction>,
    path: Vec<Py<PyAny>>,
    /// A Ctrl-C that fell into our reading of a value; it reaches the user's code after all, once
    /// our own work is done.
    is_interrupted: bool,
}

/// What a value is to the walker. Subclasses of plain types are read by the plain type's own functions.
#[derive(Clone, Copy)]
enum Sort {
    Text,
    Int,
    Float,
    Bool,
    Bytes,
    None,
    Dict,
    List,
    Tuple,
    Other,
}

impl Object for Held {
    fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl Held {
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> Self {
        Self(value.clone().unbind())
    }

    /// `None` where the value is.
    pub(crate) fn some(value: Bound<'_, PyAny>) -> Option<Self> {
        (!value.is_none()).then(|| Self(value.unbind()))
    }
}

impl<'py> Walker<'py> {
    /// A walker for one record of `recorder`.
    #[inline]
    pub(crate) fn new(py: Python<'py>, recorder: &'static Recorder) -> Self {
        let (pen, redaction) = (Pen::new(recorder.limits), recorder.redaction());
        Self { py, pen, recorder, redaction, path: Vec::new(), is_interrupted: false }
    }

    /// Runs `write` with the path begun by `parts`, where somebody reads the path.
    pub(crate) fn under(&mut self, parts: &[&str], write: impl FnOnce(&mut Self)) {
        if self.redaction.is_none() {
            return write(self);
        }
        let parts = parts.iter().map(|part| PyString::new(self.py, part).into_any().unbind());
        self.path.extend(parts);
        write(self);
        self.path.clear();
    }

    /// Writes one value. The caller keeps it alive.
    fn walk(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: a live object the caller holds, and the interpreter is attached.
        let sort = unsafe { Sort::of(value) };
        match sort {
            Sort::None => self.pen.raw(b"null"),
            Sort::Dict => self.dict(value),
            Sort::List => self.sequence(value, ffi::PyList_Size, ffi::PyList_GetItem),
            Sort::Tuple => self.sequence(value, ffi::PyTuple_Size, ffi::PyTuple_GetItem),
            Sort::Other => self.described(value),
            scalar => match self.redacted(value) {
                // SAFETY: the value is of this sort.
                None => unsafe { self.scalar(scalar, value) },
                Some(kept) => {
                    // What the redaction answered is not redacted again.
                    let redaction = self.redaction.take();
                    self.walk(kept.as_ptr());
                    self.redaction = redaction;
                }
            },
        }
    }

    /// # Safety
    /// `value` is of this sort.
    unsafe fn scalar(&mut self, sort: Sort, value: *mut ffi::PyObject) {
        // SAFETY: each function takes what the sort says the value is.
        unsafe {
            match sort {
                Sort::Text => self.text(value),
                Sort::Int => self.int(value),
                Sort::Float => self.pen.float(ffi::PyFloat_AsDouble(value)),
                Sort::Bool => self.pen.boolean(value == ffi::Py_True()),
                _ => {
                    let data = ffi::PyBytes_AsString(value).cast::<u8>();
                    let size = ffi::PyBytes_Size(value).unsigned_abs();
                    self.pen.bytes(std::slice::from_raw_parts(data, size));
                }
            }
        }
    }

    /// # Safety
    /// `value` is a `str`.
    unsafe fn text(&mut self, value: *mut ffi::PyObject) {
        let mut size: ffi::Py_ssize_t = 0;
        // SAFETY: a str; the bytes live as long as it does and are UTF-8 by the function's contract.
        unsafe {
            let data = ffi::PyUnicode_AsUTF8AndSize(value, &raw mut size).cast::<u8>();
            if !data.is_null() {
                let bytes = std::slice::from_raw_parts(data, size.unsigned_abs());
                return self.pen.text(std::str::from_utf8_unchecked(bytes));
            }
            ffi::PyErr_Clear();
        }
        // SAFETY: the caller holds `value`.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        let bytes = value.call_method1("encode", ("utf-8", "surrogatepass"));
        let text = bytes.and_then(|bytes| Ok(replace_surrogates(bytes.cast::<PyBytes>()?.as_bytes())));
        self.pen.text(&text.unwrap_or_else(|error| unreadable(&value, &error)));
    }

    /// # Safety
    /// `value` is an `int`.
    unsafe fn int(&mut self, value: *mut ffi::PyObject) {
        let mut overflow = 0;
        // SAFETY: an int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
        if overflow == 0 {
            return self.pen.int(number);
        }
        // SAFETY: the caller holds `value`.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        let int = self.py.get_type::<PyInt>();
        let bits = int.call_method1("bit_length", (&value,)).and_then(|bits| bits.extract::<usize>());
        let base = if bits.is_ok_and(|bits| bits <= DECIMAL_BITS) { 10 } else { 16 };
        // SAFETY: an int, and the interpreter is attached.
        let digits = unsafe {
            Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_ToBase(value.as_ptr(), base))
        };
        let digits = digits.map(|digits| digits.to_string());
        self.pen.text(&digits.unwrap_or_else(|error| unreadable(&value, &error)));
    }

    /// Writes what stands for a value that is not plain.
    fn described(&mut self, value: *mut ffi::PyObject) {
        if !self.pen.enter(value.addr()) {
            return;
        }
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        if !self.pen.take_call() {
            self.pen.marker(&format!("<{}>", type_name(&value)));
        } else {
            let limit = self.pen.limits.value_bytes;
            let described = objects::describe(self.py).and_then(|tell| tell.call1((&value, limit)));
            match described {
                Ok(described) => self.walk(described.as_ptr()),
                Err(error) => {
                    self.note_interrupt(&error);
                    self.pen.marker(&unreadable(&value, &error));
                }
            }
        }
        self.pen.leave();
    }

    fn note_interrupt(&mut self, error: &PyErr) {
        self.is_interrupted |= error.is_instance_of::<PyKeyboardInterrupt>(self.py);
    }

    /// What the redaction wants written instead of `value`; `None` without one.
    fn redacted(&mut self, value: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        let redact = self.redaction?.0.bind(self.py);
        let path = PyTuple::new(self.py, self.path.iter().map(|part| part.clone_ref(self.py)));
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        let answer = path.and_then(|path| redact.call1((path, value)));
        Some(answer.unwrap_or_else(|error| {
            self.note_interrupt(&error);
            self.recorder.redactions_failed.fetch_add(1, Ordering::Relaxed);
            PyString::new(self.py, "[redaction failed]").into_any()
        }))
    }

    /// Writes an array by size and item functions, both of which check their bounds.
    fn sequence(
        &mut self,
        list: *mut ffi::PyObject,
        size: unsafe extern "C" fn(*mut ffi::PyObject) -> ffi::Py_ssize_t,
        item: unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject,
    ) {
        if !self.pen.enter(list.addr()) {
            return;
        }
        let (mut index, mut is_first) = (0, true);
        self.pen.raw(b"[");
        // SAFETY: `list` is of the type the functions take. It may shrink while items are described
        // in Python, so that its size is asked before each item and each item is held meanwhile.
        while index < unsafe { size(list) } {
            self.pen.comma(&mut is_first);
            if self.pen.is_full() {
                // SAFETY: as above.
                let left = unsafe { size(list) } - index;
                self.pen.marker(&format!("<span too large: {left} more items>"));
                break;
            }
            // SAFETY: as above; the reference taken here is given back by `held`.
            let held = unsafe { Bound::from_borrowed_ptr(self.py, item(list, index)) };
            self.step(|py| index.into_pyobject(py).map(|place| place.into_any().unbind()).ok());
            self.walk(held.as_ptr());
            self.path.pop();
            index += 1;
        }
        self.pen.raw(b"]");
        self.pen.leave();
    }

    /// Lengthens the path where somebody reads it.
    fn step(&mut self, place: impl FnOnce(Python<'py>) -> Option<Py<PyAny>>) {
        if self.redaction.is_some() {
            self.path.push(place(self.py).unwrap_or_else(|| self.py.None()));
        }
    }

    fn dict(&mut self, dict: *mut ffi::PyObject) {
        if self.pen.enter(dict.addr()) {
            self.pen.raw(b"{");
            self.items(dict, None, &mut true);
            self.pen.raw(b"}");
            self.pen.leave();
        }
    }

    /// Writes the items of a dict, without braces, whose keys `tells` lets through.
    pub(crate) fn items(
        &mut self,
        dict: *mut ffi::PyObject,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    ) {
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
            let is_told = |tells: fn(&str) -> bool| {
                key.cast::<PyString>().is_ok_and(|key| tells(&key.to_string_lossy()))
            };
            if self.pen.is_full() {
                self.pen.members(b"\"$cut\":\"<span too large: more items>\"", is_first);
                break;
            }
            if tells.is_none_or(is_told) {
                self.member(&key, &value, is_first);
            }
        }
    }

    /// Writes one member of an object, after a comma where it is not the first.
    pub(crate) fn member(
        &mut self,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        is_first: &mut bool,
    ) {
        self.pen.comma(is_first);
        self.step(|_| Some(key.clone().unbind()));
        let start = self.pen.out.len();
        self.walk(key.as_ptr());
        self.pen.end_key(start);
        self.walk(value.as_ptr());
        self.path.pop();
    }
}

impl Sort {
    /// # Safety
    /// `value` is a live object, and the interpreter is attached.
    #[inline]
    unsafe fn of(value: *mut ffi::PyObject) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            if kind == &raw mut ffi::PyUnicode_Type {
                return Self::Text;
            } else if kind == &raw mut ffi::PyDict_Type {
                return Self::Dict;
            } else if kind == &raw mut ffi::PyLong_Type {
                return Self::Int;
            } else if kind == &raw mut ffi::PyFloat_Type {
                return Self::Float;
            } else if value == ffi::Py_None() {
                return Self::None;
            } else if kind == &raw mut ffi::PyBool_Type {
                return Self::Bool;
            } else if kind == &raw mut ffi::PyList_Type {
                return Self::List;
            } else if kind == &raw mut ffi::PyTuple_Type {
                return Self::Tuple;
            }
            let flags = ffi::PyType_GetFlags(kind);
            let is = |flag: u64| u64::from(flags) & flag != 0;
            if is(ffi::Py_TPFLAGS_UNICODE_SUBCLASS.into()) {
                Self::Text
            } else if is(ffi::Py_TPFLAGS_LONG_SUBCLASS.into()) {
                Self::Int
            } else if is(ffi::Py_TPFLAGS_DICT_SUBCLASS.into()) {
                Self::Dict
            } else if is(ffi::Py_TPFLAGS_LIST_SUBCLASS.into()) {
                Self::List
            } else if is(ffi::Py_TPFLAGS_BYTES_SUBCLASS.into()) {
                Self::Bytes
            } else if ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFloat_Type) != 0 {
                Self::Float
            } else {
                Self::Other
            }
        }
    }
}

impl Host for Walker<'_> {
    type Object = Held;

    #[inline]
    fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    fn value(&mut self, path: &[&'static str], object: &Held) {
        self.under(path, |walker| walker.walk(object.0.as_ptr()));
    }

    fn members(
        &mut self,
        path: &'static str,
        mapping: &Held,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    ) {
        self.under(&[path], |walker| walker.items(mapping.0.as_ptr(), tells, is_first));
    }

    fn text(&self, object: &Held) -> String {
        name_text(object.0.bind(self.py)).to_string_lossy().into_owned()
    }

    fn whole(&self, object: &Held) -> Option<i64> {
        let value = object.0.bind(self.py);
        value.extract::<i64>().ok().or_else(|| {
            let number = value.extract::<f64>().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
            (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
        })
    }

    fn truth(&self, object: &Held) -> Option<bool> {
        object.0.bind(self.py).is_truthy().ok()
    }

    fn describe(&mut self, raised: &Held, with_stack: bool) -> Described {
        let raised = raised.0.bind(self.py);
        let limit = self.pen.limits.value_bytes;
        let told = objects::describe_exception(self.py)
            .and_then(|describe| describe.call1((raised, with_stack, limit))?.extract());
        let (kind, message, stack) = told.unwrap_or_else(|error| {
            self.note_interrupt(&error);
            (type_name(raised), type_name(raised), None)
        });
        Described { kind, message, stack }
    }

    fn redact(&mut self, path: &[&'static str], text: &str) -> Option<String> {
        self.redaction?;
        let mut redacted = None;
        let text = PyString::new(self.py, text);
        self.under(path, |walker| redacted = walker.redacted(text.as_ptr()));
        redacted.map(|kept| name_text(&kept).to_string_lossy().into_owned())
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        if self.is_interrupted {
            // SAFETY: this only marks a signal as arrived; the interpreter is attached.
            unsafe { ffi::PyErr_SetInterrupt() };
        }
    }
}

/// A value as text: a str as it is, anything else by `str()`, or its type where that raises.
pub(crate) fn name_text<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyString> {
    let type_only = || PyString::new(value.py(), &format!("<{}>", type_name(value)));
    value.cast::<PyString>().map_or_else(|_| value.str().unwrap_or_else(|_| type_only()), Clone::clone)
}

/// The name of a value's real type, which no `__class__` of its own can disguise.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().qualname();
    name.map_or_else(|_| String::from("object"), |name| name.to_string_lossy().into_owned())
}

/// The marker of a value whose reading raised `error`.
fn unreadable(value: &Bound<'_, PyAny>, error: &PyErr) -> String {
    format!("<unreadable {}: {}>", type_name(value), type_name(error.value(value.py())))
}
