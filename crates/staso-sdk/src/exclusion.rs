//! What keeps two threads from working on one span at once: a lock of its own, or the one that a language
//! with a global interpreter lock holds anyway.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardNoSend, RawMutex};

/// For a language whose threads run beside each other.
pub type ThreadLock = parking_lot::RawMutex;

/// A language of which one thread runs at a time.
///
/// # Safety
/// Whoever implements it promises that every call into this engine that takes one of its objects is made by
/// the thread that holds the interpreter, and that a [`Host`](crate::Host)'s plain copies of references do
/// not let another thread have it.
pub unsafe trait OneThreadAtATime {}

/// The lock of such a language, which is held already: what is left is to notice a mistake of ours. An atomic
/// step for each look at a span would cost more than the rest of many of them.
#[derive(Debug)]
pub struct InterpreterLock<L> {
    is_taken: AtomicBool,
    language: PhantomData<fn() -> L>,
}

// SAFETY: by `OneThreadAtATime` no other thread is in here, and this thread is refused a second entry.
unsafe impl<L: OneThreadAtATime> RawMutex for InterpreterLock<L> {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "the trait asks for the beginning of a lock"
    )]
    const INIT: Self = Self { is_taken: AtomicBool::new(false), language: PhantomData };

    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        assert!(self.try_lock(), "a span is changed while it is looked at");
    }

    #[inline]
    fn try_lock(&self) -> bool {
        let is_free = !self.is_taken.load(Ordering::Relaxed);
        self.is_taken.store(true, Ordering::Relaxed);
        is_free
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.is_taken.store(false, Ordering::Relaxed);
    }
}
