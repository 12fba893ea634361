//! Lists and facets: SQL narrows the candidates and gives their order, the contract's own matcher
//! has the last word on each.
//!
//! What is pushed into SQL is a necessary condition and never more, so that this engine cannot
//! answer otherwise than the memory store does. A text that must be there leads: the traces that have
//! it stand in the order of lists ([`crate::terms`]).

mod candidates;
mod led;
mod texts;
mod walk;

use std::collections::BTreeMap;

use rusqlite::{Row, params_from_iter};
use staso_model::{Span, TraceId};
use staso_store::StoreError;
use staso_store::matching::{self, Matcher, SpanSource, SpanTest};
use staso_store::memory::most_frequent;
use staso_store::query::{FacetField, FacetQuery, FacetValue, Filter, Sort, TraceQuery};
use staso_store::row::{TracePage, TraceRow};
use staso_store::search::Phrase;

use crate::error::from_sqlite;
use crate::list::led::Led;
use crate::list::walk::{Phase, phases};
use crate::numbers::Stop;
use crate::read::Reader;
use crate::terms;

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
    let days = terms::days(reader, bounds)?;
    let is_told = terms::each(reader, field, None, bounds, &days, &mut |found| {
        stop.check()?;
        match counts.get_mut(found.value) {
            Some(count) => *count += 1,
            None => drop(counts.insert(found.value.to_owned(), 1)),
        }
        Ok(())
    })?;
    Ok(is_told.then_some(counts))
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
    if let Some(led) = Led::by(reader, query, &matcher, phase, stop)? {
        return led.each_match(&matcher, stop, found);
    }
    let walk = phase.walk(reader, query)?;
    let mut statement = reader.conn.prepare_cached(&walk.sql).map_err(from_sqlite)?;
    for params in walk.runs() {
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
                return Ok(());
            }
        }
    }
    Ok(())
}

fn columns<'r>(row: &'r Row<'_>) -> rusqlite::Result<(TraceId, &'r [u8])> {
    Ok((TraceId(row.get(0)?), row.get_ref(1)?.as_blob()?))
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

    fn any_such(&mut self, test: &SpanTest<'_>) -> Result<bool, StoreError> {
        match self.reader.passes(self.trace_id, test)? {
            Some(passes) => Ok(passes),
            None => self.any_span(&mut |span| test.holds(span)),
        }
    }

    fn any_text(&mut self, phrase: &Phrase) -> Result<bool, StoreError> {
        self.reader.any_text(self.trace_id, phrase)
    }
}
