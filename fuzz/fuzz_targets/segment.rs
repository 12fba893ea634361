//! A journal's files: whatever stands in a segment that a dead process left, what is read back are whole
//! records as they were written, and what they become on the wire is a body that the server takes.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use staso_journal::{
    BatchLimits, Destination, Journal, JournalOptions, RecordKind, WireForm, adopt_where,
    unreadable,
};
use staso_model::json::{DecodeContext, Limits, decode_batch};
use staso_model::{ProcessId, SpanId, TraceId};

#[derive(Debug, Arbitrary)]
struct Input {
    /// Kind, trace, span, and what the span says.
    records: Vec<(u8, u8, u8, String)>,
    /// What befalls the file: a byte at a place in thousandths of its length, or from there on nothing.
    damage: Vec<(u16, u8)>,
    cut: Option<u16>,
    batch_records: u8,
    /// A file that nobody wrote.
    stranger: Option<Vec<u8>>,
}

const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 16 << 10,
    chunk_bytes: 4 << 10,
    ahead_bytes: 4 << 10,
    budget_bytes: 1 << 20,
    record_bytes: 8 << 10,
    may_map: false,
};

const CONTEXT: DecodeContext<'static> = DecodeContext {
    workspace_override: None,
    default_workspace: "default",
    received_ns: 1_760_000_000_000_000_000,
    first_sequence: 0,
    receipt_id: "receipt",
    limits: Limits {
        max_spans: 10_000,
        max_annotations: 10_000,
        max_depth: 512,
        max_attribute_depth: 32,
        max_values: 100_000,
        max_name_bytes: 1024,
    },
};

fuzz_target!(|input: Input| {
    let dir = tempfile::tempdir().expect("a directory");
    let written = write(dir.path(), &input.records);
    damage(dir.path(), &input);
    if let Some(bytes) = &input.stranger {
        fs::write(dir.path().join("00000000000000000000000000000000.seg"), bytes).expect("a file");
    }
    let limits = BatchLimits { records: usize::from(input.batch_records).max(1), bytes: 4 << 10 };
    for mut segment in adopt_where(dir.path(), |_| true) {
        while let Ok(Some(batch)) = segment.next_batch(limits) {
            assert!(!batch.records.is_empty() && batch.records.len() <= limits.records);
            for record in &batch.records {
                assert!(
                    written.contains(&record.json),
                    "{:?}",
                    String::from_utf8_lossy(&record.json)
                );
            }
            for form in [WireForm::Text, WireForm::Values] {
                let body = batch.body(form);
                let read = decode_batch(&body, &CONTEXT).expect("a body that the server takes");
                assert_eq!(read.trace_count, batch.trace_count(form));
            }
            let again = segment.next_batch(limits).expect("a file").expect("the same batch");
            assert_eq!((again.key, &again.records), (batch.key, &batch.records));
            segment.acknowledge(&batch).expect("a file");
        }
        let _ = segment.finish();
    }
    let _ = unreadable(dir.path());
});

/// Appends the records and ends without shipping them; answers what was taken.
fn write(dir: &Path, records: &[(u8, u8, u8, String)]) -> HashSet<Vec<u8>> {
    let destination = Destination::local();
    let journal = Journal::open(dir.to_owned(), destination, ProcessId([7; 16]), OPTIONS);
    let journal = journal.expect("a journal");
    let mut written = HashSet::new();
    for (n, (kind, trace, span, text)) in records.iter().enumerate().take(64) {
        let kind = RecordKind::from_byte(kind % 3 + 1).expect("a kind");
        let (trace_id, span_id) = (TraceId([trace | 1; 16]), SpanId([span | 1; 16]));
        let json = match kind {
            RecordKind::Annotation => serde_json::json!({"name": text, "value": n}).to_string(),
            _ => {
                let span = serde_json::json!({
                    "span_id": span_id.to_uuid_text(), "name": text, "input": {"n": n, "text": text},
                });
                format!("{{\"start_ns\":{n},{}", &span.to_string()[1..])
            }
        };
        if journal.append(kind, &trace_id, &span_id, json.as_bytes()).is_ok() {
            written.insert(json.into_bytes());
        }
    }
    written
}

fn damage(dir: &Path, input: &Input) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let mut bytes = fs::read(&path).expect("a file");
        let place = |at: u16, length: usize| usize::from(at) * length / 65_536;
        for (at, byte) in input.damage.iter().take(16) {
            let at = place(*at, bytes.len());
            bytes[at] ^= byte;
        }
        let length = input.cut.map_or(bytes.len(), |at| place(at, bytes.len()));
        fs::write(&path, &bytes[..length]).expect("a file");
    }
}
