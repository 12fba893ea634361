//! Makes a golden data directory: what a store of this format looks like once its program is gone.
//!
//! `cargo run -p staso-store-local --example golden spans > expected.json` says which spans and
//! annotations stand in it, and `… golden make expected.json <dir>` has this program's store write
//! them. `docs/internals/on-disk-format.md` says when that is due and where the files go.

#![expect(clippy::print_stdout, reason = "the expectations are printed")]

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use staso_model::{
    Annotation, AnnotationId, AnnotationSource, AnnotationValue, CaptureCategory, Event, Link,
    Payload, ProcessId, Repair, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, Stage,
    TraceId, Value,
};
use staso_store::{Batch, ReceiptKey, Store};
use staso_store_local::{LocalStore, Options};

type Failure = Box<dyn std::error::Error>;

/// Spans of one batch.
const BATCH: usize = 5;
const TRACES: u64 = 5;
const SPANS: u64 = 6;
const DAY_NS: i64 = 86_400_000_000_000;
const BEGIN_NS: i64 = 1_700_000_000_000_000_000;

/// What a golden directory holds.
#[derive(Serialize, Deserialize)]
struct Expected {
    spans: Vec<Span>,
    annotations: Vec<Annotation>,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["spans"] => println!("{}", lines(&sample())?),
        ["make", expected, dir] => {
            let expected = serde_json::from_slice(&std::fs::read(expected)?)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(make(expected, Path::new(dir)))?;
        }
        _ => return Err("golden spans | golden make <expected.json> <dir>".into()),
    }
    Ok(())
}

/// One line each, so that a change of one is seen as that.
fn lines(Expected { spans, annotations }: &Expected) -> Result<String, Failure> {
    let spans: Vec<String> = spans.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let annotations: Vec<String> =
        annotations.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let (spans, annotations) = (spans.join(",\n"), annotations.join(",\n"));
    Ok(format!("{{\"spans\":[\n{spans}\n],\"annotations\":[\n{annotations}\n]}}"))
}

/// Half of it goes to segments, half stays in the log; what is in its second version had a first.
async fn make(expected: Expected, dir: &Path) -> Result<(), Failure> {
    let store = LocalStore::open(dir, &Options::default())?;
    let earlier = |span: &Span| {
        let mut span = span.clone();
        span.version.client = 1;
        span.name = "superseded".to_owned();
        span
    };
    let second = expected.spans.iter().filter(|span| span.version.client == 2);
    store.append(batch(0, second.map(earlier).collect())).await?;
    let batches: Vec<&[Span]> = expected.spans.chunks(BATCH).collect();
    for (number, spans) in (1_u8..).zip(&batches) {
        store.append(batch(number, spans.to_vec())).await?;
        if usize::from(number) == batches.len() / 2 {
            store.flush().await?;
        }
    }
    store.append(Batch { annotations: expected.annotations, ..batch(255, Vec::new()) }).await?;
    store.close().await?;
    Ok(())
}

fn batch(number: u8, spans: Vec<Span>) -> Batch {
    let receipt = ReceiptKey { key: format!("batch {number}"), digest: [number; 32] };
    Batch {
        workspace: "default".to_owned(),
        receipt: Some(receipt),
        reply: format!("reply {number}").into_bytes(),
        spans,
        received_ns: BEGIN_NS,
        ..Batch::default()
    }
}

fn sample() -> Expected {
    let mut spans = Vec::new();
    for trace in 1..=TRACES {
        let workspace = if trace == TRACES { "other one/ü" } else { "default" };
        spans.extend((1..=SPANS).map(|id| span(workspace, trace, id)));
    }
    let annotation = |id: u8, value: AnnotationValue| Annotation {
        workspace: "default".to_owned(),
        id: AnnotationId([id; 16]),
        trace_id: trace_id(1),
        span_id: (id == 2).then(|| span_id(2)),
        name: "helpful".to_owned(),
        value,
        comment: Some("быстро".to_owned()),
        source: AnnotationSource::Human,
        author: Some("a reader".to_owned()),
        created_ns: BEGIN_NS,
    };
    let values = [AnnotationValue::Boolean(true), AnnotationValue::Numeric(0.25)];
    Expected { spans, annotations: (1_u8..).zip(values).map(|(id, v)| annotation(id, v)).collect() }
}

fn trace_id(n: u64) -> TraceId {
    TraceId((u128::from(n) << 64 | u128::from(n)).to_be_bytes())
}

fn span_id(n: u64) -> SpanId {
    SpanId::from_w3c(n.to_be_bytes())
}

/// A plain span, then what makes each of a trace's six its own.
fn span(workspace: &str, trace: u64, id: u64) -> Span {
    let number = i64::try_from(trace * SPANS + id).unwrap_or_default();
    let mut span = Span::new(workspace, trace_id(trace), span_id(id));
    span.version.sequence = number.cast_unsigned();
    span.version.received_ns = BEGIN_NS + number;
    span.name = format!("step {id}");
    // A day for every two traces; the fourth has no plausible time.
    let begin = if trace == 4 { 5 } else { BEGIN_NS + number.div_euclid(12) * DAY_NS };
    span.start_ns = begin + number * 1_000;
    span.end_ns = Some(span.start_ns + 900);
    span.parent_span_id = (id > 1).then(|| span_id(id / 2));
    span.session_id = Some(format!("talk {}", trace % 2));
    span.service = Some("shop".to_owned());
    span.resource = Arc::new(Resource {
        attributes: vec![("service.name".to_owned(), Value::String("shop".to_owned()))],
        ..Resource::default()
    });
    match id {
        1 => as_agent(&mut span),
        2 => as_model_call(&mut span),
        3 => as_failure(&mut span),
        4 => span.version.client = 2,
        5 => as_dropped(&mut span),
        _ => as_open_or_interrupted(&mut span, trace),
    }
    span
}

fn as_agent(span: &mut Span) {
    span.kind = SpanKind::Agent;
    span.agent_name = Some("support".to_owned());
    span.agent_version = Some("1.2".to_owned());
    span.user_id = Some("u-7".to_owned());
    span.environment = Some("production".to_owned());
    span.tags = vec!["vip".to_owned(), "العربية".to_owned()];
    span.input = Some(Payload::json("{\"question\":\"Где мой заказ? 订单在哪里\"}"));
    span.output = Some(Payload::text("It left yesterday. ".repeat(60)));
    span.sample_rate = Some(0.5);
    span.capture = vec![(CaptureCategory::ALL[0], false)];
}

fn as_model_call(span: &mut Span) {
    span.kind = SpanKind::Llm;
    span.provider = Some("a provider".to_owned());
    span.model = Some("small-1".to_owned());
    span.requested_model = Some("small".to_owned());
    span.usage.input_uncached = Some(1_200);
    span.usage.cache_read = Some(300);
    span.usage.output = Some(34);
    span.cost_nano_usd = Some(1_234_567);
    span.client_cost_nano_usd = Some(0);
    span.input = Some(Payload::json("[{\"role\":\"user\",\"content\":\"\\u0000 \\ud800\"}]"));
    span.scope = Arc::new(Scope { name: "sdk".to_owned(), ..Scope::default() });
}

fn as_failure(span: &mut Span) {
    span.kind = SpanKind::Tool;
    span.status = SpanStatus::Error;
    span.error_message = Some("503 from the warehouse".to_owned());
    let kind = ("exception.type".to_owned(), Value::String("Timeout".to_owned()));
    let time_ns = span.start_ns + 5;
    let event = Event {
        time_ns,
        name: "exception".to_owned(),
        attributes: vec![kind],
        dropped_attributes: 1,
    };
    span.events = vec![event];
    span.attributes = vec![
        ("n".to_owned(), Value::Int(i64::MIN)),
        ("raw".to_owned(), Value::Bytes(vec![0, 255])),
        ("n".to_owned(), Value::Double(-0.5)),
        ("deep".to_owned(), Value::Array(vec![Value::Null, Value::Bool(true)])),
    ];
}

fn as_dropped(span: &mut Span) {
    span.dropped = true;
    span.flags = 1;
    span.trace_state = "a=b".to_owned();
    span.dropped_counts.events = 3;
    span.links = vec![Link {
        trace_id: trace_id(99),
        span_id: span_id(99),
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 1,
    }];
    span.repairs = vec![Repair {
        field: "start".to_owned(),
        problem: "was text, read as a number".to_owned(),
    }];
}

fn as_open_or_interrupted(span: &mut Span, trace: u64) {
    span.process_id = Some(ProcessId([7; 16]));
    if trace.is_multiple_of(2) {
        span.version.stage = Stage::Interrupted;
    } else {
        span.version.stage = Stage::Open;
        span.end_ns = None;
        span.input = Some(Payload::text("what went in"));
    }
}
