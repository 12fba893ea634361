//! OTLP and the model lose nothing of each other.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use staso_model::otlp::{OtlpContext, decode_export, encode_export};

use crate::strategies::{any_span, request};

const CONTEXT: OtlpContext<'static> =
    OtlpContext { workspace: "default", received_ns: 0, first_sequence: 0 };

/// Every span with the resource and scope around it, encoded: grouping aside, this is the request.
/// Bytes compare a NaN with itself.
fn flat(request: &ExportTraceServiceRequest) -> Vec<[Vec<u8>; 3]> {
    let mut all = Vec::new();
    for group in &request.resource_spans {
        let resource = group.resource.clone().unwrap_or_default();
        let around = |resource: Resource| {
            [resource.encode_to_vec(), group.schema_url.clone().into_bytes()].concat()
        };
        for inner in &group.scope_spans {
            let scope = inner.scope.clone().unwrap_or_default().encode_to_vec();
            let scope = [scope, inner.schema_url.clone().into_bytes()].concat();
            let one =
                |span: &ProtoSpan| [around(resource.clone()), scope.clone(), span.encode_to_vec()];
            all.extend(inner.spans.iter().map(one));
        }
    }
    all
}

proptest! {
    #[test]
    fn a_request_comes_out_as_it_went_in(request in request()) {
        let batch = decode_export(request.clone(), &CONTEXT);
        prop_assert_eq!(&batch.rejected, &[]);
        prop_assert_eq!(flat(&encode_export(&batch.spans)), flat(&request));
    }

    #[test]
    fn a_span_comes_back_whole(mut spans in vec(any_span(), 0..3)) {
        for (sequence, span) in (0..).zip(&mut spans) {
            span.version.sequence = sequence;
        }
        let wire = encode_export(&spans).encode_to_vec();
        let request = ExportTraceServiceRequest::decode(&wire[..]).unwrap();
        let batch = decode_export(request, &CONTEXT);
        prop_assert_eq!(batch.spans, spans);
        prop_assert_eq!(batch.rejected, []);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(request) = ExportTraceServiceRequest::decode(&bytes[..]) {
            let spans = decode_export(request, &CONTEXT).spans;
            let again = decode_export(encode_export(&spans), &CONTEXT).spans;
            prop_assert_eq!(again.len(), spans.len());
        }
    }
}
