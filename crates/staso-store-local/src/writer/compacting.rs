//! When the writer has segments compacted, how the result becomes visible, and what becomes of the files.
//!
//! One task at a time runs on a thread of its own. Its commit is synced before any old file goes, and an old
//! file goes when no reader can name it any more: readers hold the era in which they began. `retired` names the
//! files that are to go, so that a crash in between leaves none behind.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, params};
use staso_store::StoreError;

use super::{STACK_BYTES, Writer};
use crate::apply::run;
use crate::cache::Place;
use crate::compact::{self, Bounds, Compacted, Failure, Input, Output};
use crate::error::from_sqlite;
use crate::expire::Spent;
use crate::files::Files;
use crate::flush;
use crate::segment::Segments;

/// How long after a failure compaction is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// So many deleted rows of a segment that is gone are forgotten at a time.
const SWEPT_ROWS: i64 = 8_192;

/// What the writer knows of compaction.
pub(super) struct Compaction {
    bytes: usize,
    forget_after: Duration,
    /// Whether something may be to do since it was last looked for.
    is_due: bool,
    running: Option<Running>,
    /// The segments that the running task reads.
    reads: HashSet<i64>,
    failed: Option<Instant>,
    /// Segments that take no part until the next opening.
    unfit: HashSet<i64>,
    /// Since when bytes wait that are to be forgotten.
    forget_since: Option<Instant>,
    retired: VecDeque<Retired>,
    stop: Arc<AtomicBool>,
}

enum Running {
    Soon(JoinHandle<Result<Compacted, Failure>>),
    /// On disk, and to be made visible. As with a flush, a commit that failed may count after all: so the
    /// same is committed again.
    Now(Box<Compacted>),
}

/// Files that no reader names who begins now.
struct Retired {
    era: Arc<()>,
    files: Vec<(i64, String)>,
}

impl Compaction {
    pub(super) fn new(bytes: usize, forget_after: Duration, waits: bool) -> Self {
        Self {
            bytes,
            forget_after,
            is_due: bytes > 0,
            running: None,
            reads: HashSet::new(),
            failed: None,
            unfit: HashSet::new(),
            forget_since: (waits && bytes > 0).then(Instant::now),
            retired: VecDeque::new(),
            stop: Arc::default(),
        }
    }

    /// Something may be to do.
    pub(super) fn look_again(&mut self) {
        self.is_due = self.bytes > 0;
    }

    /// A deletion left bytes behind.
    pub(super) fn forget_soon(&mut self) {
        if self.bytes > 0 {
            self.forget_since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn forgets_now(&self) -> bool {
        self.forget_since.is_some_and(|since| since.elapsed() >= self.forget_after)
    }

    /// How long the writer may wait before it looks after compaction.
    pub(super) fn patience(&self, tending: Duration) -> Option<Duration> {
        let until = |since: Instant, wait: Duration| wait.saturating_sub(since.elapsed());
        if let (Some(Running::Now(_)) | None, Some(at)) = (&self.running, self.failed)
            && self.is_due
        {
            return Some(until(at, RETRY));
        }
        if self.running.is_some() || self.is_due || !self.retired.is_empty() {
            return Some(tending);
        }
        self.forget_since.map(|since| until(since, self.forget_after).max(tending))
    }
}

impl Writer {
    /// Ends a compaction that is written, begins one that is due, lets files go that nobody reads.
    pub(super) fn tend_compaction(&mut self) {
        let may_try = self.compaction.failed.is_none_or(|at| at.elapsed() >= RETRY);
        let is_written = match &self.compaction.running {
            Some(Running::Soon(thread)) => thread.is_finished(),
            Some(Running::Now(_)) => may_try,
            None => false,
        };
        if is_written {
            self.end_compaction();
        }
        let _ = self.retire();
        let may_begin = may_try && self.compaction.bytes > 0;
        if self.compaction.running.is_none() && self.compaction.is_due && may_begin {
            self.begin_compaction();
        }
        if self.compaction.forgets_now() && self.compaction.running.is_none() {
            self.settle_or_report();
        }
    }

    fn compaction_failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "segments could not be compacted; they stay as they are");
        self.compaction.failed = Some(Instant::now());
        self.compaction.is_due = true;
    }

    fn begin_compaction(&mut self) {
        let bounds =
            Bounds { bytes: self.compaction.bytes, forgets: self.compaction.forgets_now() };
        let task = match compact::choose(&self.conn, bounds, &self.compaction.unfit) {
            Ok(Some(task)) => task,
            Ok(None) => {
                self.compaction.is_due = false;
                return;
            }
            Err(error) => return self.compaction_failed(&error),
        };
        let first = self.next_segment;
        self.next_segment += task.numbers();
        self.compaction.reads = task.reads();
        let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&self.compaction.stop));
        let work = move || {
            let result = task.run(&shared.files, shared.segments.root(), &stop, first);
            shared.compacted.note(result.as_ref().map_or(0, Compacted::bytes));
            result
        };
        let thread = std::thread::Builder::new()
            .name("staso-store-compact".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work);
        match thread {
            Ok(thread) => self.compaction.running = Some(Running::Soon(thread)),
            Err(error) => self.compaction_failed(&StoreError::Engine(error.to_string())),
        }
    }

    /// Waits for the task that runs, and makes its result visible.
    fn end_compaction(&mut self) {
        let compacted = match self.compaction.running.take() {
            None => return,
            Some(Running::Now(compacted)) => compacted,
            Some(Running::Soon(thread)) => match thread.join() {
                Ok(Ok(compacted)) => Box::new(compacted),
                Ok(Err(Failure::Stopped)) => return,
                Ok(Err(Failure::Unfit(segment, problem))) => {
                    if let Some(problem) = problem {
                        tracing::error!(segment, problem, "a segment cannot be compacted");
                    }
                    self.compaction.unfit.insert(segment);
                    return;
                }
                Ok(Err(Failure::Error(error))) => return self.compaction_failed(&error),
                Err(_) => {
                    let panicked = StoreError::Engine("a compaction ended in a panic".to_owned());
                    return self.compaction_failed(&panicked);
                }
            },
        };
        match self.synced(|writer| writer.replace_segments(&compacted)) {
            Ok(()) => {
                self.compaction.failed = None;
                self.compaction.is_due = true;
            }
            Err(error) => {
                self.roll_back();
                self.compaction.running = Some(Running::Now(compacted));
                self.compaction_failed(&error);
            }
        }
    }

    /// Segments of which no row counts any more go without being read. Those that a task reads are its affair.
    pub(super) fn remove_spent(&mut self, ws: i64, spent: &[Spent]) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        for segment in spent {
            let is_read = self.compaction.running.is_some()
                && self.compaction.reads.contains(&segment.number);
            if !is_read && self.is_spent(segment.number)? {
                gone.push(segment);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let result = self.synced(|writer| writer.take_out_spent(ws, &gone));
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    fn is_spent(&self, segment: i64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM segments AS s WHERE s.segment = ?1
                     AND s.rows <= (SELECT count(*) FROM deleted AS d WHERE d.segment = ?1))";
        self.conn.query_row(sql, [segment], |row| row.get(0)).map_err(from_sqlite)
    }

    fn take_out_spent(&mut self, ws: i64, spent: &[&Spent]) -> Result<(), StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        for segment in spent {
            for table in ["forgetting", "segments"] {
                let sql = format!("DELETE FROM {table} WHERE segment = ?1");
                run(&self.conn, &sql, [segment.number])?;
            }
            for trace_id in &segment.replaced {
                let sql = "DELETE FROM parts WHERE ws = ?1 AND trace_id = ?2 AND segment = ?3";
                run(&self.conn, sql, params![ws, trace_id.0, segment.number])?;
            }
            let sql = "INSERT OR REPLACE INTO retired (segment, path) VALUES (?1, ?2)";
            run(&self.conn, sql, params![segment.number, segment.path])?;
        }
        self.publish_retiring(spent.iter().map(|it| (it.number, it.path.clone())).collect())
    }

    /// The transaction: new segments for old ones. What was deleted meanwhile is deleted in the new ones.
    fn replace_segments(&mut self, compacted: &Compacted) -> Result<(), StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let mut deleted = HashSet::new();
        let mut forgets: Option<i64> = None;
        for input in &compacted.inputs {
            let now = compact::deleted(&self.conn, input.segment).map_err(from_sqlite)?;
            let since = now.difference(&input.deleted).map(|row| (input.segment, *row));
            deleted.extend(since);
            forgets = forgets.max(self.take_out(compacted, input)?);
        }
        for output in &compacted.outputs {
            self.put_in(output, &deleted, forgets)?;
        }
        let files =
            compacted.inputs.iter().map(|input| (input.segment, input.path.clone())).collect();
        self.publish_retiring(files)
    }

    /// Removes what the catalog says of a segment. Answers the last deletion that left bytes in it which the
    /// work did not know of.
    fn take_out(&self, compacted: &Compacted, input: &Input) -> Result<Option<i64>, StoreError> {
        let conn = &self.conn;
        let sql = "SELECT job FROM forgetting WHERE segment = ?1";
        let job = conn.query_row(sql, [input.segment], |row| row.get::<_, i64>(0)).optional();
        let job = job.map_err(from_sqlite)?;
        for table in ["deleted", "forgetting", "segments"] {
            let sql = format!("DELETE FROM {table} WHERE segment = ?1");
            run(conn, &sql, [input.segment])?;
        }
        match &compacted.traces {
            Some(traces) => {
                let sql = "DELETE FROM parts WHERE ws = ?1 AND trace_id = ?2 AND segment = ?3";
                for trace_id in traces {
                    run(conn, sql, params![compacted.ws, trace_id.0, input.segment])?;
                }
            }
            None => drop(run(conn, "DELETE FROM parts WHERE segment = ?1", [input.segment])?),
        }
        let sql = "INSERT OR REPLACE INTO retired (segment, path) VALUES (?1, ?2)";
        run(conn, sql, params![input.segment, input.path])?;
        Ok(job.filter(|job| *job > compacted.seen))
    }

    /// The catalog's rows of a new segment; the cache learns where its spans went.
    fn put_in(
        &mut self,
        output: &Output,
        deleted: &HashSet<(i64, u64)>,
        forgets: Option<i64>,
    ) -> Result<(), StoreError> {
        flush::insert(&self.conn, &output.segment)?;
        let number = output.segment.number;
        for ((row, span), from) in (0_u64..).zip(&output.segment.spans).zip(&output.from) {
            let trace = (output.segment.ws, span.trace_id);
            if deleted.contains(from) {
                let sql = "INSERT INTO deleted (segment, row) VALUES (?1, ?2)";
                run(&self.conn, sql, params![number, row.cast_signed()])?;
            } else if let Some(cached) = self.kept.cache.get(&trace) {
                let place = Place::Segment { segment: number, row };
                cached.moved(&span.span_id, &span.version, place);
            }
        }
        match forgets {
            Some(job) => {
                run(&self.conn, "INSERT INTO forgetting VALUES (?1, ?2)", params![number, job])
                    .map(drop)
            }
            None => Ok(()),
        }
    }

    /// Commits, and begins a new era: who reads from now on cannot name these files.
    fn publish_retiring(&mut self, files: Vec<(i64, String)>) -> Result<(), StoreError> {
        let era = self.publish_in_new_era()?;
        self.compaction.retired.push_back(Retired { era, files });
        Ok(())
    }

    /// Removes the files of eras in which nobody reads any more. Answers whether there is more of it to do
    /// at once: it takes a moment at most.
    fn retire(&mut self) -> bool {
        // A reader of an earlier era may name the files of a later one, too.
        while let Some(retired) = self.compaction.retired.front_mut()
            && Arc::strong_count(&retired.era) == 1
        {
            let Some((segment, path)) = retired.files.pop() else {
                self.compaction.retired.pop_front();
                continue;
            };
            self.shared.segments.let_go(segment);
            if !remove(&self.files, &self.shared.segments, &path) {
                continue;
            }
            match sweep(&self.conn, segment, SWEPT_ROWS) {
                Ok(true) => {}
                Ok(false) => {
                    retired.files.push((segment, path));
                    return true;
                }
                // The next opening finds nothing to remove but this.
                Err(error) => tracing::warn!(%error, "a retired segment stays on the list"),
            }
        }
        false
    }

    fn settle_or_report(&mut self) {
        match self.settle() {
            Ok(true) => self.compaction.forget_since = None,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "what was deleted is not gone from the catalog's log yet");
            }
        }
    }

    /// Says that deletions are done whose last byte is gone: in no log file, no segment, and not in
    /// SQLite's log. Answers whether there is nothing left to do.
    fn settle(&mut self) -> Result<bool, StoreError> {
        let number = |sql: &str| -> Result<i64, StoreError> {
            self.conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)
        };
        let last = number("SELECT coalesce(max(last), 0) FROM jobs WHERE is_gone = 0")?;
        if last == 0 {
            return Ok(true);
        }
        if self.only_unfit_wait()? {
            return Ok(true);
        }
        let flushed = number("SELECT value FROM meta WHERE key = 'flushed'")?;
        let waiting =
            number("SELECT (SELECT count(*) FROM forgetting) + (SELECT count(*) FROM retired)")?;
        if flushed < last || waiting > 0 || self.wal.has_before(last.cast_unsigned()) {
            return Ok(false);
        }
        if !self.empty_log()? {
            return Ok(false);
        }
        run(&self.conn, "UPDATE jobs SET is_gone = 1 WHERE last <= ?1", [last])?;
        Ok(true)
    }

    /// Whether all that is left to forget is in segments that cannot be written anew: then the deletions stay
    /// undone until the next opening, at which somebody may have mended them.
    fn only_unfit_wait(&self) -> Result<bool, StoreError> {
        let read = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.conn.prepare_cached("SELECT segment FROM forgetting")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let waiting = read().map_err(from_sqlite)?;
        Ok(!waiting.is_empty()
            && waiting.iter().all(|segment| self.compaction.unfit.contains(segment)))
    }

    /// Copies SQLite's log into the catalog and cuts it; `false` while somebody reads from it.
    fn empty_log(&self) -> Result<bool, StoreError> {
        self.conn.busy_timeout(Duration::ZERO).map_err(from_sqlite)?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = self.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        self.conn.busy_timeout(crate::schema::PATIENCE).map_err(from_sqlite)?;
        Ok(is_busy.map_err(from_sqlite)? == 0)
    }

    /// Flushes and compacts until nothing is left to do, but for what somebody still reads.
    pub(super) fn compact_all(&mut self) -> Result<(), StoreError> {
        self.flush_all()?;
        let patience = std::mem::replace(&mut self.compaction.forget_after, Duration::ZERO);
        self.compaction.failed = None;
        self.compaction.look_again();
        while self.compaction.is_due && self.compaction.failed.is_none() {
            self.end_compaction();
            if self.compaction.failed.is_none() {
                self.begin_compaction();
            }
        }
        while self.retire() {}
        let settled = self.settle().map(|is_done| {
            if is_done {
                self.compaction.forget_since = None;
            }
        });
        self.compaction.forget_after = patience;
        match self.compaction.failed {
            Some(_) => Err(StoreError::Engine("segments could not be compacted".to_owned())),
            None => settled,
        }
    }

    /// Ends the task that runs, without waiting for more than a few rows. Its files are removed, unless
    /// their commit may count.
    pub(super) fn stop_compaction(&mut self) {
        self.compaction.stop.store(true, Ordering::Relaxed);
        if let Some(Running::Soon(thread)) = self.compaction.running.take()
            && let Ok(Ok(compacted)) = thread.join()
        {
            let written: Vec<_> =
                compacted.outputs.into_iter().map(|output| output.segment).collect();
            flush::remove(&self.files, self.shared.segments.root(), &written);
        }
        let _ = self.retire();
    }
}

/// Forgets a segment whose file is gone, as far as so many deleted rows; `false` where there are more.
fn sweep(conn: &rusqlite::Connection, segment: i64, rows: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM deleted WHERE segment = ?1 AND row IN
                 (SELECT row FROM deleted WHERE segment = ?1 ORDER BY row LIMIT ?2)";
    let swept = run(conn, sql, params![segment, rows])?;
    if i64::try_from(swept).is_ok_and(|swept| swept == rows) {
        return Ok(false);
    }
    run(conn, "DELETE FROM retired WHERE segment = ?1", [segment]).map(|_| true)
}

/// Removes a segment and what was built beside it; `false` where it stays.
fn remove(files: &Files, segments: &Segments, path: &str) -> bool {
    let path = segments.root().join(path);
    for beside in [path.with_extension("text"), path.with_extension("parquet.text"), path] {
        match files.remove(&beside) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, file = %beside.display(), "an old segment stays for now");
                return false;
            }
        }
    }
    true
}

/// Removes the files that were retired when the directory was last closed, or crashed.
pub(super) fn remove_retired(
    conn: &rusqlite::Connection,
    files: &Files,
    segments: &Segments,
) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let mut statement = conn.prepare("SELECT segment, path FROM retired")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    for (segment, path) in read().map_err(from_sqlite)? {
        let is_named = conn
            .prepare_cached("SELECT 1 FROM segments WHERE path = ?1")
            .and_then(|mut statement| statement.exists([&path]))
            .map_err(from_sqlite)?;
        if is_named {
            run(conn, "DELETE FROM retired WHERE segment = ?1", [segment])?;
        } else if remove(files, segments, &path) {
            sweep(conn, segment, i64::MAX)?;
        }
    }
    Ok(())
}
