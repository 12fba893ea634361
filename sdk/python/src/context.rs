//! Where we are: the one context variable, and which entry in it new spans hang under.
//!
//! The variable holds the innermost entry: a [`Span`], or a [`Scope`] (a conversation, a trace that
//! came from another process). Each entry knows the one it replaced. Entries are put in and taken
//! out by identity, never by token, so that code which closes things in another context or in
//! another order gets no error, at worst another parent.

use std::ffi::c_int;
#[cfg(unix)]
use std::ffi::{CStr, c_void};
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use staso_sdk::clock::TraceClock;
use staso_sdk::record::SpanContext;
use staso_sdk::{SpanId, TraceId};

use crate::span::Span;

/// What a new span takes over from where it is opened.
#[derive(Clone)]
pub(crate) struct Parent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) clock: TraceClock,
    pub(crate) is_kept: bool,
}

impl Parent {
    /// A span of another process by its ids; `None` where they are none.
    pub(crate) fn of_remote((trace_id, span_id, is_kept): &(String, String, bool)) -> Option<Self> {
        let trace_id = trace_id.parse().ok()?;
        let span_id = span_id.parse().ok()?;
        Some(Self { trace_id, span_id, clock: TraceClock::start(), is_kept: *is_kept })
    }
}

/// An entry that is not a span: a conversation, or a remote parent.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Scope {
    pub(crate) remote: Option<Parent>,
    pub(crate) context: Option<Arc<SpanContext>>,
    pub(crate) previous: Option<Py<PyAny>>,
}

type GetVariable =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut *mut ffi::PyObject) -> c_int;
type SetVariable =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// The variable, and the two ways to it: the interpreter's own functions where it has them under
/// the names they have had since 3.7, else the variable's methods, which are within the stable ABI
/// but cost a call of a Python object each.
struct Variable {
    variable: Py<PyAny>,
    functions: Option<(GetVariable, SetVariable)>,
    get: Py<PyAny>,
    set: Py<PyAny>,
}

fn variable(py: Python<'_>) -> PyResult<&'static Variable> {
    static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();
    VARIABLE.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("default", py.None())?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        let variable = class.call(("staso_current",), Some(&options))?;
        Ok(Variable {
            get: variable.getattr("get")?.unbind(),
            set: variable.getattr("set")?.unbind(),
            functions: functions(),
            variable: variable.unbind(),
        })
    })
}

/// `PyContextVar_Get` and `PyContextVar_Set`, looked up because the stable ABI does not list them.
#[cfg(unix)]
fn functions() -> Option<(GetVariable, SetVariable)> {
    let find = |name: &CStr| {
        // SAFETY: plain look-up among the loaded libraries by a name that ends with null.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    let (get, set) = (find(c"PyContextVar_Get")?, find(c"PyContextVar_Set")?);
    // SAFETY: these are the signatures of the functions of these names in every CPython since 3.7.1.
    unsafe {
        Some((
            std::mem::transmute::<*mut c_void, GetVariable>(get),
            std::mem::transmute::<*mut c_void, SetVariable>(set),
        ))
    }
}

#[cfg(not(unix))]
fn functions() -> Option<(GetVariable, SetVariable)> {
    None
}

/// The innermost entry of this execution context.
pub(crate) fn current(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let variable = variable(py).ok()?;
    // SAFETY: the variable and its method are live, the interpreter is attached, and both ways give
    // a reference of our own or null with an exception set.
    let entry = unsafe {
        let mut entry = std::ptr::null_mut();
        match variable.functions {
            Some((get, _)) => {
                get(variable.variable.as_ptr(), std::ptr::null_mut(), &raw mut entry);
            }
            None => entry = ffi::PyObject_CallNoArgs(variable.get.as_ptr()),
        }
        Bound::from_owned_ptr_or_err(py, entry)
    };
    entry.ok().filter(|entry| !entry.is_none())
}

/// Makes `entry` the innermost one.
pub(crate) fn set_current(py: Python<'_>, entry: Option<&Bound<'_, PyAny>>) {
    let Ok(variable) = variable(py) else { return };
    // SAFETY: variable, callable and entry are live, the list of arguments ends with null.
    unsafe {
        let entry = entry.map_or_else(|| ffi::Py_None(), Bound::as_ptr);
        let null = std::ptr::null_mut::<ffi::PyObject>();
        let token = match variable.functions {
            Some((_, set)) => set(variable.variable.as_ptr(), entry),
            None => ffi::PyObject_CallFunctionObjArgs(variable.set.as_ptr(), entry, null),
        };
        if token.is_null() {
            ffi::PyErr_Clear();
        } else {
            ffi::Py_DECREF(token);
        }
    }
}

/// Takes `entry` out if it is the innermost one, and says whether it was.
pub(crate) fn leave(entry: &Bound<'_, PyAny>, previous: Option<&Bound<'_, PyAny>>) -> bool {
    let py = entry.py();
    let is_innermost = current(py).is_some_and(|innermost| innermost.is(entry));
    if is_innermost {
        let previous = skip_ended(previous.cloned());
        set_current(py, previous.as_ref());
    }
    is_innermost
}

/// The first entry, from `entry` on outwards, that is not a span to be passed over here.
pub(crate) fn skip_ended<'py>(mut entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    while let Some(found) = &entry {
        let Ok(span) = found.cast::<Span>() else { return entry };
        let Some(previous) = span.get().passed_over(found.py()) else { return entry };
        entry = previous.map(|previous| previous.into_bound(found.py()));
    }
    None
}

/// The span or remote parent that a span opened here hangs under, and the context it belongs to.
pub(crate) fn surroundings(
    entry: Option<&Bound<'_, PyAny>>,
) -> (Option<Parent>, Option<Arc<SpanContext>>) {
    let mut context = None;
    let mut entry = entry.cloned();
    while let Some(found) = entry {
        if let Ok(span) = found.cast::<Span>() {
            let (parent, own) = span.get().as_parent();
            return (parent, context.or(own));
        }
        let Ok(scope) = found.cast::<Scope>() else { break };
        let scope = scope.get();
        context = context.or_else(|| scope.context.clone());
        if scope.remote.is_some() {
            return (scope.remote.clone(), context);
        }
        entry =
            skip_ended(scope.previous.as_ref().map(|previous| previous.bind(found.py()).clone()));
    }
    (None, context)
}

/// The innermost open span of this execution context.
pub(crate) fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    skip_ended(current(py)).and_then(span_at)
}

/// The first span from `entry` on outwards.
pub(crate) fn span_at(entry: Bound<'_, PyAny>) -> Option<Bound<'_, Span>> {
    let mut entry = Some(entry);
    while let Some(found) = entry {
        if let Ok(span) = found.cast::<Span>() {
            return Some(span.clone());
        }
        let scope = found.cast::<Scope>().ok()?;
        let previous = scope.get().previous.as_ref().map(|entry| entry.bind(found.py()).clone());
        entry = skip_ended(previous);
    }
    None
}

/// A number for the thread that runs now.
pub(crate) fn thread_mark() -> usize {
    thread_local! { static MARK: u8 = const { 0 }; }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// A number for the asyncio task that runs now; 0 outside any.
pub(crate) fn task_mark(py: Python<'_>) -> usize {
    let modules = py.import("sys").and_then(|sys| sys.getattr("modules"));
    if !modules.and_then(|modules| modules.contains("asyncio")).unwrap_or(false) {
        return 0;
    }
    let task = crate::objects::current_task(py).and_then(|current_task| current_task.call0());
    task.map_or(0, |task| if task.is_none() { 0 } else { task.as_ptr().addr() })
}
