//! Arbitrary values, spans and export requests for the property tests.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef as ProtoEntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::span::{Event as ProtoEvent, Link as ProtoLink};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan, Status};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use staso_model::{
    Annotation, AnnotationId, AnnotationSource, AnnotationValue, Attributes, CacheParts,
    CaptureCategory, DroppedCounts, EntityRef, Event, INTERRUPTED_ATTRIBUTE, Link, Payload,
    ProcessId, Repair, Resource, Scope, SentTotals, Span, SpanId, SpanKind, SpanStatus, Stage,
    TraceId, Usage, UsageBasis, Value,
};

/// Keys that the conventions read, and others; few, so that some repeat.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c]{0,2}",
        3 => prop::sample::select(vec![
            "gen_ai.request.model", "gen_ai.response.model", "gen_ai.operation.name",
            "openinference.span.kind", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
            "cache_read_input_tokens", "input.value", "output.value", "gen_ai.input.messages",
            "llm.input_messages.0.message.role", "llm.input_messages.1.message.role",
            "gen_ai.prompt.0.content", "session.id", "user.id", "service.name", "service.version",
            "deployment.environment.name", "tag.tags", "gen_ai.usage.cost", "ai.operationId",
            "gen_ai.tool.name", "traceloop.entity.name", "gen_ai.system_instructions",
            "staso.kind", "staso.input", "staso.status", "staso.usage", "staso.span_id",
            "staso.repaired.name", "staso.provisional", "staso.tags",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,6}",
        any::<String>(),
        prop::sample::select(vec![
            "chat",
            "LLM",
            "agent",
            "tool",
            "ai.generateText",
            "timeout",
            "[1,{\"a\":2}]",
            "17",
            "{",
            "مرحبا \u{1F600}",
            "a\"b\\c\n\u{0}\u{7f}\u{2028}",
            "error",
        ])
        .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (0i64..500).prop_map(Value::Int),
        any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    nested(scalar())
}

/// A value that JSON can say.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    nested(prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Double),
        text().prop_map(Value::String),
    ])
}

fn nested(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((key(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

pub(crate) fn attributes(
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Attributes> {
    vec((key(), value), 0..6)
}

pub(crate) fn span_id() -> impl Strategy<Value = SpanId> {
    prop_oneof![
        any::<u64>().prop_map(|low| SpanId::from_w3c((low | 1).to_be_bytes())),
        any::<u128>().prop_map(|id| SpanId((id | 1).to_be_bytes())),
        any::<u64>().prop_map(|high| SpanId((u128::from(high | 1) << 64).to_be_bytes())),
    ]
}

pub(crate) fn trace_id() -> impl Strategy<Value = TraceId> {
    any::<u128>().prop_map(|id| TraceId((id | 1).to_be_bytes()))
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        text().prop_map(Payload::text),
        json_value().prop_map(|v| Payload::json(to_json(&v))),
    ]
}

/// JSON text by another encoder than ours.
pub(crate) fn to_json(value: &Value) -> String {
    fn tree(value: &Value) -> serde_json::Value {
        match value {
            Value::Null | Value::Bytes(_) => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) => (*n).into(),
            Value::Double(x) => (*x).into(),
            Value::String(text) => text.clone().into(),
            Value::Array(items) => items.iter().map(tree).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(k, v)| (k.clone(), tree(v))).collect(),
            ),
        }
    }
    tree(value).to_string()
}

fn label() -> impl Strategy<Value = Option<String>> {
    of("[a-zé]{1,5}")
}

prop_compose! {
    fn event(with: BoxedStrategy<Value>)(
        time_ns in any::<i64>(), name in text(), attributes in attributes(with),
        dropped_attributes in any::<u32>(),
    ) -> Event {
        Event { time_ns, name, attributes, dropped_attributes }
    }
}

prop_compose! {
    fn link(with: BoxedStrategy<Value>)(
        trace_id in trace_id(), span_id in span_id(), trace_state in text(),
        attributes in attributes(with), dropped_attributes in any::<u32>(), flags in any::<u32>(),
    ) -> Link {
        Link { trace_id, span_id, trace_state, attributes, dropped_attributes, flags }
    }
}

prop_compose! {
    fn identity()(
        trace_id in trace_id(), span_id in span_id(), parent in of(span_id()), name in text(),
        kind in prop::sample::select(SpanKind::ALL), status in prop::sample::select(SpanStatus::ALL),
        start_ns in any::<i64>(), end_ns in of(any::<i64>()), client in 0..i64::MAX as u64,
        dropped in any::<bool>(),
    ) -> Span {
        let mut span = Span::new("default", trace_id, span_id);
        span.parent_span_id = parent.filter(|parent| *parent != span_id);
        span.name = name;
        span.kind = kind;
        span.status = status;
        span.start_ns = start_ns;
        span.end_ns = end_ns;
        span.version.stage = if end_ns.is_some() { Stage::Ended } else { Stage::Open };
        span.version.client = client;
        span.dropped = dropped;
        span
    }
}

prop_compose! {
    fn texts()(
        labels in prop::array::uniform11(label()), tags in vec("[a-z]{1,4}", 0..3),
        input in of(payload()), output in of(payload()), process in of(any::<u128>()),
        sample_rate in of(0.000_1f64..=1.0), capture in capture(),
    ) -> Span {
        let mut span = Span::new("default", TraceId::NIL, SpanId::NIL);
        let [a, b, c, d, e, f, g, h, i, j, k] = labels;
        (span.environment, span.agent_name, span.agent_id, span.agent_version) = (a, b, c, d);
        (span.session_id, span.user_id, span.provider, span.model) = (e, f, g, h);
        (span.requested_model, span.reasoning_effort, span.error_message) = (i, j, k);
        span.tags = tags;
        span.input = input;
        span.output = output;
        span.process_id = process.map(|id| ProcessId(id.to_be_bytes()));
        span.sample_rate = sample_rate;
        span.capture = capture;
        span
    }
}

fn capture() -> impl Strategy<Value = Vec<(CaptureCategory, bool)>> {
    prop::sample::subsequence(CaptureCategory::ALL, 0..=5)
        .prop_flat_map(|all| all.into_iter().map(|c| (Just(c), any::<bool>())).collect::<Vec<_>>())
}

prop_compose! {
    /// Everything that both wires can say.
    fn common(with: BoxedStrategy<Value>)(
        base in identity(), texts in texts(), attributes in attributes(with.clone()),
        events in vec(event(with.clone()), 0..3), links in vec(link(with), 0..3),
        was_interrupted in prop::bool::weighted(0.2),
    ) -> Span {
        let mut span = Span {
            trace_id: base.trace_id, span_id: base.span_id, parent_span_id: base.parent_span_id,
            version: base.version, name: base.name, kind: base.kind, start_ns: base.start_ns,
            end_ns: base.end_ns, status: base.status, dropped: base.dropped,
            attributes, events, links, ..texts
        };
        if was_interrupted && !span.is_open() {
            span.attributes.push((INTERRUPTED_ATTRIBUTE.to_owned(), Value::Bool(true)));
            span.version.stage = Stage::Interrupted;
        }
        span
    }
}

prop_compose! {
    /// A span that the native wire can say whole.
    pub(crate) fn native_span()(
        mut span in common(json_value().boxed()),
        available in of(any::<bool>()), sent in prop::array::uniform3(of(0i64..1000)),
        cached in of(0i64..100), provider in of(prop::sample::select(vec!["openai", "anthropic", "x"])),
    ) -> Span {
        span.provider = provider.map(str::to_owned);
        let known = ["cache_read_input_tokens", "cached_input_tokens", "staso.provisional_root"];
        span.attributes.retain(|(key, _)| !known.contains(&key.as_str()));
        span.attributes.extend(cached.map(|n| ("cached_input_tokens".to_owned(), Value::Int(n))));
        let dialect = match provider {
            Some("openai") => Some(UsageBasis::Inclusive),
            Some("anthropic") => Some(UsageBasis::Exclusive),
            _ => None,
        };
        let [input, output, total] = sent;
        let sent = SentTotals { input, output, total };
        let parts = CacheParts { read: cached, ..CacheParts::default() };
        span.usage = Usage::from_sent(available, sent, parts, dialect);
        span
    }
}

prop_compose! {
    /// A score of a trace that the caller names.
    pub(crate) fn annotation()(
        id in any::<[u8; 16]>(),
        span_id in of(span_id()),
        name in "[a-z]{1,8}",
        value in prop_oneof![
            (-1e9_f64..1e9).prop_map(AnnotationValue::Numeric),
            text().prop_map(AnnotationValue::Categorical),
            any::<bool>().prop_map(AnnotationValue::Boolean),
        ],
        comment in label(),
        author in label(),
        source in prop::sample::select(vec![
            AnnotationSource::Sdk, AnnotationSource::Human, AnnotationSource::Judge, AnnotationSource::Code,
        ]),
        created_ns in 0..i64::MAX,
    ) -> Annotation {
        Annotation {
            workspace: String::new(), id: AnnotationId(id), trace_id: TraceId([0; 16]), span_id, name,
            value, comment, source, author, created_ns,
        }
    }
}

fn usage() -> impl Strategy<Value = Usage> {
    let count = || of(any::<i64>());
    let buckets = prop::array::uniform8(count());
    let sent = prop::array::uniform3(count());
    let basis = prop::sample::select(vec![
        UsageBasis::Unknown,
        UsageBasis::Inclusive,
        UsageBasis::Exclusive,
        UsageBasis::Assumed,
    ]);
    let is_of_trace = any::<bool>();
    (of(any::<bool>()), buckets, sent, basis, of(value()), of(text()), is_of_trace).prop_map(
        |(
            available,
            [a, b, c, d, e, f, g, h],
            [input, output, total],
            basis,
            raw,
            why,
            of_trace,
        )| Usage {
            available,
            input_uncached: a,
            cache_read: b,
            cache_write_5m: c,
            cache_write_1h: d,
            output: e,
            reasoning: f,
            audio_input: g,
            audio_output: h,
            sent: SentTotals { input, output, total },
            basis,
            raw,
            contradiction: why,
            is_of_trace: of_trace,
        },
    )
}

prop_compose! {
    fn resource()(
        attributes in attributes(value()), dropped_attributes in any::<u32>(), schema_url in text(),
        entities in vec((text(), text(), vec(text(), 0..2), vec(text(), 0..2)), 0..2),
    ) -> Resource {
        let entity = |(schema_url, kind, id_keys, description_keys)| {
            EntityRef { schema_url, kind, id_keys, description_keys }
        };
        let entity_refs = entities.into_iter().map(entity).collect();
        Resource { attributes, dropped_attributes, schema_url, entity_refs }
    }
}

prop_compose! {
    fn scope()(
        name in text(), version in text(), attributes in attributes(value()),
        dropped_attributes in any::<u32>(), schema_url in text(),
    ) -> Scope {
        Scope { name, version, attributes, dropped_attributes, schema_url }
    }
}

prop_compose! {
    /// Any span at all, but for what belongs to the receiver.
    pub(crate) fn any_span()(
        mut span in common(value().boxed()), usage in usage(), resource in resource(),
        scope in scope(), trace_state in text(), numbers in any::<[u32; 4]>(),
        otel_kind in any::<i32>(), is_final in any::<bool>(), costs in prop::array::uniform2(of(any::<i64>())),
        service in of(text()), error_message in of(text()),
        repairs in vec(("[a-z]{1,3}", text()), 0..3),
    ) -> Span {
        span.usage = usage;
        span.resource = Arc::new(resource);
        span.scope = Arc::new(scope);
        span.trace_state = trace_state;
        let [flags, attributes, events, links] = numbers;
        span.flags = flags;
        span.dropped_counts = DroppedCounts { attributes, events, links };
        span.otel_kind = otel_kind;
        span.version.stage = Stage::of(!is_final, &span.attributes);
        [span.cost_nano_usd, span.client_cost_nano_usd] = costs;
        span.service = service;
        span.error_message = error_message;
        let repair = |(field, problem)| Repair { field, problem };
        span.repairs = repairs.into_iter().map(repair).collect();
        span
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<bool>().prop_map(|b| Some(Any::BoolValue(b))),
        any::<i64>().prop_map(|n| Some(Any::IntValue(n))),
        (0i64..500).prop_map(|n| Some(Any::IntValue(n))),
        any::<f64>().prop_map(|x| Some(Any::DoubleValue(x))),
        text().prop_map(|text| Some(Any::StringValue(text))),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Some(Any::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let array = vec(inner.clone(), 0..4);
        let kvlist = vec((key(), inner), 0..4);
        prop_oneof![
            array.prop_map(|values| Any::ArrayValue(ArrayValue { values })),
            kvlist.prop_map(|entries| Any::KvlistValue(KeyValueList { values: pairs(entries) })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn pairs(entries: Vec<(String, AnyValue)>) -> Vec<KeyValue> {
    let pair = |(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 };
    entries.into_iter().map(pair).collect()
}

fn proto_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((key(), any_value()), 0..6).prop_map(pairs)
}

fn short_id() -> impl Strategy<Value = Vec<u8>> {
    any::<u64>().prop_map(|id| (id | 1).to_be_bytes().to_vec())
}

fn long_id() -> impl Strategy<Value = Vec<u8>> {
    any::<u128>().prop_map(|id| (id | 1).to_be_bytes().to_vec())
}

prop_compose! {
    fn proto_event()(
        time_unix_nano in any::<u64>(), name in text(), attributes in proto_attributes(),
        dropped_attributes_count in any::<u32>(),
    ) -> ProtoEvent {
        ProtoEvent { time_unix_nano, name, attributes, dropped_attributes_count }
    }
}

prop_compose! {
    fn proto_link()(
        trace_id in long_id(), span_id in short_id(), trace_state in text(),
        attributes in proto_attributes(), dropped_attributes_count in any::<u32>(),
        flags in any::<u32>(),
    ) -> ProtoLink {
        ProtoLink { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags }
    }
}

fn proto_status() -> impl Strategy<Value = Option<Status>> {
    let status = of((text(), 0..3i32).prop_map(|(message, code)| Status { message, code }));
    // An absent status and an empty one are the same to every reader.
    status.prop_map(|status| status.filter(|status| *status != Status::default()))
}

prop_compose! {
    fn proto_span()(
        trace_id in long_id(), span_id in short_id(),
        parent_span_id in prop_oneof![Just(Vec::new()), short_id()],
        trace_state in text(), flags in any::<u32>(), name in text(), kind in any::<i32>(),
        times in any::<[u64; 2]>(), attributes in proto_attributes(), dropped in any::<[u32; 3]>(),
        events in vec(proto_event(), 0..3), links in vec(proto_link(), 0..3),
        status in proto_status(),
    ) -> ProtoSpan {
        ProtoSpan {
            trace_id, span_id, trace_state, parent_span_id, flags, name, kind,
            start_time_unix_nano: times[0], end_time_unix_nano: times[1], attributes,
            dropped_attributes_count: dropped[0], events, dropped_events_count: dropped[1], links,
            dropped_links_count: dropped[2], status,
        }
    }
}

prop_compose! {
    fn proto_resource()(
        attributes in proto_attributes(), dropped_attributes_count in any::<u32>(),
        entities in vec((text(), text(), vec(text(), 0..2)), 0..2),
    ) -> ProtoResource {
        let entity = |(schema_url, kind, id_keys)| {
            ProtoEntityRef { schema_url, r#type: kind, id_keys, description_keys: Vec::new() }
        };
        let entity_refs = entities.into_iter().map(entity).collect();
        ProtoResource { attributes, dropped_attributes_count, entity_refs }
    }
}

prop_compose! {
    fn scope_spans()(
        name in text(), version in text(), attributes in proto_attributes(),
        dropped_attributes_count in any::<u32>(), schema_url in text(),
        spans in vec(proto_span(), 0..3),
    ) -> ScopeSpans {
        let scope = InstrumentationScope { name, version, attributes, dropped_attributes_count };
        ScopeSpans { scope: Some(scope), spans, schema_url }
    }
}

/// Any request whose spans have valid ids.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let group = (proto_resource(), vec(scope_spans(), 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource: Some(resource),
            scope_spans,
            schema_url,
        },
    );
    vec(group, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}
