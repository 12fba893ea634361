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
    /// Whether these are the trace's own totals, which stood beside its spans and fill a root that
    /// lacks them. They count what other spans of the trace count, so no sum may add both.
    #[serde(default)]
    pub is_of_trace: bool,
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
        sum([self.input_total(), self.output]).or(self.known_sent_total())
    }
}

/// The saturating sum of the known parts; `None` when no part is known.
fn sum<const N: usize>(parts: [Option<i64>; N]) -> Option<i64> {
    parts.into_iter().flatten().reduce(i64::saturating_add)
}

/// The parts of a usage report beside its totals, as sent; unknown where not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheParts {
    /// Input tokens read from a cache.
    pub read: Option<i64>,
    /// Input tokens written to a five-minute cache.
    pub write_5m: Option<i64>,
    /// Input tokens written to a one-hour cache.
    pub write_1h: Option<i64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<i64>,
    /// Audio input tokens.
    pub audio_input: Option<i64>,
    /// Audio output tokens.
    pub audio_output: Option<i64>,
}

impl CacheParts {
    /// All input tokens that a cache served or took.
    fn cached(&self) -> i64 {
        sum([self.read, self.write_5m, self.write_1h]).unwrap_or(0)
    }
}

impl Usage {
    /// Disjoint buckets from what a client sent.
    ///
    /// Clients send 0 where they do not know and say so by `available`: unless it is true, a zero
    /// total is unknown. Whether the input total includes cached tokens is told by the dialect, where
    /// that is known; a total smaller than its cached parts proves that it does not; otherwise it is
    /// taken to, and marked [`UsageBasis::Assumed`].
    #[must_use]
    pub fn from_sent(
        available: Option<bool>,
        sent: SentTotals,
        parts: CacheParts,
        dialect: Option<UsageBasis>,
    ) -> Self {
        let known = |n: Option<i64>| n.filter(|n| *n != 0 || available == Some(true));
        let (input, output) = (known(sent.input), known(sent.output));
        let basis = input.map_or(UsageBasis::Unknown, |n| basis(n, parts.cached(), dialect));
        let input_uncached = match basis {
            UsageBasis::Exclusive => input,
            _ => input.map(|n| n.saturating_sub(parts.cached())),
        };
        let mut usage = Self {
            available,
            input_uncached,
            cache_read: parts.read,
            cache_write_5m: parts.write_5m,
            cache_write_1h: parts.write_1h,
            output,
            reasoning: parts.reasoning,
            audio_input: parts.audio_input,
            audio_output: parts.audio_output,
            sent,
            basis,
            raw: None,
            contradiction: None,
            is_of_trace: false,
        };
        usage.contradiction = usage.find_contradiction(dialect);
        usage
    }

    /// The sent total; 0 is a client's way to say unknown, unless it says that it measured.
    fn known_sent_total(&self) -> Option<i64> {
        self.sent.total.filter(|n| *n != 0 || self.available == Some(true))
    }

    /// The first thing in this report that cannot be true together with the rest.
    fn find_contradiction(&self, claimed: Option<UsageBasis>) -> Option<String> {
        let (input, output) = (self.sent.input.unwrap_or(0), self.output.unwrap_or(0));
        let all = [self.input_total(), self.output, self.reasoning];
        let problem = if claimed.is_some_and(|c| self.input_uncached.is_some() && c != self.basis) {
            "input_tokens are fewer than their cached part"
        } else if self.available == Some(false) && (input > 0 || output > 0) {
            "usage_available is false, yet tokens were sent"
        } else if self.output.is_some_and(|n| self.reasoning.unwrap_or(0) > n) {
            "more reasoning tokens than output tokens"
        } else if self.known_sent_total().is_some_and(|total| {
            // A total may leave cached tokens out, and may add reasoning tokens to the output.
            self.input_uncached.is_some()
                && (total < input.saturating_add(output) || total > sum(all).unwrap_or(i64::MAX))
        }) {
            "total_tokens is not the sum of its parts"
        } else {
            return None;
        };
        Some(problem.to_owned())
    }
}

fn basis(input: i64, cached: i64, dialect: Option<UsageBasis>) -> UsageBasis {
    if input < cached {
        return UsageBasis::Exclusive;
    }
    dialect.unwrap_or(UsageBasis::Assumed)
}
