//! The words of the native wire: which members a trace and a span may have, as raw slices.

use super::walk::{Raw, members};

/// How many members without a meaning one object may keep.
pub(super) const MAX_UNKNOWN: usize = 1000;

macro_rules! raw_object {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: Option<Raw<'a>>,)*
            /// Members that have no meaning here, in order, up to [`MAX_UNKNOWN`].
            pub(super) unknown: Vec<(String, Raw<'a>)>,
        }

        impl<'a> $name<'a> {
            /// Sorts the members of an object; of a repeated one the last counts.
            pub(super) fn read(raw: Raw<'a>) -> Self {
                let mut object = Self::default();
                for (key, value) in members(raw) {
                    match &*key {
                        $(stringify!($field) => object.$field = Some(value),)*
                        _ if object.unknown.len() < MAX_UNKNOWN => {
                            object.unknown.push((key.into_owned(), value));
                        }
                        _ => {}
                    }
                }
                object
            }
        }
    };
}

raw_object! {
    /// One element of `traces`.
    RawTrace {
        trace_id, timestamp, environment, workspace_slug, spans, annotations,
        session_id, agent_id, agent_name, user_id,
        root_span_name, status, model, input_tokens, output_tokens, total_tokens, duration_ms,
        attributes,
    }
}

raw_object! {
    /// One element of `spans`.
    RawSpan {
        span_id, trace_id, parent_span_id, name, kind, timestamp, duration_ms, status,
        model, provider, requested_model, usage_available, reasoning_effort,
        input_tokens, output_tokens, total_tokens,
        input, output, attributes, error_message,
        session_id, agent_name, agent_id, agent_version, user_id, capture,
        environment, workspace_slug,
        start_ns, end_ns, events, links, tags, version, process_id, sample_rate, dropped,
        provisional, input_is_text, output_is_text,
    }
}

raw_object! {
    /// One event of a span.
    RawEvent { time_ns, timestamp, name, attributes, dropped_attributes }
}

raw_object! {
    /// One link of a span.
    RawLink { trace_id, span_id, trace_state, attributes, dropped_attributes, flags }
}

raw_object! {
    /// One annotation.
    RawAnnotation { id, name, value, data_type, span_id, comment, source, author, created_ns }
}

raw_object! {
    /// One element of `processes`.
    RawProcess { id, alive_ns, goodbye }
}
