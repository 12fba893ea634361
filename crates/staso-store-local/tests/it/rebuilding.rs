//! A catalog that is gone, or older than its segments: it is made anew from segments and log.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use staso_store::query::{Filter, TraceQuery};
use staso_store::{Sign, Store};
use staso_store_local::{LocalStore, Options, inspect};

use super::failures::{everything, segment};
use super::forgetting::index_of;
use super::golden::Golden;
use super::{PROCESS, batch, held, signs, span};

const DIR: &str = "STASO_REBUILDING_TEST_DIR";
const STEP: &str = "STASO_REBUILDING_TEST_STEP";

/// The child: opens the directory and closes it, or ends itself at a step. Not a test of its own.
#[test]
#[ignore = "the child process of the tests of rebuilding"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let die_at_step = Some(std::env::var(STEP).unwrap().parse().unwrap());
    drop(
        LocalStore::open(Path::new(&dir), &Options { die_at_step, ..Options::default() }).unwrap(),
    );
}

fn lives(dir: &Path, step: u64) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["rebuilding::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).env(STEP, step.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// Opens it, and finds what is expected but for the receipts that no log has any more.
async fn assert_rebuilt(golden: &Golden) {
    for _ in 0..2 {
        // Segments whose rows are all replaced would go.
        let options = Options { compact_bytes: 0, ..Options::default() };
        let store = LocalStore::open(golden.path(), &options).unwrap();
        golden.expected.assert_spans(&store).await;
        assert_eq!(store.open_processes().await.unwrap().len(), 2);
        store.close().await.unwrap();
        let found = inspect(golden.path());
        assert_eq!((found.damage, found.notes, found.segments), (vec![], vec![], 4));
    }
}

fn without_catalog() -> Golden {
    let golden = Golden::of(3);
    fs::remove_file(golden.path().join("catalog.db")).unwrap();
    golden
}

#[tokio::test]
async fn without_its_catalog_a_directory_has_all_its_spans() {
    assert_rebuilt(&without_catalog()).await;
}

/// As after power loss that took the catalog's own log, or a backup of the catalog alone.
#[tokio::test]
async fn a_catalog_of_before_the_flush_is_brought_up() {
    let golden = Golden::of(3);
    let before = "DELETE FROM segments; DELETE FROM parts; DELETE FROM deleted;
                  UPDATE meta SET value = 0 WHERE key = 'flushed'";
    golden.catalog().execute_batch(before).unwrap();
    let found = inspect(golden.path());
    assert!(found.damage.iter().any(|damage| damage.problem.contains("older than its segments")));
    assert_rebuilt(&golden).await;
}

/// The checksums of a file's blocks are made anew from what is there: the index of a segment has one of its own.
#[tokio::test]
async fn a_damaged_index_is_not_believed_without_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch((1..=40).map(|n| span(n, n)).collect())).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let path = segment(dir.path());
    let sound = fs::read(&path).unwrap();
    let index = index_of(&path);
    assert!(index.len() > 1_000);
    for at in index.step_by(101) {
        let mut broken = sound.clone();
        broken[at] ^= 0x11;
        fs::write(&path, &broken).unwrap();
        fs::remove_file(dir.path().join("catalog.db")).unwrap();
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        let threes: Vec<i64> = (30..40).rev().chain([3]).collect();
        for (name, wanted) in [("span 7", vec![7]), ("span 3", threes)] {
            let filter = Filter::SpanName(name.to_owned());
            let rows = store.traces(&TraceQuery { filter, ..everything() }).await.unwrap().rows;
            let found: Vec<i64> = rows.iter().map(|row| row.start_ns).collect();
            assert_eq!(found, wanted, "byte {at}");
        }
        store.close().await.unwrap();
    }
}

#[test]
fn ended_at_any_step_it_is_made_all_the_same() {
    let mut ended = 0;
    for step in 1.. {
        let golden = without_catalog();
        let lived = lives(golden.path(), step);
        tokio::runtime::Runtime::new().unwrap().block_on(assert_rebuilt(&golden));
        if lived {
            break;
        }
        ended += 1;
    }
    assert!(ended >= 8, "two steps for each segment: {ended}");
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![dir.join("segments")];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Opens a directory with two spans in each of two traces, again and again.
async fn assert_two_traces(dir: &Path) {
    for opening in 1..=4 {
        let store = LocalStore::open(dir, &Options::default()).unwrap();
        assert_eq!(store.stats().await.unwrap().spans, 4, "opening {opening}");
        for n in 1..=2 {
            let trace = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap();
            let ids: Vec<_> = trace.unwrap().spans.iter().map(|tree| tree.span.span_id).collect();
            assert_eq!(ids, [span(n, 1).span_id, span(n, 2).span_id], "opening {opening}");
        }
        if opening == 3 {
            store.flush().await.unwrap();
        }
        store.close().await.unwrap();
    }
}

/// A flush was killed before its commit, and then the catalog was lost: what is in its file is in the log
/// as well, for as long as nothing is flushed.
#[tokio::test]
async fn what_is_in_a_file_and_in_the_log_is_there_once() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1), span(1, 2)])).await.unwrap();
    store.flush().await.unwrap();
    store.append(batch(vec![span(2, 1), span(2, 2)])).await.unwrap();
    fs::create_dir(killed.path().join("wal")).unwrap();
    for entry in fs::read_dir(dir.path().join("wal")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), killed.path().join("wal").join(entry.file_name())).unwrap();
    }
    store.flush().await.unwrap();
    drop(store);
    for path in segments(dir.path()) {
        let to = killed.path().join(path.strip_prefix(dir.path()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
    assert_two_traces(killed.path()).await;
}

/// The file that has its records says no more where it begins, and beside it is one that a killed flush
/// left: the log is not taken for one that begins later.
#[tokio::test]
async fn a_damaged_header_of_the_log_costs_no_span() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1), span(1, 2)])).await.unwrap();
    store.flush().await.unwrap();
    store.append(batch(vec![span(2, 1), span(2, 2)])).await.unwrap();
    drop(store);
    let segment = segments(dir.path()).pop().unwrap();
    fs::copy(&segment, segment.with_file_name("0000000007.parquet")).unwrap();
    let log = fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&log).unwrap();
    bytes[9] ^= 1;
    fs::write(&log, bytes).unwrap();
    assert_two_traces(dir.path()).await;
}

/// No segment is missing in a catalog of before, but the log no longer has the batch of a span that it
/// carries over.
#[tokio::test]
async fn what_was_carried_over_since_the_catalog_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let mut early = held(1, 1);
    early.version.stage = staso_model::Stage::Ended;
    store.append(batch(vec![early])).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let before = fs::read(dir.path().join("catalog.db")).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![held(1, 2), held(2, 1)])).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    fs::write(dir.path().join("catalog.db"), before).unwrap();
    for _ in 0..2 {
        let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(store.stats().await.unwrap().spans, 3);
        for (n, spans) in [(1, 2), (2, 1)] {
            let trace = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap();
            let trace = trace.unwrap();
            assert_eq!((trace.spans.len(), trace.row.span_count), (spans, spans as u64));
        }
        store.close().await.unwrap();
    }
}

/// The log says which spans were closed, and that none was: the process had been heard of since, which
/// only the lost catalog knew.
#[tokio::test]
async fn a_log_closes_no_span_that_was_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![held(1, 1), span(1, 2)])).await.unwrap();
    store.append(signs(&[Sign::Alive(50)], 50)).await.unwrap();
    store.flush().await.unwrap();
    store.append(signs(&[Sign::Lost(3)], 51)).await.unwrap();
    let open = |processes: Vec<staso_store::OpenProcess>| -> Vec<_> {
        processes.into_iter().map(|open| open.process_id).collect()
    };
    assert_eq!(open(store.open_processes().await.unwrap()), [PROCESS]);
    store.close().await.unwrap();
    fs::remove_file(dir.path().join("catalog.db")).unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(open(store.open_processes().await.unwrap()), [PROCESS]);
}

/// Without the catalog nobody knows the checksums of blocks, but the rows have theirs.
#[tokio::test]
async fn damage_in_a_segment_costs_no_more_without_the_catalog() {
    let mut aside = 0;
    for at in (0..8_000).step_by(401) {
        let golden = without_catalog();
        let name = "segments/default/2023-11-14/0000000001.parquet";
        let path = golden.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 4;
        fs::write(&path, bytes).unwrap();
        let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
        let mut there = 0;
        for span in &golden.expected.spans {
            let found = store.span(&span.workspace, &span.trace_id, &span.span_id).await;
            let found = found.ok().flatten();
            // An earlier version may come forth where the newer one is damaged.
            let found = found.map(|found| found.span).filter(|found| found.version == span.version);
            assert!(found.is_none() || found.as_ref() == Some(span), "byte {at}");
            there += usize::from(found.is_some());
        }
        assert!((20..=30).contains(&there), "byte {at}: {there}");
        aside += usize::from(!path.exists());
    }
    assert!(aside < 20, "{aside}");
}

/// A catalog that is put back after a compaction names files that are gone. What that made of them is kept, and
/// found again once the catalog is made anew.
#[tokio::test]
async fn what_an_older_catalog_does_not_name_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let open = || LocalStore::open(dir.path(), &Options::default()).unwrap();
    let store = open();
    for n in 1..=8 {
        store.append(batch(vec![span(n, n), span(n, 100 + n)])).await.unwrap();
        store.flush().await.unwrap();
    }
    store.close().await.unwrap();
    let (catalog, older) = (dir.path().join("catalog.db"), dir.path().join("older"));
    fs::copy(&catalog, &older).unwrap();
    let store = open();
    store.append(batch(vec![span(9, 9)])).await.unwrap();
    store.compact().await.unwrap();
    store.close().await.unwrap();
    fs::rename(&older, &catalog).unwrap();
    let store = open();
    store.append(batch(vec![span(10, 10)])).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    fs::remove_file(&catalog).unwrap();
    let store = open();
    assert_eq!(store.stats().await.unwrap().spans, 18);
    for n in 1..=10 {
        let trace = store.trace("default", &span(n, n).trace_id, false, 0).await.unwrap();
        assert!(trace.is_some(), "trace {n}");
    }
    store.close().await.unwrap();
}
