//! Exports: what was recorded comes out as lines, and those lines make the same again elsewhere.

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, span};
use crate::http::Answer;

fn lines(answer: &Answer) -> Vec<Json> {
    let kind = answer.header("content-type").unwrap();
    assert_eq!((answer.status, kind), (200, "application/x-ndjson"));
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(n: u64) -> String {
    format!("{n:032x}")
}

/// A trace with everything the native wire can say.
fn rich(n: u64, spans: u64) -> Json {
    let mut root = span("00f067aa0ba90001", None, "answer");
    root["input"] =
        json!({"question": "wo? 在哪里 \u{1f600}", "n": 12_345_678_901_234_567_890_u64});
    root["output"] = "plain".into();
    root["output_is_text"] = true.into();
    root["attributes"] = json!({"tier": "gold", "ratio": 0.1});
    root["tags"] = json!(["a", "b"]);
    root["session_id"] = "chat".into();
    root["user_id"] = "ann".into();
    root["events"] =
        json!([{"time_ns": 5, "name": "exception", "attributes": {"exception.type": "E"}}]);
    let mut children: Vec<Json> = (2..=spans)
        .map(|i| span(&format!("00f067aa0ba9{i:04x}"), Some("00f067aa0ba90001"), "step"))
        .collect();
    children.push(root);
    json!({"traces": [{"trace_id": id(n), "timestamp": "2026-01-01T00:00:00Z", "spans": children,
        "annotations": [{"id": id(100 + n), "name": "helpful", "value": 0.5, "data_type": "numeric",
                         "comment": "so so", "source": "human", "author": "eve"}]}]})
}

/// A trace as the API shows it, less what says when this server heard of it.
fn shown(fixture: &Fixture, trace: u64) -> Json {
    let mut answer = fixture.read(&format!("/api/traces/{}", id(trace)));
    fn forget(value: &mut Json) {
        match value {
            Json::Object(object) => {
                object.retain(|key, _| !key.contains("received"));
                object.values_mut().for_each(forget);
            }
            Json::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    forget(&mut answer);
    answer.as_object_mut().unwrap().remove("now_ns");
    answer
}

#[test]
fn what_is_exported_makes_the_same_again() {
    let fixture = Fixture::new();
    for (n, spans) in [(1, 1), (2, 3), (3, 1_200)] {
        fixture.accept(&format!("k{n}"), &rich(n, spans));
    }
    let found = lines(&fixture.get("/api/export"));
    // A large trace is several lines; the newest trace comes first, ties by id.
    let traces: Vec<&str> = found.iter().map(|line| line["trace_id"].as_str().unwrap()).collect();
    assert_eq!(traces.len(), 5);
    assert!(traces.is_sorted_by(|a, b| a >= b), "{traces:?}");

    let other = Fixture::new();
    other.clock.advance(std::time::Duration::from_secs(60));
    // As text: a reader that takes them apart and writes them anew may lose spaces and digits.
    let exported = String::from_utf8(fixture.get("/api/export").body).unwrap();
    for line in exported.lines() {
        let body = format!("{{\"traces\":[{line}]}}");
        let answer = other.post("/v1/traces/ingest", &[], body.as_bytes());
        assert_eq!((answer.status, &answer.json()["repaired"]), (200, &json!([])));
    }
    for n in 1..=3 {
        assert_eq!(shown(&other, n), shown(&fixture, n));
    }
}

#[test]
fn pages_go_on_where_the_one_before_ended() {
    let fixture = Fixture::new();
    for n in 1..=5 {
        fixture.accept(&format!("k{n}"), &rich(n, 1));
    }
    let mut found = Vec::new();
    let mut path = "/api/export?limit=2".to_owned();
    loop {
        let answer = fixture.get(&path);
        found.extend(lines(&answer));
        let Some(cursor) = answer.header("staso-next-cursor") else { break };
        path = format!("/api/export?limit=2&cursor={cursor}");
    }
    let whole = fixture.get("/api/export");
    assert_eq!(whole.header("staso-next-cursor"), None);
    assert_eq!(found, lines(&whole));
    assert_eq!(found.len(), 5);
}

#[test]
fn a_span_under_a_dropped_one_stays_in_its_place() {
    let fixture = Fixture::new();
    let mut dropped = span("00f067aa0ba90002", Some("00f067aa0ba90001"), "noise");
    dropped["dropped"] = true.into();
    let spans = [
        span("00f067aa0ba90001", None, "answer"),
        dropped,
        span("00f067aa0ba90003", Some("00f067aa0ba90002"), "step"),
    ];
    fixture.accept("k", &json!({"traces": [{"trace_id": id(1), "spans": spans}]}));
    let found = lines(&fixture.get("/api/export"));
    let exported = found[0]["spans"].as_array().unwrap();
    assert_eq!(exported.len(), 2);
    let parent = exported[1]["parent_span_id"].as_str().unwrap();
    assert!(parent.ends_with("0ba90001"), "{parent}");
}

#[test]
fn only_what_was_asked_for_is_exported() {
    let fixture = Fixture::new();
    fixture.accept("k1", &rich(1, 1));
    let mut other = rich(2, 1);
    other["traces"][0]["workspace_slug"] = "elsewhere".into();
    other["traces"][0]["environment"] = "staging".into();
    fixture.accept("k2", &other);
    for (path, count) in [
        ("/api/export", 1),
        ("/api/export?workspace=elsewhere", 1),
        ("/api/export?workspace=elsewhere&environment=production", 0),
        ("/api/export?filter=user:ann", 1),
        ("/api/export?filter=user:bob", 0),
        ("/api/export?to=2025-01-01", 0),
        ("/api/export?workspace=unheard-of", 0),
    ] {
        assert_eq!(lines(&fixture.get(path)).len(), count, "{path}");
    }
    for path in [
        "/api/export?format=xml",
        "/api/export?limit=0",
        "/api/export?cursor=x",
        "/api/export?sort=cost",
    ] {
        let answer = fixture.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
    }
}
