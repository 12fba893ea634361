//! Deletion: hidden at once, everywhere, over reopening; and it stays away.

use staso_model::{Annotation, Payload, Span, Stage, TraceId};

use super::build::{
    NOW_NS, WS, all_pages, annotated, annotation, append, batch, numbers, open_span, process_id,
    query, row, span, span_id, stored, trace_id, version,
};
use super::search::{all_hits, found, phrase};
use super::{StoreFactory, reopen};
use crate::batch::Batch;
use crate::conversations::ConversationsQuery;
use crate::deletion::{BLANK_NAME, Deleted, Deletion, TOMBSTONE_NS, Target};
use crate::query::{FacetField, FacetQuery, Filter, TextField};
use crate::traits::Store;

/// Later than every start that these tests use.
const AT_NS: i64 = 1_000_000_000_000;

async fn delete<S: Store>(store: &S, target: Target) -> Deleted {
    let deletion = Deletion { workspace: WS.to_owned(), target, at_ns: AT_NS };
    store.delete(&deletion).await.unwrap()
}

/// A span of a conversation and a user, with content.
fn of(trace: u8, id: u64, parent: u64, session: &str, user: &str) -> Span {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Span {
        session_id: text(session),
        user_id: text(user),
        input: Some(Payload::text("a secret")),
        error_message: Some("secret".to_owned()),
        tags: vec!["secret".to_owned()],
        attributes: vec![("k".to_owned(), "secret".into())],
        ..span(trace, id, parent)
    }
}

async fn listed<S: Store>(store: &S) -> Vec<u8> {
    numbers(&all_pages(store, &query()).await)
}

async fn assert_gone<S: Store>(store: &S, trace: u8, spans: u64) {
    assert_eq!(row(store, trace).await, None);
    assert_eq!(store.trace(WS, &trace_id(trace), true, NOW_NS).await.unwrap(), None);
    assert_eq!(store.annotations(WS, &trace_id(trace)).await.unwrap(), []);
    for id in 1..=spans {
        assert_eq!(stored(store, &trace_id(trace), &span_id(id)).await, None);
    }
    assert!(!listed(store).await.contains(&trace));
    let found = found(store, "secret").await;
    assert!(found.iter().all(|(of, _)| *of != trace), "{found:?}");
}

/// Lists, trace, spans, facets, conversations, annotations, open processes, counts.
pub async fn a_deleted_trace_is_gone_from_every_answer<F: StoreFactory>(factory: F) {
    let mut store = factory.open().await;
    let mut held = open_span(1, 3, 1);
    held.process_id = Some(process_id(1));
    append(&store, batch(vec![of(1, 1, 0, "c1", "ann"), of(1, 2, 1, "c1", "ann"), held])).await;
    append(&store, batch(vec![of(2, 1, 0, "c2", "ben")])).await;
    append(&store, annotated(vec![annotation(1, 1, "good", 0.5), annotation(2, 2, "x", 1.0)]))
        .await;
    let deleted = delete(&store, Target::Trace(trace_id(1))).await;
    assert!(deleted.job > 0);
    let told = (deleted.touched, deleted.traces, deleted.spans, deleted.blanked);
    assert_eq!(told, (vec![trace_id(1)], 1, 3, 0));
    for _ in 0..2 {
        assert_gone(&store, 1, 3).await;
        assert_eq!(listed(&store).await, [2]);
        assert!(!found(&store, "secret").await.is_empty(), "that of others is found");
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.spans, stats.traces), (1, 1));
        assert_eq!(store.workspaces().await.unwrap()[0].traces, 1);
        assert_eq!(store.open_processes().await.unwrap(), []);
        let field = FacetField::Text(TextField::User);
        let facet = FacetQuery { traces: query(), field, limit: 10 };
        assert_eq!(store.facet(&facet).await.unwrap().len(), 1);
        let conversations = ConversationsQuery {
            workspace: WS.to_owned(),
            environment: None,
            from_ns: None,
            to_ns: None,
            filter: Filter::everything(),
            after: None,
            limit: 10,
            now_ns: NOW_NS,
        };
        assert_eq!(store.conversations(&conversations).await.unwrap().rows.len(), 1);
        assert_eq!(store.annotations(WS, &trace_id(2)).await.unwrap().len(), 1);
        let job = store.job(deleted.job).await.unwrap().unwrap();
        let told = (&*job.workspace, job.at_ns, job.traces, job.spans, job.blanked);
        assert_eq!(told, (WS, AT_NS, 1, 3, 0));
        store = reopen(&factory, store).await;
    }
    assert_eq!(store.job(deleted.job + 1_000).await.unwrap(), None);
}

/// Sent again, in a newer version, with spans that were not known, or annotated: until the time is over.
pub async fn a_deleted_trace_does_not_come_back<F: StoreFactory>(factory: F) {
    let mut store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0), span(1, 2, 1)])).await;
    delete(&store, Target::Trace(trace_id(1))).await;
    let mut newer = span(1, 1, 0);
    newer.version = version(Stage::Ended, 9, 9, 9);
    let again = vec![span(1, 2, 1), newer, span(1, 4, 1), span(2, 1, 0)];
    let last_ns = AT_NS + TOMBSTONE_NS - 1;
    for received_ns in [1, last_ns] {
        let again = Batch { received_ns, ..batch(again.clone()) };
        append(&store, again).await;
        let notes = annotated(vec![annotation(1, 1, "good", 0.5)]);
        append(&store, Batch { received_ns, ..notes }).await;
        assert_gone(&store, 1, 4).await;
        assert_eq!(listed(&store).await, [2]);
        store = reopen(&factory, store).await;
        assert_gone(&store, 1, 4).await;
        assert_eq!(store.stats().await.unwrap().spans, 1);
    }
    append(&store, Batch { received_ns: last_ns + 1, ..batch(again) }).await;
    assert_eq!(row(&store, 1).await.unwrap().span_count, 3);
}

/// Every trace of which a span names it, whether that is the root or not.
pub async fn a_deleted_conversation_takes_its_traces<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![of(1, 1, 0, "c1", "")])).await;
    append(&store, batch(vec![of(2, 1, 0, "c2", ""), of(2, 2, 1, "c1", "")])).await;
    append(&store, batch(vec![of(3, 1, 0, "c2", ""), of(4, 1, 0, "", "")])).await;
    let deleted = delete(&store, Target::Session("c1".to_owned())).await;
    assert_eq!((deleted.touched, deleted.traces, deleted.spans), (traces(&[1, 2]), 2, 3));
    assert_gone(&store, 1, 1).await;
    let store = reopen(&factory, store).await;
    assert_gone(&store, 2, 2).await;
    assert_eq!(listed(&store).await, [4, 3]);
}

fn traces(numbers: &[u8]) -> Vec<TraceId> {
    numbers.iter().map(|n| trace_id(*n)).collect()
}

/// A span that names nobody belongs to who is named beside it.
pub async fn a_deleted_user_takes_the_traces_of_that_user_alone<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![of(1, 1, 0, "", ""), of(1, 2, 1, "", "ann")])).await;
    append(&store, batch(vec![of(2, 1, 0, "", "ann"), of(3, 1, 0, "", "ben")])).await;
    append(&store, batch(vec![of(4, 1, 0, "", "")])).await;
    let deleted = delete(&store, Target::User("ann".to_owned())).await;
    assert_eq!((deleted.traces, deleted.spans, deleted.blanked), (2, 3, 0));
    assert_gone(&store, 1, 2).await;
    let store = reopen(&factory, store).await;
    assert_gone(&store, 2, 1).await;
    assert_eq!(listed(&store).await, [4, 3]);
}

/// Where another user is in the trace, the structure stays, and the annotations on other spans.
pub async fn a_deleted_users_spans_elsewhere_lose_their_content<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = vec![of(1, 1, 0, "c", "ben"), of(1, 2, 1, "c", "ann"), of(1, 3, 2, "", "")];
    append(&store, batch(spans.clone())).await;
    let on = |id, span| Annotation { span_id: Some(span_id(span)), ..annotation(id, 1, "x", 1.0) };
    append(&store, annotated(vec![on(1, 1), on(2, 2), annotation(3, 1, "x", 1.0)])).await;
    let deleted = delete(&store, Target::User("ann".to_owned())).await;
    let told = (deleted.touched, deleted.traces, deleted.spans, deleted.blanked);
    assert_eq!(told, (traces(&[1]), 0, 0, 1));
    let store = reopen(&factory, store).await;
    let found = store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap().unwrap();
    assert_eq!((&found.spans[0].span, &found.spans[2].span), (&spans[0], &spans[2]));
    let blank = &found.spans[1].span;
    assert_eq!((&*blank.name, &blank.user_id, &blank.session_id), (BLANK_NAME, &None, &None));
    assert!(!format!("{blank:?}").contains("secret"), "{blank:?}");
    assert_eq!((blank.start_ns, blank.end_ns), (spans[1].start_ns, spans[1].end_ns));
    let notes: Vec<u8> = found.annotations.iter().map(|note| note.id.0[0]).collect();
    assert_eq!(notes, [1, 3]);
    // The same again, as it was, changes nothing; its end, reported late, comes without content.
    append(&store, batch(spans)).await;
    let again = store.trace(WS, &trace_id(1), true, NOW_NS).await.unwrap().unwrap();
    assert_eq!(again.spans, found.spans);
    let mut newer = of(1, 2, 1, "c", "ann");
    newer.version = version(Stage::Ended, 7, 7, 7);
    newer.end_ns = Some(newer.start_ns + 77);
    append(&store, batch(vec![newer])).await;
    let newer = stored(&store, &trace_id(1), &span_id(2)).await.unwrap();
    assert_eq!((newer.end_ns, &*newer.name), (Some(newer.start_ns + 77), BLANK_NAME));
    assert!(!format!("{newer:?}").contains("secret"), "{newer:?}");
    // Its neighbours are found as before: each names its input, its error, or both.
    let hits = all_hits(&store, &phrase("secret")).await;
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.span_id != span_id(2)), "{hits:?}");
}

/// What a client ships late of a deleted user stays out, what the user does afterwards is taken in.
pub async fn what_a_deleted_user_did_before_does_not_come_back<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    assert!(delete(&store, Target::User("ann".to_owned())).await.job > 0);
    let store = reopen(&factory, store).await;
    let mut after = of(2, 1, 0, "", "ann");
    after.start_ns = AT_NS;
    after.end_ns = None;
    append(&store, batch(vec![of(1, 1, 0, "", "ann"), after, of(3, 1, 0, "", "ben")])).await;
    assert_gone(&store, 1, 1).await;
    assert_eq!(listed(&store).await, [2, 3]);
    let late = Batch { received_ns: AT_NS + TOMBSTONE_NS, ..batch(vec![of(1, 1, 0, "", "ann")]) };
    append(&store, late).await;
    assert_eq!(row(&store, 1).await.unwrap().user_id.as_deref(), Some("ann"));
}

/// Ids and names mean another thing in another workspace.
pub async fn deletion_stays_in_its_workspace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let theirs = Span { workspace: "other".to_owned(), ..of(1, 1, 0, "c", "ann") };
    let on_theirs = Annotation { workspace: "other".to_owned(), ..annotation(1, 1, "x", 1.0) };
    append(&store, batch(vec![theirs.clone(), of(1, 1, 0, "c", "ann")])).await;
    append(&store, annotated(vec![on_theirs])).await;
    for target in [
        Target::Session("c".to_owned()),
        Target::User("ann".to_owned()),
        Target::Trace(trace_id(1)),
    ] {
        delete(&store, target).await;
    }
    assert_gone(&store, 1, 1).await;
    append(&store, batch(vec![theirs.clone(), Span { trace_id: trace_id(2), ..theirs }])).await;
    let row = store.trace_row("other", &trace_id(1), NOW_NS).await.unwrap().unwrap();
    assert_eq!((row.span_count, row.annotations.len()), (1, 1));
    assert!(store.trace_row("other", &trace_id(2), NOW_NS).await.unwrap().is_some());
}

/// No tombstone comes of it, but for a user: one who is not known yet may be told of late.
pub async fn deleting_what_is_not_there_does_nothing<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for target in [Target::Trace(trace_id(1)), Target::Session("c".to_owned())] {
        assert_eq!(delete(&store, target).await, Deleted::default());
    }
    let deleted = delete(&store, Target::User("ann".to_owned())).await;
    assert_eq!((deleted.touched, deleted.traces, deleted.blanked), (vec![], 0, 0));
    append(&store, batch(vec![of(1, 1, 0, "c", "ben")])).await;
    assert_eq!(listed(&store).await, [1]);
    // A trace that only annotations know is known.
    append(&store, annotated(vec![annotation(1, 5, "x", 1.0)])).await;
    let deleted = delete(&store, Target::Trace(trace_id(5))).await;
    assert_eq!((deleted.touched, deleted.traces, deleted.spans), (traces(&[5]), 1, 0));
    assert_eq!(store.annotations(WS, &trace_id(5)).await.unwrap(), []);
}
