//! Deleting over HTTP: hidden at once, watched until it is gone, and refused with the next step.

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, TRACE, batch_of, eventually, span};
use crate::http::{self, Answer};

const OTHER: &str = "1af7651916cd43dd8448eb211c80319c";

fn delete(fixture: &Fixture, path: &str) -> Answer {
    http::call(fixture.address(), "DELETE", path, &[], b"")
}

fn batch(trace_id: &str, users: &[&str], session: &str) -> Json {
    let spans = users.iter().enumerate().map(|(i, user)| {
        let mut span = span(&format!("00f067aa0ba902b{i}"), None, "secret work");
        span["user_id"] = json!(user);
        span["session_id"] = json!(session);
        span
    });
    let spans: Vec<Json> = spans.collect();
    json!({"traces": [{"trace_id": trace_id, "timestamp": "2026-01-01T00:00:00Z", "spans": spans}]})
}

#[test]
fn a_trace_is_hidden_at_once_and_its_job_is_watched() {
    let mut fixture = Fixture::new();
    fixture.accept("k1", &batch_of(TRACE, "root"));
    fixture.accept("k2", &batch_of(OTHER, "root"));
    let answer = delete(&fixture, &format!("/api/traces/{TRACE}"));
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let job = answer.json();
    assert_eq!(
        (&job["traces"], &job["spans"], &job["blanked_spans"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(fixture.get(&format!("/api/traces/{TRACE}")).status, 404);
    assert_eq!(fixture.read("/api/traces")["traces"].as_array().unwrap().len(), 1);
    // Sent again it is answered, and stays away; over a restart, too.
    fixture.accept("k3", &batch_of(TRACE, "root"));
    fixture.restart();
    assert_eq!(fixture.get(&format!("/api/traces/{TRACE}")).status, 404);
    assert_eq!(fixture.get(&format!("/api/traces/{OTHER}")).status, 200);
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    let watched = fixture.read(&path);
    assert_eq!((&watched["id"], &watched["traces"]), (&job["id"], &job["traces"]));
    assert_eq!(fixture.get(&format!("{path}?workspace=other")).status, 404);
    let gone = eventually("the job's end", || {
        Some(fixture.read(&path)).filter(|job| job["state"] == "gone")
    });
    assert_eq!(gone["created_ns"], job["created_ns"]);
}

#[test]
fn a_user_and_a_conversation_are_deleted_by_name() {
    let fixture = Fixture::new();
    fixture.accept("k1", &batch(TRACE, &["ann", "ben"], "c1"));
    fixture.accept("k2", &batch(OTHER, &["ann"], "c2"));
    let job = delete(&fixture, "/api/data?user_id=ann").json();
    assert_eq!((&job["traces"], &job["blanked_spans"]), (&json!(1), &json!(1)), "{job}");
    let left = fixture.read(&format!("/api/traces/{TRACE}")).to_string();
    assert!(!left.contains("ann\"") && left.contains("ben"), "{left}");
    assert_eq!(fixture.get(&format!("/api/traces/{OTHER}")).status, 404);
    let job = delete(&fixture, "/api/data?session_id=c1").json();
    assert_eq!(job["traces"], json!(1), "{job}");
    assert_eq!(fixture.read("/api/traces")["traces"], json!([]));
}

#[test]
fn what_cannot_be_deleted_is_refused_with_the_next_step() {
    let fixture = Fixture::new();
    let cases = [
        ("/api/data", 400, "user_id"),
        ("/api/data?user_id=a&session_id=b", 400, "user_id"),
        ("/api/data?user_id=", 400, "user_id"),
        ("/api/data?user=ann", 400, "openapi"),
        ("/api/traces/nonsense", 400, ""),
        ("/api/traces/0af7651916cd43dd8448eb211c80319f", 404, "already"),
    ];
    for (path, status, hint) in cases {
        let answer = delete(&fixture, path);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path}: {text}");
        assert!(text.contains(hint), "{path}: {text}");
    }
    for id in ["0", "99", "-1", "x", "18446744073709551615"] {
        assert_eq!(fixture.get(&format!("/api/jobs/{id}")).status, 404, "{id}");
    }
}
