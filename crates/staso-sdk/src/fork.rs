//! Which process this is: a number that changes in every forked child.
//!
//! The child's handler only increments an atomic, so it is safe whatever other threads of the
//! parent were doing.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static REGISTERED: Once = Once::new();

/// How many forks lie between the first process that used this and this one.
///
/// A span remembers the generation it was started in; ended in another, it records nothing.
#[inline]
#[must_use]
pub fn process_generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Watches for forks from now on.
pub(crate) fn watch() {
    REGISTERED.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handler is a plain function that lives as long as the program.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
