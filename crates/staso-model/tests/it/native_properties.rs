//! The native wire against arbitrary spans, arbitrary bytes and damaged bodies.

use proptest::collection::vec;
use proptest::prelude::*;
use staso_model::json::{
    DecodeContext, decode_annotation, decode_batch, encode_batch, encode_trace,
};
use staso_model::{Span, TraceId};

use crate::native::{annotation_context, context};
use crate::strategies::{annotation, native_span};

const BODIES: [&[u8]; 3] = [
    include_bytes!("bodies/existing_client.json"),
    include_bytes!("bodies/values_form.json"),
    include_bytes!("bodies/hostile.json"),
];

fn decode(body: &[u8], spans: &[Span]) -> Vec<Span> {
    let first = spans.first().map_or(0, |span| span.version.received_ns);
    let context = DecodeContext { received_ns: first, first_sequence: 0, ..context() };
    let batch = decode_batch(body, &context).unwrap();
    assert_eq!(batch.repairs, [], "a batch of ours needs no mending");
    batch.spans
}

proptest! {
    #[test]
    fn encoded_spans_read_back(mut spans in vec(native_span(), 0..4)) {
        for (sequence, span) in (0..).zip(&mut spans) {
            span.version.sequence = sequence;
        }
        prop_assert_eq!(decode(&encode_batch(&spans), &spans), spans);
    }

    #[test]
    fn an_encoded_trace_reads_back_with_its_scores(
        mut spans in vec(native_span(), 0..3),
        mut annotations in vec(annotation(), 0..4),
    ) {
        let trace_id = TraceId([7; 16]);
        for (sequence, span) in (0..).zip(&mut spans) {
            (span.trace_id, span.workspace) = (trace_id, "w".to_owned());
            span.version.sequence = sequence;
        }
        for annotation in &mut annotations {
            (annotation.trace_id, annotation.workspace) = (trace_id, "w".to_owned());
        }
        let trace = encode_trace("w", trace_id, &spans, &annotations);
        let body = format!("{{\"traces\":[{trace}]}}");
        let received_ns = spans.first().map_or(i64::MAX, |span| span.version.received_ns);
        let context = DecodeContext { received_ns, first_sequence: 0, ..context() };
        for annotation in &mut annotations {
            annotation.created_ns = annotation.created_ns.min(received_ns);
        }
        let batch = decode_batch(body.as_bytes(), &context).unwrap();
        prop_assert_eq!(batch.repairs, vec![]);
        prop_assert_eq!(batch.spans, spans);
        prop_assert_eq!(batch.annotations, annotations);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode_batch(&bytes, &context());
        let _ = decode_annotation(&bytes, &annotation_context());
    }

    #[test]
    fn any_span_members_are_mended(
        members in r#"("[a-z_]{1,14}":(null|-?[0-9]{1,30}(\.[0-9]e-?[0-9]{1,3})?|"\PC{0,5}"|\[\]|\{\}|NaN|true),){0,6}"#,
    ) {
        let members = members.replace('\\', "/");
        let body = format!(r#"{{"traces":[{{"spans":[{{{members}"name":"x"}}]}}]}}"#);
        if let Ok(batch) = decode_batch(body.as_bytes(), &context()) {
            prop_assert_eq!((batch.trace_count, batch.spans.len()), (1, 1));
        }
    }

    #[test]
    fn damaged_bodies_are_read_or_refused(
        which in 0..BODIES.len(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
    ) {
        let mut body = BODIES[which].to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(body.len());
            match edit {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at.max(1)),
            }
        }
        if let Ok(batch) = decode_batch(&body, &context()) {
            // What was taken can be written and read again without loss.
            for span in &batch.spans {
                prop_assert!(!span.trace_id.is_nil() && !span.span_id.is_nil());
                for payload in span.input.iter().chain(&span.output).filter(|p| p.is_json) {
                    prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&payload.text).is_ok());
                }
            }
        }
    }
}
