//! One batch into an open transaction.
//!
//! Nothing here commits. A failure leaves the transaction to be rolled back as a whole, and the
//! cache to be cleared.

mod signs;

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, named_params, params};
use staso_model::{Annotation, ProcessId, Span, Stage, TraceId, Version};
use staso_store::matching::duration_ns;
use staso_store::rollup::SpanSummary;
use staso_store::{Appended, Batch, ReceiptKey, StoreError};

use crate::cache::{Cache, CachedTrace, TraceRef};
use crate::decode::{RawSpan, report};
use crate::disk::Encoder;
use crate::error::from_sqlite;
use crate::other_records::{AnnotationRecord, RowRecord, StoredRow};
use crate::span_record::{HeadRecord, PayloadRecord, to_version, version_key};
use crate::wal::record::BatchRecord;

/// What the writer keeps from one transaction to the next.
pub(crate) struct Kept {
    pub(crate) cache: Cache,
    pub(crate) encoder: Encoder,
    /// Numbers of workspaces, by name and back.
    pub(crate) workspaces: HashMap<String, i64>,
    pub(crate) slugs: HashMap<i64, String>,
    pub(crate) last_sequence: u64,
}

impl Kept {
    /// Forgets what a rolled-back transaction may have put in.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
        self.workspaces.clear();
        self.slugs.clear();
    }
}

/// One transaction of several batches.
pub(crate) struct Transaction<'a> {
    conn: &'a Connection,
    kept: &'a mut Kept,
    /// Traces whose rows are to be recomputed.
    dirty: HashSet<TraceRef>,
    new_spans: HashMap<i64, i64>,
    new_traces: HashMap<i64, i64>,
    last_sequence: u64,
    /// What the log will say of the batch that is being applied.
    record: BatchRecord,
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
            record: BatchRecord::default(),
        }
    }

    /// Applies a batch, and answers what the log is to say of it: nothing of a repeated one.
    pub(crate) fn apply(
        &mut self,
        batch: &Batch,
    ) -> Result<(Appended, Option<BatchRecord>), StoreError> {
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
        self.take_signs(ws, batch, &mut touched)?;
        for span in &batch.spans {
            match self.closed_if_gone(span)? {
                Some(closed) => self.take_span(&closed, &mut touched)?,
                None => self.take_span(span, &mut touched)?,
            }
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
    pub(crate) fn replay(&mut self, batch: &Batch, sequence: u64) -> Result<(), StoreError> {
        self.apply(batch)?;
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

    fn workspace(&mut self, slug: &str) -> Result<i64, StoreError> {
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
        span: &Span,
        touched: &mut BTreeSet<TraceRef>,
    ) -> Result<(), StoreError> {
        self.last_sequence = self.last_sequence.max(span.version.sequence);
        let ws = self.workspace(&span.workspace)?;
        let trace = (ws, span.trace_id);
        let known = self.cached(&trace, &span.workspace)?.find(&span.span_id);
        if known.is_some_and(|(_, version)| version >= span.version) {
            return Ok(());
        }
        self.record.push(span);
        let span_row = self.write_span(ws, span, known.map(|(span_row, _)| span_row))?;
        let summary = Some(SpanSummary::of(span));
        if let Some(cached) = self.kept.cache.get(&trace) {
            cached.put(span.span_id, span_row, span.version, summary);
        }
        self.dirty.insert(trace);
        touched.insert(trace);
        Ok(())
    }

    fn write_span(
        &mut self,
        ws: i64,
        span: &Span,
        span_row: Option<i64>,
    ) -> Result<i64, StoreError> {
        let head = self.kept.encoder.encode(&HeadRecord::of(span))?;
        let payload = match PayloadRecord::of(span) {
            Some(record) => Some(self.kept.encoder.encode(&record)?),
            None => None,
        };
        let version = version_key(&span.version);
        if let Some(span_row) = span_row {
            run(
                self.conn,
                "UPDATE spans SET version = ?2, head = ?3, payload = ?4 WHERE span_row = ?1",
                params![span_row, version, head, payload],
            )?;
            return Ok(span_row);
        }
        run(
            self.conn,
            "INSERT INTO spans (ws, trace_id, span_id, version, head, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![ws, span.trace_id.0, span.span_id.0, version, head, payload],
        )?;
        *self.new_spans.entry(ws).or_default() += 1;
        Ok(self.conn.last_insert_rowid())
    }

    /// The trace's narrow spans, read back where they are not at hand.
    fn cached(
        &mut self,
        trace: &TraceRef,
        workspace: &str,
    ) -> Result<&mut CachedTrace, StoreError> {
        if self.kept.cache.get(trace).is_none() {
            let loaded = load(self.conn, trace, workspace)?;
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
        let rollup = cached.rollup();
        let had_row = cached.has_row;
        let open: Vec<ProcessId> = rollup.open_processes().iter().copied().collect();
        let known_open = std::mem::replace(&mut cached.open_processes, open.clone());
        self.write_open_traces(trace, &known_open, &open)?;
        let stored = StoredRow::of(&rollup, &slug, trace_id);
        let has_row = stored.is_some();
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

/// Less than, or equal to, every version.
const LEAST_VERSION: Version =
    Version { stage: Stage::Open, client: 0, received_ns: i64::MIN, sequence: 0 };

/// A trace's narrow spans from their heads. Payloads are read only of spans that can be a root.
fn load(conn: &Connection, trace: &TraceRef, workspace: &str) -> Result<CachedTrace, StoreError> {
    let (ws, trace_id) = trace;
    let mut cached = CachedTrace::default();
    let sql = "SELECT span_row, span_id, version, head, NULL FROM spans
               WHERE ws = ?1 AND trace_id = ?2";
    let mut statement = conn.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params![ws, trace_id.0]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let mut raw = RawSpan::of(row)?;
        let mut summary = summarise(&raw, workspace, *trace_id);
        if summary.as_ref().is_some_and(|summary| !summary.has_parent) {
            raw.payload = payload(conn, raw.span_row)?;
            summary = summarise(&raw, workspace, *trace_id);
        }
        // A damaged version loses against any report that comes.
        let version = to_version(&raw.version).unwrap_or(LEAST_VERSION);
        cached.put(raw.span_id, raw.span_row, version, summary);
    }
    if cached.is_empty() {
        return Ok(cached);
    }
    let sql = "SELECT 1 FROM traces WHERE ws = ?1 AND trace_id = ?2";
    let exists = || conn.prepare_cached(sql)?.exists(params![ws, trace_id.0]);
    cached.has_row = exists().map_err(from_sqlite)?;
    if cached.has_row {
        cached.open_processes = cached.rollup().open_processes().iter().copied().collect();
    }
    Ok(cached)
}

fn summarise(raw: &RawSpan, workspace: &str, trace_id: TraceId) -> Option<SpanSummary> {
    match raw.decode(workspace, trace_id) {
        Ok(span) => Some(SpanSummary::of(&span)),
        Err(error) => {
            report(&error);
            None
        }
    }
}

fn payload(conn: &Connection, span_row: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let read = || {
        conn.prepare_cached("SELECT payload FROM spans WHERE span_row = ?1")?
            .query_row([span_row], |row| row.get(0))
    };
    read().map_err(from_sqlite)
}
