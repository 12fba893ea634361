//! What hangs under what: in order, out of order, in copies of a context, and within conversations.

use staso_sdk::{FailureKind, Object, Place, SpanStatus};

use crate::tape::{Tape, alone};
use crate::toy::{World, int, living, raised};

#[test]
fn the_innermost_open_span_is_the_parent() {
    let (tape, world) = (Tape::start(), World::new());
    let outer = world.open("outer");
    let first = world.open("first");
    world.close(&first);
    let second = world.open("second");
    world.close(&second);
    world.close(&outer);
    let next = world.open("next");
    world.close(&next);
    assert_eq!(tape.parent_of("first").as_deref(), Some("outer"));
    assert_eq!(tape.parent_of("second").as_deref(), Some("outer"));
    assert!(tape.span("outer")["parent_span_id"].is_null());
    assert!(tape.span("next")["parent_span_id"].is_null());
    let traces: Vec<_> = tape.decoded().spans.iter().map(|span| span.trace_id).collect();
    assert!(traces[..3].iter().all(|id| *id == traces[0]) && traces[3] != traces[0]);
    assert!(world.is_empty_here());
}

#[test]
fn a_span_that_ended_out_of_order_is_no_parent_any_more() {
    let (tape, world) = (Tape::start(), World::new());
    let (outer, inner) = (world.open("outer"), world.open("inner"));
    world.close(&outer);
    let leaf = world.open("leaf");
    world.close(&leaf);
    world.close(&inner);
    assert_eq!(world.current(), None);
    let next = world.open("next");
    world.close(&next);
    assert_eq!(tape.parent_of("leaf").as_deref(), Some("inner"));
    assert!(tape.span("next")["parent_span_id"].is_null());
    assert!(world.is_empty_here());
}

#[test]
fn a_task_that_outlives_its_parent_keeps_it() {
    let (tape, world) = (Tape::start(), World::new());
    let parent = world.open("parent");
    let task = world.copy();
    world.close(&parent);
    world.inside(task, || {
        let child = world.open("child");
        world.close(&child);
        assert_eq!(world.current().as_deref(), Some("parent"));
    });
    let here = world.open("here");
    world.close(&here);
    assert_eq!(tape.parent_of("child").as_deref(), Some("parent"));
    assert!(tape.span("here")["parent_span_id"].is_null());
}

#[test]
fn an_entry_ended_in_a_copy_is_passed_over_where_it_was_put() {
    let (tape, world) = (Tape::start(), World::new());
    let outer = world.open("outer");
    let inner = world.open("inner");
    world.in_copy(|| {
        world.close(&inner);
        let there = world.open("there");
        world.close(&there);
    });
    assert_eq!(world.current().as_deref(), Some("outer"));
    let here = world.open("here");
    world.close(&here);
    world.close(&outer);
    assert_eq!(tape.parent_of("here").as_deref(), Some("outer"));
    assert_eq!(tape.parent_of("there").as_deref(), Some("outer"));
    assert!(world.is_empty_here());
}

/// Each span begins before the one before it ends, for ever: a stream that hands over. Nothing that is
/// over may be kept, and the way outwards may not grow.
#[test]
fn a_long_relay_keeps_nothing() {
    let (tape, world) = (Tape::start(), World::new());
    let before = living();
    let mut running = world.open("0");
    let mut most = 0;
    for number in 1..100_000 {
        let next = world.open(&number.to_string());
        world.close(&running);
        running = next;
        most = most.max(living() - before);
    }
    world.close(&running);
    drop(running);
    assert!(most < 40, "{most} objects lived");
    assert_eq!((world.current(), living()), (None, before));
    assert_eq!(tape.texts(staso_sdk::RecordKind::Span).len(), 100_000);
}

#[test]
fn a_deep_nest_ends_from_the_outside_without_recursion() {
    let (_tape, world) = (Tape::start(), World::new());
    let before = living();
    let mut open: Vec<_> = (0..20_000).map(|number| world.open(&number.to_string())).collect();
    for span in &open {
        world.close(span);
    }
    assert_eq!(world.current(), None);
    while open.pop().is_some() {}
    assert_eq!(living(), before);
}

#[test]
fn entering_twice_changes_nothing() {
    let (tape, world) = (Tape::start(), World::new());
    let outer = world.open("outer");
    let inner = world.open("inner");
    world.start(&outer);
    assert_eq!(world.current().as_deref(), Some("inner"));
    assert!(world.close(&inner).accepted && world.close(&inner).accepted);
    world.start(&inner);
    assert_eq!(world.current().as_deref(), Some("outer"));
    world.close(&outer);
    assert_eq!(tape.spans().len(), 2);
}

#[test]
fn spans_belong_to_the_innermost_conversation() {
    let (tape, world) = (Tape::start(), World::new());
    let a = world.enter(Some("a"), None).unwrap();
    let outer = world.open("outer");
    let b = world.enter(Some("b"), None).unwrap();
    let inner = world.open("inner");
    world.close(&inner);
    world.exit(&b);
    let again = world.open("again");
    world.close(&again);
    world.close(&outer);
    world.exit(&a);
    let after = world.open("after");
    world.close(&after);
    let session = |name: &str| tape.span(name)["session_id"].as_str().map(str::to_owned);
    assert_eq!(session("outer").as_deref(), Some("a"));
    assert_eq!(session("inner").as_deref(), Some("b"));
    assert_eq!(session("again").as_deref(), Some("a"));
    assert_eq!(session("after"), None);
    assert_eq!(tape.parent_of("inner").as_deref(), Some("outer"));
}

#[test]
fn conversations_may_be_left_in_another_order() {
    let (tape, world) = (Tape::start(), World::new());
    let before = living();
    let a = world.enter(Some("a"), None).unwrap();
    let b = world.enter(Some("b"), None).unwrap();
    world.exit(&a);
    let within = world.open("within");
    world.close(&within);
    world.exit(&b);
    let after = world.open("after");
    world.close(&after);
    assert_eq!(tape.span("within")["session_id"], "b");
    assert!(tape.span("after").get("session_id").is_none());
    drop((a, b, within, after));
    assert!(world.is_empty_here());
    assert_eq!(living(), before);
}

#[test]
fn a_conversation_left_elsewhere_is_over_here() {
    let (tape, world) = (Tape::start(), World::new());
    let scope = world.enter(Some("a"), None).unwrap();
    world.in_copy(|| world.exit(&scope));
    let after = world.open("after");
    world.close(&after);
    assert!(tape.span("after").get("session_id").is_none());
}

#[test]
fn a_span_of_another_process_is_a_parent() {
    let (tape, world) = (Tape::start(), World::new());
    let ids = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let remote = Place::of_remote(&(ids.0.to_owned(), ids.1.to_owned(), true)).unwrap();
    assert!(Place::of_remote(&("no".to_owned(), ids.1.to_owned(), true)).is_none());
    let scope = world.enter(None, Some(remote)).unwrap();
    let within = world.enter(Some("a"), None).unwrap();
    let child = world.open("child");
    world.close(&child);
    world.exit(&within);
    world.exit(&scope);
    let found = tape.decoded().spans.remove(0);
    assert_eq!(found.trace_id.to_string(), ids.0);
    assert_eq!(
        found.parent_span_id.unwrap().to_w3c().map(u64::from_be_bytes),
        Some(0xb7ad_6b71_6920_3331)
    );
    assert_eq!(found.session_id.as_deref(), Some("a"));
    assert_eq!(remote.to_w3c(), (ids.0.to_owned(), ids.1.to_owned()));
}

/// What an extracted trace's sender did not keep is not kept here, but its spans are real.
#[test]
fn a_trace_that_is_not_kept_records_nothing() {
    let (tape, world) = (Tape::start(), World::new());
    let ids = ("0af7651916cd43dd8448eb211c80319c".to_owned(), "b7ad6b7169203331".to_owned());
    let remote = Place::of_remote(&(ids.0, ids.1, false)).unwrap();
    let scope = world.enter(None, Some(remote)).unwrap();
    let child = world.open("child");
    assert!(child.node().identity().is_some());
    assert!(world.close(&child).accepted);
    world.exit(&scope);
    assert_eq!(tape.spans().len(), 0);
}

#[test]
fn the_first_root_alone_continues_the_trace_of_the_process() {
    let ids = ("0af7651916cd43dd8448eb211c80319c".to_owned(), "b7ad6b7169203331".to_owned());
    let remote = Place::of_remote(&(ids.0.clone(), ids.1, true));
    let (tape, world) = (Tape::with(|recorder| recorder.with_first_parent(remote)), World::new());
    for name in ["first", "second"] {
        let root = world.open(name);
        world.close(&root);
    }
    assert_eq!(tape.decoded().spans[0].trace_id.to_string(), ids.0);
    assert!(!tape.span("first")["parent_span_id"].is_null());
    assert!(tape.span("second")["parent_span_id"].is_null());
}

#[test]
fn without_a_recorder_everything_is_a_no_op() {
    let (_alone, world) = (alone(), World::new());
    assert!(world.enter(Some("a"), None).is_none());
    let span = world.open("nothing");
    span.change(|held| drop(held.set_output(int(1))));
    let answer = world.leave_with(&span, &raised("E", "no"), SpanStatus::Error);
    assert_eq!(answer.failure, Some(FailureKind::Disabled));
    assert!(world.is_empty_here());
}

#[test]
fn a_garbage_collector_sees_and_breaks_what_a_span_holds() {
    let (_tape, world) = (Tape::start(), World::new());
    let before = living();
    let span = world.open("cyclic");
    span.change(|held| drop(held.set_output(span.clone())));
    // Only the span itself leads to it now.
    drop(world);
    let mut seen = Vec::new();
    let visit = span.node().visit(|object| {
        seen.push(object.address());
        Ok::<_, ()>(())
    });
    assert_eq!((visit, seen.contains(&span.address())), (Ok(()), true));
    span.node().let_go();
    drop(span);
    assert_eq!(living(), before);
}
