//! What is refused, how, and that nothing is left behind by it.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::json;

use crate::fixture::{Fixture, TRACE, batch_of, eventually, span};
use crate::http::{self, Connection, request};
use crate::moody::{Mood, MoodyStore};

const INGEST: &str = "/v1/traces/ingest";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn compressed_bodies_are_the_same_batch_as_plain_ones() {
    let fixture = Fixture::new();
    let body = batch_of(TRACE, "root").to_string();
    let key = ("Idempotency-Key", "k");
    let plain = fixture.post(INGEST, &[key], body.as_bytes());
    for (name, bytes) in [("gzip", gzip(body.as_bytes())), ("zstd", zstd(body.as_bytes()))] {
        let answer = fixture.post(INGEST, &[key, ("Content-Encoding", name)], &bytes);
        assert_eq!((answer.status, &answer.body), (200, &plain.body), "{name}");
    }
    assert_eq!(fixture.read("/api/health")["ingest"]["repeated"], "2");
}

#[test]
fn bombs_stop_at_the_limit() {
    let fixture = Fixture::with("max_body_bytes = 1048576");
    let big = vec![b' '; 80 << 20];
    for (name, bytes) in [("gzip", gzip(&big)), ("zstd", zstd(&big))] {
        assert!(bytes.len() < 1 << 20, "the bomb itself is small");
        let answer = fixture.post(INGEST, &[("Content-Encoding", name)], &bytes);
        assert_eq!((answer.status, answer.code()), (413, "too_large".into()), "{name}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("1048576"));
    }
    assert_eq!(fixture.read("/api/health")["ingest"]["too_large"], "2");
}

#[test]
fn a_body_over_the_limit_is_refused_announced_or_not() {
    let fixture = Fixture::with("max_body_bytes = 65536");
    let big = vec![b' '; 200_000];
    assert_eq!(fixture.post(INGEST, &[], &big).status, 413);
    let mut connection = Connection::open(fixture.address());
    let head =
        format!("POST {INGEST} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(head.as_bytes());
    for _ in 0..4 {
        connection.send(format!("{:x}\r\n", big.len()).as_bytes());
        connection.send(&big);
        connection.send(b"\r\n");
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.answer().status, 413);
}

#[test]
fn the_default_limit_is_64_mib() {
    let fixture = Fixture::new();
    let mut connection = Connection::open(fixture.address());
    let length = ((64 << 20) + 1).to_string();
    connection.send(&request(
        fixture.address(),
        "POST",
        INGEST,
        &[("Content-Length", &length)],
        b"{",
    ));
    assert_eq!(connection.answer().status, 413);
}

#[test]
fn ten_thousand_spans_pass_and_one_more_does_not() {
    let fixture = Fixture::new();
    let spans = |n: usize| {
        let spans: Vec<_> = (1..=n).map(|n| span(&format!("{n:016x}"), None, "s")).collect();
        json!({"traces": [{"trace_id": TRACE, "spans": spans}]})
    };
    let answer = fixture.ingest("one-more", &spans(10_001));
    assert_eq!((answer.status, answer.code()), (413, "too_many_spans".into()));
    assert_eq!(fixture.read("/api/health")["store"]["spans"], "0");
    // A slow machine may put it off; its resend meets the same receipt, as a client's would.
    let body = spans(10_000);
    let taken = eventually("the largest batch", || {
        let answer = fixture.ingest("k", &body);
        assert!([200, 429].contains(&answer.status), "{}", answer.status);
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(taken["spans"], 10_000);
    assert_eq!(fixture.read("/api/health")["store"]["spans"], "10000");
}

#[test]
fn what_cannot_be_read_is_refused_whole_and_says_where() {
    let fixture = Fixture::new();
    for (body, code) in [
        ("", "not_json"),
        ("{\"traces\": [}", "not_json"),
        ("{\"traces\": []} x", "not_json"),
        ("[]", "no_traces"),
        ("{}", "no_traces"),
        ("{\"traces\": {}}", "no_traces"),
    ] {
        let answer = fixture.post(INGEST, &[("Idempotency-Key", "k")], body.as_bytes());
        assert_eq!((answer.status, answer.code()), (400, code.into()), "{body}");
        let error = &answer.json()["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(!error["hint"].as_str().unwrap().is_empty());
    }
    let broken = fixture.post(INGEST, &[], b"{\"traces\":\n [}").json();
    let message = broken["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn a_wrong_encoding_is_named() {
    let fixture = Fixture::new();
    let body = batch_of(TRACE, "root").to_string();
    let send = |name, bytes: &[u8]| fixture.post(INGEST, &[("Content-Encoding", name)], bytes);
    assert_eq!(send("br", body.as_bytes()).status, 415);
    for name in ["gzip", "zstd"] {
        let answer = send(name, body.as_bytes());
        assert_eq!((answer.status, answer.code()), (400, "not_decompressible".into()), "{name}");
    }
    let whole = gzip(body.as_bytes());
    assert_eq!(send("gzip", &whole[..whole.len() - 4]).status, 400);
    let whole = zstd(body.as_bytes());
    assert_eq!(send("zstd", &whole[..whole.len() - 4]).status, 400);
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let body = batch_of(TRACE, "root").to_string();
    for cut in [0, 1, body.len() / 2, body.len() - 1] {
        let whole = request(fixture.address(), "POST", INGEST, &[], body.as_bytes());
        let head = whole.len() - body.len();
        Connection::open(fixture.address()).send(&whole[..head + cut]);
    }
    assert_eq!(fixture.read("/api/health")["ingest"]["batches"], "0");
    fixture.accept("k", &batch_of(TRACE, "root"));
}

#[test]
fn a_store_in_trouble_is_told_in_the_words_that_clients_know() {
    for (mood, status, code) in [
        (Mood::Busy, 429, "busy"),
        (Mood::Silent, 429, "busy"),
        (Mood::DiskFull, 503, "disk_full"),
        (Mood::Closed, 503, "stopping"),
        (Mood::Broken, 500, "store_failed"),
    ] {
        let store = Arc::new(MoodyStore::new());
        let fixture = Fixture::on(store.clone());
        store.set(mood);
        let answer = fixture.ingest("k", &batch_of(TRACE, "root"));
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{mood:?}");
        if status != 500 {
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=10).contains(&seconds), "{mood:?}: {seconds}");
        }
        store.set(Mood::Well);
        let answer = fixture.ingest("k", &batch_of(TRACE, "root"));
        assert_eq!(answer.status, 200, "{mood:?}: the same batch is taken afterwards");
    }
}

#[test]
fn a_full_memory_budget_makes_clients_wait_and_is_given_back() {
    let fixture = Fixture::with("max_inflight_bytes = 65536");
    let mut hogging = Connection::open(fixture.address());
    let body = batch_of(TRACE, "root").to_string();
    let padded = format!("{body}{}", " ".repeat(1000));
    let whole = request(fixture.address(), "POST", INGEST, &[], padded.as_bytes());
    hogging.send(&whole[..whole.len() - 1]);
    // The hog is paid for once another request finds nothing left.
    let refused = eventually("a refusal", || {
        let answer = fixture.post(INGEST, &[], body.as_bytes());
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused.header("retry-after"), Some("1"));
    hogging.send(&whole[whole.len() - 1..]);
    assert_eq!(hogging.answer().status, 200);
    assert_eq!(fixture.post(INGEST, &[], body.as_bytes()).status, 200);
}

#[test]
fn every_refusal_is_json_and_signed() {
    let fixture = Fixture::new();
    let address = fixture.address();
    for (method, path, status) in [
        ("GET", "/api/nope", 404),
        ("GET", "/v1/nope", 404),
        ("POST", "/v1/traces", 404),
        ("GET", INGEST, 405),
        ("DELETE", "/api/traces", 405),
        ("POST", "/somewhere", 405),
        ("GET", "/api/traces/%ff", 400),
        ("GET", "/api/traces?limit=x", 400),
        ("GET", "/api/traces?unknown=1", 400),
    ] {
        let answer = http::call(address, method, path, &[], b"");
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.code().is_empty());
        assert!(answer.header("staso-capabilities").is_some(), "{method} {path}");
    }
}
