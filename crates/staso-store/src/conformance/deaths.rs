//! What becomes of open spans when their process is gone.

use staso_model::{INTERRUPTED_ATTRIBUTE, Payload, Span, SpanStatus, Stage, TraceId, Value};

use super::build::{
    WS, append, batch, open_span, process_id, row, span, span_id, stored, trace_id, version,
};
use super::states::{held, signs, state};
use super::{StoreFactory, reopen};
use crate::batch::{Appended, Batch};
use crate::process::{INTERRUPTED_MESSAGE, ProcessLife, Sign, interrupt};
use crate::query::RunState;
use crate::traits::Store;

/// The traces that a batch touched.
async fn touched<S: Store>(store: &S, batch: Batch) -> Vec<TraceId> {
    match append(store, batch).await {
        Appended::New { touched, .. } => touched.into_iter().map(|(_, trace)| trace).collect(),
        Appended::Repeated { .. } => panic!("no receipt, no repeat"),
    }
}

async fn stage<S: Store>(store: &S, trace: u8, id: u64) -> Stage {
    stored(store, &trace_id(trace), &span_id(id)).await.unwrap().version.stage
}

/// Span by span, with all that each had; what others hold, and what has ended, stays as it is.
pub async fn a_goodbye_closes_what_its_process_holds_open_and_nothing_else<F: StoreFactory>(
    factory: F,
) {
    let store = factory.open().await;
    let mut root = held(1, 1, 7, 100);
    root.input = Some(Payload::json("{\"q\":1}"));
    root.attributes = vec![("k".to_owned(), Value::Int(1))];
    let mut dropped = held(1, 5, 7, 100);
    dropped.dropped = true;
    let mut ended = span(1, 3, 1);
    ended.process_id = Some(process_id(7));
    let kept = [held(1, 2, 8, 100), ended, open_span(1, 4, 1), dropped];
    let mut unasked = held(3, 1, 7, 100);
    unasked.error_message = Some("its own".to_owned());
    let all = [&[root.clone(), unasked.clone(), held(2, 1, 8, 100)], &kept[..]].concat();
    append(&store, batch(all)).await;

    let ended_ns = root.start_ns + 5_000;
    assert_eq!(
        touched(&store, signs(7, &[Sign::Goodbye(ended_ns)])).await,
        [trace_id(1), trace_id(3)]
    );
    let closed = stored(&store, &trace_id(1), &span_id(1)).await.unwrap();
    let mut wanted = root;
    interrupt(&mut wanted, ended_ns);
    assert_eq!(closed, wanted);
    assert_eq!((closed.end_ns, closed.status), (Some(ended_ns), SpanStatus::Error));
    assert_eq!(closed.error_message.as_deref(), Some(INTERRUPTED_MESSAGE));
    assert_eq!(closed.attribute(INTERRUPTED_ATTRIBUTE), Some(&Value::Bool(true)));
    assert_eq!(closed.input.unwrap().text, "{\"q\":1}");
    for other in kept {
        assert_eq!(stored(&store, &trace_id(1), &other.span_id).await, Some(other));
    }
    // Nothing ends before it began, and no message is overwritten.
    let other = stored(&store, &trace_id(3), &span_id(1)).await.unwrap();
    assert_eq!(
        (other.end_ns, other.error_message),
        (Some(unasked.start_ns), unasked.error_message)
    );

    let shown = row(&store, 1).await.unwrap();
    assert_eq!((shown.span_count, shown.open_count, shown.error_count), (4, 2, 1));
    assert_eq!(shown.status, SpanStatus::Error, "its root failed");
    assert_eq!(shown.input_preview.as_deref(), Some("{\"q\":1}"));
    assert_eq!(state(&store, 1, 100).await, RunState::Running, "the other process goes on");
    assert_eq!(state(&store, 3, 100).await, RunState::Interrupted);
    assert_eq!(touched(&store, signs(7, &[Sign::Goodbye(ended_ns + 1)])).await, []);
    assert_eq!(stored(&store, &trace_id(1), &span_id(1)).await, Some(wanted), "closed once");
}

/// No later heartbeat revives a process; what turns out to have been open is closed as it comes,
/// also after reopening; a newer report that it was open adds what it knows.
pub async fn a_goodbye_is_final_and_remembered<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, signs(7, &[Sign::Goodbye(50), Sign::Alive(1_000)])).await;
    append(&store, signs(7, &[Sign::Alive(2_000)])).await;
    let store = reopen(&factory, store).await;
    assert_eq!(touched(&store, batch(vec![held(1, 1, 7, 3_000)])).await, [trace_id(1)]);
    assert_eq!(stage(&store, 1, 1).await, Stage::Interrupted);
    assert_eq!(state(&store, 1, 3_000).await, RunState::Interrupted);

    let mut newer = held(1, 1, 7, 3_000);
    newer.version.client = 1;
    newer.name = "renamed".to_owned();
    append(&store, batch(vec![newer.clone()])).await;
    interrupt(&mut newer, 50);
    assert_eq!(stored(&store, &trace_id(1), &span_id(1)).await, Some(newer));
    assert_eq!(touched(&store, batch(vec![held(1, 1, 7, 3_000)])).await, [], "an older one");

    // In one batch, the goodbye counts first, wherever the spans are.
    let mut elsewhere = held(2, 1, 9, 100);
    elsewhere.workspace = "elsewhere".to_owned();
    let spans = vec![held(2, 1, 9, 100), elsewhere];
    append(&store, Batch { spans, ..signs(9, &[Sign::Goodbye(100)]) }).await;
    assert_eq!(stage(&store, 2, 1).await, Stage::Interrupted);
    let row = store.trace_row("elsewhere", &trace_id(2), 100).await.unwrap().unwrap();
    assert_eq!((row.open_count, row.state), (0, RunState::Interrupted));
}

/// The process's own report of the end wins, whether it comes before or after, and however old its
/// version looks.
pub async fn its_own_word_beats_its_closing_in_every_order<F: StoreFactory>(factory: F) {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let store = factory.open().await;
    for (trace, order) in (1_u8..).zip(ORDERS) {
        let mut open = held(trace, 1, trace, 100);
        open.version = version(Stage::Open, 9, 100, 9);
        let mut ended: Span = span(trace, 1, 0);
        ended.version = version(Stage::Ended, 0, 1, 1);
        ended.process_id = open.process_id;
        let goodbye = signs(trace, &[Sign::Goodbye(100)]);
        let batches = [batch(vec![open]), goodbye, batch(vec![ended.clone()])];
        for i in order {
            append(&store, batches[i].clone()).await;
        }
        assert_eq!(stored(&store, &trace_id(trace), &span_id(1)).await, Some(ended), "{order:?}");
        assert_eq!(state(&store, trace, 100).await, RunState::Done, "{order:?}");
    }
}

/// Given up is not dead: who is heard of again opens spans as before, and only what was closed
/// waits for its own end.
pub async fn a_lost_process_may_come_back<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![held(1, 1, 7, 100)])).await;
    append(&store, signs(7, &[Sign::Alive(200)])).await;
    assert_eq!(touched(&store, signs(7, &[Sign::Lost(199)])).await, [], "heard of since");
    assert_eq!(state(&store, 1, 200).await, RunState::Running);
    assert_eq!(touched(&store, signs(7, &[Sign::Lost(200)])).await, [trace_id(1)]);
    assert_eq!(stage(&store, 1, 1).await, Stage::Interrupted);
    assert_eq!(touched(&store, signs(7, &[Sign::Lost(200)])).await, []);

    let mut again = held(1, 1, 7, 300);
    again.version.client = 5;
    assert_eq!(touched(&store, batch(vec![again, held(1, 2, 7, 300)])).await, [trace_id(1)]);
    assert_eq!(stage(&store, 1, 1).await, Stage::Interrupted);
    assert_eq!(state(&store, 1, 300).await, RunState::Running, "of the second span");
    append(&store, batch(vec![span(1, 1, 0), span(1, 2, 0)])).await;
    assert_eq!(state(&store, 1, 300).await, RunState::Done);
}

/// Lives in the order asked for, nobody unknown; open processes until their last span is closed.
pub async fn lives_are_told_of_those_who_are_known<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut elsewhere = held(2, 1, 8, 300);
    elsewhere.workspace = "elsewhere".to_owned();
    append(&store, batch(vec![held(1, 1, 8, 100), held(1, 2, 7, 200), elsewhere])).await;
    append(&store, signs(6, &[Sign::Goodbye(9)])).await;
    append(&store, signs(5, &[Sign::Lost(9)])).await;
    let life = |alive_ns, goodbye_ns| ProcessLife { alive_ns, goodbye_ns };
    let [five, six, seven, eight, nobody] = [5, 6, 7, 8, 9].map(process_id);
    let store = reopen(&factory, store).await;
    let found = store.lives(WS, &[eight, nobody, six, seven]).await.unwrap();
    let known = [(eight, life(Some(100), None)), (six, life(None, Some(9)))];
    assert_eq!(found, [&known[..], &[(seven, life(Some(200), None))]].concat());
    assert_eq!(store.lives("nowhere", &[eight]).await.unwrap(), []);
    // A loss says nothing about a life.
    assert_eq!(store.lives(WS, &[five]).await.unwrap(), []);

    let open = || async {
        let open = store.open_processes().await.unwrap().into_iter();
        open.map(|it| (it.workspace, it.process_id, it.life.alive_ns)).collect::<Vec<_>>()
    };
    let far = ("elsewhere".to_owned(), eight, Some(300));
    let near = (WS.to_owned(), seven, Some(200));
    assert_eq!(open().await, [near.clone(), (WS.to_owned(), eight, Some(100)), far.clone()]);
    append(&store, signs(8, &[Sign::Goodbye(400)])).await;
    assert_eq!(open().await, [near, far]);
}
