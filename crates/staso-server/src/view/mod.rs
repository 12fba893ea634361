//! What the query API answers: the JSON structs, apart from the domain they are made from.
//!
//! Names and shapes here are a promise to the dashboard, the CLI and users' programs; the
//! OpenAPI description and the dashboard's types are generated from them. Integers that can pass
//! 2^53 (times in nanoseconds, money) are strings, because browsers read numbers as doubles.

pub mod agents;
pub mod annotation;
pub mod attributes;
pub mod catalog;
pub mod change;
pub mod conversations;
pub mod health;
pub mod job;
pub mod metrics;
pub mod receipt;
pub mod refusal;
pub mod search;
pub mod skeleton;
pub mod span;
pub mod sql;
pub mod trace;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// A 64-bit integer, as decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = "int64", example = "1767225600000000000")]
pub struct Int64(pub i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom("not a 64-bit integer as text"))
    }
}

/// Ended well, in error, or out of time. A span that nobody gave a status is shown as `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Ended well, or nobody said otherwise.
    Ok,
    /// Ended in an error.
    Error,
    /// Ran out of time.
    Timeout,
}

impl From<staso_model::SpanStatus> for Status {
    fn from(status: staso_model::SpanStatus) -> Self {
        match status {
            staso_model::SpanStatus::Unset | staso_model::SpanStatus::Ok => Self::Ok,
            staso_model::SpanStatus::Error => Self::Error,
            staso_model::SpanStatus::Timeout => Self::Timeout,
        }
    }
}

/// What sort of work a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call to a language model.
    Llm,
    /// A tool the agent called.
    Tool,
    /// A step that groups others.
    Chain,
    /// A look-up of context.
    Retriever,
    /// An agent's turn.
    Agent,
    /// Anything else.
    Custom,
}

impl From<staso_model::SpanKind> for Kind {
    fn from(kind: staso_model::SpanKind) -> Self {
        match kind {
            staso_model::SpanKind::Llm => Self::Llm,
            staso_model::SpanKind::Tool => Self::Tool,
            staso_model::SpanKind::Chain => Self::Chain,
            staso_model::SpanKind::Retriever => Self::Retriever,
            staso_model::SpanKind::Agent => Self::Agent,
            staso_model::SpanKind::Custom => Self::Custom,
        }
    }
}

/// Whether a trace still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Open spans, and their process said within 60 s that it lives.
    Running,
    /// Open spans, and no sign of their process for 60 s.
    Stalled,
    /// Its process is gone and left spans open.
    Interrupted,
    /// No open span.
    Done,
    /// Open spans of a client that sends no signs of life.
    Unknown,
}

impl From<staso_store::query::RunState> for State {
    fn from(state: staso_store::query::RunState) -> Self {
        use staso_store::query::RunState;
        match state {
            RunState::Running => Self::Running,
            RunState::Stalled => Self::Stalled,
            RunState::Interrupted => Self::Interrupted,
            RunState::Done => Self::Done,
            RunState::Unknown => Self::Unknown,
        }
    }
}
