//! The catalog under inspection: SQLite's own checks, and the checksums of our records in it.

use std::cell::Cell;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use staso_model::{AnnotationId, TraceId};
use staso_store::StoreError;
use staso_store::matching::duration_ns;

use super::Look;
use crate::decode;
use crate::error::from_sqlite;
use crate::migrate::older::{Older, Read};
use crate::other_records::StoredRow;
use crate::schema;
use crate::terms;

/// Records that are damaged.
#[derive(Default)]
struct Tally {
    count: u64,
    first: Option<String>,
}

impl Tally {
    fn add(&mut self, problem: impl ToString) {
        self.count += 1;
        self.first.get_or_insert_with(|| problem.to_string());
    }
}

/// No more findings of a sort are told.
const MOST: usize = 20;

/// What lists find traces by.
const TERMS: &str = "trace(s) among the terms";

/// What the catalog says of the log.
pub(crate) struct Numbers {
    pub(crate) applied: u64,
    pub(crate) flushed: u64,
}

impl Numbers {
    pub(crate) fn read(conn: &Connection) -> Result<Self, StoreError> {
        let meta = |key: &str| {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let value = conn.query_row(sql, [key], |row| row.get::<_, i64>(0));
            value.map(i64::cast_unsigned).map_err(from_sqlite)
        };
        Ok(Self { applied: meta("applied")?, flushed: meta("flushed")? })
    }
}

/// Opens a catalog for looking. Where nobody has it and SQLite's log is empty, no file is made beside
/// it.
pub(super) fn open(path: &Path, is_in_use: bool) -> Result<Connection, StoreError> {
    let log = path.with_extension("db-wal");
    if is_in_use || std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0) {
        return schema::open_reader(path);
    }
    let name = path.to_string_lossy();
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let open = || {
        let conn = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
        conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(conn)
    };
    open().map_err(from_sqlite)
}

/// A damaged catalog has no table.
pub(super) fn has_table(conn: &Connection, name: &str) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)";
    conn.query_row(sql, [name], |row| row.get(0)).unwrap_or(false)
}

pub(super) fn has_rows(conn: &Connection, table: &str) -> bool {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
    conn.query_row(&sql, [], |row| row.get(0)).unwrap_or(false)
}

impl Look<'_> {
    pub(super) fn catalog(&mut self, conn: &Connection, path: &Path) {
        match integrity(conn) {
            Ok(problems) => self.integrity(path, &problems),
            Err(error) => self.damaged(path, error.to_string(), self.restore),
        }
        for (what, look) in [
            ("row(s) of the list", rows_of_list as fn(&Connection) -> _),
            (TERMS, terms_of_list),
            ("annotation(s)", annotations),
            ("span(s) of an older format", older_spans),
        ] {
            match look(conn) {
                Ok(damaged) => self.records(path, what, damaged),
                Err(error) => self.damaged(path, format!("{what}: {error}"), self.restore),
            }
        }
    }

    /// Deletions whose bytes are still somewhere.
    pub(super) fn deletions(&mut self, conn: &Connection) {
        if !["jobs", "forgetting"].iter().all(|table| has_table(conn, table)) {
            return;
        }
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
        let jobs = count("SELECT count(*) FROM jobs WHERE is_gone = 0");
        if jobs > 0 {
            let files = count("SELECT count(*) FROM forgetting");
            self.note(format!(
                "{jobs} deletion(s) are hidden and not gone: {files} file(s) in segments, or the log, have \
                 bytes of them; a running server writes these anew, but for files that are damaged"
            ));
        }
    }

    /// The names of tables and columns: SQLite takes any for right.
    pub(super) fn schema(&mut self, conn: &Connection, path: &Path) {
        let missing = || -> Result<Vec<[String; 3]>, StoreError> {
            let there = schema::columns(conn)?;
            Ok(schema::known_columns()?
                .into_iter()
                .filter(|known| !there.contains(known))
                .collect())
        };
        match missing().as_deref() {
            Ok([]) => {}
            Ok([[table, column, _], ..]) => {
                let problem = format!("its table or index {table} lacks {column} as it should be");
                self.damaged(path, problem, self.restore);
            }
            Err(error) => self.damaged(path, error.to_string(), self.restore),
        }
    }

    fn integrity(&mut self, path: &Path, problems: &[String]) {
        let is_of_index = |problem: &String| problem.contains("index");
        let remedy = if problems.iter().all(is_of_index) {
            "while no server runs, keep a copy and have SQLite make its indexes anew: \
             sqlite3 catalog.db REINDEX"
        } else {
            self.restore
        };
        if let Some(first) = problems.first() {
            let problem = format!("SQLite finds {} problem(s), first: {first}", problems.len());
            self.damaged(path, problem, remedy);
        }
    }

    fn records(&mut self, path: &Path, what: &str, Tally { count, first }: Tally) {
        let Some(first) = first else { return };
        let remedy = match what {
            "row(s) of the list" => {
                "none is needed: such a row is computed from its spans when it is shown, and written \
                 anew when its trace changes"
            }
            TERMS => {
                "lists with filters may lack traces: while no server runs, have the next start make them \
                 anew: sqlite3 catalog.db \"DELETE FROM meta WHERE key = 'terms'\""
            }
            "annotation(s)" => "restore the directory from a backup, or give the annotation again",
            _ => self.restore,
        };
        self.damaged(path, format!("{count} {what} damaged, first: {first}"), remedy);
    }
}

fn integrity(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = conn.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let mut problems = read().map_err(from_sqlite)?;
    problems.retain(|problem| problem != "ok");
    Ok(problems)
}

/// What is damaged among the rows of a query.
fn damaged(
    conn: &Connection,
    table: &str,
    sql: &str,
    look: impl Fn(&Row<'_>) -> rusqlite::Result<Result<(), String>>,
) -> Result<Tally, StoreError> {
    let mut found = Tally::default();
    if !has_table(conn, table) {
        return Ok(found);
    }
    let mut statement = conn.prepare(sql).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        match look(row) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => found.add(problem),
            Err(error) => found.add(error),
        }
    }
    Ok(found)
}

/// Rows of the list whose record is damaged, or says another thing than the columns beside it.
fn rows_of_list(conn: &Connection) -> Result<Tally, StoreError> {
    let sql = "SELECT t.record, t.trace_id, w.slug, t.start_ns, t.spans, t.errors, t.open,
                 t.interrupted, t.status, t.environment, t.duration_ns, t.cost_nano_usd, t.tokens
               FROM traces AS t LEFT JOIN workspaces AS w ON w.ws = t.ws";
    damaged(conn, "traces", sql, |row| {
        let (record, trace_id) = (row.get::<_, Vec<u8>>(0)?, TraceId(row.get(1)?));
        let StoredRow { row: told, interrupted_count, .. } =
            match decode::row(&record, &row.get::<_, String>(2)?, trace_id) {
                Ok(stored) => stored,
                Err(error) => return Ok(Err(error.to_string())),
            };
        let counts = [told.span_count, told.error_count, told.open_count, interrupted_count];
        let numbers = [told.start_ns].into_iter().chain(counts.map(u64::cast_signed));
        let numbers: Vec<i64> = numbers.collect();
        let optional = [duration_ns(&told), told.cost_nano_usd, told.total_tokens];
        let is_same = (3..8).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<i64>>>()?
            == numbers
            && row.get::<_, String>(8)? == told.status.as_str()
            && row.get::<_, Option<String>>(9)? == told.environment
            && (10..13).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Option<i64>>>>()?
                == optional;
        let problem = || format!("the row of trace {trace_id}: its columns contradict its record");
        Ok(if is_same { Ok(()) } else { Err(problem()) })
    })
}

/// Traces that lack a term which their row says; and whether there are terms that no row says.
fn terms_of_list(conn: &Connection) -> Result<Tally, StoreError> {
    if !has_table(conn, "trace_terms") || !terms::are_complete(conn)? {
        return Ok(Tally::default());
    }
    let sql = "SELECT t.record, t.trace_id, w.slug, t.ws
               FROM traces AS t JOIN workspaces AS w ON w.ws = t.ws";
    let (said, unknown) = (Cell::new(0), Cell::new(false));
    let mut found = damaged(conn, "traces", sql, |row| {
        let (record, trace_id) = (row.get::<_, Vec<u8>>(0)?, TraceId(row.get(1)?));
        let Ok(stored) = decode::row(&record, &row.get::<_, String>(2)?, trace_id) else {
            unknown.set(true);
            return Ok(Ok(()));
        };
        let count = terms::there(conn, row.get(3)?, &stored.row)?;
        said.set(said.get() + count.unwrap_or_default());
        Ok(count.map(drop).ok_or_else(|| format!("trace {trace_id} is not found by all its texts")))
    })?;
    let sql = "SELECT count(*) FROM trace_terms";
    let there: i64 = conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
    if found.count == 0 && !unknown.get() && there != said.get() {
        found.add("there are more than the rows of the list say");
    }
    Ok(found)
}

fn annotations(conn: &Connection) -> Result<Tally, StoreError> {
    let sql = "SELECT a.record, a.id, a.trace_id, w.slug
               FROM annotations AS a LEFT JOIN workspaces AS w ON w.ws = a.ws";
    damaged(conn, "annotations", sql, |row| {
        let (id, trace_id) = (AnnotationId(row.get(1)?), TraceId(row.get(2)?));
        let record: Vec<u8> = row.get(0)?;
        let read = decode::annotation(&record, &row.get::<_, String>(3)?, id, trace_id);
        Ok(read.map(drop).map_err(|error| error.to_string()))
    })
}

/// Rows of the table that formats 1 and 2 had.
fn older_spans(conn: &Connection) -> Result<Tally, StoreError> {
    let mut found = Tally::default();
    let Some(older) = Older::find(conn)? else { return Ok(found) };
    let mut at = 0;
    while at < older.last {
        let rows = older.rows_after(at)?;
        for row in &rows {
            if let Read::Damaged(error) = older.read(*row)? {
                found.add(error);
            }
        }
        at = rows.last().copied().unwrap_or(older.last);
    }
    Ok(found)
}
