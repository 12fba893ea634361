//! Clients that dawdle, and more of them than may come.

use serde_json::json;

use crate::fixture::{Fixture, TRACE, batch_of};
use crate::http::{Connection, request};

const INGEST: &str = "/v1/traces/ingest";

/// Half a head, no head at all, and no second one: none holds a connection for ever.
#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let fixture = Fixture::with("head_timeout_secs = 1");
    let address = fixture.address();
    let mut connections = ["", "GET /api/health HTTP/1.1\r\nHost: loc"].map(|begun| {
        let mut connection = Connection::open(address);
        connection.send(begun.as_bytes());
        connection
    });
    let mut idle = Connection::open(address);
    idle.send(&request(address, "GET", "/api/health", &[], b""));
    assert_eq!(idle.answer().status, 200);
    // Each read ends only when the server has closed.
    assert_eq!(idle.rest(), b"", "an answered connection is closed in silence");
    for connection in &mut connections {
        let told = String::from_utf8(connection.rest()).unwrap();
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
    }
    fixture.read("/api/health");
}

#[test]
fn a_body_that_falls_silent_is_given_up_and_leaves_nothing() {
    let fixture = Fixture::with("body_idle_timeout_secs = 1");
    let address = fixture.address();
    let body = batch_of(TRACE, "root").to_string();
    let key = [("Idempotency-Key", "k")];
    let whole = request(address, "POST", INGEST, &key, body.as_bytes());
    let mut connection = Connection::open(address);
    connection.send(&whole[..whole.len() - 1]);
    let answer = connection.answer();
    assert_eq!((answer.status, answer.code()), (408, "body_timeout".into()));
    let health = fixture.read("/api/health");
    assert_eq!(
        (&health["ingest"]["batches"], &health["store"]["spans"]),
        (&json!("0"), &json!("0"))
    );
    // What it held of the memory for bodies is free, and the same batch is taken when it comes whole.
    fixture.accept("k", &batch_of(TRACE, "root"));
}

#[test]
fn connections_above_the_limit_wait_for_one_that_ends() {
    let fixture = Fixture::with("max_connections = 2");
    let address = fixture.address();
    let ask = request(address, "GET", "/api/health", &[], b"");
    let mut first = [Connection::open(address), Connection::open(address)];
    for connection in &mut first {
        connection.send(&ask);
        assert_eq!(connection.answer().status, 200);
    }
    let mut third = Connection::open(address);
    third.send(&ask);
    // Long enough for an answer to the third, were it let in.
    for _ in 0..50 {
        for connection in &mut first {
            connection.send(&ask);
            assert_eq!(connection.answer().status, 200);
        }
    }
    assert!(!third.has_news(), "it waits");
    let [gone, mut stays] = first;
    drop(gone);
    assert_eq!(third.answer().status, 200);
    stays.send(&ask);
    assert_eq!(stays.answer().status, 200);
}
