//! Metrics, agents and conversations of the memory store: everything is looked at.

use staso_model::{Span, SpanId, TraceId};

use super::{State, TraceKey};
use crate::conversations::{
    ConversationPage, Conversations, ConversationsQuery, Turns, TurnsQuery, check_limit, turns,
};
use crate::error::StoreError;
use crate::matching::Matcher;
use crate::metrics::{
    Agents, AgentsPage, AgentsQuery, MetricsQuery, Series, SpanFacts, Tallies, Traces, TracesOf,
    check_metrics,
};
use crate::query::{Filter, Sort, TraceQuery};
use crate::rollup::{Rollup, SpanSummary};
use crate::row::TraceRow;

/// The traces of a query, however long ago they began.
struct Scope<'a> {
    state: &'a State,
    query: TraceQuery,
    matcher: Matcher,
}

/// The list query of a scope without bounds of time.
fn list(workspace: &str, environment: Option<&String>, filter: &Filter, now_ns: i64) -> TraceQuery {
    TraceQuery {
        workspace: workspace.to_owned(),
        environment: environment.cloned(),
        from_ns: None,
        to_ns: None,
        filter: filter.clone(),
        sort: Sort::Start,
        after: None,
        limit: 1,
        now_ns,
    }
}

impl<'a> Scope<'a> {
    fn new(state: &'a State, query: TraceQuery) -> Result<Self, StoreError> {
        Ok(Self { state, matcher: Matcher::new(&query.filter)?, query })
    }

    fn spans(&self, trace_id: &TraceId) -> impl Iterator<Item = &'a Span> + Clone + use<'a> {
        let key = (self.query.workspace.clone(), *trace_id);
        let spans = self.state.spans.get(&key).into_iter();
        spans.flat_map(|spans| spans.values()).filter(|span| !span.dropped)
    }

    fn all_spans(&self) -> impl Iterator<Item = &'a Span> {
        let mine = |key: &TraceKey| key.0 == self.query.workspace;
        let traces = self.state.spans.iter().filter(move |(key, _)| mine(key));
        traces.flat_map(|(_, spans)| spans.values()).filter(|span| !span.dropped)
    }
}

impl Traces for Scope<'_> {
    fn row(&self, trace_id: &TraceId) -> Result<Option<TraceRow>, StoreError> {
        Ok(self.state.row(&self.query.workspace, trace_id, self.query.now_ns))
    }

    fn admits(&self, row: &TraceRow) -> Result<bool, StoreError> {
        Ok(crate::matching::in_scope(row, &self.query)
            && self.matcher.matches(row, &mut self.spans(&row.trace_id))?)
    }

    fn totals_span(&self, trace_id: &TraceId) -> Result<Option<SpanId>, StoreError> {
        let mut rollup = Rollup::default();
        self.spans(trace_id).for_each(|span| rollup.add(&SpanSummary::of_head(span)));
        Ok(rollup.totals_span())
    }
}

impl State {
    pub(super) fn metrics(&self, query: &MetricsQuery) -> Result<Series, StoreError> {
        check_metrics(query)?;
        let list = list(&query.workspace, query.environment.as_ref(), &query.filter, query.now_ns);
        let scope = Scope::new(self, list)?;
        let mut tallies = Tallies::new(query)?;
        if query.wants_runs() {
            let rows = self.matching_rows(&scope.query)?;
            rows.iter().try_for_each(|row| tallies.add_run(row))?;
        }
        if query.wants_spans() {
            let mut traces = TracesOf::new(&scope, true);
            for span in scope.all_spans() {
                tallies.add_span(&SpanFacts::from(span), &mut traces)?;
            }
        }
        Ok(tallies.finish())
    }

    pub(super) fn agents(&self, query: &AgentsQuery) -> Result<AgentsPage, StoreError> {
        let list = list(&query.workspace, query.environment.as_ref(), &query.filter, query.now_ns);
        let scope = Scope::new(self, list)?;
        let mut agents = Agents::new(query)?;
        self.matching_rows(&scope.query)?.iter().try_for_each(|row| agents.add_run(row))?;
        let mut traces = TracesOf::new(&scope, true);
        for span in scope.all_spans() {
            agents.add_span(&SpanFacts::from(span), &mut traces)?;
        }
        Ok(agents.finish())
    }

    pub(super) fn conversations(
        &self,
        query: &ConversationsQuery,
    ) -> Result<ConversationPage, StoreError> {
        check_limit(query.limit)?;
        let list = TraceQuery {
            from_ns: query.from_ns,
            to_ns: query.to_ns,
            ..list(&query.workspace, query.environment.as_ref(), &query.filter, query.now_ns)
        };
        let mut conversations = Conversations::default();
        self.matching_rows(&list)?.iter().for_each(|row| conversations.add(row));
        Ok(conversations.page(query.after.as_ref(), query.limit))
    }

    pub(super) fn conversation(&self, query: &TurnsQuery) -> Result<Option<Turns>, StoreError> {
        check_limit(query.limit)?;
        let list = list(&query.workspace, None, &Filter::everything(), query.now_ns);
        let mut rows = self.matching_rows(&list)?;
        rows.retain(|row| row.session_id.as_ref() == Some(&query.session_id));
        Ok(turns(query, rows))
    }
}
