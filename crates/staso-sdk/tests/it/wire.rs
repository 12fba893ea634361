//! What is sent to servers of both ages.

use insta::assert_snapshot;
use staso_sdk::record::{SpanFields, write_dropped, write_span};
use staso_sdk::{CapturePolicy, RecordKind, SpanId, SpanKind, SpanStatus, TraceId};

use crate::peer::{Answer, Peer, spans};
use crate::support::{LONG, client, record};

fn full() -> SpanFields<'static> {
    SpanFields {
        span_id: SpanId::from_w3c([2; 8]),
        parent_span_id: Some(SpanId::from_w3c([1; 8])),
        name: "ask \"it\"",
        kind: SpanKind::Llm,
        start_ns: 1_700_000_000_000_000_000,
        end_ns: 1_700_000_000_500_000_000,
        status: SpanStatus::Timeout,
        error_message: Some("too slow"),
        model: Some("m-1"),
        usage_available: Some(true),
        input_tokens: Some(12),
        session_id: Some("conversation"),
        sample_rate: 0.25,
        capture: CapturePolicy { tool_schema: false, ..CapturePolicy::ALL },
        input: Some(b"[1,null]"),
        output: Some("\"é\"".as_bytes()),
        attributes: Some(b"{\"a\":1}"),
        events: Some(b"[{\"name\":\"e\",\"time_ns\":5,\"attributes\":{}}]"),
        tags: Some(b"[\"t\"]"),
        ..SpanFields::default()
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut json = Vec::new();
    write(&mut json);
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_span() {
    assert_snapshot!(written(|out| write_span(out, &full())));
}

#[test]
fn a_span_the_program_discarded() {
    let (span, parent) = (SpanId::from_w3c([2; 8]), SpanId::from_w3c([1; 8]));
    assert_snapshot!(written(|out| write_dropped(out, span, Some(parent), 1, 2)));
}

#[test]
fn an_older_server_gets_what_it_knows() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(false));
    peer.script(&[Answer::Status(500)]);
    let client = client(home.path(), Some(&peer.url));
    let trace = record(&client, "scored");
    let score = br#"{"id":"x","name":"quality","value":1,"data_type":"numeric"}"#;
    client.append(RecordKind::Annotation, &trace, &SpanId::NIL, score);
    assert!(client.shutdown(LONG).ok(false));
    assert_eq!(peer.stored(), ["scored"]);
    let span = spans(&peer.batches()[0].body).remove(0);
    assert_eq!((&span["input"], &span["attributes"]), (&"".into(), &"{}".into()));
    assert!(span.get("start_ns").is_none() && span["duration_ms"].is_number());
    let requests = peer.requests();
    assert!(requests.iter().all(|request| request.body.get("processes").is_none()));
    let scores: Vec<_> = requests.iter().filter(|r| r.path.ends_with("/annotations")).collect();
    assert_eq!(scores.len(), 1);
    assert_eq!(scores[0].path, format!("/v1/traces/{}/annotations", trace.to_uuid_text()));
    assert_eq!(scores[0].body["name"], "quality");
}

#[test]
fn a_modern_server_gets_scores_with_their_trace() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client = client(home.path(), Some(&peer.url));
    let score = br#"{"id":"x","name":"quality","value":1,"data_type":"numeric"}"#;
    client.append(RecordKind::Annotation, &TraceId([3; 16]), &SpanId::NIL, score);
    assert!(client.flush(LONG).ok(false));
    let trace = &peer.batches()[0].body["traces"][0];
    assert_eq!(trace["annotations"][0]["name"], "quality");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 0);
}
