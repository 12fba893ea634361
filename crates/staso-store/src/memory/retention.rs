//! Retention in the memory store. It has no files: a span is as large as its texts and a little more.

use staso_model::{Payload, Span};

use super::{State, TraceKey};
use crate::retention::{Age, Retained, Retention};

/// What a span without texts counts.
const SPAN_BYTES: u64 = 256;

impl State {
    pub(super) fn retain(&mut self, retention: &Retention) -> Retained {
        let mut retained = Retained::default();
        let age = Age { before_ns: retention.before_ns, through_ns: None };
        self.expire(&retention.workspace, age, u64::MAX, &mut retained);
        if let Some(max_bytes) = retention.max_bytes {
            let own = self.spans.iter().filter(|((own, _), _)| *own == retention.workspace);
            let bytes: u64 = own.flat_map(|(_, spans)| spans.values()).map(bytes).sum();
            let age = Age { before_ns: None, through_ns: Some(i64::MAX) };
            let excess = bytes.saturating_sub(max_bytes);
            self.expire(&retention.workspace, age, excess, &mut retained);
        }
        retained
    }

    /// Lets old traces go, the oldest first, until so many bytes went.
    fn expire(&mut self, workspace: &str, age: Age, mut excess: u64, retained: &mut Retained) {
        let old = self.spans.iter().filter(|((own, _), spans)| {
            own == workspace && spans.values().all(|span| age.lets_go(span))
        });
        let mut old: Vec<(i64, TraceKey)> = old
            .map(|(key, spans)| {
                let latest = spans.values().map(|span| span.start_ns).max();
                (latest.unwrap_or_default(), key.clone())
            })
            .collect();
        old.sort();
        for (_, key) in old {
            if excess == 0 {
                break;
            }
            let spans = self.spans.remove(&key).unwrap_or_default();
            let bytes: u64 = spans.values().map(bytes).sum();
            excess = if excess == u64::MAX { excess } else { excess.saturating_sub(bytes) };
            retained.traces += 1;
            retained.spans += spans.len() as u64;
            self.annotations.retain(|(own, _), note| *own != key.0 || note.trace_id != key.1);
        }
    }
}

fn bytes(span: &Span) -> u64 {
    let text = |payload: &Option<Payload>| payload.as_ref().map_or(0, |it| it.text.len() as u64);
    SPAN_BYTES + text(&span.input) + text(&span.output)
}
