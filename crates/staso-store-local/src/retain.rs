//! Retention from end to end: what may go is looked for on a snapshot, and the writer takes it out step by step.

use std::sync::Arc;

use staso_store::StoreError;
use staso_store::retention::{Retained, Retention};

use crate::read::Reader;
use crate::writer::Command;
use crate::{LocalStore, expire};

/// How often it is looked again because a compaction was faster. What is left then waits for the next pass.
const LOOKS: usize = 8;

impl LocalStore {
    /// Looks what may go, and has it go step by step; above the bound on size until that is kept, or until
    /// what is left may not go.
    pub(crate) async fn expire(&self, retention: &Retention) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        let (mut floor_ns, mut looks_left) = (None, LOOKS);
        if retention.max_bytes.is_some_and(|max| max < self.shared.hot().bytes() as u64) {
            self.flush().await?;
        }
        loop {
            let Some(plan) = self.plan(retention, floor_ns).await? else { return Ok(retained) };
            let through_ns = plan.age.through_ns;
            let plan = Arc::new(plan);
            let (mut from, mut has_moved) = (0, false);
            while from < plan.traces.len() {
                let (workspace, plan) = (retention.workspace.clone(), Arc::clone(&plan));
                let step =
                    self.ask(|answer| Command::Expire { workspace, plan, from, answer }).await??;
                from += step.done.max(1);
                has_moved |= step.has_moved;
                retained.traces += step.traces;
                retained.spans += step.spans;
            }
            // Where no trace went, files of which nothing counts any more are compaction's affair.
            if !plan.traces.is_empty() {
                retained.bytes += plan.spent.iter().map(|segment| segment.bytes).sum::<u64>();
            }
            if has_moved && looks_left > 0 {
                looks_left -= 1;
                continue;
            }
            if through_ns.is_none() {
                return Ok(retained);
            }
            floor_ns = through_ns;
        }
    }

    /// What may go. Spans that are hot go to segments first, so that the log need not know of it.
    async fn plan(
        &self,
        retention: &Retention,
        floor_ns: Option<i64>,
    ) -> Result<Option<expire::Plan>, StoreError> {
        let mut is_flushed = false;
        loop {
            let asked = retention.clone();
            let look = move |reader: &Reader<'_>| match expire::age(reader, &asked, floor_ns)? {
                Some(age) => expire::plan(reader, age).map(Some),
                None => Ok(None),
            };
            let found = self.read(&retention.workspace, 0, look).await?;
            let needs_flush = found.as_ref().is_some_and(|plan| plan.needs_flush);
            if !needs_flush || is_flushed {
                return Ok(found);
            }
            self.flush().await?;
            is_flushed = true;
        }
    }
}
