//! Tables as files: what is in them is what the store holds, of one workspace, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use staso_store::tables::{Table, TableFile, TableSink, TablesQuery};
use staso_store::{Store, StoreError};
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

fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
