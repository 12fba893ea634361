//! What keeps two threads from working on one span at once: a lock of its own, or the one that a language
//! with a global interpreter lock holds anyway. And what needs no lock once it is known.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardNoSend, RawMutex};

/// For a language whose threads run beside each other.
pub type ThreadLock = crate::brief::BriefLock;

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

/// What is set at most once, under somebody's lock, and from then on read without one.
pub(crate) struct SetOnce<T> {
    is_set: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: `value` is written once, before `is_set` says so, and from then on only read.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    pub(crate) const fn new() -> Self {
        let value = UnsafeCell::new(MaybeUninit::uninit());
        Self { is_set: AtomicBool::new(false), value }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: it was written before this said so, which the pair of release and acquire orders.
        self.is_set
            .load(Ordering::Acquire)
            .then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Sets it, unless it is set already.
    ///
    /// # Safety
    /// No two threads call this at once.
    #[inline]
    pub(crate) unsafe fn set(&self, value: T) -> &T {
        if !self.is_set.load(Ordering::Relaxed) {
            // SAFETY: nobody reads it before it is said to be set, and nobody else writes it.
            unsafe { (*self.value.get()).write(value) };
            self.is_set.store(true, Ordering::Release);
        }
        // SAFETY: it is set, just now or before.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
}

impl<T> SetOnce<T> {
    /// Forgets it, as if it had never been set.
    ///
    /// # Safety
    /// Nobody else reads or sets it meanwhile, nor holds what [`SetOnce::get`] answered.
    pub(crate) unsafe fn clear(&self) {
        if self.is_set.load(Ordering::Relaxed) {
            self.is_set.store(false, Ordering::Relaxed);
            // SAFETY: it was set, and by the promise above this is the only way to it.
            unsafe { (*self.value.get()).assume_init_drop() };
        }
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        if *self.is_set.get_mut() {
            // SAFETY: it is set, and nobody else has it any more.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}
