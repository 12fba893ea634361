//! Compaction: small segments of a workspace and day become bigger ones, without the rows that nobody sees.
//!
//! What is merged stands together by conversation, so that prompts that repeat are compressed once. The work is
//! done beside the writer, on files that do not change, and holds about [`Bounds::bytes`] of spans; the
//! writer makes it visible as it does a flush. Sizes are in tiers, each four times the one before, and four
//! files of a tier become one: so a byte is written anew about once per tier, however many flushes there
//! are. Where a deletion left bytes, the file is written anew whatever its size.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, params};
use staso_model::{Span, TraceId};
use staso_store::StoreError;

use crate::error::from_sqlite;
use crate::files::Files;
use crate::flush::{self, NewSegment};
use crate::hot::span_bytes;
use crate::segment::columns::{COLUMNS, Cell};
use crate::segment::{self, Effort, Problem, Segment, row};

/// Files below this are of the lowest tier.
const TIER_BYTES: u64 = 16 << 10;
/// So many files of a tier are merged at least, and at most.
const MERGED: std::ops::RangeInclusive<usize> = 4..=16;
/// A file of which nearly a third is deleted is written anew from this size on; a smaller one waits for others.
const WASTE_BYTES: u64 = 256 << 10;
/// Rows that are merged at most: the commit that makes them visible holds up the writer.
const MAX_ROWS: u64 = 32_768;
/// Spans take about so many times the bytes that their file has, in memory.
const EXPANSION: u64 = 6;
/// So many rows are decoded at a time.
const CHUNK_ROWS: u64 = 128;

/// What a compaction may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// About how many bytes of spans are held in memory.
    pub(crate) bytes: usize,
    /// Segments that are written anew because of what a deletion left in them.
    pub(crate) forgets: bool,
}

/// A segment that is to be written anew.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) segment: i64,
    pub(crate) path: String,
    rows: u64,
    checksums: Vec<u8>,
    /// Rows that were deleted when the work began.
    pub(crate) deleted: HashSet<u64>,
}

/// What is to be done.
pub(crate) struct Task {
    ws: i64,
    slug: String,
    directory: String,
    inputs: Vec<Input>,
    bytes: usize,
    /// Whether one file alone is worth the work.
    is_forced: bool,
    /// The greatest log record of a deletion that the work takes into account.
    pub(crate) seen: i64,
}

/// What was done.
pub(crate) struct Compacted {
    pub(crate) outputs: Vec<Output>,
    pub(crate) inputs: Vec<Input>,
    /// Every trace that has rows in the inputs; `None` where one cannot be told.
    pub(crate) traces: Option<HashSet<TraceId>>,
    pub(crate) seen: i64,
    pub(crate) ws: i64,
}

impl Compacted {
    /// How many bytes were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.segment.bytes).sum()
    }
}

/// A new segment, and of each of its rows where it was before.
pub(crate) struct Output {
    pub(crate) segment: NewSegment,
    pub(crate) from: Vec<(i64, u64)>,
}

/// Why nothing came of a task.
pub(crate) enum Failure {
    /// This segment cannot take part: it is damaged, or leaves no room for another.
    Unfit(i64, Option<String>),
    /// It may succeed another time.
    Error(StoreError),
    /// The store closes.
    Stopped,
}

/// A segment as the catalog knows it.
struct Known {
    segment: i64,
    ws: i64,
    path: String,
    rows: u64,
    bytes: u64,
    deleted: u64,
    forgets: bool,
}

/// The next thing to do, if there is any. `unfit` segments take no part.
pub(crate) fn choose(
    conn: &Connection,
    bounds: Bounds,
    unfit: &HashSet<i64>,
) -> Result<Option<Task>, StoreError> {
    let mut known = known(conn)?;
    known.retain(|segment| !unfit.contains(&segment.segment));
    let is_forced = |segment: &Known| {
        let is_worth_it = segment.bytes >= WASTE_BYTES && segment.deleted * 10 >= segment.rows * 3;
        (bounds.forgets && segment.forgets) || is_worth_it || segment.deleted >= segment.rows
    };
    if let Some(forced) = known.iter().find(|segment| is_forced(segment)) {
        return task(conn, &[forced], bounds, true).map(Some);
    }
    let most = bounds.bytes as u64 / EXPANSION;
    let mut tiers = BTreeMap::<(i64, &str, u32), Vec<&Known>>::new();
    for segment in known.iter().filter(|segment| segment.bytes * 2 <= most) {
        let tier = (segment.bytes / TIER_BYTES).max(1).ilog2() / 2;
        tiers.entry((segment.ws, directory(&segment.path), tier)).or_default().push(segment);
    }
    for segments in tiers.values().filter(|segments| segments.len() >= *MERGED.start()) {
        let (mut bytes, mut rows) = (0, 0);
        let fits = |segment: &&&Known| {
            bytes += segment.bytes;
            rows += segment.rows;
            bytes <= most && rows <= MAX_ROWS
        };
        let merged: Vec<&Known> =
            segments.iter().take(*MERGED.end()).take_while(fits).copied().collect();
        if merged.len() > 1 {
            return task(conn, &merged, bounds, false).map(Some);
        }
    }
    Ok(None)
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn known(conn: &Connection) -> Result<Vec<Known>, StoreError> {
    let sql = "SELECT s.segment, s.ws, s.path, s.rows, s.bytes,
                 (SELECT count(*) FROM deleted AS d WHERE d.segment = s.segment),
                 EXISTS (SELECT 1 FROM forgetting AS f WHERE f.segment = s.segment)
               FROM segments AS s ORDER BY s.segment";
    let read = || -> rusqlite::Result<Vec<Known>> {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(Known {
                segment: row.get(0)?,
                ws: row.get(1)?,
                path: row.get(2)?,
                rows: count(3)?,
                bytes: count(4)?,
                deleted: count(5)?,
                forgets: row.get(6)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(from_sqlite)
}

fn task(
    conn: &Connection,
    segments: &[&Known],
    bounds: Bounds,
    is_forced: bool,
) -> Result<Task, StoreError> {
    let (ws, path) =
        segments.first().map(|first| (first.ws, first.path.as_str())).unwrap_or_default();
    let sql = "SELECT slug FROM workspaces WHERE ws = ?1";
    let slug = conn.query_row(sql, [ws], |row| row.get(0)).map_err(from_sqlite)?;
    let sql = "SELECT coalesce(max(last), 0) FROM jobs";
    let seen = conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
    let input = |known: &&Known| -> rusqlite::Result<Input> {
        let sql = "SELECT checksums FROM segments WHERE segment = ?1";
        let checksums = conn.query_row(sql, [known.segment], |row| row.get(0))?;
        let deleted = deleted(conn, known.segment)?;
        let Known { segment, path, rows, .. } = known;
        Ok(Input { segment: *segment, path: path.clone(), rows: *rows, checksums, deleted })
    };
    let inputs = segments.iter().map(input).collect::<Result<_, _>>().map_err(from_sqlite)?;
    let directory = directory(path).to_owned();
    Ok(Task { ws, slug, directory, inputs, bytes: bounds.bytes, is_forced, seen })
}

/// The rows of a segment that are deleted now.
pub(crate) fn deleted(conn: &Connection, segment: i64) -> rusqlite::Result<HashSet<u64>> {
    let mut statement = conn.prepare_cached("SELECT row FROM deleted WHERE segment = ?1")?;
    let rows = statement.query_map(params![segment], |row| row.get::<_, i64>(0))?;
    rows.map(|row| row.map(i64::cast_unsigned)).collect()
}

/// A task under way.
struct Work<'a> {
    task: &'a Task,
    files: &'a Files,
    root: &'a Path,
    stop: &'a AtomicBool,
    next_segment: i64,
    spans: Vec<(Arc<Span>, (i64, u64))>,
    bytes: usize,
    outputs: Vec<Output>,
    traces: Option<HashSet<TraceId>>,
}

impl Task {
    /// The segments that it reads.
    pub(crate) fn reads(&self) -> HashSet<i64> {
        self.inputs.iter().map(|input| input.segment).collect()
    }

    /// How many numbers of segments it needs at most: a file is cut where it is too large for memory.
    pub(crate) fn numbers(&self) -> i64 {
        let rows: u64 = self.inputs.iter().map(|input| input.rows).sum();
        i64::try_from(rows / CHUNK_ROWS + 2).unwrap_or(i64::MAX / 2)
    }

    /// Does the work. Files of one that fails are removed again.
    pub(crate) fn run(
        self,
        files: &Files,
        root: &Path,
        stop: &AtomicBool,
        first_segment: i64,
    ) -> Result<Compacted, Failure> {
        let mut work = Work {
            task: &self,
            files,
            root,
            stop,
            next_segment: first_segment,
            spans: Vec::new(),
            bytes: 0,
            outputs: Vec::new(),
            traces: Some(HashSet::new()),
        };
        let taken = match work.merge() {
            Ok(taken) => taken,
            Err(failure) => {
                work.take_back();
                return Err(failure);
            }
        };
        let Work { outputs, traces, .. } = work;
        let inputs = self.inputs.into_iter().take(taken).collect();
        Ok(Compacted { outputs, inputs, traces, seen: self.seen, ws: self.ws })
    }
}

impl Work<'_> {
    /// Answers how many of the inputs are in it.
    fn merge(&mut self) -> Result<usize, Failure> {
        let mut taken = 0;
        for input in &self.task.inputs {
            let (count, bytes) = (self.spans.len(), self.bytes);
            if !self.take(input, taken == 0)? {
                self.spans.truncate(count);
                self.bytes = bytes;
                break;
            }
            taken += 1;
            if !self.outputs.is_empty() {
                break;
            }
        }
        if taken < 2 && !self.task.is_forced {
            let first = self.task.inputs.first().map(|input| input.segment).unwrap_or_default();
            return Err(Failure::Unfit(first, None));
        }
        self.write()?;
        Ok(taken)
    }

    /// Reads a segment; `false` where it has no room beside the others. One that has no room alone is
    /// written in several.
    fn take(&mut self, input: &Input, is_first: bool) -> Result<bool, Failure> {
        let unfit = |problem: String| Failure::Unfit(input.segment, Some(problem));
        let error = |problem| Failure::Error(StoreError::Engine(problem));
        let opened = Segment::open(&self.root.join(&input.path), input.checksums.clone());
        let segment = opened.map_err(|problem| match problem {
            Problem::Damaged(problem) => unfit(problem),
            Problem::Refused(problem) => error(problem),
        })?;
        if segment.len() != input.rows {
            return Err(unfit("it has other rows than the catalog says".to_owned()));
        }
        let mut first = 0;
        while first < input.rows {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            let end = input.rows.min(first + CHUNK_ROWS);
            let rows = segment.rows(first..end, COLUMNS.len()).map_err(Failure::Error)?;
            for (at, cells) in (first..).zip(rows) {
                self.take_row(input, at, cells).map_err(unfit)?;
            }
            first = end;
            if self.bytes > self.task.bytes {
                if !is_first {
                    return Ok(false);
                }
                self.write()?;
            }
        }
        Ok(true)
    }

    fn take_row(
        &mut self,
        input: &Input,
        at: u64,
        cells: Result<Vec<Cell>, String>,
    ) -> Result<(), String> {
        let known = cells.as_ref().ok().and_then(|cells| row::identity(cells));
        match (&known, &mut self.traces) {
            (Some(known), Some(traces)) => drop(traces.insert(known.trace_id)),
            _ => self.traces = None,
        }
        if input.deleted.contains(&at) {
            return Ok(());
        }
        let span = row::span(&cells?, &self.task.slug).map_err(str::to_owned)?;
        self.bytes += span_bytes(&span);
        self.spans.push((Arc::new(span), (input.segment, at)));
        Ok(())
    }

    /// Writes what was read.
    fn write(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        let (mut spans, from): (Vec<_>, Vec<_>) = self.spans.drain(..).unzip();
        if spans.is_empty() {
            return Ok(());
        }
        let address = |span: &Arc<Span>| Arc::as_ptr(span) as usize;
        let from: HashMap<usize, (i64, u64)> = spans.iter().map(address).zip(from).collect();
        segment::sort(&mut spans);
        let from = spans.iter().filter_map(|span| from.get(&address(span)).copied()).collect();
        let (number, directory) = (self.next_segment, &self.task.directory);
        self.next_segment += 1;
        let place = (self.task.ws, directory.as_str(), number);
        let mut segment =
            flush::write_segment(place, spans, Effort::Thorough, self.files, self.root)
                .map_err(Failure::Error)?;
        segment.spans.iter_mut().for_each(|span| *span = Arc::new(outline(span)));
        self.outputs.push(Output { segment, from });
        Ok(())
    }

    fn take_back(&mut self) {
        let written: Vec<NewSegment> =
            self.outputs.drain(..).map(|output| output.segment).collect();
        flush::remove(self.files, self.root, &written);
    }
}

/// What the catalog wants to know of a row.
fn outline(span: &Span) -> Span {
    let mut outline = Span::new("", span.trace_id, span.span_id);
    outline.start_ns = span.start_ns;
    outline.version = span.version;
    outline
}
