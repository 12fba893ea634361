//! A catalog that is older than its segments, brought up from them.
//!
//! A file of a segment that the catalog does not name is, as a rule, of a flush that did not come to
//! its end: the log has its spans, and it is removed. But where the log begins after what the catalog
//! says is flushed, the catalog was lost, or is one of before, and the files are all there is of those
//! spans. Then each is taken in as it is: its rows that have a newer version elsewhere are deleted
//! rows, and the rows of its traces are computed anew. What only the catalog had is gone: receipts,
//! and annotations that the log has no more.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, params};
use staso_model::{Span, SpanId};
use staso_store::StoreError;

use crate::apply::run;
use crate::error::{from_io, from_sqlite};
use crate::files::Files;
use crate::flush::{self, NewSegment};
use crate::hot::Hot;
use crate::migrate::rescue::Rescue;
use crate::migrate::{has_older_table, meta, transact};
use crate::segment::columns::{COLUMNS, Cell};
use crate::segment::{Problem, Segment, Segments, checksums, directory_of, row, workspace_of};

/// Whether files that the catalog does not name may be the only ones that have their spans.
pub(crate) fn is_behind(conn: &Connection, log_begins: Option<u64>) -> Result<bool, StoreError> {
    let flushed = meta(conn, "flushed")?.unwrap_or_default().cast_unsigned();
    let has_gap = log_begins.is_none_or(|first| first > flushed + 1);
    // Where spans move from an older format, the table still has what unnamed files have.
    Ok(has_gap && !has_older_table(conn)?)
}

/// Takes in every segment that the catalog does not name. Also where there is none, a log that begins
/// after what is flushed carries over spans that the catalog may not have counted.
pub(crate) fn adopt(
    conn: &Connection,
    files: &Files,
    segments: &Arc<Segments>,
    has_log: bool,
) -> Result<(), StoreError> {
    let unnamed = unnamed(conn, segments.root())?;
    if has_log {
        run(conn, "INSERT OR REPLACE INTO meta VALUES ('recount', 0)", [])?;
    }
    if unnamed.is_empty() {
        return Ok(());
    }
    let count = unnamed.len();
    tracing::error!(files = count, "the catalog is older than its segments: they are read anew");
    let mut rescue = Rescue::new(segments)?;
    for (number, name) in unnamed {
        let path = segments.root().join(&name);
        match read(&path, &name) {
            Ok(found) => take(conn, files, &mut rescue, (number, name), found)?,
            // It may be whole: nothing is changed, the next opening tries again.
            Err(Problem::Refused(problem)) => {
                return Err(StoreError::Engine(format!("{name} cannot be read: {problem}")));
            }
            Err(Problem::Damaged(problem)) => {
                tracing::error!(file = name, problem, "a segment cannot be read and is set aside");
                let aside = path.with_extension("parquet.damaged");
                files.publish(&path, &aside).map_err(|e| from_io("set a segment aside", &e))?;
            }
        }
    }
    Ok(())
}

/// What a file has: its rows in order, `None` for those that cannot be read.
struct Found {
    workspace: String,
    rows: Vec<Option<Arc<Span>>>,
    bytes: u64,
    checksums: Vec<u8>,
}

/// Segments below the root that the catalog does not name, by number.
fn unnamed(conn: &Connection, root: &Path) -> Result<Vec<(i64, String)>, StoreError> {
    let io = |e: std::io::Error| from_io("look through the segments", &e);
    let known = || -> rusqlite::Result<HashSet<String>> {
        conn.prepare("SELECT path FROM segments")?.query_map([], |row| row.get(0))?.collect()
    };
    let known = known().map_err(from_sqlite)?;
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let stem = path.file_stem().map(|stem| stem.to_string_lossy());
            let number = stem.and_then(|stem| stem.parse::<i64>().ok());
            if path.is_dir() {
                directories.push(path);
            } else if let Some(number) = number
                && path.extension().is_some_and(|extension| extension == "parquet")
                && !known.contains(&name)
            {
                found.push((number, name));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a file whose only checksums are those of its rows: a decoder that meets other bytes than it
/// wrote may panic.
fn read(path: &Path, name: &str) -> Result<Found, Problem> {
    let read = || -> Result<Found, Problem> {
        let file = std::fs::read(path).map_err(|e| Problem::Refused(e.to_string()))?;
        let (bytes, checksums) = (file.len() as u64, checksums(&file));
        drop(file);
        let workspace = workspace_of(name.split('/').next().unwrap_or_default());
        let segment = Segment::open(path, checksums.clone())?;
        let cells = segment.rows(0..segment.len(), COLUMNS.len());
        let cells = cells.map_err(|e| Problem::Refused(e.to_string()))?;
        let span = |cells: Vec<Cell>| row::span(&cells, &workspace).ok().map(Arc::new);
        let rows: Vec<_> = cells.into_iter().map(|cells| cells.ok().and_then(span)).collect();
        if rows.iter().all(Option::is_none) {
            return Err(Problem::Damaged("none of its rows can be read".to_owned()));
        }
        Ok(Found { workspace, rows, bytes, checksums })
    };
    let undecodable = |_| Problem::Damaged("it cannot be decoded".to_owned());
    catch_unwind(AssertUnwindSafe(read)).map_err(undecodable)?
}

fn take(
    conn: &Connection,
    files: &Files,
    rescue: &mut Rescue<'_>,
    (number, name): (i64, String),
    found: Found,
) -> Result<(), StoreError> {
    transact(conn, files, || {
        let ws = workspace(conn, &found.workspace)?;
        let spans: Vec<_> =
            found.rows.iter().flatten().map(|span| (ws, Arc::clone(span))).collect();
        let known = rescue.weigh(conn, &spans)?;
        for (at, span) in (0_u64..).zip(&found.rows) {
            let Some(span) = span else {
                rescue.replaced.push((number, at));
                continue;
            };
            match known.get(&((ws, span.trace_id), span.span_id)) {
                Some((version, ..)) if *version >= span.version => {
                    rescue.replaced.push((number, at))
                }
                Some((_, segment, row)) => rescue.replaced.push((*segment, *row)),
                None => {}
            }
        }
        let spans = filled(&found.rows);
        let (bytes, checksums) = (found.bytes, found.checksums);
        let sequence = spans.iter().map(|span| span.version.sequence).max().unwrap_or_default();
        let segment = NewSegment { number, ws, path: name, bytes, checksums, spans };
        flush::insert(conn, &segment)?;
        rescue.settle(conn)?;
        let sql = "UPDATE meta SET value = max(value, ?1) WHERE key = 'last_sequence'";
        run(conn, sql, params![sequence.cast_signed()])?;
        run(conn, "INSERT OR REPLACE INTO meta VALUES ('recount', 0)", []).map(drop)
    })
}

/// A row that cannot be read stands with the one before it, or the first that can be.
fn filled(rows: &[Option<Arc<Span>>]) -> Vec<Arc<Span>> {
    let mut before = rows.iter().flatten().next();
    let mut spans = Vec::with_capacity(rows.len());
    for row in rows {
        before = row.as_ref().or(before);
        let Some(known) = before else { break };
        spans.push(row.clone().unwrap_or_else(|| {
            let mut span = Span::new(&*known.workspace, known.trace_id, SpanId([0; 16]));
            span.start_ns = known.start_ns;
            Arc::new(span)
        }));
    }
    spans
}

/// The number of a workspace, whose name may have been too long for its directory.
fn workspace(conn: &Connection, slug: &str) -> Result<i64, StoreError> {
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let mut statement = conn.prepare("SELECT ws, slug FROM workspaces")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let directory = directory_of(slug);
    let known = read().map_err(from_sqlite)?;
    if let Some((ws, _)) = known.iter().find(|(_, known)| directory_of(known) == directory) {
        return Ok(*ws);
    }
    run(conn, "INSERT INTO workspaces (slug) VALUES (?1)", params![slug])?;
    Ok(conn.last_insert_rowid())
}

/// Whether segments were taken in, and the log still has records from before that: their spans may be in
/// those segments as well, and are not to be kept twice.
pub(crate) fn is_unfinished(conn: &Connection) -> Result<bool, StoreError> {
    Ok(meta(conn, "recount")?.is_some())
}

/// Where segments were taken in: counts the workspaces' spans, now that the log has been applied too, and
/// says that what stands before the log is in segments. `log_ends` is the number of its last record; this
/// is done at each opening until a flush has gone beyond what was the last when they were taken in.
pub(crate) fn finish(
    conn: &Connection,
    hot: &Hot,
    log_begins: Option<u64>,
    log_ends: u64,
) -> Result<(), StoreError> {
    let Some(until) = meta(conn, "recount")? else { return Ok(()) };
    let until = if until == 0 { log_ends.cast_signed() } else { until };
    let mut of_workspace = std::collections::HashMap::<i64, i64>::new();
    for (ws, _) in hot.spans() {
        *of_workspace.entry(ws).or_default() += 1;
    }
    conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
    Rescue::recount(conn)?;
    for (ws, spans) in of_workspace {
        run(conn, "UPDATE workspaces SET spans = spans + ?2 WHERE ws = ?1", params![ws, spans])?;
    }
    let applied = meta(conn, "applied")?.unwrap_or_default();
    let flushed = log_begins.map_or(applied, |first| first.saturating_sub(1).cast_signed());
    let sql = "UPDATE meta SET value = max(value, ?1) WHERE key = 'flushed'";
    run(conn, sql, params![flushed])?;
    run(conn, "UPDATE meta SET value = ?1 WHERE key = 'recount'", params![until])?;
    let is_flushed = "DELETE FROM meta WHERE key = 'recount'
        AND value <= (SELECT value FROM meta WHERE key = 'flushed')";
    run(conn, is_flushed, [])?;
    conn.execute_batch("COMMIT").map_err(from_sqlite)
}
