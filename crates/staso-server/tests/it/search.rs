//! Search over HTTP: a line per hit as it is found.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, span};
use crate::http::{Connection, PATIENCE, request};
use crate::moody::{Mood, MoodyStore};

/// A trace at a second of the first of January whose one span says something.
fn saying(n: u8, words: &Json) -> Json {
    let mut root = span(&format!("{n:016x}"), None, "turn");
    root["timestamp"] = format!("2026-01-01T00:00:{n:02}Z").into();
    root["input"] = words.clone();
    root["agent_name"] = format!("agent-{}", n % 2).into();
    json!({"traces": [{"trace_id": format!("{n:032x}"), "spans": [root]}]})
}

fn filled() -> Fixture {
    let fixture = Fixture::new();
    for (n, words) in [
        (1, json!({"content": "Where is my ORDER?"})),
        (2, json!("أين طلبي \"الآن\"؟")),
        (3, json!({"content": "line one\nmy order 😀 again"})),
        (4, json!("nothing of the kind")),
    ] {
        fixture.accept(&format!("k{n}"), &saying(n, &words));
    }
    fixture
}

/// The lines of an answer.
fn lines(fixture: &Fixture, query: &str) -> Vec<Json> {
    let answer = fixture.get(&format!("/api/search?{query}"));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn hits_are_lines_and_the_last_says_how_it_ended() {
    let fixture = filled();
    let found = lines(&fixture, "q=My%20order");
    insta::assert_snapshot!(found[0].to_string(), @r#"{"type":"hit","trace_id":"00000000000000000000000000000003","span_id":"0000000000000003","name":"turn","kind":"chain","status":"ok","start_ns":"1767225603000000000","field":"input","snippet":{"text":"{\"content\":\"line one\nmy order 😀 again\"}","start":21,"end":29,"cut_before":false,"cut_after":false}}"#);
    assert_eq!(found[1]["trace_id"], format!("{:032x}", 1));
    assert_eq!(found[2], json!({"type": "end", "complete": true, "next_cursor": null, "hits": 2}));
    assert_eq!(found.len(), 3);
    // Arabic, with a quotation mark that JSON escapes.
    assert_eq!(
        lines(&fixture, "q=%D8%B7%D9%84%D8%A8%D9%8A%20%22")[0]["trace_id"],
        format!("{:032x}", 2)
    );
    assert_eq!(lines(&fixture, "q=nowhere").len(), 1);
}

#[test]
fn a_full_page_says_where_to_go_on() {
    let fixture = filled();
    let page = lines(&fixture, "q=order&limit=1");
    assert_eq!((page.len(), &page[1]["complete"]), (2, &json!(false)));
    let cursor = page[1]["next_cursor"].as_str().unwrap();
    let page = lines(&fixture, &format!("q=order&limit=1&cursor={cursor}"));
    assert_eq!(page[0]["trace_id"], format!("{:032x}", 1));
}

#[test]
fn filters_times_and_workspaces_narrow_it() {
    let fixture = filled();
    let count = |query: &str| lines(&fixture, query).len() - 1;
    assert_eq!(count("q=turn"), 4);
    assert_eq!(count("q=turn&filter=agent:agent-1"), 2);
    assert_eq!(count("q=turn&from=2026-01-01T00:00:02Z&to=2026-01-01T00:00:04Z"), 2);
    assert_eq!(count("q=turn&environment=elsewhere"), 0);
    assert_eq!(count("q=turn&workspace=other"), 0);
}

#[test]
fn lists_take_a_phrase_too() {
    let fixture = filled();
    let traces = |path: &str| fixture.read(path)["traces"].as_array().unwrap().len();
    assert_eq!(traces("/api/traces?q=my%20order"), 2);
    assert_eq!(traces("/api/traces?q=my%20order&filter=agent:agent-0"), 0);
    assert_eq!(traces("/api/traces?q="), 4);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_next_step() {
    let fixture = filled();
    for (query, code) in [
        ("", "bad_parameter"),
        ("q=", "bad_query"),
        ("q=%20", "bad_query"),
        (&*format!("q={}", "x".repeat(501)), "bad_query"),
        ("q=x&limit=0", "bad_parameter"),
        ("q=x&cursor=nonsense", "bad_cursor"),
        ("q=x&filter=status:", "bad_filter"),
        ("q=x&from=yesterday", "bad_parameter"),
        ("q=x&sort=start", "bad_parameter"),
    ] {
        let answer = fixture.get(&format!("/api/search?{query}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{query}");
    }
}

/// A search that finds nothing for long holds its turn; when its client has gone, the turn is free.
#[test]
fn searches_are_bounded_and_end_with_their_client() {
    let store = Arc::new(MoodyStore::new());
    let fixture = Fixture::on(store.clone());
    store.set(Mood::Silent);
    let ask = || {
        let mut connection = Connection::open(fixture.address());
        connection.send(&request(fixture.address(), "GET", "/api/search?q=needle", &[], b""));
        assert_eq!(connection.head().0, 200);
        connection
    };
    let mut waiting: Vec<Connection> = (0..4).map(|_| ask()).collect();
    let refused = fixture.get("/api/search?q=needle");
    assert_eq!((refused.status, refused.code().as_str()), (503, "too_many_searches"));
    assert!(refused.header("retry-after").is_some());
    store.set(Mood::Well);
    waiting.pop();
    let deadline = Instant::now() + PATIENCE;
    while fixture.get("/api/search?q=needle").status != 200 {
        assert!(Instant::now() < deadline, "the turn is never free");
        std::thread::yield_now();
    }
}

#[test]
fn a_search_that_fails_says_so_in_its_last_line() {
    let store = Arc::new(MoodyStore::new());
    let fixture = Fixture::on(store.clone());
    store.set(Mood::Broken);
    let found = lines(&fixture, "q=needle");
    assert_eq!(
        (&found[0]["type"], &found[0]["error"]["code"]),
        (&json!("error"), &json!("store_failed"))
    );
    assert_eq!(found.len(), 1);
}
