//! Which greenlet we are: greenlets take turns on one thread, and one that waits inside the reading of a
//! value must not silence the others.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The number of the current greenlet; 0 until the program has imported greenlets, since before that nobody
/// can take turns.
#[must_use]
pub fn greenlet(py: Python<'_>) -> usize {
    static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let name = pyo3::intern!(py, "greenlet").as_ptr();
    // SAFETY: the interpreter is attached; what is answered is a reference of our own, or null.
    let module = || unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyImport_GetModule(name)) };
    let current = CURRENT.get(py).or_else(|| {
        let found = module()?.getattr("getcurrent").ok()?.unbind();
        Some(CURRENT.get_or_init(py, || found))
    });
    let greenlet = current.and_then(|current| current.bind(py).call0().ok());
    greenlet.map_or(0, |greenlet| greenlet.as_ptr().addr())
}
