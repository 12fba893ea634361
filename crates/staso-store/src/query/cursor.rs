//! The text form of a cursor: opaque to clients, exact for us.

use std::fmt;
use std::str::FromStr;

use super::{Cursor, Sort};

/// The text is not a cursor of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: use `next_cursor` of an earlier answer as it came")]
pub struct CursorError;

const SORTS: [(Sort, &str); 5] = [
    (Sort::Start, "s"),
    (Sort::Duration, "d"),
    (Sort::Cost, "c"),
    (Sort::Tokens, "t"),
    (Sort::Spans, "n"),
];

impl fmt::Display for Cursor {
    /// `<sort letter><16 hex digits of the value, or -><32 hex digits of the trace>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = SORTS.iter().find(|(sort, _)| *sort == self.sort).map_or("s", |(_, s)| s);
        match self.value {
            Some(value) => write!(f, "{sort}{:016x}{}", value.cast_unsigned(), self.trace_id),
            None => write!(f, "{sort}-{}", self.trace_id),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (sort, rest) = SORTS
            .iter()
            .find_map(|(sort, letter)| Some((*sort, text.strip_prefix(letter)?)))
            .ok_or(CursorError)?;
        let (value, trace) = match rest.strip_prefix('-') {
            Some(trace) => (None, trace),
            None => {
                let (value, trace) = rest.split_at_checked(16).ok_or(CursorError)?;
                (Some(hex(value)?.cast_signed()), trace)
            }
        };
        if trace.len() != 32 {
            return Err(CursorError);
        }
        let trace_id = trace.parse().map_err(|_| CursorError)?;
        Ok(Self { sort, value, trace_id })
    }
}

fn hex(text: &str) -> Result<u64, CursorError> {
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        u64::from_str_radix(text, 16).map_err(|_| CursorError)
    } else {
        Err(CursorError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use staso_model::TraceId;

    use super::*;

    proptest! {
        #[test]
        fn cursors_read_back(value: Option<i64>, id: [u8; 16], sort in 0..SORTS.len()) {
            let cursor = Cursor { sort: SORTS[sort].0, value, trace_id: TraceId(id) };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
