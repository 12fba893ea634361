//! When the worker wakes: a batch is full, an interval is over, or someone asks.
//!
//! The recording threads only count, and unpark the worker at the moments that matter; there is no
//! lock between them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::engine::BATCH_BYTES;

/// With nothing to do, the worker looks up this rarely.
const DORMANT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Wake {
    batch_size: u64,
    records: AtomicU64,
    bytes: AtomicU64,
    asked: AtomicU64,
    is_stopping: AtomicBool,
    is_started: AtomicBool,
    is_dormant: AtomicBool,
    worker: OnceLock<Thread>,
}

impl Wake {
    pub(crate) fn new(batch_size: u64) -> Self {
        Self {
            batch_size,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            is_started: AtomicBool::new(false),
            is_dormant: AtomicBool::new(false),
            worker: OnceLock::new(),
        }
    }

    /// One record of this many bytes was taken.
    #[inline]
    pub(crate) fn note(&self, bytes: u64) {
        let records = self.records.fetch_add(1, Ordering::SeqCst) + 1;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_full =
            records == self.batch_size || (before < BATCH_BYTES && before + bytes >= BATCH_BYTES);
        if is_full || self.is_dormant.load(Ordering::SeqCst) {
            self.unpark();
        }
    }

    /// A span was opened: the worker must be awake when it is due.
    #[inline]
    pub(crate) fn note_open(&self) {
        if self.is_dormant.load(Ordering::SeqCst) {
            self.unpark();
        }
    }

    /// Asks for a round that begins after this call; returns its number.
    pub(crate) fn ask_flush(&self) -> u64 {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.unpark();
        asked
    }

    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.unpark();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Relaxed)
    }

    /// Whether the caller is the one who starts the worker.
    pub(crate) fn claim_start(&self) -> bool {
        !self.is_started.swap(true, Ordering::AcqRel)
    }

    /// The worker's own handle; until it is set, the worker looks by itself.
    pub(crate) fn set_worker(&self, thread: Thread) {
        let _ = self.worker.set(thread);
    }

    /// Lets the worker look at once at what it tends while it waits.
    #[cold]
    pub(crate) fn call_to_tend(&self) {
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    /// Begins a round: forgets what was counted, returns the newest request for a flush.
    pub(crate) fn begin_round(&self) -> u64 {
        self.records.store(0, Ordering::SeqCst);
        self.bytes.store(0, Ordering::Relaxed);
        self.asked.load(Ordering::SeqCst)
    }

    /// Sleeps until there is reason for a round. `answered`: the request the last round saw.
    /// `is_idle`: there is nothing to do until a record or an open span comes. `tend` is done at
    /// each waking.
    pub(crate) fn wait(&self, answered: u64, interval: Duration, is_idle: bool, tend: impl Fn()) {
        let is_asked = || self.asked.load(Ordering::SeqCst) > answered || self.is_stopping();
        if is_idle {
            self.is_dormant.store(true, Ordering::SeqCst);
            if self.records.load(Ordering::SeqCst) == 0 && !is_asked() {
                std::thread::park_timeout(DORMANT);
            }
            self.is_dormant.store(false, Ordering::SeqCst);
        }
        let deadline = Instant::now() + interval;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_full = self.records.load(Ordering::SeqCst) >= self.batch_size
                || self.bytes.load(Ordering::Relaxed) >= BATCH_BYTES;
            if left.is_zero() || is_full || is_asked() {
                return;
            }
            tend();
            std::thread::park_timeout(left);
        }
    }
}
