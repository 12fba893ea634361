//! Reads of one trace: its row, its annotations, its processes' lives. Its spans are in
//! [`crate::spans`].

use rusqlite::{Connection, OptionalExtension, params};
use staso_model::{Annotation, AnnotationId, ProcessId, TraceId};
use staso_store::query::RunState;
use staso_store::rollup::{Rollup, SpanSummary, latest_annotations, run_state, sort_annotations};
use staso_store::row::{Trace, TraceRow, WorkspaceRow};
use staso_store::tree::tree_order;
use staso_store::{OpenProcess, ProcessLife, StoreError, StoreStats};

use crate::decode::{self, report};
use crate::error::from_sqlite;
use crate::hot::Hot;
use crate::other_records::StoredRow;
use crate::pool::Snapshot;
use crate::segment::Segments;
use crate::told::Told;

/// One workspace in one snapshot.
pub(crate) struct Reader<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) hot: &'a Hot,
    pub(crate) segments: &'a Segments,
    pub(crate) workspace: &'a str,
    pub(crate) ws: i64,
    pub(crate) now_ns: i64,
    /// What the indexes said in this snapshot.
    pub(crate) told: Told,
}

impl<'a> Reader<'a> {
    /// `None` for a workspace that is not known.
    pub(crate) fn of(
        snapshot: &'a Snapshot<'_>,
        workspace: &'a str,
        now_ns: i64,
    ) -> Result<Option<Self>, StoreError> {
        let Snapshot { conn, hot, segments } = snapshot;
        let sql = "SELECT ws FROM workspaces WHERE slug = ?1";
        let find = || conn.prepare_cached(sql)?.query_row([workspace], |row| row.get(0)).optional();
        let ws: Option<i64> = find().map_err(from_sqlite)?;
        Ok(ws.map(|ws| Self { conn, hot, segments, workspace, ws, now_ns, told: Told::default() }))
    }

    pub(crate) fn annotations(&self, trace_id: TraceId) -> Result<Vec<Annotation>, StoreError> {
        let sql = "SELECT id, record FROM annotations WHERE ws = ?1 AND trace_id = ?2";
        let mut statement = self.conn.prepare_cached(sql).map_err(from_sqlite)?;
        let mut rows = statement.query(params![self.ws, trace_id.0]).map_err(from_sqlite)?;
        let mut annotations = Vec::new();
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            let read = || -> rusqlite::Result<_> { Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)) };
            let (id, record) = read().map_err(from_sqlite)?;
            match decode::annotation(&record, self.workspace, AnnotationId(id), trace_id) {
                Ok(annotation) => annotations.push(annotation),
                Err(error) => report(&error),
            }
        }
        sort_annotations(&mut annotations);
        Ok(annotations)
    }

    /// The row of a trace, complete.
    pub(crate) fn row(&self, trace_id: TraceId) -> Result<Option<TraceRow>, StoreError> {
        let sql = "SELECT record FROM traces WHERE ws = ?1 AND trace_id = ?2";
        let read = || {
            let mut statement = self.conn.prepare_cached(sql)?;
            statement
                .query_row(params![self.ws, trace_id.0], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        };
        let Some(record) = read().map_err(from_sqlite)? else { return Ok(None) };
        let Some(mut row) = self.stored_row(trace_id, &record)? else { return Ok(None) };
        self.annotate(&mut row)?;
        Ok(Some(row))
    }

    /// A row from its record, its state judged, without annotations. A damaged record is computed
    /// anew from the spans.
    pub(crate) fn stored_row(
        &self,
        trace_id: TraceId,
        record: &[u8],
    ) -> Result<Option<TraceRow>, StoreError> {
        let stored = match decode::row(record, self.workspace, trace_id) {
            Ok(stored) => Some(stored),
            Err(error) => {
                report(&error);
                self.recomputed(trace_id)?
            }
        };
        let Some(mut stored) = stored else { return Ok(None) };
        stored.row.state = self.state(&stored)?;
        Ok(Some(stored.row))
    }

    fn recomputed(&self, trace_id: TraceId) -> Result<Option<StoredRow>, StoreError> {
        let mut rollup = Rollup::default();
        self.spans(trace_id, true)?.iter().for_each(|span| rollup.add(&SpanSummary::of(span)));
        Ok(StoredRow::of(&rollup, self.workspace, trace_id))
    }

    fn state(&self, stored: &StoredRow) -> Result<RunState, StoreError> {
        let mut lives = Vec::new();
        for process_id in &stored.open_processes {
            lives.extend(life(self.conn, self.ws, process_id)?);
        }
        Ok(run_state(stored.row.open_count, stored.interrupted_count, &lives, self.now_ns))
    }

    /// The lives of these processes, in their order.
    pub(crate) fn lives(
        &self,
        processes: &[ProcessId],
    ) -> Result<Vec<(ProcessId, ProcessLife)>, StoreError> {
        let mut lives = Vec::new();
        for process_id in processes {
            let known = life(self.conn, self.ws, process_id)?;
            lives.extend(known.map(|life| (*process_id, life)));
        }
        Ok(lives)
    }

    /// Gives a row its annotations.
    pub(crate) fn annotate(&self, row: &mut TraceRow) -> Result<(), StoreError> {
        row.annotations = latest_annotations(&self.annotations(row.trace_id)?);
        Ok(())
    }

    /// The whole trace in tree order.
    pub(crate) fn trace(
        &self,
        trace_id: TraceId,
        payloads: bool,
    ) -> Result<Option<Trace>, StoreError> {
        let Some(row) = self.row(trace_id)? else { return Ok(None) };
        let spans = tree_order(self.spans(trace_id, payloads)?);
        Ok(Some(Trace { row, spans, annotations: self.annotations(trace_id)? }))
    }
}

/// What is known of one process's life in one workspace.
pub(crate) fn life(
    conn: &Connection,
    ws: i64,
    process_id: &ProcessId,
) -> Result<Option<ProcessLife>, StoreError> {
    let sql = "SELECT alive_ns, goodbye_ns FROM processes WHERE ws = ?1 AND process_id = ?2";
    let read = || {
        conn.prepare_cached(sql)?
            .query_row(params![ws, process_id.0], |row| {
                Ok(ProcessLife { alive_ns: row.get(0)?, goodbye_ns: row.get(1)? })
            })
            .optional()
    };
    read().map_err(from_sqlite)
}

/// Every process that holds a span open.
pub(crate) fn open_processes(conn: &Connection) -> Result<Vec<OpenProcess>, StoreError> {
    let sql = "SELECT w.slug, o.process_id, p.alive_ns, p.goodbye_ns
               FROM (SELECT DISTINCT ws, process_id FROM open_traces) AS o
               JOIN workspaces AS w ON w.ws = o.ws
               LEFT JOIN processes AS p ON p.ws = o.ws AND p.process_id = o.process_id";
    let read = || -> rusqlite::Result<Vec<OpenProcess>> {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(OpenProcess {
                workspace: row.get(0)?,
                process_id: ProcessId(row.get(1)?),
                life: ProcessLife { alive_ns: row.get(2)?, goodbye_ns: row.get(3)? },
            })
        })?;
        rows.collect()
    };
    let mut open = read().map_err(from_sqlite)?;
    open.sort_by(|a, b| (&a.workspace, a.process_id).cmp(&(&b.workspace, b.process_id)));
    Ok(open)
}

/// Every workspace that holds something.
pub(crate) fn workspaces(conn: &Connection) -> Result<Vec<WorkspaceRow>, StoreError> {
    let sql = "SELECT slug, traces FROM workspaces AS w
               WHERE spans > 0 OR EXISTS (SELECT 1 FROM annotations WHERE ws = w.ws)";
    let read = || -> rusqlite::Result<Vec<WorkspaceRow>> {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(WorkspaceRow { slug: row.get(0)?, traces: row.get::<_, i64>(1)?.cast_unsigned() })
        })?;
        rows.collect()
    };
    let mut rows = read().map_err(from_sqlite)?;
    rows.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(rows)
}

/// Counts, without sizes.
pub(crate) fn stats(conn: &Connection) -> Result<StoreStats, StoreError> {
    let sql = "SELECT coalesce(sum(spans), 0), coalesce(sum(traces), 0),
                 (SELECT value FROM meta WHERE key = 'last_sequence') FROM workspaces";
    conn.query_row(sql, [], |row| {
        Ok(StoreStats {
            spans: row.get::<_, i64>(0)?.cast_unsigned(),
            traces: row.get::<_, i64>(1)?.cast_unsigned(),
            bytes: 0,
            last_sequence: row.get::<_, i64>(2)?.cast_unsigned(),
        })
    })
    .map_err(from_sqlite)
}
