//! A catalog that has both: segments, and a table `spans` that an older program filled since.
//!
//! It comes about where an older program opened a directory after a move, or in the middle of one,
//! because `VERSION` still named its format (or was made to). That program saw only its own table, and
//! wrote rows of the list from it. So each of its spans is compared with what segments have, the newer
//! version stays, and the rows of their traces are computed anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, params};
use staso_model::{Span, SpanId, Version};
use staso_store::StoreError;

use crate::apply::{Kept, Transaction, run};
use crate::cache::{Cache, Place, TraceRef};
use crate::disk::Encoder;
use crate::error::from_sqlite;
use crate::hot::Hot;
use crate::migrate::meta;
use crate::read::Reader;
use crate::segment::Segments;
use crate::told::Told;

/// The versions that segments have, with their places.
pub(crate) type Stored = HashMap<(TraceRef, SpanId), (Version, i64, u64)>;

/// Nothing is looked at twice soon.
const CACHE_BYTES: usize = 1 << 20;

pub(crate) struct Rescue<'a> {
    segments: &'a Arc<Segments>,
    kept: Kept,
    /// Rows of segments that a newer version in the group replaces.
    pub(crate) replaced: Vec<(i64, u64)>,
    /// Traces of the group, with their workspaces' names.
    touched: HashMap<TraceRef, String>,
}

impl<'a> Rescue<'a> {
    /// What is needed where the table and segments may speak of the same spans. `is_older` is whether
    /// an older program could open the directory.
    pub(super) fn begin(
        conn: &Connection,
        is_older: bool,
        segments: &'a Arc<Segments>,
    ) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM segments)";
        let has_segments: bool = conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
        let has_begun = meta(conn, "moved")?.is_some();
        let goes_on = has_begun && !is_older;
        let is_plain = goes_on || !(has_begun || has_segments);
        if meta(conn, "rescue")?.is_none() && is_plain {
            return Ok(None);
        }
        tracing::warn!(
            "an older program wrote to this data directory after its spans had moved to segments: \
             both are brought together"
        );
        if !goes_on {
            // Any row may have changed since.
            let again = "DELETE FROM meta WHERE key = 'moved';
                         INSERT OR REPLACE INTO meta VALUES ('rescue', 1)";
            conn.execute_batch(&format!("BEGIN; {again}; COMMIT")).map_err(from_sqlite)?;
        }
        Self::new(segments).map(Some)
    }

    pub(crate) fn new(segments: &'a Arc<Segments>) -> Result<Self, StoreError> {
        let kept = Kept {
            cache: Cache::new(CACHE_BYTES),
            encoder: Encoder::new()?,
            workspaces: HashMap::new(),
            slugs: HashMap::new(),
            last_sequence: 0,
            hot: Hot::new(),
            segments: Arc::clone(segments),
            has_tombstones: false,
            last_change: 0,
        };
        Ok(Self { segments, kept, replaced: Vec::new(), touched: HashMap::new() })
    }

    /// Leaves only those spans of a group of which segments have no version as new.
    pub(super) fn sift(
        &mut self,
        conn: &Connection,
        spans: &mut Vec<(i64, Arc<Span>)>,
    ) -> Result<(), StoreError> {
        let known = self.weigh(conn, spans)?;
        let mut replaced = HashSet::new();
        spans.retain(|(ws, span)| {
            match known.get(&((*ws, span.trace_id), span.span_id)) {
                Some((version, ..)) if *version >= span.version => return false,
                Some((_, segment, row)) => drop(replaced.insert((*segment, *row))),
                None => {}
            }
            true
        });
        self.replaced.extend(replaced);
        Ok(())
    }

    /// What segments have of the traces of these spans; those traces are to be settled.
    pub(crate) fn weigh(
        &mut self,
        conn: &Connection,
        spans: &[(i64, Arc<Span>)],
    ) -> Result<Stored, StoreError> {
        self.touched.clear();
        self.replaced.clear();
        for (ws, span) in spans {
            self.touched.insert((*ws, span.trace_id), span.workspace.clone());
        }
        let mut known = Stored::new();
        for (trace, slug) in &self.touched {
            let (hot, segments) = (&self.kept.hot, &**self.segments);
            let reader = Reader {
                conn,
                hot,
                segments,
                workspace: slug,
                ws: trace.0,
                now_ns: 0,
                told: Told::default(),
            };
            reader.summaries(trace.1, &mut |place, span_id, version, _| {
                if let Place::Segment { segment, row } = place {
                    known.insert((*trace, span_id), (version, segment, row));
                }
            })?;
        }
        Ok(known)
    }

    /// In the transaction that makes the group visible: what it replaces goes, its traces' rows are
    /// computed anew.
    pub(crate) fn settle(&mut self, conn: &Connection) -> Result<(), StoreError> {
        for (segment, row) in &self.replaced {
            let sql = "INSERT OR IGNORE INTO deleted (segment, row) VALUES (?1, ?2)";
            run(conn, sql, params![segment, row.cast_signed()])?;
        }
        self.kept.forget(Hot::new());
        let mut transaction = Transaction::new(conn, &mut self.kept);
        for (trace, slug) in &self.touched {
            transaction.recompute(*trace, slug)?;
        }
        transaction.finish().map(drop)
    }

    /// The counts of the workspaces, from what is there.
    pub(crate) fn recount(conn: &Connection) -> Result<(), StoreError> {
        let spans = "UPDATE workspaces SET spans =
              (SELECT coalesce(sum(rows), 0) FROM segments WHERE ws = workspaces.ws)
            - (SELECT count(*) FROM deleted AS d JOIN segments AS s ON s.segment = d.segment
               WHERE s.ws = workspaces.ws)";
        let traces = "UPDATE workspaces SET traces =
              (SELECT count(*) FROM traces WHERE ws = workspaces.ws)";
        [spans, traces].iter().try_for_each(|sql| run(conn, sql, []).map(drop))
    }
}
