//! Agents and their versions, side by side.

use std::collections::BTreeMap;

use super::facts::{SpanFacts, TracesOf};
use super::measure::{GroupBy, Measure, Percentile};
use super::series::Amount;
use super::tally::{Tally, Wants};
use crate::error::StoreError;
use crate::matching::{MAX_LIMIT, bad_query};
use crate::query::Filter;
use crate::row::TraceRow;

/// The most agents times versions that are added up.
const MAX_VERSIONS: usize = 100_000;

/// Which agents, over which traces. Agents are told apart by name.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentsQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// Only traces of this environment.
    pub environment: Option<String>,
    /// Only runs, and only spans, with `from_ns <= start`.
    pub from_ns: Option<i64>,
    /// Only runs, and only spans, with `start < to_ns`.
    pub to_ns: Option<i64>,
    /// Only traces that match this.
    pub filter: Filter,
    /// The order; the greatest first, then by name.
    pub sort: AgentSort,
    /// At most this many agents, 1..=1000.
    pub limit: usize,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

/// What agents are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AgentSort {
    /// Runs.
    #[default]
    Runs,
    /// Runs in error.
    Errors,
    /// The 95th percentile of the runs' durations.
    Duration,
    /// Tokens.
    Tokens,
    /// Cost.
    Cost,
    /// The start of the latest run.
    Latest,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentsPage {
    /// In the query's order.
    pub rows: Vec<AgentRow>,
    /// How many agents were left out.
    pub omitted: u64,
}

/// One agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Over all its versions: a run of two versions is one run.
    pub figures: Figures,
    /// Those of each version, the one of the latest run first, then by version; `None` is what names
    /// no version.
    pub versions: Vec<VersionRow>,
}

/// One version of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    /// The version.
    pub version: Option<String>,
    /// What it did.
    pub figures: Figures,
}

/// What an agent did. A run is a trace in which a span names the agent (as the filter `agent:`
/// finds it), of whatever length and outcome; tokens and costs are those of the agent's own spans,
/// so that agents that call each other share runs but no costs. Weighed as metrics are.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Traces, weighed.
    pub runs: f64,
    /// Traces in error, weighed.
    pub errors: f64,
    /// The duration of ended traces, nanoseconds: half take at most this.
    pub duration_p50_ns: Option<i64>,
    /// Nineteen of twenty.
    pub duration_p95_ns: Option<i64>,
    /// Input tokens, weighed; `None` when no span knows.
    pub input_tokens: Option<i64>,
    /// Output tokens likewise.
    pub output_tokens: Option<i64>,
    /// All tokens likewise.
    pub total_tokens: Option<i64>,
    /// nano-USD likewise.
    pub cost_nano_usd: Option<i64>,
    /// Whether the cost of some model call is unknown.
    pub cost_incomplete: bool,
    /// The start of the latest run.
    pub latest_start_ns: Option<i64>,
}

const WANTS: Wants =
    Wants { run_durations: true, durations: false, users: false, conversations: false };

/// Checks what every engine must refuse in an agents query, but for the size of its filter.
pub(crate) fn check(query: &AgentsQuery) -> Result<(), StoreError> {
    if query.limit == 0 || query.limit > MAX_LIMIT {
        return Err(bad_query("the limit is out of range", format!("use 1 to {MAX_LIMIT}")));
    }
    Ok(())
}

#[derive(Debug, Clone, Default)]
struct Sums {
    tally: Tally,
    latest_start_ns: Option<i64>,
}

/// An agent's sums, and those of its versions.
type OfAgent = (Sums, BTreeMap<Option<String>, Sums>);

/// What agents did in some part of the time, apart from the query that asked for it.
#[derive(Debug, Clone, Default)]
pub struct AgentSums {
    agents: BTreeMap<String, OfAgent>,
    versions: usize,
}

impl AgentSums {
    /// Adds a trace.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many agents and versions.
    pub fn add_run(&mut self, row: &TraceRow) -> Result<(), StoreError> {
        let mut last = None;
        for (agent, version) in &row.agent_pairs {
            let (all, own) = self.sums(agent, version.as_deref())?;
            own.add_run(row);
            // Pairs are sorted: a second version of an agent is no second run of it.
            if last != Some(agent) {
                all.add_run(row);
            }
            last = Some(agent);
        }
        Ok(())
    }

    /// Adds the newest version of a span that was not dropped, if its trace is one that `traces` admits.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many agents and versions; those of `traces`.
    pub fn add_span(
        &mut self,
        span: &SpanFacts<'_>,
        traces: &mut TracesOf<'_>,
    ) -> Result<(), StoreError> {
        if !traces.admits(&span.trace_id)? {
            return Ok(());
        }
        let tokens = traces.tokens(span)?;
        let row = match span.is_silent(GroupBy::Agent) {
            true => traces.fields(&span.trace_id)?,
            false => None,
        };
        let (agent, version) = match &row {
            Some(row) => {
                (row.agent_name.as_deref(), span.agent_version.or(row.agent_version.as_deref()))
            }
            None => (span.agent_name, span.agent_version),
        };
        let Some(agent) = agent else { return Ok(()) };
        let (all, own) = self.sums(agent, version)?;
        all.tally.add_span(span, tokens, WANTS);
        own.tally.add_span(span, tokens, WANTS);
        Ok(())
    }

    /// Adds the sums of other traces and spans.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many agents and versions.
    pub fn merge(&mut self, other: &Self) -> Result<(), StoreError> {
        for (agent, (all, versions)) in &other.agents {
            for (version, sums) in versions {
                self.sums(agent, version.as_deref())?.1.merge(sums);
            }
            if let Some((own, _)) = self.agents.get_mut(agent) {
                own.merge(all);
            }
        }
        Ok(())
    }

    /// Takes as little room as it can: it is to be kept.
    pub fn shrink(&mut self) {
        for (all, versions) in self.agents.values_mut() {
            all.tally.shrink();
            versions.values_mut().for_each(|sums| sums.tally.shrink());
        }
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let of_version = |(version, sums): (&Option<String>, &Sums)| {
            size_of::<Option<String>>()
                + version.as_ref().map_or(0, String::len)
                + sums.tally.memory_bytes()
        };
        let of_agent = |(name, (all, versions)): (&String, &OfAgent)| {
            size_of::<OfAgent>()
                + name.len()
                + all.tally.memory_bytes()
                + versions.iter().map(of_version).sum::<usize>()
        };
        self.agents.iter().map(of_agent).sum()
    }

    /// The sums of an agent and of its version.
    fn sums(
        &mut self,
        agent: &str,
        version: Option<&str>,
    ) -> Result<(&mut Sums, &mut Sums), StoreError> {
        let key = version.map(str::to_owned);
        let (all, versions) = self.agents.entry(agent.to_owned()).or_default();
        if !versions.contains_key(&key) {
            self.versions += 1;
            if self.versions > MAX_VERSIONS {
                let hint = "ask for a shorter time or narrow the filter";
                return Err(bad_query("there are too many agents and versions to add up", hint));
            }
        }
        let own = versions.entry(key).or_default();
        Ok((all, own))
    }
}

/// The sums of a query under way.
pub struct Agents<'q> {
    query: &'q AgentsQuery,
    sums: AgentSums,
}

impl<'q> Agents<'q> {
    /// Nothing yet.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] for a limit out of range.
    pub fn new(query: &'q AgentsQuery) -> Result<Self, StoreError> {
        check(query)?;
        Ok(Self { query, sums: AgentSums::default() })
    }

    fn is_in_time(&self, start_ns: i64) -> bool {
        self.query.from_ns.is_none_or(|from_ns| from_ns <= start_ns)
            && self.query.to_ns.is_none_or(|to_ns| start_ns < to_ns)
    }

    /// Adds a trace that the query's filter and environment admit, whenever it began.
    ///
    /// # Errors
    /// Those of [`AgentSums::add_run`].
    pub fn add_run(&mut self, row: &TraceRow) -> Result<(), StoreError> {
        if self.is_in_time(row.start_ns) { self.sums.add_run(row) } else { Ok(()) }
    }

    /// Adds the newest version of a span that was not dropped, whenever it began.
    ///
    /// # Errors
    /// Those of [`AgentSums::add_span`].
    pub fn add_span(
        &mut self,
        span: &SpanFacts<'_>,
        traces: &mut TracesOf<'_>,
    ) -> Result<(), StoreError> {
        if self.is_in_time(span.start_ns) { self.sums.add_span(span, traces) } else { Ok(()) }
    }

    /// Adds what agents did in a part of the query's time, as if it came one by one.
    ///
    /// # Errors
    /// Those of [`AgentSums::merge`].
    pub fn add_part(&mut self, part: &AgentSums) -> Result<(), StoreError> {
        self.sums.merge(part)
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> AgentsPage {
        let sort = self.query.sort;
        let row = |(name, (mut all, versions)): (String, (Sums, BTreeMap<_, Sums>))| {
            let versions = versions.into_iter();
            let mut versions: Vec<VersionRow> = versions
                .map(|(version, mut sums)| VersionRow { version, figures: sums.figures() })
                .collect();
            versions.sort_by_key(|row| std::cmp::Reverse(row.figures.latest_start_ns));
            AgentRow { name, figures: all.figures(), versions }
        };
        let mut rows: Vec<AgentRow> = self.sums.agents.into_iter().map(row).collect();
        // A stable sort of rows by name.
        rows.sort_by(|a, b| b.figures.rank(sort).total_cmp(&a.figures.rank(sort)));
        let omitted = rows.len().saturating_sub(self.query.limit) as u64;
        rows.truncate(self.query.limit);
        AgentsPage { rows, omitted }
    }
}

impl Sums {
    fn add_run(&mut self, row: &TraceRow) {
        self.tally.add_run(row, WANTS);
        self.latest_start_ns = self.latest_start_ns.max(Some(row.start_ns));
    }

    fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally, |word| word);
        self.latest_start_ns = self.latest_start_ns.max(other.latest_start_ns);
    }

    fn figures(&mut self) -> Figures {
        let mut whole = |measure| match self.tally.amount(measure) {
            Some(Amount::Whole(whole)) => Some(whole),
            _ => None,
        };
        let [duration_p50_ns, duration_p95_ns] =
            [Percentile::P50, Percentile::P95].map(|p| whole(Measure::RunDuration(p)));
        let [input_tokens, output_tokens, total_tokens, cost_nano_usd] =
            [Measure::InputTokens, Measure::OutputTokens, Measure::Tokens, Measure::Cost]
                .map(whole);
        let mut count = |measure| match self.tally.amount(measure) {
            Some(Amount::Count(count)) => count,
            _ => 0.0,
        };
        Figures {
            runs: count(Measure::Runs),
            errors: count(Measure::RunErrors),
            duration_p50_ns,
            duration_p95_ns,
            input_tokens,
            output_tokens,
            total_tokens,
            cost_nano_usd,
            cost_incomplete: self.tally.is_cost_incomplete(),
            latest_start_ns: self.latest_start_ns,
        }
    }
}

impl Figures {
    fn rank(&self, sort: AgentSort) -> f64 {
        let whole = |value: Option<i64>| value.map_or(f64::NEG_INFINITY, |value| value as f64);
        match sort {
            AgentSort::Runs => self.runs,
            AgentSort::Errors => self.errors,
            AgentSort::Duration => whole(self.duration_p95_ns),
            AgentSort::Tokens => whole(self.total_tokens),
            AgentSort::Cost => whole(self.cost_nano_usd),
            AgentSort::Latest => whole(self.latest_start_ns),
        }
    }
}
