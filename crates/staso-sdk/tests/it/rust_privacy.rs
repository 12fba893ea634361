//! A Rust program's redaction and bounds: applied inside of values too.

use std::path::Path;

use serde_json::json;
use staso_sdk::pen::Limits;
use staso_sdk::{SpanStatus, conversation, span};

use crate::peer::{Peer, spans};
use crate::support::{LONG, config};
use crate::tape::{Tape, alone};

const CANARY: &str = "canary-4711";

#[test]
fn a_redaction_hides_a_secret_on_every_path() {
    let _alone = alone();
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client =
        staso_sdk::init_with_redaction(&config(home.path(), Some(&peer.url)), |path, text| {
            assert!(!text.contains("panic, please"), "as it was asked");
            text.contains(CANARY).then(|| format!("[{}]", path.join(".")))
        });
    {
        let _within = conversation(CANARY).user_id(CANARY).enter();
        let call = span(CANARY).start();
        call.set_input(&json!({"messages": [{"content": CANARY, CANARY: 1}], "n": 5, "t": true}));
        call.set_output(CANARY).set_metadata(CANARY, &1).set_tags(&[CANARY]);
        call.set_model(CANARY).set_provider(CANARY).set_reasoning_effort(CANARY);
        call.set_agent_name(CANARY).set_agent_id(CANARY).set_agent_version(CANARY);
        call.annotate(CANARY, CANARY).record_error(&std::io::Error::other(CANARY));
        let failing = span("failing").start();
        failing.set_output("panic, please").set_status(SpanStatus::Error, Some(CANARY));
    }
    assert_eq!(on_disk(home.path()), 0, "in the journal");
    assert!(staso_sdk::shutdown(LONG).ok(false));
    let sent: String = peer.requests().iter().map(|request| request.body.to_string()).collect();
    assert!(!sent.contains(CANARY), "{sent}");
    let found: Vec<_> = peer.batches().iter().flat_map(|batch| spans(&batch.body)).collect();
    // On a slow machine the span is announced while it is open.
    let ended: Vec<_> = found.iter().filter(|span| span.get("end_ns").is_some()).collect();
    let named = |name: &str| ended.iter().find(|span| span["name"] == name).unwrap();
    let call = named("[name]");
    let input = json!({
        "messages": [{"content": "[input.messages.0.content]", "[input.messages.0]": 1}],
        "n": 5, "t": true,
    });
    assert_eq!((&call["input"], &call["output"]), (&input, &json!("[output]")));
    assert_eq!(call["attributes"]["tags"], json!(["[metadata.tags.0]"]));
    assert_eq!((&call["model"], &call["session_id"]), (&json!("[model]"), &json!("[session_id]")));
    assert_eq!(named("failing")["output"], "[redaction failed]");
    drop(client);
}

/// How often the canary stands in the state directory.
fn on_disk(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => on_disk(&path),
            false => occurrences(&path),
        })
        .sum()
}

fn occurrences(path: &Path) -> usize {
    let (bytes, canary) = (std::fs::read(path).unwrap(), CANARY.as_bytes());
    bytes.windows(canary.len()).filter(|window| *window == canary).count()
}

#[test]
fn long_texts_inside_of_values_are_cut() {
    let tape = Tape::with(|mut recorder| {
        recorder.limits = Limits { value_bytes: 100, span_bytes: 4_000 };
        recorder
    });
    span("span").start().set_output(&json!({"short": "s", "long": "l".repeat(1_000), "n": 1}));
    let large: Vec<_> = (0..2_000).map(|n| vec![n]).collect();
    span("large").start().set_output(&large).set_metadata("k", &1);
    let found = tape.span("span");
    assert_eq!((&found["output"]["short"], &found["output"]["n"]), (&json!("s"), &json!(1)));
    assert!(found["output"]["long"].as_str().unwrap().contains("of 1000 bytes cut"));
    let found = tape.span("large");
    assert_eq!((&found["output"][0], &found["attributes"]["k"]), (&json!([0]), &json!(1)));
    assert_eq!(found["output"][1_999], "<span too large>");
}
