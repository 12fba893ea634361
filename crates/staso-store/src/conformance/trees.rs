//! Whole traces: order, gaps, discarded spans, and size.

use super::build::{
    NOW_NS, WS, append, batch, open_span, page, query, row, span, span_id, stored, trace_id, tree,
};
use super::{StoreFactory, reopen};
use crate::row::Place;
use crate::traits::Store;

/// Asked for one by one, every span knows the place that it has in the whole tree.
async fn places_agree<S: Store>(store: &S, trace: u8) {
    let whole = store.trace(WS, &trace_id(trace), false, NOW_NS).await.unwrap().unwrap();
    for tree in whole.spans {
        let id = tree.span.span_id;
        let found = store.span(WS, &trace_id(trace), &id).await.unwrap().unwrap();
        assert_eq!(found.place, Some(tree.place()), "{id}");
    }
}

/// Parents before children, siblings by (start, id), subtree ends as documented.
pub async fn trees_are_in_reading_order<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut late = span(1, 2, 1);
    late.start_ns += 1_000_000;
    append(&store, batch(vec![span(1, 5, 3), late, span(1, 4, 3), span(1, 3, 1)])).await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    assert_eq!(tree(&store, 1).await, [(1, 0), (3, 1), (4, 2), (5, 2), (2, 1)]);
    let trace = store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap().unwrap();
    let ends: Vec<u32> = trace.spans.iter().map(|s| s.subtree_end).collect();
    assert_eq!(ends, [5, 4, 3, 4, 5]);
    let parents: Vec<_> = trace.spans.iter().map(|s| s.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(1), Some(0)]);
    assert!(trace.spans.iter().all(|s| !s.missing_parent));
    places_agree(&store, 1).await;
}

/// A discarded span is not shown or counted; its children hang under its parent; by id it is there.
pub async fn dropped_spans_count_nowhere<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut dropped = span(1, 2, 1);
    dropped.dropped = true;
    dropped.status = staso_model::SpanStatus::Error;
    dropped.tags = vec!["ghost".to_owned()];
    append(&store, batch(vec![span(1, 1, 0), dropped.clone(), span(1, 3, 2)])).await;
    assert_eq!(tree(&store, 1).await, [(1, 0), (3, 1)]);
    let shown = row(&store, 1).await.unwrap();
    assert_eq!((shown.span_count, shown.error_count, shown.tags.len()), (2, 0, 0));
    let found = stored(&store, &trace_id(1), &span_id(2)).await;
    assert_eq!(found, Some(dropped));
    let ghost = store.span(WS, &trace_id(1), &span_id(2)).await.unwrap().unwrap();
    assert_eq!(ghost.place, None, "it stands nowhere");
    let child = store.span(WS, &trace_id(1), &span_id(3)).await.unwrap().unwrap();
    assert_eq!(child.span.parent_span_id, Some(span_id(2)), "as sent");
    assert_eq!(child.place.unwrap().parent_span_id, Some(span_id(1)));
    places_agree(&store, 1).await;

    // A trace of nothing else has no row, until it gets another span.
    let mut only = span(2, 1, 0);
    append(&store, batch(vec![only.clone()])).await;
    only.dropped = true;
    only.version.client = 1;
    append(&store, batch(vec![only])).await;
    assert_eq!(row(&store, 2).await, None);
    assert_eq!(page(&store, &query()).await.rows.len(), 1);
    assert_eq!(store.stats().await.unwrap().traces, 1);
    assert_eq!(store.workspaces().await.unwrap()[0].traces, 1);
    let store = reopen(&factory, store).await;
    append(&store, batch(vec![span(2, 2, 1)])).await;
    assert_eq!(tree(&store, 2).await, [(2, 0)]);
    assert_eq!(store.stats().await.unwrap().traces, 2);
}

/// Nobody is lost because a parent is.
pub async fn cycles_and_missing_parents_stand_as_roots<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 2, 9), span(1, 3, 2)])).await;
    append(&store, batch(vec![span(2, 1, 2), span(2, 2, 1), span(2, 3, 2), span(2, 4, 4)])).await;
    assert_eq!(tree(&store, 1).await, [(2, 0), (3, 1)]);
    assert_eq!(tree(&store, 2).await, [(1, 0), (2, 0), (3, 1), (4, 0)]);
    let ring = store.trace(WS, &trace_id(2), true, NOW_NS).await.unwrap().unwrap();
    let missing: Vec<bool> = ring.spans.iter().map(|s| s.missing_parent).collect();
    assert_eq!(missing, [true, true, false, true]);
    assert_eq!(ring.row.root_span_id, None);

    places_agree(&store, 1).await;
    places_agree(&store, 2).await;

    // The parent arrives after all.
    append(&store, batch(vec![span(1, 9, 0)])).await;
    places_agree(&store, 1).await;
    assert_eq!(tree(&store, 1).await, [(9, 0), (2, 1), (3, 2)]);
}

/// Depth exhausts no stack.
pub async fn a_deep_chain_is_answered<F: StoreFactory>(factory: F) {
    const DEEP: u64 = 10_000;
    let store = factory.open().await;
    append(&store, batch((1..=DEEP).map(|id| span(1, id, id - 1)).collect())).await;
    let tree = tree(&store, 1).await;
    assert_eq!(tree.last(), Some(&(DEEP, 9_999)));
    let last = store.span(WS, &trace_id(1), &span_id(DEEP)).await.unwrap().unwrap();
    let parent_span_id = Some(span_id(DEEP - 1));
    assert_eq!(last.place, Some(Place { parent_span_id, depth: 9_999, missing_parent: false }));
}

/// Ten thousand spans in batches of five hundred, each first open and then ended, in no order.
pub async fn a_large_trace_arrives_in_many_batches<F: StoreFactory>(factory: F) {
    const SPANS: u64 = 10_000;
    const STEP: u64 = 7_919;
    let store = factory.open().await;
    let ids: Vec<u64> = (0..SPANS).map(|i| i * STEP % SPANS + 1).collect();
    for chunk in ids.chunks(500) {
        let spans = chunk.iter().map(|id| open_span(1, *id, *id / 8)).collect();
        append(&store, batch(spans)).await;
    }
    let open = row(&store, 1).await.unwrap();
    assert_eq!((open.span_count, open.open_count, open.end_ns), (SPANS, SPANS, None));
    for chunk in ids.chunks(500) {
        append(&store, batch(chunk.iter().map(|id| span(1, *id, *id / 8)).collect())).await;
    }
    let ended = row(&store, 1).await.unwrap();
    assert_eq!((ended.span_count, ended.open_count), (SPANS, 0));
    assert_eq!(ended.end_ns, span(1, SPANS, 0).end_ns);
    let trace = store.trace(WS, &trace_id(1), false, NOW_NS).await.unwrap().unwrap();
    assert_eq!(trace.spans.len() as u64, SPANS);
    assert!(trace.spans.iter().all(|s| !s.missing_parent && !s.span.is_open()));
}
