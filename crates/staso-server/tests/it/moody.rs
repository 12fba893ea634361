//! A store that does as it feels: the memory store, behind a switch for its troubles.

use std::sync::Mutex;

use async_trait::async_trait;
use staso_model::{Annotation, AnnotationId, ProcessId, SpanId, TraceId};
use staso_store::conversations::{ConversationPage, ConversationsQuery, Turns, TurnsQuery};
use staso_store::metrics::{AgentsPage, AgentsQuery, MetricsQuery, Series};
use staso_store::query::{FacetQuery, FacetValue, TraceQuery};
use staso_store::row::{FoundSpan, Trace, TracePage, TraceRow, WorkspaceRow};
use staso_store::search::{SearchEnd, SearchHit, SearchQuery};
use staso_store::{
    Appended, Batch, Capabilities, Deleted, Deletion, Job, MemoryStore, OpenProcess, ProcessLife,
    Retained, Retention, Store, StoreError, StoreStats,
};
use tokio::sync::mpsc;

/// How appends and searches fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Busy,
    /// Takes the batch and never answers.
    Silent,
    DiskFull,
    Closed,
    Broken,
}

pub(crate) struct MoodyStore {
    inner: MemoryStore,
    mood: Mutex<Mood>,
}

impl MoodyStore {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(), mood: Mutex::new(Mood::Well) }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

#[async_trait]
impl Store for MoodyStore {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, batch: Batch) -> Result<Appended, StoreError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => self.inner.append(batch).await,
            Mood::Busy => Err(StoreError::Busy),
            Mood::Silent => std::future::pending().await,
            Mood::DiskFull => Err(StoreError::DiskFull),
            Mood::Closed => Err(StoreError::Closed),
            Mood::Broken => Err(StoreError::Engine("it broke".into())),
        }
    }

    async fn traces(&self, query: &TraceQuery) -> Result<TracePage, StoreError> {
        self.inner.traces(query).await
    }

    async fn trace_row(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        now_ns: i64,
    ) -> Result<Option<TraceRow>, StoreError> {
        self.inner.trace_row(workspace, trace_id, now_ns).await
    }

    async fn trace(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        payloads: bool,
        now_ns: i64,
    ) -> Result<Option<Trace>, StoreError> {
        self.inner.trace(workspace, trace_id, payloads, now_ns).await
    }

    async fn span(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        span_id: &SpanId,
    ) -> Result<Option<FoundSpan>, StoreError> {
        self.inner.span(workspace, trace_id, span_id).await
    }

    async fn lives(
        &self,
        workspace: &str,
        processes: &[ProcessId],
    ) -> Result<Vec<(ProcessId, ProcessLife)>, StoreError> {
        self.inner.lives(workspace, processes).await
    }

    async fn open_processes(&self) -> Result<Vec<OpenProcess>, StoreError> {
        self.inner.open_processes().await
    }

    async fn facet(&self, query: &FacetQuery) -> Result<Vec<FacetValue>, StoreError> {
        self.inner.facet(query).await
    }

    async fn metrics(&self, query: &MetricsQuery) -> Result<Series, StoreError> {
        self.inner.metrics(query).await
    }

    async fn agents(&self, query: &AgentsQuery) -> Result<AgentsPage, StoreError> {
        self.inner.agents(query).await
    }

    async fn conversations(
        &self,
        query: &ConversationsQuery,
    ) -> Result<ConversationPage, StoreError> {
        self.inner.conversations(query).await
    }

    async fn conversation(&self, query: &TurnsQuery) -> Result<Option<Turns>, StoreError> {
        self.inner.conversation(query).await
    }

    async fn search(
        &self,
        query: &SearchQuery,
        found: mpsc::Sender<SearchHit>,
    ) -> Result<SearchEnd, StoreError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Broken => Err(StoreError::Engine("it broke".into())),
            _ => self.inner.search(query, found).await,
        }
    }

    async fn annotations(
        &self,
        workspace: &str,
        trace_id: &TraceId,
    ) -> Result<Vec<Annotation>, StoreError> {
        self.inner.annotations(workspace, trace_id).await
    }

    async fn delete_annotation(
        &self,
        workspace: &str,
        id: &AnnotationId,
    ) -> Result<Option<TraceId>, StoreError> {
        self.inner.delete_annotation(workspace, id).await
    }

    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, StoreError> {
        self.inner.delete(deletion).await
    }

    async fn job(&self, job: u64) -> Result<Option<Job>, StoreError> {
        self.inner.job(job).await
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        self.inner.retain(retention).await
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        self.inner.workspaces().await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Closed => Err(StoreError::Closed),
            Mood::Broken => Err(StoreError::Engine("it broke".into())),
            _ => self.inner.stats().await,
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
