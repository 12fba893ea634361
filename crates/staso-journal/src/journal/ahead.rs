//! Keeping room ready ahead of the records, so that the threads that append find blocks and pages
//! already there.
//!
//! A first store into each page of a mapping costs the storing thread several microseconds in the
//! kernel, more than the rest of a small record. The shipping thread does that work beforehand and
//! holds the intake's lock only to look and to hand over. How much is kept ready doubles each time an
//! append still had to make room itself: a program that records little keeps little of the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Intake, Journal, lock};
use crate::error::JournalError;
use crate::outlet::delete;
use crate::segment::{FIRST_CHUNK, Inlet, Live};
use crate::storage::Mapping;

/// Sealed segments whose mapping waits to be taken down; beyond this many it is done at once.
const RETIRED_MAX: usize = 2;

/// What lies beyond the current segment's last record.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How many bytes are to be kept ready.
    target: u64,
    /// Once the tail of the current segment is here, more room is made.
    pub(super) low_mark: u64,
    /// The shipping thread has not been called for that yet.
    pub(super) is_to_be_called: bool,
    /// The segment after the current one.
    spare: Option<Inlet>,
    /// Segments that were sealed; the shipping thread takes their mappings down.
    retired: Vec<Inlet>,
}

impl Ahead {
    /// The spare segment, if a payload of this length fits.
    pub(super) fn take_spare(&mut self, payload: usize) -> Option<Inlet> {
        self.spare.take_if(|spare| spare.has_room(payload))
    }

    /// Keeps a segment that takes no more records until its mapping is taken down.
    pub(super) fn retire(&mut self, sealed: Inlet) {
        if self.retired.len() < RETIRED_MAX {
            sealed.live.is_sealed.store(true, Ordering::Release);
            self.retired.push(sealed);
        }
    }

    /// Takes down everything but the spare segment.
    pub(super) fn into_spare(self) -> Option<Inlet> {
        self.spare
    }
}

/// The next thing to do for there to be room.
enum Step {
    Grow { live: Arc<Live>, mapping: Mapping, from: u64, by: u64 },
    MakeSpare,
    Nothing,
}

impl Journal {
    /// Whether [`Journal::stay_ahead`] has something to do.
    #[must_use]
    #[inline]
    pub fn wants_room(&self) -> bool {
        self.wants_room.load(Ordering::Relaxed)
    }

    /// Makes room for records to come, where that is wanted. Meant for the one shipping thread;
    /// records can be appended meanwhile, and make room themselves where this is too slow or fails.
    pub fn stay_ahead(&self) {
        if !self.wants_room.swap(false, Ordering::Relaxed) {
            return;
        }
        let retired = std::mem::take(&mut lock(&self.inlet).ahead.retired);
        drop(retired);
        loop {
            let step = self.next_step(&mut lock(&self.inlet));
            let done = match step {
                Step::Grow { live, mapping, from, by } => self.grow(&live, &mapping, from, by),
                Step::MakeSpare => self.make_spare(),
                Step::Nothing => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Makes the current segment have room for a payload of this length.
    #[inline]
    pub(super) fn prepare(&self, intake: &mut Intake, payload: usize) -> Result<(), JournalError> {
        if !intake.current.as_ref().is_some_and(|inlet| inlet.has_room(payload)) {
            self.roll(intake, payload)?;
        }
        let missing = intake.current.as_ref().map_or(0, |inlet| inlet.missing(payload));
        if missing > 0 { self.extend(intake, missing) } else { Ok(()) }
    }

    #[cold]
    fn extend(&self, intake: &mut Intake, missing: u64) -> Result<(), JournalError> {
        self.reserve(intake, missing)?;
        if let Some(inlet) = intake.current.as_mut()
            && let Err(error) = inlet.grow(missing)
        {
            self.release(missing);
            return Err(error);
        }
        self.fell_behind(intake);
        Ok(())
    }

    /// An append had to make room itself.
    #[cold]
    fn fell_behind(&self, intake: &mut Intake) {
        let doubled = (intake.ahead.target * 2).max(self.chunk());
        intake.ahead.target = doubled.min(self.options.ahead_bytes);
        self.want_room(intake);
        self.mark_low(intake);
    }

    /// Asks for room, and lets the shipping thread be called if it has seen to every earlier call: each one
    /// costs the thread that records.
    pub(super) fn want_room(&self, intake: &mut Intake) {
        if !self.wants_room.swap(true, Ordering::Relaxed) {
            intake.ahead.is_to_be_called = true;
        }
    }

    /// Sets where more room is asked for: when half of what is to be ready is used up.
    pub(super) fn mark_low(&self, intake: &mut Intake) {
        let ready_of = |inlet: &Option<Inlet>| inlet.as_ref().map_or(0, Inlet::ready_end);
        let ready = ready_of(&intake.current) + ready_of(&intake.ahead.spare);
        intake.ahead.low_mark = ready.saturating_sub(intake.ahead.target / 2);
    }

    fn next_step(&self, intake: &mut Intake) -> Step {
        let Some(current) = intake.current.as_ref().filter(|_| !intake.is_closed) else {
            return Step::Nothing;
        };
        let ready = current.ready_end().saturating_sub(current.tail());
        let spare = intake.ahead.spare.as_ref();
        let spare_ready = spare.map_or(0, Inlet::ready_end);
        if ready + spare_ready < intake.ahead.target {
            let growing = [Some(current), spare].into_iter().flatten();
            let growing = growing.into_iter().find(|inlet| inlet.ready_end() < inlet.capacity());
            match growing {
                Some(inlet) => {
                    if let Some(mapping) = inlet.mapping() {
                        let from = inlet.ready_end();
                        let by = self.chunk().min(inlet.capacity() - from);
                        return Step::Grow { live: Arc::clone(&inlet.live), mapping, from, by };
                    }
                }
                None if spare.is_none() && current.is_mapped() => return Step::MakeSpare,
                None => {}
            }
        }
        self.mark_low(intake);
        Step::Nothing
    }

    /// Backs the next part of a segment, and hands it over if the segment still takes records.
    fn grow(
        &self,
        live: &Arc<Live>,
        mapping: &Mapping,
        from: u64,
        by: u64,
    ) -> Result<(), JournalError> {
        self.reserve_spare_room(by)?;
        let preparing = lock(&live.preparing);
        if live.ready.load(Ordering::Acquire) != from {
            // An append was faster, and records may stand there already.
            self.release(by);
            return Ok(());
        }
        let prepared = mapping.prepare(&live.file, from, by).map_err(JournalError::io(&live.path));
        drop(preparing);
        let mut intake = lock(&self.inlet);
        let Intake { current, ahead, .. } = &mut *intake;
        let inlet = [current.as_mut(), ahead.spare.as_mut()]
            .into_iter()
            .flatten()
            .find(|inlet| Arc::ptr_eq(&inlet.live, live));
        let gained = match inlet {
            Some(inlet) if prepared.is_ok() => inlet.extend_to(from + by),
            Some(_) => 0,
            None => {
                drop(intake);
                live.release_rest();
                0
            }
        };
        self.release(by - gained);
        prepared
    }

    fn make_spare(&self) -> Result<(), JournalError> {
        self.reserve_spare_room(FIRST_CHUNK)?;
        let made = self.new_segment(0).inspect_err(|_| self.release(FIRST_CHUNK))?;
        let mut intake = lock(&self.inlet);
        if intake.is_closed || intake.ahead.spare.is_some() {
            drop(intake);
            self.discard(made);
            return Err(JournalError::Closed);
        }
        intake.ahead.spare = Some(made);
        Ok(())
    }

    /// Deletes a segment that nothing was appended to.
    pub(super) fn discard(&self, unused: Inlet) {
        let live = Arc::clone(&unused.live);
        drop(unused);
        // What cannot be deleted is found and deleted by the next process.
        let _ = delete(&live.path);
        self.release(live.size.load(Ordering::Relaxed));
    }

    /// Counts bytes against the budget if that leaves a quarter of it for records.
    fn reserve_spare_room(&self, bytes: u64) -> Result<(), JournalError> {
        let bound = self.options.budget_bytes / 4 * 3;
        self.usage
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |usage| {
                Some(usage + bytes).filter(|usage| *usage <= bound)
            })
            .map(drop)
            .map_err(|_| JournalError::Full)
    }
}

#[cfg(test)]
mod tests {
    use staso_model::{ProcessId, SpanId, TraceId};

    use super::*;
    use crate::batch::BatchLimits;
    use crate::destination::Destination;
    use crate::journal::JournalOptions;
    use crate::record::RecordKind;

    #[test]
    fn room_that_comes_too_late_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let options = JournalOptions { chunk_bytes: 64 << 10, ..JournalOptions::default() };
        let (to, own) = (Destination::local(), ProcessId([7; 16]));
        let journal = Journal::open(dir.path().to_owned(), to, own, options).unwrap();
        let append = |number: u8| {
            let (trace_id, span_id) = (TraceId([number; 16]), SpanId([number; 16]));
            let json = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(8 << 10));
            journal.append(RecordKind::Span, &trace_id, &span_id, json.as_bytes()).unwrap();
        };
        append(1);
        let step = {
            let mut intake = lock(&journal.inlet);
            intake.ahead.target = 8 << 20;
            journal.next_step(&mut intake)
        };
        let Step::Grow { live, mapping, from, by } = step else {
            panic!("a mapped segment of which little is ready asks for more");
        };
        // Before the shipping thread comes to it, appends pass that place.
        (2..=20).for_each(append);
        assert!(live.tail.load(Ordering::Acquire) > from);
        journal.grow(&live, &mapping, from, by).unwrap();
        let limits = BatchLimits { records: 100, bytes: 1 << 20 };
        let batch = journal.next_batch(limits).unwrap().unwrap();
        assert_eq!(batch.records.len(), 20);
    }
}
