//! Token counts of the native wire into disjoint buckets.

use super::fields::RawSpan;
use super::mender::Mender;
use crate::semconv;
use crate::usage::{SentTotals, Usage, UsageBasis};
use crate::value::Attributes;

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
    Usage::from_sent(available, sent, semconv::cache_parts(attributes), provider.and_then(dialect))
}

/// What a provider's own usage object means by its input total.
fn dialect(provider: &str) -> Option<UsageBasis> {
    match provider {
        "anthropic" => Some(UsageBasis::Exclusive),
        "openai" => Some(UsageBasis::Inclusive),
        _ => None,
    }
}
