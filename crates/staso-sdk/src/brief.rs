//! A lock that is held for a few moves and is nearly always free: one atomic step takes it, and a plain store gives
//! it back.
//!
//! Locks that let threads sleep until they are woken take a second atomic step, at the end, to learn whether somebody
//! sleeps, and such a step waits until everything stored before it has reached the cache: of an empty span that
//! is a good part. Here whoever finds the lock taken looks again, soon at first, then after giving up its turn, at last
//! after a short sleep, so that a holder who was put aside comes back even where the waiting thread outranks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lock_api::{GuardNoSend, RawMutex};

/// So many looks follow each other at once.
const LOOKS: u32 = 64;

/// After so many more, each of which gives up the thread's turn, it sleeps between two looks.
const TURNS: u32 = 16;

const SLEEP: Duration = Duration::from_micros(50);

/// For what is locked by moves and copies alone: whoever holds it calls nobody and asks the system for nothing but
/// memory.
#[derive(Debug)]
pub struct BriefLock(AtomicBool);

// SAFETY: only who changes the flag from free to taken holds the lock, and what is done under it is seen by the next
// holder, which the pair of release and acquire orders.
unsafe impl RawMutex for BriefLock {
    const INIT: Self = Self(AtomicBool::new(false));

    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl BriefLock {
    #[cold]
    fn wait(&self) {
        let mut looks = 0_u32;
        loop {
            if !self.0.load(Ordering::Relaxed) && self.try_lock() {
                return;
            }
            looks = looks.saturating_add(1);
            match looks {
                ..=LOOKS => std::hint::spin_loop(),
                _ if looks <= LOOKS + TURNS => std::thread::yield_now(),
                _ => std::thread::sleep(SLEEP),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Mutex<T> = lock_api::Mutex<BriefLock, T>;

    #[test]
    fn one_thread_at_a_time_holds_it() {
        const TIMES: u64 = 20_000;
        // Two numbers that only a holder sees differ.
        let pair = Mutex::new((0_u64, 0_u64));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..TIMES {
                        let mut pair = pair.lock();
                        assert_eq!(pair.0, pair.1);
                        pair.0 += 1;
                        pair.1 += 1;
                    }
                });
            }
        });
        assert_eq!(pair.into_inner(), (4 * TIMES, 4 * TIMES));
    }

    #[test]
    fn who_comes_while_it_is_held_for_long_gets_it_in_the_end() {
        let (held, (said, heard)) = (Mutex::new(1), std::sync::mpsc::channel());
        let mut guard = held.lock();
        assert!(held.try_lock().is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                said.send(()).unwrap();
                assert_eq!(*held.lock(), 2);
            });
            heard.recv().unwrap();
            *guard = 2;
            // Long enough for the other to give up its turn, and to sleep.
            (0..1_000).for_each(|_| std::thread::yield_now());
            drop(guard);
        });
    }
}
