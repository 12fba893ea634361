//! Recording from Rust: everything a program can say about a span, guards in any order, panics, threads,
//! conversations and other processes.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use serde_json::json;
use staso_sdk::{
    Config, JournalChoice, Overrides, Score, SpanKind, SpanStatus, conversation, span,
};

use crate::peer::{Peer, spans};
use crate::support::{LONG, config};
use crate::tape::{Tape, alone};

#[derive(Debug)]
struct Broken(Option<Box<Broken>>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "outer" } else { "inner" })
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|broken| broken as _)
    }
}

/// One test, because `init` is for the whole program.
#[test]
fn guards_record_what_happened() {
    let _alone = alone();
    let nothing = span("before init").start();
    assert!(nothing.trace_id().is_none() && !nothing.is_recording());
    nothing.set_output(&1).annotate("x", 1).record_error(&Broken(None));
    drop(nothing);

    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let client = staso_sdk::init(&config(home.path(), Some(&peer.url)));
    {
        let turn = span("turn").kind(SpanKind::Agent).start();
        turn.set_input(&json!({"q": "?"})).set_metadata("n", &1).set_metadata("n", &2);
        let tool = span("tool").kind(SpanKind::Tool).start();
        tool.record_error(&std::io::Error::other("broken")).set_output(&[1, 2]);
        assert_eq!(tool.trace_id(), turn.trace_id());
        // Dropped out of order: the parent ends first.
        drop(turn);
        drop(tool);
    }
    let panicked = catch_unwind(|| {
        let _guard = span("panics").start();
        resume_unwind(Box::new("no"));
    });
    assert!(panicked.is_err());
    let second = staso_sdk::init(&config(home.path(), Some(&peer.url)));
    assert!(!client.is_open());
    drop(span("after").start());
    assert_eq!(second.stats().0.get("redactions_failed"), None);
    assert!(staso_sdk::shutdown(LONG).ok(false));
    assert!(!second.is_open() && span("after shutdown").start().trace_id().is_none());

    let found = peer.batches().iter().flat_map(|batch| spans(&batch.body)).collect::<Vec<_>>();
    let found: Vec<_> = found.iter().filter(|span| span.get("end_ns").is_some()).collect();
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

#[test]
fn the_first_root_continues_the_trace_of_the_environment_and_roots_name_the_commit() {
    let _alone = alone();
    let (home, peer) = (tempfile::tempdir().unwrap(), Peer::start(true));
    let overrides = Overrides {
        base_url: Some(peer.url.clone()),
        journal: Some(JournalChoice::At(home.path().to_owned())),
        ..Overrides::default()
    };
    let environment = |name: &str| match name {
        "TRACEPARENT" => Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        "STASO_VCS_COMMIT_SHA" => Some("c0ffee".to_owned()),
        "STASO_VCS_REPO_URL" => Some("https://me:secret@host/o/r".to_owned()),
        _ => None,
    };
    let config = Config::resolve(&overrides, &environment).unwrap();
    staso_sdk::init_with_redaction(&config, |path, text| {
        (path == ["metadata", "vcs.repo_url"]).then(|| text.replace("host", "[host]"))
    });
    {
        let _first = span("first").start();
        drop(span("child").start());
    }
    drop(span("second").start());
    // Another client of the same process: the trace has been continued.
    staso_sdk::init(&config);
    drop(span("third").start());
    assert!(staso_sdk::shutdown(LONG).ok(false));

    let found = peer.batches().iter().flat_map(|batch| spans(&batch.body)).collect::<Vec<_>>();
    let named = |name: &str| found.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(named("first")["parent_span_id"], "00000000-0000-0000-b7ad-6b7169203331");
    assert_eq!(named("child")["parent_span_id"], named("first")["span_id"]);
    let vcs = json!({"vcs.commit.sha": "c0ffee", "vcs.repo_url": "https://[host]/o/r"});
    for (name, roots_vcs) in
        [("second", &vcs["vcs.repo_url"]), ("third", &json!("https://host/o/r"))]
    {
        assert!(named(name)["parent_span_id"].is_null(), "{name}");
        assert_eq!(named(name)["attributes"]["vcs.commit.sha"], "c0ffee");
        assert_eq!(&named(name)["attributes"]["vcs.repo_url"], roots_vcs);
    }
    assert!(named("child")["attributes"].get("vcs.commit.sha").is_none());
}

#[test]
fn every_field_can_be_said() {
    let tape = Tape::start();
    let call = span("first name").start();
    call.set_name("chat").set_kind(SpanKind::Llm).set_tags(&["a", "b"]);
    call.set_model("asked").set_model("answered").set_provider("p").set_reasoning_effort("high");
    call.set_input_tokens(5).set_output_tokens(6).set_total_tokens(11).set_usage_available(true);
    call.set_agent_name("an").set_agent_id("ai").set_agent_version("av");
    call.set_session_id("s").set_user_id("u").set_input("123").set_output(&[1.5]);
    call.annotate("quality", 0.5).annotate("n", 3).annotate("ok", true);
    call.annotate("tone", Score::from("warm").comment("why")).annotate("none", f64::NAN);
    call.annotate(" ", 1);
    assert!(call.end().accepted && !call.is_recording());
    call.set_output(&"too late").annotate("late", 1);
    drop(call);

    let found = tape.span("chat");
    let wanted = json!({
        "kind": "llm", "model": "answered", "requested_model": "asked", "provider": "p",
        "reasoning_effort": "high", "input_tokens": 5, "output_tokens": 6, "total_tokens": 11,
        "usage_available": true, "agent_name": "an", "agent_id": "ai", "agent_version": "av",
        "session_id": "s", "user_id": "u", "attributes": {"tags": ["a", "b"]}, "input": "123",
        "output": [1.5], "input_is_text": true,
    });
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&found[field], value, "{field}");
    }
    let scores: Vec<_> = tape.decoded().annotations.into_iter().map(|score| score.name).collect();
    assert_eq!(scores, ["quality", "n", "ok", "tone", "late"]);
    assert_eq!(tape.annotations()[3]["comment"], "why");
    assert_eq!(tape.recorder.stats().0["annotations_left_out"], 2);
}

#[test]
fn an_error_is_told_with_those_beneath_it() {
    let tape = Tape::start();
    let failed = span("failed").start();
    failed.record_error(&Broken(Some(Box::new(Broken(None)))));
    drop(failed);
    let caught = span("caught").start();
    caught.record_error(&Broken(None)).set_status(SpanStatus::Ok, Some("tried again"));
    drop(caught);
    let found = tape.span("failed");
    let event = &found["events"][0]["attributes"];
    assert!(event["exception.type"].as_str().unwrap().ends_with("rust_api::Broken"));
    assert_eq!(event["exception.message"], "outer");
    assert_eq!(event["exception.stacktrace"], "caused by: inner");
    assert_eq!((&found["status"], &found["error_message"]), (&json!("error"), &json!("outer")));
    let found = tape.span("caught");
    assert_eq!((&found["status"], found.get("error_message")), (&json!("ok"), None));
    assert_eq!(found["attributes"]["staso.status_description"], "tried again");
}

#[test]
fn a_panic_ends_what_it_leaves_and_nothing_else() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            drop(span("cleanup").start());
        }
    }
    let tape = Tape::start();
    let outside = span("outside").start();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _inner = span("inner").start();
        let forced = span("forced").start();
        forced.set_status(SpanStatus::Ok, None);
        let _cleanup = Cleanup;
        resume_unwind(Box::new("no"));
    }));
    assert!(result.is_err());
    drop(outside);
    let status = |name: &str| tape.span(name)["status"].as_str().unwrap().to_owned();
    assert_eq!((status("inner"), status("forced")), ("error".to_owned(), "ok".to_owned()));
    assert_eq!((status("cleanup"), status("outside")), ("ok".to_owned(), "ok".to_owned()));
    assert_eq!(tape.span("inner")["events"][0]["attributes"]["exception.type"], "panic");
}

#[test]
fn a_value_that_cannot_be_serialised_says_so() {
    let tape = Tape::start();
    let keys = std::collections::BTreeMap::from([(vec![1], 1)]);
    span("span").start().set_input(&keys).set_metadata("good", &1);
    let found = tape.span("span");
    assert_eq!(found["input"], "<not serialisable: key must be a string>");
    assert_eq!(found["attributes"]["good"], 1);
}

#[test]
fn discarded_spans_and_handles() {
    let tape = Tape::start();
    let handle = {
        let outer = span("outer").start();
        let dropped = span("dropped").start();
        dropped.discard();
        staso_sdk::current().set_metadata("from", &"the handle");
        let child = span("child").start();
        assert_eq!(staso_sdk::current().span_id(), child.span_id());
        drop(child);
        drop(dropped);
        outer.clone()
    };
    assert!(!staso_sdk::current().is_recording());
    handle.set_metadata("late", &1);
    let spans = tape.spans();
    assert_eq!((spans.len(), &spans[1]["dropped"]), (3, &json!(true)));
    assert_eq!(spans[0]["parent_span_id"], spans[1]["span_id"]);
    assert!(spans[2]["attributes"].get("late").is_none());
}

#[test]
fn threads_inherit_where_they_are_asked_to() {
    let tape = Tape::start();
    let outer = span("outer").start();
    let bound = staso_sdk::bind(|| drop(span("bound").start()));
    let mut job = span("job").detach();
    let threads = [
        std::thread::spawn(bound),
        std::thread::spawn(|| drop(span("unbound").start())),
        std::thread::spawn(move || {
            job.in_scope(|| drop(span("part").start()));
            drop(span("beside").start());
            job.set_output(&"done");
        }),
    ];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(staso_sdk::current().span_id(), outer.span_id());
    drop(outer);
    let parents = ["bound", "job", "part"].map(|name| tape.parent_of(name));
    assert_eq!(parents.map(Option::unwrap), ["outer", "outer", "job"]);
    assert!(tape.span("unbound")["parent_span_id"].is_null());
    assert!(tape.span("beside")["parent_span_id"].is_null());
    assert_eq!(tape.span("job")["output"], "done");
}

#[test]
fn conversations_and_users() {
    let tape = Tape::start();
    let outer = conversation("a").user_id("u").enter();
    let inner = conversation("b").enter();
    drop(span("inner").start());
    // Left in another order than they were entered.
    drop(outer);
    drop(span("still inner").start());
    drop(inner);
    drop(span("outside").start());
    let own = staso_sdk::new_conversation();
    {
        let _within = own.enter();
        drop(span("own").start());
    }
    let said = |name: &str| {
        let span = tape.span(name);
        let text = |field| span.get(field).map(|text| text.as_str().unwrap().to_owned());
        (text("session_id"), text("user_id"))
    };
    let b = (Some("b".to_owned()), Some("u".to_owned()));
    assert_eq!((said("inner"), said("still inner")), (b.clone(), b));
    assert_eq!(said("outside"), (None, None));
    assert_eq!(said("own").0.as_deref(), own.session_id());
}

#[test]
fn a_trace_goes_on_in_another_process() {
    let tape = Tape::start();
    let mut headers = std::collections::BTreeMap::new();
    staso_sdk::inject(|name, value| drop(headers.insert(name, value)));
    assert!(headers.is_empty());
    {
        let _within = conversation("a b").user_id("u").enter();
        let _call = span("call").start();
        staso_sdk::inject(|name, value| drop(headers.insert(name, value)));
        headers.insert("baggage", staso_sdk::baggage().unwrap());
    }
    assert_eq!(headers["baggage"], "staso.session_id=a%20b,staso.user_id=u");
    std::thread::spawn(move || {
        let _within = staso_sdk::extract(|name| headers.get(name).map(String::as_str)).enter();
        drop(span("handle").start());
    })
    .join()
    .unwrap();
    assert_eq!(tape.parent_of("handle").as_deref(), Some("call"));
    assert_eq!(tape.span("handle")["session_id"], "a b");
    let found = tape.decoded().spans;
    assert_eq!(found[0].trace_id, found[1].trace_id);
    let _within = staso_sdk::extract(|_| None).enter();
    drop(span("alone").start());
    assert!(tape.span("alone")["parent_span_id"].is_null());
}
