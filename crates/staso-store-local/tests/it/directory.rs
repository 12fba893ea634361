//! The data directory: its lock, its format number, and closing.

use std::fs;
use std::time::{Duration, Instant};

use staso_model::ProcessId;
use staso_store::metrics::{Measure, MetricsQuery};
use staso_store::query::{FacetField, FacetQuery, Filter, Sort, TraceQuery};
use staso_store::{Appended, Batch, ProcessLife, ReceiptKey, Sign, Store, StoreError};
use staso_store_local::{LocalStore, Options};

use super::{PROCESS, batch, held, signs, span};

#[tokio::test]
async fn a_second_store_is_kept_out_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let refused = LocalStore::open(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(refused.contains("choose another data directory"), "{refused}");
    // The failed attempt took nothing away from the holder.
    store.append(batch(vec![span(1, 1)])).await.unwrap();
    drop(store);
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.stats().await.unwrap().spans, 1);
}

#[test]
fn a_newer_format_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("VERSION"), "4\n").unwrap();
    let refused = LocalStore::open(dir.path(), &Options::default()).unwrap_err().to_string();
    assert!(refused.contains("storage format 4"), "{refused}");
    assert!(!dir.path().join("catalog.db").exists());
}

#[test]
fn a_broken_or_missing_format_number_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(LocalStore::open(dir.path(), &Options::default()).unwrap());
    let version = dir.path().join("VERSION");
    assert_eq!(fs::read_to_string(&version).unwrap(), "3\n");
    fs::write(&version, "one").unwrap();
    let open = || LocalStore::open(dir.path(), &Options::default());
    assert!(matches!(open(), Err(StoreError::Damaged { place, .. }) if place == "VERSION"));
    fs::remove_file(&version).unwrap();
    assert!(matches!(open(), Err(StoreError::Damaged { place, .. }) if place == "VERSION"));
}

#[test]
fn a_file_that_is_no_catalog_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(LocalStore::open(dir.path(), &Options::default()).unwrap());
    fs::write(dir.path().join("catalog.db"), "not a database at all, by its first bytes").unwrap();
    let refused = LocalStore::open(dir.path(), &Options::default());
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
}

/// A queue of one: whoever finds it full is told so, and nothing of the refused batch is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_answers_busy() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { queue_batches: 1, queue_wait: Duration::ZERO, ..Options::default() };
    let store = std::sync::Arc::new(LocalStore::open(dir.path(), &options).unwrap());
    let mut kept = 0;
    let mut busy = 0;
    // Waits on the condition that both answers were seen, not on time.
    for round in 0..1_000_u64 {
        let send = |i: u64| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move { store.append(batch(vec![span(round + 1, i + 1)])).await })
        };
        for task in (0..4).map(send).collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(_) => kept += 1,
                Err(StoreError::Busy) => busy += 1,
                Err(other) => panic!("{other}"),
            }
        }
        if busy > 0 && kept > 0 {
            break;
        }
    }
    assert!(busy > 0 && kept > 0, "{busy} {kept}");
    assert_eq!(store.stats().await.unwrap().spans, kept);
}

/// Who asked went away: the connection is there for others, long before every trace was looked through.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_was_dropped_ends_soon() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { readers: 1, ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    store.append(batch((1..=300).map(|n| span(n, 1)).collect())).await.unwrap();
    store.flush().await.unwrap();
    let list = TraceQuery {
        workspace: "default".to_owned(),
        environment: None,
        from_ns: None,
        to_ns: None,
        filter: Filter::Anywhere("in none of them".to_owned()),
        sort: Sort::Start,
        after: None,
        limit: 10,
        now_ns: 0,
    };
    let metrics = MetricsQuery {
        workspace: "default".to_owned(),
        environment: None,
        filter: list.filter.clone(),
        edges: vec![0, 1000],
        measures: vec![Measure::Runs],
        group_by: None,
        limit: 10,
        now_ns: 0,
    };
    let facet = FacetQuery { traces: list.clone(), field: FacetField::Kind, limit: 10 };
    let began = Instant::now();
    store.traces(&list).await.unwrap();
    let whole = began.elapsed();
    let moment = Duration::from_millis(5);
    for question in 0..3 {
        let _ = match question {
            0 => tokio::time::timeout(moment, store.traces(&list)).await.map(drop),
            1 => tokio::time::timeout(moment, store.metrics(&metrics)).await.map(drop),
            _ => tokio::time::timeout(moment, store.facet(&facet)).await.map(drop),
        };
        let began = Instant::now();
        store.stats().await.unwrap();
        assert!(began.elapsed() < whole / 2, "{question}: {:?} of {whole:?}", began.elapsed());
    }
}

/// What was accepted before `close` is kept; what comes after is refused.
#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(LocalStore::open(dir.path(), &Options::default()).unwrap());
    let send = |i: u64| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move { store.append(batch(vec![span(1, i + 1)])).await })
    };
    let tasks: Vec<_> = (0..50).map(send).collect();
    store.close().await.unwrap();
    let mut kept = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => kept += 1,
            Err(StoreError::Closed) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(store.stats().await.unwrap().spans, kept);
}

/// Beyond a day, or beyond their number, receipts make room; younger ones stay known.
#[tokio::test]
async fn receipts_are_bounded_by_age_and_by_count() {
    const HOUR_NS: i64 = 3_600 * 1_000_000_000;
    const BATCHES: u64 = 600;
    for (max_receipts, step_ns, most) in [(u64::MAX, HOUR_NS, 300), (20, 1, 300)] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { max_receipts, ..Options::default() };
        let store = LocalStore::open(dir.path(), &options).unwrap();
        let numbered = |n: u64| Batch {
            receipt: Some(ReceiptKey { key: n.to_string(), digest: [0; 32] }),
            received_ns: i64::try_from(n).unwrap() * step_ns,
            ..batch(Vec::new())
        };
        for n in 0..BATCHES {
            store.append(numbered(n)).await.unwrap();
        }
        let again = store.append(numbered(BATCHES - 1)).await.unwrap();
        assert!(matches!(again, Appended::Repeated { .. }));
        store.close().await.unwrap();
        let catalog = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
        let count = "SELECT count(*) FROM receipts";
        let left: u64 = catalog.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
        assert!(left < most, "{left}");
    }
}

/// A process is forgotten a day after it was last heard of, or when too many are known; never while it
/// holds a span open.
#[tokio::test]
async fn lives_are_bounded_by_age_and_by_count() {
    const HOUR_NS: i64 = 3_600 * 1_000_000_000;
    const BATCHES: u64 = 280;
    for (max_receipts, step_ns) in [(u64::MAX, HOUR_NS), (20, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { max_receipts, ..Options::default() };
        let store = LocalStore::open(dir.path(), &options).unwrap();
        store.append(batch(vec![held(1, 1)])).await.unwrap();
        let process = |n: u64| ProcessId(u128::from(n + 1).to_be_bytes());
        for n in 0..BATCHES {
            let mut goodbye = signs(&[Sign::Goodbye(1)], i64::try_from(n).unwrap() * step_ns);
            goodbye.processes[0].process_id = process(n);
            store.append(goodbye).await.unwrap();
        }
        let all: Vec<_> = (0..BATCHES).map(process).collect();
        let left = store.lives("default", &all).await.unwrap();
        assert!(left.len() < 100, "{}", left.len());
        let newest = ProcessLife { alive_ns: None, goodbye_ns: Some(1) };
        assert_eq!(left.last(), Some(&(process(BATCHES - 1), newest)));
        let held = store.lives("default", &[PROCESS]).await.unwrap();
        assert_eq!(held.len(), 1, "it holds a span open");
    }
}
