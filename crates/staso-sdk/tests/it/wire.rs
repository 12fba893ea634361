//! What is sent to servers of both ages.

use staso_sdk::record::{Entry, stamp, write_dropped};
use staso_sdk::{CapturePolicy, ProcessId, RecordKind, SpanId, TraceId};

use crate::peer::{Answer, Peer, spans};
use crate::support::{LONG, client, record};

#[test]
fn a_span_the_program_discarded() {
    let (span, parent) = (SpanId::from_w3c([2; 8]), SpanId::from_w3c([1; 8]));
    let mut json = Vec::new();
    write_dropped(&mut json, &span, Some(&parent), 1, 2);
    let found: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let wanted = serde_json::json!({
        "start_ns": 1, "end_ns": 2, "span_id": span.to_uuid_text(),
        "parent_span_id": parent.to_uuid_text(), "dropped": true,
    });
    assert_eq!(found, wanted);
}

#[test]
fn every_record_says_who_sampled_and_what_was_captured() {
    let capture = CapturePolicy { tool_schema: false, ..CapturePolicy::ALL };
    let said = |rate| {
        let mut json = br#"{"start_ns":1"#.to_vec();
        json.extend_from_slice(stamp(ProcessId([7; 16]), rate, capture).as_bytes());
        json.push(b'}');
        serde_json::from_slice::<serde_json::Value>(&json).unwrap()
    };
    assert_eq!(said(0.25)["sample_rate"], 0.25);
    assert_eq!(said(0.25)["process_id"], ProcessId([7; 16]).to_uuid_text());
    assert_eq!(said(0.25)["capture"]["tool_schema"], "suppressed");
    assert_eq!(said(0.25)["capture"]["output"], "captured");
    assert!(said(1.0).get("sample_rate").is_none());
}

#[test]
fn an_older_server_gets_what_it_knows() {
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(false));
    peer.script(&[Answer::Status(500)]);
    let client = client(home.path(), Some(&peer.url));
    let trace = record(&client, "scored");
    let score = br#"{"id":"x","name":"quality","value":1,"data_type":"numeric"}"#;
    client.append(&Entry::whole(RecordKind::Annotation, &trace, &SpanId::NIL, score));
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
    client.append(&Entry::whole(RecordKind::Annotation, &TraceId([3; 16]), &SpanId::NIL, score));
    assert!(client.flush(LONG).ok(false));
    let trace = &peer.batches()[0].body["traces"][0];
    assert_eq!(trace["annotations"][0]["name"], "quality");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 0);
}
