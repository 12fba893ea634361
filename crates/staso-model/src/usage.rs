//! Tokens, in buckets that never overlap, so that no sum counts a cached token twice.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// The tokens of one model call.
///
/// Buckets are disjoint except `reasoning`, which is part of `output`. `None` is unknown, and
/// unknown is never zero: a sum with an unknown part says that it is incomplete.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Whether the client says that usage was measured; `None` where it does not say.
    pub available: Option<bool>,
    /// Input tokens not served from, nor written to, a cache.
    pub input_uncached: Option<i64>,
    /// Input tokens read from a cache.
    pub cache_read: Option<i64>,
    /// Input tokens written to a five-minute cache.
    pub cache_write_5m: Option<i64>,
    /// Input tokens written to a one-hour cache.
    pub cache_write_1h: Option<i64>,
    /// Output tokens, reasoning included.
    pub output: Option<i64>,
    /// Output tokens spent on reasoning (part of `output`).
    pub reasoning: Option<i64>,
    /// Audio input tokens.
    pub audio_input: Option<i64>,
    /// Audio output tokens.
    pub audio_output: Option<i64>,
    /// `input_tokens`, `output_tokens`, `total_tokens` exactly as the client sent them.
    pub sent: SentTotals,
    /// How `input_uncached` was found from what was sent.
    pub basis: UsageBasis,
    /// The client's usage object as sent, where there was one.
    pub raw: Option<Value>,
    /// What contradicts itself in what was sent; flagged, not guessed over.
    pub contradiction: Option<String>,
}

/// The three totals of the native wire as sent, before any interpretation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SentTotals {
    /// `input_tokens`.
    pub input: Option<i64>,
    /// `output_tokens`.
    pub output: Option<i64>,
    /// `total_tokens`.
    pub total: Option<i64>,
}

/// Whether the sent input total included cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageBasis {
    /// Nothing was sent.
    #[default]
    Unknown,
    /// The dialect counts cached tokens in the total.
    Inclusive,
    /// The dialect leaves cached tokens out of the total.
    Exclusive,
    /// Not known for this dialect; taken as inclusive and marked so.
    Assumed,
}

impl Usage {
    /// All input tokens: the sum of the known input buckets, `None` when every one is unknown.
    #[must_use]
    pub fn input_total(&self) -> Option<i64> {
        sum([self.input_uncached, self.cache_read, self.cache_write_5m, self.cache_write_1h])
    }

    /// All tokens, input and output; `None` when everything is unknown.
    #[must_use]
    pub fn total(&self) -> Option<i64> {
        sum([self.input_total(), self.output]).or(self.sent.total)
    }
}

/// The saturating sum of the known parts; `None` when no part is known.
fn sum<const N: usize>(parts: [Option<i64>; N]) -> Option<i64> {
    parts.into_iter().flatten().reduce(i64::saturating_add)
}
