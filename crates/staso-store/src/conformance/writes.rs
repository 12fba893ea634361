//! Atomic, durable, visible, idempotent, upserting, order-free.

use std::sync::Arc;

use staso_model::Stage::{Ended, Interrupted, Open};
use staso_model::{AnnotationId, Span};

use super::build::{
    NOW_NS, WS, annotated, annotation, append, batch, open_span, page, query, receipt, row, span,
    span_id, stored, trace_id, tree, version,
};
use super::{StoreFactory, reopen};
use crate::batch::{Appended, Batch};
use crate::error::StoreError;
use crate::traits::Store;

const HOUR_NS: i64 = 3_600 * 1_000_000_000;

/// What `append` acknowledged is there for every later read, also after closing and opening.
pub async fn append_is_visible_and_survives_reopening<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let sent = vec![span(1, 2, 1), span(1, 1, 0)];
    let whole = Batch { annotations: vec![annotation(1, 1, "good", 1.0)], ..batch(sent) };
    append(&store, whole).await;
    let before = store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap().unwrap();
    assert_eq!(before.spans.len(), 2);
    assert_eq!(before.annotations.len(), 1);
    let store = reopen(&factory, store).await;
    let after = store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(page(&store, &query()).await.rows, [after.row]);
}

/// After `close`, every call is refused, and says why.
pub async fn a_closed_store_says_so<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    store.close().await.unwrap();
    let refused = store.append(batch(vec![span(1, 2, 0)])).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert!(matches!(store.traces(&query()).await, Err(StoreError::Closed)));
    assert!(matches!(store.stats().await, Err(StoreError::Closed)));
    let id = AnnotationId([1; 16]);
    assert!(matches!(store.delete_annotation(WS, &id).await, Err(StoreError::Closed)));
    store.close().await.unwrap();
    let store = factory.open().await;
    assert_eq!(tree(&store, 1).await, [(1, 0)]);
}

/// Not known is an answer.
pub async fn an_empty_store_answers_emptily<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let page = page(&store, &query()).await;
    assert_eq!((page.rows.len(), page.next), (0, None));
    assert_eq!(row(&store, 1).await, None);
    assert_eq!(store.trace(WS, &trace_id(1), true, 0).await.unwrap(), None);
    assert_eq!(stored(&store, &trace_id(1), &span_id(1)).await, None);
    assert_eq!(store.annotations(WS, &trace_id(1)).await.unwrap(), []);
    assert_eq!(store.workspaces().await.unwrap(), []);
    assert_eq!(store.stats().await.unwrap().last_sequence, 0);
    append(&store, batch(Vec::new())).await;
    assert_eq!(store.workspaces().await.unwrap(), []);
}

fn with_receipt(key: &str, digest: u8, reply: &[u8], spans: Vec<Span>) -> Batch {
    Batch { receipt: receipt(key, digest), reply: reply.to_vec(), ..batch(spans) }
}

/// A repeat writes nothing, even where it would, and answers as the first time.
pub async fn the_same_batch_is_applied_once<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let first = append(&store, with_receipt("k", 1, b"first", vec![span(1, 1, 0)])).await;
    assert!(matches!(first, Appended::New { key_reused: false, .. }));
    let again = append(&store, with_receipt("k", 1, b"second", vec![span(1, 2, 0)])).await;
    assert_eq!(again, Appended::Repeated { reply: b"first".to_vec() });
    assert_eq!(tree(&store, 1).await, [(1, 0)]);
    let store = reopen(&factory, store).await;
    let again = append(&store, with_receipt("k", 1, b"third", vec![span(1, 3, 0)])).await;
    assert_eq!(again, Appended::Repeated { reply: b"first".to_vec() });
    assert_eq!(tree(&store, 1).await, [(1, 0)]);
}

/// The digest is part of a batch's identity; both bodies are remembered.
pub async fn a_key_with_another_body_is_a_new_batch<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, with_receipt("k", 1, b"a", vec![span(1, 1, 0)])).await;
    let other = append(&store, with_receipt("k", 2, b"b", vec![span(1, 2, 0)])).await;
    assert!(matches!(other, Appended::New { key_reused: true, .. }), "{other:?}");
    assert_eq!(tree(&store, 1).await.len(), 2);
    for (digest, reply) in [(1, b"a"), (2, b"b")] {
        let again = append(&store, with_receipt("k", digest, b"x", Vec::new())).await;
        assert_eq!(again, Appended::Repeated { reply: reply.to_vec() });
    }
}

/// The same key and body in another workspace is another batch.
pub async fn receipts_belong_to_a_workspace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, with_receipt("k", 1, b"a", vec![span(1, 1, 0)])).await;
    let mut elsewhere = with_receipt("k", 1, b"b", vec![span(1, 2, 0)]);
    elsewhere.workspace = "other".to_owned();
    let answer = append(&store, elsewhere).await;
    assert!(matches!(answer, Appended::New { key_reused: false, .. }), "{answer:?}");
}

/// A receipt is still known a day and many batches later.
pub async fn receipts_survive_a_day_and_reopening<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let at = |key: &str, received_ns| Batch {
        received_ns,
        ..with_receipt(key, 1, key.as_bytes(), Vec::new())
    };
    append(&store, at("old", HOUR_NS)).await;
    for i in 0..600 {
        append(&store, at(&format!("k{i}"), HOUR_NS + i * HOUR_NS / 30)).await;
    }
    append(&store, at("late", 25 * HOUR_NS)).await;
    let store = reopen(&factory, store).await;
    let again = append(&store, at("old", 25 * HOUR_NS)).await;
    assert_eq!(again, Appended::Repeated { reply: b"old".to_vec() });
}

/// Of many at once, one is new and the others wait for it and repeat its answer.
pub async fn concurrent_repeats_are_applied_once<F: StoreFactory>(factory: F) {
    let store = Arc::new(factory.open().await);
    let send = |i: u64| {
        let store = Arc::clone(&store);
        let reply = i.to_be_bytes();
        let batch = with_receipt("k", 1, &reply, vec![span(1, i + 1, 0)]);
        tokio::spawn(async move { store.append(batch).await.unwrap() })
    };
    let mut new = 0;
    let mut replies = Vec::new();
    for task in (0..16).map(send).collect::<Vec<_>>() {
        match task.await.unwrap() {
            Appended::New { .. } => new += 1,
            Appended::Repeated { reply } => replies.push(reply),
        }
    }
    assert_eq!((new, replies.len()), (1, 15));
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(tree(&*store, 1).await.len(), 1);
}

/// Many writers of one trace and of many lose nothing.
pub async fn concurrent_appends_are_all_kept<F: StoreFactory>(factory: F) {
    let store = Arc::new(factory.open().await);
    let send = |i: u64| {
        let store = Arc::clone(&store);
        let own = u8::try_from(i + 2).unwrap();
        tokio::spawn(async move {
            store.append(batch(vec![span(1, i + 1, 0), span(own, 1, 0)])).await.unwrap();
            // What was just acknowledged is seen by the very next read.
            assert_eq!(row(&*store, own).await.unwrap().span_count, 1);
        })
    };
    for task in (0..40).map(send).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(row(&*store, 1).await.unwrap().span_count, 40);
    assert_eq!(page(&*store, &query()).await.rows.len(), 41);
    assert_eq!(store.stats().await.unwrap().spans, 80);
}

/// Versions of one span, least first, each with its own name.
fn versions() -> Vec<Span> {
    let versions = [
        version(Open, 0, 9, 9),
        version(Open, 3, 1, 1),
        version(Interrupted, 0, 9, 9),
        version(Interrupted, 3, 1, 1),
        version(Ended, 0, i64::MIN, 3),
        version(Ended, 0, -1, 2),
        version(Ended, 0, 1, 2),
        version(Ended, 0, 1, u64::MAX),
        version(Ended, 1, 0, 0),
        version(Ended, u64::MAX, 0, 0),
    ];
    let span_of = |(i, version)| {
        let mut span = span(1, 1, 0);
        span.version = version;
        span.name = format!("version {i}");
        span
    };
    versions.into_iter().enumerate().map(span_of).collect()
}

/// Of any three versions in any order, in one batch or several, the greatest stays.
pub async fn the_greatest_version_wins_in_every_order<F: StoreFactory>(factory: F) {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let store = factory.open().await;
    let mut trace = 1;
    for window in versions().windows(3) {
        for order in ORDERS {
            for at_once in [true, false] {
                trace += 1;
                let moved = |i: &usize| Span { trace_id: trace_id(trace), ..window[*i].clone() };
                let spans: Vec<Span> = order.iter().map(moved).collect();
                if at_once {
                    append(&store, batch(spans)).await;
                } else {
                    for span in spans {
                        append(&store, batch(vec![span])).await;
                    }
                }
                let row = row(&store, trace).await.unwrap();
                assert_eq!((row.name.as_str(), row.span_count), (window[2].name.as_str(), 1));
                let kept = stored(&store, &trace_id(trace), &span_id(1)).await.unwrap();
                assert_eq!(kept.version, window[2].version);
            }
        }
    }
}

/// A batch may hold several versions of a span, and the same version again.
pub async fn the_same_span_twice_in_a_batch_is_one<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut second = span(1, 1, 0);
    second.name = "the same version again".to_owned();
    append(&store, batch(vec![open_span(1, 1, 0), span(1, 1, 0), second])).await;
    let row = row(&store, 1).await.unwrap();
    assert_eq!((row.name.as_str(), row.span_count, row.open_count), ("span 1", 1, 0));
    assert_eq!(store.stats().await.unwrap().spans, 1);
}

/// `touched` lists the traces that changed, and none that did not.
pub async fn touched_names_what_changed<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let touched = |appended| match appended {
        Appended::New { touched, .. } => touched,
        Appended::Repeated { .. } => panic!("no receipt, no repeat"),
    };
    let of = |trace| (WS.to_owned(), trace_id(trace));
    let spans = vec![span(2, 1, 0), span(1, 1, 0), span(2, 2, 1)];
    let first = Batch { annotations: vec![annotation(1, 3, "x", 0.0)], ..batch(spans) };
    assert_eq!(touched(append(&store, first).await), [of(1), of(2), of(3)]);
    let stale = Batch {
        annotations: vec![annotation(1, 3, "x", 0.0)],
        ..batch(vec![open_span(1, 1, 0), span(2, 3, 1)])
    };
    assert_eq!(touched(append(&store, stale).await), [of(2)]);
    assert_eq!(touched(append(&store, annotated(Vec::new())).await), []);
}

/// New versions must sort after all earlier ones, so the count outlives the process.
pub async fn the_last_sequence_survives_reopening<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let with_sequence = |id, sequence| {
        let mut span = span(1, id, 0);
        span.version.sequence = sequence;
        span
    };
    append(&store, batch(vec![with_sequence(1, 70), with_sequence(2, 30)])).await;
    // One that loses against a newer version was given all the same.
    let mut stale = open_span(1, 1, 0);
    stale.version.sequence = 90;
    append(&store, batch(vec![stale])).await;
    assert_eq!(store.stats().await.unwrap().last_sequence, 90);
    let store = reopen(&factory, store).await;
    assert_eq!(store.stats().await.unwrap().last_sequence, 90);
    append(&store, batch(vec![with_sequence(3, 5)])).await;
    assert_eq!(store.stats().await.unwrap().last_sequence, 90);
}

/// Children first, root last, with a restart between: the same row as in one batch.
pub async fn rollups_do_not_depend_on_order<F: StoreFactory>(factory: F) {
    let mut store = factory.open().await;
    let spans = |trace| -> Vec<Span> {
        let mut spans: Vec<Span> = (1..6).map(|id| span(trace, id, id - 1)).collect();
        spans[3].agent_name = Some("late".to_owned());
        spans[1].agent_name = Some("early".to_owned());
        spans.iter_mut().for_each(|span| span.start_ns %= 1_000_000_000);
        spans.iter_mut().for_each(|span| span.end_ns = Some(span.start_ns + 10));
        spans
    };
    append(&store, batch(spans(1))).await;
    for (i, span) in spans(2).into_iter().rev().enumerate() {
        append(&store, batch(vec![span])).await;
        if i == 2 {
            store = reopen(&factory, store).await;
        }
    }
    let mut one = row(&store, 1).await.unwrap();
    one.trace_id = trace_id(2);
    assert_eq!(Some(&one), row(&store, 2).await.as_ref());
    assert_eq!(one.agent_name.as_deref(), Some("early"));
}
