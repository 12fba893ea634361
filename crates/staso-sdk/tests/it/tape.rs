//! A recorder that keeps what it is handed, in force for as long as one test looks at it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use staso_model::json::{DecodeContext, Limits, decode_batch};
use staso_sdk::recorder::{self, Recorder};
use staso_sdk::{RecordKind, TraceId};

type Records = Arc<Mutex<Vec<(RecordKind, TraceId, Vec<u8>)>>>;

/// What was recorded. The recorder in force is the whole program's, so that only one test at a time
/// has a tape.
pub(crate) struct Tape {
    records: Records,
    pub(crate) recorder: &'static Recorder,
    _alone: MutexGuard<'static, ()>,
}

/// Waits until no other test has a recorder in force.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tape {
    pub(crate) fn start() -> Self {
        Self::with(|recorder| recorder)
    }

    /// A recorder changed by `change` before it comes into force.
    pub(crate) fn with(change: impl FnOnce(Recorder) -> Recorder) -> Self {
        let alone = alone();
        let records = Records::default();
        let kept = Arc::clone(&records);
        let recorder = Recorder::to_list(Box::new(move |kind, trace_id, json| {
            kept.lock().unwrap().push((kind, *trace_id, json.to_vec()));
            true
        }));
        Self { records, recorder: change(recorder).install(), _alone: alone }
    }

    /// The records of one kind, as they were written.
    pub(crate) fn texts(&self, wanted: RecordKind) -> Vec<String> {
        let records = self.records.lock().unwrap();
        let records = records.iter().filter(|(kind, ..)| *kind == wanted);
        records.map(|(.., json)| String::from_utf8(json.clone()).unwrap()).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Value> {
        parsed(self.texts(RecordKind::Span))
    }

    pub(crate) fn annotations(&self) -> Vec<Value> {
        parsed(self.texts(RecordKind::Annotation))
    }

    /// The record of the one span of this name.
    pub(crate) fn span(&self, name: &str) -> Value {
        let mut found = self.spans().into_iter().filter(|span| span["name"] == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(found.next().is_none(), "two spans {name}");
        span
    }

    /// The name of the span that the span of this name hangs under.
    pub(crate) fn parent_of(&self, name: &str) -> Option<String> {
        let parent = self.span(name)["parent_span_id"].clone();
        let spans = self.spans();
        let parent = spans.iter().find(|span| span["span_id"] == parent)?;
        Some(parent["name"].as_str().unwrap().to_owned())
    }

    /// Everything, read as the server reads it; nothing may have needed a repair.
    pub(crate) fn decoded(&self) -> staso_model::json::DecodedBatch {
        let records = self.records.lock().unwrap();
        let traces: Vec<_> = records
            .iter()
            .map(|(kind, trace_id, json)| {
                let record: Value = serde_json::from_slice(json).unwrap();
                let list = if *kind == RecordKind::Span { "spans" } else { "annotations" };
                let mut trace = json!({"trace_id": trace_id.to_uuid_text(), "spans": []});
                trace[list] = json!([record]);
                trace
            })
            .collect();
        let context = DecodeContext {
            workspace_override: None,
            default_workspace: "default",
            received_ns: 1,
            first_sequence: 1,
            receipt_id: "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b",
            limits: Limits::default(),
        };
        let batch = decode_batch(json!({ "traces": traces }).to_string().as_bytes(), &context);
        let batch = batch.unwrap();
        assert_eq!(batch.repairs, []);
        batch
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        recorder::retire(self.recorder);
    }
}

fn parsed(texts: Vec<String>) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}
