//! Lists and facets: SQL narrows the candidates and gives their order, the contract's own matcher
//! has the last word on each.
//!
//! What is pushed into SQL is a necessary condition and never more, so that this engine cannot
//! answer otherwise than the memory store does.

use std::collections::BTreeMap;

use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use staso_model::{Span, SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::matching::{self, Matcher, SpanSource};
use staso_store::memory::most_frequent;
use staso_store::query::{
    Comparison, Cursor, FacetQuery, FacetValue, Filter, NumberField, RunState, Sort, TraceQuery,
};
use staso_store::row::{TracePage, TraceRow};
use staso_store::search::Phrase;

use crate::error::from_sqlite;
use crate::numbers::Stop;
use crate::read::Reader;

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

/// Conditions joined by AND, with their parameters.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    params: Vec<Sql>,
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

fn column(sort: Sort) -> (&'static str, &'static str) {
    match sort {
        Sort::Start => ("start_ns", "traces_by_start"),
        Sort::Duration => ("duration_ns", "traces_by_duration"),
        Sort::Cost => ("cost_nano_usd", "traces_by_cost"),
        Sort::Tokens => ("tokens", "traces_by_tokens"),
        Sort::Spans => ("spans", "traces_by_spans"),
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
                format!("({column}, trace_id) < (?, ?)"),
                [Sql::Integer(value), blob(trace_id)],
            ),
            _ => conditions.and(format!("{column} IS NOT NULL"), []),
        }
        phases.push(Phase { conditions, order: format!("{column} DESC, trace_id DESC") });
    }
    if !matches!(query.sort, Sort::Start | Sort::Spans) {
        let mut conditions = Conditions::default();
        conditions.and(format!("{column} IS NULL"), []);
        if let Some(Cursor { value: None, trace_id, .. }) = query.after {
            conditions.and("trace_id < ?", [blob(trace_id)]);
        }
        phases.push(Phase { conditions, order: "trace_id DESC".to_owned() });
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
    let (_, mut index) = column(query.sort);
    if narrow(&query.filter, &mut scope) {
        index = "trace_identity";
    }
    let sql = format!(
        "SELECT trace_id, record FROM traces INDEXED BY {index} WHERE {} ORDER BY {}",
        [scope.sql.join(" AND "), phase.conditions.sql.join(" AND ")].join(" AND "),
        phase.order
    );
    let params = scope.params.iter().chain(&phase.conditions.params);
    let mut statement = reader.conn.prepare_cached(&sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        // A filter may read all spans of a row that does not match.
        stop.check()?;
        let (trace_id, record) = columns(row).map_err(from_sqlite)?;
        let Some(row) = reader.stored_row(trace_id, record)? else { continue };
        let mut spans = LazySpans::new(reader, trace_id);
        if matcher.matches(&row, &mut spans)? && !found(row)? {
            break;
        }
    }
    Ok(())
}

fn columns<'r>(row: &'r Row<'_>) -> rusqlite::Result<(TraceId, &'r [u8])> {
    Ok((TraceId(row.get(0)?), row.get_ref(1)?.as_blob()?))
}

/// The query's own columns. They say exactly what [`matching::in_scope`] says.
fn scope(ws: i64, query: &TraceQuery) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.and("ws = ?", [Sql::Integer(ws)]);
    if let Some(environment) = &query.environment {
        conditions.and("environment = ?", [Sql::Text(environment.clone())]);
    }
    if let Some(from_ns) = query.from_ns {
        conditions.and("start_ns >= ?", [Sql::Integer(from_ns)]);
    }
    if let Some(to_ns) = query.to_ns {
        conditions.and("start_ns < ?", [Sql::Integer(to_ns)]);
    }
    conditions
}

/// SQLite bounds the depth of an expression; what is not narrowed is still decided by the matcher.
const MAX_CONDITIONS: usize = 64;

/// Adds what every match of the filter must fulfil, and answers whether one trace is named.
fn narrow(filter: &Filter, conditions: &mut Conditions) -> bool {
    if conditions.sql.len() > MAX_CONDITIONS {
        return false;
    }
    match filter {
        Filter::All(inner) => {
            let named = |any, filter| narrow(filter, conditions) || any;
            return inner.iter().fold(false, named);
        }
        Filter::Trace(trace_id) => {
            conditions.and("trace_id = ?", [Sql::Blob(trace_id.0.to_vec())]);
            return true;
        }
        Filter::Status(status) => {
            let shown = |other: &&SpanStatus| other.shown() == status.shown();
            let words = SpanStatus::ALL.iter().filter(shown);
            let words: Vec<Sql> = words.map(|s| Sql::Text(s.as_str().to_owned())).collect();
            let marks = vec!["?"; words.len()].join(", ");
            conditions.and(format!("status IN ({marks})"), words);
        }
        Filter::Kind(kind) => {
            conditions.and("(kinds & ?) != 0", [Sql::Integer(1 << (*kind as u32))]);
        }
        Filter::Number(field, comparison, value) => {
            let condition = format!("{} {} ?", number(*field), sign(*comparison));
            conditions.and(condition, [Sql::Integer(*value)]);
        }
        Filter::State(RunState::Done) => conditions.and("open = 0 AND interrupted = 0", []),
        Filter::State(RunState::Interrupted) => {
            conditions.and("open = 0 AND interrupted > 0", []);
        }
        Filter::State(RunState::Running | RunState::Stalled | RunState::Unknown) => {
            conditions.and("open > 0", []);
        }
        _ => {}
    }
    false
}

fn number(field: NumberField) -> &'static str {
    match field {
        NumberField::DurationNs => "duration_ns",
        NumberField::CostNanoUsd => "cost_nano_usd",
        NumberField::Tokens => "tokens",
        NumberField::Spans => "spans",
        NumberField::Errors => "errors",
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
