//! The table in which formats 1 and 2 kept spans, read row by row: where a page or a record is
//! damaged, the rows beside it are still read.

use rusqlite::{Connection, OptionalExtension, params};
use staso_model::{Span, TraceId};
use staso_store::StoreError;

use crate::apply::run;
use crate::decode::RawSpan;
use crate::error::from_sqlite;

/// So many numbers of rows are looked up at a time.
const ROWS: i64 = 256;

pub(crate) struct Older<'a> {
    conn: &'a Connection,
    /// The greatest number of a row.
    pub(crate) last: i64,
}

/// What became of reading a row.
pub(crate) enum Read {
    /// A span, and its workspace's number.
    Span(i64, Box<Span>),
    Damaged(StoreError),
    /// There is no such row.
    Missing,
}

impl<'a> Older<'a> {
    /// The table, if the catalog has one.
    pub(crate) fn find(conn: &'a Connection) -> Result<Option<Self>, StoreError> {
        let exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'spans'";
        let tables: i64 = conn.query_row(exists, [], |row| row.get(0)).map_err(from_sqlite)?;
        if tables == 0 {
            return Ok(None);
        }
        let last = "SELECT coalesce(max(span_row), 0) FROM spans";
        let last = conn.query_row(last, [], |row| row.get(0)).map_err(from_sqlite)?;
        Ok(Some(Self { conn, last }))
    }

    /// The numbers of the next rows. Where a page of the table is damaged, every number it may have
    /// had: they are tried one by one.
    pub(crate) fn rows_after(&self, row: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT span_row FROM spans WHERE span_row > ?1 ORDER BY span_row LIMIT ?2";
        let read = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.conn.prepare_cached(sql)?;
            statement.query_map([row, ROWS], |row| row.get(0))?.collect()
        };
        match read() {
            Err(error) if is_damage(&error) => {
                Ok((row + 1..=self.last.min(row.saturating_add(ROWS))).collect())
            }
            rows => rows.map_err(from_sqlite),
        }
    }

    /// One row. An error is one that may pass; damage is an answer.
    pub(crate) fn read(&self, row: i64) -> Result<Read, StoreError> {
        let sql =
            "SELECT s.span_row, s.span_id, s.version, s.head, s.payload, s.ws, s.trace_id, w.slug
                   FROM spans AS s LEFT JOIN workspaces AS w ON w.ws = s.ws WHERE s.span_row = ?1";
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.conn.prepare_cached(sql)?;
            statement
                .query_row([row], |row| {
                    let place = (row.get(5)?, TraceId(row.get(6)?), row.get::<_, String>(7)?);
                    Ok((RawSpan::of(row)?, place))
                })
                .optional()
        };
        match read() {
            Ok(None) => Ok(Read::Missing),
            Ok(Some((raw, (ws, trace_id, slug)))) => Ok(match raw.decode(&slug, trace_id) {
                Ok(span) => Read::Span(ws, Box::new(span)),
                Err(error) => Read::Damaged(error),
            }),
            Err(error) if is_damage(&error) => Ok(Read::Damaged(StoreError::Damaged {
                place: format!("catalog.db, spans row {row}"),
                problem: error.to_string(),
            })),
            Err(error) => Err(from_sqlite(error)),
        }
    }

    /// Says of these rows that they are to be kept for whoever can mend them.
    pub(crate) fn keep(&self, damaged: &[i64]) -> Result<(), StoreError> {
        let table = "CREATE TABLE IF NOT EXISTS damaged_spans (span_row INTEGER PRIMARY KEY)";
        self.conn.execute_batch(table).map_err(from_sqlite)?;
        let sql = "INSERT OR IGNORE INTO damaged_spans VALUES (?1)";
        damaged.iter().try_for_each(|row| run(self.conn, sql, params![row]).map(drop))
    }

    /// Drops the table; its damaged rows stay, in `older_spans`.
    pub(crate) fn drop_but_damaged(&self) -> Result<(), StoreError> {
        self.keep(&[])?;
        let sql = "SELECT EXISTS (SELECT 1 FROM damaged_spans)";
        if self.conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)? {
            let copy = "CREATE TABLE IF NOT EXISTS older_spans AS SELECT * FROM spans WHERE false;
                INSERT INTO older_spans SELECT s.* FROM spans AS s
                  JOIN damaged_spans AS d ON d.span_row = s.span_row;";
            self.conn.execute_batch(copy).map_err(from_sqlite)?;
        }
        self.conn.execute_batch("DROP TABLE spans; DROP TABLE damaged_spans").map_err(from_sqlite)
    }

    /// Leaves the table as it is under another name.
    pub(crate) fn set_aside(&self) -> Result<(), StoreError> {
        let sql = "SELECT count(*) FROM sqlite_master WHERE name GLOB 'older_spans*'";
        let others: i64 = self.conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
        let name = if others == 0 { String::new() } else { format!("_{}", others + 1) };
        let rename = format!(
            "ALTER TABLE spans RENAME TO older_spans{name}; DROP TABLE IF EXISTS damaged_spans"
        );
        self.conn.execute_batch(&rename).map_err(from_sqlite)
    }
}

/// Whether an error says that bytes are not what was written. All others may pass.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)
    ) || error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
}
