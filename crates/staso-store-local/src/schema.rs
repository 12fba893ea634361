//! The catalog's tables, and how its connections are set up.
//!
//! What the catalog says can be found again from the log and the segments: a commit is not synced,
//! and after a power cut the catalog stands at some earlier commit, whose place in the log it knows
//! (`meta.applied`). Every table carries its workspace.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use staso_store::StoreError;

use crate::error::from_sqlite;

/// A trace's flushed spans are ranges of rows of segments (`parts`), less those rows that a newer
/// version has replaced (`deleted`).
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('last_sequence', 0), ('applied', 0), ('flushed', 0);

CREATE TABLE IF NOT EXISTS workspaces (
  ws INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE,
  spans INTEGER NOT NULL DEFAULT 0, traces INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS receipts (
  ws INTEGER NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, reply BLOB NOT NULL,
  received_ns INTEGER NOT NULL, PRIMARY KEY (ws, key, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_by_age ON receipts (received_ns);

CREATE TABLE IF NOT EXISTS segments (
  segment INTEGER PRIMARY KEY, ws INTEGER NOT NULL, path TEXT NOT NULL, rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL, min_start_ns INTEGER NOT NULL, max_start_ns INTEGER NOT NULL,
  max_received_ns INTEGER NOT NULL, checksums BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS parts (
  ws INTEGER NOT NULL, trace_id BLOB NOT NULL, segment INTEGER NOT NULL, first_row INTEGER NOT NULL,
  rows INTEGER NOT NULL, PRIMARY KEY (ws, trace_id, segment)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deleted (
  segment INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (segment, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS traces (
  trace_row INTEGER PRIMARY KEY, ws INTEGER NOT NULL, trace_id BLOB NOT NULL,
  start_ns INTEGER NOT NULL, duration_ns INTEGER, cost_nano_usd INTEGER, tokens INTEGER,
  spans INTEGER NOT NULL, errors INTEGER NOT NULL, open INTEGER NOT NULL,
  interrupted INTEGER NOT NULL, status TEXT NOT NULL, kinds INTEGER NOT NULL, environment TEXT,
  record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS trace_identity ON traces (ws, trace_id);
CREATE INDEX IF NOT EXISTS traces_by_start ON traces (ws, start_ns, trace_id);
CREATE INDEX IF NOT EXISTS traces_by_duration ON traces (ws, duration_ns, trace_id);
CREATE INDEX IF NOT EXISTS traces_by_cost ON traces (ws, cost_nano_usd, trace_id);
CREATE INDEX IF NOT EXISTS traces_by_tokens ON traces (ws, tokens, trace_id);
CREATE INDEX IF NOT EXISTS traces_by_spans ON traces (ws, spans, trace_id);

CREATE TABLE IF NOT EXISTS open_traces (
  ws INTEGER NOT NULL, process_id BLOB NOT NULL, trace_id BLOB NOT NULL,
  PRIMARY KEY (ws, process_id, trace_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS processes (
  ws INTEGER NOT NULL, process_id BLOB NOT NULL, alive_ns INTEGER, goodbye_ns INTEGER,
  heard_ns INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (ws, process_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS annotations (
  ws INTEGER NOT NULL, id BLOB NOT NULL, trace_id BLOB NOT NULL, record BLOB NOT NULL,
  PRIMARY KEY (ws, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS annotations_by_trace ON annotations (ws, trace_id);
";

/// Tables that directories of this format may lack: they are made when one is opened. `jobs.last` is the number
/// of a deletion's last log record, `forgetting.job` that of the last deletion that left bytes in a segment.
pub(crate) const ADDED_TABLES: &str = "
CREATE TABLE IF NOT EXISTS tombstones (
  ws INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, at_ns INTEGER NOT NULL,
  PRIMARY KEY (ws, kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  job INTEGER PRIMARY KEY, ws INTEGER NOT NULL, at_ns INTEGER NOT NULL, last INTEGER NOT NULL,
  traces INTEGER NOT NULL DEFAULT 0, spans INTEGER NOT NULL DEFAULT 0,
  blanked INTEGER NOT NULL DEFAULT 0, is_gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS forgetting (
  segment INTEGER PRIMARY KEY, job INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS retired (
  segment INTEGER PRIMARY KEY, path TEXT NOT NULL
) STRICT;
";

/// Made after the tables are what this format wants: a catalog of format 1 lacks the column.
const INDEXES: &str = "CREATE INDEX IF NOT EXISTS processes_by_age ON processes (heard_ns);";
const FROM_FORMAT_1: &str = "ALTER TABLE processes ADD COLUMN heard_ns INTEGER NOT NULL DEFAULT 0;";
const IS_FORMAT_1: &str =
    "SELECT count(*) = 0 FROM pragma_table_info('processes') WHERE name = 'heard_ns'";

/// A page holds a few rows of the list.
pub(crate) const PAGE_BYTES: u64 = 8192;
/// How large SQLite's own log may grow before it is copied into the catalog.
pub(crate) const CHECKPOINT_BYTES: u64 = 64 << 20;
const WRITER_CACHE_KIB: i64 = 65_536;
const READER_CACHE_KIB: i64 = 8_192;
const MAPPED_BYTES: i64 = 1 << 28;
const STATEMENTS: usize = 64;
/// Another program may look into the catalog; we wait for it a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the catalog for the one writer, and makes its tables or brings them up to this format.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(PATIENCE)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        // Done by the writer between commits, so that no reader waits for it.
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        // Once copied, the log is cut back: its length is what says that it is to be copied.
        conn.pragma_update(None, "journal_size_limit", CHECKPOINT_BYTES.cast_signed() / 2)?;
        // What is deleted is overwritten: nobody shall find it in free pages.
        conn.pragma_update(None, "secure_delete", "ON")?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        conn.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.execute_batch(TABLES)?;
        conn.execute_batch(ADDED_TABLES)?;
        if conn.query_row(IS_FORMAT_1, [], |row| row.get(0))? {
            conn.execute_batch(FROM_FORMAT_1)?;
        }
        conn.execute_batch(INDEXES)?;
        Ok(conn)
    };
    open().map_err(from_sqlite)
}

/// The columns of each table and index, as `name of the table or index, column, type`.
pub(crate) fn columns(conn: &Connection) -> Result<BTreeSet<[String; 3]>, StoreError> {
    let sql = "SELECT m.name, p.name, p.type || ' ' || p.\"notnull\" || ' ' || p.pk
               FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p WHERE m.type = 'table'
               UNION ALL SELECT m.name, p.name, ''
               FROM sqlite_master AS m JOIN pragma_index_info(m.name) AS p
               WHERE m.type = 'index' AND m.sql IS NOT NULL";
    let read = || -> rusqlite::Result<BTreeSet<[String; 3]>> {
        let mut statement = conn.prepare(sql)?;
        statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?.collect()
    };
    read().map_err(from_sqlite)
}

/// What [`columns`] says of a catalog of this format.
pub(crate) fn known_columns() -> Result<BTreeSet<[String; 3]>, StoreError> {
    let make = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(TABLES)?;
        conn.execute_batch(INDEXES)?;
        Ok(conn)
    };
    columns(&make().map_err(from_sqlite)?)
}

/// Opens the catalog for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(PATIENCE)?;
        conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        conn.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(conn)
    };
    open().map_err(from_sqlite)
}

/// Sets a number of the catalog's own.
pub(crate) fn set_meta(conn: &Connection, key: &str, value: u64) -> Result<(), StoreError> {
    let set = || {
        conn.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?
            .execute(rusqlite::params![key, value.cast_signed()])
    };
    set().map(drop).map_err(from_sqlite)
}
