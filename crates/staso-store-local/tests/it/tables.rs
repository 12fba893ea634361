//! Tables as files: what is in them is what the store holds, of one workspace, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use staso_store::tables::{Table, TableFile, TableSink, TablesQuery};
use staso_store::{Deletion, Store, StoreError, Target};
use staso_store_local::{LocalStore, Options};

use super::{batch, held, span};

/// Keeps what it is given, up to so many files.
#[derive(Clone)]
struct Kept {
    files: Arc<Mutex<Vec<TableFile>>>,
    at_most: usize,
}

impl TableSink for Kept {
    fn take(&mut self, file: TableFile) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        if files.len() == self.at_most {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        files.push(file);
        Ok(())
    }
}

fn wanting(workspace: &str, tables: &[Table]) -> TablesQuery {
    TablesQuery { workspace: workspace.to_owned(), tables: tables.to_vec(), now_ns: 0 }
}

async fn handed(store: &LocalStore, workspace: &str, tables: &[Table]) -> Vec<TableFile> {
    let kept = Kept { files: Arc::default(), at_most: usize::MAX };
    store.tables(&wanting(workspace, tables), Box::new(kept.clone())).await.unwrap();
    std::mem::take(&mut kept.files.lock().unwrap())
}

/// The rows that count.
fn rows(files: &[TableFile], table: Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in files.iter().filter(|file| file.table == table) {
        let reader = SerializedFileReader::new(file.file.try_clone().unwrap()).unwrap();
        let all: Vec<Row> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len() as u64, file.rows);
        assert!(file.deleted.is_sorted() && file.deleted.iter().all(|row| *row < file.rows));
        let is_live = |at: &usize| !file.deleted.contains(&(*at as u64));
        rows.extend(all.into_iter().enumerate().filter(|(at, _)| is_live(at)).map(|(_, row)| row));
    }
    rows
}

/// The texts of a column, and how often each occurs.
fn texts(rows: &[Row], column: &str) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for row in rows {
        let (_, value) = row.get_column_iter().find(|(name, _)| *name == column).unwrap();
        if let Field::Str(text) = value {
            *found.entry(text.clone()).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn each_span_stands_in_its_newest_version_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch((1..=5).map(|id| span(1, id)).collect())).await.unwrap();
    store.flush().await.unwrap();
    let newer = |id: u64, name: &str| {
        let mut span = span(1, id);
        (span.name, span.version.sequence) = (name.to_owned(), 9);
        span
    };
    store.append(batch(vec![newer(2, "flushed again"), newer(3, "hot")])).await.unwrap();
    let mut other = span(3, 1);
    other.workspace = "other".to_owned();
    store.append(batch(vec![other])).await.unwrap();
    store.flush().await.unwrap();
    store.append(batch(vec![held(2, 1), newer(3, "hot")])).await.unwrap();
    let mut last = newer(3, "hotter");
    last.version.sequence = 10;
    store.append(batch(vec![last])).await.unwrap();

    let files = handed(&store, "default", &[Table::Spans, Table::Traces]).await;
    let spans = texts(&rows(&files, Table::Spans), "name");
    let expected =
        [("span 1", 2), ("flushed again", 1), ("hotter", 1), ("span 4", 1), ("span 5", 1)];
    assert_eq!(spans, expected.map(|(name, n)| (name.to_owned(), n)).into());
    assert_eq!(rows(&files, Table::Traces).len(), 2);
    let theirs = handed(&store, "other", &[Table::Spans, Table::Traces, Table::Annotations]).await;
    assert_eq!((rows(&theirs, Table::Spans).len(), rows(&theirs, Table::Traces).len()), (1, 1));
    assert!(handed(&store, "nobody", &[Table::Spans, Table::Traces]).await.is_empty());

    // Files that are held are read on when the store is gone and its directory with it.
    store.close().await.unwrap();
    drop(store);
    drop(dir);
    assert_eq!(texts(&rows(&files, Table::Spans), "name"), spans);
}

#[tokio::test]
async fn who_takes_no_more_ends_the_work_and_nothing_is_left_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1)])).await.unwrap();
    let before = names(dir.path());
    let kept = Kept { files: Arc::default(), at_most: 1 };
    let query = wanting("default", &[Table::Spans, Table::Traces]);
    let refused = store.tables(&query, Box::new(kept.clone())).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert_eq!(names(dir.path()), before, "files for a query have no names");
    assert!(store.capabilities().tables);
}

/// Says when it has a file, and waits before it asks for the next.
struct Waiting {
    kept: Kept,
    took: Sender<()>,
    go_on: Receiver<()>,
}

impl TableSink for Waiting {
    fn take(&mut self, file: TableFile) -> io::Result<()> {
        self.kept.take(file)?;
        self.took.send(()).map_err(io::Error::other)?;
        // A test that has let go waits for nothing any more.
        let _ = self.go_on.recv();
        Ok(())
    }
}

const DAY_NS: i64 = 86_400_000_000_000;

/// The trace of a number stands in the segments of the day of that number.
fn of_day(trace: u64, id: u64) -> staso_model::Span {
    let mut span = span(trace, id);
    span.start_ns = 1_767_225_600_000_000_000 + i64::try_from(trace % 3).unwrap() * DAY_NS;
    span.end_ns = Some(span.start_ns + 1);
    span.name = format!("trace {trace}");
    span
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_compacted_meanwhile_stays_whole_for_who_began_before() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { forget_after: Duration::ZERO, ..Options::default() };
    let store = Arc::new(LocalStore::open(dir.path(), &options).unwrap());
    let of = |traces: &[u64]| -> BTreeMap<String, u32> {
        traces.iter().map(|trace| (format!("trace {trace}"), 2)).collect()
    };
    let both = |trace: u64| vec![of_day(trace, 1), of_day(trace, 2)];
    store.append(batch((0..6).flat_map(both).collect())).await.unwrap();
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    store.append(batch((6..9).flat_map(both).collect())).await.unwrap();
    let segments = segments(dir.path());
    assert_eq!(segments.len(), 3, "one of each day");

    let kept = Kept { files: Arc::default(), at_most: usize::MAX };
    let (took, is_taken) = channel();
    let (hold, go_on) = channel();
    let sink = Waiting { kept: kept.clone(), took, go_on };
    let (asked, query) = (Arc::clone(&store), wanting("default", &[Table::Spans]));
    let handing = tokio::spawn(async move { asked.tables(&query, Box::new(sink)).await });
    let first = tokio::task::spawn_blocking(move || is_taken.recv().map(|()| is_taken));
    let _still_listening = first.await.unwrap().unwrap();
    // The first segment is handed over, the others are not; of each a trace goes, and a hot one.
    for trace in [0, 1, 2, 7] {
        let target = Target::Trace(span(trace, 1).trace_id);
        let deletion = Deletion { workspace: "default".to_owned(), target, at_ns: 1 };
        assert_eq!(store.delete(&deletion).await.unwrap().spans, 2);
    }
    store.compact().await.unwrap();
    let now = handed(&store, "default", &[Table::Spans, Table::Traces]).await;
    assert_eq!(texts(&rows(&now, Table::Spans), "name"), of(&[3, 4, 5, 6, 8]));
    assert_eq!(rows(&now, Table::Traces).len(), 5);
    assert!(segments.iter().all(|path| path.exists()), "they are being read");

    drop(hold);
    handing.await.unwrap().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while segments.iter().any(|path| path.exists()) {
        assert!(Instant::now() < deadline, "they stay though nobody reads them");
        store.compact().await.unwrap();
    }
    let before = std::mem::take(&mut *kept.files.lock().unwrap());
    assert_eq!(texts(&rows(&before, Table::Spans), "name"), of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
    let after = handed(&store, "default", &[Table::Spans]).await;
    assert_eq!(texts(&rows(&after, Table::Spans), "name"), of(&[3, 4, 5, 6, 8]));
    // In the files that came in their place nothing is left of them, hidden or not.
    assert!(after.iter().all(|file| file.deleted.is_empty()));
}

/// Every segment's file.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let days = below(&dir.join("segments")).into_iter().flat_map(|workspace| below(&workspace));
    let files = days.flat_map(|day| below(&day));
    files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
