//! The processes that said goodbye lately, for spans of theirs that are yet to come.
//!
//! A goodbye names no workspace and is kept in each that is known. A span of that process that
//! makes a new workspace comes too late for it; the goodbye is then said there once more. What is
//! remembered is bounded, the oldest go first, and it does not outlive the server.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use staso_model::ProcessId;
use staso_store::{Batch, ProcessSign, Sign};

/// How many processes are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct Goodbyes(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    at_ns: HashMap<ProcessId, i64>,
    /// The same processes, oldest first.
    order: VecDeque<ProcessId>,
}

impl Goodbyes {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the goodbyes among these signs.
    pub(crate) fn remember(&self, signs: &[ProcessSign]) {
        let mut held = self.lock();
        for sign in signs {
            let Sign::Goodbye(at_ns) = sign.sign else { continue };
            if held.at_ns.insert(sign.process_id, at_ns).is_none() {
                held.order.push_back(sign.process_id);
            }
            if held.order.len() > MAX_REMEMBERED
                && let Some(oldest) = held.order.pop_front()
            {
                held.at_ns.remove(&oldest);
            }
        }
    }

    /// What these processes said before.
    pub(crate) fn said_by(&self, processes: &BTreeSet<ProcessId>) -> Vec<ProcessSign> {
        let held = self.lock();
        let sign = |process_id: &ProcessId| {
            let at_ns = held.at_ns.get(process_id)?;
            Some(ProcessSign { process_id: *process_id, sign: Sign::Goodbye(*at_ns) })
        };
        processes.iter().filter_map(sign).collect()
    }
}

/// The processes whose open spans a batch brings.
pub(crate) fn with_open_spans(batch: &Batch) -> BTreeSet<ProcessId> {
    let open = batch.spans.iter().filter(|span| span.is_open());
    open.filter_map(|span| span.process_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(n: usize) -> ProcessId {
        ProcessId((n as u128).to_be_bytes())
    }

    #[test]
    fn the_oldest_are_forgotten_and_repeats_take_no_room() {
        let goodbyes = Goodbyes::default();
        for n in (0..=MAX_REMEMBERED).flat_map(|n| [n, n]) {
            let sign = Sign::Goodbye(7);
            goodbyes.remember(&[ProcessSign { process_id: process(n), sign }]);
        }
        goodbyes.remember(&[ProcessSign { process_id: process(0), sign: Sign::Alive(1) }]);
        let asked = BTreeSet::from([process(0), process(1), process(MAX_REMEMBERED)]);
        let said: Vec<_> = goodbyes.said_by(&asked).iter().map(|s| s.process_id).collect();
        assert_eq!(said, [process(1), process(MAX_REMEMBERED)]);
    }
}
