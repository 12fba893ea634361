//! Lists that are led by what names traces: the indexes of segments, or texts that have a part.
//!
//! A match waits until no candidate that is left can have begun as late as it.

use std::collections::BinaryHeap;

use rusqlite::{OptionalExtension, params_from_iter};
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::matching::{Matcher, SpanTest, sort_value};
use staso_store::query::{Filter, Sort, TextMatch, TraceQuery};
use staso_store::row::TraceRow;

use super::LazySpans;
use super::candidates::Candidates;
use super::texts::Texts;
use super::walk::{Lookup, Phase, bounds};
use crate::error::from_sqlite;
use crate::numbers::Stop;
use crate::read::Reader;

/// The tests that every match of a filter passes; those that one term answers first.
fn required<'f>(filter: &'f Filter, tests: &mut Vec<SpanTest<'f>>) {
    if let Filter::All(inner) = filter {
        inner.iter().for_each(|filter| required(filter, tests));
    }
    tests.extend(SpanTest::of(filter));
    tests.sort_by_key(|test| !matches!(test, SpanTest::Metadata(_, TextMatch::Equals(_))));
}

/// Where the candidates of a list come from, if not from the order that it wants.
enum Source<'a> {
    Spans(Candidates<'a>),
    Texts(Texts<'a>),
}

impl Source<'_> {
    /// Calls `found` with each candidate once, and the latest start that it and all that follow may have; until
    /// it answers `false`.
    fn each(
        self,
        stop: &Stop,
        found: &mut dyn FnMut(i64, TraceId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Spans(candidates) => candidates.each(found),
            Self::Texts(texts) => texts.each(stop, found),
        }
    }
}

/// A list that is led by what names traces.
pub(super) struct Led<'a> {
    reader: &'a Reader<'a>,
    source: Source<'a>,
    lookup: Lookup,
    query: &'a TraceQuery,
}

impl<'a> Led<'a> {
    /// `None`: something else leads.
    pub(super) fn by(
        reader: &'a Reader<'a>,
        query: &'a TraceQuery,
        matcher: &'a Matcher,
        phase: &Phase,
        stop: &'a Stop,
    ) -> Result<Option<Self>, StoreError> {
        let source = source(reader, query, matcher.filter(), phase, stop)?;
        let led = |source| Self { reader, source, lookup: phase.lookup(reader, query), query };
        Ok(source.map(led))
    }

    /// Calls `found` with every match in the order of the list, until it answers `false`.
    pub(super) fn each_match(
        self,
        matcher: &Matcher,
        stop: &Stop,
        found: &mut dyn FnMut(TraceRow) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let Self { reader, source, lookup, query } = self;
        let is_by_start = query.sort == Sort::Start;
        let (from_ns, _) = bounds(query);
        let mut ready = BinaryHeap::<Ready>::new();
        let mut goes_on = true;
        source.each(stop, &mut |bound_ns, trace_id| {
            stop.check()?;
            while goes_on && is_by_start && ready.peek().is_some_and(|r| r.value > Some(bound_ns)) {
                goes_on = ready.pop().map_or(Ok(true), |ready| found(ready.row))?;
            }
            let is_over = is_by_start && from_ns.is_some_and(|from_ns| bound_ns < from_ns);
            if !goes_on || is_over {
                return Ok(false);
            }
            if let Some(row) = look_up(reader, &lookup, trace_id)?
                && matcher.matches(&row, &mut LazySpans::new(reader, trace_id))?
            {
                ready.push(Ready { value: sort_value(&row, query.sort), trace_id, row });
            }
            Ok(true)
        })?;
        while goes_on && let Some(next) = ready.pop() {
            goes_on = found(next.row)?;
        }
        Ok(())
    }
}

/// So many tests are tried, to find one that names few traces.
const MAX_TESTS: usize = 8;

/// What leads: whatever names few traces; where nothing does, what names many leads in the order of starts, if no whole
/// text of a row does. Not on further pages, or before some time: candidates come from the newest on, where
/// an index of the catalog begins at once where the page does.
fn source<'a>(
    reader: &'a Reader<'a>,
    query: &TraceQuery,
    filter: &'a Filter,
    phase: &Phase,
    stop: &'a Stop,
) -> Result<Option<Source<'a>>, StoreError> {
    if phase.names_one(reader, query) {
        return Ok(None);
    }
    let mut tests = Vec::new();
    required(filter, &mut tests);
    let (from_ns, until_ns) = bounds(query);
    let mut common = None;
    for test in tests.into_iter().take(MAX_TESTS) {
        let mut candidates = Candidates::new(reader, stop, test, from_ns)?;
        if candidates.are_few()? {
            return Ok(Some(Source::Spans(candidates)));
        }
        common = common.or(Some(candidates).filter(Candidates::are_indexed));
    }
    if phase.has_leader(reader, query) {
        return Ok(None);
    }
    let is_by_start = query.sort == Sort::Start;
    if let Some(candidates) = common.filter(|_| is_by_start && until_ns.is_none()) {
        return Ok(Some(Source::Spans(candidates)));
    }
    let Some(texts) = Texts::of(reader, query, filter)? else { return Ok(None) };
    let leads = is_by_start || texts.are_few(stop)?;
    Ok(leads.then_some(Source::Texts(texts)))
}

/// The row of a trace, if it is one of the phase.
fn look_up(
    reader: &Reader<'_>,
    lookup: &Lookup,
    trace_id: TraceId,
) -> Result<Option<TraceRow>, StoreError> {
    let record = || {
        let mut statement = reader.conn.prepare_cached(&lookup.sql)?;
        let params = params_from_iter(lookup.params(trace_id));
        statement.query_row(params, |row| row.get::<_, Vec<u8>>(1)).optional()
    };
    let Some(record) = record().map_err(from_sqlite)? else { return Ok(None) };
    reader.stored_row(trace_id, &record)
}

/// A match that waits for its turn.
struct Ready {
    value: Option<i64>,
    trace_id: TraceId,
    row: TraceRow,
}

impl Ready {
    fn rank(&self) -> (Option<i64>, TraceId) {
        (self.value, self.trace_id)
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Ready {}
