//! What is deleted is gone, to the last byte: every file of the directory is searched, as it is and with
//! everything decompressed that is compressed. And compaction: what it leaves, and what it does to readers.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use staso_model::{
    Annotation, AnnotationId, AnnotationSource, AnnotationValue, Event, Payload, Span, Stage,
    TraceId,
};
use staso_store::deletion::TOMBSTONE_NS;
use staso_store::{Batch, Deletion, Store, Target};
use staso_store_local::{LocalStore, Options, inspect};

use super::{batch, held, span};

const CANARY: &str = "canary-5f0c17";
const AT_NS: i64 = 1_000_000;
/// A frame of zstd begins with these bytes, whoever wrote it: the log, Parquet, a record of the catalog.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn files(dir: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Where the index of a segment stands in its file.
pub(crate) fn index_of(path: &Path) -> Range<usize> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let known = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let place = known.iter().find(|pair| pair.key == "staso.index").unwrap();
    let numbers = place.value.as_deref().unwrap().split(' ').map(|number| number.parse().unwrap());
    let [from, length, _]: [usize; 3] = numbers.collect::<Vec<_>>().try_into().unwrap();
    from..from + length
}

/// The terms of a segment's index, one after another; of another file nothing.
fn terms(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return Vec::new();
    }
    let index = &fs::read(path).unwrap()[index_of(path)];
    let number = |at: usize| u32::from_le_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let terms = fst::Map::new(&index[16 + 28 * number(8) + number(12)..]).unwrap();
    terms.stream().into_byte_keys().concat()
}

/// The files in which the canary is.
fn found_in(dir: &Path) -> Vec<PathBuf> {
    let is_there = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let finder = memchr::memmem::Finder::new(CANARY);
        finder.find(&bytes).is_some()
            || finder.find(&terms(path)).is_some()
            || memchr::memmem::find_iter(&bytes, &ZSTD).any(|at| {
                let mut plain = Vec::new();
                let mut decoder = zstd::stream::read::Decoder::new(&bytes[at..]).unwrap();
                decoder.window_log_max(27).unwrap();
                // What can be had of a frame that is cut off or ends counts as well.
                let _ = decoder.read_to_end(&mut plain);
                finder.find(&plain).is_some()
            })
    };
    files(dir).into_iter().filter(is_there).collect()
}

/// A span that has the canary wherever text can be, and enough else to be compressed.
fn told(trace: u64, id: u64, who: &str) -> Span {
    let text = |what: &str| {
        format!("{what} of span {id} in trace {trace}: {CANARY} {}", "word ".repeat(150))
    };
    let value = || vec![(CANARY.to_owned(), text("attribute").as_str().into())];
    Span {
        name: format!("{CANARY} {id}"),
        input: Some(Payload::text(text("input"))),
        output: Some(Payload::text(text("output"))),
        error_message: Some(text("error")),
        attributes: value(),
        events: vec![Event {
            time_ns: 1,
            name: CANARY.to_owned(),
            attributes: value(),
            dropped_attributes: 0,
        }],
        tags: vec![CANARY.to_owned()],
        session_id: Some(format!("{CANARY} {}", trace % 7)),
        user_id: Some(format!("{CANARY} {who}")),
        ..span(trace, id)
    }
}

fn note(id: u8, trace_id: TraceId) -> Annotation {
    Annotation {
        workspace: "default".to_owned(),
        id: AnnotationId([id; 16]),
        trace_id,
        span_id: None,
        name: CANARY.to_owned(),
        value: AnnotationValue::Categorical(CANARY.to_owned()),
        comment: Some(CANARY.repeat(100)),
        source: AnnotationSource::Human,
        author: Some(CANARY.to_owned()),
        created_ns: 1,
    }
}

fn deletion(target: Target) -> Deletion {
    Deletion { workspace: "default".to_owned(), target, at_ns: AT_NS }
}

fn options() -> Options {
    Options {
        hot_bytes: 150_000,
        compact_bytes: 1 << 20,
        forget_after: Duration::from_millis(1),
        ..Options::default()
    }
}

/// Waits until a deletion is done, which nobody has to ask for.
async fn wait_until_gone(store: &LocalStore, job: u64) {
    let began = Instant::now();
    while !store.job(job).await.unwrap().unwrap().is_gone {
        assert!(began.elapsed() < Duration::from_secs(300), "it is not gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Traces 1 to 60 of ann and of other people, in several versions, some still open, annotated.
async fn fill(store: &LocalStore) {
    for n in 1..=60 {
        let mut spans = vec![told(n, 1, "ann"), told(n, 2, "ann")];
        if n % 3 == 0 {
            spans.push(told(n, 3, "ben"));
        }
        let mut open = told(n, 4, "ann");
        open.version.stage = Stage::Open;
        open.end_ns = None;
        spans.push(open);
        store.append(batch(spans)).await.unwrap();
        let mut newer = told(n, 1, "ann");
        newer.version.client = 1;
        let annotations = vec![note(u8::try_from(n).unwrap(), newer.trace_id)];
        store.append(Batch { annotations, ..batch(vec![newer]) }).await.unwrap();
    }
    // What stays says nothing of it.
    let plain = (100..140).map(|n| Span { user_id: None, ..span(n, 1) }).collect();
    store.append(batch(plain)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_leaves_no_byte_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &options()).unwrap();
    fill(&store).await;
    assert!(found_in(dir.path()).len() >= 3, "it is in the log, segments and the catalog");
    let indexed = |path: &PathBuf| memchr::memmem::find(&terms(path), CANARY.as_bytes()).is_some();
    assert!(files(dir.path()).iter().any(indexed), "it is in the index of a segment");
    let mut jobs = vec![store.delete(&deletion(Target::Trace(span(3, 1).trace_id))).await.unwrap()];
    let session = Target::Session(format!("{CANARY} 5"));
    jobs.push(store.delete(&deletion(session)).await.unwrap());
    for who in ["ann", "ben"] {
        let user = Target::User(format!("{CANARY} {who}"));
        jobs.push(store.delete(&deletion(user)).await.unwrap());
    }
    // Annotations on traces of which something stays are nobody's content: they go with their traces.
    for n in (3..=60).step_by(3) {
        let rest = Target::Trace(span(n, 1).trace_id);
        jobs.push(store.delete(&deletion(rest)).await.unwrap());
    }
    let last = jobs.iter().map(|job| job.job).max().unwrap();
    for job in jobs.iter().filter(|job| job.job > 0) {
        wait_until_gone(&store, job.job).await;
    }
    assert_eq!(found_in(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(store.stats().await.unwrap().spans, 40);
    // It stays away over reopening, and when everything is told again.
    drop(store);
    let store = LocalStore::open(dir.path(), &options()).unwrap();
    assert!(store.job(last).await.unwrap().unwrap().is_gone);
    fill(&store).await;
    store.compact().await.unwrap();
    assert_eq!(store.stats().await.unwrap().spans, 40);
    drop(store);
    assert_eq!(inspect(dir.path()).damage, []);
    let left = found_in(dir.path());
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// A killed process goes on forgetting when it is started again: the catalog and the log say what is due.
#[tokio::test(flavor = "multi_thread")]
async fn forgetting_goes_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let late = Options { forget_after: Duration::from_secs(3_600), ..options() };
    let store = LocalStore::open(dir.path(), &late).unwrap();
    fill(&store).await;
    let mut last = 0;
    for n in 1..=60 {
        let target = Target::Trace(span(n, 1).trace_id);
        last = store.delete(&deletion(target)).await.unwrap().job;
    }
    assert!(!store.job(last).await.unwrap().unwrap().is_gone);
    drop(store);
    assert!(!found_in(dir.path()).is_empty());
    let store = LocalStore::open(dir.path(), &options()).unwrap();
    wait_until_gone(&store, last).await;
    assert_eq!(found_in(dir.path()), Vec::<PathBuf>::new());
}

/// Every span of [`fill`]'s traces, by number, id and client version.
async fn all_of(store: &LocalStore) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    for n in 1..140 {
        let trace = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap();
        let spans = trace.into_iter().flat_map(|trace| trace.spans);
        let id = |span: &Span| u64::from_be_bytes(span.span_id.low());
        found.extend(spans.map(|tree| (n, id(&tree.span), tree.span.version.client)));
    }
    found.sort_unstable();
    found
}

/// Without its catalog the segments are taken in as they are, deleted rows too: the log says what is not to
/// come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_made_anew_brings_nothing_back() {
    for is_flushed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let late = Options { forget_after: Duration::from_secs(3_600), ..options() };
        let store = LocalStore::open(dir.path(), &late).unwrap();
        fill(&store).await;
        store.flush().await.unwrap();
        let user = Target::User(format!("{CANARY} ann"));
        store.delete(&deletion(user)).await.unwrap();
        store.delete(&deletion(Target::Trace(span(100, 1).trace_id))).await.unwrap();
        if is_flushed {
            store.flush().await.unwrap();
        }
        let stats = store.stats().await.unwrap();
        let before = all_of(&store).await;
        drop(store);
        for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
            // Those that are not there need not go.
            let _ = fs::remove_file(dir.path().join(name));
        }
        let store = LocalStore::open(dir.path(), &late).unwrap();
        assert_eq!(all_of(&store).await, before, "{is_flushed}");
        let found = store.stats().await.unwrap();
        assert_eq!((found.spans, found.traces), (stats.spans, stats.traces), "{is_flushed}");
        for n in 1..=60 {
            let trace = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap();
            assert_eq!(trace.is_some(), n % 3 == 0, "trace {n}");
            let told = format!("{:?}", trace.map(|trace| trace.spans));
            assert!(!told.contains("canary-5f0c17 ann"), "{told}");
        }
        store.compact().await.unwrap();
        let again = store.stats().await.unwrap();
        assert_eq!((again.spans, again.traces), (stats.spans, stats.traces));
    }
}

async fn assert_all(store: &LocalStore, traces: std::ops::Range<u64>) {
    for n in traces {
        let found = store.trace("default", &span(n, 1).trace_id, true, 0).await.unwrap().unwrap();
        assert_eq!(found.spans.len(), 1);
        assert_eq!(found.spans[0].span.input, Some(Payload::text(format!("what went into {n}"))));
    }
}

/// Many flushes of one day become few files, and replaced rows go.
#[tokio::test(flavor = "multi_thread")]
async fn small_segments_become_few() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    let segments = || files(&dir.path().join("segments"));
    for version in 0..3 {
        for n in 0..30 {
            let mut span = span(n, 1);
            span.version.client = version;
            span.input = Some(Payload::text(format!("what went into {n}")));
            store.append(batch(vec![span])).await.unwrap();
            store.flush().await.unwrap();
        }
    }
    store.compact().await.unwrap();
    assert!(segments().len() <= 3, "{:?}", segments());
    assert_all(&store, 0..30).await;
    assert_eq!(store.stats().await.unwrap().spans, 30);
    drop(store);
    assert_eq!((inspect(dir.path()).damage, inspect(dir.path()).notes), (vec![], vec![]));
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    assert_all(&store, 0..30).await;
}

/// Memory is bounded: a file that is too large for it is written anew in several.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_too_large_for_memory_is_written_in_several() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { compact_bytes: 400_000, ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    let large = |n| Span {
        input: Some(Payload::text(format!("what went into {n}"))),
        output: Some(Payload::text(format!("{n} ").repeat(2_000))),
        ..span(n, 1)
    };
    store.append(batch((0..1_000).map(large).collect())).await.unwrap();
    store.flush().await.unwrap();
    store.delete(&deletion(Target::Trace(span(7, 1).trace_id))).await.unwrap();
    store.compact().await.unwrap();
    assert!(files(&dir.path().join("segments")).len() > 4);
    assert_all(&store, 0..7).await;
    assert_all(&store, 8..1_000).await;
    assert_eq!(store.stats().await.unwrap().spans, 999);
    drop(store);
    assert_eq!(inspect(dir.path()).damage, []);
}

/// Reads, writes and deletions go on while segments are merged beneath them; every answer is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn readers_and_writers_do_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { hot_bytes: 1, forget_after: Duration::ZERO, ..Options::default() };
    let store = std::sync::Arc::new(LocalStore::open(dir.path(), &options).unwrap());
    let reader = std::sync::Arc::clone(&store);
    let (done, mut is_done) = tokio::sync::watch::channel(0_u64);
    let reading = tokio::spawn(async move {
        loop {
            let last = *is_done.borrow_and_update();
            if last == u64::MAX {
                return;
            }
            for n in (0..last).filter(|n| n % 5 != 0) {
                assert_all(&reader, n..n + 1).await;
            }
            tokio::task::yield_now().await;
        }
    });
    for n in 0..80 {
        let mut span = span(n, 1);
        span.input = Some(Payload::text(format!("what went into {n}")));
        store.append(batch(vec![span])).await.unwrap();
        if n % 5 == 0 {
            store.delete(&deletion(Target::Trace(super::span(n, 1).trace_id))).await.unwrap();
        }
        done.send(n + 1).unwrap();
    }
    done.send(u64::MAX).unwrap();
    reading.await.unwrap();
    assert_eq!(store.stats().await.unwrap().spans, 64);
}

/// Spans that come when a deletion's time is over stay, though its tombstone is written from one log file to
/// the next.
#[tokio::test]
async fn what_comes_after_a_tombstones_time_stays_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { hot_bytes: 1, ..Options::default() };
    let store = LocalStore::open(dir.path(), &options).unwrap();
    store.append(batch(vec![held(1, 1)])).await.unwrap();
    let target = Target::Trace(span(1, 1).trace_id);
    let deletion = Deletion { workspace: "default".to_owned(), target, at_ns: 2 - TOMBSTONE_NS };
    store.delete(&deletion).await.unwrap();
    store.append(Batch { received_ns: 2, ..batch(vec![later(held(1, 1))]) }).await.unwrap();
    assert_eq!(store.stats().await.unwrap().spans, 1);
    store.close().await.unwrap();
    let store = LocalStore::open(dir.path(), &options).unwrap();
    assert_eq!(store.stats().await.unwrap().spans, 1);
    store.close().await.unwrap();
}

fn later(mut span: Span) -> Span {
    span.version.received_ns = 2;
    span.version.sequence = 100;
    span
}
