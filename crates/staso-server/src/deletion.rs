//! `DELETE /api/traces/{id}`, `DELETE /api/data` and `/api/jobs/{id}`: deleting, and watching how it goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use staso_store::{Deletion, Target};
use utoipa::IntoParams;

use crate::app::App;
use crate::error::ApiError;
use crate::params::{self, Params, PathParams, WorkspaceParams, said};
use crate::view::job::Job;

/// Whose data goes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DataParams {
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// This user: the traces in which only this user appears, and the content of the user's spans in others.
    user_id: Option<String>,
    /// This conversation: every trace of which a span names it.
    session_id: Option<String>,
}

/// Deletes a trace and its annotations. It is hidden when this answers, and what is sent of it again or late
/// within 30 days stays out; the job says when its bytes are gone.
#[utoipa::path(delete, path = "/api/traces/{trace_id}", tag = "deletion",
    params(("trace_id" = String, Path), WorkspaceParams),
    responses((status = 202, body = Job),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn trace(
    State(app): State<Arc<App>>,
    PathParams(trace_id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let (workspace, trace_id) = (params.workspace(), params::trace_id(&trace_id)?);
    let job = delete(&app, &workspace, Target::Trace(trace_id)).await?;
    if job.id.is_none() {
        let message = format!("no trace {trace_id} in the workspace `{workspace}`");
        return Err(ApiError::not_found(message)
            .hint("it may be deleted already, or belong to another workspace"));
    }
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// Deletes a user's data, or a conversation. It is hidden when this answers; the job says when its bytes are
/// gone.
#[utoipa::path(delete, path = "/api/data", tag = "deletion", params(DataParams),
    responses((status = 202, body = Job),
              (status = 400, description = "not exactly one of user_id and session_id",
               body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn data(
    State(app): State<Arc<App>>,
    Params(params): Params<DataParams>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    let target = match (said(params.user_id.as_deref()), said(params.session_id.as_deref())) {
        (Some(user), None) => Target::User(user.to_owned()),
        (None, Some(session)) => Target::Session(session.to_owned()),
        _ => {
            let message = "what to delete is not said, or twice";
            return Err(ApiError::bad_request("bad_parameter", message)
                .hint("send either user_id=… or session_id=…, as it was recorded"));
        }
    };
    let workspace = params::workspace(params.workspace);
    Ok((StatusCode::ACCEPTED, Json(delete(&app, &workspace, target).await?)))
}

/// How far a deletion is. Done ones are forgotten after 30 days.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "deletion",
    params(("id" = String, Path), WorkspaceParams),
    responses((status = 200, body = Job),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn job(
    State(app): State<Arc<App>>,
    PathParams(id): PathParams<String>,
    Params(params): Params<WorkspaceParams>,
) -> Result<Json<Job>, ApiError> {
    let workspace = params.workspace();
    let found = match id.parse::<u64>() {
        Ok(number) if i64::try_from(number).is_ok() => app.store.job(number).await?,
        _ => None,
    };
    let own = found.filter(|job| job.workspace == workspace);
    own.map(|job| Json(job.into())).ok_or_else(|| {
        ApiError::not_found(format!("no job of this id in the workspace `{workspace}`")).hint(
            "the id is in the answer to DELETE; a job that is done is forgotten after 30 days",
        )
    })
}

async fn delete(app: &App, workspace: &str, target: Target) -> Result<Job, ApiError> {
    if app.stop.is_cancelled() {
        return Err(ApiError::stopping());
    }
    let at_ns = app.clock.now_ns();
    let deletion = Deletion { workspace: workspace.to_owned(), target, at_ns };
    let deleted = app.store.delete(&deletion).await?;
    app.hub.mark(deleted.touched.iter().map(|trace_id| (workspace.to_owned(), *trace_id)));
    let known = match deleted.job {
        0 => None,
        job => app.store.job(job).await?,
    };
    Ok(known.map_or_else(
        || Job {
            id: (deleted.job > 0).then(|| deleted.job.to_string()),
            state: crate::view::job::JobState::Gone,
            created_ns: crate::view::Int64(at_ns),
            traces: deleted.traces,
            spans: deleted.spans,
            blanked_spans: deleted.blanked,
        },
        Job::from,
    ))
}
