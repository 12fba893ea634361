//! Span objects that are used again.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use staso_sdk::nesting::Node;
use staso_sdk::{SpanKind, Spare};

use crate::span::{Payload, Span};
use crate::value::{Held, name_text};

static SPARE: Spare<ffi::PyObject> = Spare::new();

/// A span that has not begun.
pub(crate) fn span<'py>(
    name: &Bound<'py, PyAny>,
    kind: SpanKind,
    held: Option<Box<Payload>>,
) -> PyResult<Bound<'py, Span>> {
    /// Where a span keeps its weak references, or null without any; 0 where that cannot be told.
    static WATCHED_AT: PyOnceLock<usize> = PyOnceLock::new();
    let py = name.py();
    let find = || py.get_type::<Span>().getattr("__weakrefoffset__")?.extract();
    let watched_at = WATCHED_AT.get_or_try_init(py, find).copied().unwrap_or(0);
    let name = Held::from(name_text(name));
    // SAFETY: what is kept are spans, each with a reference of its own. While that is the only one, of whatever
    // kind, nobody else can reach it: the global lock is held, and nothing in here runs Python code.
    unsafe {
        let is_free = |span: *mut ffi::PyObject| {
            let watched = span.byte_add(watched_at).cast::<*mut ffi::PyObject>();
            watched_at != 0 && ffi::Py_REFCNT(span) == 1 && watched.read().is_null()
        };
        let Some(spare) = SPARE.take(is_free) else {
            return Bound::new(py, Span { node: Node::span(name, kind, held) });
        };
        let span = Bound::from_owned_ptr(py, spare).cast_into_unchecked::<Span>();
        span.get().node.renew(name, kind, held);
        Ok(span)
    }
}

/// Keeps a span that has ended, if there is room.
pub(crate) fn keep(span: &Bound<'_, Span>) {
    SPARE.keep(span.as_ptr(), || std::mem::forget(span.clone()));
}
