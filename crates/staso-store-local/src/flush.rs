//! Hot spans into segments: chosen by the writer, written beside it, made visible by it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use staso_model::Span;
use staso_store::StoreError;

use crate::apply::{Kept, run};
use crate::cache::Place;
use crate::error::from_io;
use crate::files::Files;
use crate::segment::{self, Effort};

/// What is to be flushed.
pub(crate) struct Plan {
    /// Each becomes a file: of one workspace and day.
    groups: Vec<Group>,
    /// The number of the first segment.
    first_segment: i64,
}

struct Group {
    ws: i64,
    directory: String,
    spans: Vec<Arc<Span>>,
}

/// A segment that is on disk and not yet visible.
pub(crate) struct NewSegment {
    pub(crate) number: i64,
    pub(crate) ws: i64,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) checksums: Vec<u8>,
    pub(crate) spans: Vec<Arc<Span>>,
}

impl Plan {
    /// Spans by workspace and day. Each comes with its workspace's number.
    pub(crate) fn new(
        spans: impl IntoIterator<Item = (i64, Arc<Span>)>,
        first_segment: i64,
    ) -> Self {
        let mut groups = BTreeMap::<(i64, String), Vec<Arc<Span>>>::new();
        for (ws, span) in spans {
            groups.entry((ws, segment::day_of(span.start_ns))).or_default().push(span);
        }
        let group = |((ws, day), spans): ((i64, String), Vec<Arc<Span>>)| {
            let workspace = spans.first().map(|span| segment::directory_of(&span.workspace));
            Group { ws, directory: format!("{}/{day}", workspace.unwrap_or_default()), spans }
        };
        Self { groups: groups.into_iter().map(group).collect(), first_segment }
    }

    /// How many segments it makes.
    pub(crate) fn segments(&self) -> i64 {
        i64::try_from(self.groups.len()).unwrap_or(i64::MAX)
    }

    /// Writes the files. When one fails, those before it are removed again.
    pub(crate) fn write(self, files: &Files, root: &Path) -> Result<Vec<NewSegment>, StoreError> {
        let mut written = Vec::new();
        for (number, group) in (self.first_segment..).zip(self.groups) {
            match group.write(number, files, root) {
                Ok(segment) => written.push(segment),
                Err(error) => {
                    remove(files, root, &written);
                    return Err(error);
                }
            }
        }
        Ok(written)
    }
}

/// Removes files that will not become visible. What stays is removed at the next opening.
pub(crate) fn remove(files: &Files, root: &Path, segments: &[NewSegment]) {
    for segment in segments {
        if let Err(error) = files.remove(&root.join(&segment.path)) {
            tracing::warn!(%error, file = segment.path, "a segment that failed stays for now");
        }
    }
}

impl Group {
    fn write(mut self, number: i64, files: &Files, root: &Path) -> Result<NewSegment, StoreError> {
        segment::sort(&mut self.spans);
        let place = (self.ws, self.directory.as_str(), number);
        write_segment(place, self.spans, Effort::Quick, files, root)
    }
}

/// Writes a segment of spans that are sorted. It is said by its workspace, its directory below the root, and its
/// number.
pub(crate) fn write_segment(
    (ws, directory, number): (i64, &str, i64),
    spans: Vec<Arc<Span>>,
    effort: Effort,
    files: &Files,
    root: &Path,
) -> Result<NewSegment, StoreError> {
    let bytes = segment::encode(&spans, effort)?;
    let path = format!("{directory}/{number:010}.parquet");
    let (target, draft) = (root.join(&path), root.join(format!("{path}.tmp")));
    let write = || -> std::io::Result<()> {
        let directory = root.join(directory);
        files.make_dirs(root, &directory)?;
        let file = files.create(&draft)?;
        files.write(&file, &bytes)?;
        files.sync(&file)?;
        files.publish(&draft, &target)?;
        files.sync_dir(&directory)
    };
    if let Err(error) = write() {
        // Whether there is a draft to remove depends on how far it came.
        let _ = files.remove(&draft);
        return Err(from_io("write a segment", &error));
    }
    let checksums = segment::checksums(&bytes);
    let bytes = bytes.len() as u64;
    Ok(NewSegment { number, ws, path, bytes, checksums, spans })
}

/// Makes segments visible in the transaction under way. Spans that got a newer version meanwhile are
/// deleted rows from the beginning; the others leave the hot set.
pub(crate) fn make_visible(
    conn: &Connection,
    kept: &mut Kept,
    segments: &[NewSegment],
) -> Result<(), StoreError> {
    for segment in segments {
        insert(conn, segment)?;
        let mut is_replaced = false;
        for (row, span) in (0_u64..).zip(&segment.spans) {
            let trace = (segment.ws, span.trace_id);
            if !kept.hot.remove(&trace, &span.span_id, &span.version) {
                let sql = "INSERT INTO deleted (segment, row) VALUES (?1, ?2)";
                run(conn, sql, params![segment.number, row.cast_signed()])?;
                is_replaced = true;
            } else if let Some(cached) = kept.cache.get(&trace) {
                let place = Place::Segment { segment: segment.number, row };
                cached.moved(&span.span_id, &span.version, place);
            }
        }
        if is_replaced && kept.has_tombstones {
            // It may have been deleted while it was being written.
            let sql = "INSERT OR IGNORE INTO forgetting (segment, job)
                       SELECT ?1, max(last) FROM jobs WHERE is_gone = 0 HAVING max(last) > 0";
            run(conn, sql, [segment.number])?;
        }
    }
    Ok(())
}

/// The catalog's rows of a segment, as if none of its spans had been hot.
pub(crate) fn insert(conn: &Connection, segment: &NewSegment) -> Result<(), StoreError> {
    let NewSegment { number, ws, path, bytes, checksums, spans } = segment;
    let starts = || spans.iter().map(|span| span.start_ns);
    let received = spans.iter().map(|span| span.version.received_ns).max();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    run(
        conn,
        "INSERT INTO segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            number,
            ws,
            path,
            count(spans.len()),
            bytes.cast_signed(),
            starts().min().unwrap_or_default(),
            starts().max().unwrap_or_default(),
            received.unwrap_or_default(),
            checksums
        ],
    )?;
    let mut first = 0;
    for of_trace in spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
        let trace_id = of_trace.first().map(|span| span.trace_id.0).unwrap_or_default();
        let rows = count(of_trace.len());
        run(
            conn,
            "INSERT INTO parts VALUES (?1, ?2, ?3, ?4, ?5)",
            params![ws, trace_id, number, first, rows],
        )?;
        first += rows;
    }
    Ok(())
}

/// The segment that a file was built beside.
fn beside(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".text")?;
    Some(format!("{}.parquet", stem.strip_suffix(".parquet").unwrap_or(stem)))
}

/// Removes what no catalog knows: drafts, what was built beside a segment that is gone, and segments whose flush did not come to its end, unless
/// these are to be taken in. Where segments are gone that the catalog names, those that it does not name may
/// have their spans, and stay; answers the greatest number of these.
pub(crate) fn remove_orphans(
    conn: &Connection,
    files: &Files,
    root: &Path,
    keeps_segments: bool,
) -> Result<i64, StoreError> {
    let io = |e: std::io::Error| from_io("look through the segments", &e);
    let known = || -> rusqlite::Result<HashSet<String>> {
        conn.prepare("SELECT path FROM segments")?.query_map([], |row| row.get(0))?.collect()
    };
    let known = known().map_err(crate::error::from_sqlite)?;
    let lacks_some = known.iter().any(|path| !root.join(path).exists());
    let mut last_kept = 0;
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            if entry.file_type().map_err(io)?.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.found(entry.metadata().map_err(io)?.len());
            let is_segment = name.ends_with(".parquet");
            if is_segment && lacks_some && !keeps_segments && !known.contains(&name) {
                tracing::error!(file = name, REMEDY, "{UNKNOWN}");
                let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
                last_kept = last_kept.max(number.unwrap_or_default());
            }
            let is_ours = is_segment && !keeps_segments && !lacks_some || name.ends_with(".tmp");
            let is_beside = beside(&name)
                .is_some_and(|segment| !known.contains(&segment) && !root.join(segment).exists());
            if is_beside || is_ours && !known.contains(&name) {
                files.remove(&path).map_err(io)?;
            }
        }
    }
    Ok(last_kept)
}

/// A catalog of before a compaction names what that removed, and not what it made of it.
const UNKNOWN: &str =
    "the catalog does not name this segment, but others that are gone: it may be an older one";
const REMEDY: &str =
    "stop the server, move catalog.db away and start it again: the catalog is made anew";
