//! The traces of which a span names a conversation or a user: what a deletion by these looks for.
//!
//! The list's rows name one conversation and one user each, a trace may name more. So two narrow columns of
//! every segment are read, and the hot set.

use std::collections::BTreeSet;

use rusqlite::params;
use staso_model::{Span, TraceId};
use staso_store::{StoreError, Target};

use crate::decode::report;
use crate::error::from_sqlite;
use crate::read::Reader;
use crate::segment::Segment;
use crate::segment::scan::{id_of, text_of};

/// Every trace that the target may mean, in order; perhaps some that it does not.
pub(crate) fn victims(reader: &Reader<'_>, target: &Target) -> Result<Vec<TraceId>, StoreError> {
    let (column, name) = match target {
        Target::Trace(trace_id) => return Ok(vec![*trace_id]),
        Target::Session(session) => ("session_id", session),
        Target::User(user) => ("user_id", user),
    };
    let mut found = BTreeSet::new();
    let names = |span: &Span| match target {
        Target::User(user) => span.user_id.as_ref() == Some(user),
        _ => span.session_id.as_ref() == Some(name),
    };
    let hot = reader.hot.spans().filter(|(ws, span)| *ws == reader.ws && names(span));
    found.extend(hot.map(|(_, span)| span.trace_id));
    for (number, path) in segments(reader)? {
        match reader.segments.get(reader.conn, number, &path) {
            Ok(segment) => scan(&segment, column, name, &mut found).or_else(|problem| {
                // Each half that can be read is: what is damaged names nobody any more.
                if segment.refusals() > 0 {
                    return Err(StoreError::Engine(format!("segments/{path}: {problem}")));
                }
                row_by_row(&segment, column, name, &mut found)
            })?,
            Err(error @ StoreError::Damaged { .. }) => report(&error),
            Err(error) => return Err(error),
        }
    }
    Ok(found.into_iter().collect())
}

fn segments(reader: &Reader<'_>) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "SELECT segment, path FROM segments WHERE ws = ?1 ORDER BY segment";
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        statement.query_map(params![reader.ws], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    read().map_err(from_sqlite)
}

fn scan(
    segment: &Segment,
    column: &str,
    name: &str,
    found: &mut BTreeSet<TraceId>,
) -> Result<(), String> {
    let mut ids = segment.ids("trace_id", true)?;
    let mut texts = segment.texts(column, true)?;
    for rows in segment.runs() {
        let (mut ids, mut texts) = (ids.run(rows)?, texts.run(rows)?);
        for _ in 0..rows {
            let id = id_of(ids.take());
            if text_of(texts.take()) == Some(name) {
                found.insert(TraceId(id));
            }
        }
    }
    Ok(())
}

/// So many rows are read together where a segment is damaged.
const ROWS: u64 = 256;

fn row_by_row(
    segment: &Segment,
    column: &str,
    name: &str,
    found: &mut BTreeSet<TraceId>,
) -> Result<(), StoreError> {
    use crate::segment::columns::{COLUMNS, Cell};
    let at = COLUMNS.iter().position(|(known, _)| *known == column).unwrap_or_default();
    let mut first = 0;
    while first < segment.len() {
        let end = segment.len().min(first + ROWS);
        for cells in segment.rows(first..end, at + 1)?.into_iter().flatten() {
            if let (Some(Cell::Bytes(id)), Some(Cell::Bytes(text))) = (cells.first(), cells.get(at))
                && text.data() == name.as_bytes()
                && let Ok(id) = id.data().try_into()
            {
                found.insert(TraceId(id));
            }
        }
        first = end;
    }
    Ok(())
}
