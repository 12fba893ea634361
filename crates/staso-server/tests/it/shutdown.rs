//! Ends in order, and starts that must not happen.

use std::sync::atomic::{AtomicBool, Ordering};

use staso_server::ServeError;

use crate::fixture::{Fixture, TRACE, batch_of, eventually};
use crate::http::{Connection, request};

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let mut fixture = Fixture::new();
    let first = fixture.take_server();
    let error = fixture.try_start().unwrap_err();
    assert!(matches!(error, ServeError::Store { .. }), "{error}");
    assert!(error.hint().contains("--home"));
    fixture.runtime.block_on(first.stop()).unwrap();
    fixture.start();
}

#[test]
fn a_request_on_its_way_is_finished() {
    let mut fixture = Fixture::new();
    let address = fixture.address();
    let body = batch_of(TRACE, "root").to_string();
    let expects = [("Expect", "100-continue")];
    let whole = request(address, "POST", "/v1/traces/ingest", &expects, body.as_bytes());
    let (head, body) = whole.split_at(whole.len() - body.len());
    let mut connection = Connection::open(address);
    connection.send(head);
    assert_eq!(connection.head().0, 100, "the server is reading the body");
    connection.send(&body[..10]);
    let server = fixture.take_server();
    let stopping = fixture.runtime.spawn(server.stop());
    eventually("a closed door", || std::net::TcpStream::connect(address).is_err().then_some(()));
    connection.send(&body[10..]);
    assert_eq!(connection.answer().status, 200);
    fixture.runtime.block_on(stopping).unwrap().unwrap();
    fixture.start();
    fixture.read(&format!("/api/traces/{TRACE}"));
}

/// Such a body was never acknowledged: its client sends it again.
#[test]
fn the_rest_of_a_half_sent_body_is_not_waited_for_long() {
    let mut fixture = Fixture::new();
    let address = fixture.address();
    let body = batch_of(TRACE, "root").to_string();
    let halves = ["/v1/traces/ingest", &format!("/v1/traces/{TRACE}/annotations")].map(|path| {
        let headers = [("Expect", "100-continue"), ("Content-Type", "application/json")];
        let whole = request(address, "POST", path, &headers, body.as_bytes());
        let mut connection = Connection::open(address);
        connection.send(&whole[..whole.len() - body.len()]);
        assert_eq!(connection.head().0, 100, "the server is reading the body");
        connection.send(b"{");
        connection
    });
    let server = fixture.take_server();
    let stopping = fixture.runtime.spawn(server.stop());
    let [mut ingest, mut note] = halves;
    let refusal = ingest.answer();
    assert_eq!((refusal.status, refusal.code().as_str()), (503, "stopping"));
    assert!(note.answer().status >= 400);
    fixture.runtime.block_on(stopping).unwrap().unwrap();
}

#[test]
fn stopping_under_load_loses_nothing_acknowledged() {
    let mut fixture = Fixture::new();
    let address = fixture.address();
    let is_over = AtomicBool::new(false);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let (is_over, server) = (&is_over, fixture.take_server());
        let send = |thread: u32| {
            let mut acknowledged = Vec::new();
            for n in 0u32.. {
                let trace = format!("{thread:016x}{:016x}", n + 1);
                let body = batch_of(&trace, "root").to_string();
                let whole = request(address, "POST", "/v1/traces/ingest", &[], body.as_bytes());
                if is_over.load(Ordering::SeqCst) || !accepted(address, &whole) {
                    return acknowledged;
                }
                acknowledged.push(trace);
            }
            acknowledged
        };
        let threads: Vec<_> = (1..=4).map(|thread| scope.spawn(move || send(thread))).collect();
        eventually("some load", || {
            let stats = fixture.runtime.block_on(async { probe(address) });
            (stats >= 40).then_some(())
        });
        fixture.runtime.block_on(server.stop()).unwrap();
        is_over.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(acknowledged.len() >= 40);
    fixture.start();
    for trace in acknowledged {
        fixture.read(&format!("/api/traces/{trace}"));
    }
}

/// Whether one request was answered 200; a server that is gone answers nothing.
fn accepted(address: std::net::SocketAddr, whole: &[u8]) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(crate::http::PATIENCE)).unwrap();
    let mut start = [0; 12];
    stream.write_all(whole).is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start.ends_with(b"200")
}

fn probe(address: std::net::SocketAddr) -> u64 {
    let health = crate::http::call(address, "GET", "/api/health", &[], b"").json();
    health["ingest"]["batches"].as_str().unwrap().parse().unwrap()
}
