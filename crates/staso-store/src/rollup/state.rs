//! Whether a trace still runs: a pure function of its open spans, the signs of life and the time.

use std::collections::BTreeMap;

use staso_model::ProcessId;

use crate::process::{ProcessSign, Sign};
use crate::query::RunState;

/// How long a silent process still counts as alive.
pub const ALIVE_FOR_NS: i64 = 60_000_000_000;

/// All that is known of one process's life: the newest sign, and whether it said goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessLife {
    /// When it was last known alive, Unix nanoseconds.
    pub alive_ns: Option<i64>,
    /// When it ended; final once set.
    pub goodbye_ns: Option<i64>,
}

impl ProcessLife {
    /// Takes one more sign in. The order of signs does not matter: times only move forward.
    pub fn observe(&mut self, sign: Sign) {
        match sign {
            Sign::Alive(ns) => self.alive_ns = self.alive_ns.max(Some(ns)),
            Sign::Goodbye(ns) => self.goodbye_ns = self.goodbye_ns.max(Some(ns)),
        }
    }

    fn is_alive_at(&self, now_ns: i64) -> bool {
        let oldest_ns = now_ns.saturating_sub(ALIVE_FOR_NS);
        self.goodbye_ns.is_none() && self.alive_ns.is_some_and(|alive_ns| alive_ns >= oldest_ns)
    }
}

/// The lives of many processes from their signs.
#[must_use]
pub fn lives(signs: &[ProcessSign]) -> BTreeMap<ProcessId, ProcessLife> {
    let mut lives = BTreeMap::<ProcessId, ProcessLife>::new();
    for sign in signs {
        lives.entry(sign.process_id).or_default().observe(sign.sign);
    }
    lives
}

/// The run state of a trace.
///
/// `open_lives` are the lives of those processes that hold an open span of the trace and of which
/// anything is known. Nothing is guessed of the others.
#[must_use]
pub fn run_state(
    open_count: u64,
    interrupted_count: u64,
    open_lives: &[ProcessLife],
    now_ns: i64,
) -> RunState {
    if open_count == 0 {
        return if interrupted_count > 0 { RunState::Interrupted } else { RunState::Done };
    }
    if open_lives.is_empty() {
        RunState::Unknown
    } else if open_lives.iter().all(|life| life.goodbye_ns.is_some()) {
        RunState::Interrupted
    } else if open_lives.iter().any(|life| life.is_alive_at(now_ns)) {
        RunState::Running
    } else {
        RunState::Stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(ns: i64) -> ProcessLife {
        ProcessLife { alive_ns: Some(ns), goodbye_ns: None }
    }

    #[test]
    fn states_follow_the_signs() {
        let gone = ProcessLife { alive_ns: Some(5), goodbye_ns: Some(1) };
        let now = 100 * 1_000_000_000;
        assert_eq!(run_state(0, 0, &[], now), RunState::Done);
        assert_eq!(run_state(0, 1, &[], now), RunState::Interrupted);
        assert_eq!(run_state(1, 0, &[], now), RunState::Unknown);
        assert_eq!(run_state(1, 0, &[gone], now), RunState::Interrupted);
        assert_eq!(run_state(2, 0, &[gone, alive(now)], now), RunState::Running);
        assert_eq!(run_state(2, 0, &[gone, alive(0)], now), RunState::Stalled);
        assert_eq!(run_state(1, 0, &[alive(now - ALIVE_FOR_NS)], now), RunState::Running);
        assert_eq!(run_state(1, 0, &[alive(now - ALIVE_FOR_NS - 1)], now), RunState::Stalled);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert_eq!(run_state(1, 0, &[alive(i64::MIN)], i64::MIN), RunState::Running);
        assert_eq!(run_state(1, 0, &[alive(i64::MIN)], i64::MAX), RunState::Stalled);
        assert_eq!(run_state(1, 0, &[alive(i64::MAX)], i64::MIN), RunState::Running);
    }
}
