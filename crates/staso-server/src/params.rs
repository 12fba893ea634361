//! What may stand behind the question mark: parsing, defaults and refusals of query parameters.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use staso_model::{SpanId, TraceId};
use staso_store::query::Sort;
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;

/// The workspace of requests and spans that name none.
pub(crate) const DEFAULT_WORKSPACE: &str = "default";

/// The longest name of a workspace, in bytes.
const MAX_WORKSPACE_BYTES: usize = 200;

/// Query parameters whose refusal has the shape of every other refusal. An unknown parameter is
/// refused: a misspelt filter that silently filters nothing is worse than an error.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parsed: Result<Query<T>, QueryRejection> =
            Query::from_request_parts(parts, state).await;
        parsed.map(|Query(params)| Self(params)).map_err(|rejection| {
            ApiError::bad_request("bad_parameter", rejection.body_text())
                .hint("/api/openapi.json lists the parameters of every path")
        })
    }
}

/// The parts of a path, with refusals of the same shape.
pub(crate) struct PathParams<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parsed: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        let refused =
            |rejection: PathRejection| ApiError::bad_request("bad_path", rejection.body_text());
        parsed.map(|Path(params)| Self(params)).map_err(refused)
    }
}

/// The one workspace asked about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorkspaceParams {
    /// The workspace; `default` where it is missing.
    pub(crate) workspace: Option<String>,
}

impl WorkspaceParams {
    pub(crate) fn workspace(self) -> String {
        workspace(self.workspace)
    }
}

/// Parameters of one trace.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceParams {
    /// The workspace; `default` where it is missing.
    pub(crate) workspace: Option<String>,
    /// Whether inputs, outputs and events come along; they do where it is missing.
    pub(crate) payloads: Option<bool>,
}

/// Which traces, in which order, from where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// The workspace; `default` where it is missing.
    pub(crate) workspace: Option<String>,
    /// Only traces of this environment.
    pub(crate) environment: Option<String>,
    /// Only traces that began at this time or later: ISO-8601, or Unix nanoseconds.
    pub(crate) from: Option<String>,
    /// Only traces that began before this time.
    pub(crate) to: Option<String>,
    /// At most this many, 1 to 1000; 50 where it is missing.
    pub(crate) limit: Option<usize>,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// The order, the greatest first; `start` where it is missing.
    pub(crate) sort: Option<SortParam>,
    /// Only traces that match, such as `status:error agent:billing duration>2s "refund"`.
    pub(crate) filter: Option<String>,
    /// Only traces with a span that has this phrase in its texts, see `/api/search`.
    pub(crate) q: Option<String>,
}

/// Which field to count, over which traces.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FacetParams {
    /// The field: agent, version, environment, service, model, kind, status, state, user, session,
    /// tag, name or workspace.
    pub(crate) field: String,
    /// The workspace; `default` where it is missing.
    pub(crate) workspace: Option<String>,
    /// Only traces of this environment.
    pub(crate) environment: Option<String>,
    /// Only traces that began at this time or later: ISO-8601, or Unix nanoseconds.
    pub(crate) from: Option<String>,
    /// Only traces that began before this time.
    pub(crate) to: Option<String>,
    /// At most this many values, 1 to 1000; 50 where it is missing.
    pub(crate) limit: Option<usize>,
    /// Only traces that match.
    pub(crate) filter: Option<String>,
}

/// The value a list is ordered by.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SortParam {
    /// The start.
    Start,
    /// The duration.
    Duration,
    /// The cost.
    Cost,
    /// The tokens.
    Tokens,
    /// The number of spans.
    Spans,
}

impl From<SortParam> for Sort {
    fn from(sort: SortParam) -> Self {
        match sort {
            SortParam::Start => Self::Start,
            SortParam::Duration => Self::Duration,
            SortParam::Cost => Self::Cost,
            SortParam::Tokens => Self::Tokens,
            SortParam::Spans => Self::Spans,
        }
    }
}

/// The text of a parameter that is there and not empty.
pub(crate) fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// The workspace named, or the default.
pub(crate) fn workspace(named: Option<String>) -> String {
    named.filter(|slug| !slug.is_empty()).unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned())
}

/// A workspace that a writer names: not so long that it harms.
pub(crate) fn writable_workspace(named: Option<String>) -> Result<String, ApiError> {
    let slug = workspace(named);
    if slug.len() > MAX_WORKSPACE_BYTES {
        return Err(ApiError::bad_request("bad_workspace", "the workspace's name is too long")
            .hint(format!("use at most {MAX_WORKSPACE_BYTES} bytes")));
    }
    Ok(slug)
}

/// A page size.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, ApiError> {
    match asked.unwrap_or(50) {
        limit @ 1..=1000 => Ok(limit),
        other => Err(ApiError::bad_request("bad_parameter", format!("limit is {other}"))
            .hint("ask for 1 to 1000 rows and continue with the cursor")),
    }
}

/// A trace id in any text form.
pub(crate) fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(|_| bad_id("trace", text))
}

/// A span id in any text form.
pub(crate) fn span_id(text: &str) -> Result<SpanId, ApiError> {
    text.parse().map_err(|_| bad_id("span", text))
}

fn bad_id(what: &str, text: &str) -> ApiError {
    ApiError::bad_request("bad_id", format!("not a {what} id: {} characters", text.len()))
        .hint("ids are UUIDs, or 32 or 16 hex digits")
}

/// A time as ISO-8601 text or Unix nanoseconds.
pub(crate) fn time_ns(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let iso = || iso_8601(text);
    text.parse().ok().or_else(iso).map(Some).ok_or_else(|| {
        ApiError::bad_request("bad_parameter", format!("{name} is not a time"))
            .hint("write 2026-01-31T12:00:00Z, or Unix nanoseconds")
    })
}

/// ISO-8601 with or without an offset (then UTC), or a date alone.
fn iso_8601(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).ok();
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let time = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_promised_form() {
        let read = |text| time_ns("from", Some(text)).ok().flatten();
        assert_eq!(read("1767225600000000001"), Some(1_767_225_600_000_000_001));
        assert_eq!(read("2026-01-01T00:00:00Z"), Some(1_767_225_600_000_000_000));
        assert_eq!(read("2026-01-01T01:00:00+01:00"), Some(1_767_225_600_000_000_000));
        assert_eq!(read("2026-01-01T00:00:00.5"), Some(1_767_225_600_500_000_000));
        assert_eq!(read("2026-01-01"), Some(1_767_225_600_000_000_000));
        assert_eq!(read(""), None);
        assert!(time_ns("from", Some("yesterday")).is_err());
    }
}
