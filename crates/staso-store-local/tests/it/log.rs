//! The log by itself: what a catalog that lags behind is brought up from, and what damage costs.

use std::fs;
use std::path::{Path, PathBuf};

use staso_store::{Batch, ProcessLife, Sign, Store};
use staso_store_local::{LocalStore, Options};

use super::{PROCESS, batch, held, signs, span};

/// A directory as power loss could leave it: the log as it is, the catalog as it was when the
/// directory was new.
async fn lagging(batches: u64) -> (tempfile::TempDir, PathBuf) {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(LocalStore::open(dir.path(), &Options::default()).unwrap());
    for name in ["VERSION", "catalog.db"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    for n in 1..=batches {
        store.append(batch(vec![span(n, 1), span(n, 2)])).await.unwrap();
    }
    drop(store);
    let log = files(&dir.path().join("wal")).pop().unwrap();
    fs::create_dir(copy.path().join("wal")).unwrap();
    let log_copy = copy.path().join("wal").join(log.file_name().unwrap());
    fs::copy(log, &log_copy).unwrap();
    (copy, log_copy)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Which of the batches are there; each is whole.
async fn present(dir: &Path, batches: u64) -> Vec<u64> {
    let store = LocalStore::open(dir, &Options::default()).unwrap();
    let mut present = Vec::new();
    for n in 1..=batches {
        let trace = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap();
        match trace {
            Some(trace) => {
                assert_eq!((trace.spans.len(), trace.row.span_count), (2, 2));
                present.push(n);
            }
            None => assert!(
                store.trace_row("default", &span(n, 1).trace_id, 0).await.unwrap().is_none()
            ),
        }
    }
    assert_eq!(store.stats().await.unwrap().spans, 2 * present.len() as u64);
    present
}

#[tokio::test]
async fn a_catalog_that_lags_is_brought_up_from_the_log() {
    let (dir, _) = lagging(9).await;
    for _ in 0..2 {
        assert_eq!(present(dir.path(), 9).await, (1..=9).collect::<Vec<_>>());
    }
}

/// A span that lost is not in the log; that its process lived, and where it said goodbye, is.
#[tokio::test]
async fn a_catalog_that_lags_hears_all_signs_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(LocalStore::open(dir.path(), &Options::default()).unwrap());
    let before = fs::read(dir.path().join("catalog.db")).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let other = |client: u64, received_ns: i64| {
        let mut span = held(1, 1);
        span.workspace = "other".to_owned();
        (span.version.client, span.version.received_ns) = (client, received_ns);
        span
    };
    store.append(batch(vec![other(2, 10)])).await.unwrap();
    store.append(batch(vec![other(1, 20)])).await.unwrap();
    let goodbye = signs(&[Sign::Goodbye(30)], 30);
    let mut ended = other(0, 30);
    ended.process_id = None;
    store.append(Batch { spans: vec![ended], ..goodbye }).await.unwrap();
    let told = store.lives("other", &[PROCESS]).await.unwrap();
    assert_eq!(told[0].1, ProcessLife { alive_ns: Some(20), goodbye_ns: Some(30) });
    drop(store);
    fs::write(dir.path().join("catalog.db"), before).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.lives("other", &[PROCESS]).await.unwrap(), told);
}

/// Whole records before the tear are there; what is appended afterwards is found behind it.
#[tokio::test]
async fn a_torn_log_keeps_every_whole_record() {
    let (dir, log) = lagging(4).await;
    let whole = fs::read(&log).unwrap();
    let mut least = 4;
    for length in (0..=whole.len()).rev().step_by(11) {
        let torn = tempfile::tempdir().unwrap();
        for name in ["VERSION", "catalog.db"] {
            fs::copy(dir.path().join(name), torn.path().join(name)).unwrap();
        }
        fs::create_dir(torn.path().join("wal")).unwrap();
        let path = torn.path().join("wal").join(log.file_name().unwrap());
        fs::write(path, &whole[..length]).unwrap();
        let found = present(torn.path(), 4).await;
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "cut at {length}");
        assert!(found.len() <= least && (length < whole.len() || found.len() == 4));
        least = found.len();

        let store = LocalStore::open(torn.path(), &Options::default()).unwrap();
        store.append(batch(vec![span(4, 1), span(4, 2)])).await.unwrap();
        drop(store);
        assert_eq!(present(torn.path(), 4).await.last(), Some(&4), "cut at {length}");
    }
    assert_eq!(least, 0);
}

/// A damaged record in the middle costs itself and nothing else, and its file is kept.
#[tokio::test]
async fn damage_in_the_middle_of_the_log_is_passed_over() {
    let (dir, log) = lagging(5).await;
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 8;
    fs::write(&log, bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(present(dir.path(), 5).await, [1, 2, 4, 5]);
    }
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(6, 1), span(6, 2)])).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(present(dir.path(), 6).await, [1, 2, 4, 5, 6]);
    let kept = files(&dir.path().join("wal"));
    let damaged = log.with_extension("wal.damaged");
    assert!(kept.contains(&damaged), "{kept:?}");
}

/// The last record cannot be read, and the catalog says that one stood there: that is no torn write.
#[tokio::test]
async fn a_file_whose_last_record_is_damaged_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1)])).await.unwrap();
    drop(store);
    let log = files(&dir.path().join("wal")).pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.len() - 9;
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(2, 1)])).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(files(&dir.path().join("wal")), [log.with_extension("wal.damaged")]);
}

/// A file that is set aside does not take the place of one that was before.
#[tokio::test]
async fn every_damaged_file_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("wal");
    for n in 0..3 {
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        for trace in 1..=2 {
            store.append(batch(vec![span(10 * n + trace, 1)])).await.unwrap();
        }
        drop(store);
        let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wal");
        let file = files(&log).into_iter().rfind(is_log).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        bytes[70] ^= 1;
        fs::write(&file, bytes).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        store.flush().await.unwrap();
    }
    assert_eq!(files(&log).len(), 3);
}

/// What is flushed leaves the log, and only that.
#[tokio::test]
async fn the_log_is_trimmed_when_its_spans_are_in_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1), super::held(1, 2)])).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(files(&dir.path().join("wal")).len(), 1, "what is open was carried over");
    store.append(batch(vec![span(1, 2)])).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(files(&dir.path().join("wal")), Vec::<PathBuf>::new());
    drop(store);
    assert_eq!(present(dir.path(), 1).await, [1]);
}
