//! OpenTelemetry to spans, and back, losing nothing.
//!
//! What OTLP has a field for goes there and comes back: ids, names, times (unsigned on the wire, the
//! same 64 bits here), kinds, status, attributes of every type with their order and repeated keys,
//! events, links, tracestate, flags, dropped counts, resources, scopes and schema URLs.
//!
//! Our own fields (kind, model, tokens, conversation, …) are derived from attributes by
//! `semconv`; the attributes stay as sent. On the way out, a field that the attributes
//! already say is not said again. A field that they do not say is *carried*: it is appended to the
//! attributes as `staso.<name>`, and `staso.carried` behind them counts how many, so that the way back
//! takes exactly those off again. These are carried: `staso.span_id`, `staso.parent_span_id` (a
//! whole 16-byte id, of which OTLP's field holds the low 8 bytes), `staso.kind`, `staso.status`
//! (`timeout`), `staso.error_message` (only where it is empty text), `staso.end_ns` (only where it is
//! 0), `staso.provisional`, `staso.version`, `staso.dropped`, `staso.input`, `staso.output`,
//! `staso.tags`, `staso.environment`, `staso.service`, `staso.agent_name`, `staso.agent_id`,
//! `staso.agent_version`, `staso.session_id`, `staso.user_id`, `staso.provider`, `staso.model`,
//! `staso.requested_model`, `staso.reasoning_effort`, `staso.usage`, `staso.cost_nano_usd`,
//! `staso.client_cost_nano_usd`, `staso.process_id`, `staso.sample_rate`, `staso.capture`, and
//! `staso.repaired.<field>` for each repair.
//!
//! Not carried: the workspace, the time and the sequence of receipt. Those are the receiver's to say.
//! Not read: string table indexes (`*_strindex`), which only the profiles signal may use. The caller
//! bounds the nesting of values; prost's decoder does (100 messages).

mod carried;
mod span;
mod values;

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan};

use crate::span::{Resource, Scope, Span};

/// What the decoder is told from outside.
#[derive(Debug, Clone, Copy)]
pub struct OtlpContext<'a> {
    /// The workspace of the key, or of the header: every span goes there.
    pub workspace: &'a str,
    /// When the request arrived, Unix nanoseconds.
    pub received_ns: i64,
    /// The sequence of the first span; the others follow one by one.
    pub first_sequence: u64,
}

/// One decoded request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OtlpBatch {
    /// The spans, in the order they came.
    pub spans: Vec<Span>,
    /// The spans that could not be taken; the answer counts them as `rejected_spans`.
    pub rejected: Vec<RejectedSpan>,
}

/// A span that has no usable identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedSpan {
    /// Which span of the request, counted from 0 over all resources and scopes.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Decodes one export request. A bad span is rejected alone and never costs the batch.
#[must_use]
pub fn decode_export(request: ExportTraceServiceRequest, ctx: &OtlpContext<'_>) -> OtlpBatch {
    let mut batch = OtlpBatch::default();
    for group in request.resource_spans {
        let resource =
            Arc::new(values::resource(group.resource.unwrap_or_default(), group.schema_url));
        for group in group.scope_spans {
            let scope = Arc::new(values::scope(group.scope.unwrap_or_default(), group.schema_url));
            for proto in group.spans {
                take(proto, &resource, &scope, ctx, &mut batch);
            }
        }
    }
    batch
}

fn take(
    proto: ProtoSpan,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    ctx: &OtlpContext<'_>,
    batch: &mut OtlpBatch,
) {
    let id = match span::identity(&proto) {
        Ok(id) => id,
        Err(reason) => {
            let index = batch.spans.len() + batch.rejected.len();
            batch.rejected.push(RejectedSpan { index, name: proto.name, reason });
            return;
        }
    };
    let mut span = span::decode(proto, id, ctx);
    span.resource = Arc::clone(resource);
    span.scope = Arc::clone(scope);
    span.version.sequence = ctx.first_sequence.wrapping_add(batch.spans.len() as u64);
    carried::derive_and_restore(&mut span);
    batch.spans.push(span);
}

/// Encodes spans as one export request: neighbours of one resource and scope share a group.
#[must_use]
pub fn encode_export(spans: &[Span]) -> ExportTraceServiceRequest {
    let is_same_resource = |a: &Span, b: &Span| a.resource == b.resource;
    let resource_spans = spans.chunk_by(is_same_resource).map(encode_resource).collect();
    ExportTraceServiceRequest { resource_spans }
}

fn encode_resource(spans: &[Span]) -> ResourceSpans {
    let resource = spans.first().map(|span| Arc::clone(&span.resource)).unwrap_or_default();
    let is_same_scope = |a: &Span, b: &Span| a.scope == b.scope;
    ResourceSpans {
        resource: Some(ProtoResource {
            attributes: values::to_proto_list(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes,
            entity_refs: resource.entity_refs.iter().map(values::to_proto_entity).collect(),
        }),
        scope_spans: spans.chunk_by(is_same_scope).map(encode_scope).collect(),
        schema_url: resource.schema_url.clone(),
    }
}

fn encode_scope(spans: &[Span]) -> ScopeSpans {
    let scope = spans.first().map(|span| Arc::clone(&span.scope)).unwrap_or_default();
    ScopeSpans {
        scope: Some(values::to_proto_scope(&scope)),
        spans: spans.iter().map(span::encode).collect(),
        schema_url: scope.schema_url.clone(),
    }
}
