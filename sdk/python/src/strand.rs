//! Which greenlet we are: greenlets take turns on one thread, and one that waits inside the reading of a
//! value must not silence the others.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;

/// Lets the engine tell the greenlets of a thread apart.
pub(crate) fn tell_apart() {
    staso_sdk::pen::tell_strands_apart(current);
}

/// The number of the current greenlet; 0 until the program has imported greenlets, since before that nobody
/// can take turns.
fn current() -> usize {
    static CURRENT: OnceLock<Py<PyAny>> = OnceLock::new();
    // SAFETY: the engine asks where a value is read or a span begun, which only attached threads do here.
    let py = unsafe { Python::assume_attached() };
    let current = match CURRENT.get() {
        Some(current) => current,
        None => match function(py) {
            Some(found) => CURRENT.get_or_init(|| found),
            None => return 0,
        },
    };
    current.call0(py).map_or(0, |greenlet| greenlet.as_ptr() as usize)
}

fn function(py: Python<'_>) -> Option<Py<PyAny>> {
    // SAFETY: the interpreter is attached; what is answered is a reference of our own, or null.
    let module = unsafe {
        let name = pyo3::intern!(py, "greenlet");
        Bound::from_owned_ptr_or_opt(py, ffi::PyImport_GetModule(name.as_ptr()))
    }?;
    module.getattr("getcurrent").ok().map(Bound::unbind)
}
