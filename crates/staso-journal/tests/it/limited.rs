//! A program whose files may not grow: it lives, and everything the journal took is shipped.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, ExitStatus};

use staso_journal::{Destination, Journal, JournalError, RecordKind, set_aside};
use staso_model::{SpanId, TraceId};

use crate::support::{few, json, open, recover, small};

const ROLE_DIR: &str = "STASO_JOURNAL_LIMITED_DIR";
const ROLE_MAP: &str = "STASO_JOURNAL_LIMITED_MAP";

/// More than a segment begins with, less than it may grow to.
const LIMIT_BYTES: u64 = 96 << 10;

/// As `ulimit -f` does; what a program does about the signal stays as it is: it ends it.
fn limit_files(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: LIMIT_BYTES };
    // SAFETY: plain system call on data of ours.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

fn append_all_it_takes(journal: &Journal) -> u64 {
    for n in 0.. {
        let span = SpanId::from_w3c((n + 1_u64).to_be_bytes());
        match journal.append(RecordKind::Span, &TraceId([1; 16]), &span, &json(n)) {
            Ok(_) => {}
            Err(JournalError::DiskFull) => return n,
            Err(other) => panic!("{other}"),
        }
    }
    0
}

/// Not a test of its own: the limit is for the rest of a process.
#[test]
#[ignore = "run by the tests below"]
fn role_with_files_that_cannot_grow() {
    let Ok(dir) = std::env::var(ROLE_DIR) else { return };
    let dir = Path::new(&dir);
    limit_files(LIMIT_BYTES);
    let journal = open(dir, Destination::local(), small(std::env::var(ROLE_MAP).is_ok()));
    let appended = append_all_it_takes(&journal);
    assert!(appended > 100);
    // Now not even what is there may be written again.
    limit_files(0);
    let mut found = Vec::new();
    while let Some(batch) = journal.next_batch(few(100)).unwrap() {
        assert_eq!(journal.next_batch(few(7)).unwrap().as_ref(), Some(&batch), "it repeats");
        let kept = set_aside(dir, &batch, "refused", 1 << 30);
        assert!(matches!(kept, Err(JournalError::DiskFull)), "{kept:?}");
        let noted = journal.acknowledge(&batch);
        assert!(matches!(noted, Err(JournalError::DiskFull)), "{noted:?}");
        found.extend(batch.records.iter().map(|record| record.json.clone()));
    }
    assert_eq!(found, (0..appended).map(json).collect::<Vec<_>>());
    assert_eq!(journal.stats().left(), 0);
    // SAFETY: ends the process as a kill would, without unwinding: nothing is deleted.
    unsafe { libc::_exit(0) }
}

fn in_a_process_of_its_own(dir: &Path, may_map: bool) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let role = "limited::role_with_files_that_cannot_grow";
    command.args(["--ignored", "--exact", role, "--nocapture"]).env(ROLE_DIR, dir);
    if may_map {
        command.env(ROLE_MAP, "1");
    }
    command.status().unwrap()
}

fn lives_and_ships_everything(may_map: bool) {
    let dir = tempfile::tempdir().unwrap();
    let status = in_a_process_of_its_own(dir.path(), may_map);
    assert!(status.success(), "{status}");
    // It could not note what it shipped: whoever finds the file sees all of it again, from the first on.
    let found = recover(dir.path());
    assert!(found.len() > 100);
    assert_eq!(found, (0..found.len() as u64).map(json).collect::<Vec<_>>());
}

#[test]
fn a_mapped_segment_that_may_not_grow() {
    lives_and_ships_everything(true);
}

#[test]
fn a_written_segment_that_may_not_grow() {
    lives_and_ships_everything(false);
}
