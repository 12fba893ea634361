//! A deletion on its way, as it is watched.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Int64;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// No answer shows it any more, and it stays away; its bytes are still on disk.
    Hidden,
    /// No byte of it is stored any more.
    Gone,
}

/// A deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// What to ask `/api/jobs/{id}` for; null where nothing was there to delete.
    #[schema(required = true)]
    pub id: Option<String>,
    /// How far it is.
    pub state: JobState,
    /// When it was asked for.
    pub created_ns: Int64,
    /// Traces that are gone as a whole.
    pub traces: u64,
    /// Spans that are gone with them.
    pub spans: u64,
    /// Spans of other traces that lost their content.
    pub blanked_spans: u64,
}

impl From<staso_store::Job> for Job {
    fn from(job: staso_store::Job) -> Self {
        Self {
            id: (job.job > 0).then(|| job.job.to_string()),
            state: if job.is_gone { JobState::Gone } else { JobState::Hidden },
            created_ns: Int64(job.at_ns),
            traces: job.traces,
            spans: job.spans,
            blanked_spans: job.blanked,
        }
    }
}
