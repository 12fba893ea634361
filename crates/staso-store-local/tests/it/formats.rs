//! Data directories that older versions wrote: they open, and nothing of them is lost.

use std::fs;

use staso_model::ProcessId;
use staso_store::{Batch, ProcessSign, Sign, Store};
use staso_store_local::{LocalStore, Options};

use super::golden::Golden;

/// Every format there has been.
const FORMATS: std::ops::RangeInclusive<u32> = 1..=3;

#[tokio::test]
async fn a_directory_of_every_format_opens_and_has_exactly_its_spans() {
    for format in FORMATS {
        let golden = Golden::of(format);
        assert_eq!(
            fs::read_to_string(golden.path().join("VERSION")).unwrap(),
            format!("{format}\n")
        );
        for _ in 0..2 {
            golden.assert().await;
            assert_eq!(fs::read_to_string(golden.path().join("VERSION")).unwrap(), "3\n");
        }
        let tables = "SELECT group_concat(name) FROM sqlite_master
                      WHERE name GLOB '*spans' AND type = 'table'";
        let left: Option<String> =
            golden.catalog().query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(left, None, "format {format}");
    }
}

/// After the flush of what was brought up, and another opening, it is still the same.
#[tokio::test]
async fn what_was_brought_up_goes_on_as_any_directory() {
    for format in FORMATS {
        let golden = Golden::of(format);
        let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
        store.flush().await.unwrap();
        golden.expected.assert(&store).await;
        store.close().await.unwrap();
        golden.assert().await;
    }
}

/// What is open in it is closed by its process's goodbye, as if nothing had happened.
#[tokio::test]
async fn what_was_open_in_an_older_format_can_be_closed() {
    for format in FORMATS {
        let golden = Golden::of(format);
        let store = LocalStore::open(golden.path(), &Options::default()).unwrap();
        let open = store.open_processes().await.unwrap();
        assert_eq!(open.len(), 2, "one in each workspace");
        for process in open {
            let sign =
                ProcessSign { process_id: ProcessId([7; 16]), sign: Sign::Goodbye(i64::MAX) };
            let batch = Batch {
                workspace: process.workspace,
                processes: vec![sign],
                received_ns: 3,
                ..Batch::default()
            };
            store.append(batch).await.unwrap();
        }
        assert_eq!(store.open_processes().await.unwrap(), []);
        for span in golden.expected.spans.iter().filter(|span| span.is_open()) {
            let row = store.trace_row(&span.workspace, &span.trace_id, 0).await.unwrap().unwrap();
            assert_eq!((row.span_count, row.open_count), (5, 0), "format {format}");
        }
    }
}
