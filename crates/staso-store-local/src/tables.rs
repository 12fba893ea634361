//! The tables of a workspace as Parquet files: segments as they are, and what is in no segment written
//! to files without a name, which are gone when the last who holds them lets go.

mod annotations;
mod traces;
mod write;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::params;
use staso_model::Span;
use staso_store::StoreError;
use staso_store::tables::{Table, TableFile, TableSink, TablesQuery};

use crate::error::from_sqlite;
use crate::hot::span_bytes;
use crate::read::Reader;
use crate::segment::{Effort, encode, sort};
use write::{nameless, write_all};

/// Hot spans are encoded in portions of about so many bytes.
const PORTION_BYTES: usize = 16 << 20;

/// Hands over what the query asks for, of the reader's snapshot.
pub(crate) fn hand_over(
    reader: &Reader<'_>,
    query: &TablesQuery,
    mut sink: Box<dyn TableSink>,
) -> Result<(), StoreError> {
    let root = reader.segments.root();
    // Files without a name are made beside the segments, so that they are on the same disk.
    let place = root.parent().unwrap_or(root);
    for table in &query.tables {
        match table {
            Table::Spans => {
                segments(reader, root, &mut *sink)?;
                hot(reader, place, &mut *sink)?;
            }
            Table::Traces => {
                let (file, rows) = traces::file(reader, place)?;
                give(&mut *sink, Table::Traces, file, rows, Vec::new())?;
            }
            Table::Annotations => {
                let (file, rows) = annotations::file(reader, place)?;
                give(&mut *sink, Table::Annotations, file, rows, Vec::new())?;
            }
        }
    }
    Ok(())
}

fn give(
    sink: &mut dyn TableSink,
    table: Table,
    file: File,
    rows: u64,
    deleted: Vec<u64>,
) -> Result<(), StoreError> {
    // A sink that refuses has nobody behind it any more.
    sink.take(TableFile { table, file, rows, deleted }).map_err(|_| StoreError::Closed)
}

/// The segments that the catalog's snapshot names. Each is opened and handed over before the next, so
/// that any number of them costs one descriptor here.
fn segments(reader: &Reader<'_>, root: &Path, sink: &mut dyn TableSink) -> Result<(), StoreError> {
    let sql = "SELECT segment, path, rows FROM segments WHERE ws = ?1 ORDER BY segment";
    let mut statement = reader.conn.prepare_cached(sql).map_err(from_sqlite)?;
    let mut found = statement.query(params![reader.ws]).map_err(from_sqlite)?;
    while let Some(row) = found.next().map_err(from_sqlite)? {
        let read = || -> rusqlite::Result<(i64, String, i64)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        };
        let (segment, path, rows) = read().map_err(from_sqlite)?;
        let file = File::open(root.join(&path)).map_err(|error| unreadable(&path, &error))?;
        let deleted = deleted(reader, segment)?;
        give(sink, Table::Spans, file, rows.cast_unsigned(), deleted)?;
    }
    Ok(())
}

fn unreadable(path: &str, error: &io::Error) -> StoreError {
    let place = format!("segments/{path}");
    if error.kind() == io::ErrorKind::NotFound {
        return StoreError::Damaged { place, problem: "the file is gone".to_owned() };
    }
    StoreError::Engine(format!("{place} cannot be read: {error}"))
}

fn deleted(reader: &Reader<'_>, segment: i64) -> Result<Vec<u64>, StoreError> {
    let sql = "SELECT row FROM deleted WHERE segment = ?1 ORDER BY row";
    let read = || -> rusqlite::Result<Vec<u64>> {
        let mut statement = reader.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![segment], |row| row.get::<_, i64>(0))?;
        rows.map(|row| row.map(i64::cast_unsigned)).collect()
    };
    read().map_err(from_sqlite)
}

/// The spans that are in no segment, open ones included.
fn hot(reader: &Reader<'_>, place: &Path, sink: &mut dyn TableSink) -> Result<(), StoreError> {
    let (mut portion, mut bytes) = (Vec::new(), 0);
    for (_, span) in reader.hot.spans().filter(|(ws, _)| *ws == reader.ws) {
        bytes += span_bytes(span);
        portion.push(Arc::clone(span));
        if bytes >= PORTION_BYTES {
            give_spans(std::mem::take(&mut portion), place, sink)?;
            bytes = 0;
        }
    }
    give_spans(portion, place, sink)
}

fn give_spans(
    mut spans: Vec<Arc<Span>>,
    place: &Path,
    sink: &mut dyn TableSink,
) -> Result<(), StoreError> {
    if spans.is_empty() {
        return Ok(());
    }
    sort(&mut spans);
    let rows = spans.len() as u64;
    let file = nameless(place)?;
    write_all(&file, &encode(&spans, Effort::Quick)?)?;
    give(sink, Table::Spans, file, rows, Vec::new())
}
