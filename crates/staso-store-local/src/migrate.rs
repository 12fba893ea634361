//! Directories of older formats: spans that stood in the catalog go to segments.
//!
//! Formats 1 and 2 kept every span as a row of the catalog. The rows are read trace by trace, written
//! to segments, and replaced by the segments' addresses in one transaction: a crash before it leaves
//! files that the next opening removes, and the table as it was.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use staso_model::{Span, TraceId};
use staso_store::StoreError;

use crate::decode::{RawSpan, report};
use crate::error::from_sqlite;
use crate::files::Files;
use crate::flush::{self, NewSegment, Plan};
use crate::hot::span_bytes;

/// So many bytes of spans are held at a time, about.
const GROUP_BYTES: usize = 64 << 20;

/// Moves the spans of an older format, if there are any.
pub(crate) fn migrate(conn: &Connection, files: &Files, root: &Path) -> Result<(), StoreError> {
    let exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'spans'";
    let tables: i64 = conn.query_row(exists, [], |row| row.get(0)).map_err(from_sqlite)?;
    if tables == 0 {
        return Ok(());
    }
    tracing::info!("the data directory has an older format: its spans move to segments");
    let mut mover = Mover { files, root, written: Vec::new(), held: Vec::new(), bytes: 0 };
    let damaged = mover.read(conn)?;
    mover.write()?;
    let written = mover.written;
    let work = || -> Result<(), StoreError> {
        conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        written.iter().try_for_each(|segment| flush::insert(conn, segment))?;
        let end = if damaged == 0 {
            "DROP TABLE spans; COMMIT;"
        } else {
            // What cannot be read is kept for whoever can mend it.
            "DROP INDEX span_identity; ALTER TABLE spans RENAME TO older_spans; COMMIT;"
        };
        conn.execute_batch(end).map_err(from_sqlite)
    };
    if let Err(error) = work() {
        flush::remove(files, root, &written);
        return Err(error);
    }
    // The room is given back; a failure only keeps the file large.
    if let Err(error) = conn.execute_batch("VACUUM") {
        tracing::warn!(%error, "the catalog could not be shrunk");
    }
    Ok(())
}

struct Mover<'a> {
    files: &'a Files,
    root: &'a Path,
    written: Vec<NewSegment>,
    held: Vec<(i64, Arc<Span>)>,
    bytes: usize,
}

impl Mover<'_> {
    /// Reads every row; answers how many are damaged.
    fn read(&mut self, conn: &Connection) -> Result<u64, StoreError> {
        let sql =
            "SELECT s.span_row, s.span_id, s.version, s.head, s.payload, s.ws, s.trace_id, w.slug
                   FROM spans AS s JOIN workspaces AS w ON w.ws = s.ws ORDER BY s.ws, s.trace_id";
        let mut damaged = 0;
        let mut last = None;
        let mut statement = conn.prepare(sql).map_err(from_sqlite)?;
        let mut rows = statement.query([]).map_err(from_sqlite)?;
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            let other = || Ok((row.get(5)?, row.get(6)?, row.get::<_, String>(7)?));
            let (ws, trace_id, slug): (i64, [u8; 16], String) = other().map_err(from_sqlite)?;
            let trace = (ws, TraceId(trace_id));
            // A trace is never cut, so that each segment has one range of its rows.
            if self.bytes > GROUP_BYTES && last != Some(trace) {
                self.write()?;
            }
            last = Some(trace);
            match RawSpan::of(row)?.decode(&slug, trace.1) {
                Ok(span) => {
                    self.bytes += span_bytes(&span);
                    self.held.push((ws, Arc::new(span)));
                }
                Err(error) => {
                    damaged += 1;
                    report(&error);
                }
            }
        }
        Ok(damaged)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let first = i64::try_from(self.written.len()).unwrap_or(i64::MAX) + 1;
        self.bytes = 0;
        let plan = Plan::new(self.held.drain(..), first);
        match plan.write(self.files, self.root) {
            Ok(segments) => {
                self.written.extend(segments);
                Ok(())
            }
            Err(error) => {
                flush::remove(self.files, self.root, &self.written);
                Err(error)
            }
        }
    }
}
