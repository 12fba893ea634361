//! Signs of life: whether the process that holds a span open still runs, and what becomes of the
//! span when it does not.

use staso_model::{
    INTERRUPTED_ATTRIBUTE, PROVISIONAL_ATTRIBUTE, ProcessId, Span, SpanStatus, Stage, Value,
};

/// What a process, or its journal, last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSign {
    /// The process.
    pub process_id: ProcessId,
    /// What it said.
    pub sign: Sign,
}

/// A sign of life or death.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// It was alive at this time, Unix nanoseconds. Times only move forward.
    Alive(i64),
    /// It ended at about this time: it said so, or its journal's lock was found free. Final: it
    /// closes what the process holds open now, and what turns out later to have been open.
    Goodbye(i64),
    /// Nobody has heard of it since this time, and what it holds open now is given up. Heard of later
    /// than that, it is not lost and the sign changes nothing. Not final: what it opens
    /// afterwards is open.
    Lost(i64),
}

/// All that is known of one process's life: the newest sign, and whether it said goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessLife {
    /// When it was last known alive, Unix nanoseconds.
    pub alive_ns: Option<i64>,
    /// When it ended; final once set.
    pub goodbye_ns: Option<i64>,
}

/// A process that holds a span open, and what is known of its life where that span is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenProcess {
    /// The workspace.
    pub workspace: String,
    /// The process.
    pub process_id: ProcessId,
    /// Its life.
    pub life: ProcessLife,
}

impl ProcessLife {
    /// Takes one more sign in. The order of signs does not matter: times only move forward.
    pub fn observe(&mut self, sign: Sign) {
        match sign {
            Sign::Alive(ns) => self.alive_ns = self.alive_ns.max(Some(ns)),
            Sign::Goodbye(ns) => self.goodbye_ns = self.goodbye_ns.max(Some(ns)),
            Sign::Lost(_) => {}
        }
    }

    /// When the spans that the process holds open ended, where this sign says that they did. The
    /// life has taken the sign in already.
    #[must_use]
    pub fn ended_ns(&self, sign: Sign) -> Option<i64> {
        match sign {
            Sign::Alive(_) => None,
            Sign::Goodbye(_) => self.goodbye_ns,
            Sign::Lost(since_ns) => {
                Some(since_ns).filter(|_| self.alive_ns.is_none_or(|ns| ns <= since_ns))
            }
        }
    }
}

/// What the error message of a span says that ended with its process.
pub const INTERRUPTED_MESSAGE: &str = "interrupted: the process ended before the span did";

/// Whether this report of a span is closed when its process is found to be gone.
#[must_use]
pub fn is_held_open(span: &Span) -> bool {
    span.is_open() && !span.dropped
}

/// Closes an open span in its process's stead, with all that it had.
///
/// It is an error, ends when its process did (never before it began), and says by an attribute that
/// it was interrupted. The version is that of the open span, one stage further: it beats every
/// report that the span is open, loses against the process's own report of its end, and is the same
/// however often the span is closed.
pub fn interrupt(span: &mut Span, ended_ns: i64) {
    span.version.stage = Stage::Interrupted;
    span.end_ns = Some(ended_ns.max(span.start_ns));
    span.status = SpanStatus::Error;
    span.error_message.get_or_insert_with(|| INTERRUPTED_MESSAGE.to_owned());
    span.attributes.retain(|(key, _)| key != PROVISIONAL_ATTRIBUTE && key != INTERRUPTED_ATTRIBUTE);
    span.attributes.push((INTERRUPTED_ATTRIBUTE.to_owned(), Value::Bool(true)));
}

#[cfg(test)]
mod tests {
    use staso_model::{SpanId, TraceId};

    use super::*;

    #[test]
    fn a_lost_process_that_was_heard_of_meanwhile_is_not_lost() {
        let mut life = ProcessLife::default();
        assert_eq!(life.ended_ns(Sign::Lost(5)), Some(5));
        life.observe(Sign::Alive(5));
        assert_eq!(life.ended_ns(Sign::Lost(5)), Some(5));
        life.observe(Sign::Alive(6));
        assert_eq!(life.ended_ns(Sign::Lost(5)), None);
        life.observe(Sign::Goodbye(9));
        life.observe(Sign::Goodbye(7));
        assert_eq!(life.ended_ns(Sign::Goodbye(7)), Some(9));
    }

    #[test]
    fn a_closed_span_keeps_what_it_had_and_ranks_between() {
        let mut open = Span::new("w", TraceId([1; 16]), SpanId([2; 16]));
        open.version.stage = Stage::Open;
        open.version.client = 3;
        open.start_ns = 100;
        open.attributes = vec![
            (PROVISIONAL_ATTRIBUTE.to_owned(), Value::Bool(true)),
            ("k".to_owned(), Value::Int(1)),
        ];
        let mut closed = open.clone();
        interrupt(&mut closed, 90);
        assert_eq!((closed.end_ns, closed.status), (Some(100), SpanStatus::Error));
        assert_eq!(closed.error_message.as_deref(), Some(INTERRUPTED_MESSAGE));
        let mark = (INTERRUPTED_ATTRIBUTE.to_owned(), Value::Bool(true));
        assert_eq!(closed.attributes, [("k".to_owned(), Value::Int(1)), mark]);
        let last_open = staso_model::Version { client: u64::MAX, ..open.version };
        let first_ended = staso_model::Version { stage: Stage::Ended, client: 0, ..open.version };
        assert!(last_open < closed.version && closed.version < first_ended);
        let once = closed.clone();
        interrupt(&mut closed, 90);
        assert_eq!(closed, once);
    }
}
