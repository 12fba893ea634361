//! Segments whose front cannot be read are found, told apart and set aside.

use std::fs;
use std::path::{Path, PathBuf};

use staso_journal::{Destination, JournalError, Trouble, adopt, set_segment_aside, unreadable};

use crate::support::{append, json, open, recover, small};

const BUDGET: u64 = 1 << 30;

/// A dead program's segment with one record.
fn left_behind(dir: &Path) -> PathBuf {
    let journal = open(dir, Destination::local(), small(true));
    append(&journal, 0);
    drop(journal);
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.into_iter().find(|path| path.extension().is_some_and(|x| x == "seg")).unwrap()
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let mut all = fs::read(path).unwrap();
    all[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(path, all).unwrap();
}

#[test]
fn a_damaged_front_is_found_and_set_aside_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = left_behind(dir.path());
    assert_eq!(unreadable(dir.path()), []);
    overwrite(&path, 40, &[0xff; 16]);
    assert!(adopt(dir.path(), &Destination::local()).is_empty());
    let found = unreadable(dir.path());
    assert_eq!((&found[0].path, &found[0].trouble, found.len()), (&path, &Trouble::Damaged, 1));

    let kept = set_segment_aside(dir.path(), &path, BUDGET).unwrap().unwrap();
    assert!(kept.starts_with(dir.path().join("rejected")));
    let reason = fs::read_to_string(kept.with_extension("reason.txt")).unwrap();
    assert!(reason.contains("front is damaged"), "{reason}");
    assert!(fs::metadata(&kept).unwrap().len() > 0, "its bytes are kept");
    assert_eq!(unreadable(dir.path()), []);
}

#[test]
fn a_zeroed_or_empty_file_is_damaged_too() {
    for bytes in [vec![0; 4096], Vec::new()] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.seg");
        fs::write(&path, bytes).unwrap();
        assert_eq!(unreadable(dir.path())[0].trouble, Trouble::Damaged);
        assert!(set_segment_aside(dir.path(), &path, BUDGET).unwrap().is_some());
    }
}

#[test]
fn a_later_format_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = left_behind(dir.path());
    overwrite(&path, 8, &7_u32.to_le_bytes());
    assert_eq!(unreadable(dir.path())[0].trouble, Trouble::LaterFormat(7));
    assert_eq!(set_segment_aside(dir.path(), &path, BUDGET).unwrap(), None);
    assert!(path.exists());
}

#[test]
fn the_segment_of_a_living_program_and_a_whole_one_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    append(&journal, 0);
    let path = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = path.into_iter().find(|path| path.extension().is_some_and(|x| x == "seg")).unwrap();
    assert_eq!(set_segment_aside(dir.path(), &path, BUDGET).unwrap(), None);
    drop(journal);
    assert_eq!(set_segment_aside(dir.path(), &path, BUDGET).unwrap(), None);
    assert_eq!(recover(dir.path()), [json(0)]);
}

#[test]
fn nothing_is_set_aside_beyond_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.seg");
    fs::write(&path, [0; 8192]).unwrap();
    let refused = set_segment_aside(dir.path(), &path, 1).unwrap_err();
    assert!(matches!(refused, JournalError::Full));
    assert!(path.exists());
}
