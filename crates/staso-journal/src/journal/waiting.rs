//! What waits for the shipping thread, counted under the lock that appending holds anyway.

use super::{Intake, Journal, lock};

/// What was appended since the shipping thread began its last round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether that is enough for the shipping thread to be called.
    pub is_enough: bool,
}

impl Journal {
    /// Counts what waits; true once, when it becomes enough.
    #[inline]
    pub(super) fn note_waiting(&self, intake: &mut Intake, bytes: u64) -> bool {
        let waiting = &mut intake.waiting;
        waiting.records += 1;
        waiting.bytes += bytes;
        let is_enough = waiting.records >= self.options.call_records
            || waiting.bytes >= self.options.call_bytes;
        !std::mem::replace(&mut waiting.is_enough, is_enough) && is_enough
    }

    /// What was appended since the last call of [`Journal::begin_round`].
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        lock(&self.inlet).waiting
    }

    /// The shipping thread looks at everything appended so far.
    pub fn begin_round(&self) {
        lock(&self.inlet).waiting = Waiting::default();
    }
}
