//! A question in SQL, and its answer where that is JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuestion {
    /// One query.
    #[schema(example = "select model, count(*) from spans group by model")]
    pub sql: String,
    /// The workspace it is about; `default` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// How the answer is written; `json` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SqlFormat>,
    /// At most this many rows, 1 to the setting `sql_max_rows`; 10000 where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SqlFormat {
    /// One JSON object.
    #[default]
    Json,
    /// CSV with a header.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// An answer as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SqlRows {
    /// The columns.
    pub columns: Vec<SqlColumn>,
    /// A value per column. Integers beyond 2^53 are strings; so are times, decimals and bytes.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// How many rows these are.
    pub row_count: u64,
    /// Which limit cut the answer off, `rows` or `bytes`; null where it is whole.
    #[schema(required = true)]
    pub cut: Option<String>,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type, in Arrow's words: `Utf8`, `Int64`, `Float64`, `Timestamp(ns, "UTC")`.
    #[serde(rename = "type")]
    pub kind: String,
}
