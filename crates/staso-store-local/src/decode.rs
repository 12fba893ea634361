//! Spans, rows and annotations from the bytes of the catalog.

use rusqlite::Row;
use staso_model::{Annotation, AnnotationId, Span, SpanId, TraceId};
use staso_store::StoreError;

use crate::disk::decode;
use crate::other_records::{AnnotationRecord, RowRecord, StoredRow};
use crate::span_record::{HeadRecord, PayloadRecord, to_version};

/// A span's row as it came from the database: to be decoded, and perhaps damaged.
pub(crate) struct RawSpan {
    pub(crate) span_row: i64,
    pub(crate) span_id: SpanId,
    pub(crate) version: Vec<u8>,
    pub(crate) head: Vec<u8>,
    pub(crate) payload: Option<Vec<u8>>,
}

impl RawSpan {
    /// From the columns `span_row, span_id, version, head, payload`.
    pub(crate) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            span_row: row.get(0)?,
            span_id: SpanId(row.get(1)?),
            version: row.get(2)?,
            head: row.get(3)?,
            payload: row.get(4)?,
        })
    }

    /// The span, with its payloads where they were asked for.
    pub(crate) fn decode(&self, workspace: &str, trace_id: TraceId) -> Result<Span, StoreError> {
        self.try_decode(workspace, trace_id).map_err(|problem| StoreError::Damaged {
            place: format!(
                "span {} of trace {trace_id} (spans row {})",
                self.span_id, self.span_row
            ),
            problem: problem.to_owned(),
        })
    }

    fn try_decode(&self, workspace: &str, trace_id: TraceId) -> Result<Span, &'static str> {
        const NONSENSE: &str = "the record contradicts itself";
        let version = to_version(&self.version).ok_or("the version is not one")?;
        let head: HeadRecord = decode(&self.head)?;
        let mut span =
            head.into_span(workspace, trace_id, self.span_id, version).ok_or(NONSENSE)?;
        if let Some(payload) = &self.payload {
            decode::<PayloadRecord>(payload)?.fill(&mut span).ok_or(NONSENSE)?;
        }
        Ok(span)
    }
}

/// A row of the list.
pub(crate) fn row(
    record: &[u8],
    workspace: &str,
    trace_id: TraceId,
) -> Result<StoredRow, StoreError> {
    let read = || {
        let record: RowRecord = decode(record)?;
        record.into_row(workspace, trace_id).ok_or("the record contradicts itself")
    };
    read().map_err(|problem| StoreError::Damaged {
        place: format!("the row of trace {trace_id}"),
        problem: problem.to_owned(),
    })
}

/// An annotation.
pub(crate) fn annotation(
    record: &[u8],
    workspace: &str,
    id: AnnotationId,
    trace_id: TraceId,
) -> Result<Annotation, StoreError> {
    let read = || {
        let record: AnnotationRecord = decode(record)?;
        record.into_annotation(workspace, id, trace_id).ok_or("the record contradicts itself")
    };
    read().map_err(|problem| StoreError::Damaged {
        place: format!("annotation {id}"),
        problem: problem.to_owned(),
    })
}

/// Says once that something was left out because it is damaged.
pub(crate) fn report(error: &StoreError) {
    tracing::error!(%error, "left out of the answer");
}
