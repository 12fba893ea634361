//! `GET /api/metrics`: measures over time. What counts where is said in the store's contract.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use staso_store::metrics::{GroupBy, Measure, MetricsQuery};
use utoipa::IntoParams;

use crate::app::App;
use crate::error::ApiError;
use crate::intervals::{self, Interval};
use crate::params::{self, Params, said};
use crate::queries::filter;
use crate::view::metrics::MetricsAnswer;

/// What is shown where nobody says from when: the last day.
const DEFAULT_NS: i64 = 86_400_000_000_000;
const DEFAULT_GROUPS: usize = 20;

/// What is measured, by what, when and of which traces.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsParams {
    /// What is measured, with commas between. Of traces: `runs`, `run_errors`,
    /// `run_duration_p50|p90|p95|p99`; of spans: `spans`, `errors`, `duration_p50|p90|p95|p99`,
    /// `input_tokens`, `output_tokens`, `tokens`, `cost`, `users`, `conversations`. `runs` where it is
    /// missing. The first decides which groups are the greatest.
    measure: Option<String>,
    /// By what: `agent`, `version`, `model`, `provider`, `kind`, `status`, `name`, `environment`,
    /// `service`, `user` or `session`; one group of everything where it is missing.
    group_by: Option<String>,
    /// How long a bucket is: `10s`, `1m`, `5m`, `15m`, `30m`, `1h`, `2h`, `3h`, `6h`, `12h`, `1d`, `1w`,
    /// `1mo`, `none` for one bucket, or `auto`, which stays below 200 buckets; `auto` where it is missing.
    interval: Option<String>,
    /// The time zone in which days, weeks and months begin: a name such as `Europe/Paris`, or an offset
    /// such as `+02:00`; UTC where it is missing.
    tz: Option<String>,
    /// The workspace; `default` where it is missing.
    workspace: Option<String>,
    /// Only traces of this environment.
    environment: Option<String>,
    /// Only what began at this time or later: ISO-8601, or Unix nanoseconds; a day before `to` where it
    /// is missing.
    from: Option<String>,
    /// Only what began before this time; now where it is missing.
    to: Option<String>,
    /// At most this many groups, 1 to 200; 20 where it is missing.
    limit: Option<usize>,
    /// Only traces that match, such as `status:error agent:billing`. All spans of these traces count.
    filter: Option<String>,
}

/// Measures over time.
#[utoipa::path(get, path = "/api/metrics", tag = "sums", params(MetricsParams),
    responses((status = 200, body = MetricsAnswer),
              (status = 400, description = "a parameter makes no sense", body = crate::view::refusal::ErrorBody)))]
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    Params(params): Params<MetricsParams>,
) -> Result<Json<MetricsAnswer>, ApiError> {
    let now_ns = app.clock.now_ns();
    let (from_ns, to_ns) = bounds(params.from.as_deref(), params.to.as_deref(), now_ns)?;
    let interval = Interval::read(said(params.interval.as_deref()), from_ns, to_ns)?;
    let (zone, tz) = intervals::zone(said(params.tz.as_deref()))?;
    let query = MetricsQuery {
        workspace: params::workspace(params.workspace),
        environment: params.environment.filter(|text| !text.is_empty()),
        filter: filter(params.filter.as_deref())?,
        edges: interval.edges(from_ns, to_ns, &zone)?,
        measures: measures(said(params.measure.as_deref()).unwrap_or("runs"))?,
        group_by: said(params.group_by.as_deref()).map(group_by).transpose()?,
        limit: params.limit.unwrap_or(DEFAULT_GROUPS),
        now_ns,
    };
    let series = app.store.metrics(&query).await?;
    Ok(Json(MetricsAnswer::new(&query, series, interval.as_str(), tz)))
}

fn bounds(from: Option<&str>, to: Option<&str>, now_ns: i64) -> Result<(i64, i64), ApiError> {
    let to_ns = params::time_ns("to", to)?.unwrap_or(now_ns);
    let from_ns = params::time_ns("from", from)?.unwrap_or(to_ns.saturating_sub(DEFAULT_NS));
    if from_ns >= to_ns {
        return Err(ApiError::bad_request("bad_parameter", "from is not before to")
            .hint("from counts itself, to does not; without them it is the last day"));
    }
    Ok((from_ns, to_ns))
}

fn measures(words: &str) -> Result<Vec<Measure>, ApiError> {
    let mut measures = Vec::new();
    for word in words.split(',').map(str::trim) {
        let measure = Measure::parse(word).ok_or_else(|| {
            let known: Vec<&str> = Measure::all().map(Measure::as_str).collect();
            ApiError::bad_request("bad_parameter", "there is no such measure")
                .hint(format!("one or more of {}, with commas between", known.join(", ")))
        })?;
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    Ok(measures)
}

fn group_by(word: &str) -> Result<GroupBy, ApiError> {
    GroupBy::parse(word).ok_or_else(|| {
        let known: Vec<&str> = GroupBy::all().map(GroupBy::as_str).collect();
        ApiError::bad_request("bad_parameter", "there is nothing such to group by")
            .hint(format!("one of {}", known.join(", ")))
    })
}
