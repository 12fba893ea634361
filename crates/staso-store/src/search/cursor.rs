//! A place in the order of a search, and its text form: opaque to clients, exact for us.

use std::fmt;
use std::str::FromStr;

use staso_model::{Span, SpanId, TraceId};

use crate::query::CursorError;

/// A place in a search: newest start first, ties by trace and span, greatest first. A search goes on
/// with what is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchCursor {
    /// A span's start, Unix nanoseconds.
    pub start_ns: i64,
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
}

impl SearchCursor {
    /// Where a span stands.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        Self { start_ns: span.start_ns, trace_id: span.trace_id, span_id: span.span_id }
    }

    /// Behind everything that begins later than this, and before all that begins then.
    #[must_use]
    pub fn before_start(start_ns: i64) -> Self {
        match start_ns.checked_add(1) {
            Some(start_ns) => {
                Self { start_ns, trace_id: TraceId([0; 16]), span_id: SpanId([0; 16]) }
            }
            None => Self { start_ns, trace_id: TraceId([0xff; 16]), span_id: SpanId([0xff; 16]) },
        }
    }
}

impl fmt::Display for SearchCursor {
    /// `f<16 hex digits of the start><32 of the trace><32 of the span>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |bytes: [u8; 16]| u128::from_be_bytes(bytes);
        let (trace, span) = (id(self.trace_id.0), id(self.span_id.0));
        write!(f, "f{:016x}{trace:032x}{span:032x}", self.start_ns.cast_unsigned())
    }
}

impl FromStr for SearchCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let digits = text.strip_prefix('f').ok_or(CursorError)?;
        if digits.len() != 80 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(CursorError);
        }
        let start = u64::from_str_radix(&digits[..16], 16).map_err(|_| CursorError)?;
        let id = |digits| {
            u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| CursorError)
        };
        Ok(Self {
            start_ns: start.cast_signed(),
            trace_id: TraceId(id(&digits[16..48])?),
            span_id: SpanId(id(&digits[48..])?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_read_back(start_ns: i64, trace: [u8; 16], span: [u8; 16]) {
            let cursor = SearchCursor { start_ns, trace_id: TraceId(trace), span_id: SpanId(span) };
            prop_assert_eq!(cursor.to_string().parse::<SearchCursor>(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in "f?\\PC{0,90}") {
            let _ = text.parse::<SearchCursor>();
        }
    }
}
