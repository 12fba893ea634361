//! Open spans are shown while they run, short ones cost nothing, and the process says it lives.

use std::sync::Arc;

use staso_sdk::record::{Around, SpanContext, SpanHead, Surroundings};
use staso_sdk::{Client, OpenToken, SpanKind, clock, ids};

use crate::peer::{Peer, is_open, spans};
use crate::support::{LONG, client, record};

fn open(client: &Client, name: &str) -> OpenToken {
    let context = SpanContext { agent_name: Some("helper".to_owned()), ..SpanContext::default() };
    let head = SpanHead {
        trace_id: ids::trace_id(),
        span_id: ids::span_id(),
        parent_span_id: None,
        name: name.into(),
        kind: SpanKind::Agent,
        start_ns: clock::wall_ns(),
        surroundings: Around::shared(Surroundings::new(context, 1_000)),
        input: Some(Arc::from(&b"{\"q\":1}"[..])),
    };
    client.open_span(head, clock::mono_ns())
}

fn announced(requests: &[crate::peer::Request]) -> Vec<(String, u64)> {
    requests
        .iter()
        .flat_map(|request| spans(&request.body))
        .filter(is_open)
        .map(|span| (span["name"].as_str().unwrap().to_owned(), span["version"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_long_span_is_announced_once() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client = client(home.path(), Some(&peer.url));
    let token = open(&client, "long");
    peer.wait_until("the announcement", |requests| announced(requests) == [("long".into(), 1)]);
    let span = spans(&peer.batches()[0].body).remove(0);
    assert_eq!((&span["agent_name"], &span["input"]["q"]), (&"helper".into(), &1.into()));
    let alive = |request: &crate::peer::Request| {
        let process = &request.body["processes"][0];
        process["id"] == client.process_id().to_uuid_text() && process["alive_ns"].is_i64()
    };
    peer.wait_until("a heartbeat", |requests| requests.iter().any(alive));
    client.close_span(token);
    client.shutdown(LONG);
    let requests = peer.requests();
    assert_eq!(requests.last().unwrap().body["processes"][0]["goodbye"], true);
    assert_eq!(announced(&requests).len(), 1);
}

#[test]
fn a_span_that_ended_is_not_announced() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let mut config = crate::support::config(home.path(), Some(&peer.url));
    config.flush_interval = std::time::Duration::from_secs(3600);
    let client = Client::start(config);
    for n in 0..100 {
        let token = open(&client, "short");
        client.close_span(token);
        record(&client, &format!("{n}"));
    }
    assert!(client.shutdown(LONG).ok(false));
    assert!(announced(&peer.requests()).is_empty());
    assert_eq!((peer.stored().len(), client.stats().0["announced"]), (100, 0));
}
