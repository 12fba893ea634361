//! Backups: taken while the store works they are the state of one commit, and they open as any
//! data directory does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use staso_store::query::TraceQuery;
use staso_store::{Appended, Batch, ReceiptKey, Store};
use staso_store_local::{Copied, LocalStore, Options, backup, inspect, restore};

use super::failures::everything;
use super::golden::Golden;
use super::{batch, held, span};

fn copy(from: &Path, to: &Path) -> Copied {
    let mut last = Copied::default();
    let copied = backup(from, to, &mut |now| {
        assert!(now.bytes >= last.bytes && now.files > last.files, "{now:?} after {last:?}");
        last = now;
    });
    assert_eq!(copied.as_ref().unwrap().of_bytes, copied.as_ref().unwrap().bytes);
    copied.unwrap()
}

fn open(dir: &Path) -> LocalStore {
    LocalStore::open(dir, &Options::default()).unwrap()
}

fn sent(number: u64, key: &str) -> Batch {
    let receipt = Some(ReceiptKey { key: key.to_owned(), digest: [3; 32] });
    Batch { receipt, reply: b"taken".to_vec(), ..batch(vec![span(number, number)]) }
}

#[tokio::test]
async fn a_backup_of_a_working_store_has_what_it_has() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    store.append(sent(1, "first")).await.unwrap();
    store.append(batch(vec![held(2, 1), held(2, 2)])).await.unwrap();
    store.flush().await.unwrap();
    store.append(sent(3, "second")).await.unwrap();

    let target = place.path().join("copy");
    let copied = copy(dir.path(), &target);
    assert_eq!((copied.missing_segments, copied.missing_records), (0, 0));
    // What comes later is not in it.
    store.append(batch(vec![span(4, 4)])).await.unwrap();

    let found = inspect(&target);
    assert_eq!((found.damage, found.notes), (vec![], vec![]));
    let copy = open(&target);
    let (stats, of_copy) = (store.stats().await.unwrap(), copy.stats().await.unwrap());
    assert_eq!((stats.spans, of_copy.spans, of_copy.traces), (5, 4, 3));
    for (number, id) in [(1, 1), (2, 1), (2, 2), (3, 3)] {
        let span = span(number, id);
        let found = copy.span("default", &span.trace_id, &span.span_id).await.unwrap().unwrap();
        let original = store.span("default", &span.trace_id, &span.span_id).await.unwrap().unwrap();
        assert_eq!(found, original);
    }
    for key in ["first", "second"] {
        let again = copy.append(sent(9, key)).await.unwrap();
        assert_eq!(again, Appended::Repeated { reply: b"taken".to_vec() });
    }
    // It is a store of its own, which goes on from there.
    copy.append(batch(vec![span(5, 5)])).await.unwrap();
    copy.close().await.unwrap();
    assert_eq!(open(&target).stats().await.unwrap().spans, 5);
    assert_eq!(store.stats().await.unwrap().spans, 5);
}

/// The numbers of the traces in a store.
async fn numbers(store: &LocalStore) -> BTreeSet<u64> {
    let query = TraceQuery { limit: 1000, ..everything() };
    let page = store.traces(&query).await.unwrap();
    page.rows.iter().map(|row| u64::try_from(row.start_ns).unwrap()).collect()
}

/// While one writes and flushes without a pause, each backup is a beginning of what was written, and
/// has at least what was acknowledged before it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_one_state() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(open(dir.path()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (last, writing) = (600, Arc::clone(&store));
    let told = Arc::clone(&acknowledged);
    let writer = tokio::spawn(async move {
        for number in 1..=last {
            writing.append(batch(vec![span(number, number)])).await.unwrap();
            told.store(number, Ordering::SeqCst);
            if number % 7 == 0 {
                writing.flush().await.unwrap();
            }
        }
    });
    let mut taken = 0;
    while acknowledged.load(Ordering::SeqCst) < last {
        taken += 1;
        let (from, to) = (dir.path().to_owned(), place.path().join(taken.to_string()));
        let before = acknowledged.load(Ordering::SeqCst);
        let target = to.clone();
        tokio::task::spawn_blocking(move || copy(&from, &target)).await.unwrap();
        let found = inspect(&to);
        assert_eq!((found.damage, found.notes), (vec![], vec![]));
        let numbers = numbers(&open(&to)).await;
        let count = numbers.len() as u64;
        assert!(count >= before, "{count} of at least {before}");
        assert_eq!(numbers, (1..=count).collect());
    }
    writer.await.unwrap();
    assert!(taken > 1, "the writer was too fast to be copied in between");
}

/// Each of the formats that this program opens, without a server: the files as they are.
#[tokio::test]
async fn a_directory_without_a_server_is_copied_as_it_is() {
    for format in [1, 2, 3] {
        let (golden, place) = (Golden::of(format), tempfile::tempdir().unwrap());
        let (saved, restored) = (place.path().join("saved"), place.path().join("restored"));
        copy(golden.path(), &saved);
        fs::create_dir(&restored).unwrap();
        restore(&saved, &restored, &mut |_| {}).unwrap();
        let store = open(&restored);
        golden.expected.assert_spans(&store).await;
        store.close().await.unwrap();
        assert_eq!(inspect(&restored).damage, vec![]);
    }
}

#[test]
fn nothing_is_written_over_and_nothing_half_copied_is_left() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let refused = |from: &Path, to: &Path| backup(from, to, &mut |_| {}).unwrap_err().to_string();
    let target = place.path().join("copy");

    assert!(refused(dir.path(), &target).contains("no data directory"));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    drop(open(dir.path()));
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "kept").unwrap();
    assert!(refused(dir.path(), &target).contains("name a new directory"));
    let refused_to = restore(dir.path(), &target, &mut |_| {}).unwrap_err().to_string();
    assert!(refused_to.contains("name a new directory"), "{refused_to}");
    assert_eq!(fs::read_to_string(target.join("mine")).unwrap(), "kept");

    // A catalog that cannot be read makes no backup.
    let store = open(dir.path());
    let other = place.path().join("other");
    fs::write(dir.path().join("VERSION"), "2\n").unwrap();
    assert!(refused(dir.path(), &other).contains("try again"));
    assert!(!other.exists() && !place.path().join("other.partial").exists());
    let from_server = restore(dir.path(), &other, &mut |_| {}).unwrap_err().to_string();
    assert!(from_server.contains("in use by a server"), "{from_server}");
    drop(store);

    fs::create_dir(place.path().join("other.partial")).unwrap();
    assert!(refused(dir.path(), &other).contains("remove it then"));
}

/// A segment that is gone is no reason to have no backup.
#[tokio::test]
async fn what_is_lost_already_is_counted() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    store.append(batch(vec![span(1, 1)])).await.unwrap();
    store.flush().await.unwrap();
    store.append(batch(vec![span(2, 2)])).await.unwrap();
    fs::remove_dir_all(dir.path().join("segments")).unwrap();
    let target = place.path().join("copy");
    assert_eq!(copy(dir.path(), &target).missing_segments, 1);
    assert_eq!(inspect(&target).damage.len(), 1);
    let copy = open(&target);
    let kept = span(2, 2);
    assert!(copy.span("default", &kept.trace_id, &kept.span_id).await.unwrap().is_some());
}
