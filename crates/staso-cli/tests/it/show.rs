//! `staso show`: the tree in the terminal.

use serde_json::{Value as Json, json};

use crate::program::{Serving, run, span, text};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn support_run() -> Json {
    let mut root = span(1, None, "support-agent", 0, 1240);
    root["kind"] = "agent".into();
    root["agent_name"] = "support".into();
    root["input"] = json!({"question": "Where is my order?"});
    root["output"] = json!("It left yesterday.");
    let mut search = span(2, Some(1), "search-orders", 10, 120);
    search["kind"] = "retriever".into();
    let mut fetch = span(3, Some(2), "fetch", 20, 80);
    fetch["kind"] = "tool".into();
    fetch["status"] = "error".into();
    fetch["error_message"] = "503 from the warehouse\u{1b}[2J".into();
    let mut again = span(4, Some(2), "fetch", 101, 25);
    again["kind"] = "tool".into();
    let mut answer = span(5, Some(1), "answer", 200, 900);
    answer["kind"] = "llm".into();
    answer["model"] = "small-1".into();
    answer["input_tokens"] = 1200.into();
    answer["output_tokens"] = 34.into();
    let orphan = span(6, Some(99), "late", 300, 1);
    json!({"traces": [{"trace_id": TRACE, "environment": "test", "session_id": "c-1",
        "spans": [root, search, fetch, again, answer, orphan],
        "annotations": [{"id": "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b", "name": "helpful",
                         "value": true, "data_type": "boolean", "comment": "fast"}]}]})
}

#[test]
fn a_trace_is_a_tree_that_a_person_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    assert_eq!(server.ingest("k", &support_run()).0, 200);
    let shown = run(&server.home, &["show", "latest"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    insta::assert_snapshot!(text(&shown.stdout), @r#"
    ✓ support-agent  ok · 1.24 s · 6 spans · 1 error · 1,234 tokens
      0af7651916cd43dd8448eb211c80319c · 2026-01-01 00:00:00 UTC · agent support · conversation c-1 · environment test
      in  {"question":"Where is my order?"}
      out It left yesterday.
      503 from the warehouse�[2J

    ✓ support-agent       1.24 s  agent
    ├─ ✓ search-orders    120 ms  retriever
    │  ├─ ✗ fetch        80.0 ms  tool       503 from the warehouse�[2J
    │  └─ ✓ fetch        25.0 ms  tool
    └─ ✓ answer           900 ms  llm        small-1  1,234 tokens
    ✓ late               1.00 ms  chain      (its parent has not arrived)

    annotations
      helpful = true  fast
    "#);
    for id in ["0af765", "0AF76519-16CD", TRACE] {
        assert_eq!(run(&server.home, &["show", id]).stdout, shown.stdout, "{id}");
    }
    let home = server.home.clone();
    server.terminate();
    let data = home.join("data");
    let at_rest = run(&home, &["show", "latest", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(text(&at_rest.stdout), text(&shown.stdout), "the same without a server");
}

#[test]
fn what_cannot_be_found_is_said_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let complaint = |home: &std::path::Path, args: &[&str]| {
        let output = run(home, args);
        assert!(!output.status.success(), "{args:?}");
        text(&output.stderr)
    };
    assert!(complaint(&home, &["show", "latest"]).contains("start one with `staso serve`"));
    let server = Serving::start(&home);
    for (args, words) in [
        (vec!["show", "latest"], "has no trace yet"),
        (vec!["show", "0af76"], "give at least 6"),
        (vec!["show", "zebra-crossing"], "not a trace id"),
        (vec!["show", "0af7651916"], "no recent trace begins with"),
        (vec!["show", TRACE], "no trace"),
        (vec!["show", "latest", "--data-dir", "/nowhere"], "there is no data directory /nowhere"),
    ] {
        let told = complaint(&server.home, &args);
        assert!(told.contains(words), "{args:?}: {told}");
    }
    for n in 1..=2 {
        let mut body = support_run();
        body["traces"][0]["trace_id"] = format!("abcdef{n:026x}").into();
        server.ingest(&n.to_string(), &body);
    }
    let told = complaint(&server.home, &["show", "abcdef"]);
    assert!(told.contains("2 traces begin with abcdef"), "{told}");
}
