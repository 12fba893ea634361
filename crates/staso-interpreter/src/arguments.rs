//! The arguments of a call, and what a call answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{Borrowed, ffi};

/// The arguments of one call, as the interpreter hands them over.
#[derive(Clone, Copy)]
pub struct Arguments<'a, 'py> {
    py: Python<'py>,
    /// Those by position, then the values of those by name.
    values: &'a [*mut ffi::PyObject],
    by_position: usize,
    /// A tuple, or null where none is given by name.
    names: *mut ffi::PyObject,
}

impl<'a, 'py> Arguments<'a, 'py> {
    /// # Safety
    /// The interpreter is attached; `values` holds `by_position` live objects and one for each of the tuple
    /// `names`, which may be null, and all of them outlive what is made here.
    #[inline]
    pub(crate) unsafe fn new(
        values: *const *mut ffi::PyObject,
        by_position: usize,
        names: *mut ffi::PyObject,
    ) -> Self {
        // SAFETY: by the promise above.
        unsafe {
            let by_name = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
            let count = by_position + usize::try_from(by_name).unwrap_or(0);
            let values = if count == 0 { &[] } else { std::slice::from_raw_parts(values, count) };
            Self { py: Python::assume_attached(), values, by_position, names }
        }
    }

    /// The interpreter.
    #[must_use]
    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// The arguments, where there are exactly so many by position and none by name.
    #[inline]
    #[must_use]
    pub fn only<const N: usize>(&self) -> Option<[Borrowed<'a, 'py, PyAny>; N]> {
        let values: &[_; N] = self.values.try_into().ok().filter(|_| self.names.is_null())?;
        // SAFETY: by the promise of `new`.
        Some(values.map(|value| unsafe { Borrowed::from_ptr(self.py, value) }))
    }

    /// One argument by position and one by this name, which is compared as the object it is: the names that
    /// stand in a program's text are interned.
    #[inline]
    #[must_use]
    pub fn one_and_named(&self, name: &Bound<'py, PyAny>) -> Option<[Borrowed<'a, 'py, PyAny>; 2]> {
        let values: &[_; 2] = self.values.try_into().ok()?;
        if self.by_position != 1 {
            return None;
        }
        // SAFETY: by the promise of `new`: two values of which one is by position means a tuple of one name.
        let is_name = unsafe { ffi::PyTuple_GetItem(self.names, 0) } == name.as_ptr();
        // SAFETY: as above.
        is_name.then(|| values.map(|value| unsafe { Borrowed::from_ptr(self.py, value) }))
    }

    /// Calls `original` with these arguments, after `first` where there is one.
    #[cold]
    pub(crate) fn hand_to(
        &self,
        original: *mut ffi::PyObject,
        first: Option<*mut ffi::PyObject>,
    ) -> PyResult<*mut ffi::PyObject> {
        // SAFETY: by the promise of `new`; `original` is kept for ever, and `first` by the caller.
        let borrow = |object| unsafe { Borrowed::from_ptr(self.py, object) };
        let (by_position, by_name) = self.values.split_at(self.by_position);
        let arguments: Vec<_> = first.iter().chain(by_position).map(|v| borrow(*v)).collect();
        let keywords = PyDict::new(self.py);
        for (at, value) in by_name.iter().enumerate() {
            let name = borrow(self.names).cast::<PyTuple>()?.get_item(at)?;
            keywords.set_item(name, borrow(*value))?;
        }
        let arguments = PyTuple::new(self.py, arguments)?;
        borrow(original).call(arguments, Some(&keywords)).map(Bound::into_ptr)
    }
}

/// What a call answers to the interpreter: a reference, or null with an exception set. A panic is one too.
#[inline]
pub(crate) fn answered(
    py: Python<'_>,
    call: impl FnOnce() -> PyResult<*mut ffi::PyObject>,
) -> *mut ffi::PyObject {
    let failed = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(answer)) => return answer,
        Ok(Err(error)) => error,
        Err(_) => PanicException::new_err("a panic in native code"),
    };
    failed.restore(py);
    std::ptr::null_mut()
}
