//! Metrics, agents and conversations of the engine.
//!
//! Runs and conversations are read from the catalog's rows; spans from the hot set and from those
//! columns of segments that the question needs ([`flushed`]). The sums are the contract's own.

mod flushed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{OptionalExtension, params};
use staso_model::{SpanId, TraceId};
use staso_store::StoreError;
use staso_store::conversations::{
    ConversationPage, Conversations, ConversationsQuery, Turns, TurnsQuery, turns,
};
use staso_store::matching::{self, Matcher};
use staso_store::metrics::{
    Agents, AgentsPage, AgentsQuery, GroupBy, Measure, MetricsQuery, Series, SpanFacts, Tallies,
    Traces, TracesOf,
};
use staso_store::query::{Filter, Sort, TraceQuery};
use staso_store::rollup::{Rollup, SpanSummary};
use staso_store::row::TraceRow;

use crate::error::from_sqlite;
use crate::list::{self, LazySpans};
use crate::numbers::flushed::Wanted;
use crate::read::Reader;

/// Tells the work to stop when it is dropped: with the future of whoever asked.
pub(crate) struct Watch(Arc<AtomicBool>);

/// What the work looks at.
pub(crate) struct Stop(Arc<AtomicBool>);

/// The two ends.
pub(crate) fn watch() -> (Watch, Stop) {
    let flag = Arc::new(AtomicBool::new(false));
    (Watch(Arc::clone(&flag)), Stop(flag))
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stop {
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(StoreError::Engine("nobody waits for the answer".to_owned()));
        }
        Ok(())
    }
}

/// The traces that a filter and an environment admit, looked up one by one.
pub(crate) struct Scope<'a> {
    reader: &'a Reader<'a>,
    query: TraceQuery,
    matcher: Matcher,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(
        reader: &'a Reader<'a>,
        environment: Option<&String>,
        filter: &Filter,
    ) -> Result<Self, StoreError> {
        let query = TraceQuery {
            workspace: reader.workspace.to_owned(),
            environment: environment.cloned(),
            from_ns: None,
            to_ns: None,
            filter: filter.clone(),
            sort: Sort::Start,
            after: None,
            limit: 1,
            now_ns: reader.now_ns,
        };
        Ok(Self { reader, matcher: Matcher::new(filter)?, query })
    }

    fn is_filtered(&self) -> bool {
        self.query.environment.is_some() || self.query.filter != Filter::everything()
    }

    /// Calls `found` with every trace that began in this time.
    fn rows(
        &self,
        from_ns: Option<i64>,
        to_ns: Option<i64>,
        stop: &Stop,
        found: &mut dyn FnMut(TraceRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query = TraceQuery { from_ns, to_ns, ..self.query.clone() };
        list::each(self.reader, &query, stop, found)
    }

    /// Calls `found` with every span that began in this time, wherever it is.
    fn spans(
        &self,
        (from_ns, to_ns): (i64, Option<i64>),
        wanted: &Wanted,
        stop: &Stop,
        found: &mut dyn FnMut(&SpanFacts<'_>, &mut TracesOf<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut traces = TracesOf::new(self, self.is_filtered());
        let is_in_time =
            |start_ns: i64| from_ns <= start_ns && to_ns.is_none_or(|to_ns| start_ns < to_ns);
        for (ws, span) in self.reader.hot.spans() {
            stop.check()?;
            if ws == self.reader.ws && !span.dropped && is_in_time(span.start_ns) {
                found(&SpanFacts::from(&**span), &mut traces)?;
            }
        }
        for part in flushed::segments(self.reader, from_ns, to_ns)? {
            let each = &mut |facts: &SpanFacts<'_>, traces: &mut TracesOf<'_>| {
                stop.check()?;
                if is_in_time(facts.start_ns) { found(facts, traces) } else { Ok(()) }
            };
            flushed::each(self.reader, &part, wanted, &mut traces, each)?;
        }
        Ok(())
    }
}

impl Traces for Scope<'_> {
    fn row(&self, trace_id: &TraceId) -> Result<Option<TraceRow>, StoreError> {
        let sql = "SELECT record FROM traces WHERE ws = ?1 AND trace_id = ?2";
        let read = || {
            let mut statement = self.reader.conn.prepare_cached(sql)?;
            let params = params![self.reader.ws, trace_id.0];
            statement.query_row(params, |row| row.get::<_, Vec<u8>>(0)).optional()
        };
        match read().map_err(from_sqlite)? {
            Some(record) => self.reader.stored_row(*trace_id, &record),
            None => Ok(None),
        }
    }

    fn admits(&self, row: &TraceRow) -> Result<bool, StoreError> {
        let mut spans = LazySpans::new(self.reader, row.trace_id);
        Ok(matching::in_scope(row, &self.query) && self.matcher.matches(row, &mut spans)?)
    }

    fn totals_span(&self, trace_id: &TraceId) -> Result<Option<SpanId>, StoreError> {
        let mut rollup = Rollup::default();
        let spans = self.reader.spans(*trace_id, false)?;
        spans.iter().for_each(|span| rollup.add(&SpanSummary::of_head(span)));
        Ok(rollup.totals_span())
    }
}

/// Measures over time.
pub(crate) fn metrics(
    reader: &Reader<'_>,
    query: &MetricsQuery,
    stop: &Stop,
) -> Result<Series, StoreError> {
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    let mut tallies = Tallies::new(query)?;
    let (from_ns, to_ns) = (query.from_ns(), query.to_ns());
    if query.wants_runs() {
        scope.rows(Some(from_ns), Some(to_ns), stop, &mut |row| tallies.add_run(&row))?;
    }
    if query.wants_spans() {
        let wanted = Wanted::of(&query.measures, query.group_by, scope.is_filtered());
        scope.spans((from_ns, Some(to_ns)), &wanted, stop, &mut |span, traces| {
            tallies.add_span(span, traces)
        })?;
    }
    stop.check()?;
    Ok(tallies.finish())
}

/// Agents and their versions.
pub(crate) fn agents(
    reader: &Reader<'_>,
    query: &AgentsQuery,
    stop: &Stop,
) -> Result<AgentsPage, StoreError> {
    const MEASURES: [Measure; 2] = [Measure::Tokens, Measure::Cost];
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    let mut agents = Agents::new(query)?;
    scope.rows(query.from_ns, query.to_ns, stop, &mut |row| agents.add_run(&row))?;
    let wanted = Wanted::of(&MEASURES, Some(GroupBy::AgentVersion), scope.is_filtered());
    let bounds = (query.from_ns.unwrap_or(i64::MIN), query.to_ns);
    scope.spans(bounds, &wanted, stop, &mut |span, traces| agents.add_span(span, traces))?;
    Ok(agents.finish())
}

/// One page of conversations.
pub(crate) fn conversations(
    reader: &Reader<'_>,
    query: &ConversationsQuery,
    stop: &Stop,
) -> Result<ConversationPage, StoreError> {
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    let mut conversations = Conversations::default();
    scope.rows(query.from_ns, query.to_ns, stop, &mut |row| {
        conversations.add(&row);
        Ok(())
    })?;
    Ok(conversations.page(query.after.as_ref(), query.limit))
}

/// One conversation and its turns.
pub(crate) fn conversation(
    reader: &Reader<'_>,
    query: &TurnsQuery,
    stop: &Stop,
) -> Result<Option<Turns>, StoreError> {
    let scope = Scope::new(reader, None, &Filter::everything())?;
    let mut rows = Vec::new();
    scope.rows(None, None, stop, &mut |row| {
        if row.session_id.as_ref() == Some(&query.session_id) {
            rows.push(row);
        }
        Ok(())
    })?;
    let mut found = turns(query, rows);
    let rows = found.iter_mut().flat_map(|found| &mut found.rows);
    rows.into_iter().try_for_each(|row| reader.annotate(row))?;
    Ok(found)
}
