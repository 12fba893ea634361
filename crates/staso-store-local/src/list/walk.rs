//! The statements that find a list's candidates, in its order.
//!
//! What a filter says of the trace's row narrows them; what it says of its texts also leads: of the terms
//! that every match has, the rarest is walked, or the index of the order where none is rare.

use rusqlite::params;
use rusqlite::types::Value as Sql;
use staso_model::{SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::query::{
    Comparison, Cursor, Filter, NumberField, RunState, Sort, TextField, TextMatch, TraceQuery,
};

use crate::error::from_sqlite;
use crate::read::Reader;
use crate::terms::{self, DAY_NS, Days, FEW, Term};

/// Conditions joined by AND, with their parameters.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    params: Vec<Sql>,
    /// What every match has.
    terms: Vec<Term>,
    /// What the numbers of every match are.
    numbers: Vec<(NumberField, Comparison, i64)>,
}

impl Conditions {
    /// Adds a condition; `?` stands for each parameter in turn.
    fn and(&mut self, sql: impl Into<String>, params: impl IntoIterator<Item = Sql>) {
        self.sql.push(sql.into());
        self.params.extend(params);
    }
}

/// One walk along an index: first the rows that have the sort value, then those that lack it.
pub(super) struct Phase {
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

pub(super) fn phases(query: &TraceQuery) -> Vec<Phase> {
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

/// A statement that finds candidates in order.
pub(super) struct Walk {
    pub(super) sql: String,
    params: Vec<Sql>,
    /// The place of the day among the parameters, and the days, newest first; `None`: one run walks everything.
    by_day: Option<(usize, Days)>,
}

impl Walk {
    /// The parameters of each run of the statement: what they find stands in the order of the list.
    pub(super) fn runs(&self) -> impl Iterator<Item = Vec<Sql>> {
        let once = self.by_day.is_none().then(|| self.params.clone());
        let on = |(place, day): (usize, i64)| {
            let mut params = self.params.clone();
            params[place] = Sql::Integer(day);
            params
        };
        let days = self.by_day.iter().flat_map(|(at, days)| days.iter().map(|day| (*at, *day)));
        once.into_iter().chain(days.map(on))
    }
}

/// A statement that finds a trace by its id, if it is one of a phase.
pub(super) struct Lookup {
    pub(super) sql: String,
    params: Vec<Sql>,
}

impl Lookup {
    pub(super) fn params(&self, trace_id: TraceId) -> impl Iterator<Item = Sql> {
        let id = Sql::Blob(trace_id.0.to_vec());
        std::iter::once(id).chain(self.params.iter().cloned())
    }
}

impl Phase {
    /// The statement for traces that are found elsewhere.
    pub(super) fn lookup(&self, reader: &Reader<'_>, query: &TraceQuery) -> Lookup {
        let mut all = scope(reader.ws, query);
        narrow(&query.filter, &mut all);
        let mut params: Vec<Sql> = Vec::new();
        let mut conditions = vec!["r.trace_id = ?".to_owned()];
        for Term { field, folded, .. } in &all.terms {
            conditions.push(follows());
            params.extend([Sql::Integer(*field), Sql::Text(folded.clone())]);
        }
        conditions.extend(all.sql.into_iter().chain(self.conditions.sql.iter().cloned()));
        params.extend(all.params.into_iter().chain(self.conditions.params.iter().cloned()));
        let conditions = conditions.join(" AND ").replace(LEADER, "r");
        let sql = format!(
            "SELECT r.trace_id, r.record FROM traces AS r INDEXED BY trace_identity
             WHERE {conditions}"
        );
        Lookup { sql, params }
    }

    /// Whether the filter names one trace.
    pub(super) fn names_one(&self, reader: &Reader<'_>, query: &TraceQuery) -> bool {
        narrow(&query.filter, &mut scope(reader.ws, query))
    }

    /// Whether the texts of rows lead: some text must be there.
    pub(super) fn has_leader(&self, reader: &Reader<'_>, query: &TraceQuery) -> bool {
        let mut scope = scope(reader.ws, query);
        narrow(&query.filter, &mut scope);
        !scope.terms.is_empty()
    }

    /// The statement of the walk. What leads is named in it, for SQLite knows nothing of how often a value
    /// occurs.
    pub(super) fn walk(&self, reader: &Reader<'_>, query: &TraceQuery) -> Result<Walk, StoreError> {
        let mut scope = scope(reader.ws, query);
        let is_named = narrow(&query.filter, &mut scope);
        let has_leader = !is_named && !scope.terms.is_empty();
        let days = if has_leader { terms::days(reader, bounds(query))? } else { Vec::new() };
        let leader = match has_leader {
            true => leader(reader, query.sort, &scope.terms, &days)?,
            false => None,
        };
        let from = match leader {
            Some(_) => FROM_TERMS.to_owned(),
            None => {
                let order = column(query.sort).1;
                let index = match is_named {
                    true => "trace_identity",
                    false => rare_number(reader, &scope.numbers)?.unwrap_or(order),
                };
                format!("traces AS r INDEXED BY {index}")
            }
        };
        let (mut conditions, mut params, mut by_day) = (Vec::new(), Vec::new(), None);
        for (at, Term { field, folded, .. }) in scope.terms.iter().enumerate() {
            if leader != Some(at) {
                conditions.push(follows());
            } else {
                params.push(Sql::Integer(reader.ws));
                let (condition, day) = leads(query.sort, &days);
                conditions.push(condition.to_owned());
                by_day = day.is_none().then(|| (params.len(), days.clone()));
                params.push(day.unwrap_or(Sql::Null));
            }
            params.extend([Sql::Integer(*field), Sql::Text(folded.clone())]);
        }
        conditions.extend(scope.sql);
        conditions.extend(self.conditions.sql.iter().cloned());
        params.extend(scope.params);
        params.extend(self.conditions.params.iter().cloned());
        let (conditions, order) = (conditions.join(" AND "), &self.order);
        let sql =
            format!("SELECT r.trace_id, r.record FROM {from} WHERE {conditions} ORDER BY {order}");
        let sql = sql.replace(LEADER, if leader.is_some() { "t" } else { "r" });
        Ok(Walk { sql, params, by_day })
    }
}

/// When what a query finds may have begun. A cursor in the order of starts is a bound as well.
pub(super) fn bounds(query: &TraceQuery) -> (Option<i64>, Option<i64>) {
    let cursor = query.after.filter(|_| query.sort == Sort::Start).and_then(|after| after.value);
    (query.from_ns, query.to_ns.into_iter().chain(cursor).min())
}

/// Which of the terms is walked: the rarest. In another order than that of the start its traces have to
/// be sorted, so that it must be rare.
fn leader(
    reader: &Reader<'_>,
    sort: Sort,
    terms: &[Term],
    days: &[i64],
) -> Result<Option<usize>, StoreError> {
    let Some(rarest) = terms::rarest(reader, terms, days)? else { return Ok(None) };
    let leads = sort == Sort::Start || terms::is_rare(reader, &terms[rarest], days)?;
    Ok(leads.then_some(rarest))
}

/// The index of a number that so few traces have that they may be looked up and sorted: in the order of the list all
/// others would be walked over.
fn rare_number(
    reader: &Reader<'_>,
    numbers: &[(NumberField, Comparison, i64)],
) -> Result<Option<&'static str>, StoreError> {
    for (field, comparison, value) in numbers {
        let Some(index) = index_of(*field) else { continue };
        let (number, sign) = (number(*field), sign(*comparison));
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM traces AS r INDEXED BY {index}
             WHERE r.ws = ?1 AND {number} {sign} ?2 LIMIT ?3)"
        );
        let count = || {
            let mut statement = reader.conn.prepare_cached(&sql)?;
            statement.query_row(params![reader.ws, value, FEW], |row| row.get::<_, i64>(0))
        };
        if count().map_err(from_sqlite)? < FEW {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

const FROM_TERMS: &str = "trace_terms AS t CROSS JOIN traces AS r INDEXED BY trace_identity
     ON r.ws = t.ws AND r.trace_id = t.trace_id";

/// The condition of the term that leads, and its days where it has them all: in the order of starts each run has
/// one.
fn leads(sort: Sort, days: &[i64]) -> (&'static str, Option<Sql>) {
    if sort == Sort::Start {
        return ("t.ws = ? AND t.day = ? AND t.field = ? AND t.folded = ?", None);
    }
    let days: Vec<String> = days.iter().map(i64::to_string).collect();
    let condition = "t.ws = ? AND t.day IN (SELECT value FROM json_each(?))
                     AND t.field = ? AND t.folded = ?";
    (condition, Some(Sql::Text(format!("[{}]", days.join(",")))))
}

/// The condition of a term that does not.
fn follows() -> String {
    format!(
        "EXISTS (SELECT 1 FROM trace_terms AS f WHERE f.ws = r.ws AND f.field = ? AND f.folded = ?
         AND f.day = r.start_ns / {DAY_NS} AND f.start_ns = r.start_ns AND f.trace_id = r.trace_id)"
    )
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
            conditions.numbers.push((*field, *comparison, *value));
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

fn index_of(field: NumberField) -> Option<&'static str> {
    let sort = match field {
        NumberField::DurationNs => Sort::Duration,
        NumberField::CostNanoUsd => Sort::Cost,
        NumberField::Tokens => Sort::Tokens,
        NumberField::Spans => Sort::Spans,
        NumberField::Errors => return None,
    };
    Some(column(sort).1)
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
