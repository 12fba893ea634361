//! Spans that are over and that nobody holds any more, to be used again: making and freeing a Python object costs
//! as much as all the rest of recording an empty span.

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use staso_sdk::SpanKind;

use crate::span::{Payload, Span};
use crate::value::{Held, name_text};

/// Enough for spans within spans, of which a variable may hold the last one a while longer.
static SPARE: [AtomicPtr<ffi::PyObject>; 4] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 4];

/// A span that has not begun.
pub(crate) fn span<'py>(
    name: &Bound<'py, PyAny>,
    kind: SpanKind,
    held: Option<Box<Payload>>,
) -> PyResult<Bound<'py, Span>> {
    let py = name.py();
    let name = Held(name_text(name).into_any().unbind());
    for place in &SPARE {
        let object = place.load(Relaxed);
        // SAFETY: what stands here is a span with a reference that is this place's own. While that is the only
        // one, of whatever kind, nobody else can reach it: the global lock is held.
        unsafe {
            if !object.is_null() && ffi::Py_REFCNT(object) == 1 && !is_watched(py, object) {
                place.store(std::ptr::null_mut(), Relaxed);
                let span = Bound::from_owned_ptr(py, object).cast_into_unchecked::<Span>();
                span.get().node.renew(name, kind, held);
                return Ok(span);
            }
        }
    }
    Bound::new(py, Span::new(name, kind, held))
}

/// Keeps a span that has ended, if there is room and it is not kept already.
pub(crate) fn keep(span: &Bound<'_, Span>) {
    let holds = |object| move |place: &&AtomicPtr<_>| place.load(Relaxed) == object;
    if !SPARE.iter().any(|place| holds(span.as_ptr())(&place))
        && let Some(place) = SPARE.iter().find(holds(std::ptr::null_mut()))
    {
        place.store(span.clone().into_ptr(), Relaxed);
    }
}

/// Whether weak references to a span exist; they stand where its type says.
unsafe fn is_watched(py: Python<'_>, span: *mut ffi::PyObject) -> bool {
    static OFFSET: PyOnceLock<usize> = PyOnceLock::new();
    let find = || py.get_type::<Span>().getattr("__weakrefoffset__")?.extract();
    let offset = OFFSET.get_or_try_init(py, find).copied().unwrap_or(0);
    // SAFETY: the offset is one of the object's own, of a pointer that is null without weak references.
    offset == 0 || unsafe { !span.byte_add(offset).cast::<*mut ffi::PyObject>().read().is_null() }
}
