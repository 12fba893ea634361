//! A function of a module that is called as it is, without a look at its signature.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::arguments::{Arguments, answered};

/// A function that answers some shapes of its call at once.
pub trait Function {
    /// Its name in Python.
    const NAME: &'static CStr;
    /// Its signature and documentation, as `__doc__` of built-in functions hold them.
    const DOC: &'static CStr;

    /// Answers a call; `None` where its shape is for the original, `call` having changed nothing.
    fn call<'py>(arguments: &Arguments<'_, 'py>) -> Option<PyResult<Bound<'py, PyAny>>>;

    /// Where the original is kept.
    fn original() -> &'static AtomicPtr<ffi::PyObject>;
}

/// Puts `F` into the module, in front of the function of the same name that is there.
///
/// # Errors
/// Where the module has no such function, or cannot be changed.
pub fn replace_function<F: Function>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let name = F::NAME.to_string_lossy();
    let original = module.getattr(&*name)?;
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: F::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: called::<F> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: F::DOC.as_ptr(),
    }));
    F::original().store(original.into_ptr(), Ordering::Relaxed);
    // SAFETY: the definition lives for ever, and the function keeps the module and its name.
    let function = unsafe {
        let function = ffi::PyCFunction_NewEx(definition, module.as_ptr(), module.name()?.as_ptr());
        Bound::from_owned_ptr_or_err(py, function)?
    };
    module.setattr(&*name, function)
}

unsafe extern "C" fn called<F: Function>(
    _module: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: this is how the interpreter calls a function of these flags.
    let arguments = unsafe { Arguments::new(values, count.unsigned_abs(), names) };
    answered(arguments.py(), || match F::call(&arguments) {
        Some(answer) => answer.map(Bound::into_ptr),
        None => arguments.hand_to(F::original().load(Ordering::Relaxed), None),
    })
}
