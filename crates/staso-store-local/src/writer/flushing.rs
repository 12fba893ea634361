//! When the writer moves hot spans to segments, and how it goes on meanwhile.
//!
//! It chooses what goes, a thread of its own writes the files, and the writer makes them visible
//! between two groups of batches.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use staso_store::StoreError;

use super::{STACK_BYTES, Writer};
use crate::error::from_sqlite;
use crate::flush::{self, NewSegment, Plan};
use crate::schema::{CHECKPOINT_BYTES, set_meta};
use crate::wal::Kind;
use crate::wal::record::{CarriedRecord, SpanRecord, encode};

/// How long after a failed flush the next is tried.
const RETRY: Duration = Duration::from_secs(5);
/// The hot set may have so many times the bytes at which a flush is due.
const MAX_HOT: usize = 3;
/// A flush whose files are being written by a thread of its own.
pub(super) struct Flushing {
    thread: JoinHandle<Result<Vec<NewSegment>, StoreError>>,
    /// Everything in the log up to here is being flushed or was carried over.
    up_to: u64,
}

impl Writer {
    /// Ends a flush that is written, begins one that is due.
    pub(super) fn tend(&mut self) {
        if self.flushing.as_ref().is_some_and(|flushing| flushing.thread.is_finished()) {
            self.end_flush_or_report();
        }
        let is_due = self.kept.hot.settled_bytes() >= self.hot_bytes
            || self.waiting_since.is_some_and(|since| since.elapsed() >= self.flush_after);
        if is_due && self.flushing.is_none() && self.may_try() {
            let begun = self.begin_flush(false);
            if let Err(error) = begun {
                self.flush_failed(&error);
            }
        }
        self.checkpoint();
    }

    /// After a failure the next attempt waits a while.
    fn may_try(&self) -> bool {
        self.failed_at.is_none_or(|at| at.elapsed() >= RETRY)
    }

    fn flush_failed(&mut self, error: &StoreError) {
        self.failed_at = Some(Instant::now());
        tracing::error!(%error, "hot spans could not be moved to segments; they stay in the log");
    }

    /// Before the hot set grows beyond its bound, a flush is waited for.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        while self.kept.hot.bytes() > self.hot_bytes.saturating_mul(MAX_HOT) {
            if self.flushing.is_none() {
                self.begin_flush(true)?;
            }
            self.end_flush()?;
        }
        Ok(())
    }

    /// Moves everything that is not open to segments.
    pub(super) fn flush_all(&mut self) -> Result<(), StoreError> {
        self.end_flush()?;
        self.begin_flush(false)?;
        self.end_flush()
    }

    /// Chooses what goes, carries over what stays, and starts the writing. Open spans go too where
    /// `open_too` says so.
    fn begin_flush(&mut self, open_too: bool) -> Result<(), StoreError> {
        let (going, staying): (Vec<_>, Vec<_>) =
            self.kept.hot.spans().partition(|(_, span)| open_too || !span.is_open());
        self.waiting_since = None;
        if going.is_empty() {
            return Ok(());
        }
        self.wal.seal();
        let up_to = self.wal.last();
        let going = going.into_iter().map(|(ws, span)| (ws, Arc::clone(span)));
        let plan = Plan::new(going, self.next_segment);
        if !staying.is_empty() {
            let spans = staying.iter().map(|(_, span)| SpanRecord::of(span, None)).collect();
            self.wal.append(&[(Kind::Carried, encode(&CarriedRecord { spans })?)])?;
        }
        self.next_segment += plan.segments();
        let shared = Arc::clone(&self.shared);
        let work = move || plan.write(&shared.files, shared.segments.root());
        let thread = std::thread::Builder::new()
            .name("staso-store-flush".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .map_err(|e| StoreError::Engine(format!("cannot start a flush: {e}")))?;
        self.flushing = Some(Flushing { thread, up_to });
        Ok(())
    }

    pub(super) fn end_flush_or_report(&mut self) {
        match self.end_flush() {
            Ok(()) => self.failed_at = None,
            Err(error) => self.flush_failed(&error),
        }
    }

    /// Waits for the flush that is being written and makes it visible.
    fn end_flush(&mut self) -> Result<(), StoreError> {
        let Some(Flushing { thread, up_to }) = self.flushing.take() else { return Ok(()) };
        let panicked = |_| StoreError::Engine("a flush ended in a panic".to_owned());
        let segments = thread.join().map_err(panicked)??;
        let result = self.make_visible(&segments, up_to);
        if result.is_err() {
            self.roll_back();
            flush::remove(&self.files, self.shared.segments.root(), &segments);
        } else {
            self.wal.trim(up_to);
        }
        result
    }

    /// One synced transaction: what the catalog then says need not stay in the log.
    fn make_visible(&mut self, segments: &[NewSegment], up_to: u64) -> Result<(), StoreError> {
        self.conn.pragma_update(None, "synchronous", "FULL").map_err(from_sqlite)?;
        let result = self.try_make_visible(segments, up_to);
        self.conn.pragma_update(None, "synchronous", "NORMAL").map_err(from_sqlite)?;
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
