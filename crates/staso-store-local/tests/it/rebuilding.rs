//! A catalog that is gone, or older than its segments: it is made anew from segments and log.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use staso_store::Store;
use staso_store_local::{LocalStore, Options, inspect};

use super::golden::Golden;

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
