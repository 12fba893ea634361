//! Whole records: every field a span can have, read back as the server reads it.

use serde_json::json;
use staso_model::{Payload, Value};
use staso_sdk::{Annotation, Field, Held, Life, RecordKind, SpanKind, SpanStatus, ids};

use crate::tape::Tape;
use crate::toy::{Thing, World, int, list, map, object, raised, template, text};

/// 22 November 2024.
const START_NS: i64 = 1_732_233_600_000_000_000;

#[test]
fn every_field_arrives() {
    let tape = Tape::with(|recorder| recorder.with_fixed_clock(Some(START_NS)));
    tape.recorder.set_root_attributes(br#""vcs.branch":"main""#);
    let world = World::new();
    let scope = world.enter(Some("conversation"), None).unwrap();
    let span = world.open_as("plan", SpanKind::Llm, None);
    for field in Field::ALL {
        let value = match field {
            Field::InputTokens => int(11),
            Field::OutputTokens => int(7),
            Field::TotalTokens => int(18),
            Field::UsageAvailable => object(Thing::Flag(true)),
            text_field => text(&format!("my {}", text_field.as_str())),
        };
        span.set(*field, value);
    }
    span.change(|held| {
        held.metadata =
            Some(map(&[("k", list(&[int(1), text("x")])), ("tags", list(&[text("t")]))]));
        drop(held.set_input(map(&[("q", text("?"))])));
        drop(held.set_output(text("123")));
    });
    let comment = Some(text("well"));
    let annotation = Annotation::new(text("quality"), int(1), "numeric", comment).unwrap();
    assert!(world.annotate(&span, annotation));
    world.leave_with(&span, &raised("ValueError", "no"), SpanStatus::Error);
    world.exit(&scope);

    let mut batch = tape.decoded();
    let found = batch.spans.remove(0);
    assert_eq!(
        (&*found.name, found.kind, found.status),
        ("plan", SpanKind::Llm, SpanStatus::Error)
    );
    assert_eq!((found.start_ns, found.end_ns), (START_NS, Some(START_NS + 1_000_000)));
    assert_eq!(found.error_message.as_deref(), Some("no"));
    let texts = [
        (Field::Model, &found.model),
        (Field::Provider, &found.provider),
        (Field::RequestedModel, &found.requested_model),
        (Field::ReasoningEffort, &found.reasoning_effort),
        (Field::AgentName, &found.agent_name),
        (Field::AgentId, &found.agent_id),
        (Field::AgentVersion, &found.agent_version),
        (Field::SessionId, &found.session_id),
        (Field::UserId, &found.user_id),
    ];
    for (field, found) in texts {
        assert_eq!(found.as_deref(), Some(&*format!("my {}", field.as_str())));
    }
    assert_eq!((found.usage.input_uncached, found.usage.available), (Some(11), Some(true)));
    assert_eq!(found.input, Some(Payload::json(r#"{"q":"?"}"#)));
    assert_eq!(found.output, Some(Payload::text("123")));
    assert_eq!(found.attribute("vcs.branch"), Some(&Value::from("main")));
    assert_eq!(found.attribute("k"), Some(&Value::Array(vec![Value::Int(1), "x".into()])));
    assert_eq!(found.events[0].name, "exception");
    assert_eq!(found.events[0].attributes[0], ("exception.type".to_owned(), "ValueError".into()));
    assert!(found.capture.iter().all(|(_, is_captured)| *is_captured) && found.capture.len() == 5);
    let annotation = batch.annotations.remove(0);
    assert_eq!((&*annotation.name, annotation.comment.as_deref()), ("quality", Some("well")));
    assert_eq!((annotation.trace_id, annotation.span_id), (found.trace_id, Some(found.span_id)));
}

/// The bytes themselves: nothing moves unnoticed, and nothing is written that says nothing.
#[test]
fn an_empty_span_is_these_bytes() {
    let tape = Tape::with(|recorder| recorder.with_fixed_clock(Some(START_NS)));
    let world = World::new();
    let span = world.open("empty");
    world.close(&span);
    let wanted = concat!(
        r#"{"start_ns":1732233600000000000,"end_ns":1732233600001000000,"#,
        r#""span_id":"00000000-0000-0000-0000-000000000002","parent_span_id":null,"#,
        r#""name":"empty","kind":"chain","status":"ok","#,
        r#""process_id":"00000000-0000-0000-0000-000000000000","#,
        r#""capture":{"request":"captured","system_prompt":"captured","tool_schema":"captured","#,
        r#""tool_arguments":"captured","output":"captured"}}"#,
    );
    assert_eq!(tape.texts(RecordKind::Span), [wanted]);
}

#[test]
fn usage_is_known_only_where_a_count_was_given() {
    let (tape, world) = (Tape::start(), World::new());
    for (name, kind, count, wanted) in [
        ("model call", SpanKind::Llm, None, json!(false)),
        ("counted", SpanKind::Llm, Some(3), json!(true)),
        ("counted as none", SpanKind::Llm, Some(0), json!(false)),
        ("tool", SpanKind::Tool, None, json!(null)),
    ] {
        let span = world.open_as(name, kind, None);
        if let Some(count) = count {
            span.set(Field::InputTokens, int(count));
        }
        world.close(&span);
        assert_eq!(tape.span(name)["usage_available"], wanted, "{name}");
    }
}

#[test]
fn calls_of_a_decorated_function_share_what_was_prepared() {
    let (tape, world) = (Tape::start(), World::new());
    let agent = ("planner".to_owned(), ids::agent_id("planner"));
    let attributes = [("code.function", text("plan")), ("tags", list(&[text("a")]))];
    let template = template(&attributes, Some(agent.clone()));
    for name in ["first", "second"] {
        let call = world.call(name, &template, r#"{"n":1}"#);
        let nested = world.open(&format!("in {name}"));
        world.close(&nested);
        world.close(&call);
        let found = tape.span(name);
        assert_eq!(found["attributes"], json!({"code.function": "plan", "tags": ["a"]}));
        assert_eq!((&found["input"], &found["agent_name"]), (&json!({"n": 1}), &json!("planner")));
        let nested = tape.span(&format!("in {name}"));
        assert_eq!(
            (&nested["agent_name"], &nested["agent_id"]),
            (&json!(agent.0), &json!(agent.1))
        );
    }
    // What the program assigns stands in the place of what was prepared.
    let call = world.call("own", &template, r#"{"n":1}"#);
    call.change(|held| {
        held.metadata = Some(map(&[("mine", int(1))]));
        drop(held.set_input(int(2)));
    });
    world.close(&call);
    let found = tape.span("own");
    assert_eq!((&found["attributes"], &found["input"]), (&json!({"mine": 1}), &json!(2)));
}

#[test]
fn what_a_decorated_function_answered_came_out_unless_the_program_says_what_did() {
    let (tape, world) = (Tape::start(), World::new());
    let template = template(&[], None);
    let answers = [("a number", int(5), json!(5)), ("a list", list(&[int(1)]), json!([1]))];
    for (name, answer, told) in answers {
        let call = world.call(name, &template, "{}");
        call.change(|held| held.result = Some(answer));
        world.close(&call);
        let found = tape.span(name);
        assert_eq!(found["output"], json!({ "result": told }));
        assert!(found.get("output_is_text").is_none());
    }
    let call = world.call("said", &template, "{}");
    call.change(|held| {
        held.result = Some(int(5));
        drop(held.set_output(int(6)));
    });
    world.close(&call);
    assert_eq!(tape.span("said")["output"], json!(6));
}

#[test]
fn an_annotation_after_the_end_is_recorded_at_once() {
    let (tape, world) = (Tape::start(), World::new());
    let span = world.open("span");
    let score = |name: &str| Annotation::new(text(name), int(1), "numeric", None).unwrap();
    assert!(world.annotate(&span, score("during")));
    assert_eq!(tape.annotations().len(), 0);
    world.close(&span);
    assert!(world.annotate(&span, score("late")));
    let names: Vec<_> = tape.annotations().iter().map(|found| found["name"].clone()).collect();
    assert_eq!(names, ["during", "late"]);
    assert!(
        tape.annotations().iter().all(|found| found["span_id"] == tape.span("span")["span_id"])
    );
    assert!(Annotation::new(text("x"), int(1), "no such", None).is_none());
    let never = World::new_span("never begun", SpanKind::Chain, None);
    assert!(!world.annotate(&never, score("x")));
}

/// What tells one exception from another is bounded: a loop of failing children costs no memory.
#[test]
fn a_parent_remembers_the_last_of_its_childrens_exceptions() {
    let mut held = Held::default();
    let all: Vec<_> = (0..100).map(|n| raised("E", &n.to_string())).collect();
    let forgotten = all.iter().filter_map(|error| held.child_told(error.clone())).count();
    assert!(held.has_told(&all[99]) && !held.has_told(&all[0]));
    assert_eq!(held.objects().count(), 100 - forgotten);
    let life = Life::new(text("x"), SpanKind::Chain, Some(Box::new(held)));
    assert!(life.held().unwrap().objects().count() <= 16);
}
