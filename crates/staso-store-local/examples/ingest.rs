//! Durable ingest, measured: spans per second and CPU per span of one store in one directory.
//!
//! `cargo run --release -p staso-store-local --example ingest [dir] [spans] [batch] [spans per
//! trace]`. Every batch carries a receipt; four appends are under way at a time. Spans are of the
//! typical sort: about 1.5 KB, a model call in five with growing text.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use staso_model::{Payload, Span, SpanId, SpanKind, SpanStatus, Stage, TraceId, Value, Version};
use staso_store::{Batch, ReceiptKey, Store, StoreError};
use staso_store_local::{LocalStore, Options};

const IN_FLIGHT: usize = 4;
const WORDS: [&str; 16] = [
    "order", "refund", "customer", "invoice", "agent", "please", "status", "the", "of", "parcel",
    "delivery", "tomorrow", "because", "account", "number", "thanks",
];

/// Small, fast and the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn id(&mut self) -> [u8; 16] {
        ((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes()
    }

    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS[(self.next() % 16) as usize]);
            text.push(' ');
        }
        text
    }
}

fn span(random: &mut Random, trace_id: TraceId, i: u64, sequence: u64) -> Span {
    let id = |n: u64| SpanId::from_w3c((n + 1).to_be_bytes());
    let start_ns = 1_700_000_000_000_000_000 + i64::try_from(sequence).unwrap_or(0) * 50_000;
    let text = random.text(400);
    Span {
        parent_span_id: (i > 0).then(|| id((i - 1) / 3)),
        version: Version { stage: Stage::Ended, client: 0, received_ns: start_ns + 900, sequence },
        name: format!("step {}", i % 7),
        kind: SpanKind::ALL[usize::try_from(i % 5).unwrap_or(0)],
        start_ns,
        end_ns: Some(start_ns + 30_000_000),
        status: SpanStatus::Ok,
        input: Some(Payload::json(format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
        ))),
        output: Some(Payload::text(random.text(300))),
        attributes: (0..8).map(|k| (format!("step.attribute.{k}"), Value::Int(k))).collect(),
        environment: Some("production".to_owned()),
        service: Some("support-desk".to_owned()),
        agent_name: Some("support".to_owned()),
        session_id: Some(format!("session-{}", sequence / 100)),
        model: i.is_multiple_of(5).then(|| "gpt-4o-mini".to_owned()),
        cost_nano_usd: i.is_multiple_of(5).then_some(250_000),
        ..Span::new("default", trace_id, id(i))
    }
}

fn batches(spans: u64, batch: u64, per_trace: u64) -> Vec<Batch> {
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let mut trace_id = TraceId(random.id());
    let mut made = Vec::new();
    for first in (0..spans).step_by(usize::try_from(batch).unwrap_or(1)) {
        let mut spans_of = Vec::new();
        for n in first..spans.min(first + batch) {
            if n.is_multiple_of(per_trace) {
                trace_id = TraceId(random.id());
            }
            spans_of.push(span(&mut random, trace_id, n % per_trace, n + 1));
        }
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(&random.id());
        made.push(Batch {
            workspace: "default".to_owned(),
            receipt: Some(ReceiptKey { key: format!("batch-{first}"), digest }),
            reply: b"{}".to_vec(),
            spans: spans_of,
            received_ns: 1_700_000_000_000_000_000,
            ..Batch::default()
        });
    }
    made
}

/// CPU time of this process, in seconds, user and system, from `/proc/self/stat`.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn argument(n: usize, default: u64) -> u64 {
    std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let dir =
        std::env::args().nth(1).map_or_else(|| PathBuf::from("bench-data/ingest"), PathBuf::from);
    let (spans, batch, per_trace) = (argument(2, 100_000), argument(3, 500), argument(4, 12));
    let store = Arc::new(LocalStore::open(&dir, &Options::default())?);
    let batches = batches(spans, batch.max(1), per_trace.max(1));
    let (began, cpu_began) = (Instant::now(), cpu_secs());
    let mut lanes: Vec<Vec<Batch>> = (0..IN_FLIGHT).map(|_| Vec::new()).collect();
    for (i, batch) in batches.into_iter().enumerate() {
        lanes[i % IN_FLIGHT].push(batch);
    }
    let mut tasks = Vec::new();
    for lane in lanes {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut slowest = std::time::Duration::ZERO;
            for batch in lane {
                let sent = Instant::now();
                store.append(batch).await?;
                slowest = slowest.max(sent.elapsed());
            }
            Ok::<_, StoreError>(slowest)
        }));
    }
    let mut slowest = std::time::Duration::ZERO;
    for task in tasks {
        let lane = task.await.map_err(|e| StoreError::Engine(e.to_string()))??;
        slowest = slowest.max(lane);
    }
    let (secs, cpu) = (began.elapsed().as_secs_f64(), cpu_secs() - cpu_began);
    let stats = store.stats().await?;
    let count = spans as f64;
    println!(
        "{spans} spans in batches of {batch}, {per_trace} per trace: {:.0} spans/s durable, \
         {:.1} µs CPU per span, slowest append {slowest:?}, {:.0} bytes per span on disk",
        count / secs,
        cpu * 1e6 / count,
        stats.bytes as f64 / stats.spans.max(1) as f64,
    );
    store.close().await
}
