//! `GET /api/agents`: agents and their versions side by side.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use staso_store::metrics::{AgentSort, AgentsQuery};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::ApiError;
use crate::params::{self, Params};
use crate::queries::filter;
use crate::view::agents::AgentList;

/// Which agents, over which traces.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AgentsParams {
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// Only traces of this environment.
    environment: Option<String>,
    /// Only runs, and only spans, that began at this time or later: ISO-8601, or Unix nanoseconds.
    from: Option<String>,
    /// Only those that began before this time.
    to: Option<String>,
    /// The order, the greatest first; `runs` where it is missing.
    sort: Option<AgentSortParam>,
    /// At most this many agents, 1 to 1000; 50 where it is missing.
    limit: Option<usize>,
    /// Only traces that match, such as `status:error`.
    filter: Option<String>,
}

/// The value agents are ordered by.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgentSortParam {
    /// Runs.
    Runs,
    /// Runs in error.
    Errors,
    /// The 95th percentile of the runs' durations.
    Duration,
    /// Tokens.
    Tokens,
    /// Cost.
    Cost,
    /// The latest run.
    Latest,
}

impl From<AgentSortParam> for AgentSort {
    fn from(sort: AgentSortParam) -> Self {
        match sort {
            AgentSortParam::Runs => Self::Runs,
            AgentSortParam::Errors => Self::Errors,
            AgentSortParam::Duration => Self::Duration,
            AgentSortParam::Tokens => Self::Tokens,
            AgentSortParam::Cost => Self::Cost,
            AgentSortParam::Latest => Self::Latest,
        }
    }
}

/// Agents and their versions.
#[utoipa::path(get, path = "/api/agents", tag = "sums", params(AgentsParams),
    responses((status = 200, body = AgentList),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn agents(
    State(app): State<Arc<App>>,
    Params(params): Params<AgentsParams>,
) -> Result<Json<AgentList>, ApiError> {
    let query = AgentsQuery {
        workspace: params::workspace(params.workspace),
        environment: params.environment.filter(|text| !text.is_empty()),
        from_ns: params::time_ns("from", params.from.as_deref())?,
        to_ns: params::time_ns("to", params.to.as_deref())?,
        filter: filter(params.filter.as_deref())?,
        sort: params.sort.map_or(AgentSort::Runs, AgentSort::from),
        limit: params::limit(params.limit)?,
        now_ns: app.clock.now_ns(),
    };
    let page = app.store.agents(&query).await?;
    Ok(Json(AgentList {
        agents: page.rows.into_iter().map(Into::into).collect(),
        agents_omitted: page.omitted,
    }))
}
