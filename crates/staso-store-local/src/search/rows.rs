//! The texts of rows of a segment, and where a phrase stands in them.
//!
//! No row is decoded as a whole: long texts are compared as they stand in their pages, and only those
//! that may have the phrase are looked at letter by letter.

use std::collections::HashSet;
use std::ops::Range;

use rusqlite::params;
use staso_model::{Span, SpanId, SpanKind, SpanStatus, TraceId};
use staso_store::StoreError;
use staso_store::search::{Phrase, SearchCursor, SearchField, SearchHit, SearchQuery, Snippet};

use crate::decode::report;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::Segment;
use crate::segment::columns::Cell;
use crate::span_record::PayloadRecord;

/// A segment's texts.
pub(super) struct Texts<'a> {
    pub(super) segment: &'a Segment,
    pub(super) number: i64,
    pub(super) reader: &'a Reader<'a>,
}

/// The latest start of rows that a query reaches, as far as their starts tell.
pub(super) fn latest(starts: &[Cell], rows: &Range<u64>, query: &SearchQuery) -> Option<i64> {
    let [from, to] = [rows.start, rows.end].map(|row| usize::try_from(row).unwrap_or(usize::MAX));
    let reaches = |start_ns: &i64| {
        query.from_ns.is_none_or(|from_ns| from_ns <= *start_ns)
            && query.to_ns.is_none_or(|to_ns| *start_ns < to_ns)
            && query.after.is_none_or(|after| *start_ns <= after.start_ns)
    };
    starts.get(from..to)?.iter().filter_map(int).filter(reaches).max()
}

impl Texts<'_> {
    /// The hits among rows that stand where `reaches` admits, in no order. The inner error says what is
    /// wrong with the rows.
    pub(super) fn hits(
        &self,
        rows: &Range<u64>,
        phrase: &Phrase,
        reaches: impl Fn(&SearchCursor) -> bool,
    ) -> Result<Result<Vec<SearchHit>, String>, StoreError> {
        let deleted = self.deleted(rows)?;
        Ok(self.try_hits(rows, phrase, |row, at| !deleted.contains(&row) && reaches(at)))
    }

    fn try_hits(
        &self,
        rows: &Range<u64>,
        phrase: &Phrase,
        reaches: impl Fn(u64, &SearchCursor) -> bool,
    ) -> Result<Vec<SearchHit>, String> {
        let [traces, spans, starts, dropped] =
            self.segment.picked(rows, ["trace_id", "span_id", "start_ns", "dropped"])?;
        let place = |at: usize| {
            let start_ns = int(&starts[at])?;
            let (trace_id, span_id) = (TraceId(id(&traces[at])?), SpanId(id(&spans[at])?));
            Some(SearchCursor { start_ns, trace_id, span_id })
        };
        let places: Vec<Option<SearchCursor>> = (0..starts.len())
            .zip(rows.clone())
            .map(|(at, row)| {
                let is_there = dropped[at] != Cell::Flag(true);
                place(at).filter(|place| is_there && reaches(row, place))
            })
            .collect();
        if places.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let mut found = vec![None; places.len()];
        self.find(rows, phrase, &places, &mut found)?;
        if found.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let [names, kinds, statuses] = self.segment.picked(rows, ["name", "kind", "status"])?;
        let hit = |(at, (place, found)): (usize, (Option<SearchCursor>, Option<_>))| {
            let (place, (field, snippet)) = (place?, found?);
            Some(SearchHit {
                trace_id: place.trace_id,
                span_id: place.span_id,
                name: text(&names[at])?.to_owned(),
                kind: text(&kinds[at]).and_then(SpanKind::parse).unwrap_or(SpanKind::Custom),
                status: text(&statuses[at])
                    .and_then(SpanStatus::parse)
                    .unwrap_or(SpanStatus::Unset),
                start_ns: place.start_ns,
                field,
                snippet,
            })
        };
        Ok(places.into_iter().zip(found).enumerate().filter_map(hit).collect())
    }

    /// Fills in where each of the rows that have a place has the phrase.
    fn find(
        &self,
        rows: &Range<u64>,
        phrase: &Phrase,
        places: &[Option<SearchCursor>],
        found: &mut [Option<(SearchField, Snippet)>],
    ) -> Result<(), String> {
        let mut room = Vec::new();
        let mut look = |field, texts: &[Cell], is_json: &[Cell]| {
            for (at, cell) in texts.iter().enumerate() {
                let Cell::Bytes(bytes) = cell else { continue };
                let is_json = is_json.get(at) == Some(&Cell::Flag(true));
                if places[at].is_none()
                    || found[at].is_some()
                    || !phrase.may_stand_in(bytes.data(), is_json, &mut room)
                {
                    continue;
                }
                let snippet = text(cell).and_then(|text| phrase.find_in_text(text, is_json));
                found[at] = snippet.map(|snippet| (field, snippet));
            }
        };
        let [names, errors] = self.segment.picked(rows, ["name", "error_message"])?;
        look(SearchField::Name, &names, &[]);
        look(SearchField::Error, &errors, &[]);
        for (field, name, flag) in [
            (SearchField::Input, "input", "input_is_json"),
            (SearchField::Output, "output", "output_is_json"),
        ] {
            let [texts, flags] = self.segment.picked(rows, [name, flag])?;
            look(field, &texts, &flags);
        }
        let [events] = self.segment.picked(rows, ["events_record"])?;
        for (at, cell) in events.iter().enumerate() {
            let Cell::Bytes(record) = cell else { continue };
            if places[at].is_some() && found[at].is_none() {
                let snippet = in_events(record.data(), phrase)?;
                found[at] = snippet.map(|snippet| (SearchField::Event, snippet));
            }
        }
        Ok(())
    }

    fn deleted(&self, rows: &Range<u64>) -> Result<HashSet<u64>, StoreError> {
        let sql = "SELECT row FROM deleted WHERE segment = ?1 AND row >= ?2 AND row < ?3";
        let read = || -> rusqlite::Result<HashSet<u64>> {
            let mut statement = self.reader.conn.prepare_cached(sql)?;
            let params = params![self.number, rows.start.cast_signed(), rows.end.cast_signed()];
            let rows = statement.query_map(params, |row| row.get::<_, i64>(0))?;
            rows.map(|row| row.map(i64::cast_unsigned)).collect()
        };
        read().map_err(from_sqlite)
    }
}

fn in_events(record: &[u8], phrase: &Phrase) -> Result<Option<Snippet>, String> {
    const DAMAGED: &str = "the events are no record";
    let record: PayloadRecord = rmp_serde::from_slice(record).map_err(|_| DAMAGED)?;
    let mut span = Span::new("", TraceId([0; 16]), SpanId([0; 16]));
    record.fill(&mut span).ok_or(DAMAGED)?;
    Ok(phrase.find_in_events(&span.events))
}

fn int(cell: &Cell) -> Option<i64> {
    if let Cell::Int(n) = cell { Some(*n) } else { None }
}

fn id(cell: &Cell) -> Option<[u8; 16]> {
    if let Cell::Bytes(bytes) = cell { bytes.data().try_into().ok() } else { None }
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Bytes(bytes) = cell { std::str::from_utf8(bytes.data()).ok() } else { None }
}

impl Reader<'_> {
    /// Whether a span of a trace that was not dropped has a phrase in its texts.
    pub(crate) fn any_text(&self, trace_id: TraceId, phrase: &Phrase) -> Result<bool, StoreError> {
        if self.hot_spans(trace_id).any(|span| !span.dropped && phrase.stands_in(span)) {
            return Ok(true);
        }
        for part in self.parts(trace_id)? {
            let Some(segment) = self.opened(&part)? else { continue };
            let texts = Texts { segment: &segment, number: part.segment, reader: self };
            let mut chunks = segment.chunks(part.first_row..part.first_row + part.rows);
            while let Some(rows) = chunks.pop() {
                let before = segment.refusals();
                match texts.hits(&rows, phrase, |at| at.trace_id == trace_id)? {
                    Ok(hits) if hits.is_empty() => {}
                    Ok(_) => return Ok(true),
                    Err(problem) if segment.refusals() != before => {
                        let problem = format!("segments/{} cannot be read: {problem}", part.path);
                        return Err(StoreError::Engine(problem));
                    }
                    Err(problem) if rows.end - rows.start <= 1 => {
                        let place = format!("segments/{}, row {}", part.path, rows.start);
                        report(&StoreError::Damaged { place, problem });
                    }
                    Err(_) => {
                        let middle = rows.start.midpoint(rows.end);
                        chunks.extend([rows.start..middle, middle..rows.end]);
                    }
                }
            }
        }
        Ok(false)
    }
}
