//! Shipping to a named server that misbehaves in every way.

use std::collections::BTreeMap;

use staso_sdk::record::Entry;
use staso_sdk::{Client, Config, FailureKind, JournalChoice, Overrides};

use crate::peer::{Answer, Peer, stored};
use crate::support::{LONG, SHORT, client, config, record, record_all};

#[test]
fn delivers_and_reports() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client = client(home.path(), Some(&peer.url));
    let names = record_all(&client, 250);
    let report = client.flush(LONG);
    assert!(report.ok(false), "{report:?}");
    assert_eq!((report.accepted, report.delivered), (250, 250));
    assert_eq!(peer.stored(), names);
    assert_eq!(client.flush(LONG).accepted, 0);
    let batch = &peer.batches()[0];
    assert_eq!(batch.headers["x-api-key"], "test-key");
    assert_eq!(batch.body["traces"][0]["workspace_slug"], "shop");
    assert_eq!(batch.body["traces"][0]["environment"], "test");
}

#[test]
fn failures_are_retried_with_the_same_key() {
    let failures = [
        Answer::Status(500),
        Answer::Status(503),
        Answer::Garbage,
        Answer::Noise,
        Answer::AcceptThenHangUp,
        Answer::Busy,
        Answer::Status(302),
        Answer::Status(408),
    ];
    for failure in failures {
        let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
        peer.script(&[failure]);
        let client = client(home.path(), Some(&peer.url));
        let names = record_all(&client, 3);
        let report = client.flush(LONG);
        assert!(report.ok(false), "{failure:?}: {report:?}");
        assert!(report.last_failure.is_some() && report.retryable, "{failure:?}: {report:?}");
        assert_eq!(peer.stored(), names, "{failure:?}");
        let keys: Vec<_> =
            peer.batches().iter().map(|r| r.headers["idempotency-key"].clone()).collect();
        assert_eq!(keys[0], keys[1], "{failure:?}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    peer.limit_spans(7);
    let client = client(home.path(), Some(&peer.url));
    let names = record_all(&client, 100);
    assert!(client.flush(LONG).ok(false));
    assert_eq!(peer.stored(), names);
}

#[test]
fn what_is_never_taken_is_set_aside_and_the_rest_goes_on() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    peer.script(&[Answer::Status(400)]);
    let client = client(home.path(), Some(&peer.url));
    record(&client, "poison");
    let report = client.flush(LONG);
    assert_eq!((report.failed, report.last_failure), (1, Some(FailureKind::MalformedResponse)));
    assert!(!report.retryable && !report.ok(false));
    let rejected = home.path().join("journal/rejected");
    let kept: Vec<_> = std::fs::read_dir(rejected).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(kept.iter().any(|path| std::fs::read_to_string(path).unwrap().contains("poison")));
    record(&client, "fine");
    assert!(client.flush(LONG).ok(false));
    assert_eq!(peer.stored(), ["fine"]);
}

#[test]
fn a_refused_key_pauses_without_losing() {
    for (status, kind) in [
        (401, FailureKind::InvalidKey),
        (402, FailureKind::PlanExpired),
        (403, FailureKind::Forbidden),
    ] {
        let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
        peer.otherwise(Answer::Status(status));
        let client = client(home.path(), Some(&peer.url));
        let names = record_all(&client, 2);
        // Returns at once: waiting would not help.
        let report = client.flush(LONG);
        assert_eq!((report.last_failure, report.journalled), (Some(kind), 2));
        assert!(!report.ok(false) && !report.retryable);
        client.flush(LONG);
        assert_eq!(peer.batches().len(), 1);
        client.shutdown(LONG);
        peer.otherwise(Answer::Accept);
        // Another process with the same destination delivers it.
        let next = crate::support::client(home.path(), Some(&peer.url));
        record(&next, "later");
        assert!(next.flush(LONG).ok(false));
        peer.wait_until("the adopted spans", |requests| {
            let stored = stored(requests);
            names.iter().all(|name| stored.contains(name)) && stored.len() == names.len() + 1
        });
    }
}

#[test]
fn a_server_that_hangs_delays_nobody() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    peer.script(&[Answer::Hang]);
    let client = client(home.path(), Some(&peer.url));
    record(&client, "kept");
    let report = client.flush(SHORT);
    assert!(report.timed_out && report.journalled == 1 && !report.ok(false), "{report:?}");
}

#[test]
fn no_server_keeps_everything_and_exit_does_not_wait() {
    let home = tempfile::tempdir().unwrap();
    let nobody = format!("http://{}", closed_port());
    let client = client(home.path(), Some(&nobody));
    record_all(&client, 5);
    let report = client.shutdown_at_exit(LONG);
    assert_eq!(
        (report.journalled, report.last_failure),
        (5, Some(FailureKind::NetworkUnavailable))
    );
    let peer = Peer::start(true);
    let refused = client.append(&Entry::whole(
        staso_sdk::RecordKind::Span,
        &staso_sdk::ids::trace_id(),
        &staso_sdk::ids::span_id(),
        b"{}",
    ));
    assert_eq!(refused.failure, Some(FailureKind::Shutdown));
    assert!(peer.requests().is_empty());
}

fn closed_port() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn without_a_journal_the_queue_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let peer = Peer::start(true);
    let overrides = Overrides {
        base_url: Some(format!("http://{}", closed_port())),
        journal: Some(JournalChoice::Off),
        max_queue_size: Some(3),
        ..Overrides::default()
    };
    let off = Client::start(Config::resolve(&overrides, &|_| None).unwrap());
    record_all(&off, 3);
    let refused = off.append(&Entry::whole(
        staso_sdk::RecordKind::Span,
        &staso_sdk::ids::trace_id(),
        &staso_sdk::ids::span_id(),
        b"{}",
    ));
    assert_eq!((refused.failure, refused.retryable), (Some(FailureKind::QueueFull), true));
    let report = off.flush(SHORT);
    assert_eq!((report.pending, report.rejected, report.journalled), (3, 1, 0));
    assert_eq!(report.last_rejection, Some(FailureKind::QueueFull));
    // The same queue delivers when there is a server.
    let mut config = config(home.path(), Some(&peer.url));
    config.journal = false;
    let on = Client::start(config);
    let names = record_all(&on, 120);
    assert!(on.flush(LONG).ok(false));
    assert_eq!(peer.stored(), names);
}

#[test]
fn a_state_directory_that_cannot_be_used_costs_nothing_but_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let peer = Peer::start(true);
    let client = client(&file.join("home"), Some(&peer.url));
    let names = record_all(&client, 10);
    assert!(client.flush(LONG).ok(false));
    assert_eq!(peer.stored(), names);
}

#[test]
fn off_means_off() {
    let home = tempfile::tempdir().unwrap();
    let peer = Peer::start(true);
    let mut config = config(home.path(), Some(&peer.url));
    config.enabled = false;
    let client = Client::start(config);
    let (trace, span) = (staso_sdk::ids::trace_id(), staso_sdk::ids::span_id());
    let taken = client.append(&Entry::whole(staso_sdk::RecordKind::Span, &trace, &span, b"{}"));
    assert_eq!(taken.failure, Some(FailureKind::Disabled));
    let report = client.shutdown(LONG);
    assert!(report.ok(false) && report.last_failure == Some(FailureKind::Disabled));
    assert!(std::fs::read_dir(home.path()).unwrap().next().is_none());
    assert!(peer.requests().is_empty());
}

#[test]
fn many_threads_lose_nothing() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    peer.script(&[Answer::Accept, Answer::Status(500), Answer::AcceptThenHangUp]);
    let client = client(home.path(), Some(&peer.url));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for n in 0..500 {
                    record(client, &format!("{thread}/{n}"));
                }
            });
        }
    });
    assert!(client.shutdown(LONG).ok(false));
    let mut counts = BTreeMap::new();
    for name in peer.stored() {
        *counts.entry(name).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 2_000);
    assert!(counts.values().all(|count| *count == 1));
    assert_eq!(client.stats().0["delivered"], 2_000);
}
