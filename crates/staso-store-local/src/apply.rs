//! One batch into an open transaction.
//!
//! Nothing here commits. A failure leaves the transaction to be rolled back as a whole, and the
//! cache to be cleared.

mod signs;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, named_params, params};
use staso_model::{Annotation, ProcessId, Span, TraceId};
use staso_store::matching::duration_ns;
use staso_store::rollup::SpanSummary;
use staso_store::{Appended, Batch, ProcessSign, ReceiptKey, StoreError};

use crate::cache::{Cache, CachedTrace, Place, TraceRef};
use crate::disk::Encoder;
use crate::error::from_sqlite;
use crate::hot::Hot;
use crate::other_records::{AnnotationRecord, RowRecord, StoredRow};
use crate::read::Reader;
use crate::segment::Segments;
use crate::terms;
use crate::told::Told;
use crate::wal::record::BatchRecord;

/// What the writer keeps from one transaction to the next.
pub(crate) struct Kept {
    pub(crate) cache: Cache,
    pub(crate) encoder: Encoder,
    /// Numbers of workspaces, by name and back.
    pub(crate) workspaces: HashMap<String, i64>,
    pub(crate) slugs: HashMap<i64, String>,
    pub(crate) last_sequence: u64,
    /// The hot set as the transaction under way leaves it.
    pub(crate) hot: Hot,
    pub(crate) segments: Arc<Segments>,
    /// Whether the catalog may have a tombstone: where not, none is looked for.
    pub(crate) has_tombstones: bool,
    /// The number of the last change that was noted. No rollback takes it back.
    pub(crate) last_change: u64,
}

/// A batch on its way in, its spans apart, to be shared with the hot set.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) batch: Batch,
    pub(crate) spans: Vec<Arc<Span>>,
}

impl Incoming {
    pub(crate) fn of(mut batch: Batch) -> Self {
        let spans = std::mem::take(&mut batch.spans).into_iter().map(Arc::new).collect();
        Self { batch, spans }
    }
}

impl Kept {
    /// Forgets what a rolled-back transaction may have put in; `hot` is what stood before it.
    pub(crate) fn forget(&mut self, hot: Hot) {
        self.hot = hot;
        self.note_all();
        // One look too many harms nothing.
        self.has_tombstones = true;
        self.cache.clear();
        self.workspaces.clear();
        self.slugs.clear();
    }

    /// Notes a change to a trace of this reach.
    fn note(&mut self, ws: i64, reach: Option<(i64, i64)>) {
        self.last_change += 1;
        if let Some(reach) = reach {
            self.hot.changes.note(ws, reach, self.last_change);
        }
    }

    /// Notes a change of which it is not known what it reaches.
    pub(crate) fn note_all(&mut self) {
        self.last_change += 1;
        self.hot.changes.note_all(self.last_change);
    }
}

/// One transaction of several batches.
pub(crate) struct Transaction<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) kept: &'a mut Kept,
    /// Traces whose rows are to be recomputed.
    pub(crate) dirty: HashSet<TraceRef>,
    pub(crate) new_spans: HashMap<i64, i64>,
    pub(crate) new_traces: HashMap<i64, i64>,
    last_sequence: u64,
    /// When the batch that is being applied was received: what tombstones are judged by.
    pub(crate) received_ns: i64,
    /// What the log will say of the batch that is being applied.
    record: BatchRecord,
    /// Whether a batch of the log is applied: it has the spans that its signs closed, and which these
    /// were must not be found again from lives that a catalog made anew does not know.
    is_replay: bool,
}

impl<'a> Transaction<'a> {
    /// The database is already in a transaction.
    pub(crate) fn new(conn: &'a Connection, kept: &'a mut Kept) -> Self {
        let last_sequence = kept.last_sequence;
        Self {
            conn,
            kept,
            dirty: HashSet::new(),
            new_spans: HashMap::new(),
            new_traces: HashMap::new(),
            last_sequence,
            received_ns: i64::MAX,
            record: BatchRecord::default(),
            is_replay: false,
        }
    }

    /// Applies a batch, and answers what the log is to say of it: nothing of a repeated one.
    pub(crate) fn apply(
        &mut self,
        incoming: &Incoming,
    ) -> Result<(Appended, Option<BatchRecord>), StoreError> {
        let batch = &incoming.batch;
        self.record = BatchRecord::of(batch);
        let ws = self.workspace(&batch.workspace)?;
        let mut key_reused = false;
        if let Some(receipt) = &batch.receipt {
            match self.take_receipt(ws, receipt, batch)? {
                Receipt::Known(reply) => return Ok((Appended::Repeated { reply }, None)),
                Receipt::New { key_reused: reused } => key_reused = reused,
            }
        }
        let mut touched = BTreeSet::new();
        // What signs close is stored already, and no tombstone speaks of it.
        self.received_ns = i64::MAX;
        self.take_signs(ws, incoming, &mut touched)?;
        self.received_ns = batch.received_ns;
        for span in &incoming.spans {
            let kept = match self.closed_if_gone(span)? {
                Some(closed) => Arc::new(closed),
                None => Arc::clone(span),
            };
            self.take_span(kept, &mut touched)?;
        }
        for annotation in &batch.annotations {
            self.take_annotation(annotation, &mut touched)?;
        }
        let named = |(ws, id): TraceRef| Some((self.kept.slugs.get(&ws)?.clone(), id));
        let mut touched: Vec<_> = touched.into_iter().filter_map(named).collect();
        touched.sort();
        self.record.sequence = self.last_sequence;
        Ok((Appended::New { touched, key_reused }, Some(std::mem::take(&mut self.record))))
    }

    /// Applies what the log says of a batch. Batches of the log were new once and are new again.
    pub(crate) fn replay(
        &mut self,
        batch: &Incoming,
        sequence: u64,
        heard: &[(String, ProcessSign)],
    ) -> Result<(), StoreError> {
        self.is_replay = true;
        let applied = self.apply(batch);
        self.is_replay = false;
        applied?;
        for (workspace, sign) in heard {
            let ws = self.workspace(workspace)?;
            self.take_sign(ws, sign, batch.batch.received_ns)?;
        }
        self.last_sequence = self.last_sequence.max(sequence);
        Ok(())
    }

    /// Brings rows and counts up to date: the last step before the commit.
    pub(crate) fn finish(mut self) -> Result<u64, StoreError> {
        self.write_rows()?;
        for (column, changes) in [("spans", &self.new_spans), ("traces", &self.new_traces)] {
            let sql = format!("UPDATE workspaces SET {column} = {column} + ?2 WHERE ws = ?1");
            for (ws, change) in changes {
                run(self.conn, &sql, params![ws, change])?;
            }
        }
        if self.last_sequence > self.kept.last_sequence {
            let sql = "UPDATE meta SET value = ?1 WHERE key = 'last_sequence'";
            run(self.conn, sql, params![self.last_sequence.cast_signed()])?;
        }
        Ok(self.last_sequence)
    }

    /// Has a trace's row computed anew from what is stored of it.
    pub(crate) fn recompute(&mut self, trace: TraceRef, workspace: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM open_traces WHERE ws = ?1 AND trace_id = ?2";
        run(self.conn, sql, params![trace.0, trace.1.0])?;
        self.kept.slugs.insert(trace.0, workspace.to_owned());
        self.cached(&trace, workspace)?.open_processes.clear();
        self.dirty.insert(trace);
        Ok(())
    }

    /// Takes in spans that a catalog of before, or a lost one, may have counted or not: what is known of
    /// them stays as it is. A deletion that comes after them in the log is still to come.
    pub(crate) fn take_again(&mut self, spans: Vec<Span>) -> Result<(), StoreError> {
        self.received_ns = i64::MAX;
        for span in spans {
            self.take_span(Arc::new(span), &mut BTreeSet::new())?;
        }
        self.record = BatchRecord::default();
        Ok(())
    }

    /// Puts spans back into the hot set that the catalog has counted already.
    pub(crate) fn keep(&mut self, spans: Vec<Span>) -> Result<(), StoreError> {
        for span in spans {
            let ws = self.workspace(&span.workspace)?;
            self.kept.hot.put(ws, Arc::new(span));
        }
        Ok(())
    }

    pub(crate) fn workspace(&mut self, slug: &str) -> Result<i64, StoreError> {
        if let Some(ws) = self.kept.workspaces.get(slug) {
            return Ok(*ws);
        }
        run(self.conn, "INSERT OR IGNORE INTO workspaces (slug) VALUES (?1)", params![slug])?;
        let ws = self
            .conn
            .query_row("SELECT ws FROM workspaces WHERE slug = ?1", [slug], |row| row.get(0))
            .map_err(from_sqlite)?;
        self.kept.workspaces.insert(slug.to_owned(), ws);
        self.kept.slugs.insert(ws, slug.to_owned());
        Ok(ws)
    }

    fn take_receipt(
        &mut self,
        ws: i64,
        receipt: &ReceiptKey,
        batch: &Batch,
    ) -> Result<Receipt, StoreError> {
        let sql = "SELECT digest, reply FROM receipts WHERE ws = ?1 AND key = ?2";
        let mut statement = self.conn.prepare_cached(sql).map_err(from_sqlite)?;
        let mut rows = statement.query(params![ws, receipt.key]).map_err(from_sqlite)?;
        let mut key_reused = false;
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            if row.get::<_, [u8; 32]>(0).map_err(from_sqlite)? == receipt.digest {
                return Ok(Receipt::Known(row.get(1).map_err(from_sqlite)?));
            }
            key_reused = true;
        }
        run(
            self.conn,
            "INSERT INTO receipts (ws, key, digest, reply, received_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![ws, receipt.key, receipt.digest, batch.reply, batch.received_ns],
        )?;
        Ok(Receipt::New { key_reused })
    }

    fn take_span(
        &mut self,
        span: Arc<Span>,
        touched: &mut BTreeSet<TraceRef>,
    ) -> Result<(), StoreError> {
        self.last_sequence = self.last_sequence.max(span.version.sequence);
        let ws = self.workspace(&span.workspace)?;
        let Some(span) = self.unless_deleted(ws, span)? else { return Ok(()) };
        let trace = (ws, span.trace_id);
        let known = self.cached(&trace, &span.workspace)?.find(&span.span_id);
        match known {
            Some((_, version)) if version >= span.version => return Ok(()),
            Some((Place::Segment { segment, row }, _)) => {
                let sql = "INSERT OR IGNORE INTO deleted (segment, row) VALUES (?1, ?2)";
                run(self.conn, sql, params![segment, row.cast_signed()])?;
            }
            Some((Place::Hot, _)) => {}
            None => *self.new_spans.entry(ws).or_default() += 1,
        }
        self.record.push(&span);
        if let Some(cached) = self.kept.cache.get(&trace) {
            let summary = Some(SpanSummary::of(&span));
            cached.put(span.span_id, Place::Hot, span.version, summary);
        }
        self.kept.hot.put(ws, span);
        self.dirty.insert(trace);
        touched.insert(trace);
        Ok(())
    }

    /// Reads as the transaction under way sees things.
    pub(crate) fn reader<'r>(&'r self, ws: i64, workspace: &'r str) -> Reader<'r> {
        let (hot, segments) = (&self.kept.hot, &*self.kept.segments);
        Reader { conn: self.conn, hot, segments, workspace, ws, now_ns: 0, told: Told::default() }
    }

    /// The trace's narrow spans, read back where they are not at hand.
    pub(crate) fn cached(
        &mut self,
        trace: &TraceRef,
        workspace: &str,
    ) -> Result<&mut CachedTrace, StoreError> {
        if self.kept.cache.get(trace).is_none() {
            let loaded = load(&self.reader(trace.0, workspace), trace.1)?;
            self.kept.cache.insert(*trace, loaded);
        }
        let missing = || StoreError::Engine("the cache lost a trace".to_owned());
        self.kept.cache.get(trace).ok_or_else(missing)
    }

    fn take_annotation(
        &mut self,
        annotation: &Annotation,
        touched: &mut BTreeSet<TraceRef>,
    ) -> Result<(), StoreError> {
        let ws = self.workspace(&annotation.workspace)?;
        if self.is_buried(&(ws, annotation.trace_id))? {
            return Ok(());
        }
        let record = self.kept.encoder.encode(&AnnotationRecord::of(annotation))?;
        let changed = run(
            self.conn,
            "INSERT OR IGNORE INTO annotations (ws, id, trace_id, record) VALUES (?1, ?2, ?3, ?4)",
            params![ws, annotation.id.0, annotation.trace_id.0, record],
        )?;
        if changed > 0 {
            touched.insert((ws, annotation.trace_id));
        }
        Ok(())
    }

    fn write_rows(&mut self) -> Result<(), StoreError> {
        for trace in std::mem::take(&mut self.dirty) {
            self.write_row(&trace)?;
        }
        Ok(())
    }

    fn write_row(&mut self, trace: &TraceRef) -> Result<(), StoreError> {
        let (ws, trace_id) = *trace;
        let slug = self.kept.slugs.get(&ws).cloned().unwrap_or_default();
        let cached = self.cached(trace, &slug)?;
        let (rollup, reach) = (cached.rollup(), cached.reach());
        let had_row = cached.has_row;
        let open: Vec<ProcessId> = rollup.open_processes().iter().copied().collect();
        let known_open = std::mem::replace(&mut cached.open_processes, open.clone());
        self.kept.note(ws, reach);
        self.write_open_traces(trace, &known_open, &open)?;
        let stored = StoredRow::of(&rollup, &slug, trace_id);
        let has_row = stored.is_some();
        terms::replace(self.conn, trace, stored.as_ref().map(|stored| &stored.row))?;
        match stored {
            Some(stored) => self.upsert_row(ws, stored)?,
            None => {
                let sql = "DELETE FROM traces WHERE ws = ?1 AND trace_id = ?2";
                run(self.conn, sql, params![ws, trace_id.0])?;
            }
        }
        *self.new_traces.entry(ws).or_default() += i64::from(has_row) - i64::from(had_row);
        if let Some(cached) = self.kept.cache.get(trace) {
            cached.has_row = has_row;
        }
        Ok(())
    }

    fn write_open_traces(
        &self,
        (ws, trace_id): &TraceRef,
        before: &[ProcessId],
        after: &[ProcessId],
    ) -> Result<(), StoreError> {
        let sets = [before, after].map(|ids| ids.iter().collect::<BTreeSet<_>>());
        let [before, after] = &sets;
        for gone in before.difference(after) {
            let sql = "DELETE FROM open_traces WHERE ws = ?1 AND process_id = ?2 AND trace_id = ?3";
            run(self.conn, sql, params![ws, gone.0, trace_id.0])?;
        }
        for new in after.difference(before) {
            let sql = "INSERT OR IGNORE INTO open_traces VALUES (?1, ?2, ?3)";
            run(self.conn, sql, params![ws, new.0, trace_id.0])?;
        }
        Ok(())
    }

    fn upsert_row(&mut self, ws: i64, stored: StoredRow) -> Result<(), StoreError> {
        let interrupted = stored.interrupted_count.cast_signed();
        let record = self.kept.encoder.encode(&RowRecord::of(&stored))?;
        let row = &stored.row;
        let kinds = row.kinds.iter().fold(0_i64, |mask, kind| mask | (1 << (*kind as u32)));
        let sql = "INSERT INTO traces (ws, trace_id, start_ns, duration_ns, cost_nano_usd, tokens,
               spans, errors, open, interrupted, status, kinds, environment, record)
             VALUES (:ws, :trace_id, :start_ns, :duration_ns, :cost, :tokens,
               :spans, :errors, :open, :interrupted, :status, :kinds, :environment, :record)
             ON CONFLICT (ws, trace_id) DO UPDATE SET start_ns = excluded.start_ns,
               duration_ns = excluded.duration_ns, cost_nano_usd = excluded.cost_nano_usd,
               tokens = excluded.tokens, spans = excluded.spans, errors = excluded.errors,
               open = excluded.open, interrupted = excluded.interrupted,
               status = excluded.status, kinds = excluded.kinds,
               environment = excluded.environment, record = excluded.record";
        let mut statement = self.conn.prepare_cached(sql).map_err(from_sqlite)?;
        statement
            .execute(named_params! {
                ":ws": ws,
                ":trace_id": row.trace_id.0,
                ":start_ns": row.start_ns,
                ":duration_ns": duration_ns(row),
                ":cost": row.cost_nano_usd,
                ":tokens": row.total_tokens,
                ":spans": row.span_count.cast_signed(),
                ":errors": row.error_count.cast_signed(),
                ":open": row.open_count.cast_signed(),
                ":interrupted": interrupted,
                ":status": row.status.as_str(),
                ":kinds": kinds,
                ":environment": row.environment,
                ":record": record,
            })
            .map_err(from_sqlite)?;
        Ok(())
    }
}

enum Receipt {
    Known(Vec<u8>),
    New { key_reused: bool },
}

/// Deletes one annotation; answers its trace.
pub(crate) fn delete_annotation(
    conn: &Connection,
    workspace: &str,
    id: [u8; 16],
) -> Result<Option<TraceId>, StoreError> {
    let sql = "DELETE FROM annotations
               WHERE ws = (SELECT ws FROM workspaces WHERE slug = ?1) AND id = ?2
               RETURNING trace_id";
    conn.query_row(sql, params![workspace, id], |row| row.get(0))
        .optional()
        .map(|trace_id| trace_id.map(TraceId))
        .map_err(from_sqlite)
}

/// Runs a statement that is prepared once.
pub(crate) fn run(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let run = || conn.prepare_cached(sql)?.execute(params);
    run().map_err(from_sqlite)
}

/// A trace's narrow spans from the hot set and the heads of its rows. Payloads are read only of spans
/// that can be a root.
fn load(reader: &Reader<'_>, trace_id: TraceId) -> Result<CachedTrace, StoreError> {
    let mut cached = CachedTrace::default();
    for span in reader.hot_spans(trace_id) {
        cached.put(span.span_id, Place::Hot, span.version, Some(SpanSummary::of(span)));
    }
    reader.summaries(trace_id, &mut |place, span_id, version, summary| {
        cached.put(span_id, place, version, summary);
    })?;
    if cached.is_empty() {
        return Ok(cached);
    }
    let sql = "SELECT 1 FROM traces WHERE ws = ?1 AND trace_id = ?2";
    let exists = || reader.conn.prepare_cached(sql)?.exists(params![reader.ws, trace_id.0]);
    cached.has_row = exists().map_err(from_sqlite)?;
    if cached.has_row {
        cached.open_processes = cached.rollup().open_processes().iter().copied().collect();
    }
    Ok(cached)
}
