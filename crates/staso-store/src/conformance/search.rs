//! Search: what text is, whose it is, in which order it is found, and when it stops.

use std::time::Duration;

use staso_model::{Event, Payload, Span, Value};
use tokio::sync::mpsc;

use super::build::{NOW_NS, append, batch, open_span, span, span_id, trace_id, version};
use super::{StoreFactory, reopen};
use crate::error::StoreError;
use crate::query::Filter;
use crate::query::parse::parse;
use crate::search::{SearchCursor, SearchEnd, SearchField, SearchHit, SearchQuery};
use crate::traits::Store;

/// A search of everything for a phrase.
pub(super) fn phrase(text: &str) -> SearchQuery {
    SearchQuery {
        workspace: super::build::WS.to_owned(),
        text: text.to_owned(),
        environment: None,
        filter: Filter::everything(),
        from_ns: None,
        to_ns: None,
        after: None,
        limit: 1000,
        give_up_after: None,
        now_ns: NOW_NS,
    }
}

/// The hits of one page, and how it ended.
pub(super) async fn hits<S: Store>(
    store: &S,
    query: &SearchQuery,
) -> Result<(Vec<SearchHit>, SearchEnd), StoreError> {
    let (sender, mut receiver) = mpsc::channel(1);
    let taking = async {
        let mut hits = Vec::new();
        while let Some(hit) = receiver.recv().await {
            hits.push(hit);
        }
        hits
    };
    let (end, hits) = tokio::join!(store.search(query, sender), taking);
    Ok((hits, end?))
}

/// Every hit, page by page.
pub(super) async fn all_hits<S: Store>(store: &S, query: &SearchQuery) -> Vec<SearchHit> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let (hits, end) = hits(store, &query).await.unwrap();
        assert!(hits.len() <= query.limit);
        all.extend(hits);
        match end.next {
            Some(next) => query.after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

/// The first byte of the trace, and the text, of every hit.
pub(super) async fn found<S: Store>(store: &S, text: &str) -> Vec<(u8, SearchField)> {
    let hits = all_hits(store, &phrase(text)).await;
    hits.into_iter().map(|hit| (hit.trace_id.0[0], hit.field)).collect()
}

fn with_texts() -> Vec<Span> {
    let mut spans: Vec<Span> = (1..=5).map(|n| span(n, 1, 0)).collect();
    spans[0].name = "Zurück zum Anfang".into();
    spans[1].error_message = Some("503: das Lager antwortet nicht".into());
    spans[2].input = Some(Payload::json(r#"{"q":"say \"hi\"\nto أحمد","n":12}"#));
    spans[3].output = Some(Payload::text("{\"not\": \"JSON\", 订单在哪里 😀"));
    spans[4].events = vec![Event {
        time_ns: 1,
        name: "exception".into(),
        attributes: vec![
            ("exception.message".into(), "connection reset".into()),
            ("deep".into(), Value::Array(vec![Value::Map(vec![("k".into(), "Tief".into())])])),
        ],
        dropped_attributes: 0,
    }];
    spans
}

/// A phrase is found in each of a span's texts, in any script and case, as it reads and not as JSON
/// writes it; never across two texts; and in nothing that is not text.
pub async fn phrases_are_found_as_they_read<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(with_texts())).await;
    let store = reopen(&factory, store).await;
    for (text, expected) in [
        ("ZURÜCK", vec![(1, SearchField::Name)]),
        ("lager antwortet", vec![(2, SearchField::Error)]),
        ("say \"hi\"\nto", vec![(3, SearchField::Input)]),
        ("أحمد", vec![(3, SearchField::Input)]),
        ("{\"q\":\"say", vec![(3, SearchField::Input)]),
        ("\"n\":12}", vec![(3, SearchField::Input)]),
        ("\\n", vec![]),
        ("订单在哪", vec![(4, SearchField::Output)]),
        ("😀", vec![(4, SearchField::Output)]),
        ("CONNECTION RESET", vec![(5, SearchField::Event)]),
        ("exception", vec![(5, SearchField::Event)]),
        ("tief", vec![(5, SearchField::Event)]),
        ("exception.message", vec![]),
        ("AnfangZur", vec![]),
        ("nowhere at all", vec![]),
    ] {
        assert_eq!(found(&store, text).await, expected, "{text}");
        let anywhere = Filter::Anywhere(text.to_owned());
        let list = crate::query::TraceQuery { filter: anywhere, ..super::build::query() };
        let rows = super::build::page(&store, &list).await.rows;
        let listed: Vec<u8> = super::build::numbers(&rows);
        assert_eq!(listed, expected.iter().map(|(n, _)| *n).collect::<Vec<_>>(), "filter {text}");
    }
    let (hits, end) = hits(&store, &phrase("hi\"\nTO أح")).await.unwrap();
    let snippet = &hits[0].snippet;
    let letters: Vec<char> = snippet.text.chars().collect();
    assert_eq!(letters[snippet.start..snippet.end].iter().collect::<String>(), "hi\"\nto أح");
    assert_eq!(snippet.text, "{\"q\":\"say \"hi\"\nto أحمد\",\"n\":12}");
    assert_eq!(
        (hits[0].start_ns, hits[0].name.as_str(), end.next),
        (3_000_001_000, "span 1", None)
    );
}

/// Newest start first, ties by trace and span, each span once; pages go on where the one before
/// ended, also while data arrives.
pub async fn hits_come_newest_first<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for round in 0..4_u8 {
        let spans = (1..=6).flat_map(|id| (1..=3).map(move |trace| (trace, id)));
        let spans = spans.filter(|(_, id)| id % 4 == u64::from(round)).map(|(trace, id)| {
            let mut span = span(trace, id, 0);
            span.name = format!("needle {id}");
            span.input = Some(Payload::text("the needle again"));
            // Of each trace's spans two begin at the same time.
            span.start_ns = i64::try_from(id / 2).unwrap();
            span
        });
        append(&store, batch(spans.collect())).await;
    }
    let mut wanted: Vec<SearchCursor> = Vec::new();
    for (trace, id) in (1..=6).flat_map(|id| (1..=3).map(move |trace| (trace, id))) {
        let start_ns = i64::try_from(id / 2).unwrap();
        wanted.push(SearchCursor { start_ns, trace_id: trace_id(trace), span_id: span_id(id) });
    }
    wanted.sort_by(|a, b| b.cmp(a));
    let place = |hit: &SearchHit| SearchCursor {
        start_ns: hit.start_ns,
        trace_id: hit.trace_id,
        span_id: hit.span_id,
    };
    for limit in [1, 2, 7, 18, 1000] {
        let query = SearchQuery { limit, ..phrase("NEEDLE") };
        let all = all_hits(&store, &query).await;
        assert_eq!(all.iter().map(place).collect::<Vec<_>>(), wanted, "pages of {limit}");
    }
    let (first, end) = hits(&store, &SearchQuery { limit: 5, ..phrase("needle") }).await.unwrap();
    assert_eq!(end.next, first.last().map(place), "a full page says where to go on");
    let mut late = span(9, 1, 0);
    late.name = "needle".into();
    append(&store, batch(vec![late])).await;
    let rest = SearchQuery { after: end.next, ..phrase("needle") };
    let rest = all_hits(&store, &rest).await;
    assert_eq!(rest.iter().map(place).collect::<Vec<_>>(), wanted[5..]);
}

/// The newest version of a span is searched and no other; discarded spans are not.
pub async fn replaced_text_is_not_found<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut first = open_span(1, 1, 0);
    first.input = Some(Payload::text("the old phrase"));
    let mut dropped = span(1, 2, 1);
    dropped.dropped = true;
    dropped.input = Some(Payload::text("the old phrase, the new phrase"));
    append(&store, batch(vec![first, dropped])).await;
    assert_eq!(found(&store, "old phrase").await, [(1, SearchField::Input)], "open spans too");
    let mut last = span(1, 1, 0);
    last.input = Some(Payload::text("the new phrase"));
    last.version = version(last.version.stage, 0, 2, 9);
    append(&store, batch(vec![last])).await;
    let store = reopen(&factory, store).await;
    assert_eq!(found(&store, "old phrase").await, []);
    assert_eq!(found(&store, "new phrase").await, [(1, SearchField::Input)]);
}

/// A filter and an environment choose traces, bounds of time choose spans; no workspace finds
/// another's text.
pub async fn searches_can_be_narrowed<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = (1..=4).map(|n| {
        let mut span = span(n, 1, 0);
        span.name = "needle".into();
        span.environment = Some(if n % 2 == 0 { "even" } else { "odd" }.into());
        span.model = Some(format!("m-{n}"));
        span
    });
    let mut other = span(5, 1, 0);
    other.name = "needle".into();
    other.workspace = "other".into();
    append(&store, batch(spans.chain([other]).collect())).await;
    let traces = async |query: SearchQuery| -> Vec<u8> {
        all_hits(&store, &query).await.iter().map(|hit| hit.trace_id.0[0]).collect()
    };
    let all = phrase("needle");
    assert_eq!(traces(all.clone()).await, [4, 3, 2, 1]);
    let environment = Some("even".to_owned());
    assert_eq!(traces(SearchQuery { environment, ..all.clone() }).await, [4, 2]);
    let filter = parse("model:m-1 OR model:m-4").unwrap();
    assert_eq!(traces(SearchQuery { filter, ..all.clone() }).await, [4, 1]);
    let from_ns = Some(2_000_001_000);
    let to_ns = Some(4_000_001_000);
    assert_eq!(traces(SearchQuery { from_ns, to_ns, ..all.clone() }).await, [3, 2]);
    assert_eq!(traces(SearchQuery { workspace: "other".into(), ..all.clone() }).await, [5]);
    assert_eq!(traces(SearchQuery { workspace: "nowhere".into(), ..all }).await, [0; 0]);
}

/// A search that gives up has come further, and goes on from there to the same hits.
pub async fn a_search_that_gives_up_goes_on<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for n in 1..=20_u8 {
        let mut span = span(n, 1, 0);
        span.input =
            Some(Payload::text(format!("haystack {}", if n % 5 == 0 { "needle" } else { "" })));
        append(&store, batch(vec![span])).await;
    }
    let hasty = SearchQuery { give_up_after: Some(Duration::ZERO), ..phrase("needle") };
    let traces: Vec<u8> =
        all_hits(&store, &hasty).await.iter().map(|hit| hit.trace_id.0[0]).collect();
    assert_eq!(traces, [20, 15, 10, 5]);
    // The same where they are stored together, with others that begin among them.
    let spans = (31..=50_u8).map(|n| Span {
        input: Some(Payload::text(if n % 5 == 0 { "a thimble" } else { "hay" })),
        ..span(n, 1, 0)
    });
    append(&store, batch(spans.collect())).await;
    append(&store, batch(vec![span(40, 2, 0)])).await;
    let hits = all_hits(&store, &SearchQuery { text: "thimble".to_owned(), ..hasty }).await;
    assert_eq!(hits.iter().map(|hit| hit.trace_id.0[0]).collect::<Vec<_>>(), [50, 45, 40, 35]);
}

/// Nobody who takes the hits: the search ends, and the store goes on.
pub async fn a_search_ends_when_nobody_listens<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let spans = (1..=200).map(|id| span(1, id, 0)).collect();
    append(&store, batch(spans)).await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let query = phrase("span");
    let search = tokio::time::timeout(Duration::from_secs(60), store.search(&query, sender));
    // Whether it ends with an error or a place to go on is its own affair.
    let _ended = search.await.expect("it ends");
    let (sender, mut receiver) = mpsc::channel(1);
    {
        let search = store.search(&query, sender);
        tokio::pin!(search);
        tokio::select! {
            ended = &mut search => panic!("nobody took its hits: {ended:?}"),
            hit = receiver.recv() => assert!(hit.is_some()),
        }
    }
    // The future is gone, and with it soon the other end of the channel.
    let drained = async { while receiver.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), drained).await.expect("the work ends");
    assert_eq!(all_hits(&store, &query).await.len(), 200);
}

/// What no engine can answer is refused by all of them.
pub async fn impossible_searches_are_refused<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let deep = (0..100).fold(Filter::everything(), |inner, _| Filter::Not(Box::new(inner)));
    for query in [
        SearchQuery { limit: 0, ..phrase("x") },
        SearchQuery { limit: 1001, ..phrase("x") },
        phrase(""),
        phrase(" \n"),
        phrase(&"é".repeat(501)),
        SearchQuery { filter: deep, ..phrase("x") },
    ] {
        let refused = hits(&store, &query).await;
        assert!(matches!(refused, Err(StoreError::BadQuery { .. })), "{query:?}: {refused:?}");
    }
}
