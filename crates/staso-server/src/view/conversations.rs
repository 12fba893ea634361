//! Conversations: a row of the list, and one with its turns.

use serde::{Deserialize, Serialize};
use staso_store::conversations::Conversation;
use utoipa::ToSchema;

use super::trace::TraceRow;
use super::{Int64, State, Status};

/// One page of conversations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The one with the latest turn first.
    pub sessions: Vec<Session>,
    /// What to send as `cursor` for the next page; null after the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// The server's clock, by which states were judged.
    pub now_ns: Int64,
}

/// One conversation and a page of its turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionTurns {
    /// The whole conversation, whatever the page.
    pub session: Session,
    /// The turns, oldest first.
    pub turns: Vec<TraceRow>,
    /// What to send as `cursor` for the next page; null after the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// The server's clock, by which states were judged.
    pub now_ns: Int64,
}

/// A conversation, as far as its turns match. A turn is a trace; nothing is weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub session_id: String,
    /// Turns.
    pub turns: u64,
    /// Turns in error.
    pub error_turns: u64,
    /// Turns with open spans.
    pub open_turns: u64,
    /// When the first turn began, Unix nanoseconds.
    pub first_start_ns: Int64,
    /// When the latest turn began.
    pub latest_start_ns: Int64,
    /// The latest end of a turn that has ended.
    #[schema(required = true)]
    pub end_ns: Option<Int64>,
    /// How the latest turn ended, or fares.
    pub status: Status,
    /// Whether the latest turn still runs.
    pub state: State,
    /// The end user.
    #[schema(required = true)]
    pub user_id: Option<String>,
    /// The environment of the latest turn that names one.
    #[schema(required = true)]
    pub environment: Option<String>,
    /// Every agent, sorted.
    pub agents: Vec<String>,
    /// Every model, sorted.
    pub models: Vec<String>,
    /// All tokens; null when no turn knows.
    #[schema(required = true)]
    pub total_tokens: Option<i64>,
    /// Billionths of a US dollar; null when no turn knows.
    #[schema(required = true)]
    pub cost_nano_usd: Option<Int64>,
    /// Whether a model call's cost is unknown, so that the cost is a lower bound.
    pub cost_incomplete: bool,
    /// The beginning of what went into the first turn.
    #[schema(required = true)]
    pub input_preview: Option<String>,
    /// The beginning of what came out of the latest turn.
    #[schema(required = true)]
    pub output_preview: Option<String>,
}

impl From<Conversation> for Session {
    fn from(row: Conversation) -> Self {
        Self {
            session_id: row.session_id,
            turns: row.turns,
            error_turns: row.error_turns,
            open_turns: row.open_turns,
            first_start_ns: Int64(row.first_start_ns),
            latest_start_ns: Int64(row.latest_start_ns),
            end_ns: row.end_ns.map(Int64),
            status: row.status.into(),
            state: row.state.into(),
            user_id: row.user_id,
            environment: row.environment,
            agents: row.agents,
            models: row.models,
            total_tokens: row.total_tokens,
            cost_nano_usd: row.cost_nano_usd.map(Int64),
            cost_incomplete: row.cost_incomplete,
            input_preview: row.input_preview,
            output_preview: row.output_preview,
        }
    }
}
