//! Metrics, agents and conversations of the engine.
//!
//! Runs and conversations are read from the catalog's rows; spans from the hot set and from those
//! columns of segments that the question needs ([`flushed`]). The sums are the contract's own; those of
//! parts of the time that nothing has changed are kept ([`kept`]).

mod flushed;
mod kept;
mod latest;
mod parts;

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
    AgentSums, Agents, AgentsPage, AgentsQuery, GroupBy, Measure, MetricsQuery, Series, SpanFacts,
    Tallies, Traces, TracesOf,
};
use staso_store::query::{Filter, Sort, TextField, TextMatch, TraceQuery};
use staso_store::rollup::{Rollup, SpanSummary};
use staso_store::row::TraceRow;

use crate::error::from_sqlite;
use crate::list::{self, LazySpans};
use crate::numbers::flushed::Wanted;
pub(crate) use crate::numbers::kept::Sums;
use crate::numbers::kept::{AgentsKey, BucketKey, Part};
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

    /// Whether nothing but an environment chooses traces: then what the sums of a time are changes with what is
    /// stored of that time alone.
    fn may_keep(&self) -> bool {
        self.query.filter == Filter::everything()
    }

    /// What looks up traces of this scope.
    fn traces(&self) -> TracesOf<'_> {
        TracesOf::new(self, self.is_filtered())
    }

    /// Calls `found` with every trace that began in this time.
    fn rows(
        &self,
        (first, last): Part,
        stop: &Stop,
        found: &mut dyn FnMut(TraceRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (from_ns, to_ns) = (Some(first), last.checked_add(1));
        let query = TraceQuery { from_ns, to_ns, ..self.query.clone() };
        list::each(self.reader, &query, stop, found)
    }

    /// Calls `found` with every span that began in this time, wherever it is.
    fn spans(
        &self,
        time: Part,
        wanted: &Wanted,
        stop: &Stop,
        traces: &mut TracesOf<'_>,
        found: &mut dyn FnMut(&SpanFacts<'_>, &mut TracesOf<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let is_in_time = |start_ns: i64| time.0 <= start_ns && start_ns <= time.1;
        for (ws, span) in self.reader.hot.spans() {
            stop.check()?;
            if ws == self.reader.ws && !span.dropped && is_in_time(span.start_ns) {
                found(&SpanFacts::from(&**span), traces)?;
            }
        }
        for part in flushed::segments(self.reader, time)? {
            let each = &mut |facts: &SpanFacts<'_>, traces: &mut TracesOf<'_>| {
                stop.check()?;
                if is_in_time(facts.start_ns) { found(facts, traces) } else { Ok(()) }
            };
            flushed::each(self.reader, &part, wanted, traces, each)?;
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

/// Measures over time. Buckets whose sums are kept are not looked at.
pub(crate) fn metrics(
    reader: &Reader<'_>,
    sums: &Sums,
    query: &MetricsQuery,
    stop: &Stop,
) -> Result<Series, StoreError> {
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    let mut tallies = Tallies::new(query)?;
    let last_change = |part: Part| reader.hot.changes.last(reader.ws, part);
    let key = |part: Part| BucketKey {
        ws: reader.ws,
        environment: query.environment.clone(),
        measures: query.measures.clone(),
        group_by: query.group_by,
        part,
    };
    let mut missing = Vec::new();
    for (bucket, ends) in query.edges.windows(2).enumerate() {
        let part = (ends[0], ends[1] - 1);
        let kept = || sums.buckets.get(&key(part), last_change(part));
        match scope.may_keep().then(kept).flatten() {
            Some(kept) => tallies.add_bucket(bucket, &kept)?,
            None => missing.push((bucket, part)),
        }
    }
    let wanted = Wanted::of(&query.measures, query.group_by, scope.is_filtered());
    for run in missing.chunk_by(|a, b| a.0 + 1 == b.0) {
        let Some(time) = ends(run.iter().map(|(_, part)| *part)) else { continue };
        if query.wants_runs() {
            scope.rows(time, stop, &mut |row| tallies.add_run(&row))?;
        }
        if query.wants_spans() {
            let add = &mut |span: &SpanFacts<'_>, traces: &mut TracesOf<'_>| {
                tallies.add_span(span, traces)
            };
            scope.spans(time, &wanted, stop, &mut scope.traces(), add)?;
        }
    }
    stop.check()?;
    if scope.may_keep() {
        for (bucket, part) in missing {
            let added = tallies.bucket_sums(bucket);
            let bytes = added.memory_bytes();
            sums.buckets.put(key(part), last_change(part), added, bytes);
        }
    }
    Ok(tallies.finish())
}

/// From the first start of the first part to the last one of the last.
fn ends(parts: impl Iterator<Item = Part> + Clone) -> Option<Part> {
    Some((parts.clone().next()?.0, parts.last()?.1))
}

/// Agents and their versions. Hours and days whose sums are kept are not looked at.
pub(crate) fn agents(
    reader: &Reader<'_>,
    sums: &Sums,
    query: &AgentsQuery,
    stop: &Stop,
) -> Result<AgentsPage, StoreError> {
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    let mut agents = Agents::new(query)?;
    let last_change = |part: Part| reader.hot.changes.last(reader.ws, part);
    let key =
        |part: Part| AgentsKey { ws: reader.ws, environment: query.environment.clone(), part };
    let parts = match parts::time(query.from_ns, query.to_ns) {
        Some(time) if scope.may_keep() => parts::parts(time, query.now_ns),
        time => time.into_iter().collect(),
    };
    let may_keep = |part: Part| scope.may_keep() && parts::is_kept(part);
    let mut missing = Vec::new();
    for part in parts {
        let kept = || sums.agents.get(&key(part), last_change(part));
        match may_keep(part).then(kept).flatten() {
            Some(kept) => agents.add_part(&kept)?,
            None => missing.push(part),
        }
    }
    for run in missing.chunk_by(|a, b| a.1 + 1 == b.0) {
        for (part, mut added) in run.iter().copied().zip(agents_of(&scope, run, stop)?) {
            agents.add_part(&added)?;
            if may_keep(part) {
                added.shrink();
                let bytes = added.memory_bytes();
                sums.agents.put(key(part), last_change(part), added, bytes);
            }
        }
    }
    Ok(agents.finish())
}

/// The sums of parts that follow one another, in one pass.
fn agents_of(scope: &Scope<'_>, parts: &[Part], stop: &Stop) -> Result<Vec<AgentSums>, StoreError> {
    const MEASURES: [Measure; 2] = [Measure::Tokens, Measure::Cost];
    let mut sums = vec![AgentSums::default(); parts.len()];
    let Some(time) = ends(parts.iter().copied()) else { return Ok(sums) };
    let at = |start_ns: i64| parts.partition_point(|part| part.0 <= start_ns).saturating_sub(1);
    let mut traces = scope.traces();
    scope.rows(time, stop, &mut |row| {
        // Spans without an agent's name count to that of their trace: it is not looked up a second time.
        traces.learn(&row);
        sums[at(row.start_ns)].add_run(&row)
    })?;
    let wanted = Wanted::of(&MEASURES, Some(GroupBy::AgentVersion), scope.is_filtered());
    scope.spans(time, &wanted, stop, &mut traces, &mut |span, traces| {
        sums[at(span.start_ns)].add_span(span, traces)
    })?;
    stop.check()?;
    Ok(sums)
}

/// One page of conversations.
pub(crate) fn conversations(
    reader: &Reader<'_>,
    query: &ConversationsQuery,
    stop: &Stop,
) -> Result<ConversationPage, StoreError> {
    let scope = Scope::new(reader, query.environment.as_ref(), &query.filter)?;
    if !scope.is_filtered()
        && let Some(page) = latest::page(&scope, query, stop)?
    {
        return Ok(page);
    }
    let mut conversations = Conversations::default();
    if let Some(time) = parts::time(query.from_ns, query.to_ns) {
        scope.rows(time, stop, &mut |row| {
            conversations.add(&row);
            Ok(())
        })?;
    }
    Ok(conversations.page(query.after.as_ref(), query.limit))
}

/// One conversation and its turns.
pub(crate) fn conversation(
    reader: &Reader<'_>,
    query: &TurnsQuery,
    stop: &Stop,
) -> Result<Option<Turns>, StoreError> {
    let named = TextMatch::Equals(query.session_id.clone());
    let named = Filter::Text(TextField::Session, named);
    let scope = Scope::new(reader, None, &named)?;
    let mut rows = Vec::new();
    scope.rows((i64::MIN, i64::MAX), stop, &mut |row| {
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
