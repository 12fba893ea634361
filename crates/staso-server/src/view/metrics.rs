//! Measures over time, as columns that a chart can draw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use staso_store::metrics::{self, Amount, Measure, MetricsQuery, Series};
use utoipa::ToSchema;

use super::Int64;

/// Measures over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsAnswer {
    /// The interval that was used.
    pub interval: String,
    /// The time zone in which its buckets were drawn.
    pub tz: String,
    /// Where the first bucket begins, Unix nanoseconds.
    pub from_ns: Int64,
    /// Where the last bucket ends.
    pub to_ns: Int64,
    /// Where each bucket begins; the first and the last may be shorter than the interval.
    pub starts_ns: Vec<Int64>,
    /// What is measured, as asked for.
    pub measures: Vec<String>,
    /// The greatest first, by the first measure over the whole time. Without `group_by` there is one.
    pub groups: Vec<MetricsGroup>,
    /// How many groups were left out.
    pub groups_omitted: u64,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsGroup {
    /// What its members have in common; null where they have no such value, or nothing is grouped.
    #[schema(required = true)]
    pub value: Option<String>,
    /// Each measure over the whole time at once. Percentiles and distinct users cannot be added up from
    /// buckets.
    pub whole: BTreeMap<String, MeasureValue>,
    /// Whether the cost of some model call is unknown, so that the cost is a lower bound.
    pub cost_incomplete: bool,
    /// Each measure by bucket.
    pub series: BTreeMap<String, Vec<MeasureValue>>,
    /// The same by bucket.
    pub series_cost_incomplete: Vec<bool>,
}

/// What a measure came to: counts and tokens are numbers (counts of sampled traces need not be whole);
/// costs in billionths of a US dollar and durations in nanoseconds are text, because they can pass
/// 2^53. Null where nothing has the value: unknown is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MeasureValue {
    /// Nanoseconds, billionths of a US dollar.
    Text(Int64),
    /// Tokens.
    Whole(i64),
    /// Traces, spans, users, conversations.
    Count(f64),
    /// Null: nothing has the value.
    Unknown,
}

impl MeasureValue {
    fn of(measure: Measure, amount: Amount) -> Self {
        match (measure, amount) {
            (_, Amount::Count(count)) => Self::Count(count),
            (
                Measure::Cost | Measure::Duration(_) | Measure::RunDuration(_),
                Amount::Whole(whole),
            ) => Self::Text(Int64(whole)),
            (_, Amount::Whole(whole)) => Self::Whole(whole),
        }
    }
}

impl MetricsAnswer {
    pub(crate) fn new(query: &MetricsQuery, series: Series, interval: &str, tz: String) -> Self {
        let measures = &query.measures;
        let group = |group: metrics::Group| MetricsGroup {
            whole: by_measure(measures, |i| value(measures, i, group.whole.amounts[i])),
            cost_incomplete: group.whole.cost_incomplete,
            series: by_measure(measures, |i| {
                group.points.iter().map(|point| value(measures, i, point.amounts[i])).collect()
            }),
            series_cost_incomplete: group.points.iter().map(|p| p.cost_incomplete).collect(),
            value: group.value,
        };
        Self {
            interval: interval.to_owned(),
            tz,
            from_ns: Int64(query.from_ns()),
            to_ns: Int64(query.to_ns()),
            starts_ns: series.starts_ns.into_iter().map(Int64).collect(),
            measures: measures.iter().map(|measure| measure.as_str().to_owned()).collect(),
            groups: series.groups.into_iter().map(group).collect(),
            groups_omitted: series.omitted,
        }
    }
}

fn by_measure<T>(measures: &[Measure], of: impl Fn(usize) -> T) -> BTreeMap<String, T> {
    measures.iter().enumerate().map(|(i, measure)| (measure.as_str().to_owned(), of(i))).collect()
}

fn value(measures: &[Measure], i: usize, amount: Option<Amount>) -> MeasureValue {
    amount.map_or(MeasureValue::Unknown, |amount| MeasureValue::of(measures[i], amount))
}
