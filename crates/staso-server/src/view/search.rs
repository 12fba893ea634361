//! What a search answers: a line per hit, and a last one that says how it ended.

use serde::{Deserialize, Serialize};
use staso_store::search;
use utoipa::ToSchema;

use super::Int64;
use super::refusal::ErrorDetail;

/// One line of a search's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SearchLine {
    /// A span that has the phrase.
    Hit(SearchHit),
    /// The last line, unless the search failed.
    End(SearchEnd),
    /// The last line of a search that failed; the hits before it stand.
    Error {
        /// What went wrong and what to do.
        error: ErrorDetail,
    },
}

/// A span that has the phrase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The trace.
    pub trace_id: String,
    /// The span.
    pub span_id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its status.
    pub status: String,
    /// Its start, Unix nanoseconds.
    pub start_ns: Int64,
    /// Which of its texts has the phrase: `name`, `error`, `input`, `output` or `event`, the first in
    /// this order.
    pub field: String,
    /// The first place in that text.
    pub snippet: Snippet,
}

/// A piece of a text around the phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    /// The piece, as it reads: escapes of JSON are written out.
    pub text: String,
    /// How many letters of `text` (Unicode code points) stand before the phrase.
    pub start: u32,
    /// How many stand before its end.
    pub end: u32,
    /// Whether more text stands before the piece.
    pub cut_before: bool,
    /// Whether more text stands after it.
    pub cut_after: bool,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchEnd {
    /// Whether everything was looked at. Else the limit was reached, or the time was up.
    pub complete: bool,
    /// The `cursor` to go on with; null where everything was looked at.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// How many hits this answer has.
    pub hits: u64,
}

impl From<&search::SearchHit> for SearchHit {
    fn from(hit: &search::SearchHit) -> Self {
        let letters = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let search::Snippet { text, start, end, cut_before, cut_after } = &hit.snippet;
        Self {
            trace_id: hit.trace_id.to_string(),
            span_id: hit.span_id.to_string(),
            name: hit.name.clone(),
            kind: hit.kind.to_string(),
            status: hit.status.shown().to_string(),
            start_ns: Int64(hit.start_ns),
            field: hit.field.as_str().to_owned(),
            snippet: Snippet {
                text: text.clone(),
                start: letters(*start),
                end: letters(*end),
                cut_before: *cut_before,
                cut_after: *cut_after,
            },
        }
    }
}
