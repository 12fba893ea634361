//! `POST /v1/traces/ingest`, as exact as existing clients need it.

use serde_json::json;

use crate::fixture::{Fixture, TRACE, batch_of, span};

#[test]
fn the_answer_has_exactly_the_promised_fields() {
    let fixture = Fixture::new();
    let body = json!({"traces": [
        {"trace_id": TRACE, "spans": [
            span("00f067aa0ba902b7", None, "root"), span("00f067aa0ba902b8", Some("00f067aa0ba902b7"), "leaf")
        ]},
        {"trace_id": "1af7651916cd43dd8448eb211c80319c", "spans": []},
    ]});
    let headers = [("Idempotency-Key", "k-1"), ("X-API-Key", "ak_any_key_is_ignored_on_loopback")];
    let answer = fixture.post("/v1/traces/ingest", &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("staso-capabilities").is_some());
    let expected = json!({"accepted": 2, "rejected": 0, "spans_dropped": 0, "receipt_id": "k-1",
                          "spans": 2, "repaired": []});
    assert_eq!(answer.json(), expected);
}

#[test]
fn without_a_key_the_server_makes_a_receipt() {
    let fixture = Fixture::new();
    let body = batch_of(TRACE, "root").to_string();
    let receipt = || {
        let answer = fixture.post("/v1/traces/ingest", &[], body.as_bytes()).json();
        answer["receipt_id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (receipt(), receipt());
    assert_eq!(one.len(), 36);
    assert_ne!(one, two);
}

#[test]
fn what_is_acknowledged_is_queryable_at_once() {
    let fixture = Fixture::new();
    for n in 0..20 {
        let trace = format!("{n:032x}").replace("00000000000000000000000000000000", TRACE);
        fixture.accept(&format!("k{n}"), &batch_of(&trace, "root"));
        assert_eq!(fixture.read(&format!("/api/traces/{trace}"))["trace"]["span_count"], 1);
    }
}

#[test]
fn a_resend_after_a_restart_gets_the_same_receipt_and_writes_nothing() {
    let mut fixture = Fixture::new();
    // The broken input makes a repair, so that the whole answer is compared.
    let mut body = batch_of(TRACE, "root");
    body["traces"][0]["spans"][0]["input"] = "{broken".into();
    let first = fixture.accept("k", &body);
    assert_eq!(first["repaired"].as_array().unwrap().len(), 1);
    fixture.restart();
    assert_eq!(fixture.accept("k", &body), first);
    let health = fixture.read("/api/health");
    assert_eq!(health["ingest"]["batches"], "0");
    assert_eq!(health["ingest"]["repeated"], "1");
    assert_eq!(health["store"]["spans"], "1");
}

#[test]
fn the_same_key_with_another_body_is_a_new_batch_and_counted() {
    let fixture = Fixture::new();
    fixture.accept("k", &batch_of(TRACE, "one"));
    fixture.accept("k", &batch_of("1af7651916cd43dd8448eb211c80319c", "two"));
    let health = fixture.read("/api/health");
    assert_eq!(health["ingest"]["key_reused"], "1");
    assert_eq!(health["store"]["traces"], "2");
}

#[test]
fn concurrent_duplicates_are_one_batch() {
    let fixture = Fixture::new();
    let spans: Vec<_> = (1..500).map(|n| span(&format!("{n:016x}"), None, "s")).collect();
    let body = json!({"traces": [{"trace_id": TRACE, "spans": spans}]});
    let answers: Vec<_> = std::thread::scope(|scope| {
        let send = || fixture.ingest("k", &body);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
    }
    let health = fixture.read("/api/health");
    assert_eq!(health["ingest"]["batches"], "1");
    assert_eq!(health["ingest"]["repeated"], "7");
}

#[test]
fn repairs_are_listed_with_the_span_and_the_field() {
    let fixture = Fixture::new();
    let body = format!(
        r#"{{"traces": [{{"trace_id": "{TRACE}", "spans": [
            {{"span_id": "00f067aa0ba902b7", "name": "a", "kind": "wizard", "status": "FAILED",
              "timestamp": "yesterday", "input": "{{broken", "attributes": {{"x": NaN}}}},
            42
        ]}}]}}"#
    );
    let answer = fixture.post("/v1/traces/ingest", &[("Idempotency-Key", "k")], body.as_bytes());
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer["spans"], 2);
    let mut fields: Vec<_> = answer["repaired"]
        .as_array()
        .unwrap()
        .iter()
        .map(|repair| {
            assert_eq!(repair["trace_id"], TRACE);
            repair["field"].as_str().unwrap().to_owned()
        })
        .collect();
    fields.sort();
    fields.dedup();
    for field in ["attributes", "input", "kind", "status", "timestamp"] {
        assert!(fields.contains(&field.to_owned()), "{field} is not in {fields:?}");
    }
    let span = fixture.read(&format!("/api/spans/{TRACE}/00f067aa0ba902b7"));
    assert_eq!(span["kind"], "custom");
    assert_eq!(span["status"], "error");
    assert_eq!(span["input"], json!({"format": "text", "text": "{broken"}));
    assert!(span["repairs"].as_array().unwrap().len() >= 5, "{span}");
}

#[test]
fn ids_missing_in_a_batch_are_the_same_in_its_resend_without_a_receipt() {
    let mut fixture = Fixture::new();
    let body = json!({"traces": [{"spans": [{"name": "a"}, {"name": "b"}]}]});
    fixture.accept("k", &body);
    fixture.restart();
    fixture.accept("k", &body);
    assert_eq!(fixture.read("/api/health")["store"]["spans"], "2");
}

#[test]
fn an_unknown_workspace_slug_makes_the_workspace_and_keeps_to_itself() {
    let fixture = Fixture::new();
    let mut body = batch_of(TRACE, "root");
    body["traces"][0]["workspace_slug"] = "team-a".into();
    fixture.accept("k", &body);
    let workspaces = fixture.read("/api/workspaces");
    assert_eq!(workspaces, json!({"workspaces": [{"slug": "team-a", "traces": 1}]}));
    assert_eq!(fixture.get(&format!("/api/traces/{TRACE}")).status, 404);
    fixture.read(&format!("/api/traces/{TRACE}?workspace=team-a"));
    assert_eq!(fixture.get("/v1/setup/validate?workspace_slug=nobody").status, 404);
    let setup = fixture.read("/v1/setup/validate?workspace_slug=team-a&target=python");
    assert_eq!(setup["workspace_slug"], "team-a");
    assert!(setup["last_ingestion_at"].as_str().unwrap().starts_with("2026-01-01T00:00:00"));
}
