//! Lists and facets: SQL narrows the candidates and gives their order, the contract's own matcher
//! has the last word on each.
//!
//! What is pushed into SQL is a necessary condition and never more, so that this engine cannot
//! answer otherwise than the memory store does. A text that must be there leads: the traces that have
//! it stand in the order of lists ([`crate::terms`]).

use std::collections::BTreeMap;

use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use staso_model::{Span, SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::matching::{self, Matcher, SpanSource};
use staso_store::memory::most_frequent;
use staso_store::query::{
    Comparison, Cursor, FacetField, FacetQuery, FacetValue, Filter, NumberField, RunState, Sort,
    TextField, TextMatch, TraceQuery,
};
use staso_store::row::{TracePage, TraceRow};
use staso_store::search::Phrase;

use crate::error::from_sqlite;
use crate::numbers::Stop;
use crate::read::Reader;
use crate::terms::{self, Term};

/// One page of a list.
pub(crate) fn page(
    reader: &Reader<'_>,
    query: &TraceQuery,
    stop: &Stop,
) -> Result<TracePage, StoreError> {
    let mut rows = Vec::new();
    let mut has_more = false;
    for phase in phases(query) {
        each_match(reader, query, &phase, stop, &mut |row| {
            has_more = rows.len() == query.limit;
            if !has_more {
                rows.push(row);
            }
            Ok(!has_more)
        })?;
        if has_more {
            break;
        }
    }
    rows.iter_mut().try_for_each(|row| reader.annotate(row))?;
    let last = rows.last().filter(|_| has_more);
    Ok(TracePage { next: last.map(|row| matching::position(row, query.sort)), rows })
}

/// Calls `found` with every match of a query, from wherever its cursor stands, without annotations.
pub(crate) fn each(
    reader: &Reader<'_>,
    query: &TraceQuery,
    stop: &Stop,
    found: &mut dyn FnMut(TraceRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for phase in phases(query) {
        each_match(reader, query, &phase, stop, &mut |row| found(row).map(|()| true))?;
    }
    Ok(())
}

/// Counted values of a field over every match.
pub(crate) fn facet(
    reader: &Reader<'_>,
    query: &FacetQuery,
    stop: &Stop,
) -> Result<Vec<FacetValue>, StoreError> {
    if let Some(counts) = counted_terms(reader, query, stop)? {
        return Ok(most_frequent(counts, query.limit));
    }
    let mut counts = BTreeMap::<String, u64>::new();
    let everything = TraceQuery { sort: Sort::Start, after: None, ..query.traces.clone() };
    each(reader, &everything, stop, &mut |row| {
        for value in matching::facet_values(&row, query.field) {
            *counts.entry(value).or_default() += 1;
        }
        Ok(())
    })?;
    Ok(most_frequent(counts, query.limit))
}

/// The values of a text field counted where they stand, without a look at any row; `None` where the
/// question is one that the terms do not answer.
fn counted_terms(
    reader: &Reader<'_>,
    query: &FacetQuery,
    stop: &Stop,
) -> Result<Option<BTreeMap<String, u64>>, StoreError> {
    let traces = &query.traces;
    let FacetField::Text(field) = query.field else { return Ok(None) };
    if traces.environment.is_some() || traces.filter != Filter::everything() {
        return Ok(None);
    }
    let mut counts = BTreeMap::<String, u64>::new();
    let bounds = (traces.from_ns, traces.to_ns);
    let is_told = terms::each(reader, field, None, bounds, &mut |found| {
        stop.check()?;
        match counts.get_mut(found.value) {
            Some(count) => *count += 1,
            None => drop(counts.insert(found.value.to_owned(), 1)),
        }
        Ok(())
    })?;
    Ok(is_told.then_some(counts))
}

/// Conditions joined by AND, with their parameters.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    params: Vec<Sql>,
    /// What every match has.
    terms: Vec<Term>,
}

impl Conditions {
    /// Adds a condition; `?` stands for each parameter in turn.
    fn and(&mut self, sql: impl Into<String>, params: impl IntoIterator<Item = Sql>) {
        self.sql.push(sql.into());
        self.params.extend(params);
    }
}

/// One walk along an index: first the rows that have the sort value, then those that lack it.
struct Phase {
    conditions: Conditions,
    order: String,
}

/// Stands for the table that leads: the trace's start and id are in both.
const LEADER: &str = "{leader}";

fn column(sort: Sort) -> (&'static str, &'static str) {
    match sort {
        Sort::Start => ("{leader}.start_ns", "traces_by_start"),
        Sort::Duration => ("r.duration_ns", "traces_by_duration"),
        Sort::Cost => ("r.cost_nano_usd", "traces_by_cost"),
        Sort::Tokens => ("r.tokens", "traces_by_tokens"),
        Sort::Spans => ("r.spans", "traces_by_spans"),
    }
}

fn phases(query: &TraceQuery) -> Vec<Phase> {
    let (column, _) = column(query.sort);
    let blob = |id: TraceId| Sql::Blob(id.0.to_vec());
    let mut phases = Vec::new();
    if query.after.is_none_or(|cursor| cursor.value.is_some()) {
        let mut conditions = Conditions::default();
        match query.after {
            Some(Cursor { value: Some(value), trace_id, .. }) => conditions.and(
                format!("({column}, {LEADER}.trace_id) < (?, ?)"),
                [Sql::Integer(value), blob(trace_id)],
            ),
            _ => conditions.and(format!("{column} IS NOT NULL"), []),
        }
        let order = format!("{column} DESC, {LEADER}.trace_id DESC");
        phases.push(Phase { conditions, order });
    }
    if !matches!(query.sort, Sort::Start | Sort::Spans) {
        let mut conditions = Conditions::default();
        conditions.and(format!("{column} IS NULL"), []);
        if let Some(Cursor { value: None, trace_id, .. }) = query.after {
            conditions.and("{leader}.trace_id < ?", [blob(trace_id)]);
        }
        phases.push(Phase { conditions, order: format!("{LEADER}.trace_id DESC") });
    }
    phases
}

/// Calls `found` with every match of a phase in order, until it answers `false`.
fn each_match(
    reader: &Reader<'_>,
    query: &TraceQuery,
    phase: &Phase,
    stop: &Stop,
    found: &mut dyn FnMut(TraceRow) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let matcher = Matcher::new(&query.filter)?;
    let mut scope = scope(reader.ws, query);
    let is_named = narrow(&query.filter, &mut scope);
    let (sql, params) = walk(reader, query.sort, is_named, scope, phase)?;
    let mut statement = reader.conn.prepare_cached(&sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(from_sqlite)?;
    let mut last = None;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        // A filter may read all spans of a row that does not match.
        stop.check()?;
        let (trace_id, record) = columns(row).map_err(from_sqlite)?;
        // Texts that differ in letter case only lead to one trace one after another.
        if last.replace(trace_id) == Some(trace_id) {
            continue;
        }
        let Some(row) = reader.stored_row(trace_id, record)? else { continue };
        let mut spans = LazySpans::new(reader, trace_id);
        if matcher.matches(&row, &mut spans)? && !found(row)? {
            break;
        }
    }
    Ok(())
}

/// Where fewer traces than this have a term, they are looked up and sorted, whatever the order.
const FEW: i64 = 1_000;

/// The statement of one walk: along the order's own index, or along the rarest of the terms. What leads is
/// named in the statement, for SQLite knows nothing of how often a value occurs.
fn walk(
    reader: &Reader<'_>,
    sort: Sort,
    is_named: bool,
    scope: Conditions,
    phase: &Phase,
) -> Result<(String, Vec<Sql>), StoreError> {
    let (_, index) = column(sort);
    let mut leader = None;
    for (at, term) in scope.terms.iter().enumerate().filter(|_| !is_named) {
        let count = terms::count(reader, term, FEW)?;
        if (sort == Sort::Start || count < FEW) && leader.is_none_or(|(least, _)| count < least) {
            leader = Some((count, at));
        }
    }
    let mut params = Vec::new();
    let from = match leader {
        _ if is_named => "traces AS r INDEXED BY trace_identity".to_owned(),
        None => format!("traces AS r INDEXED BY {index}"),
        Some(_) => "trace_terms AS t CROSS JOIN traces AS r INDEXED BY trace_identity
             ON r.ws = t.ws AND r.trace_id = t.trace_id"
            .to_owned(),
    };
    let mut conditions = Vec::new();
    for (at, Term { field, folded, .. }) in scope.terms.iter().enumerate() {
        let is_leader = leader.is_some_and(|(_, leader)| leader == at);
        conditions.push(if is_leader { LEADS } else { FOLLOWS }.to_owned());
        if is_leader {
            params.push(Sql::Integer(reader.ws));
        }
        params.extend([Sql::Integer(*field), Sql::Text(folded.clone())]);
    }
    conditions.extend(scope.sql);
    conditions.extend(phase.conditions.sql.iter().cloned());
    params.extend(scope.params);
    params.extend(phase.conditions.params.iter().cloned());
    let (conditions, order) = (conditions.join(" AND "), &phase.order);
    let sql =
        format!("SELECT r.trace_id, r.record FROM {from} WHERE {conditions} ORDER BY {order}");
    Ok((sql.replace(LEADER, if leader.is_some() { "t" } else { "r" }), params))
}

const LEADS: &str = "t.ws = ? AND t.field = ? AND t.folded = ?";
const FOLLOWS: &str = "EXISTS (SELECT 1 FROM trace_terms AS f WHERE f.ws = r.ws AND f.field = ?
     AND f.folded = ? AND f.start_ns = r.start_ns AND f.trace_id = r.trace_id)";

fn columns<'r>(row: &'r Row<'_>) -> rusqlite::Result<(TraceId, &'r [u8])> {
    Ok((TraceId(row.get(0)?), row.get_ref(1)?.as_blob()?))
}

/// The query's own columns. They say exactly what [`matching::in_scope`] says.
fn scope(ws: i64, query: &TraceQuery) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.and("r.ws = ?", [Sql::Integer(ws)]);
    if let Some(environment) = &query.environment {
        conditions.and("r.environment = ?", [Sql::Text(environment.clone())]);
        conditions.terms.push(Term::of(TextField::Environment, environment));
    }
    if let Some(from_ns) = query.from_ns {
        conditions.and("{leader}.start_ns >= ?", [Sql::Integer(from_ns)]);
    }
    if let Some(to_ns) = query.to_ns {
        conditions.and("{leader}.start_ns < ?", [Sql::Integer(to_ns)]);
    }
    conditions
}

/// SQLite bounds the depth of an expression; what is not narrowed is still decided by the matcher.
const MAX_CONDITIONS: usize = 64;

/// Adds what every match of the filter must fulfil, and answers whether one trace is named.
fn narrow(filter: &Filter, conditions: &mut Conditions) -> bool {
    if conditions.sql.len() + conditions.terms.len() > MAX_CONDITIONS {
        return false;
    }
    match filter {
        Filter::All(inner) => {
            let named = |any, filter| narrow(filter, conditions) || any;
            return inner.iter().fold(false, named);
        }
        Filter::Trace(trace_id) => {
            conditions.and("r.trace_id = ?", [Sql::Blob(trace_id.0.to_vec())]);
            return true;
        }
        Filter::Status(status) => {
            let shown = |other: &&SpanStatus| other.shown() == status.shown();
            let words = SpanStatus::ALL.iter().filter(shown);
            let words: Vec<Sql> = words.map(|s| Sql::Text(s.as_str().to_owned())).collect();
            let marks = vec!["?"; words.len()].join(", ");
            conditions.and(format!("r.status IN ({marks})"), words);
            conditions.terms.extend(Term::of_status(*status));
        }
        Filter::Text(field, TextMatch::Equals(text)) => {
            conditions.terms.push(Term::of(*field, text));
        }
        Filter::Kind(kind) => {
            conditions.and("(r.kinds & ?) != 0", [Sql::Integer(1 << (*kind as u32))]);
        }
        Filter::Number(field, comparison, value) => {
            let condition = format!("{} {} ?", number(*field), sign(*comparison));
            conditions.and(condition, [Sql::Integer(*value)]);
        }
        Filter::State(RunState::Done) => conditions.and("r.open = 0 AND r.interrupted = 0", []),
        Filter::State(RunState::Interrupted) => {
            conditions.and("r.open = 0 AND r.interrupted > 0", []);
        }
        Filter::State(RunState::Running | RunState::Stalled | RunState::Unknown) => {
            conditions.and("r.open > 0", []);
        }
        _ => {}
    }
    false
}

fn number(field: NumberField) -> &'static str {
    match field {
        NumberField::DurationNs => "r.duration_ns",
        NumberField::CostNanoUsd => "r.cost_nano_usd",
        NumberField::Tokens => "r.tokens",
        NumberField::Spans => "r.spans",
        NumberField::Errors => "r.errors",
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A trace's spans, read once and only if the filter comes to ask for them, without their long texts:
/// those are looked through where they stand.
pub(crate) struct LazySpans<'a> {
    reader: &'a Reader<'a>,
    trace_id: TraceId,
    read: Option<Vec<Span>>,
}

impl<'a> LazySpans<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>, trace_id: TraceId) -> Self {
        Self { reader, trace_id, read: None }
    }
}

impl SpanSource for LazySpans<'_> {
    fn any_span(&mut self, test: &mut dyn FnMut(&Span) -> bool) -> Result<bool, StoreError> {
        let spans = match self.read.take() {
            Some(spans) => spans,
            None => self.reader.spans(self.trace_id, false)?,
        };
        Ok(self.read.insert(spans).iter().any(|span| !span.dropped && test(span)))
    }

    fn any_text(&mut self, phrase: &Phrase) -> Result<bool, StoreError> {
        self.reader.any_text(self.trace_id, phrase)
    }
}
