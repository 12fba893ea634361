//! The engine of one process: takes records on any thread, and knows what became of them.
//!
//! A forked child gets an engine of its own; the parent's is left where it is, untouched, because
//! any of its locks may have been held when the process was copied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use staso_journal::{Batch, Journal, JournalError, Mode, RecordKind, Stamp};
use staso_model::ProcessId;

use crate::clock;
use crate::config::Config;
use crate::counters::Counters;
use crate::destination::Destination;
use crate::late::say_memory_only;
use crate::log::SaidOnce;
use crate::open::OpenSpans;
use crate::queue::Queue;
use crate::record::Entry;
use crate::report::{DeliveryReport, Enqueued, FailureKind, Stats};
use crate::wake::Wake;
use crate::worker;

pub(crate) struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) process_id: ProcessId,
    pub(crate) generation: u32,
    /// What the spans of this client have in common.
    pub(crate) stamp: Stamp,
    pub(crate) destination: staso_journal::Destination,
    /// Once its directory could be made.
    pub(crate) journal: OnceLock<Journal>,
    pub(crate) queue: Queue,
    pub(crate) open: OpenSpans,
    pub(crate) counters: Counters,
    pub(crate) said: SaidOnce,
    pub(crate) wake: Wake,
    /// When the journal is tried again, on the monotonic clock; 0 while it works.
    journal_rests_until_ns: AtomicU64,
    progress: Mutex<Progress>,
    progressed: Condvar,
}

/// How the worker's last look at the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RoundEnd {
    /// Everything was delivered or given up.
    #[default]
    Done,
    /// Local mode, and no server is there.
    NoServer,
    /// The server wants a person to do something first.
    Paused,
    /// The last attempt failed; it is tried again.
    Waiting,
}

#[derive(Debug, Default)]
struct Progress {
    /// The newest request for a flush that a finished round has seen.
    answered: u64,
    end: RoundEnd,
    is_stopped: bool,
    /// What somebody waits for: nobody is woken before it is settled, a round ends or the worker does.
    awaited: Option<Goal>,
}

/// What must be settled before a flush is done.
#[derive(Debug, Clone, Copy)]
struct Goal {
    journalled: u64,
    queued: u64,
    /// How many records had gone from memory into the journal by then.
    moved: u64,
}

impl Goal {
    /// What is settled no later than either.
    fn or_earlier(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            journalled: self.journalled.min(other.journalled),
            queued: self.queued.min(other.queued),
            moved: self.moved,
        })
    }
}

impl Engine {
    /// `home` is what the surroundings that every span begins with say.
    pub(crate) fn new(config: Arc<Config>, home: &str) -> Self {
        let process_id = crate::ids::process_id();
        let destination = journal_destination(&config);
        let said = SaidOnce::default();
        let process = crate::record::stamp(process_id, config.sample_rate, config.capture);
        let stamp = Stamp { process, home: home.to_owned() };
        let engine = Self {
            stamp,
            queue: Queue::new(config.max_queue_size),
            wake: Wake::new(config.batch_size as u64),
            config,
            process_id,
            generation: crate::fork::process_generation(),
            destination,
            journal: OnceLock::new(),
            open: OpenSpans::new(),
            counters: Counters::default(),
            said,
            journal_rests_until_ns: AtomicU64::new(0),
            progress: Mutex::default(),
            progressed: Condvar::new(),
        };
        engine.open_journal();
        engine
    }

    /// The journal, where there is one.
    #[inline]
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// Takes one record. Provisional ones are the engine's own and are not counted as accepted.
    #[inline]
    pub(crate) fn record(self: &Arc<Self>, entry: &Entry<'_>) -> Enqueued {
        let kept = match self.journal().filter(|_| !self.is_journal_resting()) {
            Some(journal) => self.append(journal, entry),
            None => self.queue(entry),
        };
        if let Err(refusal) = kept {
            if entry.kind != RecordKind::Provisional {
                self.counters.refused(refusal);
            }
            return Enqueued::refused(refusal);
        }
        self.ensure_worker();
        Enqueued::ACCEPTED
    }

    #[inline]
    fn append(&self, journal: &Journal, entry: &Entry<'_>) -> Result<(), FailureKind> {
        let (trace_id, span_id) = (entry.trace_id, entry.span_id);
        let appended = match &entry.front {
            Some(front) => journal.append_span(trace_id, span_id, front, entry.json),
            None => journal.append(entry.kind, trace_id, span_id, entry.json),
        };
        match appended {
            Ok(is_called) => {
                if self.journal_rests_until_ns.load(Ordering::Relaxed) != 0 {
                    self.journal_rests_until_ns.store(0, Ordering::Relaxed);
                }
                self.wake.note_appended(is_called);
                Ok(())
            }
            Err(error) => self.not_appended(entry, &error),
        }
    }

    #[cold]
    fn not_appended(&self, entry: &Entry<'_>, error: &JournalError) -> Result<(), FailureKind> {
        match error {
            JournalError::Closed => Err(FailureKind::Shutdown),
            JournalError::Full | JournalError::TooLarge { .. } => {
                self.said.warn("journal full", &format!("a span was not kept: {error}"));
                Err(FailureKind::QueueFull)
            }
            JournalError::DiskFull | JournalError::Io { .. } => {
                self.rest_journal();
                say_memory_only(&self.said, error);
                self.queue(entry)
            }
        }
    }

    /// Keeps a record in memory.
    #[cold]
    fn queue(&self, entry: &Entry<'_>) -> Result<(), FailureKind> {
        if !self.queue.push(entry.to_record()) {
            return Err(FailureKind::QueueFull);
        }
        if entry.kind != RecordKind::Provisional {
            self.counters.queued.fetch_add(1, Ordering::Relaxed);
        }
        self.wake.note_queued(entry.json.len() as u64);
        Ok(())
    }

    /// Whether the journal has failed and is not to be tried again yet.
    #[inline]
    pub(crate) fn is_journal_resting(&self) -> bool {
        let until = self.journal_rests_until_ns.load(Ordering::Relaxed);
        until != 0 && clock::mono_ns() < until
    }

    /// The file system refused: trying at each span would make all of them slow.
    #[cold]
    pub(crate) fn rest_journal(&self) {
        let until = clock::mono_ns().saturating_add(JOURNAL_REST_NS);
        self.journal_rests_until_ns.store(until, Ordering::Relaxed);
    }

    /// Starts the worker if it is not running.
    #[inline]
    pub(crate) fn ensure_worker(self: &Arc<Self>) {
        if !self.wake.is_started() {
            worker::start(self);
        }
    }

    /// Ships until everything taken so far is settled, nothing more can be done now, or the time
    /// is over. `is_exit`: also stop as soon as an attempt fails.
    pub(crate) fn flush(self: &Arc<Self>, timeout: Duration, is_exit: bool) -> DeliveryReport {
        if !self.config.enabled {
            return DeliveryReport::disabled();
        }
        let deadline = Instant::now().checked_add(timeout);
        let timed_out = !self.wait_until_settled(deadline, is_exit);
        self.sync_what_is_left();
        self.report(timed_out)
    }

    /// Makes what no server has survive the machine, too. What one has acknowledged is durable there.
    pub(crate) fn sync_what_is_left(&self) {
        if let Some(journal) = self.journal().filter(|journal| journal.stats().left() > 0)
            && let Err(error) = journal.sync()
        {
            self.said.warn("sync", &format!("the journal could not be synced: {error}"));
        }
    }

    fn wait_until_settled(self: &Arc<Self>, deadline: Option<Instant>, is_exit: bool) -> bool {
        let mut goal = self.goal();
        if self.is_settled(goal) || self.progress().is_stopped {
            return true;
        }
        self.ensure_worker();
        let asked = self.wake.ask_flush();
        let mut progress = self.progress();
        loop {
            if self.queue.counts().moved != goal.moved {
                goal = self.goal();
            }
            let has_ended =
                progress.answered >= asked && (progress.end != RoundEnd::Waiting || is_exit);
            if has_ended || progress.is_stopped || self.is_settled(goal) {
                return true;
            }
            let left = deadline.map_or(Duration::from_secs(3600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            progress.awaited = Some(goal.or_earlier(progress.awaited));
            progress = self
                .progressed
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Stops the worker, which says goodbye, and frees the journal.
    pub(crate) fn stop(&self, deadline: Instant) {
        self.wake.stop();
        if !self.wake.is_started() {
            return self.let_go();
        }
        let mut progress = self.progress();
        while !progress.is_stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            progress = self
                .progressed
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Frees the journal for others.
    pub(crate) fn let_go(&self) {
        if let Some(journal) = self.journal() {
            journal.let_go();
        }
    }

    fn goal(&self) -> Goal {
        // In this order: what moves from memory into the journal in between is seen by `moved`.
        let counts = self.queue.counts();
        let journalled = self.journal().map_or(0, |journal| journal.stats().appended);
        Goal { journalled, queued: counts.pushed, moved: counts.moved }
    }

    /// Whether that is settled; not, where records moved from memory into the journal since: the goal is another.
    fn is_settled(&self, goal: Goal) -> bool {
        let counts = self.queue.counts();
        let stats = self.journal().map(Journal::stats).unwrap_or_default();
        counts.moved == goal.moved
            && counts.settled >= goal.queued
            && stats.appended - stats.left() >= goal.journalled
    }

    pub(crate) fn finish_round(&self, asked: u64, end: RoundEnd) {
        let mut progress = self.progress();
        progress.answered = asked;
        progress.end = end;
        drop(progress);
        self.progressed.notify_all();
    }

    /// A batch was settled: where that is what somebody waits for, whoever waits looks again.
    pub(crate) fn tell_progress(&self) {
        let mut progress = self.progress();
        let is_new = |goal: &Goal| self.queue.counts().moved != goal.moved;
        if progress.awaited.take_if(|goal| is_new(goal) || self.is_settled(*goal)).is_some() {
            drop(progress);
            self.progressed.notify_all();
        }
    }

    pub(crate) fn finish_worker(&self) {
        self.progress().is_stopped = true;
        self.progressed.notify_all();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles one of this process's own batches and counts it.
    pub(crate) fn settle(&self, batch: &Batch, is_delivered: bool) -> Result<(), JournalError> {
        let mut written = Ok(());
        if self.queue.is_origin_of(batch) {
            self.queue.settle(batch);
        } else if let Some(journal) = self.journal() {
            written = match is_delivered {
                true => journal.acknowledge(batch),
                false => journal.give_up(batch),
            };
        }
        let count =
            batch.records.iter().filter(|record| record.kind != RecordKind::Provisional).count();
        let counter = if is_delivered { &self.counters.delivered } else { &self.counters.given_up };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        written
    }

    pub(crate) fn report(&self, timed_out: bool) -> DeliveryReport {
        if !self.config.enabled {
            return DeliveryReport::disabled();
        }
        // In this order: what moves from memory into the journal in between is told twice, never left out.
        let pending = self.queue.counts().waiting;
        let stats = self.journal().map(Journal::stats).unwrap_or_default();
        let mut report = self.counters.report(self.accepted(), stats.evicted);
        report.pending = pending;
        report.journalled = stats.ended_left();
        report.timed_out = timed_out;
        report
    }

    /// How many records were taken, the engine's own announcements left out.
    fn accepted(&self) -> u64 {
        // What goes from memory into the journal is counted once.
        self.queue.hold(|moved_ended| {
            let stats = self.journal().map(Journal::stats).unwrap_or_default();
            let journalled = stats.appended.saturating_sub(stats.announced);
            (load(&self.counters.queued) + journalled).saturating_sub(moved_ended)
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.counters.list(&mut stats);
        stats.0.insert("accepted", self.accepted());
        stats.0.insert("memory_pending", self.queue.counts().waiting);
        stats.0.insert("open_spans", self.open.count() as u64);
        let is_usable = self.journal().is_some() && !self.is_journal_resting();
        stats.0.insert("journal_usable", u64::from(is_usable));
        if let Some(journal) = self.journal() {
            let found = journal.stats();
            stats.0.insert("journal_mapped", u64::from(found.is_mapped));
            stats.0.insert("journal_bytes", found.bytes);
            stats.0.insert("journal_pending", found.ended_left());
            stats.0.insert("journal_evicted", found.evicted);
            stats.0.insert("journal_evicted_of_others", found.evicted_of_others);
        }
        stats
    }
}

/// How long a journal that could not be written to is left alone, nanoseconds.
const JOURNAL_REST_NS: u64 = 1_000_000_000;

/// What segments of this client say about where they go.
fn journal_destination(config: &Config) -> staso_journal::Destination {
    let mode = match config.destination {
        Destination::Local => Mode::Local,
        Destination::Loopback { .. } | Destination::Remote { .. } => Mode::Remote,
    };
    staso_journal::Destination {
        mode,
        base_url: config.destination.url().unwrap_or_default().to_owned(),
        workspace: config.workspace_slug.clone(),
        environment: config.environment.clone(),
        key_fingerprint: config
            .api_key
            .as_ref()
            .map_or_else(String::new, |key| fingerprint(&key.0)),
    }
}

/// Enough of a hash to tell keys apart, too little to find one.
fn fingerprint(key: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update("staso journal key\n").chain_update(key).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

/// The level at which bytes waiting wake the worker, and the size of a batch.
pub(crate) const BATCH_BYTES: u64 = 4 << 20;

/// Reads a flag that only ever goes up.
pub(crate) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
