//! Recording from Rust: nesting, panics, errors, and nothing before `init`.

use serde_json::json;
use staso_sdk::{SpanKind, SpanStatus};

use crate::peer::{Peer, spans};
use crate::support::{LONG, config};

/// One test, because `init` is for the whole program.
#[test]
fn guards_record_what_happened() {
    let _alone = crate::tape::alone();
    let nothing = staso_sdk::span("before init").start();
    assert!(nothing.trace_id().is_none());
    drop(nothing);

    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client = staso_sdk::init(&config(home.path(), Some(&peer.url)));
    {
        let mut turn = staso_sdk::span("turn").kind(SpanKind::Agent).start();
        turn.set_input(&json!({"q": "?"})).set_metadata("n", &1).set_metadata("n", &2);
        let mut tool = staso_sdk::span("tool").kind(SpanKind::Tool).start();
        tool.record_error(&std::io::Error::other("broken")).set_output(&[1, 2]);
        assert_eq!(tool.trace_id(), turn.trace_id());
        // Dropped out of order: the parent ends first.
        drop(turn);
        drop(tool);
    }
    let panicked = std::panic::catch_unwind(|| {
        let _guard = staso_sdk::span("panics").start();
        std::panic::resume_unwind(Box::new("no"));
    });
    assert!(panicked.is_err());
    let second = staso_sdk::init(&config(home.path(), Some(&peer.url)));
    assert!(!client.is_open());
    drop(staso_sdk::span("after").start());
    assert!(second.shutdown(LONG).ok(false));
    staso_sdk::recorder::uninstall();

    let found: Vec<_> = peer.batches().iter().flat_map(|batch| spans(&batch.body)).collect();
    let named = |name: &str| found.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(named("turn")["input"], json!({"q": "?"}));
    assert_eq!(named("turn")["attributes"], json!({"n": 2}));
    assert_eq!(named("tool")["parent_span_id"], named("turn")["span_id"]);
    assert_eq!(named("tool")["status"], SpanStatus::Error.as_str());
    assert_eq!(named("tool")["error_message"], "broken");
    assert_eq!(named("panics")["status"], "error");
    assert!(named("panics")["parent_span_id"].is_null() && named("after")["status"] == "ok");
}
