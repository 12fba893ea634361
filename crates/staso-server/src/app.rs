//! What every request shares, and the map from paths to the functions that answer them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use staso_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};

use crate::access::{self, AccessRules};
use crate::clock::Clock;
use crate::config::{Limits, Retaining};
use crate::counters::Counters;
use crate::error::ApiError;
use crate::homeless::Awaited;
use crate::live::{self, Hub};
use crate::sql::{self, Sql};
use crate::{
    agents, annotations, body, conversations, dashboard, deletion, export, ingest, metrics,
    openapi, operations, queries, search, setup,
};

/// What this server understands beyond the contract of existing clients; they wait for this
/// header before they use any of it.
pub const CAPABILITIES: &[&str] =
    &["values", "ns-times", "events", "annotations", "processes", "zstd"];

const CAPABILITIES_HEADER: HeaderName = HeaderName::from_static("staso-capabilities");

/// The greatest body of a request that is not ingest.
const SMALL_BODY_BYTES: usize = 1 << 20;

/// Smaller answers are sent as they are.
const COMPRESS_ABOVE_BYTES: u64 = 1024;

/// What every request shares.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) rules: AccessRules,
    pub(crate) hub: Hub,
    pub(crate) counters: Counters,
    /// Traces that were annotated before they arrived.
    pub(crate) awaited: Awaited,
    /// How long a process may be silent before its open spans are given up.
    pub(crate) lost_after: Duration,
    /// What workspaces keep.
    pub(crate) retaining: Retaining,
    /// Cancelled when the server begins to stop.
    pub(crate) stop: CancellationToken,
    /// The version sequence of the next span.
    pub(crate) sequence: AtomicU64,
    /// Bodies decoded at one time.
    pub(crate) decode_permits: Arc<Semaphore>,
    /// KiB of bodies held at one time.
    pub(crate) inflight_kib: Arc<Semaphore>,
    /// Live listeners at one time.
    pub(crate) live_permits: Arc<Semaphore>,
    /// Exports at one time.
    pub(crate) export_permits: Arc<Semaphore>,
    /// Searches at one time.
    pub(crate) search_permits: Arc<Semaphore>,
    /// How many permits each of the above has.
    pub(crate) bounds: Bounds,
    pub(crate) sql: Sql,
    pub(crate) started_ns: i64,
}

/// How much of what is bounded there is in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) decoders: usize,
    pub(crate) inflight_kib: usize,
    pub(crate) live_listeners: usize,
    pub(crate) exports: usize,
    pub(crate) searches: usize,
}

/// The whole server as one function from request to response.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(writes())
        .merge(reads())
        .route("/v1/traces", any(otlp_is_not_here))
        .fallback(dashboard::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(compression())
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Answers are compressed for who accepts that, where it pays: a small one is as fast plain, pictures
/// and fonts are packed already, and an event of the live tail or a hit must not wait for more to come. The
/// fastest level leaves a skeleton a twentieth larger than the default one and costs a fraction.
fn compression() -> CompressionLayer<impl Predicate> {
    let pays = SizeAbove::new(COMPRESS_ABOVE_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new(search::NDJSON))
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("font/"));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(pays)
}

fn writes() -> Router<Arc<App>> {
    let small = DefaultBodyLimit::max(SMALL_BODY_BYTES);
    let notes = get(annotations::list).post(annotations::create);
    Router::new()
        .route("/v1/traces/ingest", post(ingest::ingest))
        .route("/v1/traces/{trace_id}/annotations", notes.layer(small))
        .route("/v1/annotations/{id}", delete(annotations::remove))
}

fn reads() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/setup/validate", get(setup::validate))
        .route("/api/health", get(queries::health))
        .route("/api/ready", get(operations::ready))
        .route("/api/export", get(export::export))
        .route("/metrics", get(operations::metrics))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/workspaces", get(queries::workspaces))
        .route("/api/facets", get(queries::facets))
        .route("/api/traces", get(queries::traces))
        .route("/api/traces/{trace_id}", get(queries::trace).delete(deletion::trace))
        .route("/api/data", delete(deletion::data))
        .route("/api/jobs/{id}", get(deletion::job))
        .route("/api/traces/{trace_id}/skeleton", get(queries::skeleton))
        .route("/api/spans/{trace_id}/{span_id}", get(queries::span))
        .route("/api/search", get(search::search))
        .route("/api/metrics", get(metrics::metrics))
        .route("/api/agents", get(agents::agents))
        .route("/api/sessions", get(conversations::list))
        .route("/api/sessions/{session_id}", get(conversations::one))
        .route("/api/live", get(live::live))
        .route("/api/sql", post(sql::sql).layer(DefaultBodyLimit::max(SMALL_BODY_BYTES)))
}

/// Stands in front of every path: lets in only who may come in, and signs every answer.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let is_preflight = request.method() == Method::OPTIONS && origin.is_some();
    let mut response = match access::check(&app.rules, request.uri(), request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) if is_preflight => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => next.run(request.map(|inner| body::until_stop(inner, &app.stop))).await,
    };
    let listed = origin.filter(|origin| {
        origin.to_str().is_ok_and(|origin| access::is_allowed_origin(&app.rules, origin))
    });
    sign(&mut response, listed);
    response
}

fn sign(response: &mut Response, listed_origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    if let Ok(words) = HeaderValue::from_str(&CAPABILITIES.join(" ")) {
        headers.insert(CAPABILITIES_HEADER, words);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = listed_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, DELETE"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("content-type, x-api-key, idempotency-key, last-event-id"),
        );
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
    }
}

async fn otlp_is_not_here() -> ApiError {
    ApiError::not_found("OpenTelemetry (OTLP) is not in this build yet")
        .hint("the native path is POST /v1/traces/ingest")
}

async fn method_not_allowed(request: Request) -> ApiError {
    let message = format!("{} is not a method of {}", request.method(), request.uri().path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .hint("/api/openapi.json lists the methods of every path")
}
