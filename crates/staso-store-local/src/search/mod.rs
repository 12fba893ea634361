//! Search: the hot set and the segments, newest first, each only as far as the answer needs.
//!
//! Everything that may have hits is a unit that knows the latest start in it: a hot span, a segment,
//! and, once a segment is opened, each of its chunks of rows. The unit with the latest start is looked
//! at next. A hit waits until no unit that is left begins as late as it: so hits leave in their order,
//! and a common word is found after a chunk or two.

mod rows;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::params;
use staso_model::{Span, TraceId};
use staso_store::StoreError;
use staso_store::metrics::Traces;
use staso_store::search::{Phrase, SearchCursor, SearchEnd, SearchHit, SearchQuery};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use crate::decode::report;
use crate::error::from_sqlite;
use crate::numbers::{Scope, Stop};
use crate::read::Reader;
use crate::search::rows::Texts;
use crate::segment::Segment;

/// Traces of which it is remembered whether the filter admits them.
const REMEMBERED: usize = 100_000;

/// A segment that may have hits.
struct Part {
    number: i64,
    path: String,
    rows: u64,
}

/// Rows that are looked at together, by the latest start among them.
struct Unit {
    max_start_ns: i64,
    part: usize,
    /// `None`: the segment has not been opened yet.
    rows: Option<Range<u64>>,
}

impl Unit {
    /// The later, the sooner; whole segments before rows, then by place.
    fn rank(&self) -> impl Ord + use<> {
        let first = self.rows.as_ref().map(|rows| rows.start);
        (self.max_start_ns, Reverse((first.is_some(), self.part, first)))
    }
}

/// A hit that waits for its turn.
struct Waiting(SearchCursor, SearchHit);

macro_rules! ordered_by {
    ($type:ty, $key:expr) => {
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                $key(self).cmp(&$key(other))
            }
        }
        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for $type {}
    };
}

ordered_by!(Unit, Unit::rank);
ordered_by!(Waiting, |waiting: &Waiting| waiting.0);

/// A search under way.
struct Search<'a> {
    reader: &'a Reader<'a>,
    query: &'a SearchQuery,
    phrase: Phrase,
    scope: Scope<'a>,
    admitted: HashMap<TraceId, bool>,
    /// Hot spans, the newest last.
    hot: Vec<Arc<Span>>,
    parts: Vec<Part>,
    units: BinaryHeap<Unit>,
    waiting: BinaryHeap<Waiting>,
}

/// Sends the hits of a query as they are found.
pub(crate) fn search(
    reader: &Reader<'_>,
    query: &SearchQuery,
    stop: &Stop,
    found: &mpsc::Sender<SearchHit>,
) -> Result<SearchEnd, StoreError> {
    let begun = Instant::now();
    let mut search = Search::new(reader, query)?;
    let mut left = query.limit;
    let mut last = None;
    loop {
        stop.check()?;
        let latest = search.latest_start();
        while let Some(Waiting(at, hit)) = search.next_hit(latest) {
            left -= 1;
            match send(query, begun, found, hit) {
                // Whoever takes hits too slowly must not hold the snapshot for ever.
                Sent::Late => {
                    let before = SearchCursor::before_start(at.start_ns);
                    return Ok(SearchEnd { next: last.or(Some(before)) });
                }
                Sent::Taken if left > 0 => last = Some(at),
                Sent::Taken | Sent::Gone => return Ok(SearchEnd { next: Some(at) }),
            }
        }
        let Some(latest) = latest else { return Ok(SearchEnd { next: None }) };
        let is_late = query.give_up_after.is_some_and(|patience| begun.elapsed() >= patience);
        let at = SearchCursor::before_start(latest);
        // Who asks again from here must not stand where this search began: a segment that was opened
        // a moment ago is known to have nothing later, and nothing in it was looked at yet.
        let is_further = query.after.is_none_or(|after| at < after);
        if found.is_closed() || is_late && is_further {
            return Ok(SearchEnd { next: Some(at) });
        }
        search.step()?;
    }
}

/// What became of a hit.
enum Sent {
    Taken,
    /// The time was up before there was room for it.
    Late,
    /// Nobody listens any more.
    Gone,
}

/// Waits until a hit is taken, as long as the search may take.
fn send(
    query: &SearchQuery,
    begun: Instant,
    found: &mpsc::Sender<SearchHit>,
    hit: SearchHit,
) -> Sent {
    let Some(patience) = query.give_up_after else {
        return if found.blocking_send(hit).is_ok() { Sent::Taken } else { Sent::Gone };
    };
    let left = patience.saturating_sub(begun.elapsed());
    match Handle::current().block_on(found.send_timeout(hit, left)) {
        Ok(()) => Sent::Taken,
        Err(SendTimeoutError::Timeout(_)) => Sent::Late,
        Err(SendTimeoutError::Closed(_)) => Sent::Gone,
    }
}

impl<'a> Search<'a> {
    fn new(reader: &'a Reader<'a>, query: &'a SearchQuery) -> Result<Self, StoreError> {
        let (parts, units) = segments(reader, query)?;
        Ok(Self {
            reader,
            query,
            phrase: Phrase::new(&query.text),
            scope: Scope::new(reader, query.environment.as_ref(), &query.filter)?,
            admitted: HashMap::new(),
            hot: hot(reader, query),
            parts,
            units: units.into(),
            waiting: BinaryHeap::new(),
        })
    }

    /// The latest start that something not looked at yet may have.
    fn latest_start(&self) -> Option<i64> {
        let hot = self.hot.last().map(|span| span.start_ns);
        hot.max(self.units.peek().map(|unit| unit.max_start_ns))
    }

    /// The next hit, if nothing that is left begins as late.
    fn next_hit(&mut self, latest: Option<i64>) -> Option<Waiting> {
        let is_due = |waiting: &Waiting| latest.is_none_or(|latest| waiting.0.start_ns > latest);
        self.waiting.peek().is_some_and(is_due).then(|| self.waiting.pop()).flatten()
    }

    /// Looks at what begins latest.
    fn step(&mut self) -> Result<(), StoreError> {
        let unit_start = self.units.peek().map(|unit| unit.max_start_ns);
        if self.hot.last().is_some_and(|span| Some(span.start_ns) >= unit_start) {
            let Some(span) = self.hot.pop() else { return Ok(()) };
            let hit = self.phrase.hit(&span);
            return hit.map_or(Ok(()), |hit| self.take(hit));
        }
        let Some(unit) = self.units.pop() else { return Ok(()) };
        let part = &self.parts[unit.part];
        let segment = match self.reader.segments.get(self.reader.conn, part.number, &part.path) {
            Ok(segment) => segment,
            Err(error @ StoreError::Damaged { .. }) => {
                report(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match &unit.rows {
            None => self.open(&unit, &segment),
            Some(rows) => self.scan(unit.part, &segment, rows.clone()),
        }
    }

    /// Makes units of a segment's rows.
    fn open(&mut self, unit: &Unit, segment: &Segment) -> Result<(), StoreError> {
        let rows = self.parts[unit.part].rows.min(segment.len());
        let before = segment.refusals();
        let starts = segment.picked(&(0..rows), ["start_ns"]).ok().map(|[starts]| starts);
        if starts.is_none() && segment.refusals() != before {
            return Err(self.refused(unit.part));
        }
        for rows in segment.chunks(0..rows) {
            // Where the starts are damaged, each of the chunks may have the latest.
            let max_start_ns = match &starts {
                Some(starts) => rows::latest(starts, &rows, self.query),
                None => Some(unit.max_start_ns),
            };
            if let Some(max_start_ns) = max_start_ns {
                self.units.push(Unit { max_start_ns, part: unit.part, rows: Some(rows) });
            }
        }
        Ok(())
    }

    /// Looks for the phrase in rows of a segment. What is damaged is reported and left out, row by
    /// row; a read that the system refuses is an error.
    fn scan(&mut self, at: usize, segment: &Segment, rows: Range<u64>) -> Result<(), StoreError> {
        let before = segment.refusals();
        let part = &self.parts[at];
        let texts = Texts { segment, number: part.number, reader: self.reader };
        let (query, phrase) = (self.query, &self.phrase);
        match texts.hits(&rows, phrase, |at| query.reaches(at))? {
            Ok(hits) => hits.into_iter().try_for_each(|hit| self.take(hit)),
            Err(_) if segment.refusals() != before => Err(self.refused(at)),
            Err(problem) if rows.end - rows.start <= 1 => {
                let place = format!("segments/{}, row {}", part.path, rows.start);
                report(&StoreError::Damaged { place, problem });
                Ok(())
            }
            Err(_) => {
                let middle = rows.start.midpoint(rows.end);
                self.scan(at, segment, rows.start..middle)?;
                self.scan(at, segment, middle..rows.end)
            }
        }
    }

    fn refused(&self, part: usize) -> StoreError {
        StoreError::Engine(format!("segments/{} cannot be read", self.parts[part].path))
    }

    /// Keeps a hit if its trace is admitted.
    fn take(&mut self, hit: SearchHit) -> Result<(), StoreError> {
        if self.admits(hit.trace_id)? {
            let SearchHit { start_ns, trace_id, span_id, .. } = hit;
            self.waiting.push(Waiting(SearchCursor { start_ns, trace_id, span_id }, hit));
        }
        Ok(())
    }

    fn admits(&mut self, trace_id: TraceId) -> Result<bool, StoreError> {
        if self.query.admits_all() {
            return Ok(true);
        }
        if let Some(known) = self.admitted.get(&trace_id) {
            return Ok(*known);
        }
        let row = self.scope.row(&trace_id)?;
        let admits = row.map_or(Ok(false), |row| self.scope.admits(&row))?;
        if self.admitted.len() >= REMEMBERED {
            self.admitted.clear();
        }
        self.admitted.insert(trace_id, admits);
        Ok(admits)
    }
}

/// The hot spans that a query reaches, the newest last.
fn hot(reader: &Reader<'_>, query: &SearchQuery) -> Vec<Arc<Span>> {
    let spans = reader.hot.spans().filter(|(ws, span)| *ws == reader.ws && !span.dropped);
    let spans = spans.map(|(_, span)| span);
    let mut spans: Vec<_> =
        spans.filter(|span| query.reaches(&SearchCursor::of(span))).cloned().collect();
    spans.sort_by_key(|span| SearchCursor::of(span));
    spans
}

/// The segments that a query reaches, and a unit for each.
fn segments(
    reader: &Reader<'_>,
    query: &SearchQuery,
) -> Result<(Vec<Part>, Vec<Unit>), StoreError> {
    // Behind a cursor may be spans that begin at the same time as it.
    let at_most = query.after.map(|after| after.start_ns);
    let at_most = at_most.into_iter().chain(query.to_ns.map(|to_ns| to_ns.saturating_sub(1))).min();
    let sql = "SELECT segment, path, rows, max_start_ns FROM segments
               WHERE ws = ?1 AND max_start_ns >= ?2 AND min_start_ns <= ?3 ORDER BY segment";
    let (at_least, at_most) = (query.from_ns.unwrap_or(i64::MIN), at_most.unwrap_or(i64::MAX));
    let read = || -> rusqlite::Result<Vec<(Part, i64)>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![reader.ws, at_least, at_most], |row| {
            let rows = row.get::<_, i64>(2)?.cast_unsigned();
            Ok((Part { number: row.get(0)?, path: row.get(1)?, rows }, row.get(3)?))
        })?;
        rows.collect()
    };
    let (mut parts, mut units) = (Vec::new(), Vec::new());
    for (part, max_start_ns) in read().map_err(from_sqlite)? {
        units.push(Unit { max_start_ns: max_start_ns.min(at_most), part: parts.len(), rows: None });
        parts.push(part);
    }
    Ok((parts, units))
}
