//! `GET /api/export`: what was recorded, as lines that ingest takes again.
//!
//! Each line is one element of `traces` as `POST /v1/traces/ingest` takes it, spans, payloads and scores
//! included; a large trace is several lines. Traces are read one at a time while the client takes
//! them, so that an export of everything holds no more than one in memory. A failure on the way ends the
//! connection before its proper end: no part is taken for the whole.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use staso_model::Span;
use staso_model::json::encode_trace;
use staso_store::query::{Cursor, TraceQuery};
use staso_store::row::{Trace, TraceRow};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::ApiError;
use crate::params::{ListParams, Params};
use crate::queries;

/// Where to continue; there is none behind the last page.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("staso-next-cursor");

/// Traces of which the store is asked at one time.
const PAGE: usize = 100;

/// Spans of one line, which ingest takes whole; bytes above which a line gets no further span.
const LINE_SPANS: usize = 500;
const LINE_BYTES: usize = 4 << 20;

/// Lines that wait for a client that is slow.
const LINES_AHEAD: usize = 4;

/// How an export is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    /// A JSON object per line.
    #[default]
    Jsonl,
}

/// Which traces are exported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// Only traces of this environment.
    environment: Option<String>,
    /// Only traces that began at this time or later: ISO-8601, or Unix nanoseconds.
    from: Option<String>,
    /// Only traces that began before this time.
    to: Option<String>,
    /// Only traces that match, such as `status:error agent:billing`.
    filter: Option<String>,
    /// Only traces with a span that has this phrase in its texts, see `/api/search`.
    q: Option<String>,
    /// At most this many traces, 1 to 1000; all of them where it is missing.
    limit: Option<usize>,
    /// The `Staso-Next-Cursor` of the answer before.
    cursor: Option<String>,
    /// `jsonl`, which is also meant where it is missing.
    format: Option<ExportFormat>,
}

/// Traces with everything in them, the newest first, a line each.
///
/// Every line is an element of `traces` as `POST /v1/traces/ingest` takes it; a large trace is several.
/// With `limit`, the header `Staso-Next-Cursor` says where to continue; without, everything that matches
/// comes in one answer. An answer that was cut off ends without the end of its transfer encoding.
#[utoipa::path(get, path = "/api/export", tag = "operations", params(ExportParams),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String,
         headers(("Staso-Next-Cursor" = Option<String>, description = "where to continue"))),
        (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody),
        (status = 429, description = "too many exports at one time", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    Params(params): Params<ExportParams>,
) -> Result<Response, ApiError> {
    let ExportFormat::Jsonl = params.format.unwrap_or_default();
    let is_page = params.limit.is_some();
    let list = ListParams {
        workspace: params.workspace,
        environment: params.environment,
        from: params.from,
        to: params.to,
        limit: params.limit.or(Some(PAGE)),
        cursor: params.cursor,
        sort: None,
        filter: params.filter,
        q: params.q,
    };
    let query = queries::list_query(list, app.clock.now_ns())?;
    let permit = Arc::clone(&app.export_permits).try_acquire_owned().map_err(|_| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_exports", "too many exports run")
            .hint("wait for one of them to end")
            .retry_after(5)
    })?;
    let page = app.store.traces(&query).await?;
    let next = page.next.as_ref().filter(|_| is_page).map(Cursor::to_string);
    let (lines, waiting) = mpsc::channel(LINES_AHEAD);
    let writer = Writer { app, query, lines, _permit: permit };
    tokio::spawn(writer.write(page.rows, page.next.filter(|_| !is_page)));
    let body = unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let mut response = (kind, Body::from_stream(body)).into_response();
    if let Some(value) = next.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(NEXT_CURSOR, value);
    }
    Ok(response)
}

type Line = Result<Bytes, io::Error>;

/// An export under way.
struct Writer {
    app: Arc<App>,
    query: TraceQuery,
    lines: mpsc::Sender<Line>,
    _permit: OwnedSemaphorePermit,
}

impl Writer {
    async fn write(mut self, rows: Vec<TraceRow>, next: Option<Cursor>) {
        if let Err(error) = self.pages(rows, next).await {
            tracing::warn!(%error, "an export was cut off");
            // A client that has gone needs no news of it.
            let _ = self.lines.send(Err(error)).await;
        }
    }

    async fn pages(&mut self, rows: Vec<TraceRow>, next: Option<Cursor>) -> io::Result<()> {
        let (mut rows, mut next) = (rows, next);
        loop {
            for row in rows {
                if !self.trace(&row).await? {
                    return Ok(());
                }
            }
            let Some(after) = next else { return Ok(()) };
            self.query.after = Some(after);
            let page = self.app.store.traces(&self.query).await.map_err(io::Error::other)?;
            (rows, next) = (page.rows, page.next);
        }
    }

    /// Sends the lines of one trace; `false` when nobody takes them any more.
    async fn trace(&self, row: &TraceRow) -> io::Result<bool> {
        if self.app.stop.is_cancelled() {
            return Err(io::Error::other("the server is shutting down"));
        }
        let (store, now_ns) = (&self.app.store, self.query.now_ns);
        let found = store.trace(&self.query.workspace, &row.trace_id, true, now_ns).await;
        // One that was deleted meanwhile is not exported.
        let Some(trace) = found.map_err(io::Error::other)? else { return Ok(true) };
        let workspace = self.query.workspace.clone();
        let lines = tokio::task::spawn_blocking(move || lines(&workspace, trace)).await;
        for line in lines.map_err(io::Error::other)? {
            if self.lines.send(Ok(line.into())).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A trace as lines, its scores in the last one.
fn lines(workspace: &str, trace: Trace) -> Vec<String> {
    let trace_id = trace.row.trace_id;
    let mut left: Vec<Span> = trace.spans.into_iter().map(as_shown).collect();
    let mut lines = Vec::new();
    loop {
        let rest = left.split_off(line_length(&left));
        let annotations = if rest.is_empty() { trace.annotations.as_slice() } else { &[] };
        lines.push(encode_trace(workspace, trace_id, &left, annotations) + "\n");
        if rest.is_empty() {
            return lines;
        }
        left = rest;
    }
}

/// A span under the parent that it is shown under: spans that their client discarded are not exported.
fn as_shown(place: staso_store::row::TreeSpan) -> Span {
    Span { parent_span_id: place.parent_span_id, ..place.span }
}

/// How many spans go on one line.
fn line_length(spans: &[Span]) -> usize {
    let mut bytes = 0;
    let fits = |span: &&Span| {
        let payload = |it: &Option<staso_model::Payload>| it.as_ref().map_or(0, |it| it.text.len());
        bytes += payload(&span.input) + payload(&span.output);
        bytes <= LINE_BYTES
    };
    let count = spans.iter().take(LINE_SPANS).take_while(fits).count();
    count.max(usize::from(!spans.is_empty()))
}
