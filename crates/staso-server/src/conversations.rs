//! `GET /api/sessions` and `/api/sessions/{id}`: conversations and their turns.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use staso_model::TraceId;
use staso_store::conversations::{ConversationCursor, ConversationsQuery, TurnsQuery};
use staso_store::query::{Cursor, CursorError, Sort};
use utoipa::IntoParams;

use crate::app::App;
use crate::error::ApiError;
use crate::params::{self, Params, PathParams, said};
use crate::queries::filter;
use crate::view::Int64;
use crate::view::conversations::{Session, SessionList, SessionTurns};
use crate::view::trace::TraceRow;

/// Which conversations, from where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionsParams {
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// Only turns of this environment.
    environment: Option<String>,
    /// Only turns that began at this time or later: ISO-8601, or Unix nanoseconds.
    from: Option<String>,
    /// Only turns that began before this time.
    to: Option<String>,
    /// At most this many conversations, 1 to 1000; 50 where it is missing.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only turns that match, such as `user:ann status:error`; a conversation is shown as far as its
    /// turns match.
    filter: Option<String>,
}

/// Which turns of a conversation.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TurnsParams {
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// At most this many turns, 1 to 1000; 50 where it is missing.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Conversations, the one with the latest turn first.
#[utoipa::path(get, path = "/api/sessions", tag = "sums", params(SessionsParams),
    responses((status = 200, body = SessionList),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<SessionsParams>,
) -> Result<Json<SessionList>, ApiError> {
    let after: Option<ConversationCursor> =
        said(params.cursor.as_deref()).map(str::parse).transpose().map_err(bad_cursor)?;
    let query = ConversationsQuery {
        workspace: params::workspace(params.workspace),
        environment: params.environment.filter(|text| !text.is_empty()),
        from_ns: params::time_ns("from", params.from.as_deref())?,
        to_ns: params::time_ns("to", params.to.as_deref())?,
        filter: filter(params.filter.as_deref())?,
        after,
        limit: params::limit(params.limit)?,
        now_ns: app.clock.now_ns(),
    };
    let page = app.store.conversations(&query).await?;
    Ok(Json(SessionList {
        sessions: page.rows.into_iter().map(Session::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        now_ns: Int64(query.now_ns),
    }))
}

/// One conversation and its turns, oldest first.
#[utoipa::path(get, path = "/api/sessions/{session_id}", tag = "sums",
    params(("session_id" = String, Path), TurnsParams),
    responses((status = 200, body = SessionTurns),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody),
              (status = 404, description = "not known", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    PathParams(session_id): PathParams<String>,
    Params(params): Params<TurnsParams>,
) -> Result<Json<SessionTurns>, ApiError> {
    let query = TurnsQuery {
        workspace: params::workspace(params.workspace),
        session_id,
        after: said(params.cursor.as_deref()).map(turn).transpose()?,
        limit: params::limit(params.limit)?,
        now_ns: app.clock.now_ns(),
    };
    let Some(found) = app.store.conversation(&query).await? else {
        let workspace = &query.workspace;
        let message = format!("no conversation of this id in the workspace `{workspace}`");
        return Err(ApiError::not_found(message)
            .hint("ids are compared letter for letter; it may belong to another workspace"));
    };
    let cursor = |(start_ns, trace_id)| {
        Cursor { sort: Sort::Start, value: Some(start_ns), trace_id }.to_string()
    };
    Ok(Json(SessionTurns {
        session: found.conversation.into(),
        turns: found.rows.iter().map(TraceRow::from).collect(),
        next_cursor: found.next.map(cursor),
        now_ns: Int64(query.now_ns),
    }))
}

/// The place of a turn: a cursor of the list of traces by start.
fn turn(text: &str) -> Result<(i64, TraceId), ApiError> {
    match text.parse().map_err(bad_cursor)? {
        Cursor { sort: Sort::Start, value: Some(start_ns), trace_id } => Ok((start_ns, trace_id)),
        _ => Err(bad_cursor(CursorError)),
    }
}

fn bad_cursor(error: CursorError) -> ApiError {
    ApiError::bad_request("bad_cursor", error.to_string())
        .hint("start without a cursor, then send `next_cursor` as it came")
}
