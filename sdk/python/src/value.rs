//! The walker: one Python object in, its JSON bytes out, in a single pass.
//!
//! Plain values (str, int, float, bool, None, dict, list, tuple) are read without calling any
//! Python code. Everything else is handed, a bounded number of times a span, to the describer in
//! `staso/_internal/values.py`, whose answer is walked in its place. Whatever goes wrong, a marker
//! stands where the value would have stood and the walk goes on: nothing here raises.

use std::mem::ManuallyDrop;

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, ffi, intern};
use staso_interpreter::{short_text, with_text};
use staso_sdk::pen::{Call, Pen, after_writing, whole};
use staso_sdk::{Described, Host, InterpreterLock, Object, OneThreadAtATime, Recorder, Rules};

use crate::context::Interpreter;
use crate::objects;

/// A Python object that a span holds. It is let go by the thread that holds the interpreter, as everything is done
/// with it (see below), so that nobody need ask at each drop whether this thread does.
pub(crate) struct Held(ManuallyDrop<Py<PyAny>>);

/// Writes the values of one record.
pub(crate) struct Walker<'py> {
    py: Python<'py>,
    pen: Pen,
    recorder: &'static Recorder,
    /// The program's redaction: `(path, value) -> value`.
    redaction: Option<&'static Py<PyAny>>,
    path: Vec<Py<PyAny>>,
}

// SAFETY: spans are reached through Python objects alone, with the interpreter attached; an interpreter that
// could do without its global lock is asked to keep it (`gil_used`).
unsafe impl OneThreadAtATime for Held {}

/// What `init(redact=...)` asked for: the program's own redaction, and the built-in rules, which the pen
/// applies to what that one leaves.
#[derive(FromPyObject)]
pub(crate) struct Redaction(Option<Py<PyAny>>, #[pyo3(from_py_with = rules)] Rules);

fn rules(names: &Bound<'_, PyAny>) -> PyResult<Rules> {
    Rules::named(names.extract::<Vec<String>>()?).map_err(PyValueError::new_err)
}

impl Object for Held {
    type Lock = InterpreterLock<Self>;

    fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl<T> From<Bound<'_, T>> for Held {
    #[inline]
    fn from(value: Bound<'_, T>) -> Self {
        Self(ManuallyDrop::new(value.into_any().unbind()))
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is dropped once, and this thread is the one that has the interpreter, by `OneThreadAtATime`.
        drop(unsafe { ManuallyDrop::take(&mut self.0).into_bound(Python::assume_attached()) });
    }
}

impl Held {
    #[inline]
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> Self {
        Self::from(value.clone())
    }

    /// As `of`, for as long as the caller has it: without a reference of its own.
    pub(crate) fn lent(value: &Bound<'_, PyAny>) -> ManuallyDrop<Self> {
        // SAFETY: a live object; the reference that is not taken is not given back either.
        ManuallyDrop::new(Self::from(unsafe { Bound::from_owned_ptr(value.py(), value.as_ptr()) }))
    }

    /// `None` where the value is.
    #[inline]
    pub(crate) fn some(value: Bound<'_, PyAny>) -> Option<Self> {
        (!value.is_none()).then(|| Self::from(value))
    }

    #[inline]
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }

    #[inline]
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.0)
    }

    #[inline]
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.bind(py).clone()
    }
}

impl<'py> Walker<'py> {
    /// A walker for one record of `recorder`.
    pub(crate) fn new(py: Python<'py>, recorder: &'static Recorder) -> Self {
        let (pen, path) = (Pen::new(recorder.limits), Vec::new());
        let mut walker = Self { py, pen, recorder, redaction: None, path };
        if let Some(Redaction(own, rules)) = recorder.redaction() {
            walker.pen.apply(rules, recorder);
            walker.redaction = own.as_ref();
        }
        walker
    }

    /// Runs `write` with the path begun by `parts`, where somebody reads the path.
    pub(crate) fn under(&mut self, parts: &[&str], write: impl FnOnce(&mut Self)) {
        if self.redaction.is_none() {
            return write(self);
        }
        self.path.extend(parts.iter().map(|part| PyString::new(self.py, part).into_any().unbind()));
        write(self);
        self.path.clear();
    }

    /// Writes one value, which the caller keeps alive; subclasses of plain types by the plain type's functions.
    fn walk(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: a live object, and the interpreter is attached; each function takes what the object was
        // found to be.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            let flags = ffi::PyType_GetFlags(kind);
            if flags & ffi::Py_TPFLAGS_UNICODE_SUBCLASS != 0 {
                self.scalar(value, Self::text);
            } else if flags & ffi::Py_TPFLAGS_DICT_SUBCLASS != 0 {
                self.dict(value);
            } else if kind == &raw mut ffi::PyBool_Type {
                let is_true = value == ffi::Py_True();
                self.scalar(value, |walker, _| walker.pen.boolean(is_true));
            } else if flags & ffi::Py_TPFLAGS_LONG_SUBCLASS != 0 {
                self.scalar(value, Self::int);
            } else if flags & ffi::Py_TPFLAGS_LIST_SUBCLASS != 0 {
                self.sequence(value, ffi::PyList_Size, ffi::PyList_GetItem);
            } else if value == ffi::Py_None() {
                self.pen.raw(b"null");
            } else if kind == &raw mut ffi::PyTuple_Type {
                self.sequence(value, ffi::PyTuple_Size, ffi::PyTuple_GetItem);
            } else if ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFloat_Type) != 0 {
                self.scalar(value, |walker, value| walker.pen.float(ffi::PyFloat_AsDouble(value)));
            } else if flags & ffi::Py_TPFLAGS_BYTES_SUBCLASS != 0 {
                let bytes = Borrowed::from_ptr(self.py, value).cast_unchecked::<PyBytes>();
                self.scalar(value, |walker, _| walker.pen.bytes(bytes.as_bytes()));
            } else {
                self.described(value);
            }
        }
    }

    /// Writes a scalar, after the redaction where there is one.
    #[inline]
    fn scalar(
        &mut self,
        value: *mut ffi::PyObject,
        write: impl FnOnce(&mut Self, *mut ffi::PyObject),
    ) {
        let kept = self.redaction.is_some().then(|| self.redacted(value)).flatten();
        let Some(kept) = kept else { return write(self, value) };
        // What the redaction answered is not redacted again.
        let redaction = self.redaction.take();
        self.walk(kept.as_ptr());
        self.redaction = redaction;
    }

    /// Writes a `str`; one with lone surrogates, which UTF-8 cannot carry, by its description.
    fn text(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: a str, by who calls this.
        let text = unsafe { Borrowed::from_ptr(self.py, value).cast_unchecked::<PyString>() };
        if !with_text(&text, |text| self.pen.text(text)) {
            self.described(value);
        }
    }

    /// Writes an `int`.
    fn int(&mut self, value: *mut ffi::PyObject) {
        let mut overflow = 0;
        // SAFETY: an int, by who calls this.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
        if overflow == 0 { self.pen.int(number) } else { self.described(value) }
    }

    /// Writes what stands for a value that is not plain.
    fn described(&mut self, value: *mut ffi::PyObject) {
        if !self.pen.enter(value.addr()) {
            return;
        }
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        if let Some(_call) = self.pen.take_call() {
            let described = objects::describe(self.py).and_then(|tell| tell.call1((&value,)));
            match described {
                Ok(described) => self.walk(described.as_ptr()),
                Err(error) => {
                    note_interrupt(self.py, &error);
                    let error = type_name(error.value(self.py));
                    self.marker(&format!("<unreadable {}: {error}>", type_name(&value)));
                }
            }
        } else {
            self.marker(&format!("<{}>", type_name(&value)));
        }
        self.pen.leave();
    }

    /// Writes what stands for a value; it names a type, so that it passes the redaction.
    fn marker(&mut self, text: &str) {
        let text = PyString::new(self.py, text);
        self.walk(text.as_ptr());
    }

    /// What the redaction wants written instead of `value`; `None` without one.
    fn redacted(&mut self, value: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
        let redact = self.redaction?.bind(self.py);
        let path = PyTuple::new(self.py, self.path.iter().map(|part| part.clone_ref(self.py)));
        // SAFETY: the caller holds `value`, and the interpreter is attached.
        let value = unsafe { Bound::from_borrowed_ptr(self.py, value) };
        let answer = Call::begin().map(|_call| redact.call1((path?, &value)));
        if let Ok(text) = value.cast::<PyString>() {
            self.pen.comes_from(&text.to_string_lossy());
        }
        let note = |error: &PyErr| note_interrupt(self.py, error);
        let answer = answer.and_then(|kept| kept.inspect_err(note).ok());
        Some(answer.unwrap_or_else(|| {
            self.recorder.fail_redaction();
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
                self.pen.leave_out(unsafe { size(list) } - index);
                break;
            }
            // SAFETY: as above; the reference taken here is given back by `held`.
            let held = unsafe { Bound::from_borrowed_ptr(self.py, item(list, index)) };
            self.at(|py| index.into_py_any(py), |walker| walker.walk(held.as_ptr()));
            index += 1;
        }
        self.pen.raw(b"]");
        self.pen.leave();
    }

    /// Runs `write` one step further down the path, where somebody reads the path.
    #[inline]
    fn at(
        &mut self,
        place: impl FnOnce(Python<'py>) -> PyResult<Py<PyAny>>,
        write: impl FnOnce(&mut Self),
    ) {
        let is_read = self.redaction.is_some();
        if is_read {
            self.path.push(place(self.py).unwrap_or_else(|_| self.py.None()));
        }
        write(self);
        if is_read {
            self.path.pop();
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
            let [key, value] =
                [key, value].map(|o| unsafe { Bound::from_borrowed_ptr(self.py, o) });
            let is_told = |tells: fn(&str) -> bool| {
                key.cast::<PyString>().is_ok_and(|key| tells(&key.to_string_lossy()))
            };
            if self.pen.is_full() {
                self.pen.members(b"\"$cut\":\"<span too large: more items>\"", is_first);
                break;
            }
            if tells.is_none_or(is_told) {
                self.member(None, &key, &value, is_first);
            }
        }
    }

    /// Writes one member of an object, after a comma where it is not the first. `known` is its key as JSON.
    #[inline]
    pub(crate) fn member(
        &mut self,
        known: Option<&[u8]>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        is_first: &mut bool,
    ) {
        let is_written = self.redaction.is_none()
            && match known {
                Some(known) => self.pen.known_key(known, is_first),
                // SAFETY: the caller holds the key.
                None => unsafe { short_text(key.as_ptr()) }
                    .is_some_and(|text| self.pen.plain_key(text, is_first)),
            };
        if is_written {
            return self.walk(value.as_ptr());
        }
        self.pen.comma(is_first);
        let place = |_| Ok(key.clone().unbind());
        self.at(place, |walker| {
            let start = walker.pen.out.len();
            walker.walk(key.as_ptr());
            walker.pen.end_key(start);
            walker.walk(value.as_ptr());
        });
    }
}

impl<'py> Host for Walker<'py> {
    type Object = Held;
    type Context = Interpreter<'py>;

    fn context(&self) -> Interpreter<'py> {
        Interpreter(self.py)
    }

    fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    fn value(&mut self, path: &[&'static str], object: &Held) {
        self.under(path, |walker| walker.walk(object.0.as_ptr()));
    }

    fn result(&mut self, result: &Held) {
        let (key, result) = (intern!(self.py, "result"), result.bind(self.py));
        let known = Some(&b"\"result\":"[..]);
        self.under(&["output"], |walker| walker.member(known, key, result, &mut true));
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

    fn whole(&self, object: &Held) -> Option<i64> {
        let value = object.bind(self.py);
        value.extract().ok().or_else(|| whole(value.extract().ok()?))
    }

    fn truth(&self, object: &Held) -> Option<bool> {
        object.bind(self.py).is_truthy().ok()
    }

    fn describe(&mut self, raised: &Held, with_stack: bool) -> Described {
        let raised = raised.bind(self.py);
        let told = Call::begin().map(|_call| {
            objects::describe_exception(self.py)?.call1((raised, with_stack))?.extract()
        });
        let note = |error: &PyErr| note_interrupt(self.py, error);
        let told = told.and_then(|told: PyResult<_>| told.inspect_err(note).ok());
        let (kind, message, stack) = told.unwrap_or((type_name(raised), type_name(raised), None));
        Described { kind, message, stack }
    }

    fn redact(&mut self, path: &[&'static str], text: &str) -> Option<String> {
        self.redaction?;
        let (mut redacted, text) = (None, PyString::new(self.py, text));
        self.under(path, |walker| redacted = walker.redacted(text.as_ptr()));
        redacted.map(|kept| name_text(&kept).to_string_lossy().into_owned())
    }
}

/// A Ctrl-C that fell into our reading of a value reaches the user's code after all, once our own work is done.
fn note_interrupt(py: Python<'_>, error: &PyErr) {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        // SAFETY: this only marks a signal as arrived; the interpreter is attached.
        after_writing(|| unsafe { ffi::PyErr_SetInterrupt() });
    }
}

/// A value as text: a str as it is, anything else by `str()`, or its type where that raises.
pub(crate) fn name_text<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyString> {
    let text = value.cast::<PyString>().cloned().unwrap_or_else(|_| {
        value.str().unwrap_or_else(|error| {
            note_interrupt(value.py(), &error);
            PyString::new(value.py(), &format!("<{}>", type_name(value)))
        })
    });
    // Read under a lock later: of what is no UTF-8, that would make Python objects, and so run anything.
    if text.to_str().is_ok() { text } else { PyString::new(value.py(), &text.to_string_lossy()) }
}

/// The name of a value's real type, which no `__class__` of its own can disguise.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().qualname();
    name.map_or_else(|_| String::from("object"), |name| name.to_string_lossy().into_owned())
}
