//! Functions of the program that we were loaded into, looked up by name.

use std::ffi::CStr;

/// The function of this name among the loaded libraries; `None` where there is none, or no way to look.
///
/// # Safety
/// `F` is the type of a function pointer that fits what has this name.
pub(crate) unsafe fn loaded<F: Copy>(name: &CStr) -> Option<F> {
    #[cfg(unix)]
    {
        // SAFETY: plain look-up by a name that ends with null.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        assert_eq!(size_of::<F>(), size_of_val(&found), "no function pointer");
        // SAFETY: by the caller, what was found is an `F`; it has the size of one.
        (!found.is_null()).then(|| unsafe { std::mem::transmute_copy(&found) })
    }
    #[cfg(not(unix))]
    {
        let _ = name;
        None
    }
}
