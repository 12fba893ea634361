//! Where we are: the one context variable, and which entry in it new spans hang under.
//!
//! The variable holds the innermost entry: a [`Span`], or a [`Scope`] (a conversation, a trace that
//! came from another process). Each entry knows the one it replaced. Entries are taken out by identity,
//! so that code which closes things in another context or in another order gets no error, at worst
//! another parent. The token of an entry is the proof that we are in the context it was put into, and
//! not in a copy: the variable can be reset by it only there.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use staso_sdk::record::Surroundings;
use staso_sdk::Place;

use crate::span::Span;

/// An entry that is not a span: a conversation, or a remote parent.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Scope {
    pub(crate) remote: Option<Place>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) previous: Option<Py<PyAny>>,
    /// The token, once it is over but could not be taken out.
    pub(crate) left_behind: Mutex<Option<Py<PyAny>>>,
}

impl Scope {
    fn passed_over(&self, py: Python<'_>) -> Option<Option<Py<PyAny>>> {
        let lock = || self.left_behind.lock().unwrap_or_else(PoisonError::into_inner);
        let mut token = lock().take()?;
        let is_passed_over = is_home(py, &mut token);
        *lock() = Some(token);
        is_passed_over.then(|| self.previous.as_ref().map(|entry| entry.clone_ref(py)))
    }
}

type Object = *mut ffi::PyObject;

/// The interpreter's own functions for context variables, under the names they have had since 3.7.1.
/// The stable ABI does not list them, so that they are looked up.
#[derive(Clone, Copy)]
struct Functions {
    get: unsafe extern "C" fn(Object, Object, *mut Object) -> c_int,
    set: unsafe extern "C" fn(Object, Object) -> Object,
    reset: unsafe extern "C" fn(Object, Object) -> c_int,
}

/// The variable, and the two ways to it: the functions, or the variable's methods, which are within the
/// stable ABI but cost a call of a Python object each.
struct Variable {
    variable: Py<PyAny>,
    functions: Option<Functions>,
}

fn variable(py: Python<'_>) -> PyResult<&'static Variable> {
    static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();
    VARIABLE.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("default", py.None())?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        let variable = class.call(("staso_current",), Some(&options))?.unbind();
        Ok(Variable { variable, functions: functions() })
    })
}

#[cfg(unix)]
fn functions() -> Option<Functions> {
    let find = |name: &std::ffi::CStr| {
        // SAFETY: plain look-up among the loaded libraries by a name that ends with null.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    let (get, set) = (find(c"PyContextVar_Get")?, find(c"PyContextVar_Set")?);
    let reset = find(c"PyContextVar_Reset")?;
    // SAFETY: the functions of these names have these signatures in every CPython since 3.7.1.
    unsafe {
        use std::mem::transmute;
        Some(Functions { get: transmute(get), set: transmute(set), reset: transmute(reset) })
    }
}

#[cfg(not(unix))]
fn functions() -> Option<Functions> {
    None
}

/// The innermost entry of this execution context, as it stands.
#[inline]
pub(crate) fn current(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let variable = variable(py).ok()?;
    let entry = match variable.functions {
        // SAFETY: the variable is live, the interpreter is attached, and what is answered is a
        // reference of our own, or null with an exception set.
        Some(functions) => unsafe {
            let mut entry = std::ptr::null_mut();
            (functions.get)(variable.variable.as_ptr(), std::ptr::null_mut(), &raw mut entry);
            Bound::from_owned_ptr_or_err(py, entry)
        },
        None => variable.variable.bind(py).call_method0("get"),
    };
    entry.ok().filter(|entry| !entry.is_none())
}

/// Makes `entry` the innermost one; answers the token of that.
#[inline]
pub(crate) fn set<'py>(
    py: Python<'py>,
    entry: Option<&Bound<'py, PyAny>>,
) -> Option<Bound<'py, PyAny>> {
    let variable = variable(py).ok()?;
    let token = match variable.functions {
        // SAFETY: variable and entry are live; what is answered is as in `current`.
        Some(functions) => unsafe {
            let entry = entry.map_or_else(|| ffi::Py_None(), Bound::as_ptr);
            Bound::from_owned_ptr_or_err(py, (functions.set)(variable.variable.as_ptr(), entry))
        },
        None => variable.variable.bind(py).call_method1("set", (entry,)),
    };
    token.ok()
}

/// Puts back what stood there before the token's entry; false in any other context than the token's.
#[inline]
fn reset(py: Python<'_>, token: &Py<PyAny>) -> bool {
    let Ok(variable) = variable(py) else { return false };
    match variable.functions {
        // SAFETY: variable and token are live. An exception that is set says that this is another
        // context, which is what was asked.
        Some(functions) => unsafe {
            let is_reset = (functions.reset)(variable.variable.as_ptr(), token.as_ptr()) == 0;
            if !is_reset {
                ffi::PyErr_Clear();
            }
            is_reset
        },
        None => variable.variable.bind(py).call_method1("reset", (token,)).is_ok(),
    }
}

/// Whether we are in the context of this token. A token serves once: what takes its place is put there, and
/// holds on to no entry, as the first one does to the entry outside.
pub(crate) fn is_home(py: Python<'_>, token: &mut Py<PyAny>) -> bool {
    let entry = current(py);
    reset(py, token) && {
        set(py, None);
        if let Some(fresh) = set(py, entry.as_ref()) {
            *token = fresh.unbind();
        }
        true
    }
}

/// Takes `entry` out, if it is the innermost one. Answers its token where others may still find it here:
/// it was not the innermost, or this is not its own context.
#[inline]
pub(crate) fn leave(
    entry: &Bound<'_, PyAny>,
    token: Option<Py<PyAny>>,
    previous: Option<&Py<PyAny>>,
) -> Option<Py<PyAny>> {
    let py = entry.py();
    if !current(py).is_some_and(|innermost| innermost.is(entry)) {
        return token.map(|mut token| {
            is_home(py, &mut token);
            token
        });
    }
    let token = token.filter(|token| !reset(py, token));
    let kept = outside(py, previous);
    let is_as_before = kept.as_ref().map(Py::as_ptr) == previous.map(Py::as_ptr);
    if token.is_some() || !is_as_before {
        set(py, kept.as_ref().map(|kept| kept.bind(py)));
    }
    token
}

/// The innermost entry that new spans hang under; what is passed over on the way is taken out.
#[inline]
pub(crate) fn innermost(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let found = current(py)?;
    let kept = skip_ended(Some(found.clone()));
    if !kept.as_ref().is_some_and(|kept| kept.is(&found)) {
        set(py, kept.as_ref());
    }
    kept
}

/// The entry that is left when `previous` and those outside it are passed over where they are over.
pub(crate) fn outside(py: Python<'_>, previous: Option<&Py<PyAny>>) -> Option<Py<PyAny>> {
    skip_ended(previous.map(|entry| entry.bind(py).clone())).map(Bound::unbind)
}

/// The first entry, from `entry` on outwards, that is not over and to be passed over here.
fn skip_ended<'py>(mut entry: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    while let Some(found) = &entry {
        let py = found.py();
        let previous = match found.cast::<Span>() {
            Ok(span) => span.get().passed_over(py),
            Err(_) => found.cast::<Scope>().ok().and_then(|scope| scope.get().passed_over(py)),
        };
        let Some(previous) = previous else { return entry };
        entry = previous.map(|previous| previous.into_bound(py));
    }
    None
}

/// The span or remote parent that a span opened here hangs under, and what it belongs to.
pub(crate) fn surroundings(
    entry: Option<&Bound<'_, PyAny>>,
) -> (Option<Place>, Option<Arc<Surroundings>>) {
    let mut inner: Option<Arc<Surroundings>> = None;
    let mut entry = entry.cloned();
    while let Some(found) = entry {
        if let Ok(span) = found.cast::<Span>() {
            let (place, own) = span.get().as_parent();
            return (place, inner.or(own));
        }
        let Ok(scope) = found.cast::<Scope>() else { break };
        let scope = scope.get();
        inner = inner.or_else(|| Some(Arc::clone(&scope.surroundings)));
        if scope.remote.is_some() {
            return (scope.remote, inner);
        }
        entry = skip_ended(scope.previous.as_ref().map(|entry| entry.bind(found.py()).clone()));
    }
    (None, inner)
}

/// The first span from `entry` on outwards.
pub(crate) fn span_at(entry: Option<Bound<'_, PyAny>>) -> Option<Bound<'_, Span>> {
    let mut entry = entry;
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
