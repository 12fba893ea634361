//! Retention: whole traces go when all of them is old, and nothing keeps them from coming late.

use staso_model::{Span, Stage};

use super::build::{
    NOW_NS, WS, all_pages, annotated, annotation, append, batch, numbers, open_span, query, row,
    span, stored, trace_id, version,
};
use super::{StoreFactory, reopen};
use crate::retention::{Retained, Retention};
use crate::traits::Store;

const BEFORE_NS: i64 = 1_000;

fn by_age() -> Retention {
    Retention { workspace: WS.to_owned(), before_ns: Some(BEFORE_NS), max_bytes: None }
}

/// What was taken; how many bytes that were is the engine's affair.
async fn retain<S: Store>(store: &S, retention: &Retention) -> (u64, u64) {
    let Retained { traces, spans, .. } = store.retain(retention).await.unwrap();
    (traces, spans)
}

/// A span that began and was received at these times.
fn at(trace: u8, id: u64, start_ns: i64, received_ns: i64) -> Span {
    let version = version(Stage::Ended, 0, received_ns, 1);
    Span { start_ns, end_ns: Some(start_ns + 1), version, ..span(trace, id, 0) }
}

async fn listed<S: Store>(store: &S) -> Vec<u8> {
    let mut listed = numbers(&all_pages(store, &query()).await);
    listed.sort_unstable();
    listed
}

/// The bound itself is not before it.
pub async fn old_traces_go_and_others_stay<F: StoreFactory>(factory: F) {
    let mut store = factory.open().await;
    append(&store, batch(vec![at(1, 1, 999, 999), at(1, 2, 5, 6), at(2, 1, 1_000, 999)])).await;
    append(&store, annotated(vec![annotation(1, 1, "x", 1.0), annotation(2, 2, "x", 1.0)])).await;
    assert_eq!(retain(&store, &by_age()).await, (1, 2));
    for _ in 0..2 {
        assert_eq!(listed(&store).await, [2]);
        assert_eq!(row(&store, 1).await, None);
        assert_eq!(store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap(), None);
        assert_eq!(stored(&store, &trace_id(1), &span(1, 2, 0).span_id).await, None);
        assert_eq!(store.annotations(WS, &trace_id(1)).await.unwrap(), []);
        assert_eq!(store.annotations(WS, &trace_id(2)).await.unwrap().len(), 1);
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.spans, stats.traces), (1, 1));
        assert_eq!(retain(&store, &by_age()).await, (0, 0), "there is no more to take");
        store = reopen(&factory, store).await;
    }
}

/// An open span, one that began later, and one that was written to later each keep their trace.
pub async fn a_trace_goes_as_a_whole_or_not_at_all<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let open = Span { start_ns: 6, ..open_span(1, 2, 1) };
    append(&store, batch(vec![at(1, 1, 5, 5), open])).await;
    append(&store, batch(vec![at(2, 1, 5, 5), at(3, 1, 5, 5), at(4, 1, 5, 5)])).await;
    append(&store, batch(vec![at(2, 2, 2_000, 5)])).await;
    append(&store, batch(vec![at(3, 2, 6, 2_000)])).await;
    let store = reopen(&factory, store).await;
    assert_eq!(retain(&store, &by_age()).await, (1, 1));
    assert_eq!(listed(&store).await, [1, 2, 3]);
    for trace in 1..=3 {
        assert_eq!(row(&store, trace).await.unwrap().span_count, 2);
    }
    let ended = Span { start_ns: 6, version: version(Stage::Ended, 1, 7, 2), ..at(1, 2, 6, 7) };
    append(&store, batch(vec![ended])).await;
    assert_eq!(retain(&store, &by_age()).await, (1, 2));
    assert_eq!(listed(&store).await, [2, 3]);
}

/// It is no deletion. What arrives after the bound stays until the bound has moved on.
pub async fn what_comes_late_of_a_trace_that_went_is_kept<F: StoreFactory>(factory: F) {
    let mut store = factory.open().await;
    append(&store, batch(vec![at(1, 1, 5, 5), at(1, 2, 5, 5)])).await;
    assert_eq!(retain(&store, &by_age()).await, (1, 2));
    append(&store, batch(vec![at(1, 3, 5, 2_000), at(1, 1, 5, 5)])).await;
    for _ in 0..2 {
        assert_eq!(retain(&store, &by_age()).await, (0, 0));
        assert_eq!(row(&store, 1).await.unwrap().span_count, 2);
        assert_eq!(store.stats().await.unwrap().spans, 2);
        store = reopen(&factory, store).await;
    }
    let later = Retention { before_ns: Some(3_000), ..by_age() };
    assert_eq!(retain(&store, &later).await, (1, 2));
    assert_eq!(listed(&store).await, [0; 0]);
}

/// Also where the same trace stands in another.
pub async fn retention_stays_in_its_workspace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let theirs = Span { workspace: "other".to_owned(), ..at(1, 1, 5, 5) };
    append(&store, batch(vec![theirs, at(1, 1, 5, 5)])).await;
    assert_eq!(retain(&store, &by_age()).await, (1, 1));
    let row = store.trace_row("other", &trace_id(1), NOW_NS).await.unwrap().unwrap();
    assert_eq!(row.span_count, 1);
    let nowhere = Retention { workspace: "nowhere".to_owned(), ..by_age() };
    assert_eq!(retain(&store, &nowhere).await, (0, 0));
}

/// Where nothing may stay, only what runs does; where there is room, all does.
pub async fn above_its_size_a_workspace_loses_what_is_oldest<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![at(1, 1, 5, 5_000), at(2, 1, 9_000, 9_000)])).await;
    append(&store, batch(vec![open_span(3, 1, 0)])).await;
    let of = |max_bytes| Retention { before_ns: None, max_bytes: Some(max_bytes), ..by_age() };
    assert_eq!(retain(&store, &of(u64::MAX)).await, (0, 0));
    assert_eq!(retain(&store, &of(0)).await, (2, 2));
    let store = reopen(&factory, store).await;
    assert_eq!(listed(&store).await, [3]);
}
