//! What there is to choose from: workspaces, and the values of a field.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The workspaces that hold something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceList {
    /// By name.
    pub workspaces: Vec<Workspace>,
}

/// One workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    /// Its name.
    pub slug: String,
    /// How many traces it has.
    pub traces: u64,
}

/// The values of one field and how often they occur.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetList {
    /// The most frequent first.
    pub values: Vec<FacetValue>,
}

/// One value and the number of traces that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// How many traces.
    pub count: u64,
}
