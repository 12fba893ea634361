//! A context variable: by the interpreter's own functions where it has them, else by the variable's methods.

use std::ffi::c_int;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::loaded::loaded;

/// The variable, and the two ways to it: the functions, or the variable's methods, which are within the
/// stable ABI but cost a call of a Python object each.
#[derive(Debug)]
pub struct Variable {
    variable: Py<PyAny>,
    functions: Option<Functions>,
}

/// The interpreter's own functions for context variables, under the names they have had since 3.7.1.
/// The stable ABI does not list them, so that they are looked up.
#[derive(Debug, Clone, Copy)]
struct Functions {
    get: unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> c_int,
    set: unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject,
    reset: unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> c_int,
}

impl Variable {
    /// A variable that is `None` where nothing was set.
    ///
    /// # Errors
    /// Where the interpreter has no context variables.
    pub fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let options = PyDict::new(py);
        options.set_item("default", py.None())?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        let variable = class.call((name,), Some(&options))?.unbind();
        Ok(Self { variable, functions: Functions::find() })
    }

    /// What it is set to here.
    ///
    /// # Errors
    /// Where the interpreter fails.
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(functions) = self.functions else {
            return self.variable.bind(py).call_method0("get");
        };
        // SAFETY: the variable is live, the interpreter is attached, and what is answered is a reference of our
        // own, or null with an exception set.
        unsafe {
            let mut value = null_mut();
            (functions.get)(self.variable.as_ptr(), null_mut(), &raw mut value);
            Bound::from_owned_ptr_or_err(py, value)
        }
    }

    /// Sets it here; answers the token of that.
    ///
    /// # Errors
    /// Where the interpreter has no memory.
    #[inline]
    pub fn set<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let Some(functions) = self.functions else {
            return self.variable.bind(value.py()).call_method1("set", (value,));
        };
        // SAFETY: variable and value are live; what is answered is as in `get`.
        unsafe {
            let token = uncollected(|| (functions.set)(self.variable.as_ptr(), value.as_ptr()));
            Bound::from_owned_ptr_or_err(value.py(), token)
        }
    }

    /// Puts back what stood here before the token's value, once; false in any other context.
    #[inline]
    pub fn reset(&self, token: &Bound<'_, PyAny>) -> bool {
        let Some(functions) = self.functions else {
            return self.variable.bind(token.py()).call_method1("reset", (token,)).is_ok();
        };
        // SAFETY: variable and token are live. An exception that is set says that this is another context,
        // which is what was asked.
        unsafe {
            let reset = || (functions.reset)(self.variable.as_ptr(), token.as_ptr());
            let is_reset = uncollected(reset) == 0;
            if !is_reset {
                ffi::PyErr_Clear();
            }
            is_reset
        }
    }
}

impl Functions {
    fn find() -> Option<Self> {
        // SAFETY: the functions of these names have had the signatures of the fields in every CPython since 3.7.1.
        unsafe {
            let (get, set) = (loaded(c"PyContextVar_Get")?, loaded(c"PyContextVar_Set")?);
            Some(Self { get, set, reset: loaded(c"PyContextVar_Reset")? })
        }
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
