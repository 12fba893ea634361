//! Retention through the real server: what is older than it keeps goes by itself, and the numbers say so.

use std::time::Duration;

use serde_json::json;

use crate::fixture::{Fixture, TRACE, batch_of, eventually};

const OTHER: &str = "1af7651916cd43dd8448eb211c80319c";

fn number(fixture: &Fixture, name: &str) -> u64 {
    let text = String::from_utf8(fixture.get("/metrics").body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn what_is_older_than_it_keeps_goes_by_itself() {
    let mut fixture = Fixture::stopped("retention_days = 7\nworkspace_retention = ['kept=0']");
    fixture.start();
    fixture.accept("k1", &batch_of(TRACE, "root"));
    let mut kept = batch_of(TRACE, "root");
    kept["traces"][0]["workspace_slug"] = json!("kept");
    fixture.accept("k2", &kept);
    // A week and a day later it is written to again.
    fixture.clock.advance(Duration::from_secs(8 * 86_400));
    fixture.accept("k3", &batch_of(OTHER, "root"));
    fixture.restart();
    eventually("the old trace to go", || {
        (fixture.get(&format!("/api/traces/{TRACE}")).status == 404).then_some(())
    });
    assert_eq!(fixture.get(&format!("/api/traces/{OTHER}")).status, 200);
    eventually("the numbers", || {
        (number(&fixture, "staso_retention_traces_total") == 1).then_some(())
    });
    assert_eq!(number(&fixture, "staso_retention_spans_total"), 1);
    assert_eq!(number(&fixture, "staso_store_traces"), 2);
}
