//! `staso query`: what it takes, and what a search prints.

use serde_json::{Value as Json, json};

use crate::program::{Serving, run, span, text};

fn runs() -> Json {
    let mut said = span(1, None, "support-agent", 0, 10);
    said["input"] = json!({"q": "Where is\nmy ORDER \u{1b}[31m?"});
    let mut again = span(2, Some(1), "answer", 5, 2);
    again["output"] = format!("{} your order 订单", "long ".repeat(40)).into();
    json!({"traces": [{"trace_id": "0af7651916cd43dd8448eb211c80319c", "spans": [said, again]}]})
}

#[test]
fn hits_are_printed_for_people_and_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    assert_eq!(server.ingest("k", &runs()).0, 200);
    let found = run(&server.home, &["query", "--text", "Order"]);
    assert!(found.status.success(), "{}", text(&found.stderr));
    insta::assert_snapshot!(text(&found.stdout), @r#"
    2026-01-01 00:00:00 UTC  answer  chain  0af7651916cd43dd8448eb211c80319c/0000000000000002
      output: …ong long long long long long long long long long long  your order 订单
    2026-01-01 00:00:00 UTC  support-agent  chain  0af7651916cd43dd8448eb211c80319c/0000000000000001
      input: {"q":"Where is my ORDER �[31m?"}
    2 spans
    "#);
    let lines = run(&server.home, &["query", "--text", "订单", "--json"]);
    let lines: Vec<Json> =
        text(&lines.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["type"], &lines[0]["name"]), (&json!("hit"), &json!("answer")));
    assert_eq!(lines[1], json!({"type": "end", "complete": true, "next_cursor": null, "hits": 1}));
    let page = text(&run(&server.home, &["query", "--text", "order", "--limit", "1"]).stdout);
    let cursor = page.lines().last().unwrap().rsplit_once("--cursor ").unwrap().1;
    let rest = run(&server.home, &["query", "--text", "order", "--cursor", cursor]);
    assert!(text(&rest.stdout).contains("support-agent"), "{}", text(&rest.stdout));
    let none = run(&server.home, &["query", "--text", "nowhere"]);
    assert_eq!(
        (text(&none.stdout).as_str(), none.status.success()),
        ("no span has the phrase\n", true)
    );
}

#[test]
fn a_refusal_is_told_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    for (args, words) in [
        (vec!["query", "--text", " "], "give a phrase"),
        (vec!["query", "--text", "x", "--limit", "0"], "ask for 1 to 1000 rows"),
        (vec!["query", "--text", "x", "--filter", "status:"], "the filter"),
    ] {
        let refused = run(&server.home, &args);
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
    }
}

#[test]
fn one_thing_is_asked_in_sql_or_for_a_phrase() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    for (args, words) in [
        (&["query"][..], "hint: give SQL, as in `staso query 'select"),
        (&["query", "select 1", "--text", "x"], "hint: ask one at a time"),
        (&["query", "--text", "x", "--format", "csv"], "--format"),
        (&["query", "--text", "x", "--max-rows", "5"], "--max-rows"),
        (&["query", "select 1", "--json"], "--text"),
        (&["query", "select 1", "--limit", "5"], "--text"),
        (&["query", "select 1", "select 2"], "select 2"),
    ] {
        let refused = run(&home, args);
        assert!(!refused.status.success(), "{args:?}");
        assert!(text(&refused.stderr).contains(words), "{args:?}: {}", text(&refused.stderr));
    }
}

/// A program that was built without SQL says so, and how to get it.
#[test]
#[cfg(not(feature = "sql"))]
fn what_was_not_built_is_told_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("home"));
    let refused = run(&server.home, &["query", "select 1"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--features sql"), "{}", text(&refused.stderr));
}
