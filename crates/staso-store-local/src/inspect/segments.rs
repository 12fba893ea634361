//! Segments under inspection: every block against its checksum, and every row's trace against what
//! the catalog says whose it is.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, Row};
use staso_model::TraceId;

use super::{Look, RESTORE_ONE};
use crate::adopt::is_behind;
use crate::segment::columns::{COLUMNS, Cell};
use crate::segment::{BLOCK, Problem, Segment, damaged_blocks, row};
use crate::wal::replay::begins_at;

/// So many rows are decoded at a time.
const ROWS: u64 = 64;

/// What the catalog says of a segment.
struct Known {
    number: i64,
    path: String,
    rows: u64,
    bytes: u64,
    checksums: Vec<u8>,
    slug: String,
}

/// What it says of a trace's rows in it.
struct Part {
    trace_id: [u8; 16],
    first_row: u64,
    rows: u64,
}

impl Known {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            path: row.get(1)?,
            rows: row.get::<_, i64>(2)?.cast_unsigned(),
            bytes: row.get::<_, i64>(3)?.cast_unsigned(),
            checksums: row.get(4)?,
            slug: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
        })
    }
}

impl Look<'_> {
    pub(super) fn segments(&mut self, conn: &Connection, catalog: &Path) {
        let mut named = HashSet::new();
        if let Err(error) = self.try_segments(conn, catalog, &mut named) {
            self.damaged(catalog, error.to_string(), self.restore);
        } else if !self.found.is_in_use {
            self.unnamed(conn, catalog, &named);
        }
    }

    fn try_segments(
        &mut self,
        conn: &Connection,
        catalog: &Path,
        named: &mut HashSet<String>,
    ) -> rusqlite::Result<()> {
        let sql = "SELECT s.segment, s.path, s.rows, s.bytes, s.checksums, w.slug
                   FROM segments AS s LEFT JOIN workspaces AS w ON w.ws = s.ws ORDER BY s.segment";
        let mut segments = conn.prepare(sql)?;
        let mut segments = segments.query([])?;
        let sql =
            "SELECT segment, trace_id, first_row, rows FROM parts ORDER BY segment, first_row";
        let mut parts = conn.prepare(sql)?;
        let mut parts = parts.query([])?;
        let mut next = parts.next()?.map(part).transpose()?;
        while let Some(row) = segments.next()? {
            let known = Known::of(row)?;
            let mut own = Vec::new();
            while let Some((_, part)) = next.take_if(|(segment, _)| *segment <= known.number) {
                own.push(part);
                next = parts.next()?.map(self::part).transpose()?;
            }
            named.insert(known.path.clone());
            let deleted = crate::compact::deleted(conn, known.number)?;
            self.segment(catalog, &known, &own, &deleted);
        }
        Ok(())
    }

    fn segment(&mut self, catalog: &Path, known: &Known, parts: &[Part], deleted: &HashSet<u64>) {
        let path = self.dir.join("segments").join(&known.path);
        self.found.segments += 1;
        self.found.rows += known.rows;
        let (length, bad) = match damaged_blocks(&path, &known.checksums) {
            Ok(blocks) => blocks,
            Err(error) => {
                let problem =
                    format!("it cannot be read: {error}; {} span(s) are in it", known.rows);
                return self.damaged(&path, problem, RESTORE_ONE);
            }
        };
        if length != known.bytes || !bad.is_empty() {
            let lost = unreadable(&path, known);
            let what = match bad.first() {
                _ if length != known.bytes => {
                    format!("it has {length} bytes and was written with {}", known.bytes)
                }
                Some(first) => format!(
                    "{} block(s) of {BLOCK} bytes are not what was written, first at byte {}",
                    bad.len(),
                    first * BLOCK as u64
                ),
                None => String::new(),
            };
            let problem = format!("{what}; {lost} of its {} span(s) cannot be read", known.rows);
            return self.damaged(&path, problem, RESTORE_ONE);
        }
        if let Err(problem) = compare(&path, known, parts, deleted) {
            self.damaged(catalog, format!("segment {}: {problem}", known.path), self.restore);
        }
    }

    /// Files that the catalog does not name.
    fn unnamed(&mut self, conn: &Connection, catalog: &Path, named: &HashSet<String>) {
        let root = &self.dir.join("segments");
        let mut directories = vec![root.clone()];
        let mut unnamed = 0;
        while let Some(directory) = directories.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                if path.is_dir() {
                    directories.push(path);
                } else if !named.contains(&name) {
                    unnamed += 1;
                }
            }
        }
        let log_begins = begins_at(&self.dir.join("wal")).ok().flatten();
        if unnamed > 0 && is_behind(conn, log_begins).unwrap_or(false) {
            let problem =
                format!("it is older than its segments: {unnamed} file(s) are not named in it");
            let remedy = "restore the newest catalog that there is, with its log; without one start the \
                          server: it takes these files in";
            self.damaged(catalog, problem, remedy);
        } else if unnamed > 0 {
            self.note(format!(
                "{unnamed} file(s) in segments are of no use any more; the next `staso serve` removes them"
            ));
        }
    }
}

fn part(row: &Row<'_>) -> rusqlite::Result<(i64, Part)> {
    let part = Part {
        trace_id: row.get(1)?,
        first_row: row.get::<_, i64>(2)?.cast_unsigned(),
        rows: row.get::<_, i64>(3)?.cast_unsigned(),
    };
    Ok((row.get(0)?, part))
}

/// How many rows of a damaged file cannot be read.
fn unreadable(path: &Path, known: &Known) -> u64 {
    let Ok(segment) = Segment::open(path, known.checksums.clone()) else { return known.rows };
    let mut lost = 0;
    let mut first = 0;
    while first < known.rows {
        let end = known.rows.min(first + ROWS);
        let Ok(rows) = segment.rows(first..end, COLUMNS.len()) else {
            return known.rows - first + lost;
        };
        let bad = |cells: &Result<Vec<Cell>, String>| {
            cells.as_ref().map_or(true, |cells| row::span(cells, &known.slug).is_err())
        };
        lost += rows.iter().filter(|cells| bad(cells)).count() as u64;
        first = end;
    }
    lost
}

/// Whether the parts of a sound file are its rows, each once, and of the traces they are said to be. Rows that
/// are deleted may be nobody's: retention takes the parts of a trace at once.
fn compare(
    path: &Path,
    known: &Known,
    parts: &[Part],
    deleted: &HashSet<u64>,
) -> Result<(), String> {
    let are_deleted = |mut rows: std::ops::Range<u64>| rows.all(|row| deleted.contains(&row));
    let segment = Segment::open(path, known.checksums.clone()).map_err(Problem::into_text)?;
    let mut at = 0;
    for part in parts {
        let is_after = part.first_row >= at && are_deleted(at..part.first_row);
        at = part.first_row;
        if !is_after || part.rows == 0 || at + part.rows > known.rows {
            return Err(format!("row {at} is said to be of no trace, or of two"));
        }
        at += part.rows;
        for cells in segment.rows(part.first_row..at, 1).map_err(|e| e.to_string())? {
            let is_own =
                matches!(cells?.first(), Some(Cell::Bytes(id)) if id.data() == part.trace_id);
            if !is_own {
                let trace_id = TraceId(part.trace_id);
                return Err(format!("rows that are said to be of trace {trace_id} are of another"));
            }
        }
    }
    if are_deleted(at..known.rows) {
        Ok(())
    } else {
        Err(format!("row {at} is said to be of no trace"))
    }
}
