//! The query API.

use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, TRACE, batch_of, span};

const ROOT: &str = "00f067aa0ba902b7";
const CHILD: &str = "00f067aa0ba902b8";

fn tree() -> Json {
    let mut root = span(ROOT, None, "agent-run");
    root["kind"] = "agent".into();
    root["agent_name"] = "support".into();
    let mut child = span(CHILD, Some(ROOT), "call");
    child["kind"] = "llm".into();
    child["model"] = "m-1".into();
    child["input_tokens"] = 10.into();
    child["output_tokens"] = 3.into();
    child["status"] = "error".into();
    child["error_message"] = "boom".into();
    child["attributes"] = "{\"big\": 9007199254740993, \"n\": {\"deep\": [1, null]}}".into();
    let orphan = span("00f067aa0ba902b9", Some("ffffffffffffffff"), "orphan");
    json!({"traces": [{"trace_id": TRACE, "environment": "test", "session_id": "c-1",
                       "spans": [child, orphan, root]}]})
}

#[test]
fn a_skeleton_is_columns_in_tree_order() {
    let fixture = Fixture::new();
    fixture.accept("k", &tree());
    let mut skeleton = fixture.read(&format!("/api/traces/{TRACE}/skeleton"));
    let row = skeleton["trace"].take();
    assert_eq!(row["span_count"], 3);
    assert_eq!(row["name"], "agent-run");
    insta::assert_snapshot!(skeleton.to_string(), @r#"{"trace":null,"annotations":[],"base_ns":"1767225600000000000","names":["agent-run","call","orphan"],"agents":["support"],"models":["m-1"],"span_id":["00f067aa0ba902b7","00f067aa0ba902b8","00f067aa0ba902b9"],"parent":[-1,0,-1],"depth":[0,1,0],"subtree_end":[2,2,3],"name":[0,1,2],"kind":["agent","llm","chain"],"agent":[0,-1,-1],"model":[-1,0,-1],"start_offset_ns":[0,0,0],"duration_ns":[5000000,5000000,5000000],"status":["ok","error","ok"],"open":[false,false,false],"missing_parent":[false,false,true],"error":[false,true,false],"tokens":[null,13,null],"cost_nano_usd":[null,null,null],"annotation_count":[0,0,0],"repaired":[false,false,false],"interrupted":[false,false,false]}"#);
}

#[test]
fn a_trace_comes_whole_or_without_its_content() {
    let fixture = Fixture::new();
    fixture.accept("k", &tree());
    let whole = fixture.read(&format!("/api/traces/{TRACE}"));
    let names: Vec<_> = whole["spans"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["agent-run", "call", "orphan"]);
    assert_eq!(whole["spans"][0]["input"], json!({"format": "json", "text": "{\"q\": 1}"}));
    assert_eq!(whole["spans"][2]["missing_parent"], true);
    let bare = fixture.read(&format!("/api/traces/{TRACE}?payloads=false"));
    assert_eq!(bare["spans"][0]["input"], Json::Null);
    assert_eq!(bare["trace"], whole["trace"]);
}

#[test]
fn a_span_keeps_every_digit() {
    let fixture = Fixture::new();
    fixture.accept("k", &tree());
    let span = fixture.read(&format!("/api/spans/{TRACE}/{CHILD}"));
    assert_eq!(span["metadata"], json!({"big": "9007199254740993", "n": {"deep": [1, null]}}));
    assert_eq!(span["start_ns"], "1767225600000000000");
    assert_eq!(span["duration_ns"], "5000000");
    assert_eq!(span["usage"]["total"], 13);
    assert_eq!((&span["depth"], &span["missing_parent"]), (&json!(1), &json!(false)));
    let orphan = fixture.read(&format!("/api/spans/{TRACE}/00f067aa0ba902b9"));
    assert_eq!((&orphan["depth"], &orphan["missing_parent"]), (&json!(0), &json!(true)));
    let by_uuid = "0af76519-16cd-43dd-8448-eb211c80319c/00000000-0000-0000-00F0-67AA0BA902B8";
    assert_eq!(fixture.read(&format!("/api/spans/{by_uuid}")), span, "any form of an id");
}

#[test]
fn a_child_of_a_discarded_span_names_the_span_it_hangs_under() {
    let fixture = Fixture::new();
    let gone = "00f067aa0ba902c0";
    let dropped = json!({"span_id": gone, "parent_span_id": ROOT, "dropped": true});
    let spans = [span(CHILD, Some(gone), "child"), dropped, span(ROOT, None, "root")];
    let answer = fixture.accept("k", &json!({"traces": [{"trace_id": TRACE, "spans": spans}]}));
    assert_eq!(answer["repaired"], json!([]), "a discarded span has nothing to say besides");
    let alone = fixture.read(&format!("/api/spans/{TRACE}/{CHILD}"));
    let whole = fixture.read(&format!("/api/traces/{TRACE}"));
    assert_eq!(alone["parent_span_id"], ROOT);
    assert_eq!(whole["spans"][1], alone);
    assert_eq!(fixture.read(&format!("/api/traces/{TRACE}/skeleton"))["parent"], json!([-1, 0]));
    assert_eq!(fixture.read(&format!("/api/spans/{TRACE}/{gone}"))["parent_span_id"], ROOT);
    // Where the parent above has not arrived, it is still the one that is waited for.
    let other = TRACE.replace("0af7", "0bf7");
    let lost = "00f067aa0ba902d0";
    let dropped = json!({"span_id": gone, "parent_span_id": lost, "dropped": true});
    let spans = [span(CHILD, Some(gone), "child"), dropped];
    fixture.accept("k2", &json!({"traces": [{"trace_id": other, "spans": spans}]}));
    let orphan = fixture.read(&format!("/api/spans/{other}/{CHILD}"));
    assert_eq!(
        (&orphan["parent_span_id"], &orphan["missing_parent"]),
        (&json!(lost), &json!(true))
    );
}

#[test]
fn pages_cover_everything_once_in_every_order() {
    let fixture = Fixture::new();
    for n in 1..=7u32 {
        let mut body = batch_of(&format!("{n:032x}"), "root");
        body["traces"][0]["spans"][0]["duration_ms"] = (n % 3).into();
        fixture.accept(&format!("k{n}"), &body);
    }
    for sort in ["start", "duration", "cost", "tokens", "spans"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = fixture.read(&format!("/api/traces?limit=3&sort={sort}&cursor={cursor}"));
            for row in page["traces"].as_array().unwrap() {
                seen.push(row["trace_id"].as_str().unwrap().to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7, "{sort}");
    }
}

#[test]
fn lists_are_filtered_by_text_and_time() {
    let fixture = Fixture::new();
    fixture.accept("k", &tree());
    fixture.accept("k2", &batch_of("1af7651916cd43dd8448eb211c80319c", "other"));
    let count = |query: &str| {
        fixture.read(&format!("/api/traces?{query}"))["traces"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 2);
    assert_eq!(count("filter=agent:support"), 1);
    assert_eq!(count("filter=kind:llm%20state:done"), 1);
    assert_eq!(count("filter=NOT%20kind:llm"), 1);
    assert_eq!(count("filter=boom"), 1);
    assert_eq!(count("environment=test"), 1);
    assert_eq!(count("from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00.000000001Z"), 2);
    assert_eq!(count("to=2026-01-01T00:00:00Z"), 0);
    assert_eq!(count("from=1767225600000000001"), 0);
    assert_eq!(count("workspace=other"), 0);
    let facet = fixture.read("/api/facets?field=kind&filter=kind:llm");
    assert_eq!(
        facet,
        json!({"values": [{"value": "agent", "count": 1}, {"value": "chain", "count": 1},
                          {"value": "llm", "count": 1}]})
    );
    let workspaces = fixture.read("/api/facets?field=workspace");
    assert_eq!(workspaces, json!({"values": [{"value": "default", "count": 2}]}));
}

#[test]
fn questions_without_sense_are_refused_with_the_next_step() {
    let fixture = Fixture::new();
    for (path, status, word) in [
        ("/api/traces?filter=colour:red", 400, "status, state, agent"),
        ("/api/traces?limit=0", 400, "1 to 1000"),
        ("/api/traces?limit=1001", 400, "1 to 1000"),
        ("/api/traces?sort=colour", 400, "openapi"),
        ("/api/traces?cursor=nonsense", 400, "next_cursor"),
        ("/api/traces?from=yesterday", 400, "2026-01-31"),
        ("/api/facets?field=colour", 400, "environment"),
        ("/api/facets", 400, "field"),
        ("/api/traces/xyz", 400, "hex"),
        ("/api/traces/0af7651916cd43dd8448eb211c80319d", 404, "workspace"),
        ("/api/traces/0af7651916cd43dd8448eb211c80319d/skeleton", 404, "workspace"),
        ("/api/spans/0af7651916cd43dd8448eb211c80319d/00f067aa0ba902b7", 404, "workspace"),
    ] {
        let answer = fixture.get(path);
        assert_eq!(answer.status, status, "{path}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(word), "{path}: {text}");
    }
}
