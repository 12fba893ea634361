//! What may leave the program: each capture category off by itself, and the redaction over every path.

use serde_json::{Value, json};
use staso_sdk::{
    Annotation, CaptureCategory, CapturePolicy, Field, RecordKind, SpanKind, SpanStatus, ToldHead,
};

use crate::tape::Tape;
use crate::toy::{Redaction, World, int, map, raised, template, text};

const CANARY: &str = "canary-4711";

/// A span of each kind, with the canary everywhere.
fn record(capture: CapturePolicy) -> Tape {
    let tape = Tape::with(|mut recorder| {
        recorder.capture = capture;
        recorder
    });
    let world = World::new();
    for kind in [SpanKind::Chain, SpanKind::Llm, SpanKind::Tool] {
        let span = world.open_as(&format!("{kind} {CANARY}"), kind, None);
        let error = raised("E", &format!("{kind} error {CANARY}"));
        span.change(|held| {
            let own = format!("{kind} metadata {CANARY}");
            held.metadata = Some(map(&[("own", text(&own)), ("code.function", text("f"))]));
            drop(held.set_input(text(&format!("{kind} input {CANARY}"))));
            drop(held.set_output(text(&format!("{kind} output {CANARY}"))));
        });
        world.leave_with(&span, &error, SpanStatus::Error);
        let fine = world.open_as(&format!("fine {kind}"), kind, None);
        fine.node().life(|life| life.force(SpanStatus::Ok));
        fine.change(|held| drop(held.describe(Some(text(&format!("{kind} reason {CANARY}"))))));
        world.close(&fine);
    }
    tape
}

fn told(tape: &Tape) -> String {
    tape.texts(RecordKind::Span).join("\n")
}

#[test]
fn each_category_hides_what_it_covers() {
    let all = told(&record(CapturePolicy::ALL));
    for kind in ["chain", "llm", "tool"] {
        for part in ["input", "output", "error", "metadata", "reason"] {
            assert!(all.contains(&format!("{kind} {part} {CANARY}")), "{kind} {part}");
        }
    }
    for category in CaptureCategory::ALL {
        let mut capture = CapturePolicy::ALL;
        match category {
            CaptureCategory::Request => capture.request = false,
            CaptureCategory::SystemPrompt => capture.system_prompt = false,
            CaptureCategory::ToolSchema => capture.tool_schema = false,
            CaptureCategory::ToolArguments => capture.tool_arguments = false,
            CaptureCategory::Output => capture.output = false,
        }
        let tape = record(capture);
        let said = told(&tape);
        let tells = |part: &str| said.contains(&format!("{part} {CANARY}"));
        let is_off = |other: CaptureCategory| *category == other;
        assert!(!tells("llm input"), "a model's input needs all: {category:?}");
        assert!(!tells("error") && !tells("reason"), "errors need all: {category:?}");
        assert_eq!(tells("chain input"), !is_off(CaptureCategory::Request));
        assert_eq!(tells("tool input"), !is_off(CaptureCategory::ToolArguments));
        assert_eq!(tells("tool output"), !is_off(CaptureCategory::Output));
        assert_eq!(tells("tool metadata"), !is_off(CaptureCategory::Request));
        assert!(tape.spans().iter().all(|span| span.get("events").is_none()));
    }
}

#[test]
fn without_requests_names_and_metadata_say_only_how_it_worked() {
    let tape = record(CapturePolicy { request: false, ..CapturePolicy::ALL });
    let spans = tape.spans();
    assert_eq!(spans[0]["name"], "chain span");
    assert_eq!(spans[0]["attributes"], json!({"code.function": "f"}));
    // A tool's name is the program's own.
    assert_eq!(spans[4]["name"], format!("tool {CANARY}"));
}

#[test]
fn a_prepared_call_hides_the_same() {
    let tape = Tape::with(|mut recorder| {
        recorder.capture = CapturePolicy { request: false, ..CapturePolicy::ALL };
        recorder
    });
    let world = World::new();
    let template = template(&[("secret", text(CANARY)), ("tool_name", text("search"))], None);
    let call = world.call("search", &template, "{}");
    world.close(&call);
    assert_eq!(tape.span("search")["attributes"], json!({"tool_name": "search"}));
}

#[test]
fn a_redaction_sees_every_text_with_its_path() {
    let redaction = Redaction(|path, text| match text.contains(CANARY) {
        true => format!("[{path}]"),
        false => text.to_owned(),
    });
    let tape = Tape::with(|recorder| recorder.with_redaction(Some(redaction)));
    let world = World::new();
    let scope = world.enter(Some(CANARY), None).unwrap();
    let span = world.open(CANARY);
    for field in &Field::ALL[..9] {
        if *field != Field::SessionId {
            span.set(*field, text(CANARY));
        }
    }
    span.change(|held| {
        held.metadata = Some(map(&[(CANARY, text(CANARY))]));
        drop(held.set_input(map(&[(CANARY, int(1)), ("k", text(CANARY))])));
        drop(held.set_output(text(CANARY)));
    });
    let score = Annotation::new(text(CANARY), text(CANARY), "categorical", Some(text(CANARY)));
    assert!(world.annotate(&span, score.unwrap()));
    world.leave_with(&span, &raised(CANARY, CANARY), SpanStatus::Error);
    world.exit(&scope);

    let found = tape.span("[name]");
    for field in &Field::ALL[..9] {
        assert_eq!(found[field.as_str()], format!("[{}]", field.as_str()));
    }
    assert_eq!(found["attributes"], json!({"[metadata]": "[metadata]"}));
    assert_eq!(found["input"], json!({"[input]": 1, "k": "[input]"}));
    assert_eq!(
        (&found["output"], &found["error_message"]),
        (&json!("[output]"), &json!("[error_message]"))
    );
    let event = &found["events"][0]["attributes"];
    for name in ["exception.type", "exception.message", "exception.stacktrace"] {
        assert_eq!(event[name], format!("[events.{name}]"));
    }
    let score = tape.annotations().remove(0);
    let told = ["name", "value", "comment"].map(|part| score[part].clone());
    assert_eq!(told, ["[name]", "[value]", "[comment]"].map(Value::from));
    let everything = told_of(&tape);
    assert!(!everything.contains(CANARY), "{everything}");
}

/// What a span that is still open announces has passed the redaction too.
#[test]
fn an_announced_head_is_redacted() {
    let tape = Tape::with(|recorder| {
        recorder.with_redaction(Some(Redaction(|path, text| format!("{path} of {}", text.len()))))
    });
    let world = World::new();
    let context =
        staso_sdk::record::SpanContext { session_id: Some("12".to_owned()), ..Default::default() };
    let mut host = world.host(tape.recorder);
    let head = ToldHead::of(&mut host, tape.recorder, ("abc".into(), SpanKind::Chain), &context);
    assert_eq!(head.name, "name of 3");
    assert_eq!(head.surroundings.context.session_id.as_deref(), Some("session_id of 2"));
}

fn told_of(tape: &Tape) -> String {
    let kinds = [RecordKind::Span, RecordKind::Annotation];
    kinds.map(|kind| tape.texts(kind).join("\n")).join("\n")
}
