//! `GET /api/search`: spans that have a phrase in their texts, a line each as they are found.
//!
//! What text is and how it is compared is said in the store's contract. So many searches run at once
//! and no more; one that took its time ends with the place to go on from; one whose client went away
//! is stopped.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use staso_store::StoreError;
use staso_store::query::CursorError;
use staso_store::search::{SearchEnd, SearchHit, SearchQuery, check_search};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::ApiError;
use crate::params::{self, Params, said};
use crate::queries::filter;
use crate::view::search::{self as view, SearchLine};

/// The type of the answer. It is never compressed: each line is on its way when it is found.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Hits that wait for a slow client; the search waits when they are so many.
const HITS_AHEAD: usize = 32;

/// What is looked for, and where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// The phrase, 1 to 500 letters of any script: a part of a name, an error message, an input, an
    /// output or an event's text, whatever the case of its letters. White space counts.
    q: Option<String>,
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// Only spans of traces of this environment.
    environment: Option<String>,
    /// Only spans that began at this time or later: ISO-8601, or Unix nanoseconds.
    from: Option<String>,
    /// Only spans that began before this time.
    to: Option<String>,
    /// At most this many hits, 1 to 1000; 50 where it is missing.
    limit: Option<usize>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
    /// Only spans of traces that match, such as `agent:billing status:error`.
    filter: Option<String>,
}

/// Spans that have a phrase, newest start first, as they are found.
///
/// One JSON object a line: `hit` for each span, and last `end`, which says whether everything was
/// looked at and where to go on, or `error`.
#[utoipa::path(get, path = "/api/search", tag = "query", params(SearchParams),
    responses((status = 200, description = "a SearchLine per line", body = SearchLine, content_type = "application/x-ndjson"),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody),
              (status = 503, description = "too many searches at once", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Params(params): Params<SearchParams>,
) -> Result<Response, ApiError> {
    let query = query(params, &app)?;
    check_search(&query)?;
    let permit = Arc::clone(&app.search_permits).try_acquire_owned().map_err(|_| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_searches", "too many searches run")
            .hint(
                "try again when one of them has ended; max_searches says how many may run at once",
            )
            .retry_after(2)
    })?;
    let running = Running::start(&app, query, permit);
    let lines = unfold(running, |mut running| async move {
        let line = running.line().await?;
        Some((Ok::<Bytes, Infallible>(line), running))
    });
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

fn query(params: SearchParams, app: &App) -> Result<SearchQuery, ApiError> {
    let text = params.q.ok_or_else(|| {
        ApiError::bad_request("bad_parameter", "q is missing")
            .hint("say what to look for: ?q=refund")
    })?;
    let cursor = said(params.cursor.as_deref()).map(str::parse).transpose();
    let after = cursor
        .map_err(|error: CursorError| ApiError::bad_request("bad_cursor", error.to_string()))?;
    Ok(SearchQuery {
        workspace: params::workspace(params.workspace),
        text,
        environment: params.environment.filter(|text| !text.is_empty()),
        filter: filter(params.filter.as_deref())?,
        from_ns: params::time_ns("from", params.from.as_deref())?,
        to_ns: params::time_ns("to", params.to.as_deref())?,
        after,
        limit: params::limit(params.limit)?,
        give_up_after: Some(app.limits.search_timeout),
        now_ns: app.clock.now_ns(),
    })
}

/// A search, as long as its client is there: dropping it stops the work.
struct Running {
    hits: mpsc::Receiver<SearchHit>,
    /// `None` after the last line.
    task: Option<JoinHandle<Result<SearchEnd, StoreError>>>,
    count: u64,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    fn start(app: &Arc<App>, query: SearchQuery, permit: OwnedSemaphorePermit) -> Self {
        let (sender, hits) = mpsc::channel(HITS_AHEAD);
        let store = Arc::clone(&app.store);
        let task = tokio::spawn(async move { store.search(&query, sender).await });
        Self { hits, task: Some(task), count: 0, stop: app.stop.clone(), _permit: permit }
    }

    /// The next line; `None` after the last.
    async fn line(&mut self) -> Option<Bytes> {
        self.task.as_ref()?;
        let next = tokio::select! {
            () = self.stop.cancelled() => Err(StoreError::Closed),
            hit = self.hits.recv() => Ok(hit),
        };
        let line = match next {
            Ok(Some(hit)) => {
                self.count += 1;
                SearchLine::Hit(view::SearchHit::from(&hit))
            }
            Ok(None) => self.end().await,
            Err(error) => {
                self.abort();
                refused(error)
            }
        };
        let mut json = serde_json::to_vec(&line).ok()?;
        json.push(b'\n');
        Some(json.into())
    }

    async fn end(&mut self) -> SearchLine {
        let Some(task) = self.task.take() else { return refused(StoreError::Closed) };
        let ended = task.await.map_err(|error| StoreError::Engine(error.to_string()));
        match ended.and_then(|ended| ended) {
            Ok(SearchEnd { next }) => SearchLine::End(view::SearchEnd {
                complete: next.is_none(),
                next_cursor: next.map(|cursor| cursor.to_string()),
                hits: self.count,
            }),
            Err(error) => refused(error),
        }
    }

    fn abort(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort();
    }
}

fn refused(error: StoreError) -> SearchLine {
    SearchLine::Error { error: ApiError::from(error).into_detail() }
}
