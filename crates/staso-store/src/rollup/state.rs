//! Whether a trace still runs: a pure function of its open spans, the signs of life and the time.

use crate::process::ProcessLife;
use crate::query::RunState;

/// How long a silent process still counts as alive.
pub const ALIVE_FOR_NS: i64 = 60_000_000_000;

/// The run state of a trace.
///
/// `open_lives` are the lives of those processes that hold an open span of the trace and of which
/// anything is known. Nothing is guessed of the others. None of them said goodbye: that would have
/// closed its spans.
#[must_use]
pub fn run_state(
    open_count: u64,
    interrupted_count: u64,
    open_lives: &[ProcessLife],
    now_ns: i64,
) -> RunState {
    let oldest_ns = now_ns.saturating_sub(ALIVE_FOR_NS);
    let is_alive = |life: &ProcessLife| life.alive_ns.is_some_and(|ns| ns >= oldest_ns);
    match open_count {
        0 if interrupted_count > 0 => RunState::Interrupted,
        0 => RunState::Done,
        _ if open_lives.is_empty() => RunState::Unknown,
        _ if open_lives.iter().any(is_alive) => RunState::Running,
        _ => RunState::Stalled,
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
        let now = 100 * 1_000_000_000;
        assert_eq!(run_state(0, 0, &[], now), RunState::Done);
        assert_eq!(run_state(0, 1, &[], now), RunState::Interrupted);
        assert_eq!(run_state(1, 1, &[], now), RunState::Unknown);
        assert_eq!(run_state(2, 1, &[alive(0), alive(now)], now), RunState::Running);
        assert_eq!(run_state(2, 0, &[alive(0), alive(1)], now), RunState::Stalled);
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
