//! Objects that are over and that nobody else holds any more, to be used again: for a language in which making and
//! freeing an object costs as much as all the rest of recording an empty span.

use std::sync::atomic::{AtomicPtr, Ordering};

/// Enough for spans within spans, of which a variable may hold the last one a while longer.
const PLACES: usize = 4;

/// A few places for objects, each of which owns a reference to what stands there. For one thread at a time, as
/// [`InterpreterLock`](crate::InterpreterLock) is.
#[derive(Debug)]
pub struct Spare<T>([AtomicPtr<T>; PLACES]);

impl<T> Spare<T> {
    /// Empty places.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicPtr::new(std::ptr::null_mut()) }; PLACES])
    }

    /// Takes out an object, and its place's reference with it, of which `is_free` says that the reference is
    /// the only one.
    #[inline]
    pub fn take(&self, is_free: impl Fn(*mut T) -> bool) -> Option<*mut T> {
        for place in &self.0 {
            let object = place.load(Ordering::Relaxed);
            if !object.is_null() && is_free(object) {
                place.store(std::ptr::null_mut(), Ordering::Relaxed);
                return Some(object);
            }
        }
        None
    }

    /// Keeps an object, if there is room and it is not kept already; `refer` takes the reference.
    #[inline]
    pub fn keep(&self, object: *mut T, refer: impl FnOnce()) {
        let stands = |wanted| self.0.iter().find(|place| place.load(Ordering::Relaxed) == wanted);
        if stands(object).is_none()
            && let Some(place) = stands(std::ptr::null_mut())
        {
            refer();
            place.store(object, Ordering::Relaxed);
        }
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn keeps_each_object_once_and_gives_back_only_what_is_free() {
        let (spare, mut objects, references) = (Spare::new(), [0_u8; PLACES + 1], Cell::new(0));
        let pointers: Vec<*mut u8> = objects.iter_mut().map(std::ptr::from_mut).collect();
        for pointer in [pointers[0]].into_iter().chain(pointers.iter().copied()) {
            spare.keep(pointer, || references.set(references.get() + 1));
        }
        assert_eq!(references.get(), PLACES);
        assert_eq!(spare.take(|_| false), None);
        assert_eq!(spare.take(|object| object == pointers[2]), Some(pointers[2]));
        assert_eq!(spare.take(|object| object == pointers[2]), None);
        let left = std::iter::from_fn(|| spare.take(|_| true));
        assert_eq!(left.collect::<Vec<_>>(), [pointers[0], pointers[1], pointers[3]]);
    }
}
