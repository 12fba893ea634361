//! The one context variable, as the engine's nesting asks for it.

use std::borrow::Cow;
use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use staso_sdk::loaded;
use staso_sdk::nesting::{Context, Node};

use crate::scope::Scope;
use crate::span::Span;
use crate::value::{Held, name_text};

/// The attached interpreter.
#[derive(Clone, Copy)]
pub(crate) struct Interpreter<'py>(pub(crate) Python<'py>);

impl Context for Interpreter<'_> {
    type Object = Held;

    #[inline]
    fn current(self) -> Option<Held> {
        let variable = variable(self.0).ok()?;
        let entry = match variable.functions {
            // SAFETY: the variable is live, the interpreter is attached, and what is answered is a
            // reference of our own, or null with an exception set.
            Some(functions) => unsafe {
                let mut entry = std::ptr::null_mut();
                (functions.get)(variable.variable.as_ptr(), std::ptr::null_mut(), &raw mut entry);
                Bound::from_owned_ptr_or_err(self.0, entry)
            },
            None => variable.variable.bind(self.0).call_method0("get"),
        };
        Held::some(entry.ok()?)
    }

    #[inline]
    fn set(self, entry: Option<&Held>) -> Option<Held> {
        let variable = variable(self.0).ok()?;
        let token = match variable.functions {
            // SAFETY: variable and entry are live; what is answered is as in `current`.
            Some(functions) => unsafe {
                let entry = entry.map_or_else(|| ffi::Py_None(), |entry| entry.0.as_ptr());
                let token = uncollected(|| (functions.set)(variable.variable.as_ptr(), entry));
                Bound::from_owned_ptr_or_err(self.0, token)
            },
            None => {
                let entry = entry.map(|entry| &entry.0);
                variable.variable.bind(self.0).call_method1("set", (entry,))
            }
        };
        token.ok().map(|token| Held(token.unbind()))
    }

    #[inline]
    fn reset(self, token: &Held) -> bool {
        let Ok(variable) = variable(self.0) else { return false };
        let Some(functions) = variable.functions else {
            return variable.variable.bind(self.0).call_method1("reset", (&token.0,)).is_ok();
        };
        // SAFETY: variable and token are live. An exception that is set says that this is another context,
        // which is what was asked.
        unsafe {
            let reset = || (functions.reset)(variable.variable.as_ptr(), token.0.as_ptr());
            let is_reset = uncollected(reset) == 0;
            if !is_reset {
                ffi::PyErr_Clear();
            }
            is_reset
        }
    }

    #[inline]
    fn node<'o>(self, entry: &'o Held) -> Option<&'o Node<Held>>
    where
        Self: 'o,
    {
        let entry = entry.0.bind(self.0);
        if let Ok(span) = entry.cast::<Span>() {
            return Some(&span.get().node);
        }
        let scope = entry.cast::<Scope>().ok()?;
        Some(&scope.get().node)
    }

    #[inline]
    fn hold(self, object: &Held) -> Held {
        Held(object.0.clone_ref(self.0))
    }

    #[inline]
    fn text<'o>(self, object: &'o Held) -> Cow<'o, str>
    where
        Self: 'o,
    {
        let object = object.0.bind(self.0);
        if let Ok(text) = object.cast::<PyString>() {
            return text.to_string_lossy();
        }
        Cow::Owned(name_text(object).to_string_lossy().into_owned())
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

fn functions() -> Option<Functions> {
    // SAFETY: the functions of these names have had the signatures of `Functions` in every CPython since 3.7.1.
    unsafe {
        let (get, set) = (loaded(c"PyContextVar_Get")?, loaded(c"PyContextVar_Set")?);
        Some(Functions { get, set, reset: loaded(c"PyContextVar_Reset")? })
    }
}

/// Changes the context without a garbage collection in it. Up to CPython 3.11 one begins at any allocation, and a
/// finalizer that opens a span would change the context under the interpreter's own hands.
fn uncollected<T>(change: impl FnOnce() -> T) -> T {
    // SAFETY: the interpreter is attached, by who calls this.
    let was_on = unsafe { ffi::PyGC_Disable() } == 1;
    let changed = change();
    if was_on {
        // SAFETY: as above.
        unsafe { ffi::PyGC_Enable() };
    }
    changed
}
