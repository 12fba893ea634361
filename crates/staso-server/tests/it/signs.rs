//! Signs of life and when they come.

use serde_json::json;

use crate::fixture::{Fixture, TRACE, span};

const PROCESS: &str = "5b8aa5a2-d2c8-11ef-8321-d59897338ff4";

#[test]
fn a_goodbye_counts_for_spans_that_make_a_new_workspace_after_it() {
    let fixture = Fixture::new();
    let goodbye = json!({"traces": [], "processes": [{"id": PROCESS, "goodbye": true}]});
    fixture.accept("1", &goodbye);
    let mut open = span("00f067aa0ba902b7", None, "open");
    open["provisional"] = true.into();
    open["process_id"] = PROCESS.into();
    let trace = json!({"trace_id": TRACE, "workspace_slug": "late", "spans": [open]});
    fixture.accept("2", &json!({"traces": [trace]}));
    let rows = fixture.read("/api/traces?workspace=late");
    assert_eq!(rows["traces"][0]["open_count"], 1, "{rows}");
    assert_eq!(rows["traces"][0]["state"], "interrupted");
}
