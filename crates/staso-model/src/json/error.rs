//! Why a body, or an annotation, is refused whole. Everything less is mended.

use super::scan::Fault;

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is not JSON, even with everything mended that can be.
    #[error("not JSON at line {line}, column {column} (byte {offset}): expected {expected}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// Bytes before the fault.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// The body is JSON without an array `traces` at its top.
    #[error("no `traces` array: {found}")]
    NoTraces {
        /// What stands there instead.
        found: &'static str,
    },
    /// More spans than one request may carry.
    #[error("more than {limit} spans in one request")]
    TooManySpans {
        /// The limit.
        limit: usize,
    },
    /// More traces, annotations or process signs than one request may carry.
    #[error("more than {limit} {what} in one request")]
    TooManyEntries {
        /// `annotations`, `processes` or `traces`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl DecodeError {
    /// The stable code of the error answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NoTraces { .. } => "no_traces",
            Self::TooManySpans { .. } => "too_many_spans",
            Self::TooManyEntries { .. } => "too_many_entries",
        }
    }

    /// What the sender can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => {
                "send one JSON object; a cut or twice-compressed body also looks like this"
            }
            Self::NoTraces { .. } => {
                "send {\"traces\": [{\"trace_id\": …, \"spans\": [ … ]}]}; a single trace goes into \
                 a list of one"
            }
            Self::TooManySpans { .. } | Self::TooManyEntries { .. } => {
                "split the batch and send each part with an Idempotency-Key of its own"
            }
        }
    }

    /// Whether the request is too large (413) and not malformed (400).
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooManySpans { .. } | Self::TooManyEntries { .. })
    }

    pub(super) fn not_json(body: &[u8], fault: Fault) -> Self {
        let before = body.get(..fault.offset).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Self::NotJson {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: before.len() - line_start + 1,
            offset: fault.offset,
            expected: fault.expected,
        }
    }
}

/// Why a single annotation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// The body is not JSON, or not an object (400).
    #[error(transparent)]
    NotJson(#[from] DecodeError),
    /// The body is JSON, but not an object (400).
    #[error("an annotation is a JSON object")]
    NotAnObject,
    /// A field is missing or of the wrong type (422).
    #[error("`{field}`: {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl AnnotationError {
    /// The stable code of the error answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::Invalid { .. } => "invalid_annotation",
        }
    }

    /// What the sender can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotJson(error) => error.hint(),
            Self::NotAnObject | Self::Invalid { .. } => {
                "send {\"name\": text, \"value\": …, \"data_type\": \"numeric\" | \"categorical\" | \
                 \"boolean\"}, the value of that type"
            }
        }
    }

    /// Whether the body was understood but says something impossible (422 and not 400).
    #[must_use]
    pub fn is_unprocessable(&self) -> bool {
        matches!(self, Self::Invalid { .. })
    }
}
