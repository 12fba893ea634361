//! A decompressor that stays with its thread: to make one takes several times as long as to decompress a record.

use std::cell::RefCell;
use std::io;

use zstd::bulk::Decompressor;

thread_local! {
    static KEPT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses by the thread's own.
pub(crate) fn with<T>(
    decompress: impl FnOnce(&mut Decompressor<'static>) -> io::Result<T>,
) -> io::Result<T> {
    KEPT.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompress(decompressor),
        None => decompress(kept.insert(Decompressor::new()?)),
    })
}
