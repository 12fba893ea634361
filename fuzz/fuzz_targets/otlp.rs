//! OTLP: any request that protobuf accepts is decoded, and its spans survive a second round.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use staso_model::otlp::{OtlpContext, decode_export, encode_export};

const CONTEXT: OtlpContext<'static> =
    OtlpContext { workspace: "default", received_ns: 0, first_sequence: 0 };

fuzz_target!(|body: &[u8]| {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return };
    let batch = decode_export(request, &CONTEXT);
    let wire = encode_export(&batch.spans).encode_to_vec();
    // A value nested to the reader's limit may pass it once it is carried; then there is no more.
    let Ok(request) = ExportTraceServiceRequest::decode(&wire[..]) else { return };
    let again = decode_export(request, &CONTEXT);
    assert_eq!(again.spans, batch.spans);
    assert_eq!(again.rejected, []);
});
