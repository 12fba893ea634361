//! When the worker wakes: a batch is full, an interval is over, or someone asks.
//!
//! The recording threads only count, and unpark the worker at the moments that matter; there is no
//! lock between them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use staso_journal::Waiting;

use crate::engine::BATCH_BYTES;

/// With nothing to do, the worker looks up this rarely.
const DORMANT: Duration = Duration::from_secs(5);

/// In [`Wake::level`], what one record counts; its bytes count below that.
const ONE_RECORD: u64 = 1 << 40;

#[derive(Debug)]
pub(crate) struct Wake {
    enough_records: u64,
    /// Records of the queue in memory and their bytes since the last round, in one number so that noting them
    /// is one step.
    level: AtomicU64,
    asked: AtomicU64,
    is_stopping: AtomicBool,
    is_started: AtomicBool,
    is_dormant: AtomicBool,
    worker: OnceLock<Thread>,
}

impl Wake {
    pub(crate) fn new(batch_size: u64) -> Self {
        Self {
            enough_records: batch_size,
            level: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            is_started: AtomicBool::new(false),
            is_dormant: AtomicBool::new(false),
            worker: OnceLock::new(),
        }
    }

    /// The journal took a record. A worker that went to sleep before has said so before it looked into the
    /// journal, whose lock orders the two: either it saw the record, or this sees that it sleeps.
    #[inline]
    pub(crate) fn note_appended(&self, is_called: bool) {
        if is_called || self.is_dormant.load(Ordering::Relaxed) {
            self.unpark();
        }
    }

    /// One record of this many bytes went into memory.
    pub(crate) fn note_queued(&self, bytes: u64) {
        let added = ONE_RECORD + bytes.min(BATCH_BYTES);
        let before = self.level.fetch_add(added, Ordering::SeqCst);
        let becomes_full = !self.is_full(before) && self.is_full(before + added);
        if becomes_full || self.is_dormant.load(Ordering::SeqCst) {
            self.unpark();
        }
    }

    fn is_full(&self, level: u64) -> bool {
        level / ONE_RECORD >= self.enough_records || level % ONE_RECORD >= BATCH_BYTES
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

    #[cold]
    fn unpark(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    /// Begins a round: forgets what was counted, returns the newest request for a flush.
    pub(crate) fn begin_round(&self) -> u64 {
        self.level.store(0, Ordering::SeqCst);
        self.asked.load(Ordering::SeqCst)
    }

    /// Sleeps until there is reason for a round. `answered`: the request the last round saw.
    /// `is_idle`: there is nothing to do until a record or an open span comes. `tend` is done at
    /// each waking; `journal` tells what waits in the journal.
    pub(crate) fn wait(
        &self,
        answered: u64,
        interval: Duration,
        is_idle: bool,
        tend: impl Fn(),
        journal: impl Fn() -> Waiting,
    ) {
        let is_asked = || self.asked.load(Ordering::SeqCst) > answered || self.is_stopping();
        if is_idle {
            self.is_dormant.store(true, Ordering::SeqCst);
            let is_empty = self.level.load(Ordering::SeqCst) == 0 && journal().records == 0;
            if is_empty && !is_asked() {
                std::thread::park_timeout(DORMANT);
            }
            self.is_dormant.store(false, Ordering::SeqCst);
        }
        let deadline = Instant::now() + interval;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_full = journal().is_enough || self.is_full(self.level.load(Ordering::SeqCst));
            if left.is_zero() || is_full || is_asked() {
                return;
            }
            tend();
            std::thread::park_timeout(left);
        }
    }
}
