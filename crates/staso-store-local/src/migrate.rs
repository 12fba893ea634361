//! Directories of older formats: spans that stood in the catalog go to segments.
//!
//! Formats 1 and 2 kept every span as a row of the table `spans`. The rows are read in the order in
//! which they came, a group at a time, and the transaction that makes a group's segments visible also
//! says how far the move has come (`meta.moved`): killed at any instant, it goes on from there, and
//! holds one group in memory. `VERSION` names the new format before the first group, so that no older
//! program opens what is half moved; the old table stays whole until the last transaction.

pub(crate) mod older;
pub(crate) mod rescue;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use staso_model::Span;
use staso_store::StoreError;

use crate::apply::run;
use crate::decode::report;
use crate::dir::DataDir;
use crate::error::from_sqlite;
use crate::files::Files;
use crate::flush::{self, NewSegment, Plan};
use crate::hot::span_bytes;
use crate::migrate::older::{Older, Read};
use crate::migrate::rescue::Rescue;
use crate::segment::Segments;

/// Moves the spans of an older format, if there are any, about `group_bytes` of them at a time.
pub(crate) fn migrate(
    dir: &mut DataDir,
    conn: &Connection,
    files: &Files,
    segments: &Arc<Segments>,
    group_bytes: usize,
) -> Result<(), StoreError> {
    if let Some(older) = Older::find(conn)? {
        let rescue = Rescue::begin(conn, dir.is_older(), segments)?;
        dir.write_format(files)?;
        let moved = meta(conn, "moved")?.unwrap_or_default();
        let root = segments.root();
        let mut mover = Mover { conn, files, root, older, rescue, group_bytes, moved };
        tracing::info!(
            done = moved,
            of = mover.older.last,
            "the data directory has an older format: its spans move to segments"
        );
        while mover.moved < mover.older.last {
            mover.move_group()?;
        }
        mover.finish()?;
        tracing::info!("the data directory has this program's format now");
    }
    shrink(conn, files)
}

struct Mover<'a> {
    conn: &'a Connection,
    files: &'a Files,
    root: &'a Path,
    older: Older<'a>,
    /// Where segments had spans already that the table has, too.
    rescue: Option<Rescue<'a>>,
    group_bytes: usize,
    /// Rows up to this one have been moved.
    moved: i64,
}

/// Rows that are moved together.
#[derive(Default)]
struct Group {
    spans: Vec<(i64, Arc<Span>)>,
    /// Those that cannot be read.
    damaged: Vec<i64>,
    bytes: usize,
    /// The last row that was looked at.
    end: i64,
}

impl Mover<'_> {
    /// One group: read, written, made visible.
    fn move_group(&mut self) -> Result<(), StoreError> {
        let mut group = self.read_group()?;
        if let Some(rescue) = &mut self.rescue {
            rescue.sift(self.conn, &mut group.spans)?;
        }
        let sql = "SELECT coalesce(max(segment), 0) + 1 FROM segments";
        let first = self.conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
        let written = Plan::new(group.spans.drain(..), first).write(self.files, self.root)?;
        // A file whose transaction fails is an orphan, which the next opening removes.
        self.transact(|mover| mover.make_visible(&written, &group))?;
        self.tell(group.end);
        self.moved = group.end;
        Ok(())
    }

    fn read_group(&self) -> Result<Group, StoreError> {
        let mut group = Group { end: self.moved, ..Group::default() };
        while group.bytes < self.group_bytes && group.end < self.older.last {
            let rows = self.older.rows_after(group.end)?;
            if rows.is_empty() {
                group.end = self.older.last;
            }
            for row in rows {
                match self.older.read(row)? {
                    Read::Span(ws, span) => {
                        group.bytes += span_bytes(&span);
                        group.spans.push((ws, Arc::new(*span)));
                    }
                    Read::Damaged(error) => {
                        report(&error);
                        group.damaged.push(row);
                    }
                    Read::Missing => {}
                }
                group.end = row;
                if group.bytes >= self.group_bytes {
                    break;
                }
            }
        }
        Ok(group)
    }

    fn make_visible(&mut self, written: &[NewSegment], group: &Group) -> Result<(), StoreError> {
        written.iter().try_for_each(|segment| flush::insert(self.conn, segment))?;
        self.older.keep(&group.damaged)?;
        if let Some(rescue) = &mut self.rescue {
            rescue.settle(self.conn)?;
        }
        let sql = "INSERT OR REPLACE INTO meta VALUES ('moved', ?1)";
        run(self.conn, sql, params![group.end]).map(drop)
    }

    /// Says how far it is whenever another percent is done.
    fn tell(&self, end: i64) {
        let percent = |row: i64| i128::from(row) * 100 / i128::from(self.older.last.max(1));
        if percent(end) > percent(self.moved) {
            let of = self.older.last;
            tracing::info!(percent = percent(end), done = end, of, "spans move to segments");
        }
    }

    /// The old table goes, synced: from here on the spans are in segments only.
    fn finish(&mut self) -> Result<(), StoreError> {
        let pragma = |level: &str| self.conn.pragma_update(None, "synchronous", level);
        pragma("FULL").map_err(from_sqlite)?;
        let dropped = self.transact(|mover| mover.drop_table(true));
        let result = match dropped {
            // What is damaged in it keeps even the rest of it from being dropped.
            Err(StoreError::Damaged { .. }) => self.transact(|mover| mover.drop_table(false)),
            other => other,
        };
        if let Err(error) = pragma("NORMAL") {
            // More is synced than need be, which harms nothing.
            tracing::warn!(%error, "the catalog goes on syncing every commit");
        }
        result
    }

    fn drop_table(&mut self, is_sound: bool) -> Result<(), StoreError> {
        if is_sound {
            self.older.drop_but_damaged()?;
            run(self.conn, "INSERT OR REPLACE INTO meta VALUES ('shrink', 1)", [])?;
        } else {
            self.older.set_aside()?;
        }
        if self.rescue.is_some() {
            Rescue::recount(self.conn)?;
        }
        run(self.conn, "DELETE FROM meta WHERE key IN ('moved', 'rescue')", []).map(drop)
    }

    /// A transaction with a step before and after its commit.
    fn transact(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (conn, files) = (self.conn, self.files);
        transact(conn, files, || work(self))
    }
}

/// A transaction with a step before and after its commit.
pub(crate) fn transact(
    conn: &Connection,
    files: &Files,
    work: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
    let result = work().and_then(|()| {
        files.step();
        conn.execute_batch("COMMIT").map_err(from_sqlite)
    });
    if result.is_err()
        && !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "rolling back failed");
    }
    files.step();
    result
}

/// Whether the catalog has the table of an older format.
pub(crate) fn has_older_table(conn: &Connection) -> Result<bool, StoreError> {
    Older::find(conn).map(|older| older.is_some())
}

/// Gives the room of the old table back. Killed in it, the next opening does it again; where it fails,
/// the file only stays large.
fn shrink(conn: &Connection, files: &Files) -> Result<(), StoreError> {
    if meta(conn, "shrink")?.is_none() {
        return Ok(());
    }
    files.step();
    // The copy that is made of the catalog meanwhile is too large for memory.
    let work = "PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY;";
    if let Err(error) = conn.execute_batch(work) {
        tracing::warn!(%error, "the catalog could not be shrunk");
    }
    files.step();
    run(conn, "DELETE FROM meta WHERE key = 'shrink'", [])?;
    let checkpoint = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    checkpoint.map_err(from_sqlite)
}

/// A number of the catalog's own, where it is there.
pub(crate) fn meta(conn: &Connection, key: &str) -> Result<Option<i64>, StoreError> {
    use rusqlite::OptionalExtension;
    let sql = "SELECT value FROM meta WHERE key = ?1";
    conn.query_row(sql, [key], |row| row.get(0)).optional().map_err(from_sqlite)
}
