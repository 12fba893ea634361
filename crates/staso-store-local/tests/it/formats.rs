//! Data directories that older versions wrote: they open, and nothing of them is lost.

use std::fs;
use std::path::Path;

use staso_model::{Event, Payload, ProcessId, Span, SpanId, Stage, TraceId, Value};
use staso_store::{Appended, Batch, ProcessSign, ReceiptKey, Sign, Store};
use staso_store_local::{LocalStore, Options};

/// A copy of what format 2 looked like. Three traces of four spans, one more span that is open, the
/// first span once more in another workspace, an annotation and receipts.
fn golden() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-2");
    for name in ["VERSION", "catalog.db"] {
        fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// A span as the program wrote it that made the golden directory.
fn span(trace: u64, id: u64) -> Span {
    let mut trace_bytes = [0; 16];
    trace_bytes[8..].copy_from_slice(&trace.to_be_bytes());
    let mut span = Span::new("default", TraceId(trace_bytes), SpanId::from_w3c(id.to_be_bytes()));
    span.name = format!("span {id}");
    span.start_ns = 1_700_000_000_000_000_000 + i64::try_from(trace).unwrap() * 43_200_000_000_000;
    span.end_ns = Some(span.start_ns + 1_000);
    span.version.sequence = trace * 10 + id;
    span.input = Some(Payload::json(format!("{{\"question\":\"число {id}\"}}")));
    span.output = Some(Payload::text("an answer; ".repeat(100)));
    span.attributes = vec![
        ("n".to_owned(), Value::Int(i64::try_from(id).unwrap())),
        ("raw".to_owned(), Value::Bytes(vec![0, 255])),
    ];
    span.events = vec![Event {
        time_ns: span.start_ns,
        name: "e".to_owned(),
        attributes: vec![],
        dropped_attributes: 1,
    }];
    span.session_id = Some("talk".to_owned());
    if id > 1 {
        span.parent_span_id = Some(SpanId::from_w3c(1_u64.to_be_bytes()));
    }
    span
}

async fn assert_golden(dir: &Path) {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    for trace in 1..=3 {
        let trace_id = span(trace, 1).trace_id;
        let found = store.trace("default", &trace_id, true, 0).await.unwrap().unwrap();
        let mut spans: Vec<Span> = found.spans.into_iter().map(|tree| tree.span).collect();
        spans.sort_by_key(|span| span.span_id);
        if trace == 3 {
            let open = spans.pop().unwrap();
            assert_eq!((open.version.stage, open.process_id), (Stage::Open, Some(PROCESS)));
            assert_eq!(found.annotations.len(), 1);
        }
        assert_eq!(spans, (1..=4).map(|id| span(trace, id)).collect::<Vec<_>>());
        let receipt = ReceiptKey {
            key: format!("batch {trace}"),
            digest: [u8::try_from(trace).unwrap(); 32],
        };
        let again =
            Batch { workspace: "default".to_owned(), receipt: Some(receipt), ..Batch::default() };
        let answer = store.append(again).await.unwrap();
        assert_eq!(answer, Appended::Repeated { reply: b"reply".to_vec() });
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.spans, stats.traces, stats.last_sequence), (14, 4, 39));
    let slugs: Vec<_> = store.workspaces().await.unwrap().into_iter().map(|w| w.slug).collect();
    assert_eq!(slugs, ["default", "other one"]);
    store.close().await.unwrap();
}

const PROCESS: ProcessId = ProcessId([7; 16]);

#[tokio::test]
async fn a_directory_of_format_2_is_brought_up() {
    let dir = golden();
    for _ in 0..2 {
        assert_golden(dir.path()).await;
        assert_eq!(fs::read_to_string(dir.path().join("VERSION")).unwrap(), "3\n");
    }
    let catalog = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
    let count = |sql: &str| catalog.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE '%spans'"),
        0
    );
    assert_eq!(count("SELECT sum(rows) FROM segments"), 14);
}

/// What is open in it is closed by its process's goodbye, as if nothing had happened.
#[tokio::test]
async fn what_was_open_in_format_2_can_be_closed() {
    let dir = golden();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.open_processes().await.unwrap().len(), 1);
    let sign = ProcessSign { process_id: PROCESS, sign: Sign::Goodbye(9) };
    let batch = Batch {
        workspace: "default".to_owned(),
        processes: vec![sign],
        received_ns: 3,
        ..Batch::default()
    };
    store.append(batch).await.unwrap();
    assert_eq!(store.open_processes().await.unwrap(), []);
    let row = store.trace_row("default", &span(3, 1).trace_id, 0).await.unwrap().unwrap();
    assert_eq!((row.span_count, row.open_count), (5, 0));
}

/// Format 1 did not say when a process was last heard of.
#[tokio::test]
async fn a_directory_of_format_1_is_brought_up() {
    let dir = golden();
    let catalog = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
    let older = "DROP INDEX processes_by_age; ALTER TABLE processes DROP COLUMN heard_ns;";
    catalog.execute_batch(older).unwrap();
    drop(catalog);
    fs::write(dir.path().join("VERSION"), "1\n").unwrap();
    assert_golden(dir.path()).await;
    assert_eq!(fs::read_to_string(dir.path().join("VERSION")).unwrap(), "3\n");
}
