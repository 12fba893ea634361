//! How spans end: exceptions, forced status, what is dropped, and what is too large.

use staso_sdk::pen::Limits;
use staso_sdk::{Life, Phase, RecordKind, SpanKind, SpanStatus};

use crate::tape::Tape;
use crate::toy::{Obj, World, int, list, map, raised, text};

fn stacks(tape: &Tape, name: &str) -> Vec<bool> {
    let events = tape.span(name)["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|e| e["attributes"].get("exception.stacktrace").is_some()).collect()
}

#[test]
fn an_exception_is_told_with_its_stack_once_on_its_way_out() {
    let (tape, world) = (Tape::start(), World::new());
    let spans: Vec<_> = ["outer", "middle", "inner"].map(|name| world.open(name)).into();
    let error = raised("ValueError", "no");
    for span in spans.iter().rev() {
        world.leave_with(span, &error, SpanStatus::Error);
    }
    assert_eq!(stacks(&tape, "inner"), [true]);
    assert_eq!(stacks(&tape, "middle"), [false]);
    assert_eq!(stacks(&tape, "outer"), [false]);
    for span in tape.spans() {
        assert_eq!((&span["status"], &span["error_message"]), (&"error".into(), &"no".into()));
    }
}

#[test]
fn siblings_tell_theirs_each_once() {
    let (tape, world) = (Tape::start(), World::new());
    let group = world.open("group");
    let errors = [raised("E1", "one"), raised("E2", "two")];
    for (name, error) in ["a", "b"].into_iter().zip(&errors) {
        let child = world.open(name);
        world.leave_with(&child, error, SpanStatus::Error);
    }
    for error in &errors {
        world.record_exception(&group, error);
    }
    world.leave_with(&group, &raised("Group", "both"), SpanStatus::Error);
    assert_eq!((stacks(&tape, "a"), stacks(&tape, "b")), (vec![true], vec![true]));
    assert_eq!(stacks(&tape, "group"), [false, false, true]);
    // The program's own record says what went wrong, before what left the block.
    assert_eq!(tape.span("group")["error_message"], "two");
}

#[test]
fn a_recorded_exception_that_leaves_the_block_is_recorded_once() {
    let (tape, world) = (Tape::start(), World::new());
    let (span, error) = (world.open("span"), raised("E", "no"));
    world.record_exception(&span, &error);
    world.leave_with(&span, &error, SpanStatus::Timeout);
    assert_eq!(stacks(&tape, "span"), [true]);
    assert_eq!(tape.span("span")["status"], "error");
}

#[test]
fn the_programs_last_word_about_the_status_wins() {
    let (tape, world) = (Tape::start(), World::new());
    let force = |span: &Obj, status, description: Option<&str>| {
        span.node().life(|life| life.force(status));
        span.change(|held| drop(held.describe(description.map(text))));
    };
    let cases = [
        ("forced", Some((SpanStatus::Timeout, Some("slow"))), "timeout", Some("slow")),
        ("undescribed", Some((SpanStatus::Error, None)), "error", Some("no")),
        ("well after all", Some((SpanStatus::Ok, None)), "ok", None),
        ("implied", None, "timeout", Some("no")),
    ];
    for (name, forced, status, message) in cases {
        let span = world.open(name);
        if let Some((status, description)) = forced {
            force(&span, SpanStatus::Ok, Some("an earlier word"));
            force(&span, status, description);
        }
        world.leave_with(&span, &raised("E", "no"), SpanStatus::Timeout);
        let found = tape.span(name);
        assert_eq!(
            (found["status"].as_str(), found["error_message"].as_str()),
            (Some(status), message)
        );
        assert_eq!(stacks(&tape, name), [true], "{name}");
        assert_eq!(span.node().life(|life| life.status.as_str()), Some(status));
    }
    let fine = world.open("fine");
    force(&fine, SpanStatus::Ok, Some("as agreed"));
    world.close(&fine);
    assert_eq!(tape.span("fine")["attributes"]["staso.status_description"], "as agreed");
}

#[test]
fn a_dropped_span_says_only_where_its_children_go() {
    let (tape, world) = (Tape::start(), World::new());
    let outer = world.open("outer");
    let dropped = world.open("secret name");
    let child = world.open("child");
    world.close(&child);
    dropped.change(|held| {
        held.is_dropped = true;
        drop(held.set_output(text("secret")));
    });
    world.close(&dropped);
    world.close(&outer);
    let records = tape.texts(RecordKind::Span);
    assert!(!records[1].contains("secret"), "{}", records[1]);
    let spans = tape.spans();
    assert_eq!(spans[1]["dropped"], true);
    assert_eq!(spans[0]["parent_span_id"], spans[1]["span_id"]);
    assert_eq!(spans[1]["parent_span_id"], spans[2]["span_id"]);
}

#[test]
fn what_is_too_large_is_cut_and_marked_and_the_rest_is_kept() {
    let limits = Limits { value_bytes: 64, span_bytes: 4096 };
    let tape = Tape::with(|mut recorder| {
        recorder.limits = limits;
        recorder
    });
    let world = World::new();
    let span = world.open(&"n".repeat(200));
    let items: Vec<_> = (0..500).map(|n| list(&[int(n), text("some words")])).collect();
    span.change(|held| {
        held.metadata = Some(map(&[("small", int(1))]));
        drop(held.set_output(text(&"o".repeat(5_000))));
        drop(held.set_input(list(&items)));
    });
    world.close(&span);
    let record = tape.spans().remove(0);
    assert!(record["name"].as_str().unwrap().contains("of 200 bytes cut"));
    assert!(record["output"].as_str().unwrap().contains("of 5000 bytes cut, sha256 "));
    assert_eq!(record["attributes"]["small"], 1);
    assert_eq!(record["input"][0], serde_json::json!([0, "some words"]));
    assert_eq!(record["input"][499], "<span too large>");
    let size = tape.texts(RecordKind::Span)[0].len();
    assert!(size < limits.span_bytes + 500 * 24, "{size}");
}

#[test]
fn cycles_and_depth_are_marked() {
    let (tape, world) = (Tape::start(), World::new());
    let span = world.open("cyclic");
    let cyclic = list(&[int(1)]);
    cyclic.push(cyclic.clone());
    span.change(|held| drop(held.set_output(cyclic.clone())));
    world.close(&span);
    assert_eq!(tape.span("cyclic")["output"], serde_json::json!([1, "<cycle>"]));
    let span = world.open("deep");
    let deep = (0..600).fold(int(0), |inner, _| list(&[inner]));
    span.change(|held| drop(held.set_output(deep)));
    world.close(&span);
    let record = tape.texts(RecordKind::Span).remove(1);
    assert!(record.contains(r#"[["<nested too deeply>"]]"#), "{record}");
}

#[test]
fn changes_in_place_are_recorded_until_the_end() {
    let (tape, world) = (Tape::start(), World::new());
    let (span, items) = (world.open("span"), list(&[int(1)]));
    span.change(|held| drop(held.set_output(items.clone())));
    items.push(int(2));
    world.close(&span);
    items.push(int(3));
    assert_eq!(tape.span("span")["output"], serde_json::json!([1, 2]));
    // Nothing is taken any more.
    assert!(span.node().change(|_| ()).is_none());
    assert!(span.node().life(|life| life.held().is_none()).unwrap());
}

#[test]
fn a_life_goes_one_way() {
    let mut life = Life::new(text("span"), SpanKind::Tool, None);
    assert_eq!(life.phase(), Phase::New);
    life.begin_unrecorded();
    assert_eq!(life.phase(), Phase::Open);
    life.force(SpanStatus::Timeout);
    let ending = life.end(None, None).unwrap();
    assert_eq!((ending.status, ending.kind), (SpanStatus::Timeout, SpanKind::Tool));
    assert!(life.end(None, None).is_none() && life.change().is_none());
    assert!(life.let_go().is_some() && life.let_go().is_none());
    life.begin_unrecorded();
    assert_eq!(life.phase(), Phase::Ended);
}

/// While a record is written, code of the program may be called to describe a value: what it traces
/// would call it again.
#[test]
fn nothing_is_recorded_from_within_the_writing_of_a_record() {
    let (tape, world) = (Tape::start(), World::new());
    let host = world.host(tape.recorder);
    let inside = world.open("inside");
    drop(host);
    world.close(&inside);
    let outside = world.open("outside");
    world.close(&outside);
    let names: Vec<_> = tape.spans().iter().map(|span| span["name"].clone()).collect();
    assert_eq!(names, ["outside"]);
}
