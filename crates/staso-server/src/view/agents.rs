//! Agents and their versions, as a table shows them.

use serde::{Deserialize, Serialize};
use staso_store::metrics;
use utoipa::ToSchema;

use super::Int64;

/// Agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// In the order asked for.
    pub agents: Vec<Agent>,
    /// How many agents were left out.
    pub agents_omitted: u64,
}

/// One agent, over all its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it did.
    #[serde(flatten)]
    pub figures: AgentFigures,
    /// Its versions, the one of the latest run first.
    pub versions: Vec<AgentVersion>,
}

/// One version of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentVersion {
    /// The version; null for what names none.
    #[schema(required = true)]
    pub version: Option<String>,
    /// What it did.
    #[serde(flatten)]
    pub figures: AgentFigures,
}

/// What an agent did. A run is a trace in which a span names the agent; tokens and cost are those of
/// its own spans. What was sampled is weighed, so that counts need not be whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentFigures {
    /// Runs.
    pub runs: f64,
    /// Runs in error.
    pub errors: f64,
    /// Half of the ended runs took at most this.
    #[schema(required = true)]
    pub duration_p50_ns: Option<Int64>,
    /// Nineteen of twenty ended runs took at most this.
    #[schema(required = true)]
    pub duration_p95_ns: Option<Int64>,
    /// Input tokens; null when no span knows.
    #[schema(required = true)]
    pub input_tokens: Option<i64>,
    /// Output tokens; null when no span knows.
    #[schema(required = true)]
    pub output_tokens: Option<i64>,
    /// All tokens; null when no span knows.
    #[schema(required = true)]
    pub total_tokens: Option<i64>,
    /// Billionths of a US dollar; null when no span knows.
    #[schema(required = true)]
    pub cost_nano_usd: Option<Int64>,
    /// Whether a model call's cost is unknown, so that the cost is a lower bound.
    pub cost_incomplete: bool,
    /// When the latest run began; null where only spans of older runs are in the time.
    #[schema(required = true)]
    pub latest_start_ns: Option<Int64>,
}

impl From<metrics::AgentRow> for Agent {
    fn from(row: metrics::AgentRow) -> Self {
        let versions = row.versions.into_iter();
        let version = |row: metrics::VersionRow| AgentVersion {
            version: row.version,
            figures: row.figures.into(),
        };
        Self {
            name: row.name,
            figures: row.figures.into(),
            versions: versions.map(version).collect(),
        }
    }
}

impl From<metrics::Figures> for AgentFigures {
    fn from(figures: metrics::Figures) -> Self {
        Self {
            runs: figures.runs,
            errors: figures.errors,
            duration_p50_ns: figures.duration_p50_ns.map(Int64),
            duration_p95_ns: figures.duration_p95_ns.map(Int64),
            input_tokens: figures.input_tokens,
            output_tokens: figures.output_tokens,
            total_tokens: figures.total_tokens,
            cost_nano_usd: figures.cost_nano_usd.map(Int64),
            cost_incomplete: figures.cost_incomplete,
            latest_start_ns: figures.latest_start_ns.map(Int64),
        }
    }
}
