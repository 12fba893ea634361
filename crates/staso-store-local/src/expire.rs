//! Retention: what is old is found beside the writer, from four narrow columns of the segments that may
//! have it, and taken out in steps that are as short as a group of batches.
//!
//! Each step judges again whether a trace may go: it may have been written to since. The log knows nothing of
//! this, since nothing has to be kept away: a catalog of before the last steps has traces that
//! are old still, and the next pass takes them. Files of which every row is deleted go without being read
//! ([`crate::compact::spent`]).

use std::collections::{HashMap, HashSet};

use rusqlite::params;
use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::retention::{Age, Retention};

use crate::apply::{Transaction, run};
use crate::cache::CachedTrace;
use crate::decode::report;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::Segment;
use crate::segment::row::OPEN;
use crate::segment::scan::{id_of, text_of};

/// What may go, as one snapshot shows it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) age: Age,
    /// Traces of which nothing was seen that is not old.
    pub(crate) traces: Vec<TraceId>,
    /// The segments that were looked through: a trace with rows in another stays.
    pub(crate) segments: HashSet<i64>,
    /// All that there were, these and younger ones. What stands in another file came or was moved there since. Its
    /// number does not say so: a compaction takes its numbers when it begins, flushes take later ones meanwhile.
    pub(crate) all: HashSet<i64>,
    /// Those of them of which nothing stays.
    pub(crate) spent: Vec<Spent>,
    /// Whether some of the traces wait for a flush.
    pub(crate) needs_flush: bool,
}

/// A segment of which nothing stays.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) number: i64,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Traces of which it has rows that were deleted before.
    pub(crate) replaced: Vec<TraceId>,
}

/// Whose rows a segment has: those that count, and those that are deleted.
#[derive(Default)]
struct Rows {
    counting: HashSet<TraceId>,
    deleted: HashSet<TraceId>,
}

/// A segment as the catalog knows it.
struct Known {
    number: i64,
    path: String,
    rows: u64,
    bytes: u64,
    min_start_ns: i64,
    max_start_ns: i64,
    max_received_ns: i64,
    deleted: u64,
}

impl Known {
    /// Its bytes without those of deleted rows, about.
    fn live_bytes(&self) -> u64 {
        let live = u128::from(self.rows.saturating_sub(self.deleted));
        let bytes = u128::from(self.bytes) * live / u128::from(self.rows.max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// How old a trace has to be by what is stored of its workspace; `floor_ns` is as far as an earlier look went.
/// Answers `None` where there is nothing to do.
pub(crate) fn age(
    reader: &Reader<'_>,
    retention: &Retention,
    floor_ns: Option<i64>,
) -> Result<Option<Age>, StoreError> {
    let before_ns = retention.before_ns.filter(|_| floor_ns.is_none());
    let mut through_ns = None;
    if let Some(max_bytes) = retention.max_bytes {
        let mut segments = segments(reader, i64::MAX)?;
        segments.sort_by_key(|known| known.max_start_ns);
        let stored: u64 = segments.iter().map(Known::live_bytes).sum();
        let mut excess = stored.saturating_sub(max_bytes);
        for known in &segments {
            if excess == 0 {
                break;
            }
            if floor_ns.is_none_or(|floor| known.max_start_ns > floor) {
                excess = excess.saturating_sub(known.live_bytes());
                through_ns = Some(known.max_start_ns);
            }
        }
    }
    let is_some = before_ns.is_some() || through_ns.is_some();
    Ok(is_some.then_some(Age { before_ns, through_ns }))
}

/// What may go.
pub(crate) fn plan(reader: &Reader<'_>, age: Age) -> Result<Plan, StoreError> {
    let mut found = Found { age, stays: HashMap::new() };
    let mut hot = HashSet::new();
    for (_, span) in reader.hot.spans().filter(|(ws, _)| *ws == reader.ws) {
        found.see(span.trace_id, age.lets_go(span));
        hot.insert(span.trace_id);
    }
    let known = match age.latest_ns() {
        Some(latest) => segments(reader, latest)?,
        None => Vec::new(),
    };
    let mut own = Vec::with_capacity(known.len());
    for segment in &known {
        own.push(found.look_through(reader, segment)?);
    }
    let may_go = |trace_id: &TraceId| found.stays.get(trace_id) == Some(&false);
    let spent = known.iter().zip(own).filter(|(_, rows)| rows.counting.iter().all(may_go));
    let spent = spent.map(|(known, rows)| Spent {
        number: known.number,
        path: known.path.clone(),
        bytes: known.bytes,
        replaced: rows.deleted.difference(&rows.counting).copied().collect(),
    });
    let spent = spent.collect();
    let mut traces: Vec<TraceId> = found.stays.keys().filter(|id| may_go(id)).copied().collect();
    // Those of a file follow one another in the catalog's tables, too.
    traces.sort_unstable();
    Ok(Plan {
        age,
        needs_flush: traces.iter().any(|trace_id| hot.contains(trace_id)),
        spent,
        segments: known.iter().map(|known| known.number).collect(),
        all: numbers(reader)?,
        traces,
    })
}

/// The numbers of all segments of the workspace.
fn numbers(reader: &Reader<'_>) -> Result<HashSet<i64>, StoreError> {
    let sql = "SELECT segment FROM segments WHERE ws = ?1";
    let read = || -> rusqlite::Result<HashSet<i64>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        statement.query_map([reader.ws], |row| row.get(0))?.collect()
    };
    read().map_err(from_sqlite)
}

/// Segments with a span that began no later than this.
fn segments(reader: &Reader<'_>, latest_ns: i64) -> Result<Vec<Known>, StoreError> {
    let sql = "SELECT segment, path, rows, bytes, min_start_ns, max_start_ns, max_received_ns,
                 (SELECT count(*) FROM deleted AS d WHERE d.segment = s.segment)
               FROM segments AS s WHERE ws = ?1 AND min_start_ns <= ?2 ORDER BY segment";
    let read = || -> rusqlite::Result<Vec<Known>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![reader.ws, latest_ns], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(Known {
                number: row.get(0)?,
                path: row.get(1)?,
                rows: count(2)?,
                bytes: count(3)?,
                min_start_ns: row.get(4)?,
                max_start_ns: row.get(5)?,
                max_received_ns: row.get(6)?,
                deleted: count(7)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(from_sqlite)
}

/// What was seen of each trace.
struct Found {
    age: Age,
    stays: HashMap<TraceId, bool>,
}

impl Found {
    fn see(&mut self, trace_id: TraceId, lets_go: bool) {
        *self.stays.entry(trace_id).or_default() |= !lets_go;
    }

    /// Answers whose rows count in it.
    fn look_through(&mut self, reader: &Reader<'_>, known: &Known) -> Result<Rows, StoreError> {
        let deleted = crate::compact::deleted(reader.conn, known.number).map_err(from_sqlite)?;
        let (mut rows, mut replaced) = (Vec::new(), HashSet::new());
        match reader.segments.get(reader.conn, known.number, &known.path) {
            Ok(segment) => match self.scan(&segment, &deleted, &mut rows, &mut replaced) {
                Ok(()) => {}
                Err(problem) if segment.refusals() > 0 => {
                    return Err(StoreError::Engine(format!("segments/{}: {problem}", known.path)));
                }
                Err(_) => self.by_catalog(reader, known, &mut rows)?,
            },
            Err(error @ StoreError::Damaged { .. }) => {
                report(&error);
                self.by_catalog(reader, known, &mut rows)?;
            }
            Err(error) => return Err(error),
        }
        let mut found = Rows { deleted: replaced, ..Rows::default() };
        for (trace_id, lets_go) in rows {
            self.see(trace_id, lets_go);
            found.counting.insert(trace_id);
        }
        Ok(found)
    }

    fn scan(
        &self,
        segment: &Segment,
        deleted: &HashSet<u64>,
        found: &mut Vec<(TraceId, bool)>,
        replaced: &mut HashSet<TraceId>,
    ) -> Result<(), String> {
        let mut ids = segment.ids("trace_id", true)?;
        let mut starts = segment.ints("start_ns", true)?;
        let mut received = segment.ints("received_ns", true)?;
        let mut stages = segment.texts("stage", true)?;
        let mut at = 0_u64;
        for rows in segment.runs() {
            let (mut ids, mut starts) = (ids.run(rows)?, starts.run(rows)?);
            let (mut received, mut stages) = (received.run(rows)?, stages.run(rows)?);
            for row in at..at + rows as u64 {
                let trace_id = TraceId(id_of(ids.take()));
                let (start, received) = (starts.take().copied(), received.take().copied());
                let is_open = text_of(stages.take()).is_none_or(|stage| stage == OPEN);
                let is_old = start.zip(received).is_some_and(|(s, r)| self.age.is_old(s, r));
                if deleted.contains(&row) {
                    replaced.insert(trace_id);
                } else {
                    found.push((trace_id, is_old && !is_open));
                }
            }
            at += rows as u64;
        }
        Ok(())
    }

    /// Of a damaged segment only the catalog's bounds are known: where they say that all of it is old, it
    /// goes, or nobody would ever be rid of it.
    fn by_catalog(
        &self,
        reader: &Reader<'_>,
        known: &Known,
        found: &mut Vec<(TraceId, bool)>,
    ) -> Result<(), StoreError> {
        let is_old = [known.min_start_ns, known.max_start_ns]
            .iter()
            .all(|start| self.age.is_old(*start, known.max_received_ns));
        let sql = "SELECT p.trace_id, coalesce(t.open, 0) FROM parts AS p
                   LEFT JOIN traces AS t ON t.ws = p.ws AND t.trace_id = p.trace_id
                   WHERE p.ws = ?1 AND p.segment = ?2";
        let read = || -> rusqlite::Result<Vec<([u8; 16], i64)>> {
            let mut statement = reader.conn.prepare_cached(sql)?;
            let ids = params![reader.ws, known.number];
            statement.query_map(ids, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        *found = read()
            .map_err(from_sqlite)?
            .into_iter()
            .map(|(id, open)| (TraceId(id), is_old && open == 0))
            .collect();
        Ok(())
    }
}

impl Transaction<'_> {
    /// Lets a trace go, if all of it still may. Answers how many spans that were; `None` where some of it
    /// stands in a file that was not there when it was looked for: a compaction has moved it.
    pub(crate) fn expire(
        &mut self,
        ws: i64,
        trace_id: TraceId,
        plan: &Plan,
    ) -> Result<Option<u64>, StoreError> {
        let trace = (ws, trace_id);
        if self.kept.hot.trace(&trace).is_some() {
            return Ok(Some(0));
        }
        let parts = self.reader(ws, "").parts(trace_id)?;
        if !parts.iter().all(|part| plan.segments.contains(&part.segment)) {
            let has_moved = parts.iter().any(|part| !plan.all.contains(&part.segment));
            return Ok((!has_moved).then_some(0));
        }
        let mut spans = 0;
        for part in &parts {
            let sql = "INSERT OR IGNORE INTO deleted (segment, row) VALUES (?1, ?2)";
            for row in part.first_row..part.first_row + part.rows {
                spans += run(self.conn, sql, params![part.segment, row.cast_signed()])? as u64;
            }
        }
        if spans == 0 {
            return Ok(Some(0));
        }
        // None of it is open, so that nobody is said to hold it open.
        let rows = self.take_out_of_list(&trace)?;
        let sql = "DELETE FROM parts WHERE ws = ?1 AND trace_id = ?2";
        run(self.conn, sql, params![ws, trace_id.0])?;
        if self.kept.cache.get(&trace).is_some() {
            self.kept.cache.insert(trace, CachedTrace::default());
        }
        *self.new_spans.entry(ws).or_default() -= spans.cast_signed();
        *self.new_traces.entry(ws).or_default() -= i64::try_from(rows).unwrap_or_default();
        Ok(Some(spans))
    }
}
