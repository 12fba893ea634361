//! The memory store: the contract in its plainest form, and the oracle of the property tests.
//!
//! It keeps spans as they came and computes every answer from scratch. It survives nothing but
//! [`MemoryStore::reopened`], and is meant for tests and throw-away servers.

mod deletion;
mod numbers;
mod retention;
mod search;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use staso_model::{Annotation, AnnotationId, ProcessId, Span, SpanId, TraceId};
use tokio::sync::mpsc;

use crate::batch::{Appended, Batch, ReceiptKey};
use crate::conversations::{ConversationPage, ConversationsQuery, Turns, TurnsQuery};
use crate::deletion::{Deleted, Deletion, Job};
use crate::error::StoreError;
use crate::matching::{self, Matcher};
use crate::metrics::{AgentsPage, AgentsQuery, MetricsQuery, Series};
use crate::process::{OpenProcess, ProcessLife, Sign, interrupt, is_held_open};
use crate::query::{Cursor, FacetQuery, FacetValue, TraceQuery};
use crate::retention::{Retained, Retention};
use crate::rollup::{sort_annotations, trace_row};
use crate::row::{FoundSpan, Trace, TracePage, TraceRow, WorkspaceRow};
use crate::search::{SearchEnd, SearchHit, SearchQuery, check_search};
use crate::traits::{Capabilities, Store, StoreStats};
use crate::tree::{self, tree_order};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    closed: Mutex<bool>,
}

type TraceKey = (String, TraceId);

/// The digest of a body that was accepted under a key, and what was answered.
type Receipt = ([u8; 32], Vec<u8>);

#[derive(Debug, Default)]
struct State {
    spans: BTreeMap<TraceKey, BTreeMap<SpanId, Span>>,
    annotations: BTreeMap<(String, AnnotationId), Annotation>,
    receipts: HashMap<(String, String), Vec<Receipt>>,
    lives: BTreeMap<String, BTreeMap<ProcessId, ProcessLife>>,
    last_sequence: u64,
    deletions: deletion::Deletions,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store over the same contents that is open again.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self { state: Arc::clone(&self.state), closed: Mutex::new(false) }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if *lock(&self.closed) { Err(StoreError::Closed) } else { Ok(lock(&self.state)) }
    }
}

/// No method leaves the state half-changed, so that a poisoned lock holds sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn append(&mut self, batch: Batch) -> Appended {
        let mut key_reused = false;
        if let Some(ReceiptKey { key, digest }) = &batch.receipt {
            let receipts = self.receipts.entry((batch.workspace.clone(), key.clone())).or_default();
            if let Some((_, reply)) = receipts.iter().find(|(known, _)| known == digest) {
                return Appended::Repeated { reply: reply.clone() };
            }
            key_reused = !receipts.is_empty();
            receipts.push((*digest, batch.reply.clone()));
        }
        let mut touched = self.take_signs(&batch);
        for span in batch.spans {
            let span = self.closed_if_gone(span);
            touched.extend(self.take_span(span, batch.received_ns));
        }
        for annotation in batch.annotations {
            touched.extend(self.take_annotation(annotation, batch.received_ns));
        }
        touched.sort();
        touched.dedup();
        Appended::New { touched, key_reused }
    }

    /// Signs count in the batch's workspace and in those of its spans; a provisional span is a
    /// sign of its own process. Answers the traces in which they closed something.
    fn take_signs(&mut self, batch: &Batch) -> Vec<TraceKey> {
        let mut workspaces: Vec<&str> = batch.spans.iter().map(|s| s.workspace.as_str()).collect();
        workspaces.push(&batch.workspace);
        workspaces.sort_unstable();
        workspaces.dedup();
        let mut touched = Vec::new();
        for workspace in workspaces {
            for sign in &batch.processes {
                let life = self.take_sign(workspace, sign.process_id, sign.sign);
                if let Some(ended_ns) = life.ended_ns(sign.sign) {
                    touched.extend(self.close(workspace, sign.process_id, ended_ns));
                }
            }
        }
        for span in batch.spans.iter().filter(|span| span.is_open()) {
            if let Some(process_id) = span.process_id {
                let sign = Sign::Alive(span.version.received_ns);
                self.take_sign(&span.workspace, process_id, sign);
            }
        }
        touched
    }

    fn take_sign(&mut self, workspace: &str, process_id: ProcessId, sign: Sign) -> ProcessLife {
        if matches!(sign, Sign::Lost(_)) {
            return self.life(workspace, &process_id).unwrap_or_default();
        }
        let of_workspace = self.lives.entry(workspace.to_owned()).or_default();
        let life = of_workspace.entry(process_id).or_default();
        life.observe(sign);
        *life
    }

    fn life(&self, workspace: &str, process_id: &ProcessId) -> Option<ProcessLife> {
        self.lives.get(workspace)?.get(process_id).copied()
    }

    /// Closes what a process holds open in a workspace.
    fn close(&mut self, workspace: &str, process_id: ProcessId, ended_ns: i64) -> Vec<TraceKey> {
        let mut touched = Vec::new();
        for (key, spans) in self.spans.iter_mut().filter(|((own, _), _)| own == workspace) {
            for span in spans.values_mut() {
                if is_held_open(span) && span.process_id == Some(process_id) {
                    interrupt(span, ended_ns);
                    touched.push(key.clone());
                }
            }
        }
        touched
    }

    /// A span as it is kept: one that is reported open after its process said goodbye is closed.
    fn closed_if_gone(&self, mut span: Span) -> Span {
        let life = span.process_id.and_then(|id| self.life(&span.workspace, &id));
        if let Some(ended_ns) =
            life.and_then(|life| life.goodbye_ns).filter(|_| is_held_open(&span))
        {
            interrupt(&mut span, ended_ns);
        }
        span
    }

    fn take_span(&mut self, span: Span, received_ns: i64) -> Option<TraceKey> {
        self.last_sequence = self.last_sequence.max(span.version.sequence);
        let span = self.unless_deleted(span, received_ns)?;
        let key = (span.workspace.clone(), span.trace_id);
        let spans = self.spans.entry(key.clone()).or_default();
        let is_newer = spans.get(&span.span_id).is_none_or(|held| span.version > held.version);
        if is_newer {
            spans.insert(span.span_id, span);
        }
        is_newer.then_some(key)
    }

    fn take_annotation(&mut self, annotation: Annotation, received_ns: i64) -> Option<TraceKey> {
        let key = (annotation.workspace.clone(), annotation.trace_id);
        if self.is_buried(&key.0, key.1, received_ns) {
            return None;
        }
        let id = (annotation.workspace.clone(), annotation.id);
        if self.annotations.contains_key(&id) {
            return None;
        }
        self.annotations.insert(id, annotation);
        Some(key)
    }

    fn annotations_of(&self, workspace: &str, trace_id: &TraceId) -> Vec<Annotation> {
        let on_trace = |a: &&Annotation| a.workspace == workspace && a.trace_id == *trace_id;
        let mut found: Vec<_> = self.annotations.values().filter(on_trace).cloned().collect();
        sort_annotations(&mut found);
        found
    }

    fn row(&self, workspace: &str, trace_id: &TraceId, now_ns: i64) -> Option<TraceRow> {
        let spans = self.spans.get(&(workspace.to_owned(), *trace_id))?.values();
        let annotations = self.annotations_of(workspace, trace_id);
        let nobody = BTreeMap::new();
        let lives = self.lives.get(workspace).unwrap_or(&nobody);
        trace_row(workspace, *trace_id, spans, &annotations, lives, now_ns)
    }

    /// Every row a query admits, in no order.
    fn matching_rows(&self, query: &TraceQuery) -> Result<Vec<TraceRow>, StoreError> {
        let matcher = Matcher::new(&query.filter)?;
        let mut rows = Vec::new();
        for ((workspace, trace_id), spans) in &self.spans {
            if *workspace != query.workspace {
                continue;
            }
            let Some(row) = self.row(workspace, trace_id, query.now_ns) else { continue };
            if matching::in_scope(&row, query) && matcher.matches(&row, &mut spans.values())? {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

/// Greatest value first, rows without one last, ties by trace id, greatest first.
fn descending(cursor: &Cursor) -> impl Ord + use<> {
    std::cmp::Reverse((cursor.value, cursor.trace_id))
}

#[async_trait]
impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, tables: false }
    }

    async fn append(&self, batch: Batch) -> Result<Appended, StoreError> {
        Ok(self.open_state()?.append(batch))
    }

    async fn traces(&self, query: &TraceQuery) -> Result<TracePage, StoreError> {
        matching::check_page(query)?;
        let mut rows = self.open_state()?.matching_rows(query)?;
        rows.sort_by_key(|row| descending(&matching::position(row, query.sort)));
        if let Some(after) = &query.after {
            rows.retain(|row| descending(&matching::position(row, query.sort)) > descending(after));
        }
        let has_more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let last = rows.last().filter(|_| has_more);
        Ok(TracePage { next: last.map(|row| matching::position(row, query.sort)), rows })
    }

    async fn trace_row(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        now_ns: i64,
    ) -> Result<Option<TraceRow>, StoreError> {
        Ok(self.open_state()?.row(workspace, trace_id, now_ns))
    }

    async fn trace(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        payloads: bool,
        now_ns: i64,
    ) -> Result<Option<Trace>, StoreError> {
        let state = self.open_state()?;
        let Some(row) = state.row(workspace, trace_id, now_ns) else { return Ok(None) };
        let spans = state.spans.get(&(workspace.to_owned(), *trace_id));
        let mut spans: Vec<Span> = spans.into_iter().flat_map(BTreeMap::values).cloned().collect();
        if !payloads {
            spans.iter_mut().for_each(strip_payloads);
        }
        let annotations = state.annotations_of(workspace, trace_id);
        Ok(Some(Trace { row, spans: tree_order(spans), annotations }))
    }

    async fn span(
        &self,
        workspace: &str,
        trace_id: &TraceId,
        span_id: &SpanId,
    ) -> Result<Option<FoundSpan>, StoreError> {
        let state = self.open_state()?;
        let Some(spans) = state.spans.get(&(workspace.to_owned(), *trace_id)) else {
            return Ok(None);
        };
        let Some(span) = spans.get(span_id) else { return Ok(None) };
        let look = |id| Ok::<_, StoreError>(spans.get(&id).map(tree::Step::of));
        Ok(Some(FoundSpan { span: span.clone(), place: tree::place(span, look)? }))
    }

    async fn lives(
        &self,
        workspace: &str,
        processes: &[ProcessId],
    ) -> Result<Vec<(ProcessId, ProcessLife)>, StoreError> {
        let state = self.open_state()?;
        let life = |id: &ProcessId| Some((*id, state.life(workspace, id)?));
        Ok(processes.iter().filter_map(life).collect())
    }

    async fn open_processes(&self) -> Result<Vec<OpenProcess>, StoreError> {
        let state = self.open_state()?;
        let mut open = BTreeSet::new();
        for ((workspace, _), spans) in &state.spans {
            let held = spans.values().filter(|span| is_held_open(span));
            open.extend(held.filter_map(|span| Some((workspace.clone(), span.process_id?))));
        }
        let process = |(workspace, process_id): (String, ProcessId)| {
            let life = state.life(&workspace, &process_id).unwrap_or_default();
            OpenProcess { workspace, process_id, life }
        };
        Ok(open.into_iter().map(process).collect())
    }

    async fn facet(&self, query: &FacetQuery) -> Result<Vec<FacetValue>, StoreError> {
        let mut counts = BTreeMap::<String, u64>::new();
        for row in self.open_state()?.matching_rows(&query.traces)? {
            for value in matching::facet_values(&row, query.field) {
                *counts.entry(value).or_default() += 1;
            }
        }
        Ok(most_frequent(counts, query.limit))
    }

    async fn metrics(&self, query: &MetricsQuery) -> Result<Series, StoreError> {
        self.open_state()?.metrics(query)
    }

    async fn agents(&self, query: &AgentsQuery) -> Result<AgentsPage, StoreError> {
        self.open_state()?.agents(query)
    }

    async fn conversations(
        &self,
        query: &ConversationsQuery,
    ) -> Result<ConversationPage, StoreError> {
        self.open_state()?.conversations(query)
    }

    async fn conversation(&self, query: &TurnsQuery) -> Result<Option<Turns>, StoreError> {
        self.open_state()?.conversation(query)
    }

    async fn search(
        &self,
        query: &SearchQuery,
        found: mpsc::Sender<SearchHit>,
    ) -> Result<SearchEnd, StoreError> {
        check_search(query)?;
        let (hits, end) = self.open_state()?.search(query)?;
        for hit in hits {
            if found.send(hit).await.is_err() {
                break;
            }
        }
        Ok(end)
    }

    async fn annotations(
        &self,
        workspace: &str,
        trace_id: &TraceId,
    ) -> Result<Vec<Annotation>, StoreError> {
        Ok(self.open_state()?.annotations_of(workspace, trace_id))
    }

    async fn delete_annotation(
        &self,
        workspace: &str,
        id: &AnnotationId,
    ) -> Result<Option<TraceId>, StoreError> {
        let removed = self.open_state()?.annotations.remove(&(workspace.to_owned(), *id));
        Ok(removed.map(|annotation| annotation.trace_id))
    }

    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, StoreError> {
        Ok(self.open_state()?.delete(deletion))
    }

    async fn job(&self, job: u64) -> Result<Option<Job>, StoreError> {
        Ok(self.open_state()?.job(job))
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        Ok(self.open_state()?.retain(retention))
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let state = self.open_state()?;
        let mut rows = BTreeMap::<&str, u64>::new();
        for ((workspace, _), spans) in &state.spans {
            let counts = spans.values().any(|span| !span.dropped);
            *rows.entry(workspace).or_default() += u64::from(counts);
        }
        for (workspace, _) in state.annotations.keys() {
            rows.entry(workspace).or_default();
        }
        let row = |(slug, traces): (&str, u64)| WorkspaceRow { slug: slug.to_owned(), traces };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let state = self.open_state()?;
        let counts = |spans: &&BTreeMap<SpanId, Span>| spans.values().any(|span| !span.dropped);
        Ok(StoreStats {
            spans: state.spans.values().map(|spans| spans.len() as u64).sum(),
            traces: state.spans.values().filter(counts).count() as u64,
            bytes: 0,
            last_sequence: state.last_sequence,
        })
    }

    async fn close(&self) -> Result<(), StoreError> {
        *lock(&self.closed) = true;
        Ok(())
    }
}

/// Leaves of a span what a reader without payloads gets.
pub fn strip_payloads(span: &mut Span) {
    span.input = None;
    span.output = None;
    span.events.clear();
}

/// Counted values in the order of a facet's answer: greatest count first, then by value.
#[must_use]
pub fn most_frequent(counts: BTreeMap<String, u64>, limit: usize) -> Vec<FacetValue> {
    let mut values: Vec<FacetValue> =
        counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(limit);
    values
}
