//! What a trace says of itself beside its spans.

use serde_json::json;

use crate::fixture::{Fixture, TRACE, span};

const ROOT: &str = "00f067aa0ba902b7";
const CALL: &str = "00f067aa0ba902b8";

#[test]
fn what_is_said_of_a_trace_or_a_list_is_what_is_stored_at_any_sample_rate() {
    let fixture = Fixture::new();
    let mut root = span(ROOT, None, "root");
    root["sample_rate"] = 0.25.into();
    let mut call = span(CALL, Some(ROOT), "call");
    call["kind"] = "llm".into();
    call["input_tokens"] = 100.into();
    call["output_tokens"] = 10.into();
    call["sample_rate"] = 0.125.into();
    fixture.accept("1", &json!({"traces": [{"trace_id": TRACE, "spans": [root, call]}]}));
    let whole = fixture.read(&format!("/api/traces/{TRACE}"));
    let row = &whole["trace"];
    assert_eq!((&row["total_tokens"], &row["span_count"]), (&json!(110), &json!(2)));
    // A count beside a filter says how many rows a click shows.
    let facet = fixture.read("/api/facets?field=name");
    assert_eq!(facet, json!({"values": [{"value": "root", "count": 1}]}));
    // What a metric over many traces weighs them by is with every span.
    let rates: Vec<_> =
        whole["spans"].as_array().unwrap().iter().map(|s| &s["sample_rate"]).collect();
    assert_eq!(rates, [&json!(0.25), &json!(0.125)]);
}

#[test]
fn totals_of_a_trace_are_not_added_to_spans_of_another_message() {
    let fixture = Fixture::new();
    let mut call = span(CALL, Some(ROOT), "call");
    call["kind"] = "llm".into();
    call["input_tokens"] = 100.into();
    call["output_tokens"] = 10.into();
    fixture.accept("1", &json!({"traces": [{"trace_id": TRACE, "spans": [call]}]}));
    let root = json!({"trace_id": TRACE, "input_tokens": 100, "output_tokens": 10,
                      "total_tokens": 110, "spans": [span(ROOT, None, "root")]});
    fixture.accept("2", &json!({"traces": [root.clone()]}));
    let row = fixture.read(&format!("/api/traces/{TRACE}"))["trace"].clone();
    assert_eq!(row["total_tokens"], 110, "{row}");
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(100), &json!(10)));

    // Where nobody else counts, they stand.
    let alone = TRACE.replace("0af7", "0bf7");
    let mut body = root;
    body["trace_id"] = alone.as_str().into();
    fixture.accept("3", &json!({"traces": [body]}));
    assert_eq!(fixture.read(&format!("/api/traces/{alone}"))["trace"]["total_tokens"], 110);
}
