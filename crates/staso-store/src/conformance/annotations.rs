//! Scores and labels.

use staso_model::{Annotation, AnnotationId, AnnotationSource, AnnotationValue};

use super::build::{WS, annotated, annotation, append, batch, row, span, span_id, trace_id};
use super::{StoreFactory, reopen};
use crate::traits::Store;

/// They wait for their trace, which gets no row by them.
pub async fn annotations_may_come_before_their_trace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, annotated(vec![annotation(1, 1, "good", 0.5)])).await;
    assert_eq!(row(&store, 1).await, None);
    assert_eq!(store.annotations(WS, &trace_id(1)).await.unwrap().len(), 1);
    let workspaces = store.workspaces().await.unwrap();
    assert_eq!((workspaces.len(), workspaces[0].traces), (1, 0));
    let store = reopen(&factory, store).await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    assert_eq!(row(&store, 1).await.unwrap().annotations, [annotation(1, 1, "good", 0.5)]);
}

/// The same id again changes nothing, whatever it says.
pub async fn an_annotation_id_is_applied_once<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let first = annotation(1, 1, "good", 0.5);
    append(&store, annotated(vec![first.clone(), annotation(1, 1, "good", 0.7)])).await;
    append(&store, annotated(vec![annotation(1, 2, "bad", 0.1)])).await;
    assert_eq!(store.annotations(WS, &trace_id(1)).await.unwrap(), [first]);
    assert_eq!(store.annotations(WS, &trace_id(2)).await.unwrap(), []);
}

/// Every value type, kept whole; of the same (span, name, source, author) a row shows the latest.
pub async fn rows_show_the_latest_annotation<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    let a = |id, name| annotation(id, 1, name, 0.25);
    let sent = vec![
        a(1, "score"),
        Annotation { value: AnnotationValue::Boolean(false), ..a(2, "score") },
        Annotation { author: Some("ann".to_owned()), ..a(3, "score") },
        Annotation { source: AnnotationSource::Judge, ..a(4, "score") },
        Annotation { span_id: Some(span_id(1)), ..a(5, "score") },
        Annotation {
            value: AnnotationValue::Categorical("so-so".to_owned()),
            comment: Some("why\0not".to_owned()),
            ..a(6, "label")
        },
        // An older one that arrives last does not become the latest.
        Annotation { created_ns: -5, ..a(7, "label") },
    ];
    append(&store, annotated(sent.clone())).await;
    let ids = |found: &[Annotation]| found.iter().map(|a| a.id.0[0]).collect::<Vec<_>>();
    let all = store.annotations(WS, &trace_id(1)).await.unwrap();
    assert_eq!(ids(&all), [7, 1, 2, 3, 4, 5, 6]);
    assert_eq!(all[1..], sent[..6]);
    assert_eq!(ids(&row(&store, 1).await.unwrap().annotations), [2, 3, 4, 5, 6]);
}

/// Deleting answers the trace, works once, and does not reach into another workspace.
pub async fn annotations_can_be_deleted<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    append(&store, annotated(vec![annotation(1, 1, "x", 1.0), annotation(2, 1, "x", 2.0)])).await;
    let id = AnnotationId([2; 16]);
    assert_eq!(store.delete_annotation("other", &id).await.unwrap(), None);
    assert_eq!(store.delete_annotation(WS, &id).await.unwrap(), Some(trace_id(1)));
    assert_eq!(store.delete_annotation(WS, &id).await.unwrap(), None);
    let store = reopen(&factory, store).await;
    // The earlier one of the same name is the latest again.
    assert_eq!(row(&store, 1).await.unwrap().annotations, [annotation(1, 1, "x", 1.0)]);
}
