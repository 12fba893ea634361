//! The embedded engine: one directory, durable before it acknowledges.
//!
//! A batch is written to a log of our own ([`wal`]), and one sync of it is all that an
//! acknowledgement waits for. Its spans stay in memory ([`hot`]) until they go to Parquet files
//! ([`segment`], [`flush`]); the catalog, `catalog.db`, has what lists need, and where everything is.
//! One thread writes and commits many batches at once ([`writer`]); reads run on connections of
//! their own, on snapshots of catalog and hot set together ([`pool`]). Rows of the list are recomputed
//! from narrow summaries of the spans ([`cache`]), and every filter is decided by the contract's own
//! matcher ([`list`]). `docs/internals/on-disk-format.md` has the bytes.

mod adopt;
mod apply;
mod backup;
mod cache;
mod changes;
mod compact;
mod decode;
mod decompressor;
mod dir;
mod disk;
mod error;
mod expire;
mod files;
mod flush;
mod forget;
mod gauges;
mod hot;
mod inspect;
mod list;
mod migrate;
mod numbers;
mod options;
mod other_records;
mod pool;
mod read;
mod replay;
mod retain;
mod schema;
mod search;
mod segment;
mod span_record;
mod spans;
mod tables;
mod terms;
mod tokens;
mod told;
mod victims;
mod wal;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use staso_model::{Annotation, AnnotationId, ProcessId, SpanId, TraceId};
use staso_store::conversations::{
    ConversationPage, ConversationsQuery, Turns, TurnsQuery, check_limit,
};
use staso_store::matching::{Matcher, check_page};
use staso_store::metrics::{
    Agents, AgentsPage, AgentsQuery, MetricsQuery, Series, Tallies, check_metrics,
};
use staso_store::query::{FacetQuery, FacetValue, TraceQuery};
use staso_store::retention::{Retained, Retention};
use staso_store::row::{FoundSpan, Trace, TracePage, TraceRow, WorkspaceRow};
use staso_store::search::{SearchEnd, SearchHit, SearchQuery, check_search};
use staso_store::tables::{TableSink, TablesQuery};
use staso_store::{
    Appended, Batch, Capabilities, Deleted, Deletion, Gauge, Job, OpenProcess, ProcessLife, Store,
    StoreError, StoreStats, Target,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc as channel, oneshot};

use crate::apply::Incoming;
pub use crate::backup::{Copied, backup, restore};
use crate::dir::DataDir;
use crate::gauges::Bounds;
use crate::hot::span_bytes;
pub use crate::inspect::{Damage, Inspection, inspect};
pub use crate::options::Options;
use crate::pool::{Pool, Shared};
use crate::read::Reader;
use crate::writer::{Command, Started, Step};

/// A deletion of many traces lets others write after so many.
const DELETED_TOGETHER: usize = 32;

/// The embedded engine. Dropping it finishes what was accepted; [`Store::close`] also says how
/// that went.
pub struct LocalStore {
    shared: Arc<Shared>,
    pool: Pool,
    searches: Arc<Semaphore>,
    queue_wait: Duration,
    queue_kib: u32,
    room: Arc<Semaphore>,
    room_kib: Arc<Semaphore>,
    bounds: Bounds,
    sums: Arc<numbers::Sums>,
    writer: Mutex<Option<Writing>>,
}

/// The way to the writer, until the store is closed.
struct Writing {
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStore").field("catalog", &self.shared.catalog).finish_non_exhaustive()
    }
}

impl LocalStore {
    /// Opens a data directory, making it where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when another process holds the directory (the message names it) or
    /// the format is unknown, [`StoreError::Damaged`] when it cannot be read,
    /// [`StoreError::DiskFull`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StoreError> {
        let dir = DataDir::open(dir)?;
        let Started { commands, thread, shared } = writer::start(dir, options)?;
        let queue_kib = u32::try_from(options.queue_bytes / 1024).unwrap_or(u32::MAX).max(1);
        let bounds = Bounds {
            queue_batches: options.queue_batches.max(1),
            hot_bytes: options.hot_bytes,
            sums_bytes: options.sums_bytes,
        };
        Ok(Self {
            pool: Pool::new(options.readers, Arc::clone(&shared)),
            sums: Arc::new(numbers::Sums::new(options.sums_bytes)),
            searches: Arc::new(Semaphore::new((options.readers / 2).max(1))),
            shared,
            queue_wait: options.queue_wait,
            queue_kib,
            room: Arc::new(Semaphore::new(bounds.queue_batches)),
            room_kib: Arc::new(Semaphore::new(queue_kib as usize)),
            bounds,
            writer: Mutex::new(Some(Writing { commands, thread })),
        })
    }

    /// Changes the bound on the catalog's size, without a restart.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or an engine error.
    pub async fn set_max_bytes(&self, max_bytes: u64) -> Result<(), StoreError> {
        self.ask(|answer| Command::Limit { max_bytes, answer }).await?
    }

    /// Moves every span that is not open to segments, and waits until that is done.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::DiskFull`] or an engine error.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|answer| Command::Flush { answer }).await?
    }

    /// Flushes, and has segments compacted until nothing is left to do. What was deleted is gone then, unless
    /// somebody reads meanwhile; [`Store::job`] says so.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::DiskFull`] or an engine error.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.ask(|answer| Command::Compact { answer }).await?
    }

    /// Room in the queue for a batch, waited for no longer than the options say.
    async fn room(
        &self,
        batch: &Batch,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), StoreError> {
        let kib = u32::try_from(batch_bytes(batch) / 1024).unwrap_or(u32::MAX);
        let kib = kib.clamp(1, self.queue_kib);
        let both = async {
            let one = Arc::clone(&self.room).acquire_owned().await;
            let bytes = Arc::clone(&self.room_kib).acquire_many_owned(kib).await;
            one.and_then(|one| bytes.map(|bytes| (one, bytes))).map_err(|_| StoreError::Closed)
        };
        tokio::time::timeout(self.queue_wait, both).await.map_err(|_| StoreError::Busy)?
    }

    async fn forget(
        &self,
        deletion: &Deletion,
        job: u64,
        traces: Vec<TraceId>,
    ) -> Result<Deleted, StoreError> {
        let step = Step { deletion: deletion.clone(), job, traces };
        self.ask(|answer| Command::Forget { step: Box::new(step), answer }).await?
    }

    /// Sends the writer a command and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer))?;
        // A writer that ended without an answer has not applied the command.
        answered.await.map_err(|_| StoreError::Closed)
    }

    fn send(&self, command: Command) -> Result<(), StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = writer.as_ref().ok_or(StoreError::Closed)?;
        writing.commands.send(command).map_err(|_| StoreError::Closed)
    }

    /// Runs a read of one workspace; an unknown workspace has the default answer.
    async fn read<T: Default + Send + 'static>(
        &self,
        workspace: &str,
        now_ns: i64,
        work: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let workspace = workspace.to_owned();
        self.pool
            .read(move |snapshot| match Reader::of(snapshot, &workspace, now_ns)? {
                Some(reader) => work(&reader),
                None => Ok(T::default()),
            })
            .await
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.pool.close();
        let writing = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Writing { commands, thread }) = writing {
            drop(commands);
            // The thread reports its own failure; here only its end matters, so that the
            // directory is free when the store is gone.
            let _ = thread.join();
        }
    }
}

/// About how much memory a batch holds while it waits.
fn batch_bytes(batch: &Batch) -> usize {
    let spans: usize = batch.spans.iter().map(span_bytes).sum();
    spans + 512 * batch.annotations.len() + batch.reply.len()
}

#[async_trait]
impl Store for LocalStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, tables: true }
    }

    async fn append(&self, batch: Batch) -> Result<Appended, StoreError> {
        let room = self.room(&batch).await?;
        let batch = Box::new(Incoming::of(batch));
        self.ask(|answer| Command::Append { batch, answer, room }).await?
    }

    async fn traces(&self, query: &TraceQuery) -> Result<TracePage, StoreError> {
        check_page(query)?;
        Matcher::new(&query.filter)?;
        let (query, now_ns) = (query.clone(), query.now_ns);
        let workspace = query.workspace.clone();
        let (watch, stop) = numbers::watch();
        let read = move |reader: &Reader<'_>| list::page(reader, &query, &stop).map(Some);
        let found = self.read(&workspace, now_ns, read).await?;
        drop(watch);
        Ok(found.unwrap_or(TracePage { rows: Vec::new(), next: None }))
    }

    async fn trace_row(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        now_ns: i64,
    ) -> Result<Option<TraceRow>, StoreError> {
        let trace_id = *trace_id;
        self.read(workspace, now_ns, move |reader| reader.row(trace_id)).await
    }

    async fn trace(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        payloads: bool,
        now_ns: i64,
    ) -> Result<Option<Trace>, StoreError> {
        let trace_id = *trace_id;
        self.read(workspace, now_ns, move |reader| reader.trace(trace_id, payloads)).await
    }

    async fn span(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        span_id: &SpanId,
    ) -> Result<Option<FoundSpan>, StoreError> {
        let (trace_id, span_id) = (*trace_id, *span_id);
        self.read(workspace, 0, move |reader| reader.span(trace_id, span_id)).await
    }

    async fn lives(
        &self,
        workspace: &str,
        processes: &[ProcessId],
    ) -> Result<Vec<(ProcessId, ProcessLife)>, StoreError> {
        let processes = processes.to_vec();
        self.read(workspace, 0, move |reader| reader.lives(&processes)).await
    }

    async fn open_processes(&self) -> Result<Vec<OpenProcess>, StoreError> {
        self.pool.read(|snapshot| read::open_processes(snapshot.conn)).await
    }

    async fn facet(&self, query: &FacetQuery) -> Result<Vec<FacetValue>, StoreError> {
        Matcher::new(&query.traces.filter)?;
        let query = query.clone();
        let (workspace, now_ns) = (query.traces.workspace.clone(), query.traces.now_ns);
        let (watch, stop) = numbers::watch();
        let read = move |reader: &Reader<'_>| list::facet(reader, &query, &stop);
        let found = self.read(&workspace, now_ns, read).await?;
        drop(watch);
        Ok(found)
    }

    async fn metrics(&self, query: &MetricsQuery) -> Result<Series, StoreError> {
        check_metrics(query)?;
        Matcher::new(&query.filter)?;
        let (watch, stop) = numbers::watch();
        let asked = query.clone();
        let sums = Arc::clone(&self.sums);
        let read =
            move |reader: &Reader<'_>| numbers::metrics(reader, &sums, &asked, &stop).map(Some);
        let found = self.read(&query.workspace, query.now_ns, read).await?;
        drop(watch);
        found.map_or_else(|| Tallies::new(query).map(Tallies::finish), Ok)
    }

    async fn agents(&self, query: &AgentsQuery) -> Result<AgentsPage, StoreError> {
        Matcher::new(&query.filter)?;
        let nobody = Agents::new(query)?;
        let (watch, stop) = numbers::watch();
        let asked = query.clone();
        let sums = Arc::clone(&self.sums);
        let read =
            move |reader: &Reader<'_>| numbers::agents(reader, &sums, &asked, &stop).map(Some);
        let found = self.read(&query.workspace, query.now_ns, read).await?;
        drop(watch);
        Ok(found.unwrap_or_else(|| nobody.finish()))
    }

    async fn conversations(
        &self,
        query: &ConversationsQuery,
    ) -> Result<ConversationPage, StoreError> {
        check_limit(query.limit)?;
        Matcher::new(&query.filter)?;
        let (watch, stop) = numbers::watch();
        let asked = query.clone();
        let read =
            move |reader: &Reader<'_>| numbers::conversations(reader, &asked, &stop).map(Some);
        let found = self.read(&query.workspace, query.now_ns, read).await?;
        drop(watch);
        Ok(found.unwrap_or(ConversationPage { rows: Vec::new(), next: None }))
    }

    async fn conversation(&self, query: &TurnsQuery) -> Result<Option<Turns>, StoreError> {
        check_limit(query.limit)?;
        let (watch, stop) = numbers::watch();
        let asked = query.clone();
        let read = move |reader: &Reader<'_>| numbers::conversation(reader, &asked, &stop);
        let found = self.read(&query.workspace, query.now_ns, read).await?;
        drop(watch);
        Ok(found)
    }

    async fn search(
        &self,
        query: &SearchQuery,
        found: channel::Sender<SearchHit>,
    ) -> Result<SearchEnd, StoreError> {
        check_search(query)?;
        // A long search must not keep the others from reading.
        let turn = self.searches.acquire().await.map_err(|_| StoreError::Closed)?;
        let (watch, stop) = numbers::watch();
        let asked = query.clone();
        let read = move |reader: &Reader<'_>| search::search(reader, &asked, &stop, &found);
        let end = self.read(&query.workspace, query.now_ns, read).await?;
        drop((watch, turn));
        Ok(end)
    }

    async fn annotations(
        &self,
        workspace: &str,
        trace_id: &TraceId,
    ) -> Result<Vec<Annotation>, StoreError> {
        let trace_id = *trace_id;
        self.read(workspace, 0, move |reader| reader.annotations(trace_id)).await
    }

    async fn delete_annotation(
        &self,
        workspace: &str,
        id: &AnnotationId,
    ) -> Result<Option<TraceId>, StoreError> {
        let (workspace, id) = (workspace.to_owned(), *id);
        self.ask(|answer| Command::Delete { workspace, id, answer }).await?
    }

    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, StoreError> {
        let mut done = Deleted::default();
        if let Target::User(_) = deletion.target {
            // From here on nothing more comes in of this user: what is found then is all there is.
            done = self.forget(deletion, 0, Vec::new()).await?;
        }
        let target = deletion.target.clone();
        let find = move |reader: &Reader<'_>| victims::victims(reader, &target);
        let found = self.read(&deletion.workspace, 0, find).await?;
        for traces in found.chunks(DELETED_TOGETHER) {
            let step = self.forget(deletion, done.job, traces.to_vec()).await?;
            done.job = step.job;
            done.touched.extend(step.touched);
            done.traces += step.traces;
            done.spans += step.spans;
            done.blanked += step.blanked;
        }
        Ok(done)
    }

    async fn job(&self, job: u64) -> Result<Option<Job>, StoreError> {
        self.pool.read(move |snapshot| forget::job(snapshot.conn, job)).await
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        self.expire(retention).await
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        self.pool.read(|snapshot| read::workspaces(snapshot.conn)).await
    }

    async fn tables(
        &self,
        query: &TablesQuery,
        sink: Box<dyn TableSink>,
    ) -> Result<(), StoreError> {
        let asked = query.clone();
        self.read(&query.workspace, query.now_ns, move |reader| {
            tables::hand_over(reader, &asked, sink)
        })
        .await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let stats = self.pool.read(|snapshot| read::stats(snapshot.conn)).await?;
        let size = |suffix: &str| {
            let mut path = self.shared.catalog.clone().into_os_string();
            path.push(suffix);
            // A log that is not there has no size.
            std::fs::metadata(path).map_or(0, |meta| meta.len())
        };
        Ok(StoreStats { bytes: size("") + size("-wal") + self.shared.files.used(), ..stats })
    }

    fn gauges(&self) -> Vec<Gauge> {
        self.levels()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.pool.close();
        self.room.close();
        let writing = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writing { commands, thread }) = writing else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        commands.send(Command::Close { answer }).map_err(|_| StoreError::Closed)?;
        let result = answered.await.map_err(|_| StoreError::Closed)?;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            return Err(StoreError::Engine("the writer ended in a panic".to_owned()));
        }
        result
    }
}
