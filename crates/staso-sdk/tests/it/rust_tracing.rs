//! Code that knows only the `tracing` crate, recorded.

use serde_json::json;
use staso_sdk::span;
use tracing::{Instrument as _, info, instrument, warn_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::tape::Tape;

fn subscriber() -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::registry().with(staso_sdk::layer())
}

#[instrument(err, ret)]
fn divide(a: i32, b: i32) -> Result<i32, String> {
    info!(b, "dividing");
    let _ours = span("ours").start();
    drop(tracing::debug_span!("leaf", late = tracing::field::Empty).entered());
    if b == 0 { Err("by zero".to_owned()) } else { Ok(a / b) }
}

#[test]
fn instrumented_functions_are_spans() {
    let tape = Tape::start();
    tracing::subscriber::with_default(subscriber(), || {
        let _outer = span("outer").start();
        divide(6, 3).unwrap();
    });
    assert_eq!(tape.parent_of("divide").as_deref(), Some("outer"));
    assert_eq!(tape.parent_of("ours").as_deref(), Some("divide"));
    assert_eq!(tape.parent_of("leaf").as_deref(), Some("ours"));
    let found = tape.span("divide");
    let metadata = &found["attributes"];
    assert_eq!((&metadata["a"], &metadata["b"]), (&json!(6), &json!(3)));
    assert_eq!(metadata["code.namespace"], module_path!());
    assert!(metadata["code.filepath"].as_str().unwrap().ends_with("rust_tracing.rs"));
    assert_eq!((&found["output"], &found["status"]), (&json!("2"), &json!("ok")));
    let event = &metadata["events"][0];
    assert_eq!(
        (&event["message"], &event["b"], &event["level"]),
        (&json!("dividing"), &json!(3), &json!("INFO"))
    );
    assert!(event["time_ns"].as_i64() >= found["start_ns"].as_i64());
}

#[test]
fn an_error_event_is_the_error_of_its_span() {
    let tape = Tape::start();
    tracing::subscriber::with_default(subscriber(), || divide(1, 0).unwrap_err());
    let found = tape.span("divide");
    assert_eq!((&found["status"], &found["error_message"]), (&json!("error"), &json!("by zero")));
    assert_eq!(found["events"][0]["attributes"]["exception.type"], module_path!());
}

#[test]
fn fields_of_the_conventions_have_their_places() {
    let tape = Tape::start();
    tracing::subscriber::with_default(subscriber(), || {
        let call = tracing::info_span!(
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = "asked",
            gen_ai.provider.name = "p",
            gen_ai.usage.input_tokens = 7,
            gen_ai.usage.output_tokens = tracing::field::Empty,
            gen_ai.conversation.id = "c",
            user.id = "u",
            staso.input = "q",
            temperature = 0.5,
        );
        call.record("gen_ai.usage.output_tokens", 9);
        drop(tracing::info_span!("search", staso.kind = "Retriever"));
    });
    let found = tape.span("chat");
    for (field, value) in [
        ("kind", json!("llm")),
        ("requested_model", json!("asked")),
        ("provider", json!("p")),
        ("input_tokens", json!(7)),
        ("output_tokens", json!(9)),
        ("session_id", json!("c")),
        ("user_id", json!("u")),
        ("input", json!("q")),
    ] {
        assert_eq!(found[field], value, "{field}");
    }
    assert_eq!(found["attributes"]["temperature"], 0.5);
    assert!(found["attributes"].get("gen_ai.request.model").is_none());
    assert_eq!(tape.span("search")["kind"], "retriever");
}

#[test]
fn parents_are_as_the_program_says() {
    let tape = Tape::start();
    tracing::subscriber::with_default(subscriber(), || {
        let first = tracing::info_span!("first");
        let _entered = first.enter();
        drop(tracing::info_span!(parent: None, "root"));
        let second = tracing::info_span!(parent: None, "second");
        drop(tracing::info_span!(parent: &second, "of the second"));
        // Left in another order than they were entered.
        let inner = second.enter();
        drop(_entered);
        drop(span("within").start());
        drop(inner);
        assert!(!staso_sdk::current().is_recording());
    });
    assert!(tape.span("root")["parent_span_id"].is_null());
    assert_eq!(tape.parent_of("of the second").as_deref(), Some("second"));
    assert_eq!(tape.parent_of("within").as_deref(), Some("second"));
}

#[test]
fn tasks_move_between_threads() {
    let tape = Tape::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let dispatch = tracing::Dispatch::new(subscriber());
    tracing::dispatcher::with_default(&dispatch, || {
        use tracing::instrument::WithSubscriber as _;
        let tasks: Vec<_> = (0..10)
            .map(|n| {
                let work = async move {
                    tokio::task::yield_now().await;
                    drop(span(format!("part {n}")).start());
                };
                let work = work.instrument(warn_span!("task", n)).with_current_subscriber();
                runtime.spawn(work)
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    let tasks: Vec<_> = tape.spans().into_iter().filter(|span| span["name"] == "task").collect();
    assert_eq!(tasks.len(), 10);
    for task in tasks {
        let part = tape.span(&format!("part {}", task["attributes"]["n"]));
        assert_eq!(part["parent_span_id"], task["span_id"]);
    }
}

#[test]
fn a_chatty_span_keeps_the_first_events() {
    let tape = Tape::start();
    tracing::subscriber::with_default(subscriber(), || {
        tracing::info_span!("chatty").in_scope(|| (0..500).for_each(|n| info!(n)));
        info!("in no span");
    });
    let found = tape.span("chatty");
    let events = found["attributes"]["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[127]["n"]), (129, &json!(127)));
    assert_eq!(events[128], "<more events left out>");
}
