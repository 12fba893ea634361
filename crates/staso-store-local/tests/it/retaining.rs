//! Retention on disk: whole files go, others lose rows; beside writers, over crashes, and with damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use staso_model::{Payload, Span};
use staso_store::{Retained, Retention, Store};
use staso_store_local::{LocalStore, Options, inspect};

use super::{batch, span};

const DAY_NS: i64 = 86_400_000_000_000;
/// 2026-06-01.
const FIRST_NS: i64 = 20_605 * DAY_NS;

/// A span of a day, received when it began.
fn on(day: i64, trace: u64, id: u64) -> Span {
    let mut span = span(trace, id);
    span.start_ns = FIRST_NS + day * DAY_NS + 1;
    span.end_ns = Some(span.start_ns + 1);
    span.version.received_ns = span.start_ns;
    span.input = Some(Payload::text(format!("{trace} {id} {}", "word ".repeat(200))));
    span
}

fn before(day: i64) -> Retention {
    let before_ns = Some(FIRST_NS + day * DAY_NS);
    Retention { workspace: "default".to_owned(), before_ns, max_bytes: None }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Ten traces of two spans for each of so many days, each day in a file of its own.
async fn fill(store: &LocalStore, days: i64) {
    for day in 0..days {
        let first = u64::try_from(day).unwrap() * 10 + 1;
        let spans = (first..first + 10).flat_map(|n| [on(day, n, 1), on(day, n, 2)]);
        store.append(batch(spans.collect())).await.unwrap();
        store.flush().await.unwrap();
    }
}

async fn spans(store: &LocalStore) -> u64 {
    store.stats().await.unwrap().spans
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_days_that_are_over_go_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { compact_bytes: 0, ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    fill(&store, 6).await;
    // One that began on a day that goes was written to on one that stays: it stays whole.
    store.append(batch(vec![on(5, 3, 3)])).await.unwrap();
    let used = store.stats().await.unwrap().bytes;
    let retained = store.retain(&before(4)).await.unwrap();
    assert_eq!((retained.traces, retained.spans), (39, 78));
    assert!(retained.bytes > 0, "{retained:?}");
    assert_eq!(spans(&store).await, 120 - 78 + 1);
    let trace = store.trace("default", &span(3, 1).trace_id, true, 0).await.unwrap().unwrap();
    assert_eq!(trace.spans.len(), 3);
    drop(trace);
    store.close().await.unwrap();
    // Days 1, 2 and 3 went as files; of the day 0 the one trace is left.
    let left = files(&dir.path().join("segments"));
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(inspect(dir.path()).damage, []);
    let store = LocalStore::open(dir.path(), &options).unwrap();
    assert_eq!(spans(&store).await, 43);
    assert!(store.stats().await.unwrap().bytes < used);
    assert_eq!(store.retain(&before(4)).await.unwrap(), Retained::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn above_its_size_a_workspace_loses_its_oldest_days() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    fill(&store, 6).await;
    let sizes: Vec<u64> = files(&dir.path().join("segments"))
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .collect();
    let all: u64 = sizes.iter().sum();
    let largest = *sizes.iter().max().unwrap();
    let of = |max_bytes| Retention { before_ns: None, max_bytes: Some(max_bytes), ..before(0) };
    assert_eq!(store.retain(&of(all)).await.unwrap(), Retained::default());
    let retained = store.retain(&of(all - largest)).await.unwrap();
    assert!((1..=2).contains(&(retained.traces / 10)), "{retained:?}");
    assert_eq!(store.trace_row("default", &span(1, 1).trace_id, 0).await.unwrap(), None);
    let newest = store.trace_row("default", &span(60, 1).trace_id, 0).await.unwrap();
    assert!(newest.is_some());
    store.compact().await.unwrap();
    store.close().await.unwrap();
    let left: u64 =
        files(&dir.path().join("segments")).iter().map(|it| fs::metadata(it).unwrap().len()).sum();
    assert!(left <= all - largest, "{left} of {all}");
}

/// While traces go, others are written, to old traces as well; no read sees half of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_goes_on_beside_writers_and_readers() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { hot_bytes: 60_000, ..Options::default() };
    let store = Arc::new(LocalStore::open(dir.path(), &options).unwrap());
    fill(&store, 12).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (reading, until) = (Arc::clone(&store), Arc::clone(&is_over));
    let reader = tokio::spawn(async move {
        while !until.load(Ordering::Relaxed) {
            for n in (1..=120).step_by(7) {
                let id = span(n, 1).trace_id;
                let trace = reading.trace("default", &id, true, 0).await.unwrap();
                let Some(trace) = trace else { continue };
                assert_eq!(trace.spans.len() as u64, trace.row.span_count);
                assert!(trace.spans.len() >= 2 || n % 10 == 4, "{}", trace.spans.len());
            }
        }
    });
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        for day in 0..12 {
            let n = u64::try_from(day).unwrap() * 10 + 4;
            writing.append(batch(vec![on(12, n, 3), on(12, 1_000 + n, 1)])).await.unwrap();
        }
    });
    let mut taken = 0;
    for day in 1..=12 {
        taken += store.retain(&before(day)).await.unwrap().spans;
    }
    writer.await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    assert_eq!(spans(&store).await, 240 + 24 - taken);
    store.compact().await.unwrap();
    let store = Arc::into_inner(store).unwrap();
    store.close().await.unwrap();
    assert_eq!(inspect(dir.path()).damage, []);
}

/// Of a file that cannot be read the catalog knows how old it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_goes_when_all_of_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    fill(&store, 3).await;
    store.close().await.unwrap();
    let mut old = files(&dir.path().join("segments"));
    old.sort();
    let mut bytes = fs::read(&old[0]).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(&old[0], bytes).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let retained = store.retain(&before(1)).await.unwrap();
    assert_eq!((retained.traces, retained.spans), (10, 20));
    store.close().await.unwrap();
    assert!(!old[0].exists());
    assert_eq!(inspect(dir.path()).damage, []);
}
