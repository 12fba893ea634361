//! Calls into the program, to read what it holds: where its code runs while we write a record.
//!
//! Two things follow from that. At the end of a program no call may begin any more. And some languages
//! have strands that take turns on one thread (greenlets): only inside a call can another one run, and
//! what that one does is not part of our writing.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::pen::is_writing;

/// How many calls into the program are under way, on all threads, and whether new ones may begin.
static CALLS: AtomicU32 = AtomicU32::new(0);
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// One call into the program, to read what it holds.
///
/// When a language's runtime ends, its threads may be taken down inside such a call, through our own
/// frames. So at the end of a program no new ones begin, and those under way are waited for.
#[derive(Debug)]
pub struct Call {
    strand: Option<usize>,
}

impl Call {
    /// Begins a call; `None` when the program ends.
    #[must_use]
    pub fn begin() -> Option<Self> {
        CALLS.fetch_add(1, Ordering::SeqCst);
        let strand = STRAND.get().map(|strand| strand());
        if let Some(strand) = strand {
            let _ = CALLING.try_with(|calling| calling.borrow_mut().push(strand));
        }
        let call = Self { strand };
        (!IS_ENDING.load(Ordering::SeqCst)).then_some(call)
    }

    /// Lets no new call begin, and waits until none is under way, at most for this long.
    pub fn end_all(at_most: Duration) {
        IS_ENDING.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + at_most;
        while CALLS.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets calls begin again: a program that goes on after all.
    pub(crate) fn allow() {
        IS_ENDING.store(false, Ordering::SeqCst);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(strand) = self.strand {
            let _ = CALLING.try_with(|calling| {
                let mut calling = calling.borrow_mut();
                let last = calling.iter().rposition(|other| *other == strand);
                last.map(|last| calling.swap_remove(last))
            });
        }
        CALLS.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    /// What is to reach the program once this thread's record is written.
    static OWED: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Lets `deliver` run on this thread once the record being written is done, or now where there is none: an
/// interrupt that fell into a call reaches the program after all.
#[cold]
pub fn after_writing(deliver: fn()) {
    OWED.set(Some(deliver));
    if !is_writing() {
        deliver_owed();
    }
}

/// Delivers what this thread owes.
#[inline]
pub(crate) fn deliver_owed() {
    if OWED.get().is_some() {
        OWED.take().inspect(|deliver| deliver());
    }
}

thread_local! {
    /// The strands of this thread that are inside a [`Call`].
    static CALLING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Says which strand of its thread the caller runs on, where a language has several that take turns (its
/// greenlets, say): while one of them is inside the program, another may run, and it writes nothing.
static STRAND: OnceLock<fn() -> usize> = OnceLock::new();

/// Sets what tells the strands of a thread apart, for the rest of the process; the first one counts. It is
/// asked around calls into the program only, and must not run any code of the program.
pub fn tell_strands_apart(strand: fn() -> usize) {
    let _ = STRAND.set(strand);
}

/// Whether what this thread writes is written by this strand. Only inside a call can another one run.
#[cold]
pub(crate) fn is_ours() -> bool {
    let Some(strand) = STRAND.get().map(|strand| strand()) else { return true };
    let is_ours = |calling: &RefCell<Vec<usize>>| {
        let calling = calling.borrow();
        calling.is_empty() || calling.contains(&strand)
    };
    CALLING.try_with(is_ours).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pen::{Limits, Pen};

    const LIMITS: Limits = Limits { value_bytes: 64, span_bytes: 1024 };

    #[test]
    fn an_interrupt_waits_for_the_end_of_the_record() {
        thread_local! { static DELIVERED: Cell<u32> = const { Cell::new(0) } }
        let deliver = || DELIVERED.set(DELIVERED.get() + 1);
        let pen = Pen::new(LIMITS);
        after_writing(deliver);
        assert_eq!(DELIVERED.get(), 0, "a record is being written");
        drop(pen);
        assert_eq!(DELIVERED.get(), 1);
        drop(Pen::new(LIMITS));
        assert_eq!(DELIVERED.get(), 1, "it was owed once");
        after_writing(deliver);
        assert_eq!(DELIVERED.get(), 2, "nothing is being written");
    }

    #[test]
    fn only_the_strand_that_writes_is_writing() {
        thread_local! { static NOW: Cell<usize> = const { Cell::new(1) } }
        tell_strands_apart(|| NOW.get());
        assert!(!is_writing());
        let first = Pen::new(LIMITS);
        assert!(is_writing(), "outside a call nobody else can run");
        let call = Call::begin().unwrap();
        assert!(is_writing());
        NOW.set(2);
        assert!(!is_writing(), "the first strand waits inside the program");
        let second = Pen::new(LIMITS);
        let inner = Call::begin().unwrap();
        assert!(is_writing());
        NOW.set(1);
        assert!(is_writing());
        NOW.set(3);
        assert!(!is_writing());
        // They finish in any order.
        NOW.set(1);
        drop((call, first));
        assert!(!is_writing(), "the second is still inside");
        NOW.set(2);
        assert!(is_writing());
        drop((inner, second));
        assert!(!is_writing());
    }
}
