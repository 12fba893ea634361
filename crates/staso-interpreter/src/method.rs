//! A method that costs nothing to be looked up on an object.
//!
//! A `with` block looks up `__enter__` and `__exit__`, and for a class in C each look-up makes an object that binds
//! the method, tracked by the collector and freed after one call: together they cost more than the block itself.
//! Here the object that binds is one of our own, which is used again. In all other respects it stands for
//! what would have been there: attributes, `repr` and odd calls are those of the original.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::arguments::{Arguments, answered};

/// What runs for an object of the class: the answer, or `None` where the shape of the call is for the original,
/// nothing having been changed.
type Run =
    for<'py> fn(&Bound<'py, PyAny>, &Arguments<'_, 'py>) -> Option<PyResult<Bound<'py, PyAny>>>;

/// A method of a class that has no subclasses. For one thread at a time, as with a global interpreter lock.
#[derive(Debug)]
pub struct Method {
    run: Run,
    class: AtomicPtr<PyTypeObject>,
    original: AtomicPtr<PyObject>,
    /// Bound methods that are over, each with a reference of its place, bound to nothing and known to the collector
    /// as always: what is made and freed costs more than what is only bound.
    spare: [AtomicPtr<PyObject>; SPARES],
}

/// So many blocks within blocks find theirs.
const SPARES: usize = 4;

/// The class's attribute, and what binds it to one object.
#[repr(C)]
struct Binding {
    base: PyObject,
    call: Vectorcall,
    method: &'static Method,
    /// Null for the class's attribute.
    target: *mut PyObject,
}

type Vectorcall = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    usize,
    *mut PyObject,
) -> *mut PyObject;

/// The type of every [`Binding`].
static BINDING: AtomicPtr<PyTypeObject> = AtomicPtr::new(null_mut());

impl Method {
    /// A method that is not part of any class yet.
    #[must_use]
    pub const fn new(run: Run) -> Self {
        let (class, original) = (AtomicPtr::new(null_mut()), AtomicPtr::new(null_mut()));
        Self { run, class, original, spare: [const { AtomicPtr::new(null_mut()) }; SPARES] }
    }

    /// Puts it into `class`, in front of the method of this name that is there. Once.
    ///
    /// # Errors
    /// Where the class has no such method, or cannot be changed.
    pub fn replace(&'static self, class: &Bound<'_, PyType>, name: &str) -> PyResult<()> {
        self.original.store(class.getattr(name)?.into_ptr(), Ordering::Relaxed);
        self.class.store(class.clone().into_ptr().cast(), Ordering::Relaxed);
        // SAFETY: the interpreter is attached, as `class` shows.
        unsafe {
            let attribute = self.made(binding_type(class.py())?, null_mut());
            class.setattr(name, Bound::from_owned_ptr_or_err(class.py(), attribute)?)
        }
    }

    /// A binding; null with an exception set where there is no memory for it.
    ///
    /// # Safety
    /// The interpreter is attached; `target` is null or alive.
    #[inline]
    unsafe fn made(&'static self, of: *mut PyTypeObject, target: *mut PyObject) -> *mut PyObject {
        let spare = self.spare.iter().find(|place| !place.load(Ordering::Relaxed).is_null());
        // SAFETY: a spare is an object of the very type and method that nobody else can reach. The place's reference
        // is handed on.
        unsafe {
            let binding = match spare {
                Some(place) => out_of(place),
                None => self.allocated(of),
            };
            if !binding.is_null() {
                ffi::Py_XINCREF(target);
                (*binding.cast::<Binding>()).target = target;
            }
            binding
        }
    }

    /// A new binding, bound to nothing.
    #[cold]
    unsafe fn allocated(&'static self, of: *mut PyTypeObject) -> *mut PyObject {
        // SAFETY: the interpreter is attached, by who calls this. The memory is zeros: the collector, which knows
        // it already, finds no target.
        unsafe {
            let binding = ffi::PyType_GenericAlloc(of, 0).cast::<Binding>();
            if !binding.is_null() {
                (&raw mut (*binding).call).write(called);
                (&raw mut (*binding).method).write(self);
            }
            binding.cast()
        }
    }
}

/// What stands in a place, which is empty then. No step of its own: one thread at a time comes here.
#[inline]
fn out_of(place: &AtomicPtr<PyObject>) -> *mut PyObject {
    let stood = place.load(Ordering::Relaxed);
    place.store(null_mut(), Ordering::Relaxed);
    stood
}

/// The type, made at the first use.
fn binding_type(py: Python<'_>) -> PyResult<*mut PyTypeObject> {
    /// These have been the flags' values, under whatever names, since CPython 3.8.
    const VECTORCALL: c_ulong = 1 << 11;
    const METHOD_DESCRIPTOR: c_ulong = 1 << 17;
    let known = BINDING.load(Ordering::Relaxed);
    if !known.is_null() {
        return Ok(known);
    }
    let member = ffi::PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset_of!(Binding, call).cast_signed(),
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    };
    // SAFETY: a member without a name ends the list.
    let members = Box::leak(Box::new([member, unsafe { std::mem::zeroed() }]));
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_descr_get, get as *mut c_void),
        slot(ffi::Py_tp_call, call as *mut c_void),
        slot(ffi::Py_tp_getattro, attribute as *mut c_void),
        slot(ffi::Py_tp_repr, shown as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(0, null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC;
    let mut spec = ffi::PyType_Spec {
        name: c"staso._core.method".as_ptr(),
        basicsize: size_of::<Binding>() as c_int,
        itemsize: 0,
        flags: (flags | VECTORCALL | METHOD_DESCRIPTOR) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is whole; its slots are copied, its members live for ever.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))? };
    BINDING.store(made.into_ptr().cast(), Ordering::Relaxed);
    Ok(BINDING.load(Ordering::Relaxed))
}

/// `tp_descr_get`: binds the class's attribute to an object of the class.
unsafe extern "C" fn get(
    attribute: *mut PyObject,
    target: *mut PyObject,
    _class: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this with an attribute of ours, and with an object or null.
    unsafe {
        let method = (*attribute.cast::<Binding>()).method;
        if !target.is_null() && ffi::Py_TYPE(target) == method.class.load(Ordering::Relaxed) {
            return method.made(BINDING.load(Ordering::Relaxed), target);
        }
        let original = method.original.load(Ordering::Relaxed);
        ffi::Py_INCREF(original);
        original
    }
}

/// The vectorcall of every binding.
unsafe extern "C" fn called(
    binding: *mut PyObject,
    values: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    /// Set in a count where the interpreter would let us write before the first value.
    const OFFSET: usize = 1 << (usize::BITS - 1);
    // SAFETY: this is how the interpreter calls an object of our type.
    unsafe {
        let (method, mut target) = {
            let binding = &*binding.cast::<Binding>();
            (binding.method, binding.target)
        };
        let (mut values, mut count) = (values, count & !OFFSET);
        let class = method.class.load(Ordering::Relaxed);
        // By the attribute itself the object is the first argument, which may be of any class.
        if target.is_null() && count > 0 && ffi::Py_TYPE(*values) == class {
            (target, values, count) = (*values, values.add(1), count - 1);
        }
        let arguments = Arguments::new(values, count, names);
        // Whoever calls keeps the binding, which keeps the object, or the object itself.
        let (py, original) = (arguments.py(), method.original.load(Ordering::Relaxed));
        answered(py, || {
            if target.is_null() {
                return arguments.hand_to(original, None);
            }
            let object = Borrowed::from_ptr(py, target);
            match (method.run)(&object, &arguments) {
                Some(answer) => answer.map(Bound::into_ptr),
                None => arguments.hand_to(original, Some(target)),
            }
        })
    }
}

/// What would be there without us: the original, bound to the object where there is one.
///
/// # Safety
/// The interpreter is attached, and `binding` is one of ours.
unsafe fn stood_for<'py>(py: Python<'py>, binding: *mut PyObject) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: by the promise above; the original is kept for ever.
    unsafe {
        let Binding { method, target, .. } = &*binding.cast::<Binding>();
        let original = Bound::from_borrowed_ptr(py, method.original.load(Ordering::Relaxed));
        match Bound::from_borrowed_ptr_or_opt(py, *target) {
            Some(target) => original.call_method1("__get__", (target,)),
            None => Ok(original),
        }
    }
}

/// `tp_call`, for those who have the arguments as a tuple.
unsafe extern "C" fn call(
    binding: *mut PyObject,
    arguments: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: this is how the interpreter calls an object of our type: with a tuple, and a dict or null.
    unsafe {
        let py = Python::assume_attached();
        answered(py, || {
            let arguments = Bound::from_borrowed_ptr(py, arguments).cast_into::<PyTuple>()?;
            let keywords = Bound::from_borrowed_ptr_or_opt(py, keywords);
            let keywords = keywords.map(Bound::cast_into::<PyDict>).transpose()?;
            stood_for(py, binding)?.call(arguments, keywords.as_ref()).map(Bound::into_ptr)
        })
    }
}

/// `tp_getattro`.
unsafe extern "C" fn attribute(binding: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter asks for an attribute of a binding by a name.
    unsafe {
        let py = Python::assume_attached();
        answered(py, || {
            let name = Bound::from_borrowed_ptr(py, name).cast_into::<pyo3::types::PyString>()?;
            stood_for(py, binding)?.getattr(name).map(Bound::into_ptr)
        })
    }
}

/// `tp_repr`.
unsafe extern "C" fn shown(binding: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter asks for the text of a binding.
    unsafe {
        let py = Python::assume_attached();
        answered(py, || Ok(stood_for(py, binding)?.repr()?.into_ptr()))
    }
}

/// There is no `tp_clear`: a cycle through a binding goes on through its target, which clears itself, and what the
/// collector is about to clear may be a spare that was bound anew meanwhile.
unsafe extern "C" fn traverse(
    binding: *mut PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this with a binding; its type is one of its references.
    unsafe {
        let visited = visit(ffi::Py_TYPE(binding).cast(), argument);
        let target = (*binding.cast::<Binding>()).target;
        if visited != 0 || target.is_null() { visited } else { visit(target, argument) }
    }
}

/// Keeps a few bindings for the next look-up: such a one is alive again when this returns.
unsafe extern "C" fn dealloc(object: *mut PyObject) {
    let binding = object.cast::<Binding>();
    // SAFETY: nobody has a reference to the binding any more. Its target goes last: that may run anything.
    unsafe {
        let (method, target) = ((*binding).method, (*binding).target);
        let place = method.spare.iter().find(|place| place.load(Ordering::Relaxed).is_null());
        if let Some(place) = place {
            (*binding).target = null_mut();
            ffi::Py_INCREF(object);
            place.store(object, Ordering::Relaxed);
        } else {
            ffi::PyObject_GC_UnTrack(object.cast());
            let of = ffi::Py_TYPE(object);
            ffi::PyObject_GC_Del(object.cast());
            ffi::Py_DECREF(of.cast());
        }
        ffi::Py_XDECREF(target);
    }
}
