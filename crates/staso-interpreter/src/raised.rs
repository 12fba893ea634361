//! An exception on its way out of native code.

use pyo3::exceptions::PyBaseException;
use pyo3::ffi;
use pyo3::prelude::*;

/// The exception as a `with` block would see it. Up to CPython 3.11 it and its traceback are apart until somebody
/// catches it.
pub fn raised<'e, 'py>(py: Python<'py>, error: &'e PyErr) -> &'e Bound<'py, PyBaseException> {
    let raised = error.value(py);
    if let Some(traceback) = error.traceback(py) {
        // SAFETY: an exception and its own traceback.
        unsafe { ffi::PyException_SetTraceback(raised.as_ptr(), traceback.as_ptr()) };
    }
    raised
}
