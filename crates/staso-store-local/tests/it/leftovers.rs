//! What a deletion or a crash leaves for later: told by the doctor, or removed at the next opening.

use std::fs;
use std::time::Duration;

use staso_store::{Deletion, Store, Target};
use staso_store_local::{LocalStore, Options, inspect};

use super::{batch, span};

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_of_deletions_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let late = Options { forget_after: Duration::from_secs(3_600), ..Options::default() };
    let store = LocalStore::open(dir.path(), &late).unwrap();
    store.append(batch(vec![span(1, 1), span(2, 1)])).await.unwrap();
    store.flush().await.unwrap();
    let waits = || {
        let notes = inspect(dir.path()).notes;
        notes.into_iter().find(|note| note.contains("hidden and not gone"))
    };
    assert_eq!(waits(), None);
    let target = Target::Trace(span(1, 1).trace_id);
    let deletion = Deletion { workspace: "default".to_owned(), target, at_ns: 1 };
    store.delete(&deletion).await.unwrap();
    let note = waits().unwrap();
    assert!(note.starts_with("1 deletion(s)") && note.contains("1 file(s)"), "{note}");
    store.compact().await.unwrap();
    assert_eq!(waits(), None);
}

/// Killed between the removal of a segment and of what was built beside it, or while that was written.
#[tokio::test(flavor = "multi_thread")]
async fn files_beside_segments_that_are_gone_go_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), &Options::default()).unwrap();
    store.append(batch(vec![span(1, 1)])).await.unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let odd = dir.path().join("segments/default/odd");
    let kept = ["0000000001.text", "0000000001.parquet.text"].map(|name| odd.join(name));
    let gone =
        ["0000000007.text", "0000000007.parquet.text", "0000000001.text.tmp", "x.parquet.tmp"]
            .map(|name| odd.join(name));
    for path in kept.iter().chain(&gone) {
        fs::write(path, "words").unwrap();
    }
    LocalStore::open(dir.path(), &Options::default()).unwrap().close().await.unwrap();
    assert!(kept.iter().all(|path| path.exists()));
    assert!(gone.iter().all(|path| !path.exists()));
    assert!(odd.join("0000000001.parquet").exists());
}
