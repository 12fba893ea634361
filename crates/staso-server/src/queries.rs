//! The query API: lists, whole traces, one span, facets, health. Reads only, never blocks ingest.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use staso_model::TraceId;
use staso_store::query::{
    Cursor, FacetField, FacetQuery, Filter, Sort, TextField, TraceQuery, parse,
};
use staso_store::row::Trace;

use crate::app::App;
use crate::error::ApiError;
use crate::params::{
    self, FacetParams, ListParams, Params, PathParams, TraceParams, WorkspaceParams,
};
use crate::view::Int64;
use crate::view::catalog::{FacetList, FacetValue, Workspace, WorkspaceList};
use crate::view::health::{Health, StoreHealth};
use crate::view::skeleton::Skeleton;
use crate::view::span::Span;
use crate::view::trace::{TraceAnswer, TraceList, TraceRow};

/// Traces above this many spans are turned into JSON on a blocking thread.
const MANY_SPANS: usize = 500;

/// One page of traces.
#[utoipa::path(get, path = "/api/traces", tag = "query", params(ListParams),
    responses((status = 200, body = TraceList),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn traces(
    State(app): State<Arc<App>>,
    Params(params): Params<ListParams>,
) -> Result<Json<TraceList>, ApiError> {
    let query = list_query(params, app.clock.now_ns())?;
    let page = app.store.traces(&query).await?;
    Ok(Json(TraceList {
        traces: page.rows.iter().map(TraceRow::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        now_ns: Int64(query.now_ns),
    }))
}

pub(crate) fn list_query(params: ListParams, now_ns: i64) -> Result<TraceQuery, ApiError> {
    let cursor = params.cursor.filter(|text| !text.is_empty());
    let after: Option<Cursor> = cursor.map(|text| text.parse()).transpose().map_err(
        |error: staso_store::query::CursorError| {
            ApiError::bad_request("bad_cursor", error.to_string())
        },
    )?;
    Ok(TraceQuery {
        workspace: params::workspace(params.workspace),
        environment: params.environment.filter(|text| !text.is_empty()),
        from_ns: params::time_ns("from", params.from.as_deref())?,
        to_ns: params::time_ns("to", params.to.as_deref())?,
        filter: with_phrase(filter(params.filter.as_deref())?, params.q),
        sort: params.sort.map_or(Sort::Start, Sort::from),
        after,
        limit: params::limit(params.limit)?,
        now_ns,
    })
}

/// A filter, and that a span has this phrase, if there is one.
fn with_phrase(filter: Filter, phrase: Option<String>) -> Filter {
    match phrase.filter(|phrase| !phrase.trim().is_empty()) {
        Some(phrase) => Filter::All(vec![filter, Filter::Anywhere(phrase)]),
        None => filter,
    }
}

pub(crate) fn filter(text: Option<&str>) -> Result<Filter, ApiError> {
    parse::parse(text.unwrap_or_default()).map_err(|error| {
        let message = format!("the filter, {error}");
        ApiError::bad_request("bad_filter", message).hint(error.hint)
    })
}

/// The newest traces of a workspace.
pub(crate) fn newest(workspace: &str, limit: usize, now_ns: i64) -> TraceQuery {
    TraceQuery {
        workspace: workspace.to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::everything(),
        sort: Sort::Start,
        after: None,
        limit,
        now_ns,
    }
}

/// One trace with its spans and annotations.
#[utoipa::path(get, path = "/api/traces/{trace_id}", tag = "query",
    params(("trace_id" = String, Path), TraceParams),
    responses((status = 200, body = TraceAnswer),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn trace(
    State(app): State<Arc<App>>,
    PathParams(trace_id): PathParams<String>,
    Params(params): Params<TraceParams>,
) -> Result<Response, ApiError> {
    let workspace = params::workspace(params.workspace);
    let trace = load(&app, &workspace, &trace_id, params.payloads.unwrap_or(true)).await?;
    rendered(trace, |trace| TraceAnswer::from(trace)).await
}

/// The shape of one trace, without content.
#[utoipa::path(get, path = "/api/traces/{trace_id}/skeleton", tag = "query",
    params(("trace_id" = String, Path), WorkspaceParams),
    responses((status = 200, body = Skeleton),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn skeleton(
    State(app): State<Arc<App>>,
    PathParams(trace_id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
) -> Result<Response, ApiError> {
    let trace = load(&app, &params.workspace(), &trace_id, false).await?;
    rendered(trace, |trace| Skeleton::from(trace)).await
}

async fn load(
    app: &App,
    workspace: &str,
    trace_id: &str,
    payloads: bool,
) -> Result<Trace, ApiError> {
    let trace_id = params::trace_id(trace_id)?;
    let found = app.store.trace(workspace, &trace_id, payloads, app.clock.now_ns()).await?;
    found.ok_or_else(|| unknown_trace(&trace_id, workspace))
}

fn unknown_trace(trace_id: &TraceId, workspace: &str) -> ApiError {
    ApiError::not_found(format!("no trace {trace_id} in the workspace `{workspace}`"))
        .hint("it may not have arrived yet, or belong to another workspace")
}

/// A trace as JSON; a big one is written where it holds nobody up.
async fn rendered<T: Serialize>(
    trace: Trace,
    view: impl FnOnce(&Trace) -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let is_big = trace.spans.len() > MANY_SPANS;
    let write = move || serde_json::to_vec(&view(&trace));
    let written =
        if is_big { tokio::task::spawn_blocking(write).await.ok() } else { Some(write()) };
    let Some(Ok(json)) = written else {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        return Err(ApiError::new(status, "internal", "the trace could not be written as JSON"));
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// One span, whole.
#[utoipa::path(get, path = "/api/spans/{trace_id}/{span_id}", tag = "query",
    params(("trace_id" = String, Path), ("span_id" = String, Path), WorkspaceParams),
    responses((status = 200, body = Span),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn span(
    State(app): State<Arc<App>>,
    PathParams((trace_id, span_id)): PathParams<(String, String)>,
    Params(params): Params<WorkspaceParams>,
) -> Result<Json<Span>, ApiError> {
    let workspace = params.workspace();
    let (trace_id, span_id) = (params::trace_id(&trace_id)?, params::span_id(&span_id)?);
    let found = app.store.span(&workspace, &trace_id, &span_id).await?;
    let Some(found) = found else {
        return Err(ApiError::not_found(format!("no span {span_id} in the trace {trace_id}"))
            .hint("it may not have arrived yet, or belong to another workspace"));
    };
    let mut span = Span::from(&found);
    let notes = app.store.annotations(&workspace, &trace_id).await?;
    let own = notes.iter().filter(|note| note.span_id == Some(span_id));
    span.annotations = own.map(Into::into).collect();
    Ok(Json(span))
}

/// How often each value of a field occurs among the traces that match.
#[utoipa::path(get, path = "/api/facets", tag = "query", params(FacetParams),
    responses((status = 200, body = FacetList),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn facets(
    State(app): State<Arc<App>>,
    Params(params): Params<FacetParams>,
) -> Result<Json<FacetList>, ApiError> {
    let limit = params::limit(params.limit)?;
    if params.field == "workspace" {
        return workspace_facet(&app, limit).await;
    }
    let field = facet_field(&params.field)?;
    let list = ListParams {
        workspace: params.workspace,
        environment: params.environment,
        from: params.from,
        to: params.to,
        filter: params.filter,
        ..ListParams::default()
    };
    let query = FacetQuery { traces: list_query(list, app.clock.now_ns())?, field, limit };
    let values = app.store.facet(&query).await?.into_iter();
    let values = values.map(|found| FacetValue { value: found.value, count: found.count });
    Ok(Json(FacetList { values: values.collect() }))
}

fn facet_field(name: &str) -> Result<FacetField, ApiError> {
    Ok(match name {
        "kind" => FacetField::Kind,
        "status" => FacetField::Status,
        "state" => FacetField::State,
        "name" => FacetField::Text(TextField::Name),
        "agent" => FacetField::Text(TextField::Agent),
        "version" => FacetField::Text(TextField::AgentVersion),
        "service" => FacetField::Text(TextField::Service),
        "environment" => FacetField::Text(TextField::Environment),
        "session" => FacetField::Text(TextField::Session),
        "user" => FacetField::Text(TextField::User),
        "model" => FacetField::Text(TextField::Model),
        "tag" => FacetField::Text(TextField::Tag),
        _ => {
            return Err(ApiError::bad_request("bad_parameter", "no such field to count").hint(
                "agent, version, environment, service, model, kind, status, state, user, session, \
                 tag, name or workspace",
            ));
        }
    })
}

async fn workspace_facet(app: &App, limit: usize) -> Result<Json<FacetList>, ApiError> {
    let mut rows = app.store.workspaces().await?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.traces));
    let values = rows.into_iter().take(limit);
    let values = values.map(|row| FacetValue { value: row.slug, count: row.traces });
    Ok(Json(FacetList { values: values.collect() }))
}

/// The workspaces that hold something.
#[utoipa::path(get, path = "/api/workspaces", tag = "query",
    responses((status = 200, body = WorkspaceList)))]
pub(crate) async fn workspaces(
    State(app): State<Arc<App>>,
) -> Result<Json<WorkspaceList>, ApiError> {
    let rows = app.store.workspaces().await?.into_iter();
    let workspaces = rows.map(|row| Workspace { slug: row.slug, traces: row.traces });
    Ok(Json(WorkspaceList { workspaces: workspaces.collect() }))
}

/// Whether the server works, and what it holds.
#[utoipa::path(get, path = "/api/health", tag = "query",
    responses((status = 200, body = Health)))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    let stats = app.store.stats().await?;
    let count = |n: u64| Int64(i64::try_from(n).unwrap_or(i64::MAX));
    Ok(Json(Health {
        status: if app.stop.is_cancelled() { "stopping" } else { "ok" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ns: Int64(app.started_ns),
        store: StoreHealth {
            engine: "local".to_owned(),
            spans: count(stats.spans),
            traces: count(stats.traces),
            bytes: count(stats.bytes),
        },
        ingest: app.counters.shown(),
        time_ns: Int64(app.clock.now_ns()),
    }))
}
