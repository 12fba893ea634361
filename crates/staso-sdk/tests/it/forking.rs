//! A forked child is a process of its own: its spans arrive, the parent's arrive once.
#![cfg(unix)]

use std::collections::BTreeSet;

use staso_sdk::{FailureKind, process_generation};

use crate::peer::{Peer, spans};
use crate::support::{LONG, client, config, record, record_all};
use crate::toy::World;

/// Not a test of its own: forking is safe only where no other test runs, so the next one starts
/// this in a fresh program.
#[test]
#[ignore = "a forking role: the test after it runs it in a process of its own"]
fn role_fork_and_record() {
    let Ok(url) = std::env::var("STASO_SDK_TEST_URL") else { return };
    let home = tempfile::tempdir().unwrap();
    let client = client(home.path(), Some(&url));
    record_all(&client, 20);
    let (parent_id, generation) = (client.process_id(), process_generation());
    // SAFETY: the child uses only this engine, which is made for it, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_other = client.process_id() != parent_id && process_generation() != generation;
        record(&client, "from the child");
        let is_ok = client.shutdown(LONG).ok(false);
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!(is_other && is_ok))) };
    }
    let mut status = 0;
    // SAFETY: waits for the child started above.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    record(&client, "from the parent");
    assert!(client.shutdown(LONG).ok(false));
}

/// Not a test of its own, as the one above.
#[test]
#[ignore = "a forking role: the test after it runs it in a process of its own"]
fn role_end_in_the_child() {
    let Ok(url) = std::env::var("STASO_SDK_TEST_URL") else { return };
    let home = tempfile::tempdir().unwrap();
    let client = staso_sdk::init(&config(home.path(), Some(&url)));
    let recorder = staso_sdk::recorder::active().unwrap();
    let world = World::new();
    let parents = world.open("of the parent");
    // SAFETY: as above.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let own = world.open("of the child");
        let (own, inherited) = (world.close(&own), world.close(&parents));
        let is_right = own.accepted
            && inherited.failure == Some(FailureKind::Shutdown)
            && recorder.stats().0["ended_in_child"] == 1
            && client.shutdown(LONG).ok(false);
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!is_right)) };
    }
    let mut status = 0;
    // SAFETY: as above.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    assert!(world.close(&parents).accepted);
    assert!(client.shutdown(LONG).ok(false));
}

/// A span belongs to the process that began it: in a child it is a parent, and ending it there records
/// nothing.
#[test]
fn a_span_begun_before_a_fork_is_recorded_by_the_parent() {
    let peer = Peer::start(true);
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "forking::role_end_in_the_child"])
        .env("STASO_SDK_TEST_URL", &peer.url)
        .status()
        .unwrap();
    assert!(status.success());
    let found: Vec<_> = peer.batches().iter().flat_map(|batch| spans(&batch.body)).collect();
    let ended: Vec<_> = found.iter().filter(|span| span.get("provisional").is_none()).collect();
    assert_eq!(ended.len(), 2, "{found:?}");
    let named = |name: &str| ended.iter().find(|span| span["name"] == name).unwrap();
    let (parent, child) = (named("of the parent"), named("of the child"));
    assert_eq!(child["parent_span_id"], parent["span_id"]);
    assert_ne!(child["process_id"], parent["process_id"]);
}

#[test]
fn a_fork_loses_nothing_and_doubles_nothing() {
    let peer = Peer::start(true);
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "forking::role_fork_and_record"])
        .env("STASO_SDK_TEST_URL", &peer.url)
        .status()
        .unwrap();
    assert!(status.success());
    let stored = peer.stored();
    let names: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!((stored.len(), names.len()), (22, 22), "{stored:?}");
    assert!(names.contains("from the child") && names.contains("from the parent"));
}
