//! Numbers over time: what is measured, by what it is grouped, and how every engine adds it up.
//!
//! A [`MetricsQuery`] is measures × one group × a filter × buckets of time. Its answer is defined here
//! and added up in one place ([`Tallies`]); an engine only brings the rows of traces and the narrow
//! part of spans ([`SpanFacts`]), in any order.
//!
//! # What counts where
//! * A **run** is a trace. It counts in the bucket of its row's start, in each group that its row
//!   names (every agent, model, tag that takes part), as a facet counts it.
//! * A **span** counts in the bucket of its own start, wherever its trace began, in the group that it
//!   names itself. Where it names no agent, environment, service, conversation or user, it counts to
//!   its trace's. What neither names is the group without a value.
//! * The filter and the environment choose **traces**, exactly as the list does; the spans counted
//!   are those of these traces.
//! * Dropped spans count nowhere. Open spans count, but have no duration yet. Of each span the newest
//!   version counts, once.
//! * Tokens that are a trace's own totals ([`staso_model::Usage::is_of_trace`]) count where no span of
//!   the trace counted any, as in its row.
//!
//! # Weights
//! A trace that was kept with probability `p` stands for `1/p` traces: a run weighs one over its
//! root's sample rate, a span (its tokens, cost, duration) one over its own. Weights are fixed-point
//! numbers ([`Weight`]), so that no sum depends on the order of adding. Distinct users and
//! conversations are those that were stored, unweighed.

mod agents;
mod distribution;
mod facts;
mod measure;
mod series;
mod tally;
mod weight;

pub use agents::{
    AgentRow, AgentSort, AgentSums, Agents, AgentsPage, AgentsQuery, Figures, VersionRow,
};
pub use distribution::Distribution;
pub use facts::{SpanFacts, Traces, TracesOf};
pub use measure::{GroupBy, Measure, Percentile};
pub use series::{Amount, BucketSums, Group, Point, Series, Tallies};
pub use weight::Weight;

use crate::error::StoreError;
use crate::matching::bad_query;
use crate::query::Filter;

/// The most buckets one answer may have.
pub const MAX_BUCKETS: usize = 1_500;
/// The most measures one query may ask for.
pub const MAX_MEASURES: usize = 12;
/// The most groups one answer may have.
pub const MAX_GROUPS: usize = 200;
/// The most groups times buckets that are added up before the greatest groups are chosen.
pub const MAX_CELLS: usize = 300_000;
/// The most distinct users or conversations that are told apart: each counts once in every cell that it is
/// in, and once more for its text.
pub const MAX_DISTINCT: usize = 4_000_000;

/// Measures over time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// Only traces of this environment.
    pub environment: Option<String>,
    /// Only traces that match this.
    pub filter: Filter,
    /// The ends of the buckets, Unix nanoseconds, ascending: bucket `i` is `edges[i] <= start <
    /// edges[i + 1]`. Whoever asks draws them, in the time zone of whom the answer is for; days may
    /// be 23 or 25 hours long.
    pub edges: Vec<i64>,
    /// What is measured. The first one decides which groups are the greatest.
    pub measures: Vec<Measure>,
    /// By what; `None`: one group of everything.
    pub group_by: Option<GroupBy>,
    /// At most this many groups, 1..=[`MAX_GROUPS`].
    pub limit: usize,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

impl MetricsQuery {
    /// The start of the first bucket.
    #[must_use]
    pub fn from_ns(&self) -> i64 {
        self.edges.first().copied().unwrap_or(i64::MAX)
    }

    /// The end of the last bucket.
    #[must_use]
    pub fn to_ns(&self) -> i64 {
        self.edges.last().copied().unwrap_or(i64::MIN)
    }

    /// Whether any measure is of traces, so that rows must be read.
    #[must_use]
    pub fn wants_runs(&self) -> bool {
        self.measures.iter().any(|measure| measure.is_of_runs())
    }

    /// Whether any measure is of spans.
    #[must_use]
    pub fn wants_spans(&self) -> bool {
        self.measures.iter().any(|measure| !measure.is_of_runs())
    }
}

/// Checks what every engine must refuse in a metrics query, but for the size of its filter.
///
/// # Errors
/// [`StoreError::BadQuery`].
pub fn check_metrics(query: &MetricsQuery) -> Result<(), StoreError> {
    let buckets = query.edges.len().saturating_sub(1);
    if buckets == 0 || !query.edges.is_sorted_by(|a, b| a < b) {
        return Err(bad_query("the time range is empty", "ask for an end after the start"));
    }
    if buckets > MAX_BUCKETS {
        let hint = format!("at most {MAX_BUCKETS}: ask for a longer interval or a shorter time");
        return Err(bad_query("there are too many intervals in the time range", hint));
    }
    if query.measures.is_empty() || query.measures.len() > MAX_MEASURES {
        let hint = format!("ask for 1 to {MAX_MEASURES} measures");
        return Err(bad_query("the number of measures is out of range", hint));
    }
    if query.limit == 0 || query.limit > MAX_GROUPS {
        let hint = format!("use 1 to {MAX_GROUPS}");
        return Err(bad_query("the number of groups is out of range", hint));
    }
    if query.wants_runs() && query.group_by.is_some_and(|by| !by.is_of_runs()) {
        let hint = "leave out the measures of runs, or group by something else";
        return Err(bad_query("runs cannot be grouped by what only spans have", hint));
    }
    Ok(())
}
