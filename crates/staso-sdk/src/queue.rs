//! The queue in memory, for where there is no journal: bounded, and the newest is refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use staso_journal::{Batch, BatchLimits, Destination, Record, RecordKind, Stamp};
use uuid::Uuid;

use crate::log::{LogLevel, log};

/// The most bytes of records held in memory, whatever their number.
const MAX_BYTES: usize = 64 << 20;

/// Records that only this process has.
#[derive(Debug)]
pub(crate) struct Queue {
    id: Uuid,
    max_records: usize,
    state: Mutex<State>,
    has_said_full: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Record>,
    /// How many of them are announcements of open spans, which take no room from what has ended.
    announced: usize,
    bytes: usize,
    /// How many records have been delivered or given up: the number of the first one that is left.
    settled: u64,
    /// How many went into the journal, and so got no number, and how many of those were no announcements.
    moved: u64,
    moved_ended: u64,
    in_flight: Option<usize>,
}

/// How many records a queue has had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) waiting: u64,
    /// Ever.
    pub(crate) pushed: u64,
    /// Delivered, given up, or moved into the journal.
    pub(crate) settled: u64,
    pub(crate) moved: u64,
}

impl Queue {
    pub(crate) fn new(max_records: usize) -> Self {
        let id = Uuid::from_bytes(crate::ids::uuid_v4());
        Self { id, max_records, state: Mutex::default(), has_said_full: AtomicBool::new(false) }
    }

    /// Whether there was room.
    pub(crate) fn push(&self, record: Record) -> bool {
        let mut state = self.state();
        let is_announcement = record.kind == RecordKind::Provisional;
        let others = state.records.len() - state.announced;
        let alike = if is_announcement { state.announced } else { others };
        let is_full =
            alike >= self.max_records || state.bytes.saturating_add(record.json.len()) > MAX_BYTES;
        if !is_full {
            state.announced += usize::from(is_announcement);
            state.bytes += record.json.len();
            state.records.push_back(record);
        }
        drop(state);
        if is_full && !is_announcement {
            self.say_full();
        }
        !is_full
    }

    /// Spans are lost from now on: said once.
    #[cold]
    fn say_full(&self) {
        if !self.has_said_full.swap(true, Ordering::Relaxed) {
            let message = format!(
                "the queue in memory is full: new spans are refused until the server takes some of the \
                 {} records or {MAX_BYTES} bytes that it may hold. Start the server or make it reachable; \
                 to keep more meanwhile, let the journal be written (journal=True) or raise max_queue_size.",
                self.max_records
            );
            log(LogLevel::Warning, &message);
        }
    }

    /// The batch in flight as it was, else the next records.
    pub(crate) fn next_batch(
        &self,
        destination: &Destination,
        stamp: &Stamp,
        limits: BatchLimits,
    ) -> Option<Batch> {
        let mut state = self.state();
        let count = match state.in_flight {
            Some(count) => count,
            None => state.cut(limits),
        };
        if count == 0 {
            return None;
        }
        state.in_flight = Some(count);
        let records = state.records.iter().take(count).cloned().collect();
        let number = state.settled;
        drop(state);
        Some(Batch::from_memory(self.id, destination, stamp, records, number))
    }

    /// The batch in flight is delivered or given up.
    pub(crate) fn settle(&self, batch: &Batch) {
        let mut state = self.state();
        if batch.segment_id() != self.id {
            return;
        }
        for _ in 0..state.in_flight.take().unwrap_or(0) {
            if let Some(record) = state.records.pop_front() {
                state.forget(&record);
                state.settled += 1;
            }
        }
    }

    /// Hands over what waits, oldest first, until `keep` refuses. What is in flight stays: the server may have it.
    pub(crate) fn hand_over(&self, mut keep: impl FnMut(&Record) -> bool) {
        let mut state = self.state();
        let in_flight = state.in_flight.unwrap_or(0).min(state.records.len());
        let waiting = state.records.split_off(in_flight);
        let mut rest = PutBack { state: &mut state, waiting };
        while let Some(record) = rest.waiting.pop_front_if(|record| keep(record)) {
            rest.state.forget(&record);
            rest.state.moved += 1;
            rest.state.moved_ended += u64::from(record.kind != RecordKind::Provisional);
        }
    }

    /// Runs `read` while nothing is handed over, with how much has been, announcements left out.
    pub(crate) fn hold<T>(&self, read: impl FnOnce(u64) -> T) -> T {
        read(self.state().moved_ended)
    }

    /// The next batch is cut anew.
    pub(crate) fn abandon(&self) {
        self.state().in_flight = None;
    }

    /// Whether this batch was cut here.
    pub(crate) fn is_origin_of(&self, batch: &Batch) -> bool {
        batch.segment_id() == self.id
    }

    /// How many there are and were.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.state();
        let (waiting, settled) = (state.records.len() as u64, state.settled + state.moved);
        Counts { waiting, pushed: waiting + settled, settled, moved: state.moved }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not handed over goes back behind what is in flight, also where handing over panics.
struct PutBack<'a> {
    state: &'a mut State,
    waiting: VecDeque<Record>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.state.records.append(&mut self.waiting);
    }
}

impl State {
    /// Takes a record that has left off the levels.
    fn forget(&mut self, record: &Record) {
        self.announced -= usize::from(record.kind == RecordKind::Provisional);
        self.bytes -= record.json.len();
    }

    fn cut(&self, limits: BatchLimits) -> usize {
        let mut bytes = 0usize;
        let fits = |record: &&Record| {
            bytes = bytes.saturating_add(record.json.len());
            bytes <= limits.bytes
        };
        let count = self.records.iter().take(limits.records).take_while(fits).count();
        count.max(usize::from(!self.records.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, kind: RecordKind) -> bool {
        let (trace_id, span_id) = (crate::ids::trace_id(), crate::ids::span_id());
        queue.push(Record { kind, trace_id, span_id, front: None, json: b"{}".as_slice().into() })
    }

    #[test]
    fn what_is_handed_over_changes_nothing_about_the_batch_in_flight() {
        let queue = Queue::new(100);
        let limits = BatchLimits { records: 2, bytes: 1 << 20 };
        let next = || queue.next_batch(&Destination::local(), &Stamp::default(), limits);
        (0..6).for_each(|_| assert!(push(&queue, RecordKind::Span)));
        assert!(push(&queue, RecordKind::Provisional));
        let (in_flight, mut taken) = (next().unwrap(), 0);
        queue.hand_over(|_| {
            taken += 1;
            taken <= 3
        });
        assert_eq!(next(), Some(in_flight.clone()));
        let counts = queue.counts();
        assert_eq!((counts.waiting, counts.pushed, counts.settled, counts.moved), (4, 7, 3, 3));
        queue.settle(&in_flight);
        let after = next().unwrap();
        assert_eq!(after.records.len(), 2);
        assert_ne!(after.key, in_flight.key);
        queue.settle(&after);
        assert_eq!(queue.hold(|moved_ended| moved_ended), 3);
    }

    #[test]
    fn what_fails_to_be_handed_over_waits_on() {
        let queue = Queue::new(10);
        for _ in 0..3 {
            assert!(push(&queue, RecordKind::Span));
        }
        let mut handed_over = 0;
        let failing = std::panic::AssertUnwindSafe(|| {
            queue.hand_over(|_| {
                handed_over += 1;
                assert!(handed_over < 2, "the second one fails");
                true
            });
        });
        assert!(std::panic::catch_unwind(failing).is_err());
        let counts = queue.counts();
        assert_eq!((counts.waiting, counts.pushed, counts.moved), (2, 3, 1));
    }

    #[test]
    fn announcements_take_no_room_from_what_has_ended() {
        let queue = Queue::new(3);
        let limits = BatchLimits { records: 100, bytes: 1 << 20 };
        for _ in 0..2 {
            let taken: Vec<bool> = (0..4).map(|_| push(&queue, RecordKind::Provisional)).collect();
            assert_eq!(taken, [true, true, true, false]);
            let taken: Vec<bool> = (0..4).map(|_| push(&queue, RecordKind::Span)).collect();
            assert_eq!(taken, [true, true, true, false]);
            // Once everything has left, there is the same room again.
            let batch = queue.next_batch(&Destination::local(), &Stamp::default(), limits).unwrap();
            assert_eq!(batch.records.len(), 6);
            queue.settle(&batch);
        }
        let counts = queue.counts();
        assert_eq!((counts.waiting, counts.pushed, counts.moved), (0, 12, 0));
    }
}
