//! Ends of every kind: what was acknowledged is there afterwards, and nothing is there twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{PATIENCE, Serving, run, span, text, try_ingest};

/// How often the server is killed.
const KILLS: usize = 6;

/// Spans of one batch.
const SPANS: u64 = 20;

fn batch(trace: &str) -> serde_json::Value {
    let spans: Vec<_> = (1..=SPANS).map(|n| span(n, None, "s", n, 1)).collect();
    json!({"traces": [{"trace_id": trace, "spans": spans}]})
}

/// Sends batches from three threads until the server is gone; answers what was acknowledged.
fn load(url: &str, round: usize, count: &AtomicUsize) -> Vec<String> {
    std::thread::scope(|scope| {
        let send = |thread: usize| {
            let mut acknowledged = Vec::new();
            for n in 1usize.. {
                let trace = format!("{:016x}{:016x}", round * 16 + thread, n);
                match try_ingest(url, &trace, &batch(&trace)) {
                    Ok((200, _)) => {
                        acknowledged.push(trace);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok((429 | 503, _)) => {}
                    Ok((status, body)) => panic!("{status}: {body}"),
                    Err(_) => break,
                }
            }
            acknowledged
        };
        let threads: Vec<_> = (1..=3).map(|thread| scope.spawn(move || send(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_done() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every acknowledged trace is whole; a resend of it is answered from its receipt.
fn check(server: &Serving, acknowledged: &[String]) {
    for trace in acknowledged {
        let (status, answer) = server.get(&format!("/api/traces/{trace}?payloads=false"));
        assert_eq!((status, &answer["trace"]["span_count"]), (200, &json!(SPANS)), "{trace}");
    }
    let (_, before) = server.get("/api/health");
    for trace in acknowledged.iter().rev().take(5) {
        assert_eq!(server.ingest(trace, &batch(trace)).0, 200);
    }
    let (_, after) = server.get("/api/health");
    assert_eq!(before["store"]["spans"], after["store"]["spans"], "nothing is written twice");
}

#[test]
fn killed_again_and_again_it_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut acknowledged = Vec::new();
    for round in 1..=KILLS {
        let server = Serving::start(&home);
        check(&server, &acknowledged);
        let (url, count) = (server.url.clone(), AtomicUsize::new(0));
        let of_round = std::thread::scope(|scope| {
            let loading = scope.spawn(|| load(&url, round, &count));
            wait_for("some load", || count.load(Ordering::SeqCst) >= 5 * round);
            server.kill();
            loading.join().unwrap()
        });
        assert!(of_round.len() >= 5 * round);
        acknowledged.extend(of_round);
    }
    check(&Serving::start(&home), &acknowledged);
}

#[test]
fn told_to_stop_under_load_it_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let server = Serving::start(&home);
    let (url, count) = (server.url.clone(), AtomicUsize::new(0));
    let (acknowledged, status) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&url, 0, &count));
        wait_for("some load", || count.load(Ordering::SeqCst) >= 20);
        let status = server.terminate();
        (loading.join().unwrap(), status)
    });
    assert!(status.success(), "{status}");
    assert!(!home.join("server.json").exists());
    check(&Serving::start(&home), &acknowledged);
}

#[test]
fn a_second_server_on_the_same_data_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let second = run(&server.home, &["serve", "--port", "0"]);
    assert!(!second.status.success());
    let complaint = text(&second.stderr);
    assert!(complaint.contains("cannot open the data directory"), "{complaint}");
    assert!(complaint.contains("hint: one server owns a data directory"), "{complaint}");
    assert_eq!(server.get("/api/health").0, 200, "the first one goes on");
    let elsewhere = dir.path().join("other");
    let taken = server.url.rsplit(':').next().unwrap().to_owned();
    let third =
        run(&server.home, &["serve", "--port", &taken, "--data-dir", elsewhere.to_str().unwrap()]);
    let complaint = text(&third.stderr);
    assert!(complaint.contains("cannot listen on 127.0.0.1"), "{complaint}");
    assert!(complaint.contains("--port takes another port"), "{complaint}");
}
