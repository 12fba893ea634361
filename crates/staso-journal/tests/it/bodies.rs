//! The two forms of a batch on the wire, side by side.

use insta::assert_snapshot;
use staso_journal::{
    Batch, Destination, Journal, JournalOptions, ProcessSign, RecordKind, SpanFront, Stamp,
    WireForm, process_body,
};
use staso_model::{ProcessId, SpanId, TraceId};

use crate::support::ALL;

const FINISHED: &str = r#"{"start_ns":1700000000123456789,"end_ns":1700000000373456789,"span_id":"00000000-0000-0000-0000-000000000002","parent_span_id":"00000000-0000-0000-0000-000000000001","name":"naïve \"look-up\"","kind":"tool","status":"error","error_message":"no","process_id":"09090909-0909-0909-0909-090909090909","usage_available":null,"input_tokens":3,"sample_rate":0.5,"input":{"q":"日本 🦀","n":[1,2.5]},"output":"line\nbreak","attributes":{"k":"v\\"},"events":[{"name":"e"}],"tags":["t"]}"#;
const OPEN_ROOT: &str = r#"{"start_ns":1700000000000000000,"span_id":"00000000-0000-0000-0000-000000000001","parent_span_id":null,"name":"turn","kind":"agent","provisional":true,"version":1,"attributes":{"a":1}}"#;
const OPEN_CHILD: &str = r#"{"start_ns":1700000000000000001,"span_id":"00000000-0000-0000-0000-000000000003","parent_span_id":"00000000-0000-0000-0000-000000000001","name":"step","kind":"chain","provisional":true,"version":1}"#;
const PROCESS: &str = r#","process_id":"09090909-0909-0909-0909-090909090909""#;
const HOME: &str = r#","agent_name":"helper""#;
const SCORE: &str = r#"{"id":"0a","name":"relevance","value":0.5,"data_type":"numeric","span_id":"00000000-0000-0000-0000-000000000002"}"#;

fn batch() -> Batch {
    batch_of(|journal| {
        for (kind, trace, n, json) in [
            (RecordKind::Provisional, 1, 2, OPEN_CHILD),
            (RecordKind::Provisional, 1, 1, OPEN_ROOT),
            (RecordKind::Span, 1, 2, FINISHED),
            (RecordKind::Provisional, 2, 3, OPEN_CHILD),
            (RecordKind::Annotation, 1, 2, SCORE),
        ] {
            journal.append(kind, &TraceId([trace; 16]), &span(n), json.as_bytes()).unwrap();
        }
    })
}

fn span(n: u8) -> SpanId {
    SpanId::from_w3c([0, 0, 0, 0, 0, 0, 0, n])
}

fn batch_of(fill: impl FnOnce(&Journal)) -> Batch {
    let dir = tempfile::tempdir().unwrap();
    let destination = Destination {
        workspace: Some("shop".to_owned()),
        environment: Some("prod \"x\"".to_owned()),
        ..Destination::local()
    };
    let options = JournalOptions::default();
    let journal =
        Journal::open(dir.path().to_owned(), destination, ProcessId([9; 16]), options).unwrap();
    let journal = journal.with_stamp(&Stamp { process: PROCESS.to_owned(), home: HOME.to_owned() });
    fill(&journal);
    journal.next_batch(ALL).unwrap().unwrap()
}

fn text(body: Vec<u8>) -> String {
    let text = String::from_utf8(body).unwrap();
    let _: serde_json::Value = serde_json::from_str(&text).unwrap();
    // One line a span reads better.
    text.replace("{\"start_ns\"", "\n{\"start_ns\"")
        .replace("{\"timestamp\"", "\n{\"timestamp\"")
        .replace("{\"trace_id\"", "\n{\"trace_id\"")
        .replace("\"annotations\"", "\n\"annotations\"")
}

#[test]
fn values() {
    let batch = batch();
    assert_eq!(batch.trace_count(WireForm::Values), 2);
    assert_snapshot!(text(batch.body(WireForm::Values)));
}

#[test]
fn text_for_older_servers() {
    let batch = batch();
    let body = text(batch.body(WireForm::Text));
    assert!(body.is_ascii());
    assert_eq!(batch.trace_count(WireForm::Text), 1);
    assert_eq!(batch.annotations().count(), 1);
    assert_snapshot!(body);
}

#[test]
fn a_process_speaks_for_itself() {
    let body = |sign| text(process_body(ProcessId([9; 16]), sign));
    assert_snapshot!(body(ProcessSign::Alive(12)), @r#"{"traces":[],"processes":[{"id":"09090909-0909-0909-0909-090909090909","alive_ns":12}]}"#);
    assert_snapshot!(body(ProcessSign::Goodbye), @r#"{"traces":[],"processes":[{"id":"09090909-0909-0909-0909-090909090909","goodbye":true}]}"#);
}

/// A record that was kept in parts is the same object on the wire as if it had been kept whole.
#[test]
fn a_span_in_parts_is_whole_on_the_wire() {
    let members = r#""name":"look-up","kind":"tool","input":{"q":"日本"}"#;
    let ids = (TraceId([7; 16]), span(2));
    let front =
        |parent_id, is_at_home| SpanFront { start_ns: -5, end_ns: i64::MAX, parent_id, is_at_home };
    for (parent_id, parent_json) in
        [(None, "null"), (Some(span(1)), "\"00000000-0000-0000-0000-000000000001\"")]
    {
        for (members, is_at_home, rest) in [
            (members, false, format!(",{members}")),
            (members, true, format!(",{members}{HOME}")),
            ("", false, String::new()),
            ("", true, HOME.to_owned()),
        ] {
            let in_parts = batch_of(|journal| {
                journal
                    .append_span(&ids.0, &ids.1, &front(parent_id, is_at_home), members.as_bytes())
                    .unwrap();
            });
            let whole = batch_of(|journal| {
                let json = format!(
                    r#"{{"start_ns":-5,"end_ns":{},"span_id":"00000000-0000-0000-0000-000000000002","parent_span_id":{parent_json}{rest}{PROCESS}}}"#,
                    i64::MAX
                );
                journal.append(RecordKind::Span, &ids.0, &ids.1, json.as_bytes()).unwrap();
            });
            assert_eq!(in_parts.records[0].start_ns(), Some(-5));
            for form in [WireForm::Values, WireForm::Text] {
                assert_eq!(text(in_parts.body(form)), text(whole.body(form)));
            }
        }
    }
}
