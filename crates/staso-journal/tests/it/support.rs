//! What the tests share: small journals and records that name themselves.

use std::path::Path;

use staso_journal::{
    Adopted, BatchLimits, Destination, Journal, JournalOptions, Mode, RecordKind, adopt,
};
use staso_model::{ProcessId, SpanId, TraceId};

pub(crate) const ALL: BatchLimits = BatchLimits { records: usize::MAX, bytes: usize::MAX };

pub(crate) fn few(records: usize) -> BatchLimits {
    BatchLimits { records, bytes: usize::MAX }
}

/// Segments small enough that a test fills several.
pub(crate) fn small(may_map: bool) -> JournalOptions {
    JournalOptions {
        segment_bytes: 128 << 10,
        chunk_bytes: 64 << 10,
        budget_bytes: 64 << 20,
        may_map,
        ..JournalOptions::default()
    }
}

pub(crate) fn remote(url: &str) -> Destination {
    Destination {
        mode: Mode::Remote,
        base_url: url.to_owned(),
        key_fingerprint: "f00d".to_owned(),
        ..Destination::local()
    }
}

pub(crate) fn open(dir: &Path, destination: Destination, options: JournalOptions) -> Journal {
    Journal::open(dir.to_owned(), destination, ProcessId([9; 16]), options).unwrap()
}

/// The n-th span: its payload says so.
pub(crate) fn json(n: u64) -> Vec<u8> {
    format!("{{\"start_ns\":{n},\"name\":\"span {n}\"}}").into_bytes()
}

pub(crate) fn append(journal: &Journal, n: u64) {
    let span = SpanId::from_w3c((n + 1).to_be_bytes());
    journal.append(RecordKind::Span, &TraceId([1; 16]), &span, &json(n)).unwrap();
}

/// Everything free that local mode may take, in order of recording.
pub(crate) fn recover(dir: &Path) -> Vec<Vec<u8>> {
    adopt(dir, &Destination::local()).iter_mut().flat_map(drain).collect()
}

pub(crate) fn drain(segment: &mut Adopted) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(batch) = segment.next_batch(few(100)).unwrap() {
        found.extend(batch.records.iter().map(|record| record.json.to_vec()));
        segment.acknowledge(&batch).unwrap();
    }
    found
}
