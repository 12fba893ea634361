//! Looking for damage: nothing wrong is found where nothing is, what is wrong is named by its file,
//! and whatever bit is flipped, what is not damaged can still be read.

use std::fs;
use std::path::{Path, PathBuf};

use staso_model::Span;
use staso_store::{Store, StoreError};
use staso_store_local::{Inspection, LocalStore, Options, inspect};

use super::golden::Golden;

/// Paths of the golden directory of this format, by their beginning and end below it.
fn file(golden: &Golden, begins: &str, ends: &str) -> PathBuf {
    let mut found = files(golden.path());
    found.retain(|path| {
        let name = path.strip_prefix(golden.path()).unwrap().to_str().unwrap();
        name.starts_with(begins) && name.ends_with(ends)
    });
    found.sort();
    found.remove(0)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, to: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(to).unwrap();
}

/// What is found is all in one file, and comes with a remedy. Answers the problems.
fn assert_names(found: &Inspection, file: &Path) -> String {
    assert!(!found.damage.is_empty(), "{} is damaged", file.display());
    for damage in &found.damage {
        assert_eq!(damage.file, file, "{damage:?}");
        assert!(damage.remedy.len() > 20, "{damage:?}");
    }
    found.damage.iter().map(|damage| damage.problem.clone() + "\n").collect()
}

/// Opens it, and counts the spans that can be read; those are as they were. `None` where it declines.
async fn readable(golden: &Golden) -> Option<usize> {
    let store = match LocalStore::open(golden.path(), &Options::default()) {
        Ok(store) => store,
        Err(StoreError::Damaged { .. }) => return None,
        Err(other) => panic!("{other}"),
    };
    let mut found = Vec::new();
    for span in golden.expected.spans.iter().filter(|span| span.dropped) {
        if let Ok(Some(one)) = store.span(&span.workspace, &span.trace_id, &span.span_id).await {
            found.push(one.span);
        }
        // Each trace has one that was dropped, which the tree leaves out.
        if let Ok(Some(trace)) = store.trace(&span.workspace, &span.trace_id, true, 0).await {
            found.extend(trace.spans.into_iter().map(|node| node.span));
        }
    }
    let mut count = 0;
    for span in found {
        let key = |span: &Span| (span.workspace.clone(), span.trace_id, span.span_id);
        let expected = golden.expected.spans.iter().find(|known| key(known) == key(&span)).unwrap();
        // An earlier version may come forth where the newer one is damaged.
        assert!(span.version.client < expected.version.client || span == *expected, "{span:?}");
        count += usize::from(span == *expected);
    }
    Some(count)
}

#[tokio::test]
async fn nothing_is_found_in_sound_directories_and_nothing_is_changed() {
    for format in 1..=3 {
        let golden = Golden::of(format);
        let before: Vec<_> = files(golden.path());
        let bytes: Vec<_> = before.iter().map(|path| fs::read(path).unwrap()).collect();
        let found = inspect(golden.path());
        assert_eq!(found.damage, [], "format {format}");
        assert_eq!(files(golden.path()), before);
        assert_eq!(before.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), bytes);
        assert_eq!(found.notes.len(), usize::from(format < 3), "{:?}", found.notes);
        golden.assert().await;
        let found = inspect(golden.path());
        assert_eq!((&found.damage[..], &found.notes[..]), (&[][..], &[][..]), "format {format}");
        assert!(found.segments > 0 && found.rows >= 17, "{found:?}");
    }
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(inspect(nothing.path()).damage, []);
}

#[tokio::test]
async fn a_directory_in_use_is_looked_at_but_for_its_log() {
    let golden = Golden::of(3);
    // A segment whose rows are all replaced would go meanwhile.
    let options = Options { compact_bytes: 0, ..Options::default() };
    let store = LocalStore::open(golden.path(), &options).unwrap();
    let found = inspect(golden.path());
    assert!(found.is_in_use && found.segments == 4 && found.log_records == 0, "{found:?}");
    assert_eq!(found.damage, []);
    drop(store);
    assert!(!inspect(golden.path()).is_in_use);
}

/// Every block of every segment has its checksum; what a flipped bit costs is told, and is all it costs.
#[tokio::test]
async fn a_bit_flipped_in_a_segment_is_found_wherever_it_is() {
    for (number, path) in files(&Golden::of(3).path().join("segments")).iter().enumerate() {
        let length = path.metadata().unwrap().len();
        for at in (0..length).step_by(usize::try_from(length / 6).unwrap()) {
            let golden = Golden::of(3);
            let path = files(&golden.path().join("segments")).swap_remove(number);
            flip(&path, usize::try_from(at).unwrap());
            let told = assert_names(&inspect(golden.path()), &path);
            assert!(told.contains("block(s)") && told.contains("cannot be read"), "{told}");
            let rest = readable(&golden).await.unwrap();
            assert!((15..=30).contains(&rest), "{rest}");
            // The look before the store was opened, and the one after, say the same.
            assert_eq!(assert_names(&inspect(golden.path()), &path), told);
        }
    }
}

#[tokio::test]
async fn a_torn_or_missing_segment_is_found() {
    let golden = Golden::of(3);
    let path = file(&golden, "segments", "0000000002.parquet");
    let length = path.metadata().unwrap().len();
    cut(&path, length - 1_000);
    let told = assert_names(&inspect(golden.path()), &path);
    assert!(told.contains(&format!("was written with {length}")), "{told}");
    fs::remove_file(&path).unwrap();
    let told = assert_names(&inspect(golden.path()), &path);
    assert!(told.contains("cannot be read") && told.contains("span(s) are in it"), "{told}");
    assert!((15..30).contains(&readable(&golden).await.unwrap()));
}

/// Every byte of the log: what it costs is named by number, or it is said that it costs nothing.
#[tokio::test]
async fn a_bit_flipped_in_the_log_is_found_wherever_it_is() {
    let length = file(&Golden::of(3), "wal", ".wal").metadata().unwrap().len();
    let mut losses = 0;
    for at in (0..length).step_by(43) {
        let golden = Golden::of(3);
        let path = file(&golden, "wal", ".wal");
        flip(&path, usize::try_from(at).unwrap());
        let found = inspect(golden.path());
        let rest = readable(&golden).await.unwrap();
        if at < 24 {
            assert_eq!((found.damage.len(), found.notes.len(), rest), (0, 1, 30), "byte {at}");
            continue;
        }
        let told = assert_names(&found, &path);
        assert!(told.contains("are lost") && told.contains("bytes "), "byte {at}: {told}");
        assert!((15..=30).contains(&rest), "{rest}");
        losses += usize::from(rest < 30);
    }
    assert!(losses > 30, "{losses}");
}

#[test]
fn a_torn_log_is_damage_only_where_it_was_acknowledged() {
    let golden = Golden::of(3);
    let path = file(&golden, "wal", ".wal");
    let whole = fs::read(&path).unwrap();
    for lost in [1, 40, 2_000] {
        cut(&path, whole.len() as u64 - lost);
        let told = assert_names(&inspect(golden.path()), &path);
        assert!(told.contains("are lost"), "{told}");
        fs::write(&path, &whole).unwrap();
    }
    // Half of a write that nobody was told of.
    let torn = [&whole[..], &whole[24..100]].concat();
    fs::write(&path, torn).unwrap();
    let found = inspect(golden.path());
    assert_eq!(found.damage, []);
    assert!(found.notes[0].contains("not acknowledged"), "{:?}", found.notes);
    fs::remove_file(&path).unwrap();
    let told = assert_names(&inspect(golden.path()), &golden.path().join("wal"));
    assert!(told.contains("no file has them"), "{told}");
}

/// Every so many bytes of the catalog are tried.
const STRIDE: usize = 97;

/// Pages of the catalog have no checksums: a bit that nobody finds must be one that no span needs.
#[tokio::test]
async fn a_bit_flipped_in_the_catalog_is_found_or_harms_no_span() {
    let whole = fs::read(Golden::of(3).path().join("catalog.db")).unwrap();
    // Most of it is room for more.
    let used = whole.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at);
    let mut found_in_all = 0;
    for at in used.step_by(STRIDE) {
        let golden = Golden::of(3);
        let path = golden.path().join("catalog.db");
        flip(&path, at);
        let found = inspect(golden.path());
        if found.damage.is_empty() {
            assert_eq!(readable(&golden).await, Some(30), "byte {at}");
        } else {
            // Where the catalog says what others are to be, they are named instead.
            assert!(found.damage.iter().all(|damage| damage.remedy.len() > 20), "{found:?}");
            found_in_all += 1;
        }
    }
    assert!(found_in_all > 30, "{found_in_all}");
}

#[test]
fn a_version_or_a_catalog_that_is_none_is_found() {
    let golden = Golden::of(3);
    let version = golden.path().join("VERSION");
    for (bytes, words) in [(&b"x\n"[..], "not a number"), (b"9", "names format 9")] {
        fs::write(&version, bytes).unwrap();
        let told = assert_names(&inspect(golden.path()), &version);
        assert!(told.contains(words), "{told}");
    }
    fs::remove_file(&version).unwrap();
    assert!(assert_names(&inspect(golden.path()), &version).contains("missing"));
    fs::write(&version, "3\n").unwrap();
    let catalog = golden.path().join("catalog.db");
    let whole = fs::read(&catalog).unwrap();
    fs::write(&catalog, &whole[..whole.len() / 2]).unwrap();
    assert_names(&inspect(golden.path()), &catalog);
    fs::write(&catalog, b"this is no database, by its first bytes at least").unwrap();
    assert_names(&inspect(golden.path()), &catalog);
    fs::remove_file(&catalog).unwrap();
    assert!(assert_names(&inspect(golden.path()), &catalog).contains("missing"));
}

/// Records of the catalog have checksums of their own, those of older formats too.
#[test]
fn a_damaged_record_of_the_catalog_is_found() {
    for (format, change, words) in [
        (3, "UPDATE traces SET record = zeroblob(30) WHERE trace_row = 2", "row(s) of the list"),
        (3, "UPDATE traces SET errors = errors + 1 WHERE trace_row = 1", "contradict"),
        (3, "UPDATE annotations SET record = substr(record, 2)", "2 annotation(s)"),
        (3, "UPDATE parts SET trace_id = zeroblob(16) WHERE segment = 1", "of another"),
        (3, "DELETE FROM parts WHERE segment = 1 AND first_row = 0", "row 0 is said"),
        (2, "UPDATE spans SET payload = x'0102' WHERE span_row = 4", "1 span(s) of an older"),
    ] {
        let golden = Golden::of(format);
        assert!(golden.catalog().execute(change, []).unwrap() > 0);
        let found = inspect(golden.path());
        let told = assert_names(&found, &golden.path().join("catalog.db"));
        assert!(told.contains(words), "{told}");
        // A catalog that has spans itself must not be moved away.
        let may_be_moved = found.damage[0].remedy.contains("away");
        assert!(format == 3 || !may_be_moved, "{found:?}");
    }
}
