//! The description of the API, made from the code that answers it.
//!
//! `staso openapi` prints it, `api/openapi.json` keeps it, the dashboard's types come from it.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;

use crate::view::{annotation, change, skeleton, span, trace};
use crate::{
    agents, annotations, conversations, ingest, live, metrics, params, queries, setup, sql,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Staso",
        description = "Record what agents do, and ask about it. Integers that can pass 2^53 are strings.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        ingest::ingest,
        annotations::create,
        annotations::list,
        annotations::remove,
        setup::validate,
        queries::health,
        queries::workspaces,
        queries::facets,
        queries::traces,
        queries::trace,
        queries::skeleton,
        queries::span,
        metrics::metrics,
        agents::agents,
        conversations::list,
        conversations::one,
        live::stream::live,
        sql::sql,
    ),
    components(schemas(
        trace::TraceRow,
        span::Span,
        skeleton::Skeleton,
        annotation::Annotation,
        change::LiveChange,
        params::SortParam,
        agents::AgentSortParam,
    )),
    tags(
        (name = "ingest", description = "what clients send"),
        (name = "annotations", description = "scores and labels"),
        (name = "query", description = "what was recorded"),
        (name = "sums", description = "what it comes to"),
        (name = "live", description = "what happens now"),
    )
)]
struct Description;

/// The description as pretty JSON, ending in a newline.
///
/// # Errors
/// When the description cannot be written as JSON, which would be a fault of this crate.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    let mut text = Description::openapi().to_pretty_json()?;
    text.push('\n');
    Ok(text)
}

/// `GET /api/openapi.json`
pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json().unwrap_or_default())
}
