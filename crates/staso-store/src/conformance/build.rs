//! Small ways to make spans, batches and queries for the tests.

use staso_model::{
    Annotation, AnnotationId, AnnotationSource, AnnotationValue, ProcessId, Span, SpanId, Stage,
    TraceId, Version,
};

use crate::batch::{Appended, Batch, ReceiptKey};
use crate::query::{Cursor, Filter, Sort, TraceQuery};
use crate::row::{TracePage, TraceRow};
use crate::traits::Store;

/// The workspace of tests that need only one.
pub(super) const WS: &str = "default";

/// A time to judge run states by: far after every small time that tests use.
pub(super) const NOW_NS: i64 = 1_000_000_000_000_000;

pub(super) fn trace_id(n: u8) -> TraceId {
    TraceId([n; 16])
}

pub(super) fn span_id(n: u64) -> SpanId {
    SpanId::from_w3c(n.to_be_bytes())
}

pub(super) fn process_id(n: u8) -> ProcessId {
    ProcessId([n; 16])
}

/// An ended span, `id` µs after the start of its trace, 1 µs long; `parent` 0 is none.
pub(super) fn span(trace: u8, id: u64, parent: u64) -> Span {
    let mut span = Span::new(WS, trace_id(trace), span_id(id));
    span.parent_span_id = (parent > 0).then(|| span_id(parent));
    span.name = format!("span {id}");
    span.start_ns = i64::from(trace) * 1_000_000_000 + i64::try_from(id).unwrap() * 1_000;
    span.end_ns = Some(span.start_ns + 1_000);
    span.version = version(Stage::Ended, 0, 1, id);
    span
}

/// The same, still open.
pub(super) fn open_span(trace: u8, id: u64, parent: u64) -> Span {
    let mut span = span(trace, id, parent);
    span.end_ns = None;
    span.version.stage = Stage::Open;
    span
}

pub(super) fn version(stage: Stage, client: u64, received_ns: i64, sequence: u64) -> Version {
    Version { stage, client, received_ns, sequence }
}

pub(super) fn batch(spans: Vec<Span>) -> Batch {
    Batch { workspace: WS.to_owned(), spans, received_ns: 1, ..Batch::default() }
}

pub(super) fn receipt(key: &str, digest: u8) -> Option<ReceiptKey> {
    Some(ReceiptKey { key: key.to_owned(), digest: [digest; 32] })
}

pub(super) fn annotation(id: u8, trace: u8, name: &str, score: f64) -> Annotation {
    Annotation {
        workspace: WS.to_owned(),
        id: AnnotationId([id; 16]),
        trace_id: trace_id(trace),
        span_id: None,
        name: name.to_owned(),
        value: AnnotationValue::Numeric(score),
        comment: None,
        source: AnnotationSource::Human,
        author: None,
        created_ns: i64::from(id),
    }
}

pub(super) fn annotated(annotations: Vec<Annotation>) -> Batch {
    Batch { annotations, ..batch(Vec::new()) }
}

pub(super) fn query() -> TraceQuery {
    TraceQuery {
        workspace: WS.to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: Sort::Start,
        after: None,
        limit: 1000,
        now_ns: NOW_NS,
    }
}

pub(super) async fn append<S: Store>(store: &S, batch: Batch) -> Appended {
    store.append(batch).await.unwrap()
}

pub(super) async fn page<S: Store>(store: &S, query: &TraceQuery) -> TracePage {
    store.traces(query).await.unwrap()
}

/// Every row of a query, page by page.
pub(super) async fn all_pages<S: Store>(store: &S, query: &TraceQuery) -> Vec<TraceRow> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let page = page(store, &query).await;
        assert!(page.rows.len() <= query.limit);
        assert!(page.next.is_none() || page.rows.len() == query.limit, "a cut page is full");
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(through_text(next)),
            None => return rows,
        }
    }
}

/// A cursor as a client sends it back.
fn through_text(cursor: Cursor) -> Cursor {
    cursor.to_string().parse().unwrap()
}

/// The traces of rows, by the number they were made with.
pub(super) fn numbers(rows: &[TraceRow]) -> Vec<u8> {
    rows.iter().map(|row| row.trace_id.0[0]).collect()
}

/// One span as it is kept, wherever it stands.
pub(super) async fn stored<S: Store>(
    store: &S,
    trace_id: &TraceId,
    span_id: &SpanId,
) -> Option<Span> {
    store.span(WS, trace_id, span_id).await.unwrap().map(|found| found.span)
}

pub(super) async fn row<S: Store>(store: &S, trace: u8) -> Option<TraceRow> {
    store.trace_row(WS, &trace_id(trace), NOW_NS).await.unwrap()
}

/// The span ids of a trace in the order answered, with their depths.
pub(super) async fn tree<S: Store>(store: &S, trace: u8) -> Vec<(u64, u32)> {
    let found = store.trace(WS, &trace_id(trace), true, NOW_NS).await.unwrap();
    let spans = found.map(|trace| trace.spans).unwrap_or_default();
    spans.iter().map(|s| (u64::from_be_bytes(s.span.span_id.low()), s.depth)).collect()
}
