//! Workspaces isolate: in every read and every write.

use staso_model::{AnnotationId, Span};

use super::StoreFactory;
use super::build::{
    NOW_NS, WS, annotation, append, batch, open_span, process_id, query, span, span_id, trace_id,
};
use crate::batch::Batch;
use crate::process::{ProcessSign, Sign};
use crate::query::{FacetField, FacetQuery, RunState, TextField, TraceQuery};
use crate::traits::Store;

fn of(workspace: &str, mut span: Span) -> Span {
    span.workspace = workspace.to_owned();
    span.name = format!("of {workspace}");
    span.user_id = Some(format!("user of {workspace}"));
    span
}

/// The same ids in two workspaces are two of everything.
pub async fn no_workspace_sees_another<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for workspace in ["a", "b"] {
        let mut held = of(workspace, open_span(2, 1, 0));
        held.process_id = Some(process_id(1));
        let mut own = annotation(1, 1, workspace, 1.0);
        own.workspace = workspace.to_owned();
        let batch = Batch {
            workspace: workspace.to_owned(),
            annotations: vec![own],
            ..batch(vec![of(workspace, span(1, 1, 0)), held])
        };
        append(&store, batch).await;
    }
    // A goodbye heard in one workspace says nothing in the other.
    let goodbye = ProcessSign { process_id: process_id(1), sign: Sign::Goodbye(5) };
    append(&store, Batch { workspace: "a".into(), processes: vec![goodbye], ..batch(vec![]) })
        .await;
    for workspace in ["a", "b"] {
        let id = trace_id(1);
        let row = store.trace_row(workspace, &id, NOW_NS).await.unwrap().unwrap();
        assert_eq!((row.workspace.as_str(), row.span_count), (workspace, 1));
        assert_eq!(row.name, format!("of {workspace}"));
        assert_eq!(row.annotations.len(), 1);
        let trace = store.trace(workspace, &id, true, NOW_NS).await.unwrap().unwrap();
        assert_eq!(trace.spans.len(), 1);
        let found = store.span(workspace, &id, &span_id(1)).await.unwrap().unwrap();
        assert_eq!(found.span.workspace, workspace);
        assert_eq!(store.annotations(workspace, &id).await.unwrap()[0].name, workspace);
        let list = TraceQuery { workspace: workspace.to_owned(), ..query() };
        assert_eq!(store.traces(&list).await.unwrap().rows.len(), 2);
        let field = FacetField::Text(TextField::User);
        let facet = store.facet(&FacetQuery { traces: list, field, limit: 9 }).await.unwrap();
        assert_eq!((facet.len(), facet[0].count), (1, 2));
        let open = store.trace_row(workspace, &trace_id(2), 1).await.unwrap().unwrap();
        let wanted = if workspace == "a" { RunState::Interrupted } else { RunState::Running };
        assert_eq!(open.state, wanted);
        let life = store.lives(workspace, &[process_id(1)]).await.unwrap()[0].1;
        assert_eq!(life.goodbye_ns.is_some(), workspace == "a");
    }
    let held: Vec<_> =
        store.open_processes().await.unwrap().into_iter().map(|open| open.workspace).collect();
    assert_eq!(held, ["b"]);
    assert_eq!(store.traces(&query()).await.unwrap().rows.len(), 0, "{WS} stays empty");
    assert_eq!(store.trace_row(WS, &trace_id(1), 0).await.unwrap(), None);
    let deleted = store.delete_annotation("a", &AnnotationId([1; 16])).await.unwrap();
    assert_eq!(deleted, Some(trace_id(1)));
    assert_eq!(store.annotations("b", &trace_id(1)).await.unwrap().len(), 1);
}

/// Each span goes to its own workspace, whatever the batch's is.
pub async fn one_batch_may_fill_several_workspaces<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let names = ["b", "a", "", "ä\0b"];
    let spans = names.iter().map(|name| of(name, span(1, 1, 0))).collect();
    append(&store, batch(spans)).await;
    let mut wanted = names.map(|name| (name.to_owned(), 1));
    wanted.sort();
    let found: Vec<_> =
        store.workspaces().await.unwrap().into_iter().map(|w| (w.slug, w.traces)).collect();
    assert_eq!(found, wanted);
    for name in names {
        let row = store.trace_row(name, &trace_id(1), 0).await.unwrap().unwrap();
        assert_eq!(row.name, format!("of {name}"));
    }
}
