//! Signs of life and death of processes, and what they close.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::params;
use staso_model::{ProcessId, Span, TraceId};
use staso_store::{ProcessLife, ProcessSign, Sign, StoreError, interrupt, is_held_open};

use super::{Incoming, Transaction, run};
use crate::cache::TraceRef;
use crate::decode::report;
use crate::error::from_sqlite;
use crate::read;

impl Transaction<'_> {
    pub(super) fn take_signs(
        &mut self,
        ws: i64,
        incoming: &Incoming,
        touched: &mut BTreeSet<TraceRef>,
    ) -> Result<(), StoreError> {
        let batch = &incoming.batch;
        if !batch.processes.is_empty() {
            let mut all = BTreeMap::from([(ws, &batch.workspace)]);
            for span in &incoming.spans {
                all.insert(self.workspace(&span.workspace)?, &span.workspace);
            }
            for (ws, workspace) in all {
                for sign in &batch.processes {
                    self.take_sign(ws, sign, batch.received_ns)?;
                    if *workspace != batch.workspace {
                        self.record.hear(workspace, sign);
                    }
                    let life = self.life(ws, &sign.process_id)?.unwrap_or_default();
                    if let Some(ended_ns) = life.ended_ns(sign.sign)
                        && !self.is_replay
                    {
                        self.close(ws, sign.process_id, ended_ns, touched)?;
                    }
                }
            }
        }
        let mut seen = HashMap::<(&str, ProcessId), i64>::new();
        for span in incoming.spans.iter().filter(|span| span.is_open()) {
            if let Some(process_id) = span.process_id {
                let alive_ns = seen.entry((&span.workspace, process_id)).or_insert(i64::MIN);
                *alive_ns = (*alive_ns).max(span.version.received_ns);
            }
        }
        for ((workspace, process_id), alive_ns) in seen {
            let ws = self.workspace(workspace)?;
            let sign = ProcessSign { process_id, sign: Sign::Alive(alive_ns) };
            self.take_sign(ws, &sign, batch.received_ns)?;
            self.record.hear(workspace, &sign);
        }
        Ok(())
    }

    /// Times only move forward: a null counts as the beginning of time.
    pub(super) fn take_sign(
        &self,
        ws: i64,
        sign: &ProcessSign,
        heard_ns: i64,
    ) -> Result<(), StoreError> {
        let (alive_ns, goodbye_ns) = match sign.sign {
            Sign::Alive(ns) => (Some(ns), None),
            Sign::Goodbye(ns) => (None, Some(ns)),
            Sign::Lost(_) => return Ok(()),
        };
        run(
            self.conn,
            "INSERT INTO processes (ws, process_id, alive_ns, goodbye_ns, heard_ns)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (ws, process_id) DO UPDATE SET
               alive_ns = coalesce(max(alive_ns, excluded.alive_ns), alive_ns, excluded.alive_ns),
               goodbye_ns =
                 coalesce(max(goodbye_ns, excluded.goodbye_ns), goodbye_ns, excluded.goodbye_ns),
               heard_ns = max(heard_ns, excluded.heard_ns)",
            params![ws, sign.process_id.0, alive_ns, goodbye_ns, heard_ns],
        )?;
        Ok(())
    }

    fn life(&self, ws: i64, process_id: &ProcessId) -> Result<Option<ProcessLife>, StoreError> {
        read::life(self.conn, ws, process_id)
    }

    /// Closes what a process holds open in a workspace.
    fn close(
        &mut self,
        ws: i64,
        process_id: ProcessId,
        ended_ns: i64,
        touched: &mut BTreeSet<TraceRef>,
    ) -> Result<(), StoreError> {
        // An earlier batch of this transaction may have opened spans.
        self.write_rows()?;
        let slug = self.kept.slugs.get(&ws).cloned().unwrap_or_default();
        for trace in self.open_traces(ws, &process_id)? {
            for span_id in self.cached(&trace, &slug)?.held_open_by(process_id) {
                match self.reader(ws, &slug).stored_span(trace.1, span_id) {
                    Ok(Some(mut span)) => {
                        interrupt(&mut span, ended_ns);
                        self.take_span(Arc::new(span), touched)?;
                    }
                    Ok(None) => {}
                    // Damage stays local: the others are closed.
                    Err(error @ StoreError::Damaged { .. }) => report(&error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// A span that is reported open after its process said goodbye, closed.
    pub(super) fn closed_if_gone(&mut self, span: &Span) -> Result<Option<Span>, StoreError> {
        let Some(process_id) = span.process_id.filter(|_| is_held_open(span) && !self.is_replay)
        else {
            return Ok(None);
        };
        let ws = self.workspace(&span.workspace)?;
        let life = self.life(ws, &process_id)?.unwrap_or_default();
        Ok(life.goodbye_ns.map(|ended_ns| {
            let mut closed = span.clone();
            interrupt(&mut closed, ended_ns);
            closed
        }))
    }

    fn open_traces(&self, ws: i64, process_id: &ProcessId) -> Result<Vec<TraceRef>, StoreError> {
        let sql = "SELECT trace_id FROM open_traces WHERE ws = ?1 AND process_id = ?2";
        let read = || -> rusqlite::Result<Vec<TraceRef>> {
            let mut statement = self.conn.prepare_cached(sql)?;
            let rows = statement
                .query_map(params![ws, process_id.0], |row| Ok((ws, TraceId(row.get(0)?))))?;
            rows.collect()
        };
        read().map_err(from_sqlite)
    }
}
