//! Run states and signs of life.

use staso_model::{INTERRUPTED_ATTRIBUTE, Span, Value};

use super::StoreFactory;
use super::build::{WS, append, batch, open_span, process_id, query, span, trace_id};
use crate::batch::Batch;
use crate::process::{ProcessSign, Sign};
use crate::query::{Filter, RunState};
use crate::rollup::ALIVE_FOR_NS;
use crate::traits::Store;

pub(super) fn signs(process: u8, signs: &[Sign]) -> Batch {
    let of = |sign: &Sign| ProcessSign { process_id: process_id(process), sign: *sign };
    Batch { processes: signs.iter().map(of).collect(), ..batch(Vec::new()) }
}

/// An open span of a process, received at a time.
pub(super) fn held(trace: u8, id: u64, process: u8, received_ns: i64) -> Span {
    let mut span = open_span(trace, id, 0);
    span.process_id = Some(process_id(process));
    span.version.received_ns = received_ns;
    span
}

/// The state of a trace at a time; the filter must agree with the row.
pub(super) async fn state<S: Store>(store: &S, trace: u8, now_ns: i64) -> RunState {
    let row = store.trace_row(WS, &trace_id(trace), now_ns).await.unwrap().unwrap();
    for state in RunState::ALL {
        let filter = Filter::All(vec![Filter::Trace(trace_id(trace)), Filter::State(state)]);
        let found = store.traces(&crate::query::TraceQuery { filter, now_ns, ..query() }).await;
        assert_eq!(found.unwrap().rows.len(), usize::from(row.state == state), "{state:?}");
    }
    row.state
}

/// Every state, and the moment it turns into the next.
pub async fn run_states_follow_the_signs_of_life<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0), open_span(2, 1, 0), held(3, 1, 7, 100)])).await;
    assert_eq!(state(&store, 1, 0).await, RunState::Done);
    assert_eq!(state(&store, 2, 0).await, RunState::Unknown);
    assert_eq!(state(&store, 3, 100 + ALIVE_FOR_NS).await, RunState::Running);
    assert_eq!(state(&store, 3, 101 + ALIVE_FOR_NS).await, RunState::Stalled);

    append(&store, signs(7, &[Sign::Alive(500), Sign::Alive(300)])).await;
    assert_eq!(state(&store, 3, 500 + ALIVE_FOR_NS).await, RunState::Running);
    assert_eq!(state(&store, 3, 501 + ALIVE_FOR_NS).await, RunState::Stalled);

    // One of two processes is gone: the trace still depends on the other.
    append(&store, batch(vec![held(3, 2, 8, 200)])).await;
    append(&store, signs(7, &[Sign::Goodbye(600)])).await;
    assert_eq!(state(&store, 3, 300).await, RunState::Running);
    assert_eq!(state(&store, 3, 201 + ALIVE_FOR_NS).await, RunState::Stalled);
    append(&store, signs(8, &[Sign::Goodbye(600)])).await;
    assert_eq!(state(&store, 3, 300).await, RunState::Interrupted);

    let mut closed = span(4, 1, 0);
    closed.attributes = vec![(INTERRUPTED_ATTRIBUTE.to_owned(), Value::Bool(true))];
    append(&store, batch(vec![closed])).await;
    assert_eq!(state(&store, 4, 0).await, RunState::Interrupted);
}
