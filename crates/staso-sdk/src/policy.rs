//! What a capture policy lets out of the program, for every language the same.

use std::borrow::Cow;

use staso_model::SpanKind;

use crate::config::CapturePolicy;

impl CapturePolicy {
    /// Whether the input of a span of this kind may be told: each kind has its category, and a
    /// model's input holds all of them.
    #[must_use]
    pub fn tells_input(&self, kind: SpanKind) -> bool {
        match kind {
            SpanKind::Llm => self.allows_all(),
            SpanKind::Tool => self.tool_arguments,
            _ => self.request,
        }
    }

    /// The name that may be told: names can hold what was asked, and then only the kind is.
    #[must_use]
    pub fn told_name<'n>(&self, name: Cow<'n, str>, kind: SpanKind) -> Cow<'n, str> {
        if self.tells_name(kind) { name } else { Cow::Owned(format!("{kind} span")) }
    }

    pub(crate) fn tells_name(&self, kind: SpanKind) -> bool {
        self.request || kind == SpanKind::Tool
    }
}

/// Whether metadata of this key describes the working, not the content: what stays when requests are
/// kept private.
#[must_use]
pub(crate) fn is_operational(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "exception.type",
        "tool_name",
        "provider",
        "response_id",
        "stop_reason",
        "service_tier",
        "time_to_first_token",
    ];
    const PREFIXES: &[&str] = &["code.", "vcs.", "guard_", "staso.", "codex."];
    const SUFFIXES: &[&str] = &["_tokens", "_token_count"];
    KEYS.contains(&key)
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| key.ends_with(suffix))
}
