//! The contract itself.

use async_trait::async_trait;
use staso_model::{Annotation, AnnotationId, ProcessId, SpanId, TraceId};
use tokio::sync::mpsc;

use crate::batch::{Appended, Batch};
use crate::conversations::{ConversationPage, ConversationsQuery, Turns, TurnsQuery};
use crate::deletion::{Deleted, Deletion, Job};
use crate::error::StoreError;
use crate::metrics::{AgentsPage, AgentsQuery, MetricsQuery, Series};
use crate::process::{OpenProcess, ProcessLife};
use crate::query::{FacetQuery, FacetValue, TraceQuery};
use crate::retention::{Retained, Retention};
use crate::row::{FoundSpan, Trace, TracePage, TraceRow, WorkspaceRow};
use crate::search::{SearchEnd, SearchHit, SearchQuery};
use crate::tables::{TableSink, TablesQuery};

/// A store of spans, annotations and receipts, for many workspaces.
///
/// # Promises
/// * **Atomic, durable, visible.** When [`append`](Store::append) answers `Ok`, the whole batch
///   survives SIGKILL and power loss, and every read begun later sees it. When it answers `Err`,
///   nothing of it was applied. A caller that drops the future learns neither.
/// * **Idempotent.** The same [`ReceiptKey`](crate::ReceiptKey) in the same workspace is applied
///   once; concurrent repeats wait for the first. Receipts live at least 24 hours, restarts
///   included.
/// * **Upserting.** Identity is (workspace, trace, span). The greatest
///   [`Version`](staso_model::Version) wins and replaces the whole row; an older one changes
///   nothing. Rollups are recomputed from spans, never added to.
/// * **Order-free.** Children before parents, days late, back-filled, re-sent.
/// * **Nothing stays open behind a dead process.** A [`Sign`](crate::Sign) that its process ended
///   closes, in its workspace, every span the process holds open, as
///   [`interrupt`](crate::interrupt) says; after a goodbye also those that come later. Span by
///   span: other processes' spans of the same trace stay as they are, and the process's own report
///   of the end wins whenever it comes. What is known of a process's life is kept while it holds a
///   span open, and at least 24 hours after its last sign, restarts included.
/// * **Tenancy.** A call for one workspace never reads or writes a row of another. Spans of one
///   batch may belong to several.
/// * **Snapshots.** One call reads one state. Cursors stay valid while data arrives: a row whose
///   sort value does not change is neither skipped nor doubled.
/// * **Deleted means hidden at once, and gone later.** When [`delete`](Store::delete) answers, no later
///   read shows what it took, and it survives power loss. For
///   [`TOMBSTONE_NS`](crate::deletion::TOMBSTONE_NS) by the times at which batches are received, nothing sent
///   again or late brings it back: of a deleted trace neither spans nor annotations are taken in; a
///   span that began before its user was deleted is not taken in, or without its content where it is
///   there. [`job`](Store::job) says when no byte of it is stored any more.
/// * Reads never block ingest, nor ingest reads.
/// * **Damage stays local.** A damaged span is left out of answers about its trace and reported by
///   [`span`](Store::span); everything undamaged stays readable.
///
/// # Not promised
/// Order among rows of equal sort key beyond trace id; counts across two calls.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What this engine can do. The zero value is the least able.
    fn capabilities(&self) -> Capabilities;

    /// Accepts a batch. See the promises above.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::DiskFull`], [`StoreError::Closed`] or an engine error.
    async fn append(&self, batch: Batch) -> Result<Appended, StoreError>;

    /// One page of trace rows, in the query's order, at most `query.limit` of them. An empty page
    /// is an answer, not an error; an unknown workspace is empty.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for a cursor of another sort, a limit out of range, or a filter that
    /// is too large; engine errors.
    async fn traces(&self, query: &TraceQuery) -> Result<TracePage, StoreError>;

    /// The row of one trace; `None` when not known.
    ///
    /// # Errors
    /// Engine errors.
    async fn trace_row(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        now_ns: i64,
    ) -> Result<Option<TraceRow>, StoreError>;

    /// One trace, every span of it in tree order (see [`Trace`]), and its annotations; `None` when
    /// it has no row. Without `payloads`, inputs, outputs and events are left empty.
    ///
    /// # Errors
    /// Engine errors.
    async fn trace(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        payloads: bool,
        now_ns: i64,
    ) -> Result<Option<Trace>, StoreError>;

    /// One span, whole, dropped ones included, with its place in the tree; `None` when not known.
    ///
    /// # Errors
    /// Engine errors, [`StoreError::Damaged`] where its stored bytes are.
    async fn span(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        span_id: &SpanId,
    ) -> Result<Option<FoundSpan>, StoreError>;

    /// What is known of the lives of these processes, in their order; those of which nothing is
    /// known are left out.
    ///
    /// # Errors
    /// Engine errors.
    async fn lives(
        &self,
        workspace: &str,
        processes: &[ProcessId],
    ) -> Result<Vec<(ProcessId, ProcessLife)>, StoreError>;

    /// Every process that holds a span open, of every workspace, by workspace and id.
    ///
    /// # Errors
    /// Engine errors.
    async fn open_processes(&self) -> Result<Vec<OpenProcess>, StoreError>;

    /// The most frequent values of one field over the traces that match, greatest count first,
    /// then by value.
    ///
    /// # Errors
    /// Engine errors.
    async fn facet(&self, query: &FacetQuery) -> Result<Vec<FacetValue>, StoreError>;

    /// Measures over time; see [`metrics`](crate::metrics) for what counts where, how it is weighed
    /// and what empty buckets say. Its percentiles are within 0.4 %. A caller that drops the future
    /// ends the work soon. An unknown workspace has no groups but the one of a query that does not
    /// group.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for what [`check_metrics`](crate::metrics::check_metrics) refuses, a
    /// filter that is too large, and more groups or distinct values than can be added up; engine
    /// errors.
    async fn metrics(&self, query: &MetricsQuery) -> Result<Series, StoreError>;

    /// Agents and their versions side by side. Dropping the future ends the work soon.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for a limit out of range, a filter that is too large, and more agents
    /// than can be added up; engine errors.
    async fn agents(&self, query: &AgentsQuery) -> Result<AgentsPage, StoreError>;

    /// One page of conversations, the one with the latest matching turn first. Pages are as those of
    /// traces: a conversation that gets no turn meanwhile is neither skipped nor doubled.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for a limit out of range or a filter that is too large; engine errors.
    async fn conversations(
        &self,
        query: &ConversationsQuery,
    ) -> Result<ConversationPage, StoreError>;

    /// One conversation and a page of its turns, oldest first; `None` when no trace names it.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for a limit out of range; engine errors.
    async fn conversation(&self, query: &TurnsQuery) -> Result<Option<Turns>, StoreError>;

    /// Spans that have a phrase in their texts, newest start first, ties by trace and span, greatest
    /// first. Each is sent as it is found; what texts are, and how they are compared, says
    /// [`search`](crate::search). A caller that drops the future, or the receiving end, ends the work
    /// soon. Pages are as those of traces: a span whose start does not change is neither skipped nor
    /// doubled.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for what [`check_search`](crate::search::check_search) refuses; engine
    /// errors, after which the hits so far stand.
    async fn search(
        &self,
        query: &SearchQuery,
        found: mpsc::Sender<SearchHit>,
    ) -> Result<SearchEnd, StoreError>;

    /// The annotations of a trace, oldest first; those of a not yet known trace included.
    ///
    /// # Errors
    /// Engine errors.
    async fn annotations(
        &self,
        workspace: &str,
        trace_id: &TraceId,
    ) -> Result<Vec<Annotation>, StoreError>;

    /// Deletes one annotation. Answers the trace it stood on, `None` when there was none.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    async fn delete_annotation(
        &self,
        workspace: &str,
        id: &AnnotationId,
    ) -> Result<Option<TraceId>, StoreError>;

    /// Deletes a trace, a conversation, or a user; see [`Target`](crate::Target). One trace goes as a
    /// whole or not at all. A call that fails, or whose future is dropped, may leave some traces deleted
    /// and others not: the same call again does the rest.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, StoreError>;

    /// How far a deletion is, by the number that [`delete`](Store::delete) gave; `None` when not known.
    /// Those that are done may be forgotten after 30 days.
    ///
    /// # Errors
    /// Engine errors.
    async fn job(&self, job: u64) -> Result<Option<Job>, StoreError>;

    /// Lets go what a workspace need not keep any more; see [`retention`](crate::retention). One trace goes
    /// as a whole or not at all, and one that is written to meanwhile stays. It may take several steps, between
    /// which others write and read. A call that fails, or whose future is dropped, may have let some traces
    /// go and others not: the same call again does the rest. Power loss may bring back what went a moment
    /// before.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError>;

    /// Every workspace that has a span or an annotation, by name.
    ///
    /// # Errors
    /// Engine errors.
    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError>;

    /// Hands the tables of a workspace to `sink`, all of one state; see [`tables`](crate::tables). What
    /// they say is what the other calls say at that moment: of each span its newest version. An unknown
    /// workspace has tables without files.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] where [`Capabilities::tables`] is not set, [`StoreError::Closed`]
    /// also where the sink refuses a file, [`StoreError::DiskFull`], engine errors.
    async fn tables(
        &self,
        query: &TablesQuery,
        sink: Box<dyn TableSink>,
    ) -> Result<(), StoreError> {
        let _ = (query, sink);
        Err(StoreError::Unsupported("hand its tables out"))
    }

    /// Counts and sizes, for health pages. May be a little stale.
    ///
    /// # Errors
    /// Engine errors.
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// How full the engine's own queues and buffers are at this moment. Never waits for the disk.
    fn gauges(&self) -> Vec<Gauge> {
        Vec::new()
    }

    /// Finishes what was accepted and closes. Later calls answer [`StoreError::Closed`].
    ///
    /// # Errors
    /// Engine errors of the last writes.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What an engine can do beyond the contract. `Default` is the least able.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What `append` acknowledged survives power loss (the memory store: no).
    pub durable: bool,
    /// It can hand its tables out ([`Store::tables`]), which SQL needs.
    pub tables: bool,
}

/// What a health page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Spans, newest versions only.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The greatest version sequence given so far; new batches start after it.
    pub last_sequence: u64,
}

/// One number that an engine says of itself while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// In the manner of OpenMetrics: `store_queue_batches`, units last.
    pub name: &'static str,
    /// What it counts, and what a high value means.
    pub help: &'static str,
    /// The number now.
    pub value: u64,
}
