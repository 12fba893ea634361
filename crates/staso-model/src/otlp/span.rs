//! One span between OTLP's own fields and ours. Derived and carried fields are [`super::carried`]'s.

use opentelemetry_proto::tonic::trace::v1::span::{Event as ProtoEvent, Link as ProtoLink};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as ProtoSpan, Status};

use super::{OtlpContext, carried, values};
use crate::ids::{SpanId, TraceId};
use crate::kind::SpanStatus;
use crate::span::{DroppedCounts, Event, Link, Repair, Span, Stage};
use crate::value::Value;

/// The whole id of a linked span, of which OTLP's field holds 8 bytes.
const LINK_SPAN_ID: &str = "staso.span_id";

/// The identity of a span, or why it cannot be taken.
pub(super) fn identity(proto: &ProtoSpan) -> Result<(TraceId, SpanId), &'static str> {
    let trace_id =
        trace_id(&proto.trace_id).ok_or("the trace id is not 16 bytes, some not zero")?;
    let span_id = span_id(&proto.span_id).ok_or("the span id is not 8 bytes, some not zero")?;
    Ok((trace_id, span_id))
}

/// The fields that OTLP has.
pub(super) fn decode(
    proto: ProtoSpan,
    (trace_id, span_id): (TraceId, SpanId),
    ctx: &OtlpContext<'_>,
) -> Span {
    let mut span = Span::new(ctx.workspace, trace_id, span_id);
    span.version.received_ns = ctx.received_ns;
    span.parent_span_id = self::span_id(&proto.parent_span_id);
    if span.parent_span_id.is_none() && !is_zero_or_empty(&proto.parent_span_id) {
        let problem = "not 8 bytes: taken as a root".to_owned();
        span.repairs.push(Repair { field: "parent_span_id".to_owned(), problem });
    }
    span.name = proto.name;
    span.otel_kind = proto.kind;
    span.start_ns = proto.start_time_unix_nano.cast_signed();
    // Zero is "not set": only a span that is still open has no end.
    span.end_ns = Some(proto.end_time_unix_nano.cast_signed()).filter(|ns| *ns != 0);
    span.attributes = values::list(proto.attributes);
    span.version.stage = Stage::of(span.end_ns.is_none(), &span.attributes);
    span.events = proto.events.into_iter().map(event).collect();
    span.links = proto.links.into_iter().map(link).collect();
    span.trace_state = proto.trace_state;
    span.flags = proto.flags;
    span.dropped_counts = DroppedCounts {
        attributes: proto.dropped_attributes_count,
        events: proto.dropped_events_count,
        links: proto.dropped_links_count,
    };
    status(proto.status.unwrap_or_default(), &mut span);
    span
}

/// The way back from [`decode`], carried fields appended.
pub(super) fn encode(span: &Span) -> ProtoSpan {
    let mut attributes = values::to_proto_list(&span.attributes);
    let carried = carried::carried(span);
    attributes.extend(carried.into_iter().map(|(key, value)| values::to_proto_pair(key, &value)));
    ProtoSpan {
        trace_id: span.trace_id.0.to_vec(),
        span_id: otlp_id(&span.span_id).to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent_span_id.map(|id| otlp_id(&id).to_vec()).unwrap_or_default(),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.otel_kind,
        start_time_unix_nano: span.start_ns.cast_unsigned(),
        end_time_unix_nano: span.end_ns.unwrap_or(0).cast_unsigned(),
        attributes,
        dropped_attributes_count: span.dropped_counts.attributes,
        events: span.events.iter().map(encode_event).collect(),
        dropped_events_count: span.dropped_counts.events,
        links: span.links.iter().map(encode_link).collect(),
        dropped_links_count: span.dropped_counts.links,
        status: encode_status(span),
    }
}

/// The span as it would be decoded from its own OTLP form without anything carried or derived.
pub(super) fn bare(span: &Span) -> Span {
    let mut bare = Span::new(&*span.workspace, span.trace_id, widen(otlp_id(&span.span_id)));
    bare.parent_span_id =
        span.parent_span_id.map(|id| widen(otlp_id(&id))).filter(|id| !id.is_nil());
    bare.name.clone_from(&span.name);
    bare.attributes.clone_from(&span.attributes);
    bare.events.clone_from(&span.events);
    bare.end_ns = span.end_ns.filter(|ns| *ns != 0);
    bare.version.stage = Stage::of(bare.end_ns.is_none(), &bare.attributes);
    bare.resource = span.resource.clone();
    bare.scope = span.scope.clone();
    status(encode_status(span).unwrap_or_default(), &mut bare);
    bare
}

/// The 8 bytes that stand for an id on OTLP: its low half, or its high half where the low is zero,
/// since a zero id would be refused.
pub(super) fn otlp_id(id: &SpanId) -> [u8; 8] {
    let low = id.low();
    if low != [0; 8] {
        return low;
    }
    let mut high = [0; 8];
    high.copy_from_slice(&id.0[..8]);
    high
}

fn widen(bytes: [u8; 8]) -> SpanId {
    SpanId::from_w3c(bytes)
}

fn is_zero_or_empty(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    bytes.try_into().ok().map(TraceId).filter(|id| !id.is_nil())
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(SpanId::from_w3c).filter(|id| !id.is_nil())
}

fn status(proto: Status, span: &mut Span) {
    span.status = match StatusCode::try_from(proto.code) {
        Ok(StatusCode::Ok) => SpanStatus::Ok,
        Ok(StatusCode::Error) => SpanStatus::Error,
        Ok(StatusCode::Unset) => SpanStatus::Unset,
        Err(_) => {
            let problem = format!("unknown code {}: taken as unset", proto.code);
            span.repairs.push(Repair { field: "status.code".to_owned(), problem });
            SpanStatus::Unset
        }
    };
    span.error_message = Some(proto.message).filter(|message| !message.is_empty());
}

fn encode_status(span: &Span) -> Option<Status> {
    let code = match span.status {
        SpanStatus::Unset => StatusCode::Unset,
        SpanStatus::Ok => StatusCode::Ok,
        SpanStatus::Error | SpanStatus::Timeout => StatusCode::Error,
    };
    let message = span.error_message.clone().unwrap_or_default();
    let is_unset = code == StatusCode::Unset && message.is_empty();
    (!is_unset).then_some(Status { message, code: code as i32 })
}

fn event(proto: ProtoEvent) -> Event {
    Event {
        time_ns: proto.time_unix_nano.cast_signed(),
        name: proto.name,
        attributes: values::list(proto.attributes),
        dropped_attributes: proto.dropped_attributes_count,
    }
}

fn encode_event(event: &Event) -> ProtoEvent {
    ProtoEvent {
        time_unix_nano: event.time_ns.cast_unsigned(),
        name: event.name.clone(),
        attributes: values::to_proto_list(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

/// A link. Ids of a wrong length are the nil id: the link still says that something was linked.
fn link(proto: ProtoLink) -> Link {
    let mut link = Link {
        trace_id: trace_id(&proto.trace_id).unwrap_or_default(),
        span_id: span_id(&proto.span_id).unwrap_or_default(),
        trace_state: proto.trace_state,
        attributes: values::list(proto.attributes),
        dropped_attributes: proto.dropped_attributes_count,
        flags: proto.flags,
    };
    if let Some((key, Value::String(text))) = link.attributes.last()
        && key == LINK_SPAN_ID
        && let Some(whole) = whole_id(text, &link.span_id)
    {
        link.span_id = whole;
        link.attributes.pop();
    }
    link
}

fn encode_link(link: &Link) -> ProtoLink {
    let mut attributes = values::to_proto_list(&link.attributes);
    if link.span_id.to_w3c().is_none() {
        let whole = Value::String(link.span_id.to_string());
        attributes.push(values::to_proto_pair(LINK_SPAN_ID.to_owned(), &whole));
    }
    ProtoLink {
        trace_id: link.trace_id.0.to_vec(),
        span_id: otlp_id(&link.span_id).to_vec(),
        trace_state: link.trace_state.clone(),
        attributes,
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

/// The whole id that `text` names, if it is one that would be sent as `short`.
pub(super) fn whole_id(text: &str, short: &SpanId) -> Option<SpanId> {
    let whole: SpanId = text.parse().ok()?;
    let is_canonical = whole.to_w3c().is_none() && whole.to_string() == text;
    (is_canonical && widen(otlp_id(&whole)) == *short).then_some(whole)
}
