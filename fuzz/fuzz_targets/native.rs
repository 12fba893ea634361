//! The native wire: whatever arrives is read or refused, and what is read is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use staso_model::json::{
    AnnotationContext, DecodeContext, Limits, decode_annotation, decode_batch, encode_batch,
};
use staso_model::{AnnotationId, TraceId};

const CONTEXT: DecodeContext<'static> = DecodeContext {
    workspace_override: None,
    default_workspace: "default",
    received_ns: 1_760_000_000_000_000_000,
    first_sequence: 0,
    receipt_id: "receipt",
    limits: Limits {
        max_spans: 100,
        max_annotations: 100,
        max_depth: 8,
        max_attribute_depth: 8,
        max_values: 200,
        max_name_bytes: 64,
    },
};

fuzz_target!(|body: &[u8]| {
    let annotation = AnnotationContext {
        workspace: "default",
        trace_id: TraceId([1; 16]),
        fallback_id: AnnotationId([1; 16]),
        received_ns: CONTEXT.received_ns,
        limits: CONTEXT.limits,
    };
    let _ = decode_annotation(body, &annotation);
    let Ok(batch) = decode_batch(body, &CONTEXT) else { return };
    let again = decode_batch(body, &CONTEXT).expect("decoding depends on nothing else");
    assert_eq!(batch, again);
    for span in &batch.spans {
        assert!(!span.trace_id.is_nil() && !span.span_id.is_nil());
        assert!(span.name.len() <= CONTEXT.limits.max_name_bytes);
        for payload in span.input.iter().chain(&span.output).filter(|payload| payload.is_json) {
            serde_json::from_str::<&RawValue>(&payload.text).expect("a JSON payload parses");
        }
    }
    // What was taken can be written and taken again under the same identity.
    let rewritten = decode_batch(&encode_batch(&batch.spans), &CONTEXT).expect("our own writing");
    let ids = |spans: &[staso_model::Span]| {
        spans.iter().map(|span| (span.trace_id, span.span_id)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&rewritten.spans), ids(&batch.spans));
});
