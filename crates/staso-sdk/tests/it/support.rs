//! What the tests share: clients of a temporary state directory, and spans that name themselves.

use std::path::Path;
use std::time::Duration;

use staso_sdk::record::Entry;
use staso_sdk::{Client, Config, JournalChoice, Overrides, RecordKind, TraceId, ids};

pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// Settings that depend on nothing of this machine.
pub(crate) fn config(home: &Path, base_url: Option<&str>) -> Config {
    let overrides = Overrides {
        base_url: base_url.map(str::to_owned),
        api_key: Some("test-key".to_owned()),
        journal: Some(JournalChoice::At(home.to_owned())),
        flush_interval: Some(0.02),
        workspace_slug: Some("shop".to_owned()),
        environment: Some("test".to_owned()),
        capture_git: Some(false),
        ..Overrides::default()
    };
    Config::resolve(&overrides, &|_| None).unwrap()
}

pub(crate) fn client(home: &Path, base_url: Option<&str>) -> Client {
    Client::start(config(home, base_url))
}

/// Records one finished span of this name in a trace of its own.
pub(crate) fn record(client: &Client, name: &str) -> TraceId {
    let (trace_id, span_id) = (ids::trace_id(), ids::span_id());
    let span = serde_json::json!({
        "start_ns": 1, "end_ns": 2, "span_id": span_id.to_uuid_text(), "parent_span_id": null,
        "name": name, "kind": "chain", "status": "ok", "attributes": {},
        "process_id": client.process_id().to_uuid_text(),
    });
    let json = span.to_string();
    let taken =
        client.append(&Entry::whole(RecordKind::Span, &trace_id, &span_id, json.as_bytes()));
    assert!(taken.accepted, "{taken:?}");
    trace_id
}

pub(crate) fn record_all(client: &Client, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("span {n}")).collect();
    for name in &names {
        record(client, name);
    }
    names
}
