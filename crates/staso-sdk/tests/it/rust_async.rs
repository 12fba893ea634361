//! Futures as spans: current only while they are polled, on whatever thread, cancelled or panicking.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use staso_sdk::{Instrument, span};
use tokio::runtime::Runtime;

use crate::tape::Tape;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

#[test]
fn tasks_are_children_of_where_they_were_made() {
    let tape = Tape::start();
    runtime().block_on(
        async {
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let work = async move {
                        for step in 0..10 {
                            drop(span(format!("step {n}.{step}")).start());
                            tokio::task::yield_now().await;
                        }
                        staso_sdk::current().set_output(&n);
                    };
                    tokio::spawn(work.instrument(span(format!("task {n}"))))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(staso_sdk::current().is_recording());
        }
        .instrument(span("root")),
    );
    assert!(!staso_sdk::current().is_recording());
    assert_eq!(tape.spans().len(), 221);
    for n in [0, 7, 19] {
        assert_eq!(tape.parent_of(&format!("task {n}")).as_deref(), Some("root"));
        assert_eq!(tape.parent_of(&format!("step {n}.9")), Some(format!("task {n}")));
        assert_eq!(tape.span(&format!("task {n}"))["output"], n);
    }
}

/// Two futures polled in turns on one thread, each with a guard that is held across its steps.
#[test]
fn what_is_held_across_a_step_does_not_leak_into_another_future() {
    async fn two_steps(name: &str) {
        let _held = span(format!("{name} held")).start();
        tokio::task::yield_now().await;
        drop(span(format!("{name} leaf")).start());
    }
    let tape = Tape::start();
    let (mut a, mut b) =
        (pin!(two_steps("a").instrument(span("a"))), pin!(two_steps("b").instrument(span("b"))));
    runtime().block_on(poll_fn(|task| {
        let polls = [a.as_mut().poll(task), b.as_mut().poll(task)];
        assert!(!staso_sdk::current().is_recording());
        if polls.iter().all(Poll::is_ready) { Poll::Ready(()) } else { Poll::Pending }
    }));
    for name in ["a", "b"] {
        assert_eq!(tape.parent_of(&format!("{name} leaf")), Some(format!("{name} held")));
        assert_eq!(tape.parent_of(&format!("{name} held")).as_deref(), Some(name));
        assert!(tape.span(name)["parent_span_id"].is_null());
    }
}

#[test]
fn a_future_that_is_dropped_says_it_was_cancelled() {
    let tape = Tape::start();
    {
        let held = async {
            let _held = span("held").start();
            pending::<()>().await;
        };
        let mut future = pin!(held.instrument(span("cancelled")));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(async {}.instrument(span("never polled")));
    runtime().block_on(async {}.instrument(span("done")));
    assert_eq!(tape.parent_of("held").as_deref(), Some("cancelled"));
    assert_eq!(tape.span("cancelled")["attributes"]["staso.cancelled"], true);
    assert_eq!(tape.span("never polled")["attributes"]["staso.cancelled"], true);
    assert!(tape.span("done")["attributes"]["staso.cancelled"].is_null());
}

/// The runtime catches the panic and drops the future when nothing panics any more.
#[test]
fn a_task_that_panics_ends_in_error() {
    let tape = Tape::start();
    let failed = runtime().block_on(async {
        let task = async {
            tokio::task::yield_now().await;
            std::panic::resume_unwind(Box::new("no"));
        };
        tokio::spawn(task.instrument(span("panics"))).await
    });
    assert!(failed.unwrap_err().is_panic());
    let found = tape.span("panics");
    assert_eq!(found["status"], "error");
    assert!(found["attributes"].get("staso.cancelled").is_none());
}
