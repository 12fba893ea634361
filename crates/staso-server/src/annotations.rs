//! `/v1/traces/{trace_id}/annotations` and `/v1/annotations/{id}`: scores and labels.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use staso_model::json::{AnnotationContext, AnnotationError, decode_annotation};
use staso_model::{AnnotationId, TraceId};
use staso_store::Batch;

use crate::app::App;
use crate::error::ApiError;
use crate::homeless;
use crate::params::{self, Params, PathParams, WorkspaceParams};
use crate::view::annotation::{self, Annotation, AnnotationList, NewAnnotation};

/// Makes an annotation. The trace need not have arrived. The same `id` twice is one annotation.
/// Without a workspace it goes where its trace is.
#[utoipa::path(post, path = "/v1/traces/{trace_id}/annotations", tag = "annotations",
    params(("trace_id" = String, Path), WorkspaceParams),
    request_body = NewAnnotation,
    responses((status = 201, body = Annotation),
              (status = 400, description = "not JSON", body = crate::view::refusal::ErrorBody),
              (status = 422, description = "the value is not of its type", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    PathParams(trace_id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Annotation>), ApiError> {
    if app.stop.is_cancelled() {
        return Err(ApiError::stopping());
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large("the annotation is too large")
            .hint("an annotation takes up to 1 MiB; put long texts into spans"),
        status => ApiError::new(status, "bad_body", rejection.body_text()),
    })?;
    let trace_id = writable_trace_id(&trace_id);
    let workspace = match params.workspace {
        None => homeless::workspace_of(&app, &trace_id).await?,
        named => params::writable_workspace(named)?,
    };
    let received_ns = app.clock.now_ns();
    let context = AnnotationContext {
        workspace: &workspace,
        trace_id,
        fallback_id: AnnotationId(*uuid::Uuid::new_v4().as_bytes()),
        received_ns,
        limits: staso_model::json::Limits::default(),
    };
    let note = decode_annotation(&body, &context)?;
    let batch = Batch {
        workspace: workspace.clone(),
        annotations: vec![note.clone()],
        received_ns,
        ..Batch::default()
    };
    app.store.append(batch).await?;
    app.hub.mark([(workspace.clone(), trace_id)]);
    let stored = app.store.annotations(&workspace, &trace_id).await?;
    let stored = stored.iter().find(|other| other.id == note.id).unwrap_or(&note);
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// A trace id as ingest reads it: other text than an id becomes one in the same way.
fn writable_trace_id(text: &str) -> TraceId {
    text.parse().unwrap_or_else(|_| TraceId::from_foreign_text(text))
}

/// The annotations of a trace, oldest first; those of a trace not yet known too. Without a
/// workspace, those of every workspace.
#[utoipa::path(get, path = "/v1/traces/{trace_id}/annotations", tag = "annotations",
    params(("trace_id" = String, Path), WorkspaceParams),
    responses((status = 200, body = AnnotationList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    PathParams(trace_id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
) -> Result<Json<AnnotationList>, ApiError> {
    let trace_id = writable_trace_id(&trace_id);
    let mut notes = Vec::new();
    for workspace in asked_workspaces(&app, params).await? {
        notes.extend(app.store.annotations(&workspace, &trace_id).await?);
    }
    notes.sort_by_key(|note| note.created_ns);
    Ok(Json(AnnotationList { annotations: annotation::all(&notes) }))
}

/// The workspace that a request names, or all: existing clients never name one.
async fn asked_workspaces(app: &App, params: WorkspaceParams) -> Result<Vec<String>, ApiError> {
    match params.workspace {
        None => Ok(homeless::candidates(app).await?),
        named => Ok(vec![params::workspace(named)]),
    }
}

/// Deletes one annotation. Without a workspace it is looked for in all of them.
#[utoipa::path(delete, path = "/v1/annotations/{id}", tag = "annotations",
    params(("id" = String, Path), WorkspaceParams),
    responses((status = 204, description = "gone"),
              (status = 404, description = "there is none", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    PathParams(id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
) -> Result<StatusCode, ApiError> {
    let id: AnnotationId = id.parse().map_err(|_| {
        ApiError::bad_request("bad_id", "not an annotation id").hint("annotation ids are UUIDs")
    })?;
    let mut was_there = false;
    for workspace in asked_workspaces(&app, params).await? {
        if let Some(trace_id) = app.store.delete_annotation(&workspace, &id).await? {
            app.hub.mark([(workspace, trace_id)]);
            was_there = true;
        }
    }
    if was_there {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found("there is no such annotation")
        .hint("it may be deleted already, or belong to another workspace"))
}

impl From<AnnotationError> for ApiError {
    fn from(error: AnnotationError) -> Self {
        let status = if error.is_unprocessable() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}
