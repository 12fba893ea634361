//! Readiness and numbers for those who keep the server running.

use std::sync::Arc;

use serde_json::json;

use crate::fixture::{Fixture, TRACE, batch_of};
use crate::moody::{Mood, MoodyStore};

/// The value of one line of OpenMetrics.
fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    let value = line.and_then(|line| line.split(' ').nth(1));
    value.unwrap_or_else(|| panic!("{name} is not told:\n{text}")).parse().unwrap()
}

#[test]
fn numbers_follow_what_comes_in() {
    let fixture = Fixture::new();
    fixture.accept("k1", &batch_of(TRACE, "one"));
    fixture.accept("k1", &batch_of(TRACE, "one"));
    assert_eq!(fixture.post("/v1/traces/ingest", &[], b"{").status, 400);

    let answer = fixture.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n"));
    for (name, value) in [
        ("staso_ingest_batches_total", 1.0),
        ("staso_ingest_spans_total", 1.0),
        ("staso_ingest_repeated_batches_total", 1.0),
        ("staso_ingest_malformed_batches_total", 1.0),
        ("staso_store_spans", 1.0),
        ("staso_store_traces", 1.0),
        ("staso_store_queue_batches", 0.0),
        ("staso_ingest_decoding_batches", 0.0),
        ("staso_ingest_inflight_bytes", 0.0),
    ] {
        assert!((number(&text, name) - value).abs() < f64::EPSILON, "{name} in\n{text}");
    }
    assert!(number(&text, "staso_store_bytes") > 0.0);
    assert!(number(&text, "staso_store_hot_bytes") > 0.0);
    for name in ["store_queue", "store_hot", "ingest_inflight"] {
        let (level, limit) = (format!("staso_{name}_bytes"), format!("staso_{name}_limit_bytes"));
        assert!(number(&text, &level) < number(&text, &limit));
    }
}

#[test]
fn ready_says_what_became_of_the_last_batch() {
    let store = Arc::new(MoodyStore::new());
    let fixture = Fixture::on(store.clone());
    let ready = |writes: &str| json!({"status": "ready", "writes": writes});
    assert_eq!(fixture.read("/api/ready"), ready("ok"));

    // A full disk can be read, and the next batch that is taken clears it.
    store.set(Mood::DiskFull);
    assert_eq!(fixture.ingest("k1", &batch_of(TRACE, "one")).status, 503);
    assert_eq!(fixture.read("/api/ready"), ready("disk_full"));
    store.set(Mood::Well);
    fixture.accept("k1", &batch_of(TRACE, "one"));
    assert_eq!(fixture.read("/api/ready"), ready("ok"));
}

#[test]
fn a_store_that_cannot_be_read_is_not_ready() {
    let store = Arc::new(MoodyStore::new());
    let fixture = Fixture::on(store.clone());
    for (mood, code) in [(Mood::Broken, "not_ready"), (Mood::Closed, "stopping")] {
        store.set(mood);
        let answer = fixture.get("/api/ready");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!(code)));
        assert!(answer.header("retry-after").is_some());
    }
    store.set(Mood::Well);
}
