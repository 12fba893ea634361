//! What those who keep a server running ask of it: whether it can be used now, and its numbers.
//!
//! `GET /api/ready` looks into the store and says no while it cannot be read or the server is on its
//! way out. `GET /metrics` speaks OpenMetrics, which Prometheus reads: what was taken in and refused
//! since the start, what the store holds, and how full each queue is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use staso_store::{StoreError, StoreStats};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::error::ApiError;
use crate::view::health::Ready;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the server can be used now.
///
/// For the one who routes requests or waits for a start. A full disk does not make it unready: what
/// is stored can be read, and `writes` says what became of the last batch.
#[utoipa::path(get, path = "/api/ready", tag = "operations",
    responses(
        (status = 200, body = Ready),
        (status = 503, description = "stopping, or the store cannot be read; Retry-After says when to ask again",
         body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, ApiError> {
    if app.stop.is_cancelled() {
        return Err(ApiError::stopping());
    }
    app.store.stats().await.map_err(unreadable)?;
    let writes = if app.counters.is_disk_full() { "disk_full" } else { "ok" };
    Ok(Json(Ready { status: "ready".to_owned(), writes: writes.to_owned() }))
}

fn unreadable(error: StoreError) -> ApiError {
    if matches!(error, StoreError::Closed) {
        return ApiError::stopping();
    }
    tracing::error!(%error, "the store cannot be read");
    let message = format!("the store cannot be read: {error}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
        .hint("`staso doctor` checks the data directory")
        .retry_after(5)
}

/// The numbers of this run, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let stats = app.store.stats().await?;
    let mut registry = Registry::with_prefix("staso");
    registry.register_collector(Box::new(Numbers::of(&app, stats)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| {
        let message = format!("the numbers cannot be written: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            .hint("please report it")
    })?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// Everything that is told, as it stood when it was asked for.
#[derive(Debug)]
struct Numbers {
    counts: Vec<(&'static str, &'static str, u64)>,
    levels: Vec<(&'static str, &'static str, u64)>,
}

impl Numbers {
    fn of(app: &App, stats: StoreStats) -> Self {
        let mut levels = vec![
            ("start_time_seconds", "When this run began, Unix seconds", seconds(app.started_ns)),
            ("store_spans", "Spans in the store, newest versions only", stats.spans),
            ("store_traces", "Traces in the store", stats.traces),
            ("store_bytes", "Bytes of the store on disk", stats.bytes),
        ];
        levels.extend(app.store.gauges().iter().map(|it| (it.name, it.help, it.value)));
        levels.extend(queues(app));
        Self { counts: app.counters.told(), levels }
    }
}

fn seconds(ns: i64) -> u64 {
    u64::try_from(ns / 1_000_000_000).unwrap_or(0)
}

/// How full the server's own queues are, each beside its bound.
fn queues(app: &App) -> [(&'static str, &'static str, u64); 12] {
    let used = |all: usize, free: &Semaphore| all.saturating_sub(free.available_permits()) as u64;
    let bounds = &app.bounds;
    let inflight_kib = used(bounds.inflight_kib, &app.inflight_kib);
    [
        (
            "ingest_decoding_batches",
            "Batches being decoded; further ones wait",
            used(bounds.decoders, &app.decode_permits),
        ),
        (
            "ingest_decoding_limit_batches",
            "Batches that may be decoded at one time",
            bounds.decoders as u64,
        ),
        (
            "ingest_inflight_bytes",
            "Bytes of request bodies held in memory; at the limit senders are asked to wait",
            inflight_kib * 1024,
        ),
        (
            "ingest_inflight_limit_bytes",
            "Bytes of request bodies that may be held in memory",
            bounds.inflight_kib as u64 * 1024,
        ),
        ("live_listeners", "Open live views", used(bounds.live_listeners, &app.live_permits)),
        (
            "live_listeners_limit",
            "Live views that may be open at one time",
            bounds.live_listeners as u64,
        ),
        ("exports", "Exports under way", used(bounds.exports, &app.export_permits)),
        ("exports_limit", "Exports that may be under way at one time", bounds.exports as u64),
        ("searches", "Searches under way", used(bounds.searches, &app.search_permits)),
        ("searches_limit", "Searches that may be under way at one time", bounds.searches as u64),
        ("sql_queries", "Queries in SQL under way, a process each", app.sql.running()),
        (
            "sql_queries_limit",
            "Queries in SQL that may be under way at one time",
            app.sql.at_most(),
        ),
    ]
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for &(name, help, value) in &self.counts {
            tell(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        for &(name, help, value) in &self.levels {
            tell(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        Ok(())
    }
}

fn tell(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
