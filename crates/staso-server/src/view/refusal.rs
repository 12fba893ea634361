//! Every answer that is not a success.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The next step; empty where there is none.
    pub hint: String,
}
