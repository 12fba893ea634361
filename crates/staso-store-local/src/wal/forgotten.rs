//! Log records of deletion. They name no user: of a user's name only a digest is kept.

use serde::{Deserialize, Serialize};
use staso_model::{Span, TraceId};

use super::record::SpanRecord;
use crate::tokens::Bytes;

/// What one step of a deletion did.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ForgetRecord {
    pub(crate) workspace: String,
    pub(crate) at: i64,
    /// The record in which the deletion began; 0: this one.
    pub(crate) job: u64,
    /// The digest of the user's name, where a user is deleted.
    pub(crate) user: Option<Bytes>,
    /// Traces that went as a whole.
    pub(crate) traces: Vec<Bytes>,
    /// Spans as they are without their content.
    pub(crate) spans: Vec<SpanRecord>,
}

/// Tombstones that older log files had, so that no loss of the catalog loses them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TombstonesRecord {
    pub(crate) tombstones: Vec<TombstoneEntry>,
}

/// One tombstone: of a trace by its id, of a user by the digest of the name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TombstoneEntry {
    pub(crate) workspace: String,
    /// 0 a trace, 1 a user.
    pub(crate) kind: u8,
    pub(crate) key: Bytes,
    pub(crate) at: i64,
}

/// A record's effect.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    pub(crate) workspace: String,
    pub(crate) at_ns: i64,
    pub(crate) job: u64,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) traces: Vec<TraceId>,
    pub(crate) spans: Vec<Span>,
}

impl ForgetRecord {
    pub(crate) fn of(forgotten: &Forgotten) -> Self {
        let workspace = &forgotten.workspace;
        Self {
            workspace: workspace.clone(),
            at: forgotten.at_ns,
            job: forgotten.job,
            user: forgotten.user.clone().map(Bytes),
            traces: forgotten.traces.iter().map(|id| Bytes(id.0.to_vec())).collect(),
            spans: forgotten
                .spans
                .iter()
                .map(|span| SpanRecord::of(span, Some(workspace)))
                .collect(),
        }
    }

    /// What it did; `None` where it contradicts itself.
    pub(crate) fn into_forgotten(self) -> Option<Forgotten> {
        let workspace = self.workspace;
        let spans = self.spans.into_iter().map(|span| span.into_span(&workspace));
        let spans = spans.collect::<Option<_>>()?;
        let traces = self.traces.iter().map(|id| id.id().map(TraceId)).collect::<Option<_>>()?;
        let user = self.user.map(|digest| digest.0);
        Some(Forgotten { workspace, at_ns: self.at, job: self.job, user, traces, spans })
    }
}
