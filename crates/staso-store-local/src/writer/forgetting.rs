//! Deletion as the writer does it: few traces at a time, so that ingest goes on between them.

use staso_model::TraceId;
use staso_store::deletion::Deleted;
use staso_store::{Deletion, StoreError, Target};

use super::Writer;
use crate::apply::Transaction;
use crate::forget::digest;
use crate::wal::Kind;
use crate::wal::forgotten::{ForgetRecord, Forgotten};
use crate::wal::record::encode;

/// One step of a deletion.
pub(crate) struct Step {
    pub(crate) deletion: Deletion,
    /// The number of the deletion; 0 at its first step.
    pub(crate) job: u64,
    pub(crate) traces: Vec<TraceId>,
}

impl Writer {
    pub(super) fn forget(&mut self, step: &Step) -> Result<Deleted, StoreError> {
        let result = self.try_forget(step);
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    /// Where nothing is to be done, nothing is written, and the job is 0.
    fn try_forget(&mut self, step: &Step) -> Result<Deleted, StoreError> {
        let Deletion { workspace, target, at_ns } = &step.deletion;
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(crate::error::from_sqlite)?;
        let number = self.wal.last() + 1;
        let mut transaction = Transaction::new(&self.conn, &mut self.kept);
        let mut forgotten = Forgotten {
            workspace: workspace.clone(),
            at_ns: *at_ns,
            job: step.job,
            ..Forgotten::default()
        };
        if let (Target::User(user), 0) = (target, step.job) {
            forgotten.user = Some(digest(user));
        }
        let mut deleted = transaction.forget(&mut forgotten, target, &step.traces)?;
        let is_nothing = deleted.touched.is_empty() && forgotten.user.is_none();
        let mut records = Vec::new();
        deleted.job = step.job;
        if !is_nothing {
            transaction.take_forgotten(&forgotten, number)?;
            records.push((Kind::Forget, encode(&ForgetRecord::of(&forgotten))?));
            if deleted.job == 0 {
                deleted.job = number;
            }
        }
        transaction.finish()?;
        self.log_and_commit(&records)?;
        if !is_nothing {
            self.compaction.forget_soon();
            self.compaction.look_again();
        }
        Ok(deleted)
    }
}
