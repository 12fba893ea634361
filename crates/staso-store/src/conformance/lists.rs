//! Rows, pages, cursors, sorts, bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use staso_model::{Payload, Span, SpanKind, SpanStatus, Usage};

use super::build::{
    NOW_NS, WS, all_pages, append, batch, numbers, open_span, page, query, row, span, span_id,
    stored, trace_id,
};
use super::{StoreFactory, reopen};
use crate::error::StoreError;
use crate::matching::{MAX_LIMIT, position};
use crate::query::{Cursor, FacetField, FacetQuery, Filter, RunState, Sort, TraceQuery};
use crate::row::TraceRow;
use crate::traits::Store;

const SORTS: [Sort; 5] = [Sort::Start, Sort::Duration, Sort::Cost, Sort::Tokens, Sort::Spans];

/// Every field of a row, from spans that disagree in each.
pub async fn rows_follow_their_spans<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.kind = SpanKind::Agent;
    root.environment = Some("prod".to_owned());
    root.input = Some(Payload::text("ü".repeat(300)));
    root.end_ns = Some(root.start_ns + 50);
    root.version.received_ns = 30;
    let mut call = span(1, 2, 1);
    call.kind = SpanKind::Llm;
    call.status = SpanStatus::Timeout;
    call.error_message = Some("too slow".to_owned());
    call.model = Some("m2".to_owned());
    call.agent_name = Some("planner".to_owned());
    call.agent_version = Some("7".to_owned());
    call.environment = Some("not the root's".to_owned());
    call.usage = Usage {
        input_uncached: Some(10),
        cache_read: Some(5),
        output: Some(3),
        ..Usage::default()
    };
    call.cost_nano_usd = Some(70);
    call.repairs = vec![staso_model::Repair { field: "kind".into(), problem: "unknown".into() }];
    let mut other = span(1, 3, 1);
    other.kind = SpanKind::Llm;
    other.model = Some("m1".to_owned());
    other.agent_name = Some("writer".to_owned());
    other.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    other.session_id = Some("s".to_owned());
    other.user_id = Some("u".to_owned());
    other.service = Some("svc".to_owned());
    append(&store, batch(vec![other.clone(), call, root.clone()])).await;
    let row = row(&store, 1).await.unwrap();
    assert_eq!(row.root_span_id, Some(span_id(1)));
    assert_eq!((row.name.as_str(), row.kind), ("span 1", SpanKind::Agent));
    assert_eq!(row.kinds, [SpanKind::Llm, SpanKind::Agent]);
    assert_eq!((row.status, row.state), (SpanStatus::Unset, RunState::Done));
    assert_eq!((row.start_ns, row.end_ns), (root.start_ns, other.end_ns));
    assert_eq!((row.span_count, row.error_count, row.open_count), (3, 1, 0));
    assert_eq!(row.environment.as_deref(), Some("prod"));
    assert_eq!(row.service.as_deref(), Some("svc"));
    assert_eq!(row.agent_name.as_deref(), Some("planner"));
    assert_eq!(row.agent_version.as_deref(), Some("7"));
    assert_eq!((row.session_id.as_deref(), row.user_id.as_deref()), (Some("s"), Some("u")));
    assert_eq!(row.agents, ["planner", "writer"]);
    assert_eq!(row.agent_versions, ["7"]);
    assert_eq!(row.models, ["m1", "m2"]);
    assert_eq!(row.tags, ["a", "b"]);
    assert_eq!(
        (row.input_tokens, row.output_tokens, row.total_tokens),
        (Some(15), Some(3), Some(18))
    );
    assert_eq!((row.cost_nano_usd, row.cost_incomplete), (Some(70), true));
    assert_eq!(row.input_preview, Some("ü".repeat(200)));
    assert_eq!(row.output_preview, None);
    assert_eq!(row.error_message.as_deref(), Some("too slow"));
    assert_eq!((row.repaired_count, row.received_ns), (1, 30));
}

/// The trace's own totals stand where no span counts tokens, and are never added to those of spans,
/// in whichever order they come.
pub async fn totals_of_the_trace_are_never_added_to_its_spans<F: StoreFactory>(factory: F) {
    let usage = |input, output, is_of_trace| Usage {
        input_uncached: Some(input),
        output: Some(output),
        is_of_trace,
        ..Usage::default()
    };
    let store = factory.open().await;
    let mut root = span(1, 1, 0);
    root.usage = usage(100, 10, true);
    let mut call = span(1, 2, 1);
    call.usage = usage(70, 7, false);
    append(&store, batch(vec![root.clone()])).await;
    assert_eq!(row(&store, 1).await.unwrap().total_tokens, Some(110), "nobody else counts");
    append(&store, batch(vec![call.clone()])).await;
    let tokens = |row: TraceRow| (row.input_tokens, row.output_tokens, row.total_tokens);
    let of_call = (Some(70), Some(7), Some(77));
    assert_eq!(tokens(row(&store, 1).await.unwrap()), of_call);
    let spans = [&call, &root].map(|span| Span { trace_id: trace_id(2), ..span.clone() });
    for span in spans {
        append(&store, batch(vec![span])).await;
    }
    assert_eq!(tokens(row(&store, 2).await.unwrap()), of_call);
    let store = reopen(&factory, store).await;
    // What was on disk is read back before it is added up again.
    append(&store, batch(vec![span(1, 3, 2)])).await;
    assert_eq!(tokens(row(&store, 1).await.unwrap()), of_call);
    let kept = stored(&store, &trace_id(1), &span_id(1)).await.unwrap();
    assert!(kept.usage.is_of_trace);
}

/// Until the root arrives, and while it is open, the row says what is known so far.
pub async fn a_root_that_comes_late_names_the_trace<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut failed = span(1, 3, 2);
    failed.status = SpanStatus::Error;
    append(&store, batch(vec![failed, span(1, 2, 1)])).await;
    let early = row(&store, 1).await.unwrap();
    assert_eq!((early.name.as_str(), early.root_span_id), ("span 2", None));
    assert_eq!(early.status, SpanStatus::Error);
    append(&store, batch(vec![open_span(1, 1, 0)])).await;
    let open = row(&store, 1).await.unwrap();
    assert_eq!((open.name.as_str(), open.root_span_id), ("span 1", Some(span_id(1))));
    assert_eq!((open.status, open.end_ns), (SpanStatus::Error, None));
    let mut root = span(1, 1, 0);
    root.status = SpanStatus::Ok;
    append(&store, batch(vec![root])).await;
    assert_eq!(row(&store, 1).await.unwrap().status, SpanStatus::Ok);
}

/// Traces that differ in every sort value, some of which they lack.
fn various() -> Vec<Span> {
    let mut spans = Vec::new();
    for n in 1..=9_u8 {
        let mut span = if n % 4 == 0 { open_span(n, 1, 0) } else { span(n, 1, 0) };
        let value = i64::from(n) * 37 % 10;
        span.end_ns = span.end_ns.map(|_| span.start_ns + value);
        span.cost_nano_usd = (n % 3 != 0).then_some(value);
        span.usage.output = (n % 3 != 1).then_some(value / 2);
        spans.push(span);
        spans.extend((0..u64::from(n % 3)).map(|i| super::build::span(n, 10 + i, 1)));
    }
    spans
}

/// Whatever the page size, the pages together are the list, in every order.
pub async fn pages_neither_skip_nor_double<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(various())).await;
    for sort in SORTS {
        let whole = page(&store, &TraceQuery { sort, ..query() }).await;
        assert_eq!((whole.rows.len(), whole.next), (9, None));
        let keys: Vec<Cursor> = whole.rows.iter().map(|row| position(row, sort)).collect();
        assert!(keys.windows(2).all(|w| (w[0].value, w[0].trace_id) > (w[1].value, w[1].trace_id)));
        for limit in [1, 2, 3, 8, 9, 10] {
            let rows = all_pages(&store, &TraceQuery { sort, limit, ..query() }).await;
            assert_eq!(rows, whole.rows, "{sort:?} by {limit}");
        }
    }
}

/// Rows that do not change are seen exactly once, while others come and change on every page.
pub async fn cursors_stay_valid_while_data_arrives<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch((1..=40).map(|n| span(n, 1, 0)).collect())).await;
    for sort in SORTS {
        let mut query = TraceQuery { sort, limit: 7, ..query() };
        let mut seen = Vec::new();
        let mut round = 0;
        loop {
            let page = page(&store, &query).await;
            seen.extend(numbers(&page.rows));
            round += 1;
            // New traces before, between and after; one old trace grows.
            let mut fresh: Vec<Span> = (0..3).map(|i| span(60 + round * 3 + i, 1, 0)).collect();
            fresh.push(span(50, u64::from(round), 0));
            append(&store, batch(fresh)).await;
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let stable: Vec<u8> = seen.iter().copied().filter(|n| *n <= 40).collect();
        let distinct: BTreeSet<u8> = stable.iter().copied().collect();
        assert_eq!((stable.len(), distinct.len()), (40, 40), "{sort:?}");
    }
}

/// No value is less than every value.
pub async fn rows_without_the_value_come_last<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut priced = span(2, 1, 0);
    priced.cost_nano_usd = Some(i64::MIN);
    append(&store, batch(vec![span(1, 1, 0), priced, span(3, 1, 0), open_span(4, 1, 0)])).await;
    let by_cost = page(&store, &TraceQuery { sort: Sort::Cost, ..query() }).await;
    assert_eq!(numbers(&by_cost.rows), [2, 4, 3, 1]);
    let by_duration = page(&store, &TraceQuery { sort: Sort::Duration, ..query() }).await;
    assert_eq!(numbers(&by_duration.rows), [3, 2, 1, 4]);
    let after = Some(Cursor { sort: Sort::Cost, value: None, trace_id: trace_id(3) });
    let rest = page(&store, &TraceQuery { sort: Sort::Cost, after, ..query() }).await;
    assert_eq!(numbers(&rest.rows), [1]);
}

/// Limits, foreign cursors and monstrous filters.
pub async fn impossible_queries_are_refused<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(vec![span(1, 1, 0)])).await;
    let after = Some(Cursor { sort: Sort::Cost, value: None, trace_id: trace_id(1) });
    let nested =
        |depth| (0..depth).fold(Filter::everything(), |inner, _| Filter::Not(Box::new(inner)));
    let refused = [
        TraceQuery { limit: 0, ..query() },
        TraceQuery { limit: MAX_LIMIT + 1, ..query() },
        TraceQuery { after, ..query() },
        TraceQuery { filter: nested(1_000), ..query() },
        TraceQuery { filter: Filter::Any(vec![Filter::everything(); 5_000]), ..query() },
    ];
    for query in refused {
        let answer = store.traces(&query).await;
        assert!(matches!(answer, Err(StoreError::BadQuery { .. })), "{answer:?}");
    }
    let wide = Filter::All(vec![Filter::Kind(SpanKind::Chain); 900]);
    for filter in [nested(60), wide] {
        assert_eq!(page(&store, &TraceQuery { filter, ..query() }).await.rows.len(), 1);
    }
    let nowhere = TraceQuery { workspace: "nowhere".to_owned(), limit: 0, ..query() };
    assert!(store.traces(&nowhere).await.is_err(), "a bad query is bad everywhere");
}

/// `from <= start < to`, and the environment exactly.
pub async fn time_bounds_are_half_open<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let start_ns = |n| span(n, 1, 0).start_ns;
    let mut prod = span(4, 1, 0);
    prod.environment = Some("prod".to_owned());
    append(&store, batch(vec![span(1, 1, 0), span(2, 1, 0), span(3, 1, 0), prod])).await;
    for sort in SORTS {
        let bounded =
            TraceQuery { sort, from_ns: Some(start_ns(2)), to_ns: Some(start_ns(4)), ..query() };
        let found: BTreeSet<u8> = numbers(&page(&store, &bounded).await.rows).into_iter().collect();
        assert_eq!(found, BTreeSet::from([2, 3]));
        let of_prod = |name: &str| TraceQuery { sort, environment: Some(name.into()), ..query() };
        assert_eq!(numbers(&page(&store, &of_prod("prod")).await.rows), [4]);
        assert_eq!(page(&store, &of_prod("PROD")).await.rows.len(), 0);
    }
    let empty = TraceQuery { from_ns: Some(i64::MAX), to_ns: Some(i64::MIN), ..query() };
    assert_eq!(page(&store, &empty).await.rows.len(), 0);
}

/// A facet over a filter counts what the list with that filter shows.
pub async fn every_filter_counts_the_same_in_a_facet<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    append(&store, batch(various())).await;
    for source in ["", "errors:0", "state:done", "state:unknown", "spans>1", "-kind:llm", "nothing"]
    {
        let filter = crate::query::parse::parse(source).unwrap();
        let traces = TraceQuery { filter, limit: 1, ..query() };
        let listed = all_pages(&store, &traces).await.len() as u64;
        let facet = FacetQuery { traces, field: FacetField::Status, limit: 5 };
        let counted: u64 = store.facet(&facet).await.unwrap().iter().map(|v| v.count).sum();
        assert_eq!(counted, listed, "{source}");
    }
}

/// Everything a span can hold, field by field.
pub async fn every_field_of_a_span_comes_back<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut full = super::hostile::full_span();
    full.resource = Arc::new(staso_model::Resource {
        attributes: full.attributes.clone(),
        dropped_attributes: 3,
        schema_url: "https://schema".to_owned(),
        entity_refs: vec![staso_model::EntityRef {
            kind: "service".to_owned(),
            id_keys: vec!["k".to_owned()],
            ..Default::default()
        }],
    });
    append(&store, batch(vec![full.clone()])).await;
    let found = stored(&store, &full.trace_id, &full.span_id).await;
    assert_eq!(found.as_ref(), Some(&full));
    let trace = store.trace(WS, &full.trace_id, true, NOW_NS).await.unwrap().unwrap();
    assert_eq!(trace.spans[0].span, full);
}

/// Without payloads: the same trace, less inputs, outputs and events.
pub async fn payloads_can_be_left_out<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let full = super::hostile::full_span();
    append(&store, batch(vec![full.clone()])).await;
    let trace = store.trace(WS, &full.trace_id, false, NOW_NS).await.unwrap().unwrap();
    let wanted = Span { input: None, output: None, events: Vec::new(), ..full };
    assert_eq!(trace.spans[0].span, wanted);
    assert_eq!(trace.row.input_preview.as_deref(), Some("{\"q\": 1}"));
}
