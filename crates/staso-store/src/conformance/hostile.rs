//! What strangers send.

use std::sync::Arc;

use staso_model::{
    CaptureCategory, DroppedCounts, Event, Link, Payload, Repair, Scope, SentTotals, Span, SpanId,
    SpanKind, SpanStatus, TraceId, Usage, UsageBasis, Value,
};

use super::build::{
    NOW_NS, WS, append, batch, page, process_id, query, row, span, stored, trace_id,
};
use super::{StoreFactory, reopen};
use crate::batch::Batch;
use crate::query::{FacetField, FacetQuery, Filter, Sort, TextField, TextMatch, TraceQuery};
use crate::traits::Store;

/// A span with something in every field.
pub(super) fn full_span() -> Span {
    let text = |text: &str| Some(text.to_owned());
    let values = vec![
        ("k".to_owned(), Value::Map(vec![("n".to_owned(), Value::Int(i64::MIN))])),
        ("k".to_owned(), Value::Array(vec![Value::Null, Value::Bytes(vec![0, 255])])),
        (String::new(), Value::Double(-0.0)),
        ("b".to_owned(), Value::Bool(true)),
    ];
    Span {
        otel_kind: -7,
        kind: SpanKind::Llm,
        status: SpanStatus::Timeout,
        error_message: text("e"),
        input: Some(Payload::json("{\"q\": 1}")),
        output: Some(Payload::text("plain")),
        attributes: values.clone(),
        events: vec![Event {
            time_ns: -1,
            name: "exception".to_owned(),
            attributes: values.clone(),
            dropped_attributes: 1,
        }],
        links: vec![Link {
            trace_id: trace_id(9),
            span_id: SpanId([9; 16]),
            trace_state: "a=b".to_owned(),
            attributes: values.clone(),
            dropped_attributes: 2,
            flags: 3,
        }],
        tags: vec!["t".to_owned(), "t".to_owned()],
        environment: text("env"),
        service: text("svc"),
        agent_name: text("agent"),
        agent_id: text("agent-id"),
        agent_version: text("v"),
        session_id: text("session"),
        user_id: text("user"),
        provider: text("provider"),
        model: text("model"),
        requested_model: text("asked"),
        reasoning_effort: text("high"),
        usage: Usage {
            available: Some(false),
            input_uncached: Some(1),
            cache_read: Some(2),
            cache_write_5m: Some(3),
            cache_write_1h: Some(4),
            output: Some(5),
            reasoning: Some(6),
            audio_input: Some(7),
            audio_output: Some(8),
            sent: SentTotals { input: Some(9), output: None, total: Some(10) },
            basis: UsageBasis::Assumed,
            raw: Some(Value::Map(values.clone())),
            contradiction: text("total"),
            is_of_trace: true,
        },
        cost_nano_usd: Some(11),
        client_cost_nano_usd: Some(-12),
        process_id: Some(process_id(3)),
        sample_rate: Some(0.25),
        capture: vec![(CaptureCategory::Output, false), (CaptureCategory::Request, true)],
        trace_state: "x=y".to_owned(),
        flags: 0x0301,
        dropped_counts: DroppedCounts { attributes: 1, events: 2, links: 3 },
        scope: Arc::new(Scope {
            name: "lib".to_owned(),
            version: "1".to_owned(),
            attributes: values,
            dropped_attributes: 4,
            schema_url: "s".to_owned(),
        }),
        repairs: vec![Repair { field: "kind".to_owned(), problem: "unknown".to_owned() }],
        ..span(1, 1, 0)
    }
}

/// Texts that break careless stores.
fn texts() -> Vec<String> {
    let nasty = [
        "",
        "\0",
        "a\0b",
        "'; DROP TABLE spans; --",
        "%_*\\\"",
        "👩‍👩‍👧‍👦 \u{202e}",
        "日本語 العربية",
        "İẞΣς",
        "\u{feff}\r\n\t",
        "\u{10ffff}",
    ];
    nasty.map(str::to_owned).to_vec()
}

/// Any text in any field comes back, is found by itself, and is counted as itself.
pub async fn hostile_texts_come_back_unchanged<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for (i, text) in texts().into_iter().enumerate() {
        let n = u8::try_from(i + 1).unwrap();
        let hostile = Span {
            name: text.clone(),
            input: Some(Payload::text(text.clone())),
            error_message: Some(text.clone()),
            attributes: vec![(text.clone(), Value::String(text.clone()))],
            tags: vec![text.clone()],
            session_id: Some(text.clone()),
            user_id: Some(text.clone()),
            model: Some(text.clone()),
            environment: Some(text.clone()),
            ..span(n, 1, 0)
        };
        let mut batch = batch(vec![hostile.clone()]);
        batch.receipt = super::build::receipt(&text, n);
        append(&store, batch).await;
        let found = stored(&store, &hostile.trace_id, &hostile.span_id).await;
        assert_eq!(found.as_ref(), Some(&hostile));
        assert_eq!(row(&store, n).await.unwrap().name, text);
    }
    for text in texts() {
        let wanted = TextMatch::Equals(text.clone());
        let filters = [
            Filter::Text(TextField::Session, wanted.clone()),
            Filter::Metadata(text.clone(), wanted),
        ];
        for filter in filters {
            let filter = Filter::All(vec![filter]);
            let rows = page(&store, &TraceQuery { filter, ..query() }).await.rows;
            assert!(rows.iter().any(|row| row.name == text), "{text:?}");
        }
        let traces = TraceQuery { environment: Some(text.clone()), ..query() };
        let facet = FacetQuery { traces, field: FacetField::Text(TextField::Name), limit: 99 };
        let counted = store.facet(&facet).await.unwrap();
        assert_eq!((counted.len(), counted[0].value.as_str()), (1, text.as_str()));
    }
}

/// The ends of time and of numbers, and no number at all.
pub async fn hostile_numbers_come_back_unchanged<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let times = [(i64::MIN, Some(i64::MAX)), (i64::MAX, Some(i64::MIN)), (0, Some(0)), (-1, None)];
    for (i, (start_ns, end_ns)) in times.into_iter().enumerate() {
        let mut hostile = span(u8::try_from(i + 1).unwrap(), 1, 0);
        (hostile.start_ns, hostile.end_ns) = (start_ns, end_ns);
        hostile.version.received_ns = start_ns;
        hostile.cost_nano_usd = Some(i64::MAX);
        hostile.usage.output = Some(i64::MIN);
        hostile.sample_rate = Some(f64::INFINITY);
        let doubles = [f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, -0.0];
        hostile.attributes = doubles.map(|x| ("x".to_owned(), Value::Double(x))).to_vec();
        let mut twin = hostile.clone();
        twin.span_id = super::build::span_id(2);
        append(&store, batch(vec![hostile.clone(), twin])).await;
        let found = stored(&store, &hostile.trace_id, &hostile.span_id).await;
        assert_eq!(found, Some(hostile));
    }
    let longest = page(&store, &TraceQuery { sort: Sort::Duration, ..query() }).await.rows;
    assert_eq!(super::build::numbers(&longest), [1, 3, 2, 4]);
    assert_eq!(
        (longest[0].cost_nano_usd, longest[0].output_tokens),
        (Some(i64::MAX), Some(i64::MIN))
    );
    let by_start = page(&store, &query()).await.rows;
    assert_eq!(super::build::numbers(&by_start), [2, 3, 4, 1]);
    let store = reopen(&factory, store).await;
    assert_eq!(page(&store, &query()).await.rows, by_start);
}

/// As deep as the wire lets values be.
pub async fn deeply_nested_values_come_back<F: StoreFactory>(factory: F) {
    const DEEP: usize = 512;
    let store = factory.open().await;
    let mut deep = span(1, 1, 0);
    let wrap = |inner: Value, i: usize| match i % 2 {
        0 => Value::Array(vec![inner, Value::Null]),
        _ => Value::Map(vec![("k".to_owned(), inner)]),
    };
    deep.attributes = vec![("deep".to_owned(), (0..DEEP).fold(Value::Int(1), wrap))];
    append(&store, batch(vec![deep.clone()])).await;
    let found = stored(&store, &deep.trace_id, &deep.span_id).await;
    assert_eq!(found, Some(deep));
}

/// A name of a megabyte, and payloads that do not compress.
pub async fn very_long_texts_come_back<F: StoreFactory>(factory: F) {
    const LONG: usize = 1 << 20;
    let store = factory.open().await;
    let mut long = span(1, 1, 0);
    long.name = "ñ".repeat(LONG / 2);
    let noise = (0..LONG as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
    let noise: String = noise.map(|x| char::from(b'0' + u8::try_from(x).unwrap())).collect();
    long.input = Some(Payload::text(noise));
    long.tags = vec!["t".repeat(LONG); 2];
    append(&store, batch(vec![long.clone()])).await;
    let found = stored(&store, &long.trace_id, &long.span_id).await;
    assert_eq!(found.as_ref(), Some(&long));
    let row = row(&store, 1).await.unwrap();
    assert_eq!(row.name, long.name);
    assert_eq!(row.input_preview.map(|text| text.len()), Some(200));
    let filter = Filter::SpanName("ÑÑÑ".to_owned());
    assert_eq!(page(&store, &TraceQuery { filter, ..query() }).await.rows.len(), 1);
}

/// All-zero ids name a trace and a span like any other.
pub async fn empty_ids_are_ids_too<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    let mut nil = Span::new(WS, TraceId::NIL, SpanId::NIL);
    nil.process_id = Some(process_id(0));
    let mut child = Span::new(WS, TraceId::NIL, SpanId([1; 16]));
    child.parent_span_id = Some(SpanId::NIL);
    child.start_ns = 1;
    let mut receipt = super::build::receipt("", 0);
    receipt.iter_mut().for_each(|receipt| receipt.digest = [0; 32]);
    append(&store, Batch { receipt, ..batch(vec![child, nil]) }).await;
    let trace = store.trace(WS, &TraceId::NIL, true, NOW_NS).await.unwrap().unwrap();
    assert_eq!(trace.row.root_span_id, Some(SpanId::NIL));
    assert_eq!(trace.spans.iter().map(|s| s.depth).collect::<Vec<_>>(), [0, 1]);
}
