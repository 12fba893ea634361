//! The live tail.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, NOON_NS, TRACE, batch_of};
use crate::http::Connection;

/// A listener that reads events.
pub(crate) struct Listener(Connection);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Json,
}

impl Listener {
    pub(crate) fn open(fixture: &Fixture, path: &str, last_event_id: Option<&str>) -> Self {
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n"));
        Self::with(fixture, path, &resume.unwrap_or_default())
    }

    /// A listener that would take its events compressed.
    pub(crate) fn accepting(fixture: &Fixture, path: &str, encodings: &str) -> Self {
        Self::with(fixture, path, &format!("Accept-Encoding: {encodings}\r\n"))
    }

    fn with(fixture: &Fixture, path: &str, headers: &str) -> Self {
        let mut connection = Connection::open(fixture.address());
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        connection.send(head.as_bytes());
        let (status, headers) = connection.head();
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-type".into(), "text/event-stream".into())));
        assert!(headers.iter().all(|(name, _)| name != "content-encoding"));
        Self(connection)
    }

    /// The next event; comments and the frames of the transfer are skipped.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut fields = HashMap::new();
        loop {
            let line = self.0.line();
            if let Some((name, value)) = line.split_once(": ") {
                fields.insert(name.to_owned(), value.to_owned());
            } else if line == "0" {
                return None;
            } else if line.is_empty() && fields.contains_key("event") {
                let mut take = |name: &str| fields.remove(name).unwrap_or_default();
                let data = serde_json::from_str(&take("data")).unwrap();
                return Some(Event { name: take("event"), id: take("id"), data });
            }
        }
    }
}

#[test]
fn a_change_is_heard_and_a_listener_resumes_where_it_was() {
    let fixture = Fixture::new();
    let mut listener = Listener::open(&fixture, "/api/live", None);
    let hello = listener.next().unwrap();
    assert_eq!(hello.name, "hello");
    assert_eq!(hello.data["seq"].to_string(), hello.id);
    fixture.accept("k", &batch_of(TRACE, "root"));
    let heard = listener.next().unwrap();
    assert_eq!(heard.name, "trace");
    assert_eq!(heard.data, json!({"trace_id": TRACE, "workspace": "default", "change": "upsert"}));

    let mut resumed = Listener::open(&fixture, "/api/live", Some(&hello.id));
    assert_eq!(resumed.next().unwrap().name, "hello");
    assert_eq!(resumed.next().unwrap(), heard);
    let mut current = Listener::open(&fixture, "/api/live", Some(&heard.id));
    current.next().unwrap();
    fixture.accept("k2", &batch_of("1af7651916cd43dd8448eb211c80319c", "root"));
    let next = current.next().unwrap();
    assert_eq!(next.data["trace_id"], "1af7651916cd43dd8448eb211c80319c", "nothing twice");
}

#[test]
fn who_comes_from_an_earlier_run_is_reset() {
    let mut fixture = Fixture::new();
    let mut listener = Listener::open(&fixture, "/api/live", None);
    let hello = listener.next().unwrap();
    fixture.accept("k", &batch_of(TRACE, "root"));
    let heard = listener.next().unwrap();
    drop(listener);
    fixture.clock.advance(Duration::from_secs(1));
    fixture.restart();
    for id in [&hello.id, &heard.id, "0", "18446744073709551615"] {
        let mut resumed = Listener::open(&fixture, "/api/live", Some(id));
        assert_eq!(resumed.next().unwrap().name, "hello");
        let reset = resumed.next().unwrap();
        assert_eq!(reset.name, "reset", "{id}");
        fixture.accept(id, &batch_of(TRACE, id));
        assert_eq!(resumed.next().unwrap().name, "trace", "and goes on from there");
    }
}

#[test]
fn a_listener_hears_of_its_workspace_only() {
    let fixture = Fixture::new();
    let mut listener = Listener::open(&fixture, "/api/live?workspace=b", None);
    listener.next().unwrap();
    fixture.accept("k", &batch_of(TRACE, "root"));
    let mut other = batch_of(TRACE, "root");
    other["traces"][0]["workspace_slug"] = "b".into();
    fixture.accept("k2", &other);
    assert_eq!(listener.next().unwrap().data["workspace"], "b");
}

#[test]
fn annotations_and_deletions_are_changes() {
    let fixture = Fixture::new();
    let mut listener = Listener::open(&fixture, "/api/live", None);
    listener.next().unwrap();
    let path = format!("/v1/traces/{TRACE}/annotations");
    let id = "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b";
    let body = json!({"name": "x", "value": 1, "id": id}).to_string();
    assert_eq!(fixture.post(&path, &[], body.as_bytes()).status, 201);
    assert_eq!(listener.next().unwrap().data["trace_id"], TRACE);
    crate::http::call(fixture.address(), "DELETE", &format!("/v1/annotations/{id}"), &[], b"");
    assert_eq!(listener.next().unwrap().data["trace_id"], TRACE);
}

#[test]
fn a_process_that_falls_silent_is_a_change_too() {
    let fixture = Fixture::new();
    let process = "11111111-2222-4333-8444-555555555555";
    let body = json!({"processes": [{"id": process, "alive_ns": NOON_NS}],
        "traces": [{"trace_id": TRACE, "spans": [
            {"span_id": "00f067aa0ba902b7", "name": "open", "provisional": true,
             "process_id": process, "start_ns": NOON_NS}]}]});
    let mut listener = Listener::open(&fixture, "/api/live", None);
    listener.next().unwrap();
    fixture.accept("k", &body);
    listener.next().unwrap();
    let state = || fixture.read("/api/traces")["traces"][0]["state"].clone();
    assert_eq!(state(), "running");
    // The watcher knows a state only after it has looked once, so time passes in steps.
    let heard = std::thread::scope(|scope| {
        let hearing = scope.spawn(|| listener.next().unwrap());
        while !hearing.is_finished() {
            std::thread::sleep(Duration::from_millis(500));
            fixture.clock.advance(Duration::from_secs(9));
        }
        hearing.join().unwrap()
    });
    assert_eq!(heard.data["trace_id"], TRACE);
    assert_eq!(state(), "stalled");
}

#[test]
fn the_stream_ends_with_the_server() {
    let mut fixture = Fixture::new();
    let mut listener = Listener::open(&fixture, "/api/live", None);
    listener.next().unwrap();
    fixture.stop();
    assert_eq!(listener.next(), None);
}

/// An open span in a workspace of its own, with this sign of its process; answers the run state.
fn state_with(sign: Json, pass: Duration) -> Json {
    let fixture = Fixture::new();
    let process = "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b";
    let mut sign = sign;
    sign["id"] = process.into();
    let body = json!({"processes": [sign], "traces": [{"trace_id": TRACE, "workspace_slug": "new",
        "spans": [{"span_id": "00f067aa0ba902b7", "name": "n", "start_ns": NOON_NS,
                   "provisional": true, "process_id": process}]}]});
    fixture.accept("k", &body);
    fixture.clock.advance(pass);
    fixture.read(&format!("/api/traces/{TRACE}?workspace=new"))["trace"]["state"].clone()
}

#[test]
fn a_goodbye_counts_in_a_workspace_that_its_own_batch_makes() {
    assert_eq!(state_with(json!({"goodbye": true}), Duration::ZERO), "interrupted");
}

#[test]
fn a_clock_that_runs_ahead_keeps_no_process_alive() {
    let ahead = json!({"alive_ns": NOON_NS + 1_000_000_000_000_000_000});
    let later = Duration::from_secs(61);
    assert_eq!(state_with(ahead, later), "stalled");
}
