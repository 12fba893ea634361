//! Trace rows and annotations on disk.

use serde::{Deserialize, Serialize};
use staso_model::{
    Annotation, AnnotationId, AnnotationSource, AnnotationValue, ProcessId, SpanId, SpanKind,
    SpanStatus, TraceId,
};
use staso_store::query::RunState;
use staso_store::rollup::Rollup;
use staso_store::row::TraceRow;

use crate::tokens::Bytes;

/// A rollup as it was when the trace last changed: everything of a row but its annotations, and
/// instead of its run state what that is found from.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RowRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Bytes>,
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    status: String,
    start: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    spans: u64,
    errors: u64,
    open: u64,
    interrupted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open_processes: Vec<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agent_versions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<i64>,
    cost_incomplete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    repaired: u64,
    received: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agent_pairs: Vec<(String, Option<String>)>,
}

/// A row from disk, and what its run state is found from.
pub(crate) struct StoredRow {
    /// The row; its state and annotations are not yet filled in.
    pub(crate) row: TraceRow,
    /// Spans closed in their process's stead.
    pub(crate) interrupted_count: u64,
    /// The processes that hold open spans.
    pub(crate) open_processes: Vec<ProcessId>,
}

impl StoredRow {
    /// A row fresh from its rollup; `None` when nothing counts.
    pub(crate) fn of(rollup: &Rollup, workspace: &str, trace_id: TraceId) -> Option<Self> {
        Some(Self {
            row: rollup.row(workspace, trace_id, &[], RunState::Unknown)?,
            interrupted_count: rollup.interrupted_count(),
            open_processes: rollup.open_processes().iter().copied().collect(),
        })
    }
}

impl RowRecord {
    pub(crate) fn of(stored: &StoredRow) -> Self {
        let row = stored.row.clone();
        Self {
            root: row.root_span_id.map(|id| Bytes(id.0.to_vec())),
            name: row.name,
            kind: row.kind.as_str().to_owned(),
            kinds: row.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            status: row.status.as_str().to_owned(),
            start: row.start_ns,
            end: row.end_ns,
            spans: row.span_count,
            errors: row.error_count,
            open: row.open_count,
            interrupted: stored.interrupted_count,
            open_processes: stored.open_processes.iter().map(|id| Bytes(id.0.to_vec())).collect(),
            env: row.environment,
            service: row.service,
            agent: row.agent_name,
            agent_version: row.agent_version,
            session: row.session_id,
            user: row.user_id,
            agents: row.agents,
            agent_versions: row.agent_versions,
            models: row.models,
            tags: row.tags,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            total_tokens: row.total_tokens,
            cost: row.cost_nano_usd,
            cost_incomplete: row.cost_incomplete,
            input_preview: row.input_preview,
            output_preview: row.output_preview,
            error: row.error_message,
            repaired: row.repaired_count,
            received: row.received_ns,
            sample_rate: row.sample_rate,
            agent_pairs: row.agent_pairs,
        }
    }

    /// Older records have no pairs: then the trace's version is that of its own agent.
    fn pairs(&self) -> Vec<(String, Option<String>)> {
        if !self.agent_pairs.is_empty() {
            return self.agent_pairs.clone();
        }
        let version = |agent: &String| {
            self.agent_version.clone().filter(|_| self.agent.as_ref() == Some(agent))
        };
        self.agents.iter().map(|agent| (agent.clone(), version(agent))).collect()
    }

    /// The row; `None` where the record contradicts itself.
    pub(crate) fn into_row(self, workspace: &str, trace_id: TraceId) -> Option<StoredRow> {
        let agent_pairs = self.pairs();
        let kinds = self.kinds.iter().map(|kind| SpanKind::parse(kind));
        let root = match self.root {
            Some(bytes) => Some(SpanId(bytes.id()?)),
            None => None,
        };
        let processes = self.open_processes.iter().map(|bytes| bytes.id().map(ProcessId));
        let row = TraceRow {
            workspace: workspace.to_owned(),
            trace_id,
            root_span_id: root,
            name: self.name,
            kind: SpanKind::parse(&self.kind)?,
            kinds: kinds.collect::<Option<_>>()?,
            status: SpanStatus::parse(&self.status)?,
            state: RunState::Unknown,
            start_ns: self.start,
            end_ns: self.end,
            span_count: self.spans,
            error_count: self.errors,
            open_count: self.open,
            environment: self.env,
            service: self.service,
            agent_name: self.agent,
            agent_version: self.agent_version,
            session_id: self.session,
            user_id: self.user,
            agents: self.agents,
            agent_versions: self.agent_versions,
            models: self.models,
            tags: self.tags,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            total_tokens: self.total_tokens,
            cost_nano_usd: self.cost,
            cost_incomplete: self.cost_incomplete,
            input_preview: self.input_preview,
            output_preview: self.output_preview,
            error_message: self.error,
            repaired_count: self.repaired,
            received_ns: self.received,
            sample_rate: self.sample_rate,
            agent_pairs,
            annotations: Vec::new(),
        };
        Some(StoredRow {
            row,
            interrupted_count: self.interrupted,
            open_processes: processes.collect::<Option<_>>()?,
        })
    }
}

/// An annotation but for its identity and its trace.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AnnotationRecord {
    span: Option<Bytes>,
    name: String,
    numeric: Option<f64>,
    label: Option<String>,
    boolean: Option<bool>,
    comment: Option<String>,
    source: String,
    author: Option<String>,
    created: i64,
}

const SOURCES: [AnnotationSource; 4] = [
    AnnotationSource::Sdk,
    AnnotationSource::Human,
    AnnotationSource::Judge,
    AnnotationSource::Code,
];

impl AnnotationRecord {
    pub(crate) fn of(annotation: &Annotation) -> Self {
        let mut record = Self {
            span: annotation.span_id.map(|id| Bytes(id.0.to_vec())),
            name: annotation.name.clone(),
            comment: annotation.comment.clone(),
            source: annotation.source.as_str().to_owned(),
            author: annotation.author.clone(),
            created: annotation.created_ns,
            ..Self::default()
        };
        match &annotation.value {
            AnnotationValue::Numeric(x) => record.numeric = Some(*x),
            AnnotationValue::Categorical(label) => record.label = Some(label.clone()),
            AnnotationValue::Boolean(b) => record.boolean = Some(*b),
        }
        record
    }

    /// The annotation; `None` where the record contradicts itself.
    pub(crate) fn into_annotation(
        self,
        workspace: &str,
        id: AnnotationId,
        trace_id: TraceId,
    ) -> Option<Annotation> {
        let value = match (self.numeric, self.label, self.boolean) {
            (Some(x), None, None) => AnnotationValue::Numeric(x),
            (None, Some(label), None) => AnnotationValue::Categorical(label),
            (None, None, Some(b)) => AnnotationValue::Boolean(b),
            _ => return None,
        };
        let span_id = match self.span {
            Some(bytes) => Some(SpanId(bytes.id()?)),
            None => None,
        };
        Some(Annotation {
            workspace: workspace.to_owned(),
            id,
            trace_id,
            span_id,
            name: self.name,
            value,
            comment: self.comment,
            source: SOURCES.into_iter().find(|source| source.as_str() == self.source)?,
            author: self.author,
            created_ns: self.created,
        })
    }
}
