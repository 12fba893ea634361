//! Token counts of the native wire into disjoint buckets.

use super::fields::RawSpan;
use super::mender::Mender;
use crate::usage::{CacheParts, SentTotals, Usage, UsageBasis};
use crate::value::{Attributes, Value, get};

/// Reads the token fields of a span and the cache counters of its attributes.
pub(super) fn usage(
    raw: &RawSpan<'_>,
    provider: Option<&str>,
    attributes: &Attributes,
    mender: &mut Mender,
) -> Usage {
    let available = mender.boolean("usage_available", raw.usage_available);
    let sent = SentTotals {
        input: mender.count("input_tokens", raw.input_tokens),
        output: mender.count("output_tokens", raw.output_tokens),
        total: mender.count("total_tokens", raw.total_tokens),
    };
    Usage::from_sent(available, sent, cache_parts(attributes), provider.and_then(dialect))
}

/// What a provider's own usage object means by its input total.
fn dialect(provider: &str) -> Option<UsageBasis> {
    match provider {
        "anthropic" => Some(UsageBasis::Exclusive),
        "openai" => Some(UsageBasis::Inclusive),
        _ => None,
    }
}

/// The counters that existing clients put among the metadata.
fn cache_parts(attributes: &Attributes) -> CacheParts {
    let first = |keys: &[&str]| keys.iter().find_map(|key| count(get(attributes, key)?));
    let write_5m = first(&["cache_write_5m_input_tokens"]);
    let write_1h = first(&["cache_write_1h_input_tokens"]);
    let write_all = first(&["cache_creation_input_tokens", "cache_write_input_tokens"]);
    CacheParts {
        read: first(&["cache_read_input_tokens", "cached_input_tokens"]),
        // The undivided counter is the sum of the two; what the one-hour part leaves of it is the
        // five-minute part, which is also the cache that providers write by default.
        write_5m: write_5m.or_else(|| write_all.map(|all| (all - write_1h.unwrap_or(0)).max(0))),
        write_1h,
        reasoning: first(&["reasoning_tokens", "reasoning_output_tokens"]),
        audio_input: first(&["audio_input_tokens"]),
        audio_output: first(&["audio_output_tokens"]),
    }
}

fn count(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) if *n >= 0 => Some(*n),
        _ => None,
    }
}
