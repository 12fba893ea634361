//! Spans of one trace, wherever they are: the hot set has the newest versions of what changed lately,
//! segments have the rest in ranges of rows that the catalog names.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::params;
use staso_model::{Span, SpanId, Stage, TraceId, Version};
use staso_store::StoreError;
use staso_store::memory::strip_payloads;
use staso_store::rollup::SpanSummary;
use staso_store::row::FoundSpan;
use staso_store::tree;

use crate::cache::Place;
use crate::decode::report;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::Segment;
use crate::segment::columns::{COLUMNS, Cell, HEAD, IDENTITY, STEP};
use crate::segment::row;

/// A trace's range of rows in one segment.
pub(crate) struct Part {
    pub(crate) segment: i64,
    pub(crate) path: String,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
}

/// Less than, or equal to, every version: a damaged one loses against any report that comes.
const LEAST_VERSION: Version =
    Version { stage: Stage::Open, client: 0, received_ns: i64::MIN, sequence: 0 };

/// The payloads of so many roots are read one by one; of more, with the whole range.
const FEW_ROOTS: usize = 4;

/// One row of a segment, perhaps damaged.
type RowCells = Result<Vec<Cell>, String>;

impl Reader<'_> {
    /// The hot spans of a trace.
    pub(crate) fn hot_spans(&self, trace_id: TraceId) -> impl Iterator<Item = &Span> {
        self.hot.trace(&(self.ws, trace_id)).into_iter().flatten().map(|(_, span)| &**span)
    }

    /// The spans of a trace that are not damaged, dropped ones included.
    pub(crate) fn spans(&self, trace_id: TraceId, payloads: bool) -> Result<Vec<Span>, StoreError> {
        let mut spans: Vec<Span> = self.hot_spans(trace_id).cloned().collect();
        if !payloads {
            spans.iter_mut().for_each(strip_payloads);
        }
        let columns = if payloads { COLUMNS.len() } else { HEAD };
        self.flushed(trace_id, columns, &mut |part, row, cells| {
            match decode(part, row, &cells, self.workspace) {
                Ok(span) => spans.push(span),
                Err(error) => report(&error),
            }
            Ok(())
        })?;
        Ok(spans)
    }

    /// One span with its place in the tree.
    pub(crate) fn span(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
    ) -> Result<Option<FoundSpan>, StoreError> {
        let Some(span) = self.stored_span(trace_id, span_id)? else { return Ok(None) };
        let flushed = OnceCell::new();
        let place = tree::place(&span, |id| {
            if let Some(span) = self.hot.find(&(self.ws, trace_id), &id) {
                return Ok::<_, StoreError>(Some(tree::Step::of(span)));
            }
            if flushed.get().is_none() {
                // Nobody else fills it meanwhile.
                let _ = flushed.set(self.flushed_steps(trace_id)?);
            }
            Ok(flushed.get().and_then(|steps| steps.get(&id).copied()))
        })?;
        Ok(Some(FoundSpan { span, place }))
    }

    fn flushed_steps(&self, trace_id: TraceId) -> Result<HashMap<SpanId, tree::Step>, StoreError> {
        let mut steps = HashMap::new();
        self.flushed(trace_id, STEP, &mut |_, _, cells| {
            if let Some((cells, identity)) =
                cells.ok().and_then(|cells| row::identity(&cells).map(|id| (cells, id)))
            {
                let (parent, dropped) = row::step(&cells);
                steps.insert(identity.span_id, tree::Step { parent, dropped });
            }
            Ok(())
        })?;
        Ok(steps)
    }

    /// One span, whole.
    pub(crate) fn stored_span(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
    ) -> Result<Option<Span>, StoreError> {
        if let Some(span) = self.hot.find(&(self.ws, trace_id), &span_id) {
            return Ok(Some((**span).clone()));
        }
        let mut damage = None;
        for part in self.parts(trace_id)? {
            let segment = match self.segments.get(self.conn, part.segment, &part.path) {
                Ok(segment) => segment,
                Err(error @ StoreError::Damaged { .. }) => {
                    damage = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (at, cells) in self.live_rows(&part, &segment, IDENTITY)? {
                match cells.map(|cells| row::identity(&cells)) {
                    Ok(Some(identity)) if identity.span_id == span_id => {
                        let cells = segment.rows(at..at + 1, COLUMNS.len())?.pop();
                        let cells = cells.unwrap_or_else(|| Err("it is missing".to_owned()));
                        return decode(&part, at, &cells, self.workspace).map(Some);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => damage = Some(damaged(&part, at, "who it is cannot be read")),
                    Err(problem) => damage = Some(damaged(&part, at, &problem)),
                }
            }
        }
        // It may be the one that cannot be told.
        damage.map_or(Ok(None), Err)
    }

    /// Calls `found` with every span of a trace in segments: where it is, who it is, and its summary,
    /// which a damaged one lacks.
    pub(crate) fn summaries(
        &self,
        trace_id: TraceId,
        found: &mut dyn FnMut(Place, SpanId, Version, Option<SpanSummary>),
    ) -> Result<(), StoreError> {
        for part in self.parts(trace_id)? {
            let Some(segment) = self.opened(&part)? else { continue };
            let mut rows = self.live_rows(&part, &segment, HEAD)?;
            let is_root =
                |cells: &RowCells| cells.as_ref().is_ok_and(|cells| row::step(cells).0.is_none());
            let is_whole = rows.iter().filter(|(_, cells)| is_root(cells)).count() > FEW_ROOTS;
            if is_whole {
                rows = self.live_rows(&part, &segment, COLUMNS.len())?;
            }
            for (at, cells) in rows {
                let place = Place::Segment { segment: part.segment, row: at };
                let known = cells.as_ref().ok().and_then(|cells| row::identity(cells));
                match (decode(&part, at, &cells, self.workspace), known) {
                    (Ok(span), _) if is_whole => {
                        found(place, span.span_id, span.version, Some(SpanSummary::of(&span)));
                    }
                    (Ok(span), _) => {
                        let summary = self.summary(&part, &segment, at, &span)?;
                        found(place, span.span_id, span.version, summary);
                    }
                    (Err(error), Some(known)) => {
                        report(&error);
                        found(place, known.span_id, LEAST_VERSION, None);
                    }
                    (Err(error), None) => report(&error),
                }
            }
        }
        Ok(())
    }

    /// A root shows the start of its payloads.
    fn summary(
        &self,
        part: &Part,
        segment: &Segment,
        at: u64,
        head: &Span,
    ) -> Result<Option<SpanSummary>, StoreError> {
        if head.parent_span_id.is_some() {
            return Ok(Some(SpanSummary::of_head(head)));
        }
        let Some(cells) = segment.rows(at..at + 1, COLUMNS.len())?.pop() else { return Ok(None) };
        let span = decode(part, at, &cells, self.workspace);
        Ok(span.inspect_err(report).ok().map(|span| SpanSummary::of(&span)))
    }

    /// Calls `found` with the first columns of every row of a trace that is not deleted. Segments that
    /// are damaged or gone are reported and passed over.
    fn flushed(
        &self,
        trace_id: TraceId,
        columns: usize,
        found: &mut dyn FnMut(&Part, u64, RowCells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for part in self.parts(trace_id)? {
            let Some(segment) = self.opened(&part)? else { continue };
            for (at, cells) in self.live_rows(&part, &segment, columns)? {
                found(&part, at, cells)?;
            }
        }
        Ok(())
    }

    pub(crate) fn opened(&self, part: &Part) -> Result<Option<Arc<Segment>>, StoreError> {
        match self.segments.get(self.conn, part.segment, &part.path) {
            Ok(segment) => Ok(Some(segment)),
            Err(error @ StoreError::Damaged { .. }) => {
                report(&error);
                Ok(None)
            }
            // It may pass; what the segment has must not be taken for lost meanwhile.
            Err(error) => Err(error),
        }
    }

    fn live_rows(
        &self,
        part: &Part,
        segment: &Segment,
        columns: usize,
    ) -> Result<Vec<(u64, RowCells)>, StoreError> {
        let range = part.first_row..part.first_row + part.rows;
        let deleted = self.deleted(part)?;
        let mut rows: Vec<_> = range.clone().zip(segment.rows(range, columns)?).collect();
        rows.retain(|(at, _)| !deleted.contains(at));
        Ok(rows)
    }

    pub(crate) fn parts(&self, trace_id: TraceId) -> Result<Vec<Part>, StoreError> {
        let sql = "SELECT p.segment, s.path, p.first_row, p.rows
                   FROM parts AS p JOIN segments AS s ON s.segment = p.segment
                   WHERE p.ws = ?1 AND p.trace_id = ?2 ORDER BY p.segment";
        let read = || -> rusqlite::Result<Vec<Part>> {
            let mut statement = self.conn.prepare_cached(sql)?;
            let rows = statement.query_map(params![self.ws, trace_id.0], |row| {
                Ok(Part {
                    segment: row.get(0)?,
                    path: row.get(1)?,
                    first_row: row.get::<_, i64>(2)?.cast_unsigned(),
                    rows: row.get::<_, i64>(3)?.cast_unsigned(),
                })
            })?;
            rows.collect()
        };
        read().map_err(from_sqlite)
    }

    pub(crate) fn deleted(&self, part: &Part) -> Result<HashSet<u64>, StoreError> {
        let sql = "SELECT row FROM deleted WHERE segment = ?1 AND row >= ?2 AND row < ?3";
        let (first, end) = (part.first_row, part.first_row + part.rows);
        let read = || -> rusqlite::Result<HashSet<u64>> {
            let mut statement = self.conn.prepare_cached(sql)?;
            let params = params![part.segment, first.cast_signed(), end.cast_signed()];
            let rows = statement.query_map(params, |row| row.get::<_, i64>(0))?;
            rows.map(|row| row.map(i64::cast_unsigned)).collect()
        };
        read().map_err(from_sqlite)
    }
}

fn decode(part: &Part, at: u64, cells: &RowCells, workspace: &str) -> Result<Span, StoreError> {
    match cells {
        Ok(cells) => row::span(cells, workspace).map_err(|problem| damaged(part, at, problem)),
        Err(problem) => Err(damaged(part, at, problem)),
    }
}

fn damaged(part: &Part, at: u64, problem: &str) -> StoreError {
    StoreError::Damaged {
        place: format!("segments/{}, row {at}", part.path),
        problem: problem.to_owned(),
    }
}
