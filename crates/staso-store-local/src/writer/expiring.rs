//! Retention as the writer does it: as many traces at a time as take a moment, so that ingest goes on between.

use std::time::{Duration, Instant};

use staso_store::StoreError;

use super::Writer;
use crate::apply::Transaction;
use crate::error::from_sqlite;
use crate::expire::Plan;

/// How long one step works before it commits.
const STEP: Duration = Duration::from_millis(15);

/// What one step did.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    /// How many traces of the plan are done with.
    pub(crate) done: usize,
    pub(crate) traces: u64,
    pub(crate) spans: u64,
    /// Whether some stand in other files by now, and are to be looked for again.
    pub(crate) has_moved: bool,
}

impl Writer {
    /// Lets traces of the plan go, from the one of this number on; at least one. After the last one, files
    /// of which nothing is left go too.
    pub(super) fn expire(
        &mut self,
        workspace: &str,
        plan: &Plan,
        from: usize,
    ) -> Result<Expired, StoreError> {
        let result = self.try_expire(workspace, plan, from);
        if result.is_err() {
            self.roll_back();
        }
        let expired = result?;
        if from + expired.done >= plan.traces.len() {
            let sql = "SELECT ws FROM workspaces WHERE slug = ?1";
            let ws =
                self.conn.query_row(sql, [workspace], |row| row.get(0)).map_err(from_sqlite)?;
            self.remove_spent(ws, &plan.spent)?;
            self.compaction.look_again();
        }
        Ok(expired)
    }

    fn try_expire(
        &mut self,
        workspace: &str,
        plan: &Plan,
        from: usize,
    ) -> Result<Expired, StoreError> {
        let began = Instant::now();
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        let mut transaction = Transaction::new(&self.conn, &mut self.kept);
        let mut expired = Expired::default();
        if let Some(ws) = transaction.known_workspace(workspace)? {
            for trace_id in plan.traces.iter().skip(from) {
                let spans = transaction.expire(ws, *trace_id, plan)?;
                expired.has_moved |= spans.is_none();
                let spans = spans.unwrap_or_default();
                expired.done += 1;
                expired.traces += u64::from(spans > 0);
                expired.spans += spans;
                if began.elapsed() >= STEP {
                    break;
                }
            }
        }
        transaction.finish()?;
        self.publish()?;
        Ok(expired)
    }
}
