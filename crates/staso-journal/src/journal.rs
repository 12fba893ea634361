//! The journal of a live process: append on one end, batches out of the other.
//!
//! Appending holds one short lock that no shipping, reading or deleting ever holds.

mod ahead;
mod options;
mod stats;
mod waiting;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use staso_model::{ProcessId, SpanId, TraceId};

use self::ahead::Ahead;
pub use self::options::JournalOptions;
pub use self::stats::JournalStats;
pub use self::waiting::Waiting;
use crate::adopt::{UNBORN, presence_path};
use crate::batch::{Batch, BatchLimits};
use crate::budget;
use crate::destination::{Destination, Mode};
use crate::error::JournalError;
use crate::frame::{self, Head};
use crate::header::SegmentHeader;
use crate::home::{create_private_dir, private_options};
use crate::lock::Lock;
use crate::outlet::{Outlet, delete};
use crate::record::{Record, RecordKind, SpanFront, Stamp};
use crate::segment::{FIRST_CHUNK, Inlet, Live};

/// A full directory is measured anew at most this often.
const REMEASURE_AFTER: Duration = Duration::from_millis(100);

/// The journal of this process.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    destination: Destination,
    process_id: ProcessId,
    /// What spans have in common, kept in the head of each segment.
    stamp: Stamp,
    options: JournalOptions,
    inlet: Mutex<Intake>,
    segments: Mutex<VecDeque<Arc<Live>>>,
    outlet: Mutex<Option<(Arc<Live>, Outlet)>>,
    usage: AtomicU64,
    appended: AtomicU64,
    delivered: AtomicU64,
    given_up: AtomicU64,
    evicted: AtomicU64,
    evicted_of_others: AtomicU64,
    announced: AtomicU64,
    announced_gone: AtomicU64,
    announced_evicted: AtomicU64,
    is_mapped: AtomicBool,
    /// Records come faster than room is made for them.
    wants_room: AtomicBool,
}

#[derive(Debug, Default)]
struct Intake {
    current: Option<Inlet>,
    ahead: Ahead,
    presence: Option<Lock>,
    is_closed: bool,
    full_since: Option<Instant>,
    waiting: Waiting,
}

impl Journal {
    /// Opens the journal of a process. The directory is made; a segment is made by the first
    /// record.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the directory cannot be made or written to.
    pub fn open(
        dir: PathBuf,
        destination: Destination,
        process_id: ProcessId,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        create_private_dir(&dir).map_err(JournalError::io(&dir))?;
        let usage = budget::measure(&dir);
        Ok(Self {
            dir,
            destination,
            process_id,
            stamp: Stamp::default(),
            options,
            inlet: Mutex::default(),
            segments: Mutex::default(),
            outlet: Mutex::default(),
            usage: AtomicU64::new(usage),
            appended: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            evicted_of_others: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            announced_gone: AtomicU64::new(0),
            announced_evicted: AtomicU64::new(0),
            is_mapped: AtomicBool::new(false),
            wants_room: AtomicBool::new(false),
        })
    }

    /// Lets the spans that are kept in parts have this in common. Every segment keeps it once.
    #[must_use]
    pub fn with_stamp(mut self, stamp: &Stamp) -> Self {
        stamp.clone_into(&mut self.stamp);
        self
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its records go.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Appends one record that is a JSON object. When this returns, the record survives the death of the
    /// process. Answers whether the shipping thread is to be called: enough waits for it, or room is short.
    ///
    /// # Errors
    /// [`JournalError::Full`] at the budget (never in local mode while older records can go);
    /// [`JournalError::DiskFull`]; [`JournalError::TooLarge`]; [`JournalError::Closed`];
    /// [`JournalError::Io`] when the directory cannot be used at all.
    pub fn append(
        &self,
        kind: RecordKind,
        trace_id: &TraceId,
        span_id: &SpanId,
        json: &[u8],
    ) -> Result<bool, JournalError> {
        self.put(kind, &Head::whole(kind, trace_id, span_id, json), json)
    }

    /// Appends a finished span, of which `members` says what its front and the stamp do not: JSON members
    /// with commas between them, none before the first.
    ///
    /// # Errors
    /// As [`Journal::append`].
    #[inline]
    pub fn append_span(
        &self,
        trace_id: &TraceId,
        span_id: &SpanId,
        front: &SpanFront,
        members: &[u8],
    ) -> Result<bool, JournalError> {
        self.put(RecordKind::Span, &Head::parts(trace_id, span_id, front, members), members)
    }

    #[inline]
    fn put<const WORDS: usize>(
        &self,
        kind: RecordKind,
        head: &Head<WORDS>,
        json: &[u8],
    ) -> Result<bool, JournalError> {
        if json.len() > self.options.record_bytes {
            return Err(JournalError::TooLarge { bytes: json.len() });
        }
        let mut intake = lock(&self.inlet);
        if intake.is_closed {
            return Err(JournalError::Closed);
        }
        self.prepare(&mut intake, Head::<WORDS>::FRONT + json.len())?;
        let inlet = intake.current.as_mut().ok_or(JournalError::Closed)?;
        inlet.put(head, json)?;
        if kind == RecordKind::Provisional {
            inlet.live.announced.fetch_add(1, Ordering::AcqRel);
            self.announced.fetch_add(1, Ordering::AcqRel);
        }
        if inlet.tail() >= intake.ahead.low_mark {
            intake.ahead.low_mark = u64::MAX;
            self.want_room(&mut intake);
        }
        // Only the holder of the lock writes this.
        self.appended.store(self.appended.load(Ordering::Relaxed) + 1, Ordering::Release);
        let is_called = self.note_waiting(&mut intake, json.len() as u64);
        Ok(std::mem::take(&mut intake.ahead.is_to_be_called) || is_called)
    }

    /// Seals the current segment and begins another.
    #[cold]
    fn roll(&self, intake: &mut Intake, payload: usize) -> Result<(), JournalError> {
        if let Some(spare) = intake.ahead.take_spare(payload) {
            self.make_current(intake, spare);
            return Ok(());
        }
        self.reserve(intake, FIRST_CHUNK)?;
        match self.begin(intake, payload) {
            Ok(inlet) => {
                self.make_current(intake, inlet);
                Ok(())
            }
            Err(error) => {
                self.release(FIRST_CHUNK);
                Err(error)
            }
        }
    }

    fn make_current(&self, intake: &mut Intake, inlet: Inlet) {
        self.is_mapped.store(inlet.is_mapped(), Ordering::Relaxed);
        lock(&self.segments).push_back(Arc::clone(&inlet.live));
        if let Some(sealed) = intake.current.replace(inlet) {
            intake.ahead.retire(sealed);
        }
        self.mark_low(intake);
    }

    fn begin(&self, intake: &mut Intake, payload: usize) -> Result<Inlet, JournalError> {
        if intake.presence.is_none() {
            intake.presence = self.appear()?;
        }
        self.new_segment(payload)
    }

    /// Shows that this process lives. The file gets its name only once it is locked: whoever finds it
    /// unlocked may be sure that its process is gone.
    fn appear(&self) -> Result<Option<Lock>, JournalError> {
        let path = presence_path(&self.dir, self.process_id);
        let unborn = path.with_extension(UNBORN);
        let mut options = private_options();
        let file = options.write(true).create(true).truncate(false).open(&unborn);
        file.map_err(JournalError::io(&unborn))?;
        let Some(lock) = Lock::try_take(&unborn).map_err(JournalError::io(&unborn))? else {
            return Ok(None);
        };
        fs::rename(&unborn, &path).map_err(JournalError::io(&path))?;
        Ok(Some(lock))
    }

    /// A segment that a payload of this length fits into.
    fn new_segment(&self, payload: usize) -> Result<Inlet, JournalError> {
        let chunk = self.chunk();
        let whole = FIRST_CHUNK + frame::framed_len(payload) as u64;
        let capacity = self.options.segment_bytes.max(whole).next_multiple_of(chunk);
        let header = SegmentHeader::new(
            self.process_id,
            now_ns(),
            self.destination.clone(),
            self.stamp.clone(),
            capacity,
        );
        Inlet::create(&self.dir, header, chunk, self.options.may_map)
    }

    fn chunk(&self) -> u64 {
        self.options.chunk_bytes.max(FIRST_CHUNK)
    }

    /// Counts bytes against the budget, making room for them where that is allowed.
    fn reserve(&self, intake: &mut Intake, bytes: u64) -> Result<(), JournalError> {
        let fits = || self.usage.load(Ordering::Relaxed) + bytes <= self.options.budget_bytes;
        if !fits() {
            if intake.full_since.is_some_and(|since| since.elapsed() < REMEASURE_AFTER) {
                return Err(JournalError::Full);
            }
            self.usage.store(budget::measure(&self.dir), Ordering::Relaxed);
            while !fits() && self.destination.mode == Mode::Local && self.evict_oldest() {}
            if !fits() {
                intake.full_since = Some(Instant::now());
                return Err(JournalError::Full);
            }
        }
        intake.full_since = None;
        self.usage.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let _ = self.usage.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |usage| {
            Some(usage.saturating_sub(bytes))
        });
    }

    /// Deletes the oldest segment that is this process's own and sealed, or nobody's.
    fn evict_oldest(&self) -> bool {
        let own: Vec<Arc<Live>> = lock(&self.segments).iter().cloned().collect();
        let Some(evicted) = budget::evict_oldest(&self.dir, &own) else { return false };
        let counter = if evicted.is_own { &self.evicted } else { &self.evicted_of_others };
        counter.fetch_add(evicted.records, Ordering::AcqRel);
        self.announced_evicted.fetch_add(evicted.announcements, Ordering::AcqRel);
        self.announced_gone.fetch_add(evicted.announcements, Ordering::AcqRel);
        self.release(evicted.bytes);
        true
    }

    /// The batch in flight, exactly as it was; else the next records. `None` when everything
    /// appended so far is settled. Meant for one shipping thread.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn next_batch(&self, limits: BatchLimits) -> Result<Option<Batch>, JournalError> {
        let mut outlet = lock(&self.outlet);
        loop {
            if outlet.is_none() {
                let Some(live) = lock(&self.segments).front().cloned() else { return Ok(None) };
                match Outlet::open(&live.path) {
                    Ok(Some(opened)) => *outlet = Some((live, opened)),
                    // Evicted, or damaged from outside: nothing of it can be shipped.
                    Ok(None) | Err(_) => self.forget(&live),
                }
                continue;
            }
            let Some((live, reader)) = outlet.as_mut() else { continue };
            let is_sealed = live.is_sealed.load(Ordering::Acquire);
            let tail = live.tail.load(Ordering::Acquire);
            if !live.is_evicted.load(Ordering::Acquire) {
                if let Some(batch) = reader.next_batch(tail, limits)? {
                    return Ok(Some(batch));
                }
                if !is_sealed {
                    return Ok(None);
                }
                reader.delete()?;
                self.release(live.size.load(Ordering::Relaxed));
            }
            let live = Arc::clone(live);
            *outlet = None;
            self.forget(&live);
        }
    }

    /// Takes a segment off the list; what it still held and nobody evicted is lost.
    fn forget(&self, live: &Arc<Live>) {
        lock(&self.segments).retain(|other| !Arc::ptr_eq(other, live));
        if !live.is_evicted.swap(true, Ordering::AcqRel) {
            self.given_up.fetch_add(live.left(), Ordering::AcqRel);
        }
    }

    /// The batch is delivered.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] or [`JournalError::Io`] where the file does not say so: this process goes on
    /// behind the batch, but another that recovers the file sends it again.
    pub fn acknowledge(&self, batch: &Batch) -> Result<(), JournalError> {
        self.settle(batch, &self.delivered)
    }

    /// The batch is refused for good; see [`set_aside`](crate::set_aside).
    ///
    /// # Errors
    /// As [`Journal::acknowledge`].
    pub fn give_up(&self, batch: &Batch) -> Result<(), JournalError> {
        self.settle(batch, &self.given_up)
    }

    fn settle(&self, batch: &Batch, counter: &AtomicU64) -> Result<(), JournalError> {
        let mut outlet = lock(&self.outlet);
        let Some((live, reader)) = outlet.as_mut() else { return Ok(()) };
        if reader.header().segment_id != batch.segment_id() {
            return Ok(());
        }
        let written = reader.acknowledge(batch);
        let count = batch.records.len() as u64;
        // What was evicted while it was being sent is counted once, as evicted.
        if !live.is_evicted.load(Ordering::Acquire) {
            let is_announcement = |record: &&Record| record.kind == RecordKind::Provisional;
            let announced = batch.records.iter().filter(is_announcement).count() as u64;
            live.settled.fetch_add(count, Ordering::AcqRel);
            live.announced_settled.fetch_add(announced, Ordering::AcqRel);
            self.announced_gone.fetch_add(announced, Ordering::AcqRel);
            counter.fetch_add(count, Ordering::AcqRel);
        }
        written
    }

    /// Forgets how the batch in flight was cut, so that the next one follows other limits.
    ///
    /// # Errors
    /// As [`Journal::acknowledge`].
    pub fn abandon(&self) -> Result<(), JournalError> {
        match lock(&self.outlet).as_mut() {
            Some((_, reader)) => reader.abandon(),
            None => Ok(()),
        }
    }

    /// Makes everything appended so far survive the machine, not only the process.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn sync(&self) -> Result<(), JournalError> {
        let current = lock(&self.inlet).current.as_ref().and_then(|inlet| {
            inlet.mapping().map(|mapping| (Arc::clone(&inlet.live), mapping, inlet.tail()))
        });
        let segments: Vec<Arc<Live>> = lock(&self.segments).iter().cloned().collect();
        for live in &segments {
            let synced = match &current {
                Some((mapped, mapping, tail)) if Arc::ptr_eq(mapped, live) => {
                    mapping.sync_to(*tail)
                }
                _ => live.file.sync_data(),
            };
            synced.map_err(JournalError::io(&live.path))?;
        }
        #[cfg(unix)]
        if !segments.is_empty() {
            let dir = fs::File::open(&self.dir).map_err(JournalError::io(&self.dir))?;
            dir.sync_all().map_err(JournalError::io(&self.dir))?;
        }
        Ok(())
    }

    /// Takes no more records. What is left can still be shipped by this process until the journal
    /// is dropped, and by another afterwards.
    pub fn close(&self) {
        let mut intake = lock(&self.inlet);
        intake.is_closed = true;
        intake.current = None;
        if let Some(spare) = std::mem::take(&mut intake.ahead).into_spare() {
            self.discard(spare);
        }
        if intake.presence.take().is_some() {
            let _ = delete(&presence_path(&self.dir, self.process_id));
        }
    }

    /// Closes, and frees every segment so that another process may take what is left.
    pub fn let_go(&self) {
        self.close();
        *lock(&self.outlet) = None;
        for live in lock(&self.segments).drain(..) {
            // An empty segment is not left for others to find.
            if live.left() == 0 {
                let _ = delete(&live.path);
            }
        }
    }

    /// Counters and levels.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        JournalStats {
            appended: self.appended.load(Ordering::Acquire),
            delivered: self.delivered.load(Ordering::Acquire),
            given_up: self.given_up.load(Ordering::Acquire),
            evicted: self.evicted.load(Ordering::Acquire),
            evicted_of_others: self.evicted_of_others.load(Ordering::Acquire),
            announced: self.announced.load(Ordering::Acquire),
            announced_gone: self.announced_gone.load(Ordering::Acquire),
            announced_evicted: self.announced_evicted.load(Ordering::Acquire),
            bytes: self.usage.load(Ordering::Relaxed),
            is_mapped: self.is_mapped.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A poisoned lock only means that another thread panicked; what it guards is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
