//! Who may ship what, and that a batch keeps its key whoever sends it.

use staso_journal::{Destination, adopt};

use crate::support::{ALL, append, drain, few, json, open, recover, remote, small};

#[test]
fn a_live_segment_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    append(&journal, 0);
    assert!(adopt(dir.path(), &Destination::local()).is_empty());
    drop(journal);
    assert_eq!(recover(dir.path()), [json(0)]);
}

#[test]
fn only_the_same_destination_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let here = remote("https://a.example");
    append(&open(dir.path(), here.clone(), small(true)), 0);
    let mut other_key = here.clone();
    other_key.key_fingerprint = "beef".to_owned();
    for stranger in [Destination::local(), remote("https://b.example"), other_key] {
        assert!(adopt(dir.path(), &stranger).is_empty(), "{stranger:?}");
    }
    let mut elsewhere = here;
    elsewhere.workspace = Some("another".to_owned());
    let mut segments = adopt(dir.path(), &elsewhere);
    assert_eq!(segments.iter_mut().flat_map(drain).collect::<Vec<_>>(), [json(0)]);
}

#[test]
fn a_recovered_batch_repeats_its_key() {
    for may_map in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path(), Destination::local(), small(may_map));
        (0..10).for_each(|n| append(&journal, n));
        let first = journal.next_batch(few(3)).unwrap().unwrap();
        journal.acknowledge(&first).unwrap();
        let sent = journal.next_batch(few(4)).unwrap().unwrap();
        drop(journal);
        let mut segments = adopt(dir.path(), &Destination::local());
        let again = segments[0].next_batch(ALL).unwrap().unwrap();
        assert_eq!((again.key, &again.records), (sent.key, &sent.records));
        segments[0].acknowledge(&again).unwrap();
        let rest = segments[0].next_batch(ALL).unwrap().unwrap();
        assert_eq!(rest.records[0].json, json(7));
        assert_ne!(rest.key, sent.key);
    }
}

#[test]
fn an_abandoned_batch_is_cut_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    (0..4).for_each(|n| append(&journal, n));
    let whole = journal.next_batch(few(4)).unwrap().unwrap();
    assert_eq!(journal.next_batch(few(2)).unwrap().unwrap(), whole);
    journal.abandon().unwrap();
    let half = journal.next_batch(few(2)).unwrap().unwrap();
    assert_eq!(half.records, whole.records[..2]);
    assert_ne!(half.key, whole.key);
}

#[test]
fn what_is_acknowledged_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    (0..5_000).for_each(|n| append(&journal, n));
    let mut seen = Vec::new();
    while let Some(batch) = journal.next_batch(few(500)).unwrap() {
        seen.extend(batch.records.iter().map(|record| record.json.to_vec()));
        journal.acknowledge(&batch).unwrap();
    }
    assert_eq!(seen, (0..5_000).map(json).collect::<Vec<_>>());
    assert_eq!(journal.stats().left(), 0);
    drop(journal);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_finished_adoption_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path(), Destination::local(), small(true)), 0);
    let mut segment = adopt(dir.path(), &Destination::local()).pop().unwrap();
    assert_eq!(segment.next_batch(ALL).unwrap().unwrap().records.len(), 1);
    segment.finish().unwrap();
    let mut segment = adopt(dir.path(), &Destination::local()).pop().unwrap();
    drain(&mut segment);
    segment.finish().unwrap();
    assert!(adopt(dir.path(), &Destination::local()).is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    let large = vec![b'x'; 3 << 20];
    append(&journal, 0);
    let span = staso_model::SpanId::from_w3c([7; 8]);
    let trace = staso_model::TraceId([1; 16]);
    journal.append(staso_journal::RecordKind::Span, &trace, &span, &large).unwrap();
    append(&journal, 1);
    drop(journal);
    assert_eq!(recover(dir.path()), [json(0), large, json(1)]);
}
