//! Locks that die with their process and that a forked child does not keep alive.
//!
//! A lock belongs to the open file it was taken on, and a forked child shares that open file: as
//! long as the child has it, the lock outlives the parent. So every lock's descriptor stands in a
//! fixed table of atomics, and the child's fork handler closes them all; it takes no lock and
//! allocates nothing. The descriptor is never the one a mapping was made from, because a mapping
//! keeps its open file alive as well.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

/// How many locks one process can hold. More than the budget's worth of segments.
const SLOTS: usize = 512;
const FREE: i32 = -1;
/// Taken by a thread that has not stored its descriptor yet.
const TAKEN: i32 = -2;

static TABLE: [AtomicI32; SLOTS] = [const { AtomicI32::new(FREE) }; SLOTS];
static WATCHING: Once = Once::new();

/// A lock held by this process until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: ManuallyDrop<File>,
    slot: usize,
    descriptor: i32,
}

impl Lock {
    /// Locks the file at this path. `None` when another holder has it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        WATCHING.call_once(watch_forks);
        let file = File::options().read(true).write(true).open(path)?;
        let Some(slot) = TABLE.iter().position(|slot| {
            slot.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }) else {
            return Err(io::Error::other("too many segments are locked by this process"));
        };
        // In the table before it is locked: a child forked in between closes it.
        let descriptor = descriptor_of(&file);
        TABLE[slot].store(descriptor, Ordering::Release);
        let lock = Self { file: ManuallyDrop::new(file), slot, descriptor };
        match lock.file.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether the locked file still has a name: a lock on a deleted file means nothing.
    pub(crate) fn is_linked(&self) -> bool {
        is_linked(&self.file)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let is_ours = TABLE[self.slot]
            .compare_exchange(self.descriptor, TAKEN, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        // In a forked child the handler has closed the descriptor already, and its number may
        // belong to another file by now.
        if is_ours {
            // Unlocking frees it even where a child forked this instant still has the file open.
            let _ = self.file.unlock();
            // SAFETY: dropped once, here, and never used again.
            unsafe { ManuallyDrop::drop(&mut self.file) };
            TABLE[self.slot].store(FREE, Ordering::Release);
        }
    }
}

/// Whether some process holds the lock of this file. Takes nothing away from anyone: a shared lock
/// is tried and given back.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    let file = File::options().read(true).open(path)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(unix)]
fn descriptor_of(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

/// Where there is no fork, any number that marks the slot as used will do.
#[cfg(not(unix))]
fn descriptor_of(_file: &File) -> i32 {
    0
}

#[cfg(unix)]
fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|data| data.nlink() > 0)
}

#[cfg(not(unix))]
fn is_linked(_file: &File) -> bool {
    true
}

fn watch_forks() {
    #[cfg(unix)]
    // SAFETY: the handler is a plain function that lives as long as the program.
    unsafe {
        libc::pthread_atfork(None, None, Some(close_in_child));
    }
}

#[cfg(unix)]
unsafe extern "C" fn close_in_child() {
    for slot in &TABLE {
        let descriptor = slot.swap(FREE, Ordering::AcqRel);
        if descriptor >= 0 {
            // SAFETY: close is async-signal-safe; the owner sees the empty slot and never closes
            // or uses this number again.
            unsafe {
                libc::close(descriptor);
            }
        }
    }
}
