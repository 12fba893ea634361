//! Segments: immutable Parquet files of spans that are no longer open.
//!
//! One file per workspace and day of one flush, `segments/<workspace>/<day|odd>/<number>.parquet`,
//! its rows in conversation order (conversation, trace, name, start), so that a trace is one range of rows
//! and compression sees the prompts that repeat. The catalog says which rows are whose.

mod checked;
pub(crate) mod columns;
pub(crate) mod index;
mod indexes;
mod pages;
mod pick;
mod place;
mod read;
pub(crate) mod row;
pub(crate) mod scan;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use staso_store::StoreError;

use crate::error::from_sqlite;
use crate::segment::indexes::Indexes;

pub(crate) use checked::{BLOCK, checksums, damaged_blocks};
pub(crate) use columns::Effort;
pub(crate) use index::Index;
pub(crate) use place::{day_of, directory_of, workspace_of};
pub(crate) use read::{Problem, Segment};
pub(crate) use write::{encode, sort, write_cells};

/// How many segments stay open.
const OPEN: usize = 128;

/// The segments of a data directory, by number.
pub(crate) struct Segments {
    root: PathBuf,
    open: Mutex<Opened>,
    indexes: Indexes,
}

#[derive(Default)]
struct Opened {
    /// With the time of the last use.
    segments: HashMap<i64, (u64, Arc<Segment>)>,
    clock: u64,
}

impl Segments {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, open: Mutex::default(), indexes: Indexes::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The segment of a number; `path` is the catalog's, below the root.
    pub(crate) fn get(
        &self,
        conn: &Connection,
        number: i64,
        path: &str,
    ) -> Result<Arc<Segment>, StoreError> {
        if let Some(segment) = self.opened(number) {
            return Ok(segment);
        }
        let sql = "SELECT checksums FROM segments WHERE segment = ?1";
        let sums = || conn.prepare_cached(sql)?.query_row([number], |row| row.get(0));
        let sums: Vec<u8> = sums().map_err(from_sqlite)?;
        let place = format!("segments/{path}");
        let segment =
            Segment::open(&self.root.join(path), sums).map_err(|problem| match problem {
                Problem::Damaged(problem) => StoreError::Damaged { place, problem },
                Problem::Refused(problem) => {
                    StoreError::Engine(format!("{place} cannot be read: {problem}"))
                }
            })?;
        let segment = Arc::new(segment);
        let mut open = self.lock();
        let now = open.clock;
        open.segments.insert(number, (now, Arc::clone(&segment)));
        if open.segments.len() > OPEN
            && let Some(oldest) =
                open.segments.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number)
        {
            open.segments.remove(&oldest);
        }
        Ok(segment)
    }

    /// The index of a segment; `None` where it has none that this program understands.
    pub(crate) fn index(
        &self,
        conn: &Connection,
        number: i64,
        path: &str,
    ) -> Result<Option<Arc<Index>>, StoreError> {
        self.indexes.get(number, || {
            let segment = self.get(conn, number, path)?;
            let before = segment.refusals();
            segment.read_index().map_err(|problem| match segment.refusals() == before {
                true => StoreError::Damaged { place: format!("segments/{path}"), problem },
                false => StoreError::Engine(format!("segments/{path} cannot be read: {problem}")),
            })
        })
    }

    /// Closes a segment that is no more.
    pub(crate) fn let_go(&self, number: i64) {
        self.indexes.let_go(number);
        self.lock().segments.remove(&number);
    }

    fn opened(&self, number: i64) -> Option<Arc<Segment>> {
        let mut open = self.lock();
        open.clock += 1;
        let now = open.clock;
        let (used, segment) = open.segments.get_mut(&number)?;
        *used = now;
        Some(Arc::clone(segment))
    }

    /// A panic cannot leave the map half-changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
