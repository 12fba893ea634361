//! OTLP by example: what other systems send, as our fields; what we send, as theirs.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan};
use staso_model::otlp::{OtlpContext, decode_export, encode_export};
use staso_model::{Payload, Span, SpanId, SpanKind, SpanStatus, TraceId, UsageBasis};

const CONTEXT: OtlpContext<'static> =
    OtlpContext { workspace: "w", received_ns: 5, first_sequence: 9 };

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn pairs(entries: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| match text.parse() {
        Ok(n) => Any::IntValue(n),
        Err(_) => Any::StringValue(text.into()),
    };
    entries.iter().map(|(key, text)| pair(key, value(text))).collect()
}

fn proto(attributes: Vec<KeyValue>) -> ProtoSpan {
    ProtoSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "n".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes,
        ..ProtoSpan::default()
    }
}

fn request(spans: Vec<ProtoSpan>, resource: Vec<KeyValue>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(ProtoResource { attributes: resource, ..ProtoResource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            schema_url: String::new(),
        }],
    }
}

fn decode(attributes: &[(&str, &str)]) -> Span {
    decode_export(request(vec![proto(pairs(attributes))], Vec::new()), &CONTEXT).spans.remove(0)
}

#[test]
fn kinds_by_every_dialect() {
    let cases = [
        (&[("staso.kind", "agent"), ("openinference.span.kind", "LLM")][..], SpanKind::Agent),
        (&[("openinference.span.kind", "RERANKER")], SpanKind::Retriever),
        (&[("openinference.span.kind", "GUARDRAIL")], SpanKind::Custom),
        (&[("openinference.span.kind", "?"), ("gen_ai.operation.name", "chat")], SpanKind::Llm),
        (&[("langfuse.observation.type", "generation")], SpanKind::Llm),
        (&[("gen_ai.operation.name", "execute_tool")], SpanKind::Tool),
        (&[("gen_ai.operation.name", "invoke_agent")], SpanKind::Agent),
        (&[("traceloop.span.kind", "workflow")], SpanKind::Chain),
        (&[("mlflow.spanType", "CHAT_MODEL")], SpanKind::Llm),
        (&[("ai.operationId", "ai.generateText.doGenerate")], SpanKind::Llm),
        (&[("operation.name", "ai.generateText my-function")], SpanKind::Chain),
        (&[("ai.operationId", "ai.embedMany")], SpanKind::Retriever),
        (&[("mcp.method.name", "tools/call")], SpanKind::Tool),
        (&[("gen_ai.request.model", "m")], SpanKind::Llm),
        (&[], SpanKind::Chain),
    ];
    for (attributes, kind) in cases {
        assert_eq!(decode(attributes).kind, kind, "{attributes:?}");
    }
}

#[test]
fn a_model_call_of_the_current_conventions() {
    let span = decode(&[
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "vertex_ai"),
        ("gen_ai.request.model", "gemini-pro"),
        ("gen_ai.usage.input_tokens", "100"),
        ("gen_ai.usage.cache_read.input_tokens", "60"),
        ("gen_ai.usage.output_tokens", "7"),
        ("gen_ai.conversation.id", "c1"),
        ("gen_ai.system_instructions", "be kind"),
        ("gen_ai.input.messages", r#"[{"role":"user","content":"\u00e9"}]"#),
        ("gen_ai.output.messages", "plain"),
    ]);
    assert_eq!(span.provider.as_deref(), Some("gcp.vertex_ai"));
    assert_eq!(span.model.as_deref(), Some("gemini-pro"));
    assert_eq!(span.session_id.as_deref(), Some("c1"));
    assert_eq!((span.usage.input_uncached, span.usage.cache_read), (Some(40), Some(60)));
    assert_eq!((span.usage.output, span.usage.basis), (Some(7), UsageBasis::Inclusive));
    let input = r#"{"system_instructions":"be kind","messages":[{"role":"user","content":"é"}]}"#;
    assert_eq!(span.input, Some(Payload::json(input)));
    assert_eq!(span.output, Some(Payload::text("plain")));
}

#[test]
fn flattened_messages_are_built_up() {
    let span = decode(&[
        ("llm.input_messages.10.message.role", "z"),
        ("llm.input_messages.2.message.role", "user"),
        ("llm.input_messages.2.message.tool_calls.0.name", "t"),
        ("llm.token_count.prompt", "3"),
    ]);
    let input =
        r#"[{"message":{"role":"user","tool_calls":[{"name":"t"}]}},{"message":{"role":"z"}}]"#;
    assert_eq!(span.input, Some(Payload::json(input)));
    assert_eq!(span.usage.input_total(), Some(3));
}

#[test]
fn an_outer_operation_does_not_count_its_tokens_again() {
    let tokens = ("ai.usage.promptTokens", "5");
    assert_eq!(decode(&[("ai.operationId", "ai.generateText"), tokens]).usage.total(), None);
    let inner = decode(&[("ai.operationId", "ai.generateText.doGenerate"), tokens]);
    assert_eq!(inner.usage.total(), Some(5));
}

#[test]
fn the_resource_names_service_and_environment() {
    let resource = pairs(&[
        ("service.name", "shop"),
        ("service.version", "v2"),
        ("deployment.environment.name", "prod"),
    ]);
    let span = &decode_export(request(vec![proto(Vec::new())], resource), &CONTEXT).spans[0];
    assert_eq!((span.service.as_deref(), span.agent_name.as_deref()), (Some("shop"), Some("shop")));
    assert_eq!(span.agent_version.as_deref(), Some("v2"));
    assert_eq!(span.environment.as_deref(), Some("prod"));
    assert_eq!((span.version.received_ns, span.version.sequence), (5, 9));
}

#[test]
fn one_bad_span_never_costs_the_batch() {
    let bad = ProtoSpan { span_id: vec![0; 8], ..proto(Vec::new()) };
    let short = ProtoSpan { trace_id: vec![1; 15], ..proto(Vec::new()) };
    let batch = decode_export(request(vec![bad, proto(Vec::new()), short], Vec::new()), &CONTEXT);
    assert_eq!(batch.spans.len(), 1);
    let rejected: Vec<_> = batch.rejected.iter().map(|r| (r.index, r.reason)).collect();
    let reasons = [
        (0, "the span id is not 8 bytes, some not zero"),
        (2, "the trace id is not 16 bytes, some not zero"),
    ];
    assert_eq!(rejected, reasons);
}

#[test]
fn what_otlp_has_no_place_for_is_carried() {
    let mut span = Span::new("w", TraceId([1; 16]), SpanId([9; 16]));
    span.status = SpanStatus::Timeout;
    span.kind = SpanKind::Tool;
    span.end_ns = Some(4);
    span.input = Some(Payload::json("[1]"));
    let wire = encode_export(&[span]);
    let proto = &wire.resource_spans[0].scope_spans[0].spans[0];
    let keys: Vec<_> = proto.attributes.iter().map(|kv| kv.key.as_str()).collect();
    assert_eq!(
        keys,
        ["staso.span_id", "staso.kind", "staso.status", "staso.input", "staso.carried"]
    );
    assert_eq!((proto.span_id.len(), proto.status.as_ref().map(|s| s.code)), (8, Some(2)));
}

#[test]
fn a_collector_may_append_attributes() {
    let mut span = Span::new("w", TraceId([1; 16]), SpanId([9; 16]));
    span.end_ns = Some(4);
    span.dropped = true;
    let mut wire = encode_export(&[span.clone()]);
    let added = pairs(&[("collector", "x")]);
    wire.resource_spans[0].scope_spans[0].spans[0].attributes.extend(added);
    let back = decode_export(wire, &CONTEXT).spans.remove(0);
    assert_eq!((back.span_id, back.dropped, back.attributes.len()), (span.span_id, true, 1));
}
