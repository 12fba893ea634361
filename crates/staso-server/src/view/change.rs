//! What the live tail says of a trace.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The data of a live `trace` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveChange {
    /// The trace.
    pub trace_id: String,
    /// Its workspace.
    pub workspace: String,
    /// What happened to it.
    pub change: ChangeKind,
}

/// What happened to a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new or has changed.
    Upsert,
    /// It is gone.
    Delete,
}
