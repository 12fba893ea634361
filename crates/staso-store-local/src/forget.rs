//! Deletion within a transaction: what it hides, what it remembers, and what is left to do.
//!
//! A trace is hidden by its rows of segments becoming deleted rows, and by leaving the hot set and the list. Its
//! segments are remembered in `forgetting` until compaction has written them anew, so that the bytes go
//! too. `tombstones` keep it away; they name users by a digest only, and stand in the log again and again,
//! for the day on which the catalog is lost.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use staso_model::{Annotation, Span, SpanId, TraceId};
use staso_store::deletion::{Deleted, Job, blank, blanked, stands, takes_whole};
use staso_store::rollup::SpanSummary;
use staso_store::{StoreError, Target};

use crate::apply::{Transaction, run};
use crate::cache::{CachedTrace, Place, TraceRef};
use crate::error::from_sqlite;
use crate::terms;
use crate::wal::forgotten::{Forgotten, TombstoneEntry, TombstonesRecord};

/// Tombstones of traces, and of users.
const TRACE: i64 = 0;
const USER: i64 = 1;

/// Whether the catalog has any tombstone. Where there is none, ingest asks for none.
pub(crate) fn has_tombstones(conn: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tombstones)";
    conn.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)
}

/// What is kept of a user's name.
pub(crate) fn digest(user_id: &str) -> Vec<u8> {
    Sha256::digest(user_id.as_bytes()).to_vec()
}

impl Transaction<'_> {
    /// One step of a deletion: decides what becomes of each of these traces, and does it.
    pub(crate) fn forget(
        &mut self,
        forgotten: &mut Forgotten,
        target: &Target,
        traces: &[TraceId],
    ) -> Result<Deleted, StoreError> {
        let mut deleted = Deleted::default();
        let slug = forgotten.workspace.clone();
        let Some(ws) = self.known_workspace(&slug)? else { return Ok(deleted) };
        for trace_id in traces {
            let trace = (ws, *trace_id);
            let spans = self.reader(ws, &slug).spans(*trace_id, false)?;
            let takes_whole = match target {
                Target::Trace(_) => {
                    // One whose every span is damaged still has its row.
                    let is_known = !self.cached(&trace, &slug)?.is_empty()
                        || self.has_any("traces", &trace)?
                        || self.has_any("annotations", &trace)?;
                    is_known.then_some(true)
                }
                Target::Session(session) => {
                    let names = |span: &Span| span.session_id.as_ref() == Some(session);
                    spans.iter().any(names).then_some(true)
                }
                Target::User(user) => takes_whole(&spans, user),
            };
            match (takes_whole, target) {
                (Some(true), _) => {
                    deleted.spans += self.cached(&trace, &slug)?.len() as u64;
                    deleted.traces += 1;
                    forgotten.traces.push(*trace_id);
                }
                (Some(false), Target::User(user)) => {
                    let own = spans.iter().filter(|span| span.user_id.as_ref() == Some(user));
                    let before = forgotten.spans.len();
                    forgotten.spans.extend(own.map(blanked));
                    deleted.blanked += (forgotten.spans.len() - before) as u64;
                }
                _ => continue,
            }
            deleted.touched.push(*trace_id);
        }
        Ok(deleted)
    }

    /// Has happen what a record says, which `number` is the number of.
    pub(crate) fn take_forgotten(
        &mut self,
        forgotten: &Forgotten,
        number: u64,
    ) -> Result<(), StoreError> {
        let ws = self.workspace(&forgotten.workspace)?;
        let job = if forgotten.job == 0 { number } else { forgotten.job };
        if let Some(user) = &forgotten.user {
            self.bury(ws, USER, user, forgotten.at_ns)?;
        }
        let mut spans = 0;
        for trace_id in &forgotten.traces {
            spans += self.forget_trace((ws, *trace_id), &forgotten.workspace, number)?;
            self.bury(ws, TRACE, &trace_id.0, forgotten.at_ns)?;
        }
        for span in &forgotten.spans {
            self.put_blank(ws, span, number)?;
        }
        let sql = "INSERT INTO jobs (job, ws, at_ns, last, traces, spans, blanked)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (job) DO UPDATE SET last = max(last, excluded.last), is_gone = 0,
                     traces = traces + excluded.traces, spans = spans + excluded.spans,
                     blanked = blanked + excluded.blanked";
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (traces, blanked) = (count(forgotten.traces.len()), count(forgotten.spans.len()));
        let (job, last, at_ns) = (job.cast_signed(), number.cast_signed(), forgotten.at_ns);
        let spans = spans.cast_signed();
        run(self.conn, sql, params![job, ws, at_ns, last, traces, spans, blanked]).map(drop)
    }

    /// What the catalog has forgotten already, of the hot set that is being brought back.
    pub(crate) fn let_go(&mut self, forgotten: Forgotten) -> Result<(), StoreError> {
        let ws = self.workspace(&forgotten.workspace)?;
        for trace_id in forgotten.traces {
            self.kept.hot.remove_trace(&(ws, trace_id));
        }
        for span in forgotten.spans {
            self.kept.hot.put(ws, Arc::new(span));
        }
        Ok(())
    }

    /// Tombstones that stood in an older file. Where the catalog is made anew, what stands of their traces in segments
    /// that were taken in again goes, unless some of it came after the tombstone's time; where it is not, the
    /// catalog knows already what was deleted.
    pub(crate) fn take_tombstones(
        &mut self,
        record: TombstonesRecord,
        number: u64,
        is_rebuilt: bool,
    ) -> Result<(), StoreError> {
        for TombstoneEntry { workspace, kind, key, at } in record.tombstones {
            let ws = self.workspace(&workspace)?;
            self.bury(ws, i64::from(kind), &key.0, at)?;
            if i64::from(kind) == TRACE
                && is_rebuilt
                && let Some(id) = key.id()
            {
                let trace = (ws, TraceId(id));
                let last_ns = self.cached(&trace, &workspace)?.last_received_ns();
                if last_ns.is_some_and(|last_ns| stands(at, last_ns)) {
                    self.forget_trace(trace, &workspace, number)?;
                }
            }
        }
        Ok(())
    }

    fn bury(&mut self, ws: i64, kind: i64, key: &[u8], at_ns: i64) -> Result<(), StoreError> {
        self.kept.has_tombstones = true;
        let sql = "INSERT INTO tombstones (ws, kind, key, at_ns) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (ws, kind, key) DO UPDATE SET at_ns = max(at_ns, excluded.at_ns)";
        run(self.conn, sql, params![ws, kind, key, at_ns]).map(drop)
    }

    fn tombstone(&self, ws: i64, kind: i64, key: &[u8]) -> Result<Option<i64>, StoreError> {
        if !self.kept.has_tombstones {
            return Ok(None);
        }
        let sql = "SELECT at_ns FROM tombstones WHERE ws = ?1 AND kind = ?2 AND key = ?3";
        let find = || {
            let mut statement = self.conn.prepare_cached(sql)?;
            statement.query_row(params![ws, kind, key], |row| row.get(0)).optional()
        };
        find().map_err(from_sqlite)
    }

    /// Whether a trace was deleted too short a time ago to come back.
    pub(crate) fn is_buried(&self, (ws, trace_id): &TraceRef) -> Result<bool, StoreError> {
        let at = self.tombstone(*ws, TRACE, &trace_id.0)?;
        Ok(at.is_some_and(|at| stands(at, self.received_ns)))
    }

    /// A span as it may be kept where its user was deleted; `None`: not at all.
    pub(crate) fn unless_deleted(
        &mut self,
        ws: i64,
        span: Arc<Span>,
    ) -> Result<Option<Arc<Span>>, StoreError> {
        let trace = (ws, span.trace_id);
        if !self.kept.has_tombstones {
            return Ok(Some(span));
        }
        if self.is_buried(&trace)? {
            return Ok(None);
        }
        let Some(user) = &span.user_id else { return Ok(Some(span)) };
        let at = self.tombstone(ws, USER, &digest(user))?;
        if at.is_none_or(|at| !stands(at, self.received_ns) || span.start_ns >= at) {
            return Ok(Some(span));
        }
        if self.cached(&trace, &span.workspace)?.find(&span.span_id).is_none() {
            return Ok(None);
        }
        let mut span = Arc::unwrap_or_clone(span);
        blank(&mut span);
        Ok(Some(Arc::new(span)))
    }

    fn forget_trace(
        &mut self,
        trace: TraceRef,
        slug: &str,
        number: u64,
    ) -> Result<u64, StoreError> {
        let (ws, trace_id) = trace;
        let spans = self.cached(&trace, slug)?.len();
        let parts = self.reader(ws, slug).parts(trace_id)?;
        for part in &parts {
            for row in part.first_row..part.first_row + part.rows {
                let sql = "INSERT OR IGNORE INTO deleted (segment, row) VALUES (?1, ?2)";
                run(self.conn, sql, params![part.segment, row.cast_signed()])?;
            }
        }
        self.mark(parts.iter().map(|part| part.segment), number)?;
        let sql = "DELETE FROM open_traces WHERE ws = ?1 AND trace_id = ?2";
        run(self.conn, sql, params![ws, trace_id.0])?;
        let rows = self.take_out_of_list(&trace)?;
        self.kept.hot.remove_trace(&trace);
        self.kept.cache.insert(trace, CachedTrace::default());
        self.dirty.remove(&trace);
        *self.new_spans.entry(ws).or_default() -= i64::try_from(spans).unwrap_or(i64::MAX);
        *self.new_traces.entry(ws).or_default() -= i64::try_from(rows).unwrap_or_default();
        Ok(spans as u64)
    }

    /// A trace's row, what it is found by and its annotations go. Answers how many rows it had.
    pub(crate) fn take_out_of_list(&mut self, trace: &TraceRef) -> Result<usize, StoreError> {
        self.kept.note_all();
        terms::replace(self.conn, trace, None)?;
        let (ws, trace_id) = *trace;
        let sql = "DELETE FROM annotations WHERE ws = ?1 AND trace_id = ?2";
        run(self.conn, sql, params![ws, trace_id.0])?;
        let sql = "DELETE FROM traces WHERE ws = ?1 AND trace_id = ?2";
        run(self.conn, sql, params![ws, trace_id.0])
    }

    /// Segments that have bytes which are to go.
    fn mark(&self, segments: impl Iterator<Item = i64>, number: u64) -> Result<(), StoreError> {
        for segment in segments {
            let sql = "INSERT INTO forgetting (segment, job) VALUES (?1, ?2)
                       ON CONFLICT (segment) DO UPDATE SET job = max(job, excluded.job)";
            run(self.conn, sql, params![segment, number.cast_signed()])?;
        }
        Ok(())
    }

    /// Puts a span without its content where the span is.
    fn put_blank(&mut self, ws: i64, span: &Span, number: u64) -> Result<(), StoreError> {
        let trace = (ws, span.trace_id);
        let known = self.cached(&trace, &span.workspace)?.find(&span.span_id);
        match known {
            Some((_, version)) if version > span.version => return Ok(()),
            Some((Place::Segment { segment, row }, _)) => {
                let sql = "INSERT OR IGNORE INTO deleted (segment, row) VALUES (?1, ?2)";
                run(self.conn, sql, params![segment, row.cast_signed()])?;
            }
            Some((Place::Hot, version)) => {
                self.kept.hot.remove(&trace, &span.span_id, &version);
            }
            // The catalog is made anew, and compaction has dropped what it was before.
            None => *self.new_spans.entry(ws).or_default() += 1,
        }
        let parts = self.reader(ws, &span.workspace).parts(span.trace_id)?;
        self.mark(parts.iter().map(|part| part.segment), number)?;
        let summary = Some(SpanSummary::of(span));
        let cached = self.cached(&trace, &span.workspace)?;
        cached.put(span.span_id, Place::Hot, span.version, summary);
        self.kept.hot.put(ws, Arc::new(span.clone()));
        self.dirty.insert(trace);
        self.forget_annotations(&trace, &span.workspace, span.span_id)
    }

    fn forget_annotations(
        &self,
        (ws, trace_id): &TraceRef,
        slug: &str,
        span_id: SpanId,
    ) -> Result<(), StoreError> {
        let notes = self.reader(*ws, slug).annotations(*trace_id)?;
        let is_own = |note: &&Annotation| note.span_id == Some(span_id);
        for note in notes.iter().filter(is_own) {
            let sql = "DELETE FROM annotations WHERE ws = ?1 AND id = ?2";
            run(self.conn, sql, params![ws, note.id.0])?;
        }
        Ok(())
    }

    fn has_any(&self, table: &str, (ws, trace_id): &TraceRef) -> Result<bool, StoreError> {
        let sql = format!("SELECT 1 FROM {table} WHERE ws = ?1 AND trace_id = ?2");
        let exists = || self.conn.prepare_cached(&sql)?.exists(params![ws, trace_id.0]);
        exists().map_err(from_sqlite)
    }

    pub(crate) fn known_workspace(&self, slug: &str) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT ws FROM workspaces WHERE slug = ?1";
        self.conn.query_row(sql, [slug], |row| row.get(0)).optional().map_err(from_sqlite)
    }
}

/// Every tombstone that still stands, for the log.
pub(crate) fn tombstones(conn: &Connection) -> Result<TombstonesRecord, StoreError> {
    let sql = "SELECT w.slug, t.kind, t.key, t.at_ns
               FROM tombstones AS t JOIN workspaces AS w ON w.ws = t.ws";
    let read = || -> rusqlite::Result<Vec<TombstoneEntry>> {
        let mut statement = conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(TombstoneEntry {
                workspace: row.get(0)?,
                kind: row.get(1)?,
                key: crate::tokens::Bytes(row.get(2)?),
                at: row.get(3)?,
            })
        })?;
        rows.collect()
    };
    Ok(TombstonesRecord { tombstones: read().map_err(from_sqlite)? })
}

/// A deletion by its number.
pub(crate) fn job(conn: &Connection, job: u64) -> Result<Option<Job>, StoreError> {
    let sql = "SELECT w.slug, j.at_ns, j.traces, j.spans, j.blanked, j.is_gone
               FROM jobs AS j JOIN workspaces AS w ON w.ws = j.ws WHERE j.job = ?1";
    let read = || {
        let mut statement = conn.prepare_cached(sql)?;
        let row = statement.query_row([job.cast_signed()], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(Job {
                job,
                workspace: row.get(0)?,
                at_ns: row.get(1)?,
                traces: count(2)?,
                spans: count(3)?,
                blanked: count(4)?,
                is_gone: row.get::<_, i64>(5)? != 0,
            })
        });
        row.optional()
    };
    read().map_err(from_sqlite)
}
