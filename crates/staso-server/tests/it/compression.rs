//! Answers in fewer bytes, for who accepts that.

use std::io::Read as _;

use serde_json::json;

use crate::fixture::{Fixture, NOON_NS, TRACE};
use crate::http::{self, Answer};
use crate::live::Listener;

fn get(fixture: &Fixture, path: &str, accept: &str) -> Answer {
    http::call(fixture.address(), "GET", path, &[("Accept-Encoding", accept)], b"")
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    match answer.header("content-encoding") {
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain).unwrap();
            plain
        }
        Some("zstd") => zstd::decode_all(&*answer.body).unwrap(),
        Some(other) => panic!("{other}"),
        None => answer.body.clone(),
    }
}

/// A trace of 10,000 spans, as an agent that loops makes it.
fn large_trace(fixture: &Fixture) {
    let names = ["plan", "search the documents", "call the model", "read a file", "answer"];
    let span = |n: i64| {
        let start_ns = NOON_NS + n * 1_234_567 + n * n % 7_919;
        let id = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
        let parent =
            (n > 0).then(|| (n / 5 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()));
        let parent = parent.map(|id| format!("{:016x}", id.cast_unsigned()));
        json!({"span_id": format!("{:016x}", id.cast_unsigned()), "parent_span_id": parent,
               "name": names[usize::try_from(n % 5).unwrap()], "start_ns": start_ns,
               "end_ns": start_ns + 1_000_000 + n * n * 31 % 997_001, "agent_name": "support"})
    };
    for chunk in 0..20 {
        let spans: Vec<_> = (chunk * 500..(chunk + 1) * 500).map(span).collect();
        let body = json!({"traces": [{"trace_id": TRACE, "spans": spans}]});
        fixture.accept(&format!("k{chunk}"), &body);
    }
}

#[test]
fn a_large_answer_shrinks_and_says_the_same() {
    let fixture = Fixture::new();
    large_trace(&fixture);
    let path = format!("/api/traces/{TRACE}/skeleton");
    let plain = fixture.get(&path);
    assert_eq!(plain.header("content-encoding"), None);
    for (accept, encoding) in
        [("gzip", "gzip"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd")]
    {
        let packed = get(&fixture, &path, accept);
        assert_eq!((packed.status, packed.header("content-encoding")), (200, Some(encoding)));
        assert_eq!(packed.header("content-type"), Some("application/json"));
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
        println!("{encoding}: {} of {} bytes", packed.body.len(), plain.body.len());
        assert!(packed.body.len() * 3 < plain.body.len(), "{encoding}");
        assert!(unpacked(&packed) == plain.body, "{encoding}");
    }
}

#[test]
fn what_does_not_pay_or_cannot_wait_stays_plain() {
    let fixture = Fixture::new();
    let health = get(&fixture, "/api/health", "gzip, zstd");
    assert_eq!(health.header("content-encoding"), None, "it is small");
    for accept in ["br", "identity", "gzip;q=0"] {
        let description = get(&fixture, "/api/openapi.json", accept);
        assert_eq!(description.header("content-encoding"), None, "{accept}");
    }
    let mut listener = Listener::accepting(&fixture, "/api/live", "gzip, zstd");
    assert_eq!(listener.next().unwrap().name, "hello", "the live tail is read as it comes");
}
