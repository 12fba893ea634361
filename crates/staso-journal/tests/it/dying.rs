//! Killed and forked processes: what ended is kept, and locks die with their owner only.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use staso_journal::{Destination, Journal, ProcessState, adopt, process_state};
use staso_model::ProcessId;

use crate::support::{append, json, open, recover, small};

const ROLE_DIR: &str = "STASO_JOURNAL_TEST_DIR";
const ROLE_MAP: &str = "STASO_JOURNAL_TEST_MAP";

/// Not a test of its own: the program that the next one kills.
#[test]
#[ignore = "run by the test that kills it"]
fn role_append_then_wait() {
    let Ok(dir) = std::env::var(ROLE_DIR) else { return };
    let may_map = std::env::var(ROLE_MAP).is_ok();
    let journal = open(Path::new(&dir), Destination::local(), small(may_map));
    (0..10_000).for_each(|n| append(&journal, n));
    println!("\nappended");
    loop {
        std::thread::park();
    }
}

fn killed_after_appending(dir: &Path, may_map: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "dying::role_append_then_wait", "--nocapture"])
        .env(ROLE_DIR, dir)
        .stdout(Stdio::piped());
    if may_map {
        command.env(ROLE_MAP, "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "appended"));
    assert!(adopt(dir, &Destination::local()).is_empty());
    assert_eq!(process_state(dir, ProcessId([9; 16])), ProcessState::Alive);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sigkill_loses_nothing_that_was_appended() {
    for may_map in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        killed_after_appending(dir.path(), may_map);
        assert_eq!(process_state(dir.path(), ProcessId([9; 16])), ProcessState::Dead);
        let mut found = recover(dir.path());
        found.sort_by_key(|json| json.len());
        let mut all: Vec<_> = (0..10_000).map(json).collect();
        all.sort_by_key(|json| json.len());
        assert_eq!(found, all);
    }
}

#[test]
fn a_clean_end_is_not_a_death() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    append(&journal, 0);
    assert_eq!(process_state(dir.path(), ProcessId([9; 16])), ProcessState::Alive);
    drop(journal);
    assert_eq!(process_state(dir.path(), ProcessId([9; 16])), ProcessState::Unknown);
}

/// Who finds a presence file unlocked says goodbye in its process's name, so that not even a process
/// that has just begun may be seen so.
#[test]
fn a_process_that_begins_is_never_taken_for_dead() {
    let dir = tempfile::tempdir().unwrap();
    let is_over = AtomicBool::new(false);
    let look = || {
        let mut looks = 0;
        while !is_over.load(Ordering::SeqCst) {
            for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
                let name = entry.file_name().into_string().unwrap();
                let Some(name) = name.strip_suffix(".live") else { continue };
                let state = process_state(dir.path(), name.parse().unwrap());
                assert_ne!(state, ProcessState::Dead, "{name}");
                looks += 1;
            }
        }
        looks
    };
    let (looks, journals) = std::thread::scope(|scope| {
        let looking = scope.spawn(look);
        let begin = |n: u8| {
            let (dir, options) = (dir.path().to_owned(), small(false));
            let process = ProcessId([n; 16]);
            let journal = Journal::open(dir, Destination::local(), process, options).unwrap();
            append(&journal, 0);
            journal
        };
        let journals: Vec<_> = (1..=100).map(begin).collect();
        is_over.store(true, Ordering::SeqCst);
        (looking.join(), journals)
    });
    assert!(looks.unwrap() > 0);
    let alive =
        (1..=100).filter(|n| process_state(dir.path(), ProcessId([*n; 16])) == ProcessState::Alive);
    assert_eq!(alive.count(), journals.len());
}

/// A child forked while the segment is open must not keep its lock: the parent "dies" (drops the
/// journal without deleting), the child lives, and the segment is free.
#[test]
fn a_forked_child_does_not_hold_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Destination::local(), small(true));
    append(&journal, 0);
    let (mut pipe, mut begun) = ([0; 2], [0; 2]);
    let mut byte = 0u8;
    // SAFETY: plain system calls; the child only says that it runs, which is after its fork handlers
    // did, sleeps on a pipe and exits at once after it.
    let child = unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        assert_eq!(libc::pipe(begun.as_mut_ptr()), 0);
        let child = libc::fork();
        if child == 0 {
            libc::close(pipe[1]);
            libc::write(begun[1], (&raw const byte).cast(), 1);
            libc::read(pipe[0], (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
        assert_eq!(libc::read(begun[0], (&raw mut byte).cast(), 1), 1);
        child
    };
    assert!(child > 0);
    // As the end of a process frees it: no unlock, only descriptors and mappings going away.
    killed_without_unlocking(journal);
    let found = recover(dir.path());
    // SAFETY: as above.
    unsafe {
        libc::close(pipe[1]);
        libc::close(pipe[0]);
        libc::close(begun[0]);
        libc::close(begun[1]);
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        assert_eq!(status, 0);
    }
    assert_eq!(found, [json(0)]);
}

/// Closes every descriptor of files in the journal's directory, as the kernel does at the end.
pub(crate) fn killed_without_unlocking(journal: staso_journal::Journal) {
    let dir = std::fs::canonicalize(journal.dir()).unwrap();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let is_journal = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.starts_with(&dir) && target.is_file());
        let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
        if is_journal {
            // SAFETY: the journal that owned it is forgotten below and never used again.
            unsafe { libc::close(number) };
        }
    }
    std::mem::forget(journal);
}
