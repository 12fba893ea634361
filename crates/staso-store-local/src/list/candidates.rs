//! Traces that the indexes of segments name: some span of them has a name or metadata.
//!
//! Each comes with the latest time at which it may have begun, the latest first: a trace begins no later than any
//! of its spans. So a list in the order of starts reads segments from the newest and stops when its page is full.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::params;
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::matching::SpanTest;

use crate::decode::report;
use crate::error::from_sqlite;
use crate::numbers::Stop;
use crate::read::Reader;
use crate::segment::Index;
use crate::segment::columns::Cell;
use crate::segment::index::Numbers;
use crate::terms::FEW;

/// A segment of the workspace, the latest first.
struct Part {
    number: i64,
    path: String,
    rows: u64,
    max_start_ns: i64,
}

/// What a segment names.
enum Named {
    /// Places in its index, of the latest start first.
    Numbers(Arc<Index>, Vec<u32>),
    /// It has no index: every trace of it.
    All(Vec<TraceId>),
}

impl Named {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(_, numbers) => numbers.len(),
            Self::All(traces) => traces.len(),
        }
    }
}

/// What comes next, by the latest start that it may have.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Trace(TraceId),
    /// A segment that was not looked into yet.
    Part(Reverse<usize>),
    /// The rest of what a segment names.
    Rest(Reverse<usize>, usize),
}

/// The candidates of one question.
pub(super) struct Candidates<'a> {
    reader: &'a Reader<'a>,
    stop: &'a Stop,
    test: SpanTest<'a>,
    hot: HashMap<TraceId, i64>,
    parts: Vec<Part>,
    named: HashMap<usize, Named>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        stop: &'a Stop,
        test: SpanTest<'a>,
        from_ns: Option<i64>,
    ) -> Result<Self, StoreError> {
        let mut hot = HashMap::<TraceId, i64>::new();
        let mine = reader.hot.spans().filter(|(ws, span)| *ws == reader.ws && !span.dropped);
        for (_, span) in mine {
            stop.check()?;
            if !test.holds(span) {
                continue;
            }
            let start_ns = hot.entry(span.trace_id).or_insert(i64::MAX);
            *start_ns = span.start_ns.min(*start_ns);
        }
        let parts = parts(reader, from_ns)?;
        Ok(Self { reader, stop, test, hot, parts, named: HashMap::new() })
    }

    /// Whether so few are named that they may be looked up and sorted.
    pub(super) fn are_few(&mut self) -> Result<bool, StoreError> {
        let few = usize::try_from(FEW).unwrap_or_default();
        let mut count = self.hot.len();
        for at in 0..self.parts.len() {
            if count >= few {
                break;
            }
            count += self.named(at)?.len();
        }
        Ok(count < few)
    }

    /// Whether all that was asked so far had an index.
    pub(super) fn are_indexed(&self) -> bool {
        !self.named.values().any(|named| matches!(named, Named::All(traces) if !traces.is_empty()))
    }

    fn named(&mut self, at: usize) -> Result<&Named, StoreError> {
        self.stop.check()?;
        if !self.named.contains_key(&at) {
            let named = self.ask(&self.parts[at])?;
            self.named.insert(at, named);
        }
        Ok(&self.named[&at])
    }

    fn ask(&self, part: &Part) -> Result<Named, StoreError> {
        let (segments, conn) = (self.reader.segments, self.reader.conn);
        match segments.index(conn, part.number, &part.path) {
            Ok(Some(index)) => {
                let Numbers { mut passing, untold } = index.find(&self.test);
                if !untold.is_empty() {
                    passing.extend(untold);
                    passing.sort_unstable();
                    passing.dedup();
                }
                // Indexes that name nothing need not stay in memory for this.
                let named = match passing.is_empty() {
                    true => Named::All(Vec::new()),
                    false => Named::Numbers(index, passing),
                };
                Ok(named)
            }
            Ok(None) => self.all(part),
            Err(error @ StoreError::Damaged { .. }) => {
                report(&error);
                self.all(part)
            }
            Err(error) => Err(error),
        }
    }

    /// Every trace of a segment: as its own column says, else the catalog, which takes longer.
    fn all(&self, part: &Part) -> Result<Named, StoreError> {
        let segment = match self.reader.segments.get(self.reader.conn, part.number, &part.path) {
            Ok(segment) => Some(segment),
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let column = segment.and_then(|segment| segment.picked(&(0..part.rows), ["trace_id"]).ok());
        let Some([column]) = column else { return self.all_known(part) };
        let id = |cell: &Cell| match cell {
            Cell::Bytes(bytes) => bytes.data().try_into().ok().map(TraceId),
            _ => None,
        };
        let mut traces: Vec<TraceId> = column.iter().filter_map(id).collect();
        traces.dedup();
        Ok(Named::All(traces))
    }

    fn all_known(&self, part: &Part) -> Result<Named, StoreError> {
        let sql = "SELECT trace_id FROM parts WHERE ws = ?1 AND segment = ?2";
        let read = || -> rusqlite::Result<Vec<TraceId>> {
            let mut statement = self.reader.conn.prepare_cached(sql)?;
            let params = params![self.reader.ws, part.number];
            statement.query_map(params, |row| Ok(TraceId(row.get(0)?)))?.collect()
        };
        Ok(Named::All(read().map_err(from_sqlite)?))
    }

    /// Calls `found` with each candidate once, and the latest start that it and all that follow may have; until
    /// it answers `false`.
    pub(super) fn each(
        mut self,
        found: &mut dyn FnMut(i64, TraceId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let hot = self.hot.iter().map(|(trace_id, start_ns)| (*start_ns, Next::Trace(*trace_id)));
        let mut heap: BinaryHeap<(i64, Next)> = hot.collect();
        for (at, part) in self.parts.iter().enumerate() {
            heap.push((part.max_start_ns, Next::Part(Reverse(at))));
        }
        while let Some((bound_ns, next)) = heap.pop() {
            let (at, begin) = match next {
                Next::Trace(trace_id) => {
                    if seen.insert(trace_id) && !found(bound_ns, trace_id)? {
                        return Ok(());
                    }
                    continue;
                }
                Next::Part(Reverse(at)) => {
                    self.open(at, &mut heap)?;
                    (at, 0)
                }
                Next::Rest(Reverse(at), begin) => (at, begin),
            };
            let Some(Named::Numbers(index, numbers)) = self.named.get(&at) else { continue };
            let trace = |at: usize| numbers.get(at).and_then(|number| index.trace(*number));
            if begin > 0
                && let Some(trace) = trace(begin - 1)
                && seen.insert(trace.trace_id)
                && !found(bound_ns, trace.trace_id)?
            {
                return Ok(());
            }
            if let Some(trace) = trace(begin) {
                heap.push((trace.start_ns, Next::Rest(Reverse(at), begin + 1)));
            }
        }
        Ok(())
    }

    /// Asks a segment. Where rows were replaced since, their traces may begin later than the index says.
    fn open(&mut self, at: usize, heap: &mut BinaryHeap<(i64, Next)>) -> Result<(), StoreError> {
        let max_start_ns = self.parts[at].max_start_ns;
        let deleted = deleted(self.reader, self.parts[at].number)?;
        let loose: Vec<TraceId> = match self.named(at)? {
            Named::All(traces) => traces.clone(),
            Named::Numbers(_, _) if deleted.is_empty() => Vec::new(),
            Named::Numbers(index, numbers) => {
                let changed = index.at_rows(&deleted);
                let traces = numbers.iter().filter(|number| changed.contains(number));
                traces.filter_map(|number| Some(index.trace(*number)?.trace_id)).collect()
            }
        };
        heap.extend(loose.into_iter().map(|trace_id| (max_start_ns, Next::Trace(trace_id))));
        Ok(())
    }
}

/// The segments that may have spans of traces which begin at this time or later.
fn parts(reader: &Reader<'_>, from_ns: Option<i64>) -> Result<Vec<Part>, StoreError> {
    let sql = "SELECT segment, path, rows, max_start_ns FROM segments
               WHERE ws = ?1 AND max_start_ns >= ?2 ORDER BY max_start_ns DESC";
    let read = || -> rusqlite::Result<Vec<Part>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let params = params![reader.ws, from_ns.unwrap_or(i64::MIN)];
        let rows = statement.query_map(params, |row| {
            Ok(Part {
                number: row.get(0)?,
                path: row.get(1)?,
                rows: row.get::<_, i64>(2)?.cast_unsigned(),
                max_start_ns: row.get(3)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(from_sqlite)
}

fn deleted(reader: &Reader<'_>, segment: i64) -> Result<Vec<u64>, StoreError> {
    let sql = "SELECT row FROM deleted WHERE segment = ?1 ORDER BY row";
    let read = || -> rusqlite::Result<Vec<u64>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let rows = statement.query_map([segment], |row| row.get::<_, i64>(0))?;
        rows.map(|row| row.map(i64::cast_unsigned)).collect()
    };
    read().map_err(from_sqlite)
}
