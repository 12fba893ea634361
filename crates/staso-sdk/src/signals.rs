//! Keeping signals away from the worker: handlers belong to the program's own threads.

/// Signals are blocked on this thread, and so on threads it starts, until this is dropped.
#[cfg(unix)]
pub(crate) struct Blocked(libc::sigset_t);

/// Blocks every signal.
#[cfg(unix)]
pub(crate) fn block_all() -> Blocked {
    // SAFETY: both sets are plain data that the calls fill in before they are read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        Blocked(before)
    }
}

#[cfg(unix)]
impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: restores the set that was read above.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

/// Where there are no signals, nothing is blocked.
#[cfg(not(unix))]
pub(crate) fn block_all() {}
