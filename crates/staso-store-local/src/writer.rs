//! The one thread that writes: it takes batches from a bounded queue and commits many of them in
//! one transaction, so that one sync of the log pays for all.

mod compacting;
mod expiring;
mod flushing;
mod forgetting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use staso_model::{AnnotationId, TraceId};
use staso_store::deletion::{Deleted, TOMBSTONE_NS};
use staso_store::{Appended, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Options;
use crate::adopt;
use crate::apply::{Incoming, Kept, Transaction, delete_annotation, run};
use crate::cache::Cache;
use crate::dir::DataDir;
use crate::disk::Encoder;
use crate::error::from_sqlite;
use crate::expire::Plan;
use crate::files::Files;
use crate::flush;
use crate::forget;
use crate::gauges::Spent;
use crate::hot::Hot;
use crate::migrate::migrate;
use crate::pool::Shared;
use crate::replay::Replay;
use crate::schema::{self, set_meta};
use crate::segment::Segments;
use crate::terms;
use crate::tokens::Bytes;
use crate::wal::record::{DeletedRecord, encode};
use crate::wal::replay::begins_at;
use crate::wal::{Kind, Wal};
use crate::writer::compacting::{Compaction, remove_retired};
pub(crate) use crate::writer::expiring::Expired;
use crate::writer::flushing::Flushing;
pub(crate) use crate::writer::forgetting::Step;

/// Receipts and lives are kept an hour longer than promised, so that no clock's jitter breaks the
/// promise.
const KEPT_NS: i64 = 25 * 3_600 * 1_000_000_000;
/// How many commits pass between two clearings of what has had its time.
const COMMITS_PER_PRUNING: u64 = 256;
/// A transaction takes no further batch above these.
const MAX_GROUP_BATCHES: usize = 128;
const MAX_GROUP_SPANS: usize = 10_000;
/// Values nest up to 512 levels, and debug builds need room for that.
const STACK_BYTES: usize = 16 << 20;

/// Something for the writer to do.
pub(crate) enum Command {
    /// Accept a batch. The permits keep its room in the queue until it is committed.
    Append {
        batch: Box<Incoming>,
        answer: oneshot::Sender<Result<Appended, StoreError>>,
        room: Room,
    },
    /// Delete an annotation.
    Delete {
        workspace: String,
        id: AnnotationId,
        answer: oneshot::Sender<Result<Option<TraceId>, StoreError>>,
    },
    /// Delete traces.
    Forget { step: Box<Step>, answer: oneshot::Sender<Result<Deleted, StoreError>> },
    /// Let old traces go, from the one of this number on.
    Expire {
        workspace: String,
        plan: Arc<Plan>,
        from: usize,
        answer: oneshot::Sender<Result<Expired, StoreError>>,
    },
    /// Bound the size of the files from now on.
    Limit { max_bytes: u64, answer: oneshot::Sender<Result<(), StoreError>> },
    /// Move what is hot and not open to segments.
    Flush { answer: oneshot::Sender<Result<(), StoreError>> },
    /// Flush and compact until nothing is left to do.
    Compact { answer: oneshot::Sender<Result<(), StoreError>> },
    /// Finish and close.
    Close { answer: oneshot::Sender<Result<(), StoreError>> },
}

type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);
type Waiting = (Box<Incoming>, oneshot::Sender<Result<Appended, StoreError>>, Room);

struct Writer {
    conn: Connection,
    wal: Wal,
    files: Arc<Files>,
    shared: Arc<Shared>,
    hot_bytes: usize,
    flush_after: Duration,
    flushing: Option<Flushing>,
    compaction: Compaction,
    /// When something that could be flushed was first seen.
    waiting_since: Option<Instant>,
    /// When a flush last failed, and how, unless one succeeded since.
    failed: Option<(Instant, StoreError)>,
    /// How much the last flush carried over in the log.
    carried_bytes: u64,
    next_segment: i64,
    kept: Kept,
    max_receipts: u64,
    /// The newest time of receipt seen: the clock that receipts and lives age by.
    newest_ns: i64,
    commits: u64,
}

/// A writer at work.
pub(crate) struct Started {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) thread: JoinHandle<()>,
    pub(crate) shared: Arc<Shared>,
}

/// Opens the catalog and starts the thread. It ends when told to close or when no sender is left.
pub(crate) fn start(dir: DataDir, options: &Options) -> Result<Started, StoreError> {
    let mut dir = dir;
    let mut writer = Writer::open(&mut dir, options)?;
    let shared = Arc::clone(&writer.shared);
    dir.write_format(&writer.files)?;
    let (sender, commands) = mpsc::channel();
    let work = move || {
        let closing = writer.serve(&commands);
        let result = writer.close();
        // The lock goes last: whoever takes it finds nothing of ours still open.
        drop(dir);
        if let Some(answer) = closing {
            // A caller who no longer waits needs no answer.
            let _ = answer.send(result);
        } else if let Err(error) = result {
            tracing::error!(%error, "closing the catalog failed");
        }
    };
    std::thread::Builder::new()
        .name("staso-store-writer".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map(|thread| Started { commands: sender, thread, shared })
        .map_err(|e| StoreError::Engine(format!("cannot start the writer: {e}")))
}

impl Writer {
    fn open(dir: &mut DataDir, options: &Options) -> Result<Self, StoreError> {
        let conn = schema::open_writer(&dir.catalog())?;
        let files = Files::new(options.die_at_step, options.max_bytes);
        let files = Arc::new(files.failing(options.fail_at_steps.clone()));
        let segments = Arc::new(Segments::new(dir.make_segments()?));
        let log_begins = begins_at(&dir.wal())?;
        let is_behind = adopt::is_behind(&conn, log_begins)?;
        let last_unknown = flush::remove_orphans(&conn, &files, segments.root(), is_behind)?;
        remove_retired(&conn, &files, &segments)?;
        if is_behind {
            adopt::adopt(&conn, &files, &segments, log_begins.is_some())?;
        }
        migrate(dir, &conn, &files, &segments, options.hot_bytes.max(1))?;
        let number = |sql: &str| -> Result<i64, StoreError> {
            conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)
        };
        let meta = |key: &str| number(&format!("SELECT value FROM meta WHERE key = '{key}'"));
        let newest_ns = number("SELECT coalesce(max(received_ns), 0) FROM receipts")?;
        let next_segment = number(
            "SELECT coalesce(max(segment), 0) + 1
             FROM (SELECT segment FROM segments UNION ALL SELECT segment FROM retired)",
        )?;
        let next_segment = next_segment.max(last_unknown + 1);
        let kept = Kept {
            cache: Cache::new(options.cache_bytes),
            encoder: Encoder::new()?,
            workspaces: HashMap::new(),
            slugs: HashMap::new(),
            last_sequence: meta("last_sequence")?.cast_unsigned(),
            hot: Hot::new(),
            segments: Arc::clone(&segments),
            has_tombstones: forget::has_tombstones(&conn)?,
            last_change: 0,
        };
        let (applied, flushed) =
            (meta("applied")?.cast_unsigned(), meta("flushed")?.cast_unsigned());
        let mut replay = Replay::new(&conn, kept, applied, adopt::is_unfinished(&conn)?);
        let wal = Wal::open(&dir.wal(), Arc::clone(&files), flushed, applied, &mut |record| {
            replay.take(record)
        })?;
        let mut kept = replay.finish()?;
        adopt::finish(&conn, &kept.hot, log_begins, wal.last())?;
        terms::complete(&conn, &files, &mut kept)?;
        let waits = number("SELECT EXISTS (SELECT 1 FROM jobs WHERE is_gone = 0)")? != 0;
        let hot = RwLock::new(Arc::new(kept.hot.clone()));
        let mut writer = Self {
            shared: Arc::new(Shared {
                hot,
                era: Mutex::default(),
                segments,
                files: Arc::clone(&files),
                catalog: dir.catalog(),
                compacted: Spent::default(),
            }),
            conn,
            wal,
            files,
            hot_bytes: options.hot_bytes.max(1),
            flush_after: options.flush_after,
            flushing: None,
            compaction: Compaction::new(options.compact_bytes, options.forget_after, waits),
            waiting_since: None,
            failed: None,
            carried_bytes: 0,
            next_segment,
            kept,
            max_receipts: options.max_receipts,
            newest_ns,
            commits: 0,
        };
        if let Some(max_bytes) = options.max_bytes {
            writer.limit(max_bytes)?;
        }
        writer.wal.trim(flushed);
        Ok(writer)
    }

    /// Works until it is told to close.
    fn serve(
        &mut self,
        commands: &mpsc::Receiver<Command>,
    ) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => command,
                None => self.wait(commands)?,
            };
            // Whoever stopped waiting for an answer needs none: failed sends are no failures.
            match command {
                Command::Append { batch, answer, room } => {
                    next = self.serve_group((batch, answer, room), commands);
                }
                Command::Delete { workspace, id, answer } => {
                    let _ = answer.send(self.delete(&workspace, id));
                }
                Command::Forget { step, answer } => {
                    let _ = answer.send(self.forget(&step));
                }
                Command::Expire { workspace, plan, from, answer } => {
                    let _ = answer.send(self.expire(&workspace, &plan, from));
                }
                Command::Limit { max_bytes, answer } => {
                    let _ = answer.send(self.limit(max_bytes));
                }
                Command::Flush { answer } => {
                    let _ = answer.send(self.flush_all());
                }
                Command::Compact { answer } => {
                    let _ = answer.send(self.compact_all());
                }
                Command::Close { answer } => return Some(answer),
            }
        }
    }

    /// The next command; meanwhile flushes are begun and ended. `None` when no sender is left.
    fn wait(&mut self, commands: &mpsc::Receiver<Command>) -> Option<Command> {
        loop {
            self.tend();
            let Some(patience) = self.patience() else { return commands.recv().ok() };
            match commands.recv_timeout(patience) {
                Ok(command) => return Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Commits a batch with those that queued up behind it; hands back the command that ended the
    /// group, where one did.
    fn serve_group(
        &mut self,
        first: Waiting,
        commands: &mpsc::Receiver<Command>,
    ) -> Option<Command> {
        self.tend();
        let mut spans = first.0.spans.len();
        let mut group = vec![first];
        let mut next = None;
        while group.len() < MAX_GROUP_BATCHES && spans < MAX_GROUP_SPANS {
            match commands.try_recv() {
                Ok(Command::Append { batch, answer, room }) => {
                    spans += batch.spans.len();
                    group.push((batch, answer, room));
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        self.kept.cache.shrink();
        next
    }

    /// Commits a group. Where that fails each batch is tried alone, so that none fails for
    /// another's sake.
    fn commit(&mut self, group: Vec<Waiting>) {
        let batches: Vec<&Incoming> = group.iter().map(|(batch, ..)| &**batch).collect();
        match self.transact(&batches) {
            Ok(answers) => {
                for ((_, sender, _room), answer) in group.into_iter().zip(answers) {
                    let _ = sender.send(Ok(answer));
                }
            }
            Err(error) if group.len() == 1 => {
                if let Some((_, sender, _room)) = group.into_iter().next() {
                    let _ = sender.send(Err(error));
                }
            }
            Err(_) => group.into_iter().for_each(|one| self.commit(vec![one])),
        }
    }

    fn transact(&mut self, batches: &[&Incoming]) -> Result<Vec<Appended>, StoreError> {
        self.make_room()?;
        let result = self.try_transact(batches);
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    /// Some failures, a full disk among them, have rolled back by themselves.
    fn roll_back(&mut self) {
        self.kept.forget((*self.shared.hot()).clone());
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rolling back failed");
        }
    }

    fn try_transact(&mut self, batches: &[&Incoming]) -> Result<Vec<Appended>, StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let mut transaction = Transaction::new(&self.conn, &mut self.kept);
        let mut answers = Vec::with_capacity(batches.len());
        let mut records = Vec::with_capacity(batches.len());
        for batch in batches {
            let (answer, record) = transaction.apply(batch)?;
            answers.push(answer);
            if let Some(record) = record {
                records.push((Kind::Batch, encode(&record)?));
            }
        }
        let last_sequence = transaction.finish()?;
        let newest_ns = batches.iter().map(|one| one.batch.received_ns).max().unwrap_or_default();
        self.newest_ns = self.newest_ns.max(newest_ns);
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_PER_PRUNING) {
            self.prune()?;
        }
        self.log_and_commit(&records)?;
        self.kept.last_sequence = last_sequence;
        Ok(answers)
    }

    /// The end of every transaction: its records become durable, then it becomes visible.
    fn log_and_commit(&mut self, records: &[(Kind, Vec<u8>)]) -> Result<(), StoreError> {
        if records.is_empty() {
            return self.publish();
        }
        let applied = self.wal.last() + records.len() as u64;
        set_meta(&self.conn, "applied", applied)?;
        let mark = self.wal.mark();
        self.wal.append(records)?;
        if let Err(error) = self.publish() {
            self.wal.take_back(mark)?;
            return Err(error);
        }
        Ok(())
    }

    /// Commits, and replaces the hot set in the same moment.
    fn publish(&mut self) -> Result<(), StoreError> {
        self.publish_and(|_| ())
    }

    /// The same, and readers that begin afterwards are of another era. Answers the one that ended.
    fn publish_in_new_era(&mut self) -> Result<Arc<()>, StoreError> {
        self.publish_and(Shared::begin_era)
    }

    fn publish_and<T>(&mut self, then: impl FnOnce(&Shared) -> T) -> Result<T, StoreError> {
        let hot = Arc::new(self.kept.hot.clone());
        self.files.step();
        let done = {
            let mut published = self.shared.hot.write().unwrap_or_else(PoisonError::into_inner);
            self.conn.execute_batch("COMMIT").map_err(from_sqlite)?;
            *published = hot;
            then(&self.shared)
        };
        self.files.step();
        if self.waiting_since.is_none() && self.kept.hot.settled_bytes() > 0 {
            self.waiting_since = Some(Instant::now());
        }
        Ok(done)
    }

    fn delete(&mut self, workspace: &str, id: AnnotationId) -> Result<Option<TraceId>, StoreError> {
        let result = self.try_delete(workspace, id);
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    fn try_delete(
        &mut self,
        workspace: &str,
        id: AnnotationId,
    ) -> Result<Option<TraceId>, StoreError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let trace_id = delete_annotation(&self.conn, workspace, id.0)?;
        let record = DeletedRecord { workspace: workspace.to_owned(), id: Bytes(id.0.to_vec()) };
        let records = match trace_id {
            Some(_) => vec![(Kind::DeleteAnnotation, encode(&record)?)],
            None => Vec::new(),
        };
        self.log_and_commit(&records)?;
        Ok(trace_id)
    }

    /// Forgets old receipts, and the lives of processes that were not heard of for as long and hold
    /// nothing open. Both are bounded by count as well.
    fn prune(&mut self) -> Result<(), StoreError> {
        const IS_IDLE: &str = "NOT EXISTS (SELECT 1 FROM open_traces AS o
            WHERE o.ws = processes.ws AND o.process_id = processes.process_id)";
        let oldest_ns = self.newest_ns.saturating_sub(KEPT_NS);
        let max = i64::try_from(self.max_receipts).unwrap_or(i64::MAX);
        for (table, age, and_also) in
            [("receipts", "received_ns", "true"), ("processes", "heard_ns", IS_IDLE)]
        {
            let sql = format!("DELETE FROM {table} WHERE {age} < ?1 AND {and_also}");
            run(&self.conn, &sql, params![oldest_ns])?;
            let sql = format!(
                "DELETE FROM {table} WHERE {age} <= (
                   SELECT {age} FROM {table} ORDER BY {age} DESC LIMIT 1 OFFSET ?1) AND {and_also}"
            );
            run(&self.conn, &sql, params![max])?;
        }
        self.prune_deletions()
    }

    /// Tombstones go when their time is over, but not before the bytes they speak of.
    fn prune_deletions(&mut self) -> Result<(), StoreError> {
        const IS_GONE: &str = "NOT EXISTS (SELECT 1 FROM jobs WHERE is_gone = 0)";
        let oldest_ns = self.newest_ns.saturating_sub(TOMBSTONE_NS + KEPT_NS);
        for (table, and_also) in [("tombstones", IS_GONE), ("jobs", "is_gone = 1")] {
            let sql = format!("DELETE FROM {table} WHERE at_ns < ?1 AND {and_also}");
            run(&self.conn, &sql, params![oldest_ns])?;
        }
        self.kept.has_tombstones = forget::has_tombstones(&self.conn)?;
        Ok(())
    }

    fn limit(&mut self, max_bytes: u64) -> Result<(), StoreError> {
        // What failed for want of room may have it now.
        self.failed = None;
        self.files.limit(max_bytes);
        let page_bytes = self.conn.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
        let page_bytes = page_bytes.map_err(from_sqlite)?.max(1).cast_unsigned();
        let pages = i64::try_from(max_bytes / page_bytes).unwrap_or(i64::MAX).max(1);
        let pages = pages.min(i64::from(u32::MAX - 1));
        self.conn
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(from_sqlite)
    }

    fn close(mut self) -> Result<(), StoreError> {
        // What is hot stays in the log, from which the next opening has it.
        self.end_flush_or_report();
        self.stop_compaction();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        // A reader may keep the log alive: it is then copied at the next opening.
        let copied = self.conn.query_row(checkpoint, [], |_| Ok(())).map_err(from_sqlite);
        let closed = self.conn.close().map_err(|(_, error)| from_sqlite(error));
        copied.and(closed)
    }
}
