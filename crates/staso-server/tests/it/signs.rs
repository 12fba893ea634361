//! Signs of life and death, and when they come.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use staso_journal::{Destination, Journal, JournalOptions, RecordKind};
use staso_model::{ProcessId, SpanId, Stage, TraceId};
use staso_store::{Batch, MemoryStore, ProcessSign, Sign, Store};

use crate::fixture::{Fixture, NOON_NS, TRACE, eventually};

const PROCESS: &str = "5b8aa5a2-d2c8-11ef-8321-d59897338ff4";
const OTHER: &str = "6b8aa5a2-d2c8-11ef-8321-d59897338ff4";
const SPAN: &str = "00f067aa0ba902b7";

/// A trace with one span that a process holds open.
fn open_in(workspace: &str, process: &str) -> Json {
    let span = json!({"span_id": SPAN, "name": "open", "start_ns": NOON_NS, "provisional": true,
                      "process_id": process});
    json!({"traces": [{"trace_id": TRACE, "workspace_slug": workspace, "spans": [span]}]})
}

fn goodbye(process: &str) -> Json {
    json!({"traces": [], "processes": [{"id": process, "goodbye": true}]})
}

/// (run state, open spans) of the trace in a workspace.
fn state(fixture: &Fixture, workspace: &str) -> (String, u64) {
    let rows = fixture.read(&format!("/api/traces?workspace={workspace}"));
    let row = &rows["traces"][0];
    (row["state"].as_str().unwrap().to_owned(), row["open_count"].as_u64().unwrap())
}

fn interrupted() -> (String, u64) {
    ("interrupted".to_owned(), 0)
}

#[test]
fn a_goodbye_counts_for_spans_that_make_a_new_workspace_after_it() {
    let fixture = Fixture::new();
    fixture.accept("1", &goodbye(PROCESS));
    fixture.accept("2", &open_in("late", PROCESS));
    assert_eq!(state(&fixture, "late"), interrupted());
}

#[test]
fn a_goodbye_is_remembered_across_a_restart() {
    let mut fixture = Fixture::new();
    fixture.accept("1", &goodbye(PROCESS));
    fixture.restart();
    fixture.accept("2", &open_in("default", PROCESS));
    assert_eq!(state(&fixture, "default"), interrupted());
    fixture.restart();
    fixture.accept("3", &open_in("late", PROCESS));
    assert_eq!(state(&fixture, "late"), interrupted());
}

/// A workspace that was made while the goodbye was being told, or a crash before it was told
/// everywhere, leaves the goodbye in one workspace and the open span in another.
#[test]
fn a_goodbye_that_did_not_reach_every_workspace_reaches_it_later() {
    let process_id: ProcessId = PROCESS.parse().unwrap();
    let mut open =
        staso_model::Span::new("made meanwhile", TRACE.parse().unwrap(), SpanId([1; 16]));
    open.version.stage = Stage::Open;
    open.process_id = Some(process_id);
    let sign = ProcessSign { process_id, sign: Sign::Goodbye(NOON_NS) };
    let of = |workspace: &str| Batch { workspace: workspace.into(), ..Batch::default() };
    let store = Arc::new(MemoryStore::new());
    let filling = store.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        filling.append(Batch { processes: vec![sign], ..of("default") }).await.unwrap();
        filling.append(Batch { spans: vec![open], ..of("made meanwhile") }).await.unwrap();
    });
    let fixture = Fixture::on(store);
    eventually("the closing", || {
        (state(&fixture, "made%20meanwhile") == interrupted()).then_some(())
    });
}

/// Moves the clock in steps that no look takes for a sleeping machine.
fn let_time_pass(fixture: &Fixture, until: impl Fn() -> bool) {
    eventually("what time brings", || {
        fixture.clock.advance(Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(200));
        until().then_some(())
    });
}

#[test]
fn who_is_silent_for_long_is_given_up_and_may_come_back() {
    let fixture = Fixture::with("lost_after_secs = 30");
    fixture.accept("1", &open_in("default", PROCESS));
    assert_eq!(state(&fixture, "default"), ("running".to_owned(), 1));
    let_time_pass(&fixture, || state(&fixture, "default") == interrupted());
    let path = format!("/api/spans/{TRACE}/{SPAN}");
    let span = fixture.read(&path);
    assert_eq!((&span["status"], &span["interrupted"]), (&json!("error"), &json!(true)));
    let last_heard = span["end_ns"].as_str().unwrap().parse::<i64>().unwrap() - NOON_NS;
    assert!(
        (0..1_000_000).contains(&last_heard),
        "it ends when it was last heard of: {last_heard}"
    );

    // It comes back: what it opens now is open, what was closed waits for its own end.
    let mut again = open_in("default", PROCESS);
    again["traces"][0]["spans"][0]["version"] = 2.into();
    let mut second = again["traces"][0]["spans"][0].clone();
    second["span_id"] = "00f067aa0ba902b8".into();
    again["traces"][0]["spans"].as_array_mut().unwrap().push(second);
    fixture.accept("2", &again);
    assert_eq!(state(&fixture, "default"), ("running".to_owned(), 1));
    assert_eq!(fixture.read(&path)["interrupted"], true);
    let end = json!({"span_id": SPAN, "name": "ended", "start_ns": NOON_NS, "end_ns": NOON_NS + 5,
                     "status": "ok", "process_id": PROCESS});
    fixture.accept("3", &json!({"traces": [{"trace_id": TRACE, "spans": [end]}]}));
    let span = fixture.read(&path);
    assert_eq!((&span["status"], &span["interrupted"]), (&json!("ok"), &json!(false)));
}

/// A program stopped in a debugger says nothing for hours and lives.
#[test]
fn a_held_presence_lock_is_life_however_silent() {
    let fixture = Fixture::with("lost_after_secs = 30");
    let process_id: ProcessId = PROCESS.parse().unwrap();
    let dir = fixture.home().join("journal");
    let options = JournalOptions::default();
    let journal = Journal::open(dir, Destination::local(), process_id, options).unwrap();
    let (trace_id, span_id) = (TraceId([1; 16]), SpanId([1; 16]));
    journal.append(RecordKind::Span, &trace_id, &span_id, b"{\"start_ns\":1}").unwrap();
    fixture.accept("1", &open_in("here", PROCESS));
    fixture.accept("2", &open_in("away", OTHER));
    let_time_pass(&fixture, || state(&fixture, "away") == interrupted());
    assert_eq!(state(&fixture, "here").1, 1, "still open");
    drop(journal);
    let_time_pass(&fixture, || state(&fixture, "here") == interrupted());
}

/// A heartbeat counts when it comes, whatever its sender's clock says.
#[test]
fn a_clock_that_runs_behind_gives_nobody_up() {
    let fixture = Fixture::new();
    fixture.accept("1", &open_in("default", PROCESS));
    fixture.clock.advance(Duration::from_secs(61));
    assert_eq!(state(&fixture, "default").0, "stalled");
    let beat = json!({"traces": [], "processes": [{"id": PROCESS, "alive_ns": NOON_NS - 1}]});
    fixture.accept("2", &beat);
    assert_eq!(state(&fixture, "default").0, "running");
}
