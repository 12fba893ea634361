//! A full directory: a named server's records are refused, local ones push out the oldest.

use staso_journal::{Destination, JournalError, RecordKind, adopt, set_aside};
use staso_model::{SpanId, TraceId};

use crate::support::{ALL, append, json, open, recover, remote, small};

fn tight() -> staso_journal::JournalOptions {
    staso_journal::JournalOptions { budget_bytes: 512 << 10, ..small(true) }
}

#[test]
fn remote_mode_refuses_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), remote("https://a.example"), tight());
    let mut taken = 0;
    let refusal = loop {
        let span = SpanId::from_w3c([1; 8]);
        match journal.append(RecordKind::Span, &TraceId([1; 16]), &span, &json(taken)) {
            Ok(_) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, JournalError::Full), "{refusal:?}");
    let first = journal.next_batch(ALL).unwrap().unwrap();
    assert_eq!(first.records[0].json, json(0));
    assert_eq!(journal.stats().evicted, 0);
    // Delivering makes room again.
    journal.acknowledge(&first).unwrap();
    while let Some(batch) = journal.next_batch(ALL).unwrap() {
        journal.acknowledge(&batch).unwrap();
    }
    append(&journal, taken);
    assert_eq!(journal.stats().delivered, taken);
}

#[test]
fn local_mode_evicts_the_oldest_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path(), Destination::local(), tight()), 77);
    let journal = open(dir.path(), Destination::local(), tight());
    (0..20_000).for_each(|n| append(&journal, n));
    let stats = journal.stats();
    assert_eq!(stats.evicted_of_others, 1);
    assert!(stats.evicted > 0 && stats.bytes <= 512 << 10, "{stats:?}");
    drop(journal);
    let kept = recover(dir.path());
    assert_eq!(kept.len() as u64 + stats.evicted, 20_000);
    assert_eq!(kept, (stats.evicted..20_000).map(json).collect::<Vec<_>>());
}

#[test]
fn what_is_set_aside_counts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), remote("https://a.example"), tight());
    append(&journal, 0);
    let batch = journal.next_batch(ALL).unwrap().unwrap();
    let path = set_aside(dir.path(), &batch, "400", 512 << 10).unwrap();
    assert!(path.exists());
    assert!(matches!(set_aside(dir.path(), &batch, "400", 100), Err(JournalError::Full)));
    journal.give_up(&batch).unwrap();
    assert_eq!((journal.stats().given_up, journal.stats().left()), (1, 0));
}

/// A thousand short programs must not push each other out.
#[test]
#[cfg(target_os = "linux")]
fn a_program_that_recorded_little_keeps_little() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..100 {
        append(&open(dir.path(), Destination::local(), small(true)), n);
    }
    let bytes = open(dir.path(), Destination::local(), small(true)).stats().bytes;
    assert!(bytes <= 100 * (16 << 10), "{bytes}");
    assert_eq!(adopt(dir.path(), &Destination::local()).len(), 64);
}
