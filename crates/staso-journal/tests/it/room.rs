//! Room that is made ahead of the records: nothing is lost, doubled or left behind by it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use staso_journal::{Destination, JournalOptions, adopt};

use crate::dying::killed_without_unlocking;
use crate::support::{ALL, append, json, open, recover, small};

/// More than half a segment, so that a segment of room reaches into the next one.
const ENOUGH: u64 = 1_000;

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn room_is_made_beside_the_appends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    let is_done = AtomicBool::new(false);
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..30_000).for_each(|n| append(&journal, n));
            is_done.store(true, Ordering::Release);
        });
        loop {
            let was_done = is_done.load(Ordering::Acquire);
            journal.stay_ahead();
            while let Some(batch) = journal.next_batch(ALL).unwrap() {
                found.extend(batch.records.iter().map(|record| record.json.to_vec()));
                journal.acknowledge(&batch).unwrap();
            }
            if was_done {
                break;
            }
        }
    });
    assert_eq!(found, (0..30_000).map(json).collect::<Vec<_>>());
    assert_eq!(journal.stats().left(), 0);
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(files(dir.path()), 0);
}

#[test]
fn a_dead_process_leaves_a_spare_segment_that_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    (0..ENOUGH).for_each(|n| append(&journal, n));
    let before = files(dir.path());
    assert!(journal.wants_room());
    journal.stay_ahead();
    assert!(!journal.wants_room());
    assert_eq!(files(dir.path()), before + 1);
    killed_without_unlocking(journal);
    assert_eq!(recover(dir.path()), (0..ENOUGH).map(json).collect::<Vec<_>>());
    for segment in adopt(dir.path(), &Destination::local()) {
        segment.finish().unwrap();
    }
    assert!(adopt(dir.path(), &Destination::local()).is_empty());
}

#[test]
fn room_ahead_leaves_the_budget_to_records() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { budget_bytes: 192 << 10, ..small(true) };
    let journal = open(dir.path(), Destination::local(), options);
    for n in 0..20_000 {
        append(&journal, n);
        journal.stay_ahead();
    }
    let stats = journal.stats();
    assert!(stats.bytes <= options.budget_bytes, "{stats:?}");
    drop(journal);
    let kept = recover(dir.path());
    assert_eq!(kept, (stats.evicted..20_000).map(json).collect::<Vec<_>>());
}
