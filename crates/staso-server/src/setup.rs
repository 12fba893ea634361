//! `GET /v1/setup/validate`: existing clients ask here whether their settings work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::ApiError;
use crate::params::{self, DEFAULT_WORKSPACE, Params};
use crate::view::receipt::SetupAnswer;

/// What a client says of itself. Existing clients send more than we read; it is not refused.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SetupParams {
    /// The workspace it will send to; `default` where it is missing.
    workspace_slug: Option<String>,
    /// What it will use, such as `tracing`.
    #[serde(rename = "target")]
    #[expect(dead_code, reason = "part of the contract, the same answer for every target")]
    target: Option<String>,
}

/// Says whether a client's settings work.
#[utoipa::path(get, path = "/v1/setup/validate", tag = "ingest", params(SetupParams),
    responses((status = 200, body = SetupAnswer),
              (status = 404, description = "no such workspace", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn validate(
    State(app): State<Arc<App>>,
    Params(params): Params<SetupParams>,
) -> Result<Json<SetupAnswer>, ApiError> {
    let slug = params::workspace(params.workspace_slug);
    let is_known = slug == DEFAULT_WORKSPACE
        || app.store.workspaces().await?.iter().any(|workspace| workspace.slug == slug);
    if !is_known {
        return Err(ApiError::not_found(format!("there is no workspace `{slug}` yet"))
            .hint("the first trace sent to it makes it"));
    }
    Ok(Json(SetupAnswer {
        status: "ok".to_owned(),
        plan_status: "active".to_owned(),
        backend_ready: !app.stop.is_cancelled(),
        guard_available: false,
        capabilities: ["traces:write", "traces:read", "annotations:write"].map(Into::into).into(),
        last_ingestion_at: last_ingestion(&app, &slug).await?,
        workspace_slug: slug,
    }))
}

/// When the newest of the latest traces was received, as ISO-8601.
async fn last_ingestion(app: &App, workspace: &str) -> Result<Option<String>, ApiError> {
    let query = crate::queries::newest(workspace, 50, app.clock.now_ns());
    let rows = app.store.traces(&query).await?.rows;
    let newest = rows.iter().map(|row| row.received_ns).max();
    Ok(newest
        .and_then(|ns| jiff::Timestamp::from_nanosecond(ns.into()).ok())
        .map(|t| t.to_string()))
}
