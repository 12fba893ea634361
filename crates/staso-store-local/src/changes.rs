//! When each hour was changed last: what sums that were kept are judged by.
//!
//! A change to a trace may change what counts in every hour in which a span of it begins, since spans that name
//! no agent, user and so on count to their trace's. So the whole reach of the trace is noted. This stands
//! in memory only: sums are not kept beyond the process either.

use std::sync::Arc;

/// Hours that are told apart. With more, everything counts as changed and it begins anew.
const MAX_HOURS: usize = 4_096;
/// A trace that reaches over more hours changes everything.
const MAX_REACH: i64 = 31 * 24;

pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;

/// The changes of a snapshot. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// By workspace and hour, in this order, the number of the last change.
    hours: Arc<Vec<((i64, i64), u64)>>,
    /// The number of the last change that may have been to any hour.
    all: u64,
}

impl Changes {
    /// Notes change number `number` to a workspace, from one start to another, both included. Numbers ascend
    /// and are never given twice, not after a rollback either.
    pub(crate) fn note(&mut self, ws: i64, (from_ns, to_ns): (i64, i64), number: u64) {
        let (from, to) = (from_ns.div_euclid(HOUR_NS), to_ns.div_euclid(HOUR_NS));
        if to.saturating_sub(from) > MAX_REACH || self.hours.len() > MAX_HOURS {
            self.note_all(number);
            return;
        }
        let hours = Arc::make_mut(&mut self.hours);
        let begin = hours.partition_point(|(hour, _)| *hour < (ws, from));
        for (at, hour) in (begin..).zip(from..=to) {
            match hours.get_mut(at) {
                Some((known, last)) if *known == (ws, hour) => *last = number,
                _ => hours.insert(at, ((ws, hour), number)),
            }
        }
    }

    /// Notes a change that may be to anything.
    pub(crate) fn note_all(&mut self, number: u64) {
        self.hours = Arc::default();
        self.all = number;
    }

    /// The number of the last change to what begins in this time, both ends included: the same number says that
    /// nothing has changed there, another that something may have.
    pub(crate) fn last(&self, ws: i64, (from_ns, to_ns): (i64, i64)) -> u64 {
        let (from, to) = (from_ns.div_euclid(HOUR_NS), to_ns.div_euclid(HOUR_NS));
        let begin = self.hours.partition_point(|(hour, _)| *hour < (ws, from));
        let within = self.hours[begin..].iter().take_while(|(hour, _)| *hour <= (ws, to));
        within.map(|(_, number)| *number).max().unwrap_or_default().max(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_where_it_reaches_and_nowhere_else() {
        let mut changes = Changes::default();
        changes.note(1, (HOUR_NS, 3 * HOUR_NS), 5);
        changes.note(2, (-1, -1), 6);
        let last = |ws, from, to| changes.last(ws, (from * HOUR_NS, to * HOUR_NS - 1));
        assert_eq!((last(1, 0, 1), last(1, 0, 2), last(1, 3, 4), last(1, 4, 9)), (0, 5, 5, 0));
        assert_eq!((last(2, -1, 0), last(2, 0, 9), last(1, -1, 0)), (6, 0, 0));
        assert_eq!(changes.last(1, (i64::MIN, i64::MAX)), 5);
    }

    #[test]
    fn what_reaches_far_or_is_too_much_changes_everything() {
        let mut changes = Changes::default();
        changes.note(1, (0, HOUR_NS), 1);
        changes.note(1, (i64::MIN, i64::MAX), 2);
        assert_eq!(changes.last(9, (0, 0)), 2);
        let hours = i64::try_from(MAX_HOURS).unwrap() + 2;
        (0..hours).for_each(|hour| changes.note(1, (2 * hour * HOUR_NS, 2 * hour * HOUR_NS), 3));
        assert_eq!((changes.last(9, (0, 1)), changes.hours.len()), (3, 0));
    }
}
