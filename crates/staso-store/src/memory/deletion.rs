//! Deletion in the memory store: what goes is gone at once, and what is remembered of it.

use std::collections::BTreeMap;

use staso_model::{Span, TraceId};

use super::State;
use crate::deletion::{Deleted, Deletion, Job, Target, blank, blanked, stands, takes_whole};

/// Tombstones, and what was deleted.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    traces: BTreeMap<(String, TraceId), i64>,
    users: BTreeMap<(String, String), i64>,
    jobs: Vec<Job>,
}

impl State {
    pub(super) fn delete(&mut self, deletion: &Deletion) -> Deleted {
        let Deletion { workspace, target, at_ns } = deletion;
        let mut deleted = Deleted::default();
        if let Target::User(user) = target {
            let at =
                self.deletions.users.entry((workspace.clone(), user.clone())).or_insert(*at_ns);
            *at = (*at).max(*at_ns);
        }
        for trace_id in self.meant(workspace, target) {
            let spans = self.spans.get(&(workspace.clone(), trace_id));
            let takes_whole = match target {
                Target::User(user) => {
                    takes_whole(spans.into_iter().flat_map(|spans| spans.values()), user)
                }
                Target::Trace(_) | Target::Session(_) => Some(true),
            };
            match (takes_whole, target) {
                (Some(true), _) => self.forget(workspace, trace_id, *at_ns, &mut deleted),
                (Some(false), Target::User(user)) => {
                    self.blank(workspace, trace_id, user, &mut deleted);
                }
                _ => continue,
            }
            deleted.touched.push(trace_id);
        }
        let is_user = matches!(target, Target::User(_));
        if is_user || !deleted.touched.is_empty() {
            deleted.job = self.deletions.jobs.len() as u64 + 1;
            let Deleted { job, traces, spans, blanked, .. } = deleted;
            let (workspace, at_ns) = (workspace.clone(), *at_ns);
            let job = Job { job, workspace, at_ns, traces, spans, blanked, is_gone: true };
            self.deletions.jobs.push(job);
        }
        deleted
    }

    /// The traces that a deletion may touch, in order.
    fn meant(&self, workspace: &str, target: &Target) -> Vec<TraceId> {
        let names = |span: &Span| match target {
            Target::Trace(trace_id) => span.trace_id == *trace_id,
            Target::Session(session) => span.session_id.as_ref() == Some(session),
            Target::User(user) => span.user_id.as_ref() == Some(user),
        };
        let own = self.spans.iter().filter(|((own, _), _)| own == workspace);
        let named = own.filter(|(_, spans)| spans.values().any(names));
        let mut meant: Vec<TraceId> = named.map(|((_, trace_id), _)| *trace_id).collect();
        if let Target::Trace(trace_id) = target
            && meant.is_empty()
            && !self.annotations_of(workspace, trace_id).is_empty()
        {
            meant.push(*trace_id);
        }
        meant
    }

    fn forget(&mut self, workspace: &str, trace_id: TraceId, at_ns: i64, deleted: &mut Deleted) {
        let key = (workspace.to_owned(), trace_id);
        let spans = self.spans.remove(&key).unwrap_or_default();
        self.annotations.retain(|(own, _), note| own != workspace || note.trace_id != trace_id);
        let at = self.deletions.traces.entry(key).or_insert(at_ns);
        *at = (*at).max(at_ns);
        deleted.traces += 1;
        deleted.spans += spans.len() as u64;
    }

    fn blank(&mut self, workspace: &str, trace_id: TraceId, user: &str, deleted: &mut Deleted) {
        let key = (workspace.to_owned(), trace_id);
        for span in self.spans.get_mut(&key).into_iter().flat_map(|spans| spans.values_mut()) {
            if span.user_id.as_deref() == Some(user) {
                *span = blanked(span);
                deleted.blanked += 1;
                let span_id = Some(span.span_id);
                self.annotations.retain(|(own, _), note| {
                    own != workspace || note.trace_id != trace_id || note.span_id != span_id
                });
            }
        }
    }

    /// Whether a trace was deleted too short a time ago to come back.
    pub(super) fn is_buried(&self, workspace: &str, trace_id: TraceId, received_ns: i64) -> bool {
        let at = self.deletions.traces.get(&(workspace.to_owned(), trace_id));
        at.is_some_and(|at| stands(*at, received_ns))
    }

    /// A span as it may be kept where its user was deleted; `None`: not at all.
    pub(super) fn unless_deleted(&self, mut span: Span, received_ns: i64) -> Option<Span> {
        if self.is_buried(&span.workspace, span.trace_id, received_ns) {
            return None;
        }
        let user = span.user_id.as_ref().map(|user| (span.workspace.clone(), user.clone()));
        let at = user.and_then(|key| self.deletions.users.get(&key));
        if at.is_some_and(|at| stands(*at, received_ns) && span.start_ns < *at) {
            let spans = self.spans.get(&(span.workspace.clone(), span.trace_id))?;
            spans.get(&span.span_id)?;
            blank(&mut span);
        }
        Some(span)
    }

    pub(super) fn job(&self, job: u64) -> Option<Job> {
        self.deletions.jobs.iter().find(|known| known.job == job).cloned()
    }
}
