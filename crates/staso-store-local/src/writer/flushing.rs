//! When the writer moves hot spans to segments, and how it goes on meanwhile.
//!
//! It chooses what goes, a thread of its own writes the files, and the writer makes them visible
//! between two groups of batches.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use staso_model::Span;
use staso_store::StoreError;

use super::{STACK_BYTES, Writer};
use crate::error::from_sqlite;
use crate::flush::{self, NewSegment, Plan};
use crate::forget;
use crate::schema::{CHECKPOINT_BYTES, set_meta};
use crate::wal::Kind;
use crate::wal::record::{CarriedRecord, SpanRecord, encode};

/// How long after a failed flush the next is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How often the writer looks after a flush that is being written.
const TENDING: Duration = Duration::from_millis(20);
/// The hot set may have so many times the bytes at which a flush is due.
const MAX_HOT: usize = 3;

/// A flush under way.
pub(super) struct Flushing {
    segments: Written,
    /// Everything in the log up to here is being flushed or is to be carried over.
    up_to: u64,
    carried: Carried,
}

/// Whether what stays is in the part of the log that stays. It waits for the files: a flush that cannot
/// write them, tried again and again, must not fill the log.
enum Carried {
    /// These spans, and the tombstones, are to be written to it.
    Later(Vec<(i64, Arc<Span>)>),
    /// They are in it.
    Done,
}

/// How far its files are.
enum Written {
    /// A thread of its own writes them.
    Soon(JoinHandle<Result<Vec<NewSegment>, StoreError>>),
    /// They are on disk, and the commit that makes them visible is due, perhaps not for the first time.
    /// A commit that failed may still stand in SQLite's log, and count when the directory is opened
    /// again: so the files stay, and the same are committed again.
    Now(Vec<NewSegment>),
}

impl Writer {
    /// Ends a flush that is written, begins one that is due.
    pub(super) fn tend(&mut self) {
        let is_written = match &self.flushing {
            Some(Flushing { segments: Written::Soon(thread), .. }) => thread.is_finished(),
            Some(Flushing { segments: Written::Now(_), .. }) => self.may_try(),
            None => false,
        };
        if is_written {
            self.end_flush_or_report();
        }
        if self.flushing.is_none() && self.is_due() && self.may_try() {
            match self.begin_flush(false) {
                Ok(()) => self.failed = None,
                Err(error) => self.flush_failed(error),
            }
        }
        self.tend_compaction();
        self.checkpoint();
    }

    /// How long the writer may wait for a command before it looks after flushes; `None`: for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        let until = |since: Instant, wait: Duration| wait.saturating_sub(since.elapsed());
        let compaction = self.compaction.patience(TENDING);
        let flush = match (&self.flushing, &self.failed, self.waiting_since) {
            (Some(Flushing { segments: Written::Soon(_), .. }), ..) => Some(TENDING),
            (_, Some((at, _)), _) => Some(until(*at, RETRY)),
            (Some(_), None, _) => Some(TENDING),
            (None, None, Some(since)) => Some(until(since, self.flush_after)),
            (None, None, None) => None,
        };
        let patience = flush.into_iter().chain(compaction).min()?;
        Some(patience.max(TENDING))
    }

    /// By what is hot, by time, by the log's length, or because the last attempt failed. What the last
    /// flush had to carry over in the log does not make the next one due.
    fn is_due(&self) -> bool {
        let logged = self.wal.logged();
        self.failed.is_some()
            || self.kept.hot.settled_bytes() >= self.hot_bytes
            || self.waiting_since.is_some_and(|since| since.elapsed() >= self.flush_after)
            || (self.compaction.forgets_now() && self.must_forget_log())
            || (logged >= self.hot_bytes as u64 && logged >= self.carried_bytes)
    }

    /// After a failure the next attempt waits a while.
    fn may_try(&self) -> bool {
        self.failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= RETRY)
    }

    fn flush_failed(&mut self, error: StoreError) {
        tracing::error!(%error, "hot spans could not be moved to segments; they stay in the log");
        self.failed = Some((Instant::now(), error));
    }

    /// Before the hot set grows beyond its bound, a flush is waited for. Where one failed a moment ago
    /// this fails as that did, so that not each batch of a queue tries in vain.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        while self.kept.hot.bytes() > self.hot_bytes.saturating_mul(MAX_HOT) {
            if !self.may_try()
                && let Some((_, error)) = &self.failed
            {
                return Err(again(error));
            }
            let result = match self.flushing {
                Some(_) => Ok(()),
                None => self.begin_flush(true),
            };
            let result = result.and_then(|()| self.end_flush());
            self.remember(result)?;
        }
        Ok(())
    }

    /// Keeps how a flush went, for the next to wait after a failure.
    fn remember(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let answer = result.as_ref().map_err(again).copied();
        match result {
            Ok(()) => self.failed = None,
            Err(error) => self.flush_failed(error),
        }
        answer
    }

    /// Moves everything that is not open to segments.
    pub(super) fn flush_all(&mut self) -> Result<(), StoreError> {
        let result = self.end_flush().and_then(|()| self.begin_flush(false));
        let result = result.and_then(|()| self.end_flush());
        self.remember(result)
    }

    /// Chooses what goes, carries over what stays, and starts the writing. Open spans go too where
    /// `open_too` says so.
    fn begin_flush(&mut self, open_too: bool) -> Result<(), StoreError> {
        let (going, staying): (Vec<_>, Vec<_>) =
            self.kept.hot.spans().partition(|(_, span)| open_too || !span.is_open());
        self.waiting_since = None;
        if going.is_empty() && self.wal.logged() == 0 {
            return Ok(());
        }
        self.wal.seal();
        let up_to = self.wal.last();
        let shared = |spans: Vec<(i64, &Arc<Span>)>| -> Vec<_> {
            spans.into_iter().map(|(ws, span)| (ws, Arc::clone(span))).collect()
        };
        let (going, staying) = (shared(going), shared(staying));
        let segments = self.write(Plan::new(going, self.next_segment))?;
        self.flushing = Some(Flushing { segments, up_to, carried: Carried::Later(staying) });
        self.carried_bytes = 0;
        self.wal.forget_logged(self.wal.logged());
        Ok(())
    }

    /// Writes to the log again what is only in the part of it that goes, once for each flush. What has a
    /// newer version by now, or is deleted, has that in the part that stays.
    fn carry_over(&mut self, carried: &mut Carried) -> Result<(), StoreError> {
        let Carried::Later(staying) = carried else { return Ok(()) };
        staying.retain(|(ws, span)| {
            let held = self.kept.hot.find(&(*ws, span.trace_id), &span.span_id);
            held.is_some_and(|held| held.version == span.version)
        });
        let mut records = Vec::new();
        if !staying.is_empty() {
            let spans = staying.iter().map(|(_, span)| SpanRecord::of(span, None)).collect();
            records.push((Kind::Carried, encode(&CarriedRecord { spans })?));
        }
        if self.kept.has_tombstones {
            let tombstones = forget::tombstones(&self.conn)?;
            if !tombstones.tombstones.is_empty() {
                records.push((Kind::Tombstones, encode(&tombstones)?));
            }
        }
        let logged = self.wal.logged();
        if !records.is_empty() {
            self.wal.append(&records)?;
        }
        *carried = Carried::Done;
        self.carried_bytes = self.wal.logged() - logged;
        self.wal.forget_logged(self.carried_bytes);
        Ok(())
    }

    fn write(&mut self, plan: Plan) -> Result<Written, StoreError> {
        if plan.segments() == 0 {
            return Ok(Written::Now(Vec::new()));
        }
        self.next_segment += plan.segments();
        let shared = Arc::clone(&self.shared);
        let work = move || plan.write(&shared.files, shared.segments.root());
        std::thread::Builder::new()
            .name("staso-store-flush".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .map(Written::Soon)
            .map_err(|e| StoreError::Engine(format!("cannot start a flush: {e}")))
    }

    pub(super) fn end_flush_or_report(&mut self) {
        match self.end_flush() {
            Ok(()) => self.failed = None,
            Err(error) => self.flush_failed(error),
        }
    }

    /// Waits for the flush that is being written and makes it visible.
    fn end_flush(&mut self) -> Result<(), StoreError> {
        let Some(Flushing { segments, up_to, mut carried }) = self.flushing.take() else {
            return Ok(());
        };
        let panicked = |_| StoreError::Engine("a flush ended in a panic".to_owned());
        let segments = match segments {
            Written::Soon(thread) => thread.join().map_err(panicked)??,
            Written::Now(segments) => segments,
        };
        let visible =
            self.carry_over(&mut carried).and_then(|()| self.make_visible(&segments, up_to));
        if let Err(error) = visible {
            self.roll_back();
            self.flushing = Some(Flushing { segments: Written::Now(segments), up_to, carried });
            return Err(error);
        }
        self.wal.trim(up_to);
        self.compaction.look_again();
        Ok(())
    }

    /// One synced transaction: what the catalog then says need not stay in the log.
    fn make_visible(&mut self, segments: &[NewSegment], up_to: u64) -> Result<(), StoreError> {
        self.synced(|writer| writer.try_make_visible(segments, up_to))
    }

    /// Whether the log has records of before a deletion that is not done.
    fn must_forget_log(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE is_gone = 0
                     AND last > (SELECT value FROM meta WHERE key = 'flushed'))";
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap_or(false)
    }

    /// A transaction whose commit is synced.
    pub(super) fn synced(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.conn.pragma_update(None, "synchronous", "FULL").map_err(from_sqlite)?;
        let result = work(self);
        if let Err(error) = self.conn.pragma_update(None, "synchronous", "NORMAL") {
            // More is synced than need be until the next flush, which harms nothing.
            tracing::warn!(%error, "the catalog goes on syncing every commit");
        }
        result
    }

    fn try_make_visible(&mut self, segments: &[NewSegment], up_to: u64) -> Result<(), StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        flush::make_visible(&self.conn, &mut self.kept, segments)?;
        set_meta(&self.conn, "flushed", up_to)?;
        self.publish()
    }

    /// Copies SQLite's own log into the catalog, when it is large.
    fn checkpoint(&self) {
        let log = self.shared.catalog.with_extension("db-wal");
        if std::fs::metadata(log).is_ok_and(|meta| meta.len() > CHECKPOINT_BYTES) {
            let copied = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            if let Err(error) = copied {
                tracing::warn!(%error, "the catalog's log could not be copied");
            }
        }
    }
}

/// The same failure for another who is told of it.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::Engine(problem) => StoreError::Engine(problem.clone()),
        other => StoreError::Engine(other.to_string()),
    }
}
