//! What a log record says: the effect of a batch, in the words of the span records.
//!
//! Spans stand in it as they are kept, closed ones included, so that replaying a record needs
//! nothing but the state before it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use staso_model::{Annotation, AnnotationId, ProcessId, Span, SpanId, TraceId};
use staso_store::{Batch, ProcessSign, ReceiptKey, Sign, StoreError};

use crate::other_records::AnnotationRecord;
use crate::span_record::{HeadRecord, PayloadRecord, to_version, version_key};
use crate::tokens::Bytes;

/// What kind of record it is. The numbers are the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A batch that was accepted.
    Batch = 1,
    /// An annotation that was deleted.
    DeleteAnnotation = 2,
    /// Spans that older log files had and that are in no segment yet.
    Carried = 3,
    /// One step of a deletion.
    Forget = 4,
    /// Tombstones that older log files had.
    Tombstones = 5,
}

impl Kind {
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Batch, Self::DeleteAnnotation, Self::Carried, Self::Forget, Self::Tombstones]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// A batch as it was applied.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BatchRecord {
    workspace: String,
    receipt: Option<(String, Bytes)>,
    reply: Bytes,
    received: i64,
    /// The greatest sequence among all spans of the batch, those that lost included.
    pub(crate) sequence: u64,
    spans: Vec<SpanRecord>,
    annotations: Vec<AnnotationEntry>,
    /// (process, 0 alive / 1 goodbye / 2 lost, time).
    signs: Vec<(Bytes, u8, i64)>,
    /// Signs of spans and of workspaces that only spans name: those that lost are not in the record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heard: Vec<(String, Bytes, u8, i64)>,
}

/// A span with its identity.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SpanRecord {
    /// Left out where it is the batch's.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    trace: Bytes,
    span: Bytes,
    version: Bytes,
    head: HeadRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadRecord>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct AnnotationEntry {
    workspace: String,
    id: Bytes,
    trace: Bytes,
    record: AnnotationRecord,
}

/// A deleted annotation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeletedRecord {
    pub(crate) workspace: String,
    pub(crate) id: Bytes,
}

/// Carried spans; each names its workspace.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CarriedRecord {
    pub(crate) spans: Vec<SpanRecord>,
}

impl SpanRecord {
    /// `batch_workspace` is left out of the record.
    pub(crate) fn of(span: &Span, batch_workspace: Option<&str>) -> Self {
        let is_other = batch_workspace != Some(span.workspace.as_str());
        Self {
            workspace: is_other.then(|| span.workspace.clone()),
            trace: Bytes(span.trace_id.0.to_vec()),
            span: Bytes(span.span_id.0.to_vec()),
            version: Bytes(version_key(&span.version).to_vec()),
            head: HeadRecord::of(span),
            payload: PayloadRecord::of(span),
        }
    }

    /// The span; `None` where the record contradicts itself.
    pub(crate) fn into_span(self, batch_workspace: &str) -> Option<Span> {
        let workspace = self.workspace.as_deref().unwrap_or(batch_workspace);
        let trace_id = TraceId(self.trace.id()?);
        let span_id = SpanId(self.span.id()?);
        let version = to_version(&self.version.0)?;
        let mut span = self.head.into_span(workspace, trace_id, span_id, version)?;
        if let Some(payload) = self.payload {
            payload.fill(&mut span)?;
        }
        Some(span)
    }
}

impl BatchRecord {
    /// Everything of a batch but its spans, which are added as they are applied.
    pub(crate) fn of(batch: &Batch) -> Self {
        let annotation = |annotation: &Annotation| AnnotationEntry {
            workspace: annotation.workspace.clone(),
            id: Bytes(annotation.id.0.to_vec()),
            trace: Bytes(annotation.trace_id.0.to_vec()),
            record: AnnotationRecord::of(annotation),
        };
        let receipt = |key: &ReceiptKey| (key.key.clone(), Bytes(key.digest.to_vec()));
        Self {
            workspace: batch.workspace.clone(),
            receipt: batch.receipt.as_ref().map(receipt),
            reply: Bytes(batch.reply.clone()),
            received: batch.received_ns,
            sequence: 0,
            spans: Vec::with_capacity(batch.spans.len()),
            annotations: batch.annotations.iter().map(annotation).collect(),
            signs: batch.processes.iter().map(of_sign).collect(),
            heard: Vec::new(),
        }
    }

    /// Adds a sign that does not follow from the rest.
    pub(crate) fn hear(&mut self, workspace: &str, sign: &ProcessSign) {
        let (process, word, ns) = of_sign(sign);
        self.heard.push((workspace.to_owned(), process, word, ns));
    }

    /// The signs that were added, with their workspaces.
    pub(crate) fn heard(&self) -> Vec<(String, ProcessSign)> {
        let sign = |(workspace, process, word, ns): &(String, Bytes, u8, i64)| {
            Some((workspace.clone(), to_sign(process, *word, *ns)?))
        };
        self.heard.iter().filter_map(sign).collect()
    }

    /// Adds a span as it was applied.
    pub(crate) fn push(&mut self, span: &Span) {
        self.spans.push(SpanRecord::of(span, Some(&self.workspace)));
    }

    /// The batch that has this effect; `None` where the record contradicts itself.
    pub(crate) fn into_batch(self) -> Option<Batch> {
        let sign = |(id, word, ns): (Bytes, u8, i64)| to_sign(&id, word, ns);
        let annotation = |entry: AnnotationEntry| {
            let (id, trace) = (AnnotationId(entry.id.id()?), TraceId(entry.trace.id()?));
            entry.record.into_annotation(&entry.workspace, id, trace)
        };
        let receipt = match self.receipt {
            Some((key, digest)) => Some(ReceiptKey { key, digest: digest.0.try_into().ok()? }),
            None => None,
        };
        let workspace = self.workspace;
        let spans = self.spans.into_iter().map(|span| span.into_span(&workspace));
        Some(Batch {
            spans: spans.collect::<Option<_>>()?,
            workspace,
            receipt,
            reply: self.reply.0,
            annotations: self.annotations.into_iter().map(annotation).collect::<Option<_>>()?,
            processes: self.signs.into_iter().map(sign).collect::<Option<_>>()?,
            received_ns: self.received,
        })
    }
}

fn of_sign(sign: &ProcessSign) -> (Bytes, u8, i64) {
    let (word, ns) = match sign.sign {
        Sign::Alive(ns) => (0, ns),
        Sign::Goodbye(ns) => (1, ns),
        Sign::Lost(ns) => (2, ns),
    };
    (Bytes(sign.process_id.0.to_vec()), word, ns)
}

fn to_sign(id: &Bytes, word: u8, ns: i64) -> Option<ProcessSign> {
    let sign = match word {
        0 => Sign::Alive(ns),
        1 => Sign::Goodbye(ns),
        2 => Sign::Lost(ns),
        _ => return None,
    };
    Some(ProcessSign { process_id: ProcessId(id.id()?), sign })
}

/// A record's body.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    rmp_serde::to_vec_named(record)
        .map_err(|e| StoreError::Engine(format!("cannot encode a log record: {e}")))
}

/// A record from its body; `None` where it is none.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    rmp_serde::from_slice(body).ok()
}
