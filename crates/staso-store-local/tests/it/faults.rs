//! Operations on files that fail, and what is there afterwards: also if the process is killed then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use staso_model::{Payload, Span};
use staso_store::{Batch, Sign, Store, StoreError};
use staso_store_local::{LocalStore, Options};

use super::sqlite_files::{Operation, hook};
use super::{PROCESS, batch, held, signs, span};

/// The directory as it stands, which is what a process killed now would leave.
fn image(dir: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let image = tempfile::tempdir().unwrap();
    copy(dir, image.path());
    image
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(self::files(&entry)) } else { files.push(entry) }
    }
    files
}

/// Spans of one trace with payloads.
fn spans(count: u64) -> Vec<Span> {
    let filled = |id: u64| {
        let mut span = span(1, id);
        span.input = Some(Payload::text(format!("what went into {id}")));
        span
    };
    (1..=count).map(filled).collect()
}

/// Exactly these spans are there, whole and once.
async fn assert_holds(dir: &Path, expected: &[Span]) {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    let trace = store.trace("default", &expected[0].trace_id, true, 0).await.unwrap().unwrap();
    let mut found: Vec<Span> = trace.spans.into_iter().map(|tree| tree.span).collect();
    found.sort_by_key(|span| span.span_id);
    assert_eq!(found, expected);
    assert_eq!(trace.row.span_count, expected.len() as u64);
    for span in expected {
        let found = store.span("default", &span.trace_id, &span.span_id).await.unwrap();
        assert_eq!(found.map(|found| found.span).as_ref(), Some(span));
    }
    assert_eq!(store.stats().await.unwrap().spans, expected.len() as u64);
    store.close().await.unwrap();
}

/// The commit stands in SQLite's log although it failed: whoever is killed then finds it, and the
/// segments that it names, at the next opening.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_sync_fails_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicU64::new(0));
    let left = Arc::clone(&fails);
    let _hooked = hook(dir.path(), move |operation, path| {
        let is_log = path.to_string_lossy().ends_with("-wal");
        let less = |left: u64| left.checked_sub(1);
        operation == Operation::Sync
            && is_log
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    });
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let mut expected = spans(3);
    store.append(batch(expected.clone())).await.unwrap();
    fails.store(2, Ordering::Relaxed);
    for _ in 0..2 {
        let failed = store.flush().await;
        assert!(matches!(failed, Err(StoreError::Engine(_))), "{failed:?}");
        assert_holds(image(dir.path()).path(), &expected).await;
    }
    // What comes after it counts as well, and a newer version of what was in it.
    expected = spans(4);
    expected[0].version.client = 1;
    expected[0].name = "newer".to_owned();
    store.append(batch(vec![expected[0].clone(), expected[3].clone()])).await.unwrap();
    assert_holds(image(dir.path()).path(), &expected).await;
    store.flush().await.unwrap();
    assert_holds(image(dir.path()).path(), &expected).await;
    drop(store);
    assert_holds(dir.path(), &expected).await;
}

/// A timed flush that failed is tried again, even where nothing else happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_flush_is_tried_again_when_idle() {
    let dir = tempfile::tempdir().unwrap();
    // The first sync is of the head of SQLite's log, the second of the flush.
    let synced = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&synced);
    let options = Options { flush_after: Duration::from_millis(1), ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    drop(store);
    let _hooked = hook(dir.path(), move |operation, path| {
        let is_log = path.to_string_lossy().ends_with("-wal");
        operation == Operation::Sync && is_log && count.fetch_add(1, Ordering::Relaxed) == 1
    });
    let store = LocalStore::open(dir.path(), &options).unwrap();
    store.append(batch(spans(2))).await.unwrap();
    let began = Instant::now();
    while synced.load(Ordering::Relaxed) < 2 || !files(&dir.path().join("wal")).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "it was not tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(store);
    assert_holds(dir.path(), &spans(2)).await;
}

/// A read that the system refuses says nothing about what is stored: the batch fails, and no older
/// version wins.
#[tokio::test]
async fn a_refused_read_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut newest = spans(2);
    newest[0].version.client = 5;
    {
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        store.append(batch(newest.clone())).await.unwrap();
        store.flush().await.unwrap();
    }
    let segment = files(&dir.path().join("segments")).pop().unwrap();
    let aside = dir.path().join("aside");
    let loops: fn(&Path) = |path| std::os::unix::fs::symlink(path, path).unwrap();
    // Opening fails in the one, reading in the other.
    for (refuse, clear) in [
        (loops, (|path| fs::remove_file(path).unwrap()) as fn(&Path)),
        (|path| fs::create_dir(path).unwrap(), |path| fs::remove_dir(path).unwrap()),
    ] {
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        fs::rename(&segment, &aside).unwrap();
        refuse(&segment);
        let older = spans(1);
        let refused = store.append(batch(older.clone())).await;
        assert!(matches!(refused, Err(StoreError::Engine(_))), "{refused:?}");
        let read = store.span("default", &older[0].trace_id, &older[0].span_id).await;
        assert!(matches!(read, Err(StoreError::Engine(_))), "{read:?}");
        let read = store.trace("default", &older[0].trace_id, true, 0).await;
        assert!(matches!(read, Err(StoreError::Engine(_))), "{read:?}");
        clear(&segment);
        fs::rename(&aside, &segment).unwrap();
        store.append(batch(older)).await.unwrap();
        drop(store);
        assert_holds(dir.path(), &newest).await;
    }
}

/// Each attempt would write again what stays open: the disk would be full of it.
#[tokio::test]
async fn a_flush_that_fails_again_and_again_does_not_fill_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let in_the_way = dir.path().join("segments/default");
    fs::write(&in_the_way, "a file").unwrap();
    store.append(batch((1..=50).map(|id| held(1, id)).collect())).await.unwrap();
    let mut expected = spans(53).split_off(50);
    store.append(batch(expected.clone())).await.unwrap();
    let log = dir.path().join("wal");
    let length =
        || -> u64 { files(&log).iter().map(|path| fs::metadata(path).unwrap().len()).sum() };
    let before = length();
    for _ in 0..9 {
        store.flush().await.unwrap_err();
    }
    assert_eq!(length(), before);
    fs::remove_file(&in_the_way).unwrap();
    store.flush().await.unwrap();
    assert_eq!(files(&log).len(), 1, "what is open was carried over");
    drop(store);
    expected.splice(0..0, (1..=50).map(|id| held(1, id)));
    assert_holds(dir.path(), &expected).await;
}

/// A log of SQLite that was long once is copied when it is long again, and not after each batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_not_sync_the_catalog() {
    const REPLY: usize = 8 << 20;
    let dir = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&syncs);
    let _hooked = hook(dir.path(), move |operation, _| {
        count.fetch_add(u64::from(operation == Operation::Sync), Ordering::Relaxed);
        false
    });
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    for n in 1..=12 {
        let receipt = Some(staso_store::ReceiptKey { key: n.to_string(), digest: [n; 32] });
        let reply = vec![n; REPLY];
        store.append(Batch { receipt, reply, ..batch(vec![span(n.into(), 1)]) }).await.unwrap();
    }
    let mut of_each = Vec::new();
    for n in 100..110 {
        let before = syncs.load(Ordering::Relaxed);
        store.append(batch(vec![span(n, 1)])).await.unwrap();
        // What the writer does between two batches, it does before it answers the next.
        store.append(batch(vec![])).await.unwrap();
        of_each.push(syncs.load(Ordering::Relaxed) - before);
    }
    assert_eq!(of_each[5..], [0; 5], "{of_each:?}");
}

/// Heartbeats and open spans alone: nothing goes to a segment, and the log is trimmed nevertheless.
#[tokio::test]
async fn the_log_stays_short_without_ended_spans() {
    const HOT_BYTES: usize = 40_000;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { hot_bytes: HOT_BYTES, ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    let log = dir.path().join("wal");
    let mut noise = 1_u64;
    let mut longest = 0;
    let (mut written, mut n) = (0, 0);
    while written < 50 * HOT_BYTES {
        n += 1;
        let mut heartbeat = signs(&[Sign::Alive(n)], n);
        let mut byte = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        };
        heartbeat.reply = (0..4_000).map(|_| byte()).collect();
        let digest = [(n % 251) as u8; 32];
        heartbeat.receipt = Some(staso_store::ReceiptKey { key: n.to_string(), digest });
        if n <= 5 {
            heartbeat.spans = vec![held(1, n as u64)];
        }
        written += heartbeat.reply.len();
        store.append(heartbeat).await.unwrap();
        let length: u64 = files(&log).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        longest = longest.max(length);
    }
    assert!(longest < 4 * HOT_BYTES as u64, "{longest}");
    assert_eq!(files(&dir.path().join("segments")), Vec::<PathBuf>::new());
    drop(store);
    let store = LocalStore::open(dir.path(), &options).unwrap();
    let lives = store.lives("default", &[PROCESS]).await.unwrap();
    assert_eq!(lives[0].1.alive_ns, Some(n));
    let row = store.trace_row("default", &span(1, 1).trace_id, n).await.unwrap().unwrap();
    assert_eq!((row.span_count, row.open_count), (5, 5));
}
