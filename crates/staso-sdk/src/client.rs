//! The client: what a program holds, cheap to clone, safe from every thread and after a fork.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use staso_model::ProcessId;

use crate::config::Config;
use crate::engine::Engine;
use crate::fork::process_generation;
use crate::open::OpenToken;
use crate::pen::Call;
use crate::record::{Entry, SpanHead};
use crate::report::{DeliveryReport, Enqueued, FailureKind, Stats};

/// The worker is given this long to say goodbye after a shutdown's own time.
const GOODBYE: Duration = Duration::from_millis(200);

/// Calls into the program are waited for this long when it ends.
const CALLS_END: Duration = Duration::from_secs(1);

/// A handle on the engine that records and ships.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<Config>,
    /// What the surroundings that every span begins with say, as JSON.
    home: String,
    /// A leaked box. A forked child puts another in its place and never touches the parent's.
    engine: AtomicPtr<Arc<Engine>>,
    is_shut: AtomicBool,
}

impl Client {
    /// Starts recording. Never fails and never waits for the network.
    #[must_use]
    pub fn start(config: Config) -> Self {
        Self::start_at(config, b"")
    }

    /// As [`Client::start`]; `home` is what those spans say of their surroundings that are at home.
    pub(crate) fn start_at(config: Config, home: &[u8]) -> Self {
        crate::fork::watch();
        let config = Arc::new(config);
        let home = String::from_utf8_lossy(home).into_owned();
        let engine = AtomicPtr::new(new_engine(&config, &home));
        let is_shut = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { config, home, engine, is_shut }) }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// This run of this process; another one in a forked child.
    #[must_use]
    pub fn process_id(&self) -> ProcessId {
        self.shared.engine().process_id
    }

    /// Whether records are taken: not disabled, not shut down.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.config.enabled && !self.shared.is_shut.load(Ordering::Relaxed)
    }

    /// Records one finished thing. When this returns, it survives the death of the process (where
    /// there is a journal).
    #[inline]
    pub fn append(&self, entry: &Entry<'_>) -> Enqueued {
        if !self.shared.config.enabled {
            return Enqueued::refused(FailureKind::Disabled);
        }
        let engine = self.shared.engine();
        if self.shared.is_shut.load(Ordering::Relaxed) {
            engine.counters.refused(FailureKind::Shutdown);
            return Enqueued::refused(FailureKind::Shutdown);
        }
        engine.record(entry)
    }

    /// Registers an open span: it is announced if it stays open longer than a flush interval.
    /// `start_mono_ns` is a reading of [`crate::clock::mono_ns`].
    pub fn open_span(&self, head: SpanHead, start_mono_ns: u64) -> OpenToken {
        let token = self.register_span(|place| *place = head, start_mono_ns);
        self.tell_open();
        token
    }

    /// As [`Client::open_span`], without a word to the worker: [`Client::tell_open`] has to follow.
    #[inline]
    pub(crate) fn register_span(
        &self,
        write: impl FnOnce(&mut SpanHead),
        start_mono_ns: u64,
    ) -> OpenToken {
        if !self.is_open() {
            return OpenToken::NONE;
        }
        self.shared.engine().open.open(write, start_mono_ns)
    }

    /// Lets the worker know that spans are open; starts it with the first one.
    #[inline]
    pub(crate) fn tell_open(&self) {
        if self.is_open() {
            let engine = self.shared.engine();
            engine.wake.note_open();
            engine.ensure_worker();
        }
    }

    /// Takes a span out of the registry. Twice is harmless.
    pub fn close_span(&self, token: OpenToken) {
        self.shared.engine().open.close(token);
    }

    /// Ships until everything recorded before this call is acknowledged, or the time is over.
    /// In local mode without a server it returns at once: the journal keeps everything.
    pub fn flush(&self, timeout: Duration) -> DeliveryReport {
        self.shared.engine().flush(timeout, false)
    }

    /// Flushes, says goodbye and stops recording. Later calls report nothing new.
    pub fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        self.end(timeout, false)
    }

    /// Like [`Client::shutdown`], for the end of the program: waits only while requests make
    /// progress. The rest stays in the journal. No code of the program is called by us any more when
    /// this returns: its runtime may take threads down wherever they are.
    pub fn shutdown_at_exit(&self, timeout: Duration) -> DeliveryReport {
        Call::end_all(CALLS_END);
        self.end(timeout, true)
    }

    fn end(&self, timeout: Duration, is_exit: bool) -> DeliveryReport {
        self.shared.is_shut.store(true, Ordering::SeqCst);
        let engine = self.shared.engine();
        let started = Instant::now();
        let report = engine.flush(timeout, is_exit);
        let left = timeout.saturating_sub(started.elapsed()).min(Duration::from_secs(60));
        engine.stop(Instant::now() + left.max(GOODBYE));
        report
    }

    /// Every counter since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.engine().stats()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let destination = &self.shared.config.destination;
        f.debug_struct("Client").field("destination", destination).finish_non_exhaustive()
    }
}

impl Shared {
    /// The engine of this process; a new one in a forked child that has not used it yet.
    #[inline]
    fn engine(&self) -> &Arc<Engine> {
        let current = self.engine.load(Ordering::Acquire);
        // SAFETY: the pointer came from `Box::into_raw` and is freed only when `self` is dropped;
        // a pointer that was replaced is leaked.
        let engine = unsafe { &*current };
        if engine.generation == process_generation() { engine } else { self.replace(current) }
    }

    /// In a forked child: an engine of its own. Several threads may come here at once; one wins.
    #[cold]
    fn replace(&self, parents: *mut Arc<Engine>) -> &Arc<Engine> {
        let made = new_engine(&self.config, &self.home);
        let order = (Ordering::AcqRel, Ordering::Acquire);
        let current = match self.engine.compare_exchange(parents, made, order.0, order.1) {
            Ok(_) => made,
            Err(others) => {
                // SAFETY: `made` was never shared.
                drop(unsafe { Box::from_raw(made) });
                others
            }
        };
        // SAFETY: as in `engine`.
        unsafe { &*current }
    }
}

impl Drop for Shared {
    /// Lets the worker end by itself; what it has not shipped stays in the journal.
    fn drop(&mut self) {
        let current = *self.engine.get_mut();
        // SAFETY: as in `engine`; nobody else holds `self` any more.
        let is_ours = unsafe { &*current }.generation == process_generation();
        if is_ours {
            // SAFETY: as above.
            let engine = unsafe { Box::from_raw(current) };
            engine.wake.stop();
        }
    }
}

fn new_engine(config: &Arc<Config>, home: &str) -> *mut Arc<Engine> {
    Box::into_raw(Box::new(Arc::new(Engine::new(Arc::clone(config), home))))
}
