//! The description of the API, made from the code that answers it.
//!
//! `staso openapi` prints it, `api/openapi.json` keeps it, the dashboard's types come from it.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;

use crate::view::{annotation, change, search as found, skeleton, span, trace};
use crate::{
    agents, annotations, conversations, deletion, export, ingest, live, metrics, operations,
    params, queries, search, setup, sql,
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
        search::search,
        metrics::metrics,
        agents::agents,
        conversations::list,
        conversations::one,
        deletion::trace,
        deletion::data,
        deletion::job,
        live::stream::live,
        export::export,
        operations::ready,
        operations::metrics,
        sql::sql,
    ),
    components(schemas(
        trace::TraceRow,
        span::Span,
        skeleton::Skeleton,
        annotation::Annotation,
        change::LiveChange,
        found::SearchLine,
        params::SortParam,
        export::ExportFormat,
        agents::AgentSortParam,
    )),
    tags(
        (name = "ingest", description = "what clients send"),
        (name = "annotations", description = "scores and labels"),
        (name = "query", description = "what was recorded"),
        (name = "sums", description = "what it comes to"),
        (name = "deletion", description = "what is to be forgotten"),
        (name = "live", description = "what happens now"),
        (name = "operations", description = "how the server fares"),
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
