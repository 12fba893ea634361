//! A segment is read in windows that records and batches straddle: every record comes once, in order, and a
//! batch that is asked for again is the same.

use staso_journal::{BatchLimits, Destination, JournalOptions, RecordKind};
use staso_model::{SpanId, TraceId};

use crate::support::{ALL, few, open};

const RECORDS: u64 = 1_500;

/// Mostly small, some about as long as a window, a few longer.
fn sized(n: u64) -> Vec<u8> {
    let random = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let length = match random % 50 {
        0 => 100_000 + random % 50_000,
        1 => 300_000 + random % 300_000,
        2..10 => random % 20_000,
        _ => random % 600,
    };
    let filling = "x".repeat(usize::try_from(length).unwrap());
    format!("{{\"start_ns\":{n},\"filling\":\"{filling}\"}}").into_bytes()
}

#[test]
fn records_of_every_size_come_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 4 << 20, ..JournalOptions::default() };
    let journal = open(dir.path(), Destination::local(), options);
    let mut appended = 0;
    let mut append_until = |end: u64| {
        for n in appended..end.min(RECORDS) {
            let span = SpanId::from_w3c((n + 1).to_be_bytes());
            journal.append(RecordKind::Span, &TraceId([1; 16]), &span, &sized(n)).unwrap();
        }
        appended = appended.max(end.min(RECORDS));
    };
    let by_bytes = BatchLimits { records: 500, bytes: 300_000 };
    let limits = [few(1), few(7), by_bytes, few(100), few(33)];
    let mut found = Vec::new();
    for round in 0.. {
        append_until(10 + round as u64 * 20);
        let Some(batch) = journal.next_batch(limits[round % limits.len()]).unwrap() else { break };
        if round % 4 == 1 {
            // Cut anew, by other limits.
            journal.abandon().unwrap();
            continue;
        }
        let again = journal.next_batch(ALL).unwrap().unwrap();
        assert_eq!((again.key, &again.records), (batch.key, &batch.records));
        found.extend(batch.records.iter().map(|record| record.json.to_vec()));
        journal.acknowledge(&batch).unwrap();
    }
    assert_eq!(found.len(), RECORDS as usize);
    for (n, json) in found.iter().enumerate() {
        assert!(*json == sized(n as u64), "record {n} is not what was appended");
    }
    assert_eq!(journal.stats().left(), 0);
}
